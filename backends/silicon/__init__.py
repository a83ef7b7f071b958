"""Studies of chips: telemetry, acceptance bands, refitting, compensation."""
