"""The interpreter's steps on a device of torch: the same bits; what has no form there stays with the processor."""
