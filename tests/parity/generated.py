"""PyTorch's own generated samples, converted and run on both libraries.

``torch.testing._internal`` holds, for every op, a generator of sample inputs (shapes, dims, dtypes, keywords) that
PyTorch tests itself with. They need the package ``expecttest``.
"""

import functools
import warnings

import numpy as np
import pytest

import tinygrad_cnn as tg

torch = pytest.importorskip("torch", reason="PyTorch is the oracle of the parity tests: pip install '.[peers]'")
pytest.importorskip("expecttest", reason="PyTorch's generated samples need expecttest: pip install '.[peers]'")

DTYPES = {
    getattr(torch, name): getattr(tg, name)
    for name in ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
}


@functools.cache
def op_infos():
    """PyTorch's descriptions of its ops, by full name (``nn.functional.conv2d``, ``sum``, ...)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db

    infos = {}
    for info in op_db:
        infos.setdefault(info.name, []).append(info)
    return infos


class Unconvertible(Exception):
    """A sample uses what this library doesn't have: a complex or sparse tensor, another device, ..."""


def convert(value, leaves):
    """A torch value as ours. ``leaves`` collects pairs of tensors that require grad, ours first."""
    if isinstance(value, torch.Tensor):
        for known, theirs in leaves:
            if theirs is value:
                return known
        if value.layout != torch.strided or value.dtype not in DTYPES:
            raise Unconvertible(f"{value.layout} {value.dtype}")
        array = value.detach().resolve_neg().numpy()
        if array.strides != np.empty(array.shape, array.dtype).strides and array.size:
            ours = tg.from_numpy(array)  # keeps PyTorch's strides, expanded dimensions included
        else:
            ours = tg.from_numpy(array.copy())
        if value.requires_grad:
            ours.requires_grad_()
            leaves.append((ours, value))
        return ours
    if isinstance(value, torch.dtype):
        if value not in DTYPES:
            raise Unconvertible(str(value))
        return DTYPES[value]
    if isinstance(value, torch.Size):
        return tg.Size(value)
    if isinstance(value, torch.device):
        return tg.device("cpu")
    if isinstance(value, torch.Generator | torch.memory_format | torch.layout) or (
        callable(value) and not isinstance(value, type)
    ):
        raise Unconvertible(repr(value))
    if isinstance(value, complex):
        raise Unconvertible("complex")
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(convert(v, leaves) for v in value))
    if isinstance(value, list | tuple):
        return type(value)(convert(v, leaves) for v in value)
    if isinstance(value, dict):
        return {k: convert(v, leaves) for k, v in value.items()}
    return value


# Samples whose arguments PyTorch's own wrapper rearranges, or that call a method or property of the tensor.
ADAPTED = {
    "einsum": lambda operands, equation: tg.einsum(equation, *operands),
    "where": lambda x, condition, other: tg.where(condition, x, other),
    "nn.functional.embedding": lambda weight, index, **options: tg.nn.functional.embedding(index, weight, **options),
    **{name: (lambda x, name=name: getattr(x, name)) for name in ("T", "H", "mT", "mH")},
    **{
        name: (lambda x, name=name, **options: getattr(x, name)(**options))
        for name in ("bool", "double", "float", "half", "int", "long", "short", "zero_")
    },
}


def resolve(name):
    """Our function of this name, or None."""
    if name in ADAPTED:
        return ADAPTED[name]
    found = tg
    for part in name.split("."):
        found = getattr(found, part, None)
        if found is None:
            break
    if found is None and hasattr(tg.Tensor, name):
        return lambda x, *args, **options: getattr(x, name)(*args, **options)
    return found


def flat(value):
    """The tensors and numbers in a result, in order."""
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in flat(part)]
    return [value]


def tolerances(dtype):
    """Relative and absolute tolerance for a dtype."""
    return {torch.float64: (1e-6, 1e-8), torch.float32: (1e-4, 1e-5), torch.float16: (2e-2, 1e-2)}.get(dtype, (0, 0))


def assert_same(ours, theirs, what):
    """One result or gradient: type, dtype, shape, values."""
    if not isinstance(theirs, torch.Tensor):
        if isinstance(theirs, torch.Size):
            assert tuple(ours) == tuple(theirs), what
        elif isinstance(theirs, torch.dtype):
            assert str(ours) == str(theirs), what
        else:
            assert type(ours) is type(theirs), f"{what}: {type(ours)} for {type(theirs)}"
            assert ours == theirs or ours != ours, f"{what}: ours {ours!r}, theirs {theirs!r}"
        return
    assert isinstance(ours, tg.Tensor), f"{what}: expected a Tensor, got {type(ours)}"
    assert str(ours.dtype) == str(theirs.dtype), f"{what}: dtype ours {ours.dtype}, theirs {theirs.dtype}"
    assert tuple(ours.shape) == tuple(theirs.shape), f"{what}: shape ours {ours.shape}, theirs {theirs.shape}"
    rtol, atol = tolerances(theirs.dtype)
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().resolve_neg().numpy(), rtol=rtol, atol=atol, err_msg=what
    )


def check_sample(function, ours_function, sample, compare_values=True):
    """Run one sample on both libraries; compare results and gradients of first and, in float64, second order."""
    leaves = []
    ours_input, ours_args, ours_kwargs = (convert(v, leaves) for v in (sample.input, sample.args, sample.kwargs))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = flat(function(sample.input, *sample.args, **sample.kwargs))
        ours = flat(ours_function(ours_input, *ours_args, **ours_kwargs))
    compare(ours, theirs, leaves, compare_values)


def compare(ours, theirs, leaves, compare_values=True):
    """Assert that results are the same (types, dtypes, shapes, values), and their gradients in the leaves."""
    assert len(ours) == len(theirs), f"{len(ours)} results for {len(theirs)}"
    if not compare_values:
        for o, t in zip(ours, theirs, strict=True):
            assert tuple(o.shape) == tuple(t.shape)
            assert str(o.dtype) == str(t.dtype)
        return
    for o, t in zip(ours, theirs, strict=True):
        assert_same(o, t, "result")
        if isinstance(t, torch.Tensor):
            assert o.requires_grad == t.requires_grad, (
                f"requires_grad: ours {o.requires_grad}, theirs {t.requires_grad}"
            )
    compare_gradients(ours, theirs, leaves)


def compare_gradients(ours, theirs, leaves, order=1):
    """Assert that the gradients of ``order`` (and 2, in float64) in the leaves are the same for a random upstream."""
    recorded = [(o, t) for o, t in zip(ours, theirs, strict=True) if isinstance(t, torch.Tensor) and t.requires_grad]
    if not recorded or not leaves:
        return
    deeper = order == 1 and all(t.dtype == torch.float64 for _, t in (*recorded, *leaves))
    rng = np.random.default_rng(order)
    upstream = [
        (tg.tensor(u, dtype=o.dtype).requires_grad_(), torch.from_numpy(u).to(t.dtype).requires_grad_())
        for o, t in recorded
        for u in [np.asarray(rng.uniform(-1, 1, tuple(t.shape)))]
    ]

    def gradients(library, side):
        outputs, inputs, weights = ([pair[side] for pair in pairs] for pairs in (recorded, leaves, upstream))
        return library.autograd.grad(outputs, inputs, weights, create_graph=deeper, allow_unused=True)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = gradients(torch, 1)
    except (RuntimeError, NotImplementedError):
        return  # PyTorch has no derivative there
    ours = gradients(tg, 0)
    for i, (o, t) in enumerate(zip(ours, theirs, strict=True)):
        what = f"gradient {i}" if order == 1 else f"second gradient {i}"
        if t is None or o is None or t._is_zerotensor():
            zero = o if t is None or t._is_zerotensor() else t
            assert zero is None or not np.any(zero.detach().numpy()), f"{what}: ours {o}, theirs {t}"
        else:
            assert_same(o, t, what)
    if deeper:
        both = [(o, t) for o, t in zip(ours, theirs, strict=True) if o is not None and t is not None]
        both = [(o, t) for o, t in both if o.requires_grad]
        compare_gradients([o for o, _ in both], [t for _, t in both], [*leaves, *upstream], order=2)
