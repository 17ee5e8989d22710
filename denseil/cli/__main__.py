"""`python -m denseil.cli`."""

import sys

from denseil.cli import main

if __name__ == "__main__":
    sys.exit(main())
