"""Plugin of pytest that takes away what Windows lacks: `resource`, `fcntl`, `os.fork`, and processes that are forked.

    python -m pytest -p tests.as_on_windows tests/layers

Tests that need a real fork are skipped; see `tests.forked`.
"""

import multiprocessing
import os
import sys

sys.modules.update(dict.fromkeys(("fcntl", "resource")))  # importing them is a ModuleNotFoundError
del os.fork
multiprocessing.set_start_method("spawn")
