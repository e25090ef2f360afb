"""Settings of the whole suite: hypothesis profiles (``HYPOTHESIS_PROFILE=dev|ci|thorough``), one BLAS thread."""

import os

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # the arrays are tiny, and the suite itself runs in parallel

from hypothesis import HealthCheck, settings  # noqa: E402  # after the environment is set

common = dict(deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("dev", max_examples=10, **common)
settings.register_profile("ci", max_examples=25, derandomize=True, **common)
settings.register_profile("thorough", max_examples=200, **common)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
