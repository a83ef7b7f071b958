"""The manual as code; arithmetic is written three times (here, plan/, evaluate/) so that equal bits prove all three."""
