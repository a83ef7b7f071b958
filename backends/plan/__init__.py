"""The fast interpreter: a program's steps over a batch, in the cheapest type that proves the bits."""
