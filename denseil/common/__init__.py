"""Ground floor: helpers that several rooms share. It imports nothing else of the library."""
