"""Hostile values for every public function and every verb. `python -m tests.fuzz --calls 2000` runs more of them."""
