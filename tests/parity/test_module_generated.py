"""PyTorch's own generated settings and inputs of its modules (``module_db``)."""

import random

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.generated import DTYPES, Unconvertible, assert_same, compare, convert, flat, torch

from torch.testing._internal.common_modules import module_db  # isort: skip  # generated skips where it isn't there

RANDOM = ("Dropout", "RReLU")  # what they give in training is compared by shape
OUTSIDE = {
    *("AvgPool3d", "AdaptiveAvgPool3d", "AdaptiveMaxPool3d", "CircularPad3d", "ConstantPad3d", "Conv3d"),
    *("ConvTranspose3d", "FractionalMaxPool3d", "LPPool3d", "LazyConv3d", "LazyConvTranspose3d", "MaxPool3d"),
    *("ReflectionPad3d", "ReplicationPad3d", "ZeroPad3d"),  # volumes
    *("GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell", "MultiheadAttention", "Transformer"),  # sequences
    *("TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer", "CTCLoss"),
    *("FractionalMaxPool2d", "LinearCrossEntropyLoss"),
}
# The mean over labels that are all ignored: its gradient is 0 on both sides, that of the gradient NaN on PyTorch's.
DIFFERS = {"CrossEntropyLoss": "second gradient 1\nnan location"}


def cases():
    """One case a module and dtype."""
    for info in module_db:
        name = info.module_cls.__name__
        for dtype in (torch.float64, torch.float32):
            if hasattr(tg.nn, name):
                yield pytest.param(info, dtype, id=f"{name}-{str(dtype).removeprefix('torch.')}")


def test_what_there_is():
    assert {info.module_cls.__name__ for info in module_db} - set(dir(tg.nn)) == OUTSIDE


@pytest.mark.filterwarnings("ignore")  # deprecated reductions, lazy modules
@pytest.mark.parametrize(("info", "dtype"), list(cases()))
def test_generated_inputs(info, dtype):
    compared = 0
    for training in (True, False):
        torch.manual_seed(0)
        random.seed(0)
        np.random.seed(0)
        for given in info.module_inputs_func(info, device="cpu", dtype=dtype, requires_grad=True, training=training):
            if given.forward_input is None:
                continue
            try:
                check(info.module_cls, dtype, training, given)
            except Unconvertible:
                continue
            except AssertionError as error:
                if DIFFERS.get(info.module_cls.__name__, "never") not in str(error):
                    raise
            compared += 1
    assert compared


def check(module_class, dtype, training, given):
    """Build a module on both sides, give ours PyTorch's parameters, and compare all that a call shows."""
    build, call = given.constructor_input, given.forward_input
    theirs = module_class(*build.args, **build.kwargs).to(dtype).train(training)
    ours = getattr(tg.nn, module_class.__name__)(*convert(build.args, []), **convert(build.kwargs, []))
    ours.to(DTYPES[dtype]).train(training)
    leaves = []
    args, kwargs = convert(call.args, leaves), convert(call.kwargs, leaves)
    if module_class.__name__.startswith("Lazy"):
        theirs(*call.args, **call.kwargs)
        ours(*args, **kwargs)
    ours.load_state_dict({key: tg.tensor(value.numpy()) for key, value in theirs.state_dict().items()})
    parameters = zip(ours.parameters(), theirs.parameters(), strict=True)
    shapes_alone = training and any(name in module_class.__name__ for name in RANDOM)
    results = flat(ours(*args, **kwargs)), flat(theirs(*call.args, **call.kwargs))
    compare(*results, [*leaves, *parameters], compare_values=not shapes_alone)
    assert repr(ours) == repr(theirs)
    for key, value in theirs.state_dict().items():
        assert_same(ours.state_dict()[key], value, key)
