"""Mistakes that people make in a tile or in an executor: switches of the outsider's executor."""

TILE = (
    "ADC half up",
    "ADC floor",
    "ADC keeps the lowest code",
    "ADC saturation lost",
    "ADC wraps",
    "plus and minus swapped",
    "minus array ignored",
    "shift one less",
    "stale DAC register where the code is 0",
    "DAC code unsigned",
    "accumulator of 16 bits",
    "accumulator of 18 bits",
    "first row of a block dropped",
    "row address off by one",
    "column address off by one",
)
DIGITAL = (
    "requantise half up",
    "requantise floor",
    "epilogue low clamp lost",
    "epilogue high clamp lost",
    "fill taken as 0",
    "taps column-major",
    "advance in bytes",
    "softmax quotient truncated",
    "drift factors ignored",
)
FAULTS = (*TILE, *DIGITAL)
