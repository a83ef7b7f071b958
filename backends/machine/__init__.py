"""The machine's facts: limits, traps, ports, and the rounding that every executor shares."""
