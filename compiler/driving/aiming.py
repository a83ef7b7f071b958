"""What a program is compiled for beyond its target: the noise of the chips that it will run on."""

from cimc.backends.machine.facts import machine
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.device_moments import error_law, moments
from cimc.passes.pipeline import with_unset
from cimc.targets import Target

DIGITS = 2
"""Of the allowance, in hundredths of a conductance unit: what the pipeline's text says is what the pass computes."""


def aimed_at(pipeline: str, target: Target, noise: Noise) -> str:
    """Return the pipeline with the allowance of column-ranges that the noise's devices ask for at its time.

    What the text says of the allowance by itself stands. A target whose ADCs have no common gain allows for nothing.
    """
    if target.constants["adc.gain"] == "unity":
        return pipeline
    sigma, growth = (
        round(value, DIGITS) for value in error_law(moments(machine({"target": target.sections()}), noise))
    )
    return with_unset(pipeline, "column-ranges", {"device_sigma": str(sigma), "device_growth": str(growth)})
