"""The pass `digital`: what is no crossbar layer becomes integer operations of the digital unit."""
