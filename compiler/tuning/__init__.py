"""Search of what nobody needs to give by hand: ranges and bits, judged by what noisy chips make of data kept back."""
