"""Bad input gives one error of the library's own, of the type that PyTorch raises, that says what to do.

The type is written down here, so that this holds without PyTorch; ``tests/parity`` compares it with PyTorch itself.
Damaged IDX files are in ``test_datasets.py``, damaged checkpoints in ``test_serialization_hostile.py``.
"""

import inspect
import math
import pickle

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import TinygradError

F = nn.functional
IMAGES, SCORES = tg.ones(2, 3, 8, 8), tg.ones(2, 3)


def backward_twice():
    w = tg.ones(2, requires_grad=True)
    loss = (w * w).sum()
    loss.backward()
    loss.backward()


def backward_of_no_grad():
    w = tg.ones(1, requires_grad=True)
    with tg.no_grad():
        loss = (w * w).sum()
    loss.backward()


CASES = {
    "channels": (lambda: nn.Conv2d(4, 5, 3)(IMAGES), RuntimeError, "in_channels=3"),
    "channels of batch norm": (lambda: nn.BatchNorm2d(4)(IMAGES), RuntimeError, "not 4"),
    "kernel": (lambda: F.conv2d(IMAGES, tg.ones(4, 3, 11, 11)), RuntimeError, "pad the input"),
    "pooling window": (lambda: F.max_pool2d(IMAGES, 9), RuntimeError, "must fit the padded input"),
    "stride": (lambda: F.conv2d(IMAGES, tg.ones(4, 3, 3, 3), stride=0), RuntimeError, "greater than zero"),
    "groups": (lambda: nn.Conv2d(3, 4, 3, groups=2), ValueError, "divisible by groups"),
    "dtypes": (lambda: F.conv2d(IMAGES, tg.ones(4, 3, 3, 3, dtype=tg.float64)), RuntimeError, "convert one"),
    "features": (lambda: nn.Linear(100, 3)(tg.ones(2, 192)), RuntimeError, "in_features=192"),
    "negative size": (lambda: nn.Linear(-1, 3), RuntimeError, "negative dimension"),
    "dimensions": (lambda: nn.BatchNorm2d(3)(SCORES), ValueError, "BatchNorm2d expected 4D input"),
    "one value a channel": (lambda: nn.BatchNorm2d(3)(tg.ones(1, 3, 1, 1)), ValueError, "larger batch"),
    "broadcasting": (lambda: SCORES + tg.ones(2, 4), RuntimeError, "non-singleton dimension 1"),
    "product": (lambda: SCORES @ SCORES, RuntimeError, "2x3 and 2x3"),
    "reshape": (lambda: IMAGES.reshape(5, 5), RuntimeError, "invalid for input of size 384"),
    "index": (lambda: IMAGES[5], IndexError, "out of bounds for dimension 0 with size 2"),
    "label": (lambda: F.cross_entropy(SCORES, tg.tensor([0, 3])), IndexError, "There are 3 classes"),
    "negative label": (lambda: F.cross_entropy(SCORES, tg.tensor([0, -1])), IndexError, "There are 3 classes"),
    "NaN label": (lambda: F.cross_entropy(SCORES, tg.tensor([0.0, float("nan")])), RuntimeError, "convert with .long"),
    "number of labels": (lambda: F.cross_entropy(SCORES, tg.tensor([0])), ValueError, "batch_size"),
    "no Tensor": (lambda: F.conv2d([1], tg.ones(1, 1, 1, 1)), TypeError, "must be Tensor, not list"),
    "ragged list": (lambda: tg.tensor([[1, 2], [3]]), ValueError, "expected sequence of length 2"),
    "gradient of integers": (lambda: tg.tensor([1], requires_grad=True), RuntimeError, "convert with .float"),
    "backward of no scalar": (lambda: nn.Linear(3, 2)(SCORES).backward(), RuntimeError, "reduce it first"),
    "backward of a plain leaf": (lambda: tg.ones(1).backward(), RuntimeError, "Set requires_grad=True"),
    "backward of a no_grad result": (backward_of_no_grad, RuntimeError, "no_grad"),
    "backward twice": (backward_twice, RuntimeError, "retain_graph=True"),
    "overwritten leaf": (lambda: tg.ones(2, requires_grad=True).add_(1), RuntimeError, "no_grad"),
    "learning rate": (lambda: tg.optim.Adam([tg.ones(1, requires_grad=True)], lr=-1), ValueError, "learning rate"),
    "dropout": (lambda: nn.Dropout(1.5), ValueError, "between 0 and 1"),
}


@pytest.mark.parametrize("case", CASES)
def test_one_clear_error(case):
    call, kind, advice = CASES[case]
    with pytest.raises(kind, match=advice) as caught:
        call()
    assert isinstance(caught.value, TinygradError)


# ------------------------------------------------------------------- what Python or NumPy raise inside a function
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda x: F.batch_norm(None, x, x),
            TypeError,
            r"batch_norm\(\): argument 'input' must be Tensor, not None",
        ),
        (lambda x: F.linear(x, [1.0]), TypeError, r"linear\(\): argument 'weight' must be Tensor, not list"),
        (lambda x: F.linear(None, None), TypeError, "argument 'input' or 'weight' must be Tensor, not NoneType"),
        (lambda x: F.linear("x", x), TypeError, r"linear\(\): argument 'input' must be Tensor, not str"),
        (lambda x: tg.sum(3), TypeError, r"sum\(\): argument 'input' must be Tensor, not int"),
        (lambda x: x.outer(2), TypeError, r"outer\(\): argument 'vec2' must be Tensor, not int"),
        (lambda x: tg.linalg.norm("x"), TypeError, "linalg.norm"),
        (lambda x: F.gumbel_softmax(x, {}), TypeError, r"gumbel_softmax\(\): .*; got logits Tensor \(2, 3\), tau dict"),
        (lambda x: tg.rot90(x, 1, None), TypeError, r"rot90\(\): .*; got input Tensor \(2, 3\), k 1, dims None"),
        (lambda x: tg.full((2,), (1, 2, 3)), RuntimeError, r"full\(\): .*; got size \(2,\), fill_value \(1, 2, 3\)"),
        (lambda x: tg.randint(math.nan, (2,)), ValueError, r"randint\(\): .*; got low nan"),
        (lambda x: F.batch_norm(), TypeError, r"^batch_norm\(\) missing 3 required .*; got $"),
        (lambda x: F.batch_norm(x, *[x] * 9), TypeError, r"^batch_norm\(\) takes .*; got argument 1 Tensor \(2, 3\), "),
        (
            lambda x: F.batch_norm(x, x[0], x[0], tg.ones(1)),
            RuntimeError,
            "weight expected one element for each",
        ),
        (
            lambda x: F.instance_norm(x, None, None, None, tg.ones(4)),
            RuntimeError,
            "bias expected one element",
        ),
        (
            lambda x: tg.ones(2, 2, 3) @ tg.ones(3, 3, 2),
            RuntimeError,
            r"can't be broadcast.*\(2,\) and \(3,\)",
        ),
    ],
)
def test_the_error_names_the_function_and_what_it_was_given(call, error, message):
    with pytest.raises(error, match=message) as caught:
        call(tg.ones(2, 3))
    assert isinstance(caught.value, TinygradError)


def test_errors_of_functions_that_are_passed_in_are_their_own():
    x = tg.ones(2, 3)
    with pytest.raises(AttributeError, match="nothing") as caught:
        F.triplet_margin_with_distance_loss(x, x, x, distance_function=lambda a, b: a.nothing)
    assert not isinstance(caught.value, TinygradError)


@pytest.mark.parametrize("function", [F.relu, F.batch_norm, tg.meshgrid, tg.linalg.norm, tg.softmax, tg.conv2d])
def test_functions_survive_pickling_and_keep_their_signatures(function):
    assert pickle.loads(pickle.dumps(function)) is function
    assert "args" not in inspect.signature(function).parameters or function is tg.meshgrid
