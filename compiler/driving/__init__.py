"""What the command line and Python drive: model to program, arrays, scores, summaries."""
