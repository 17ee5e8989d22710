"""Settings of all tests: one thread a process, and no test that depends on how fast the machine is."""

import os

from hypothesis import HealthCheck, settings

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # many threads on small tensors only wait for each other

settings.register_profile("denseil", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("denseil")
