"""The instruction set: one table, and the encoder, assembler, container, linter and documents derived from it."""
