"""Freed memory stays in the process, so that steps cause no page faults; and that can be switched off."""

import os
import subprocess
import sys

import pytest

CODE = """
import resource
import numpy as np
import tinygrad_cnn

def step():
    [np.ones(1 << 20) for _ in range(8)]  # 64 MB, all freed at the end

for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(**environment):
    result = subprocess.run(
        [sys.executable, "-c", CODE], capture_output=True, text=True, check=True, env={**os.environ, **environment}
    )
    return int(result.stdout)


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or not os.confstr("CS_GNU_LIBC_VERSION"), reason="this is glibc's allocator"
)
def test_arrays_are_not_mapped_anew():
    assert faults() < 100
    assert faults(TINYGRAD_CNN_KEEP_MEMORY="0") > 10 * 100
