"""Passes: one a file, each a frozen value from module to module, and the default pipeline."""
