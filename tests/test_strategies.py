"""The strategies draw what they promise, shrink to something small, and the oracle defines every op."""

import inspect

import numpy as np
import pytest
from hypothesis import find, given, settings, strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.ops import registry
from tinygrad_cnn.testing import Draw, RandomSource, oracle, strategies as cases
from tinygrad_cnn.testing.draw import HypothesisSource
from tinygrad_cnn.testing.layouts import LAYOUTS


# ------------------------------------------------------------------------------------------------- arrays
@given(st.data(), st.sampled_from(["float16", "float32", "float64", "int8", "uint8", "int64", "bool"]))
def test_arrays_have_the_dtype_the_shape_and_the_range(data, dtype):
    array = data.draw(cases.arrays((2, 3), dtype))
    assert (array.dtype.name, array.shape) == (dtype, (2, 3))
    assert array.min() >= (0 if dtype in ("uint8", "bool") else -4)
    assert array.max() <= 4


@given(cases.arrays(away_from=(0.0,), margin=0.1))
def test_arrays_keep_away_from_kinks(array):
    assert (abs(array) >= 0.1).all()
    assert (abs(array) <= 1).all()


@given(cases.arrays(cases.shapes(2, 2), distinct=True), cases.arrays((3, 4), np.int64, low=0, high=1, distinct=True))
def test_distinct_values_are_distinct(floats, integers):
    for array in (floats, integers):
        assert len(np.unique(array)) == array.size
    assert integers.min() >= 0


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (2, 3, 4, 5), (0, 3)], ids=str)
@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_a_layout_keeps_the_values(layout, shape, dtype):
    array = Draw(RandomSource(0)).array(shape, -4, 4).astype(dtype)
    relaid = LAYOUTS[layout](array)
    assert (relaid.shape, relaid.dtype) == (array.shape, array.dtype)
    if layout != "broadcast":
        np.testing.assert_array_equal(relaid, array)
        assert not np.shares_memory(relaid, array) or layout == "contiguous"


def test_layouts_are_what_they_say():
    array = np.arange(120.0).reshape(2, 3, 4, 5)
    strides = {name: tuple(s // 8 for s in layout(array).strides) for name, layout in LAYOUTS.items()}
    assert strides == {
        "contiguous": (60, 20, 5, 1),
        "strided": (120, 40, 10, 2),
        "transposed": (1, 2, 6, 24),
        "channels_last": (60, 1, 15, 3),
        "reversed": (-60, -20, -5, -1),
        "broadcast": (0, 20, 5, 1),
    }


@given(cases.tensors(cases.arrays((2, 3), layout=tuple(LAYOUTS)), requires_grad=True))
def test_tensors_keep_the_layout_and_can_be_differentiated(x):
    (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), 2 * x.detach().numpy())


def test_every_layout_is_drawn():
    for name, stride in [("contiguous", 8), ("strided", 16), ("reversed", -8), ("broadcast", 0)]:
        found = find(cases.arrays((2,), layout=tuple(LAYOUTS)), lambda x, stride=stride: x.strides == (stride,))
        assert found.shape == (2,), name


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cases.arrays(layout="fortran"), "layout expected some of contiguous"),
        (lambda: cases.arrays(layout="broadcast", distinct=True), "not distinct"),
        (lambda: cases.arrays(away_from=[0], distinct=True), "keep away from kinks"),
        (lambda: cases.labels(0), "one class or more"),
        (lambda: cases.indices(0), "size of 1 or more"),
        (lambda: cases.dims(0), "min_size <= 0"),
        (lambda: cases.samples("conv3d"), "'conv3d'"),
    ],
)
def test_what_can_not_be_drawn_is_refused(call, message):
    with pytest.raises(tg.errors.ArgumentError, match=message):
        find(call(), lambda _: True)


# ----------------------------------------------------------------------------------------- shapes, dims, labels
@given(cases.broadcastable_shapes(3))
def test_shapes_broadcast(shapes):
    np.broadcast_shapes(*shapes)


@given(st.data(), st.integers(0, 4))
def test_dims_fit(data, ndim):
    x = tg.zeros([1] * ndim)
    x.sum(data.draw(cases.dim(ndim)))
    dims = data.draw(cases.dims(ndim, min_size=0))
    assert len({d % max(ndim, 1) for d in dims}) == len(dims)
    if dims:
        x.sum(dims)


@given(cases.labels(3, (4,), ignore_index=-100), cases.indices(5, (2, 2), negative=True), cases.masks((3,)))
def test_labels_indices_and_masks(labels, indices, mask):
    assert set(labels.tolist()) <= {-100, 0, 1, 2}
    assert np.isfinite(F.cross_entropy(tg.zeros(4, 3), tg.tensor(labels), ignore_index=-100).item())
    assert (labels.dtype, indices.dtype, mask.dtype) == (np.int64, np.int64, bool)
    assert indices.min() >= -5
    assert indices.max() < 5


def test_some_labels_are_ignored():
    assert -1 in find(cases.labels(3, (4,), ignore_index=-1), lambda x: (x < 0).any())


# ------------------------------------------------------------------------------------------ settings are valid
CALLS = {
    F.conv2d: cases.conv2d_arguments,
    F.conv_transpose2d: cases.conv_transpose2d_arguments,
    F.max_pool2d: cases.max_pool2d_arguments,
    F.avg_pool2d: cases.avg_pool2d_arguments,
}


@pytest.mark.parametrize("function", CALLS, ids=lambda f: f.__name__)
def test_arguments_are_valid(function):
    @given(cases.tensors(CALLS[function](layout=tuple(LAYOUTS) if function in list(CALLS)[:2] else "channels_last")))
    def test(arguments):
        result = function(**arguments)
        assert min(result.shape) >= 1
        assert np.isfinite(result.numpy()).all()  # no window lies in the padding alone

    test()


@pytest.mark.parametrize(
    ("layer", "strategy"),
    [
        (nn.Conv2d, cases.conv2d_settings()),
        (nn.ConvTranspose2d, cases.conv_transpose2d_settings()),
        (nn.MaxPool2d, cases.max_pool2d_settings()),
        (nn.AvgPool2d, cases.avg_pool2d_settings()),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_settings_make_layers(layer, strategy):
    @given(strategy)
    def test(case):
        arguments, shape = case
        layer(**arguments)(tg.zeros(*shape))

    test()


@pytest.mark.parametrize(
    "wanted",
    [
        lambda s, shape: s["groups"] > 1 and s["groups"] == s["in_channels"] < s["out_channels"],  # depthwise, widening
        lambda s, shape: s["groups"] > 1 and s["groups"] < s["in_channels"],
        lambda s, shape: s["stride"][0] != s["stride"][1],
        lambda s, shape: s["dilation"] == (2, 1) and s["kernel_size"][0] > 1,
        lambda s, shape: s["padding"][0] > s["kernel_size"][0] // 2,
        lambda s, shape: (
            (shape[2] + 2 * s["padding"][0] - s["dilation"][0] * (s["kernel_size"][0] - 1) - 1) % s["stride"][0]
        ),  # pixels that no window reaches
    ],
)
def test_the_cases_that_matter_are_drawn(wanted):
    find(cases.conv2d_settings(), lambda case: wanted(*case), settings=settings(max_examples=2000, database=None))


def test_depthwise_can_be_asked_for():
    @given(cases.conv2d_settings(depthwise=True))
    def test(case):
        assert case[0]["groups"] == case[0]["in_channels"]

    test()


# ------------------------------------------------------------------------------------------ shrinking, one source
def smallest(strategy, failing):
    return find(strategy, failing, settings=settings(max_examples=500, database=None))


def test_cases_shrink_to_small_ones():
    case = smallest(cases.conv2d_arguments(), lambda a: a["stride"][1] == 2)
    assert (case["input"].shape, case["weight"].shape, case["stride"]) == ((1, 1, 1, 1), (1, 1, 1, 1), (1, 2))
    assert case["bias"] is None
    assert smallest(cases.shapes(), lambda s: 3 in s) == (3,)


def test_values_shrink_to_short_decimals():
    array = smallest(cases.arrays((2, 2)), lambda x: True)
    assert all(len(repr(abs(v))) <= 5 for v in array.ravel().tolist())
    assert len(np.unique(abs(array))) == 4


@given(cases.samples("conv2d"))
def test_an_ops_own_samples(arguments):
    registry["conv2d"](**arguments)


@given(cases.drawn(lambda draw: draw.window(max_padding=5)), st.data())
def test_a_window_is_valid(window, data):
    w = window
    assert (w.size + 2 * w.padding - w.dilation * (w.kernel - 1) - 1) // w.stride + 1 == w.out
    assert w.size >= 1
    Draw(HypothesisSource(data)).window()  # the other object that a source can be made of


# ------------------------------------------------------------------------------------------------- the oracle
@pytest.mark.parametrize("name", sorted(registry))
def test_the_oracle_defines_every_op(name):
    op, definition = registry[name], getattr(oracle, name)
    assert name in dir(oracle)
    assert definition.__name__ == name
    assert definition.__doc__
    assert tuple(inspect.signature(definition).parameters) == op.parameters
    arguments = op._samples(Draw(RandomSource(1)))
    results = definition(**arguments), op(**arguments)
    ours, theirs = ([np.asarray(r) for r in (x if isinstance(x, tuple | list) else [x])] for x in results)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_the_oracle_takes_defaults_tensors_and_lists():
    x, w = tg.ones(1, 1, 2, 2, dtype=tg.float64), [[[[1.0, 2.0], [3.0, 4.0]]]]
    np.testing.assert_array_equal(oracle.conv2d(x, w), [[[[10.0]]]])
    np.testing.assert_array_equal(oracle.cat([x, x], 3).shape, (1, 1, 2, 4))


def test_the_oracle_refuses_in_words():
    with pytest.raises(AttributeError, match="did you mean conv2d"):
        _ = oracle.conv2dd
    with pytest.raises(AttributeError, match="no op is registered under the name 'einstein'"):
        _ = oracle.einstein
    with pytest.raises(TypeError, match="missing argument 'weight'"):
        oracle.conv2d(np.ones((1, 1, 2, 2)))
    with pytest.raises(tg.errors.ShapeError, match="to have 2 channels"):
        oracle.conv2d(np.ones((1, 1, 2, 2)), np.ones((1, 2, 1, 1)))
