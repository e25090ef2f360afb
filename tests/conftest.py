"""Settings of the whole suite: hypothesis profiles (``HYPOTHESIS_PROFILE=dev|ci|thorough``), one BLAS thread."""

import os

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # the arrays are tiny, and the suite itself runs in parallel

from tinygrad_cnn.testing.profiles import load_profile  # noqa: E402  # after the environment is set

load_profile()
