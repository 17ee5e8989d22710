"""`python -m denseil`, the command `denseil`."""

import sys

from denseil.cli import main

if __name__ == "__main__":
    sys.exit(main())
