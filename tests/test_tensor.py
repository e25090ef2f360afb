"""Tensors by themselves: data in and out, copies, text. PyTorch's answers to the same are in tests/parity."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_cnn as tg


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1.5, tg.float32, ()),
        ([1, 2], tg.int64, (2,)),
        ([True], tg.bool, (1,)),
        ([1, 2.5], tg.float32, (2,)),
        ([[1], [2]], tg.int64, (2, 1)),
        ([], tg.float32, (0,)),
        (np.ones((2, 3)), tg.float64, (2, 3)),
        (np.float64(1), tg.float64, ()),
        ([np.float16(1)], tg.float16, (1,)),
        (range(3), tg.int64, (3,)),
    ],
)
def test_dtype_and_shape_of_data(data, dtype, shape):
    x = tg.tensor(data)
    assert (x.dtype, tuple(x.shape)) == (dtype, shape)


def test_tensor_copies_its_data():
    array = np.zeros(2)
    x = tg.tensor(array)
    y = tg.tensor(x.detach())
    array[0] = 1
    x[1] = 2
    assert x.tolist() == [0, 2]
    assert y.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        ([[1, 2], [3]], ValueError, r"expected sequence of length 2 at dim 1 \(got 1\)"),
        ([[1, 2], 3], TypeError, "not a sequence"),
        ("text", TypeError, "'str'"),
        (["text"], ValueError, "too many dimensions"),
        ([None], RuntimeError, "infer dtype of NoneType"),
        ([tg.ones(2)], ValueError, "use stack"),
        (2**64, ValueError, "overflow"),
        (np.array(["a"]), TypeError, "expected one of"),
    ],
)
def test_refused_data(data, kind, words):
    with pytest.raises(kind, match=words) as caught:
        tg.tensor(data)
    assert isinstance(caught.value, tg.errors.TinygradError)


def test_default_dtype():
    tg.set_default_dtype(tg.float64)
    try:
        assert tg.tensor(1.0).dtype is tg.zeros(1).dtype is tg.rand(1).dtype is tg.arange(1.0).dtype is tg.float64
        assert repr(tg.tensor(1.0)) == "tensor(1.)"
    finally:
        tg.set_default_dtype(tg.float32)
    assert tg.tensor(1.0).dtype is tg.float32


def test_arguments_that_mean_nothing_here_are_refused():
    for call in (
        lambda: tg.zeros(2, device="cuda"),
        lambda: tg.tensor([1.0], device="cuda:1"),
        lambda: tg.as_tensor([1.0], device=tg.device("mps")),
        lambda: tg.ones(2).to(tg.device("cuda", 1)),
        lambda: tg.nn.ReLU().to(tg.device("cuda")),
        lambda: tg.Generator("cuda"),
        lambda: tg.device("gpu"),
        lambda: tg.device("cuda:x"),
        lambda: tg.device("meta").__enter__(),
    ):
        with pytest.raises(RuntimeError, match="expected 'cpu'"):
            call()
    for call in (
        lambda: tg.zeros(2, layout="sparse"),
        lambda: tg.rand(2, pin_memory=True),
        lambda: tg.ones(2, shape=3),
    ):
        with pytest.raises(TypeError, match="unexpected keyword"):
            call()
    assert tg.zeros(2, pin_memory=False, layout=None).shape == (2,)


def test_copies_are_leaves_with_memory_of_their_own():
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    x.note = "mine"
    for y in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert y.requires_grad
        assert y.is_leaf
        assert y.note == "mine"
        y.data[0] = 5
        assert x.tolist() == [1, 2]
    with pytest.raises(RuntimeError, match="detach"):
        copy.deepcopy(x * 2)


def test_gradient_assigned_by_hand_must_fit():
    x = tg.ones(2, requires_grad=True)
    x.grad = tg.tensor([1.0, 2.0])
    for wrong, kind in ((tg.ones(3), RuntimeError), (tg.ones(2, dtype=tg.float64), RuntimeError), (3, TypeError)):
        with pytest.raises(kind, match="grad"):
            x.grad = wrong
    del x.grad
    assert x.grad is None


def test_text_is_limited_in_size():
    text = repr(tg.zeros(1000, 1000))
    assert text.count("\n") == 6
    assert "..." in text
    assert len(repr(tg.zeros(100_000))) < 80
    with tg.printoptions(threshold=3, edgeitems=1):
        assert repr(tg.arange(9)) == "tensor([0,  ..., 8])"
    assert tg.get_printoptions()["edgeitems"] == 3
    with pytest.raises(ValueError, match="profile"):
        tg.set_printoptions(profile="long")


def test_formats():
    loss = tg.tensor(0.12345, requires_grad=True)
    assert f"{loss:.2f} {loss.item():.3f}" == "0.12 0.123"
    with pytest.raises(TypeError, match="format"):
        format(tg.ones(2), ".2f")


def test_limits():
    assert tg.finfo(tg.float32).max == np.finfo(np.float32).max
    assert tg.iinfo("int16").min == -(2**15)
    with pytest.raises(TypeError, match="iinfo"):
        tg.finfo(tg.int64)


def test_numpy_reads_tensors():
    x = tg.tensor([1.0, 4.0])
    assert np.asarray(x) is not None
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert np.sqrt(x.numpy()).tolist() == [1, 2]
    assert np.from_dlpack(x).tolist() == [1, 4]
