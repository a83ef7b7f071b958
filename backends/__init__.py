"""Back ends: emit a program from the tile IR, and execute, cost and trace programs."""
