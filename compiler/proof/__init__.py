"""The proof: a program equals its recompilation, and every tensor is equal in every executor."""
