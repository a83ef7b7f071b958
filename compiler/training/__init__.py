"""Training for the array: weights that keep their accuracy on noisy chips. Needs the extra `train`."""
