"""`python -m denseil.cli`."""

import sys

from denseil.cli import main

sys.exit(main())
