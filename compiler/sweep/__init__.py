"""Sweeps: a grid of models, targets, passes, noise, times, chips and compensations, on one machine or a cluster."""
