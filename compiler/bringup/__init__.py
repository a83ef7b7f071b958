"""What meets a chip in the laboratory: traces of a run and how two of them differ."""
