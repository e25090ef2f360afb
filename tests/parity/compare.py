"""Run the same call on PyTorch and here, and compare everything: values, shapes, dtypes, gradients, errors."""

import numpy as np
import pytest

import tinygrad_cnn as tg

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of the parity tests: pip install '.[peers]'")


def to_torch(value, requires_grad=False):
    """A torch tensor of a NumPy array (a leaf that requires grad if asked and floating); else the value itself."""
    if isinstance(value, np.ndarray):
        tensor = torch.from_numpy(value.copy())
        return tensor.requires_grad_() if requires_grad and value.dtype.kind == "f" else tensor
    if isinstance(value, list | tuple) and any(isinstance(v, np.ndarray) for v in value):
        return type(value)(to_torch(v, requires_grad) for v in value)
    return value


def to_ours(value, requires_grad=False):
    """As ``to_torch``, on this library."""
    if isinstance(value, np.ndarray):
        tensor = tg.tensor(value.copy())
        return tensor.requires_grad_() if requires_grad and value.dtype.kind == "f" else tensor
    if isinstance(value, list | tuple) and any(isinstance(v, np.ndarray) for v in value):
        return type(value)(to_ours(v, requires_grad) for v in value)
    return value


def _flat(result):
    if isinstance(result, tuple | list):
        return [leaf for part in result for leaf in _flat(part)]
    return [result]


def compare(call, *inputs, backward=True, rtol=None, atol=None):
    """Assert that ``call(library, *inputs)`` agrees between the libraries; ``library`` is torch or tinygrad_cnn.

    NumPy arrays among the inputs become tensors; floating ones require grad, and their gradients under a random
    upstream are compared as well.
    """
    theirs_in = [to_torch(v, backward) for v in inputs]
    ours_in = [to_ours(v, backward) for v in inputs]
    theirs, ours = _flat(call(torch, *theirs_in)), _flat(call(tg, *ours_in))
    assert len(theirs) == len(ours)
    pairs = list(zip(theirs, ours, strict=True))
    for their, our in pairs:
        assert_same(our, their, rtol, atol)
    if not backward:
        return
    recorded = [(t, o) for t, o in pairs if isinstance(t, torch.Tensor) and t.requires_grad]
    for t, o in pairs:
        if isinstance(t, torch.Tensor):
            assert t.requires_grad == o.requires_grad, "requires_grad differs"
    if not recorded:
        return
    rng = np.random.default_rng(0)
    upstream = [rng.uniform(-1, 1, tuple(t.shape)).astype(t.detach().numpy().dtype) for t, _ in recorded]
    torch.autograd.backward([t for t, _ in recorded], [torch.from_numpy(np.asarray(u)) for u in upstream])
    tg.autograd.backward([o for _, o in recorded], [tg.tensor(np.asarray(u)) for u in upstream])
    for their, our in zip(_flat(theirs_in), _flat(ours_in), strict=True):
        if isinstance(their, torch.Tensor) and their.requires_grad:
            assert (their.grad is None) == (our.grad is None), f"gradient: theirs {their.grad}, ours {our.grad}"
            if their.grad is not None:
                assert_same(our.grad, their.grad, rtol, atol)


def assert_same(our, their, rtol=None, atol=None):
    """Assert equal types, dtypes, shapes and (nearly) values of one result."""
    if not isinstance(their, torch.Tensor):
        assert our == their or (our != our and their != their), f"ours {our!r}, theirs {their!r}"
        return
    assert isinstance(our, tg.Tensor), f"expected a Tensor, got {type(our)}"
    assert str(our.dtype) == str(their.dtype), f"dtype: ours {our.dtype}, theirs {their.dtype}"
    assert tuple(our.shape) == tuple(their.shape), f"shape: ours {tuple(our.shape)}, theirs {tuple(their.shape)}"
    wide = their.dtype == torch.float64
    np.testing.assert_allclose(
        our.detach().numpy(),
        their.detach().numpy(),
        rtol=rtol if rtol is not None else (1e-6 if wide else 1e-4),
        atol=atol if atol is not None else (1e-8 if wide else 1e-5),
    )


def compare_error(call, *inputs):
    """Assert that both libraries refuse the call, ours with a subclass of the type that PyTorch raises."""
    with pytest.raises(Exception) as theirs:
        call(torch, *[to_torch(v) for v in inputs])
    with pytest.raises(theirs.type) as ours:
        call(tg, *[to_ours(v) for v in inputs])
    assert isinstance(ours.value, tg.errors.TinygradError), f"not one of the library's own errors: {ours.value!r}"
