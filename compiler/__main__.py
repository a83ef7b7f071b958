"""`python -m cimc COMMAND ...` is `cimc COMMAND ...`."""

import sys

from cimc.command_line import main

if __name__ == "__main__":
    sys.exit(main())
