"""Every op that both libraries have, on the samples that PyTorch generates for its own tests."""

import itertools
import random
import warnings

import numpy as np
import pytest

from tests.parity.generated import Unconvertible, check_sample, op_infos, resolve, torch

DTYPES = (torch.float64, torch.float32, torch.int64, torch.int32, torch.uint8, torch.bool)
SAMPLES = 24  # of each op and dtype, spread evenly over what is generated

# Draw random numbers: shapes and dtypes are compared, values can't be.
RANDOM = {
    *("bernoulli", "normal", "randn", "randint", "rand_like", "randn_like", "randint_like", "uniform", "exponential"),
    *("empty", "empty_like", "new_empty", "randperm", "cauchy", "geometric", "log_normal", "multinomial"),
    *("nn.functional." + name for name in ("dropout", "dropout2d", "dropout3d", "alpha_dropout", "rrelu")),
    "nn.functional.feature_alpha_dropout",
}

VOLUMES = "three-dimensional images are outside this library"
BYTES = "images of bytes are resized as floating ones"
WIDER = "PyTorch gives int64 where it multiplies sums of small integers, and their own dtype elsewhere"
TIES = "which of equal values an unstable selection names is not defined"

# What differs, and why, by op: parts of the failure's text. Anything else that differs fails the test.
DIFFERS = {
    "argsort": {"bool[8000]": TIES, "uint8[8000]": TIES},
    "einsum": {"int32[1, 2, 3], int32[3]": WIDER, "uint8[1, 2, 3], uint8[3]": WIDER},
    "kthvalue": {"int64[": TIES, "int32[": TIES, "uint8[": TIES},
    "mode": {"[3000]": TIES},
    "linalg.norm": {"second gradient 0\nnan location": "the norm of zeros: PyTorch's slope is 0, its slope's is NaN"},
    "nn.functional.grid_sample": {"float64[2, 3, 5, 5, 5]": VOLUMES, "expected input (N, C, H, W)": VOLUMES},
    "nn.functional.interpolate": {"UnsupportedError: interpolate: expected (N, C, L)": VOLUMES, "torch.uint8": BYTES},
    "nn.functional.layer_norm": {"ACTUAL: array([0.]": "the exact gradient is 0; PyTorch's is rounding noise"},
    "nn.functional.pad": {"torch.bool": "circular padding of booleans is refused"},
    "nn.functional.scaled_dot_product_attention": {"dropout_p=0.5": "dropout draws other numbers"},
    "nn.functional.upsample_bilinear": {"torch.uint8": BYTES},
    "nn.functional.upsample_nearest": {"UnsupportedError: interpolate: expected (N, C, L)": VOLUMES},
    "normal": {"ArgumentTypeError: normal()": "the sample is for the method normal_, which has another signature"},
    "sgn": {"ZeroTensor": "PyTorch's gradient can't be read as an array"},
    "sort": {"bool[8000]": TIES, "uint8[8000]": TIES},
    "topk": {"int64[": TIES, "int32[": TIES, "uint8[": TIES},
    "zero_": {"InPlaceError": "the sample is a leaf that requires grad, which both libraries refuse to overwrite"},
}


def samples_of(info, dtype):
    """Samples for one dtype, at most SAMPLES."""
    requires_grad = dtype.is_floating_point and info.supports_autograd
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        samples = list(info.sample_inputs("cpu", dtype, requires_grad=requires_grad))
    return samples[:: max(1, -(-len(samples) // SAMPLES))]


def describe(value):
    """A sample's argument in few characters."""
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}{list(value.shape)}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(describe, value))})"
    if isinstance(value, dict):
        return ", ".join(f"{k}={describe(v)}" for k, v in value.items())
    return repr(value)


@pytest.mark.parametrize("name", sorted(name for name in op_infos() if resolve(name) is not None))
def test_generated_samples(name):
    failures, compared = [], 0
    for info, dtype in itertools.product(op_infos()[name], DTYPES):
        if dtype not in info.dtypes:
            continue
        for sample in samples_of(info, dtype):
            try:
                check_sample(info.op, resolve(name), sample, compare_values=name not in RANDOM)
                compared += 1
            except Unconvertible:
                continue
            except Exception as error:
                arguments = describe([sample.input, *sample.args, sample.kwargs])
                text = f"{name}{arguments}: {type(error).__name__}: {str(error).strip()[:600]}"
                if not any(part in text for part in DIFFERS.get(name, ())):
                    failures.append(text)
    assert not failures, f"{len(failures)} differ, {compared} agree:\n" + "\n".join(failures[:8])
