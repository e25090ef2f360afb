"""The kernels of convolutions against their plain definition, and the rule that chooses between them."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import threadpoolctl
from hypothesis import given, strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn import backends
from tinygrad_cnn.kernels import choice, conv, parallel, product, winograd
from tinygrad_cnn.kernels.columns import Geometry
from tinygrad_cnn.kernels.windows import col2im, im2col, reach

ALWAYS = backends.Rule(winograd_below=float("inf"))
NEVER = backends.Rule(winograd=False, widen_below=0)


@pytest.fixture(autouse=True)
def rule_as_before():
    before = backends.rule()
    backends.use(backends.Rule())  # the rule in force depends on the BLAS library
    yield
    backends.use(before)


def plain(x, w, g, *settings):
    """The convolution and its gradients as products with the columns of the whole batch, in float64."""
    x, w, g = (a.astype(np.float64) for a in (x, w, g))
    n, f, settings = len(x), len(w), (w.shape[2:], *settings)
    columns = im2col(x, *settings)
    out = (w.reshape(f, -1) @ columns).reshape(n, f, *g.shape[2:])
    upstream = g.reshape(n, f, -1)
    x_grad = col2im(w.reshape(f, -1).T @ upstream, x.shape[2:], *settings)
    return out, x_grad, np.einsum("nfp,nkp->fk", upstream, columns).reshape(w.shape)


def kernels(x, w, g, *settings):
    return (
        conv.conv2d(x, w, None, *settings, 1),
        conv.conv2d_input_grad(g, w, None, x.shape[2:], *settings, 1),
        conv.conv2d_weight_grad(g, x, w.shape[2:], *settings, 1),
    )


SIZES = st.tuples(st.integers(1, 5), st.integers(1, 5))
STEPS = st.tuples(st.integers(1, 3), st.integers(1, 3))
ONES = st.just((1, 1))


@st.composite
def convolutions(draw, kernels=SIZES, strides=ONES, dilations=ONES):
    """Images, filters, upstream, stride, padding and dilation."""
    (kh, kw), stride, dilation = draw(kernels), draw(strides), draw(dilations)
    n, c, f = draw(st.integers(1, 5)), draw(st.sampled_from([1, 3, 6, 16])), draw(st.sampled_from([1, 4, 7, 16, 40]))
    padding = draw(st.tuples(st.integers(0, kh + 1), st.integers(0, kw + 1)))
    out = draw(st.tuples(st.integers(1, 13), st.integers(1, 13)))
    canvas = reach(out, (kh, kw), stride, dilation)
    padding = tuple(p if side > 2 * p else 0 for side, p in zip(canvas, padding, strict=True))
    size = (canvas[0] - 2 * padding[0], canvas[1] - 2 * padding[1])
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    shapes = (n, c, *size), (f, c, kh, kw), (n, f, *out)
    x, weight, g = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    if draw(st.booleans()):  # channels-last memory
        x, g = (np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2) for a in (x, g))
    return x, weight, g, stride, padding, dilation


def agree(arguments, rule):
    backends.use(rule)
    before, conv.SMALL = conv.SMALL, 0  # small convolutions too go by the rule
    try:
        results = kernels(*arguments)
    finally:
        conv.SMALL = before
    for got, want in zip(results, plain(*arguments), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4 * np.abs(want).max())


WINOGRAD = {  # which convolutions each computes
    "winograd F(4x4,3x3)": convolutions(st.just((3, 3))),
    "winograd F(4,3)": convolutions(st.tuples(st.just(3), st.integers(1, 4))),
    "winograd F(2,5)": convolutions(st.tuples(st.just(5), st.integers(1, 5))),
    "winograd F(2x2,5x5)": convolutions(st.just((5, 5))),
}


@pytest.mark.parametrize("block", [256, winograd.BLOCK_BYTES], ids=["band by band", "at once"])
@pytest.mark.parametrize("name", WINOGRAD)
def test_winograd_is_the_plain_convolution(name, block, monkeypatch):
    monkeypatch.setattr(choice, "TRANSFORMS", {name: winograd.TRANSFORMS[name]})
    monkeypatch.setattr(winograd, "BLOCK_BYTES", block)

    @given(WINOGRAD[name])
    def check(arguments):
        x, w, _, stride, padding, dilation = arguments
        backends.use(ALWAYS)
        assert backends.explain(x.shape, w.shape, stride, padding, dilation).startswith(name)
        agree(arguments, ALWAYS)

    check()


def test_all_of_winograds_transforms_are_tested():
    assert WINOGRAD.keys() == winograd.TRANSFORMS.keys()


@given(convolutions(strides=STEPS, dilations=STEPS))
def test_several_results_in_a_row_are_the_plain_convolution(arguments):
    agree(arguments, backends.Rule(winograd=False, byte_weight=100.0, widen_below=100))  # as many as possible


@given(convolutions(strides=STEPS, dilations=STEPS))
def test_columns_are_the_plain_convolution(arguments):
    agree(arguments, NEVER)


def test_winograd_of_many_channels_and_blocks():
    rng = np.random.default_rng(0)
    shapes = (9, 64, 17, 15), (96, 64, 3, 3), (9, 96, 17, 15)
    x, w, g = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
    assert backends.explain(x.shape, w.shape, padding=1).startswith("winograd")
    agree((x, w, g, (1, 1), (1, 1), (1, 1)), backends.Rule())


@pytest.mark.parametrize(
    ("settings", "way"),
    [
        ({}, "winograd F(4x4,3x3)"),
        ({"dtype": np.float64}, "columns"),
        ({"stride": 2}, "columns"),
        ({"dilation": (2, 1)}, "columns"),
        ({"dilation": (1, 2)}, "columns"),
        ({"stride": (1, 2)}, "columns"),
        ({"input": (32, 16, 16, 16), "weight": (16, 16, 3, 3), "padding": 1}, "winograd F(4,3)"),
        ({"groups": 64, "weight": (64, 1, 3, 3)}, "depthwise"),
        ({"groups": 2, "weight": (128, 32, 3, 3)}, "columns"),
        ({"input": (64, 32, 32, 32), "weight": (32, 32, 5, 5)}, "winograd F(2,5)"),
        ({"input": (64, 64, 32, 32), "weight": (64, 64, 5, 5)}, "winograd F(2x2,5x5)"),
        ({"weight": (64, 64, 7, 7)}, "columns"),
        ({"input": (1, 512, 7, 7), "weight": (512, 512, 3, 3), "padding": 1}, "few windows"),
        ({"input": (2, 512, 7, 7), "weight": (64, 512, 3, 3), "padding": 1}, "columns"),
    ],
    ids=str,
)
def test_explains_which_kernel_runs(settings, way):
    shapes = dict(input=(32, 64, 16, 16), weight=(64, 64, 3, 3))
    assert backends.explain(**{**shapes, **settings}).startswith(way)


def test_where_products_begin_one_at_a_time_small_ones_are_avoided():
    shapes = (64, 64, 16, 16), (64, 64, 3, 3)
    assert backends.explain(*shapes, padding=1).startswith("winograd F(4x4,3x3)")
    backends.use(choice.LOCKED)
    assert backends.explain(*shapes, padding=1).startswith("winograd F(4,3)")


@pytest.mark.parametrize(("api", "architecture", "locks"), [
    ("openblas", "Haswell", True), ("openblas", "SkylakeX", False), ("mkl", "", False),
])  # fmt: skip
def test_the_rule_depends_on_the_blas_library(api, architecture, locks, monkeypatch):
    library = SimpleNamespace(internal_api=api, architecture=architecture, threading_layer="", get_num_threads=int)
    chosen = SimpleNamespace(lib_controllers=[library])
    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", lambda: SimpleNamespace(select=lambda **_: chosen))
    monkeypatch.setattr(parallel, "_blas", None)
    monkeypatch.setattr(choice, "_rule", None)
    assert backends.rule() == (choice.LOCKED if locks else backends.Rule())


def test_few_filters_are_computed_several_in_a_row():
    assert "results in a row" in backends.explain((256, 1, 28, 28), (6, 1, 5, 5), padding=2)
    assert "1 result in a row" in backends.explain((256, 64, 28, 28), (64, 64, 7, 7), padding=3)


def test_flags_hold_within_their_block():
    before = backends.rule()
    with backends.flags(winograd=False) as rule:
        assert backends.rule() is rule
        assert not rule.winograd
    assert backends.rule() is before
    with pytest.raises(tg.errors.ArgumentError, match=r"settings of the rule: winograd, "), backends.flags(fft=True):
        pass
    with pytest.raises(tg.errors.ShapeError, match="expected shapes"):
        backends.explain((1, 2), (3, 4))


def test_the_adjoint_scatters_or_gathers_by_rule():
    wide = Geometry((3, 3), (1, 1), (1, 1), (1, 1), (8, 8), 1)
    assert choice.scattering(wide, (1, 1), (8, 8), 32, 64, 64) == 0  # gathers
    assert choice.scattering(wide._replace(stride=(2, 2)), (1, 1), (16, 16), 32, 64, 64) == 1  # scatters
    lenet = Geometry((5, 5), (1, 1), (0, 0), (1, 1), (10, 10), 1)
    assert choice.scattering(lenet, (4, 4), (14, 14), 256, 6, 16) == 10  # scatters whole rows
    pointwise = Geometry((1, 1), (1, 1), (0, 0), (1, 1), (32, 32), 1)
    assert choice.scattering(pointwise, (0, 0), (32, 32), 64, 96, 16) == 0
    assert choice.scattering(pointwise, (0, 0), (32, 32), 64, 16, 96) == 1


def test_a_measured_rule_is_written_read_and_used(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(backends, "_SHAPES", [(1, 4, 2, 2, 3), (1, 8, 16, 16, 3), (1, 4, 1, 2, 5)])
    before = backends.rule()
    backends.main(["--measure", str(tmp_path / "rule.json")])
    assert backends.rule() is before  # measuring changes nothing
    rule = backends.load(tmp_path / "rule.json")
    backends.use(rule)
    backends.main([])
    printed = capsys.readouterr().out
    for name, value in dataclasses.asdict(rule).items():
        assert f"{name:16s} {value!r}" in printed
    (tmp_path / "other.json").write_text(json.dumps({"speed": 1}), encoding="utf-8")
    with pytest.raises(tg.errors.ArgumentError, match="isn't a rule"):
        backends.load(tmp_path / "other.json")


@given(st.integers(1, 3), st.integers(0, 40), st.integers(0, 4), st.integers(0, 4), st.booleans())
def test_products_in_pieces_are_whole_products(stack, rows, k, n, transposed):
    rng = np.random.default_rng(rows)
    a, b, other = (rng.normal(size=shape) for shape in ((stack, 2, rows, k), (stack, 1, k, n), (stack, 2, rows, n)))
    if transposed:
        b = np.ascontiguousarray(b.swapaxes(2, 3)).swapaxes(2, 3)
    before, out, total = (
        (product._QUICK, product._SHORTEST),
        np.full((stack, 2, rows, n), np.nan),
        np.ones((stack, k, n)),
    )
    product._QUICK, product._SHORTEST = 60, 3
    try:
        product.multiply_rows(a, b, out)
        product.add_products(a, other, total)
    finally:
        product._QUICK, product._SHORTEST = before
    np.testing.assert_allclose(out, np.einsum("pstk,pkn->pstn", a, b[:, 0]), atol=1e-12)
    np.testing.assert_allclose(total, 1 + np.einsum("pstk,pstn->pkn", a, other), atol=1e-12)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("bias", [None, (), (1,), "wide"])
@pytest.mark.parametrize(
    ("rows", "k", "columns"), [(1, 40, 260), (64, 40, 260), (65, 40, 260), (300, 8, 20), (20, 8, 20), (3, 200, 4)]
)
def test_products_with_a_bias(rows, k, columns, bias, threads, monkeypatch):
    rng = np.random.default_rng(0)
    a, weight = rng.normal(size=(rows, k)), rng.normal(size=(columns, k))
    bias = None if bias is None else rng.normal(size=columns if bias == "wide" else bias)
    monkeypatch.setattr(product, "_ALONE", 0)
    monkeypatch.setattr(parallel, "LEAST_SHARE", 1)
    monkeypatch.setattr(parallel, "_threads", threads)
    result = product.matmul(a, weight.T, bias)
    assert result.flags.c_contiguous
    expected = np.einsum("rk,nk->rn", a, weight) + (0 if bias is None else bias)
    np.testing.assert_allclose(result, expected, atol=1e-12)
