"""Compiled kernels of the fast interpreter: the same bits as numpy, sooner; optional."""
