"""What every Tensor has of its own: conversion to Python, flags of the graph, copies, text in f-strings."""

import copy
import io
import pickle

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import compare, torch


def agree(call):
    """The same result, or the same kind of refusal, which is one of the library's own errors."""
    try:
        theirs = call(torch)
    except Exception as error:
        with pytest.raises(RuntimeError if isinstance(error, NotImplementedError) else type(error)) as ours:
            call(tg)
        own = isinstance(ours.value, tg.errors.TinygradError)
        assert own or type(ours.value) in (AttributeError, TypeError), repr(ours.value)  # or Python's
        return
    if isinstance(theirs, torch.Tensor | tuple | list) and not isinstance(theirs, torch.Size):
        compare(call)
    else:
        ours = call(tg)
        assert repr(ours) == repr(theirs)
        assert type(ours).__name__ == type(theirs).__name__


def leaf(T, *shape):
    return T.ones(*shape, requires_grad=True)


CALLS = [
    # numbers
    lambda T: T.tensor(3).item(),
    lambda T: T.tensor([[2.5]]).item(),
    lambda T: T.tensor(True).item(),
    lambda T: T.ones(2).item(),
    lambda T: T.ones(0).item(),
    lambda T: T.tensor([[1, 2], [3, 4]]).tolist(),
    lambda T: T.tensor(1.5).tolist(),
    lambda T: T.tensor([True]).tolist(),
    lambda T: T.zeros(2, 0).tolist(),
    lambda T: leaf(T, 2).tolist(),
    lambda T: float(T.tensor([2])),
    lambda T: int(T.tensor(2.9)),
    lambda T: int(T.tensor([True])),
    lambda T: float(T.ones(2)),
    lambda T: int(T.ones(0)),
    lambda T: complex(T.tensor(2.0)),
    lambda T: float(leaf(T)),
    lambda T: [10, 20, 30][T.tensor(1)],
    lambda T: [10, 20, 30][T.tensor(1.0)],
    lambda T: list(range(T.tensor(3))),
    lambda T: round(T.tensor(2.567), 1),
    lambda T: bool(T.tensor([0.0])),
    lambda T: bool(T.tensor(3)),
    lambda T: bool(T.ones(2)),
    lambda T: bool(T.ones(0)),
    lambda T: not T.tensor(0),
    lambda T: len(T.ones(3, 2)),
    lambda T: len(T.ones(0, 2)),
    lambda T: len(T.tensor(1)),
    lambda T: [x.item() for x in T.tensor([1, 2])],
    lambda T: list(T.ones(2, 3)),
    lambda T: list(T.tensor(1)),
    lambda T: list(leaf(T, 2, 3)),
    lambda T: 2 in T.tensor([1, 2]),
    lambda T: 5 in T.tensor([1, 2]),
    lambda T: T.tensor(2.0) in T.tensor([1.0, 2.0]),
    lambda T: "a" in T.tensor([1, 2]),
    # text
    lambda T: f"{T.tensor(3.14159):.3f}",
    lambda T: f"{T.tensor(3):05d}",
    lambda T: f"{T.tensor(3.5)}",
    lambda T: f"{T.tensor(3)}",
    lambda T: f"{T.tensor([3.5])}",
    lambda T: f"{T.tensor([3.5]):.2f}",
    lambda T: f"{leaf(T):.1f}",
    lambda T: f"{leaf(T)}",
    lambda T: f"{T.tensor(True)}",
    lambda T: str(T.ones(2)),
    # shape and type
    lambda T: T.ones(2, 3).shape,
    lambda T: T.ones(2, 3).size(),
    lambda T: T.ones(2, 3).size(1),
    lambda T: T.ones(2, 3).size(-1),
    lambda T: T.ones(2, 3).size(dim=0),
    lambda T: T.ones(2, 3).size(2),
    lambda T: T.tensor(1).size(0),
    lambda T: T.tensor(1).shape,
    lambda T: T.ones(2, 3).shape[1:],
    lambda T: T.ones(2, 3).shape + (1,),  # noqa: RUF005  # the operator is what is tested
    lambda T: T.ones(2, 3).shape.numel(),
    lambda T: T.ones(2, 3).shape == (2, 3),
    lambda T: T.Size([2, 3]),
    lambda T: T.ones(2, 3).numel(),
    lambda T: T.ones(2, 3).nelement(),
    lambda T: T.ones(2, 3).dim(),
    lambda T: T.ones(2, 3).ndim,
    lambda T: T.ones(2, 3).ndimension(),
    lambda T: T.ones(2).dtype,
    lambda T: T.ones(2).device,
    lambda T: str(T.ones(2).device),
    lambda T: T.ones(2).device.type,
    lambda T: T.ones(2).element_size(),
    lambda T: T.ones(2).nbytes,
    lambda T: T.ones(2).itemsize,
    lambda T: T.ones(2).is_floating_point(),
    lambda T: T.ones(2).is_complex(),
    lambda T: T.ones(2, dtype=T.int8).is_signed(),
    lambda T: T.ones(2).is_cuda,
    lambda T: T.ones(2).is_sparse,
    lambda T: T.ones(2).is_contiguous(),
    lambda T: T.ones(2, 3).stride(),
    lambda T: T.ones(2, 3).t().is_contiguous(),
    lambda T: T.is_tensor(T.ones(1)),
    lambda T: T.ones(2).is_same_size(T.zeros(2)),
    # the graph's flags
    lambda T: (T.ones(2).requires_grad, T.ones(2).is_leaf, T.ones(2).grad, T.ones(2).grad_fn),
    lambda T: (leaf(T, 2).requires_grad, leaf(T, 2).is_leaf, leaf(T, 2).grad_fn),
    lambda T: ((leaf(T, 2) * 2).requires_grad, (leaf(T, 2) * 2).is_leaf),
    lambda T: type((leaf(T, 2) * 2).grad_fn).__name__ and (leaf(T, 2) * 2).grad_fn.name(),
    lambda T: (leaf(T, 2) > 0).requires_grad,
    lambda T: leaf(T, 2).long().requires_grad,
    lambda T: leaf(T, 2).detach().requires_grad,
    lambda T: leaf(T, 2).data.requires_grad,
    lambda T: T.ones(2).requires_grad_().requires_grad,
    lambda T: T.ones(2, dtype=T.int64).requires_grad_(),
    lambda T: T.ones(2, dtype=T.int64).requires_grad_(False).requires_grad,
    lambda T: (leaf(T, 2) * 2).requires_grad_(False),
    lambda T: (leaf(T, 2) * 2).requires_grad_(True).requires_grad,
    lambda T: setattr(leaf(T, 2) * 2, "requires_grad", False),
    lambda T: setattr(T.ones(2, dtype=T.int64), "requires_grad", True),
    lambda T: leaf(T, 2).numpy(),
    lambda T: leaf(T, 2).detach().numpy(),
    lambda T: leaf(T, 2).numpy(force=True),
    lambda T: np.asarray(T.ones(2)),
    lambda T: np.asarray(leaf(T, 2)),
    lambda T: np.asarray(T.tensor([1, 2]), dtype=np.float32).dtype.name,
    lambda T: np.mean(T.tensor([1.0, 3.0]).numpy()),
    lambda T: T.ones(2).retain_grad(),
    lambda T: leaf(T, 2).retain_grad(),
    lambda T: leaf(T, 2).retains_grad,
    lambda T: (leaf(T, 2) * 2).output_nr,
    lambda T: T.ones(2).backward(),
    lambda T: leaf(T, 2).backward(),
    lambda T: leaf(T).backward(),
    lambda T: leaf(T, 2).backward(T.ones(3)),
    lambda T: leaf(T, 2).backward(T.ones(2)),
    lambda T: T.ones(2).register_hook(print),
    lambda T: setattr(leaf(T, 2), "grad", T.ones(2)),
    lambda T: setattr(leaf(T, 2), "grad", T.ones(3)),
    lambda T: setattr(leaf(T, 2), "grad", T.ones(2, dtype=T.float64)),
    lambda T: setattr(leaf(T, 2), "grad", 3),
    lambda T: setattr(leaf(T, 2), "grad", None),
    lambda T: setattr(leaf(T, 2), "data", T.ones(3)),
    lambda T: setattr(leaf(T, 2), "data", 3),
    lambda T: setattr(leaf(T, 2), "shape", 3),
    lambda T: setattr(leaf(T, 2), "dtype", 3),
    lambda T: leaf(T, 2).is_inference(),
    lambda T: T.ones(2)._version,
    lambda T: T.ones(2).add_(1)._version,
    # copies
    lambda T: copy.deepcopy(leaf(T, 2)),
    lambda T: copy.deepcopy(T.arange(3)),
    lambda T: copy.deepcopy(leaf(T, 2) * 2),
    lambda T: copy.copy(T.arange(3)),
    lambda T: pickle.loads(pickle.dumps(leaf(T, 2))),
    lambda T: pickle.loads(pickle.dumps(T.arange(3))),
    lambda T: pickle.loads(pickle.dumps(T.ones(2).dtype)),
    lambda T: pickle.loads(pickle.dumps(T.ones(2, 3).shape)),
    lambda T: pickle.loads(pickle.dumps(T.device("cpu"))),
    lambda T: leaf(T, 2).clone(),
    lambda T: [hash(a) == hash(b) for pair in [[T.ones(2), T.ones(2)]] for a in pair for b in pair],
    lambda T: len({T.ones(2), T.ones(2)}),
    lambda T: T.Tensor(2, 3).shape,
    lambda T: T.Tensor([1, 2]),
    lambda T: T.Tensor([[1, 2], [3, 4]]).dtype,
    lambda T: T.Tensor().shape,
    lambda T: T.Tensor(T.ones(2)),
    lambda T: isinstance(T.ones(2), T.Tensor),
    lambda T: T.ones(2) == None,  # noqa: E711  # what comes of it is the point
    lambda T: T.ones(2) != "a",
    lambda T: T.ones(2).undefined_name,
    lambda T: str(T.float32) + str(T.int64) + str(T.bool),
    lambda T: T.float32.is_floating_point,
    lambda T: T.int8.itemsize,
    lambda T: T.float32 == T.float,
    lambda T: T.device("cpu"),
    lambda T: T.device("cpu") == T.ones(2).device,
    lambda T: T.device("nonsense"),
    lambda T: T.get_default_dtype(),
    lambda T: T.set_default_dtype(T.int64),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_basics(call):
    agree(call)


@pytest.mark.parametrize("library", [torch, tg], ids=["torch", "ours"])
class TestBoth:
    """The same statements hold in both libraries."""

    def test_memory_is_shared(self, library):
        x = library.ones(2)
        x.numpy()[0] = 5
        x.detach()[1] = 6
        assert x.tolist() == [5, 6]
        array = np.zeros(2)
        shared = library.from_numpy(array)
        array[0] = 1
        assert shared.tolist() == [1, 0]
        assert library.as_tensor(array).numpy() is not None
        copied = library.tensor(array)
        array[1] = 9
        assert copied.tolist() == [1, 0]

    def test_data(self, library):
        x = leaf(library, 2)
        x.data[0] = 3
        x.data = x.data * 2
        assert x.is_leaf
        assert x.requires_grad
        assert x.tolist() == [6, 2]

    def test_deepcopy_keeps_grad_and_identity(self, library):
        x = leaf(library, 2)
        (x * x).sum().backward()
        y, z = copy.deepcopy([x, x])
        assert y is z
        assert y is not x
        assert y.grad.tolist() == [2, 2]
        assert y.grad is not x.grad
        y.data[0] = 7
        assert x[0].item() == 1

    def test_save_and_load(self, library):
        buffer = io.BytesIO()
        pickle.dump({"x": leaf(library, 2)}, buffer)
        buffer.seek(0)
        x = pickle.load(buffer)["x"]
        assert x.requires_grad
        assert x.tolist() == [1, 1]

    def test_attributes_of_the_user(self, library):
        x = library.ones(2)
        x.note = "mine"
        assert copy.deepcopy(x).note == "mine"

    def test_grad_is_replaced_and_cleared(self, library):
        x = leaf(library, 2)
        x.grad = library.tensor([1.0, 2.0])
        (x * 2).sum().backward()
        assert x.grad.tolist() == [3, 4]
        x.grad.zero_()
        assert x.grad.tolist() == [0, 0]
        x.grad = None
        assert x.grad is None
        del x.grad
        assert x.grad is None

    def test_random_fills_are_seen_by_views_and_by_backward(self, library):
        x = library.zeros(2, 3)
        row = x[0]
        row.fill_(2)
        assert x.sum().item() == 6
        w = library.ones(2, requires_grad=True)
        y = w * w
        with library.no_grad():
            w.uniform_(3, 3)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.sum().backward()

    def test_fill_of_a_computed_value_stops_its_gradient(self, library):
        x = leaf(library, 3)
        y = x * 2
        y[:2].zero_()
        y.sum().backward()
        assert x.grad.tolist() == [0, 0, 2]

    def test_value_filled_in_gets_the_gradient(self, library):
        v = library.tensor(2.0, requires_grad=True)
        y = library.ones(3) * 1
        y.fill_(v)
        y.sum().backward()
        assert v.grad.item() == 3
