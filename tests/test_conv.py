"""The convolution kernels: every way through them against the definition, and their manners."""

import threading

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import columns, conv, depthwise, windows

F = tg.nn.functional


def array(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


def by_definition(x, w, stride, padding, dilation, groups):
    """Convolution as im2col and one product."""
    f, c, kh, kw = w.shape
    size = windows.output_sizes(x.shape[2:], (kh, kw), stride, padding, dilation)
    found = windows.im2col(x, (kh, kw), stride, padding, dilation).reshape(len(x), groups, c * kh * kw, -1)
    return (w.reshape(groups, f // groups, -1) @ found).reshape(len(x), f, *size)


def channels_last(x):
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


LAYOUTS = {
    "channels first": lambda x: x,
    "channels last": channels_last,
    "some channels of a larger array": lambda x: channels_last(np.concatenate([x, x], 1))[:, : x.shape[1]],
    "turned": lambda x: x[:, :, ::-1, ::-1],
    "one pixel repeated": lambda x: np.broadcast_to(x[:, :, :1, :1], x.shape),
    "one channel repeated": lambda x: np.broadcast_to(x[:, :1], x.shape),
}


@pytest.mark.parametrize("block_bytes", [1, 3000, 1 << 20])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("images", "filters", "groups"),
    [
        ((3, 1, 20, 21), (5, 1, 3, 3), 1),
        ((3, 16, 7, 6), (4, 16, 3, 2), 1),
        ((3, 2, 7, 6), (24, 2, 3, 2), 1),
        ((2, 4, 5, 6), (60, 4, 3, 2), 1),  # more filters than windows
        ((3, 6, 7, 6), (4, 3, 1, 1), 2),
        ((3, 6, 7, 6), (6, 1, 3, 2), 6),
        ((3, 6, 7, 6), (12, 1, 3, 2), 6),
    ],
)
def test_every_way_agrees_with_the_definition(images, filters, groups, layout, block_bytes, monkeypatch):
    monkeypatch.setattr(columns, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(depthwise, "BLOCK_BYTES", block_bytes)
    x, w = LAYOUTS[layout](array(*images)), array(*filters, seed=1)
    for stride, padding, dilation in [((1, 1), (0, 0), (1, 1)), ((1, 1), (1, 0), (2, 1)), ((2, 3), (0, 2), (1, 2))]:
        settings = (stride, padding, dilation, groups)
        expected = by_definition(x, w, *settings)
        np.testing.assert_allclose(conv.conv2d(x, w, None, *settings), expected, atol=1e-12)
        bias = array(filters[0], seed=3)
        np.testing.assert_allclose(conv.conv2d(x, w, bias, *settings), expected + bias[:, None, None], atol=1e-12)
        # The adjoints, by their definition: <g, conv(x, w)> = <input_grad(g, w), x> = <weight_grad(g, x), w>.
        g = LAYOUTS[layout](array(*expected.shape, seed=2))
        product = np.sum(g * expected)
        assert np.isclose(np.sum(conv.conv2d_input_grad(g, w, None, images[2:], *settings) * x), product)
        assert np.isclose(np.sum(conv.conv2d_weight_grad(g, x, filters[2:], *settings) * w), product)


@pytest.mark.parametrize("filters", [4, 60])  # fewer than windows, and more
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_channels_the_bias_alone_is_left(filters, dtype):
    x, w, bias = np.ones((2, 0, 6, 6), dtype), np.ones((filters, 0, 3, 3), dtype), np.arange(filters, dtype=dtype)
    settings = ((1, 1), (0, 0), (1, 1), 1)
    out = conv.conv2d(x, w, bias, *settings)
    np.testing.assert_array_equal(out, np.broadcast_to(bias[:, None, None], (2, filters, 4, 4)))
    assert conv.conv2d_input_grad(out, w, None, (6, 6), *settings).shape == x.shape
    assert conv.conv2d_weight_grad(out, x, (3, 3), *settings).shape == w.shape


def test_results_are_channels_last_and_their_own():
    x, w = array(2, 3, 8, 8, dtype=np.float32), array(4, 3, 3, 3, dtype=np.float32)
    first = conv.conv2d(x, w, None, (1, 1), (1, 1), (1, 1), 1)
    assert first.transpose(0, 2, 3, 1).flags.c_contiguous
    kept = first.copy()
    conv.conv2d(x + 1, w, None, (1, 1), (1, 1), (1, 1), 1)  # writes to the same scratch memory
    np.testing.assert_array_equal(first, kept)


def test_repeats_bit_for_bit_and_in_threads():
    x, w = array(9, 16, 20, 20, dtype=np.float32), array(8, 16, 3, 3, dtype=np.float32)

    def run():
        out = conv.conv2d(x, w, None, (1, 1), (1, 1), (1, 1), 1)
        return out, conv.conv2d_weight_grad(out, x, (3, 3), (1, 1), (1, 1), (1, 1), 1)

    expected, results = run(), []
    threads = [threading.Thread(target=lambda: results.append(run())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_array_equal(result[0], expected[0])
        np.testing.assert_array_equal(result[1], expected[1])


def test_pixels_that_no_window_reaches_get_no_gradient():
    x = tg.tensor(array(1, 1, 6, 6)).requires_grad_()
    F.conv2d(x, tg.tensor(array(1, 1, 2, 2)), stride=4).sum().backward()
    assert x.grad.numpy()[0, 0, 2:4].tolist() == np.zeros((2, 6)).tolist()
    assert x.grad.numpy()[0, 0, :2, :2].all()


def test_unfold_and_fold_are_adjoint_and_fold_counts_windows():
    x = tg.tensor(np.ones((1, 2, 5, 5)))
    counts = F.fold(F.unfold(x, 3), 5, 3)
    assert counts.numpy()[0, 0].tolist() == [[a * b for b in (1, 2, 3, 2, 1)] for a in (1, 2, 3, 2, 1)]


def test_an_unneeded_gradient_of_the_image_is_not_computed(monkeypatch):
    monkeypatch.setattr(conv, "conv2d_input_grad", lambda *a: pytest.fail("computed the image's gradient"))
    weight = tg.tensor(array(1, 1, 2, 2)).requires_grad_()
    F.conv2d(tg.tensor(array(1, 1, 6, 6)), weight).sum().backward()
    assert weight.grad is not None


def test_errors_say_what_to_change():
    with pytest.raises(tg.errors.ShapeError, match=r"conv2d: Given groups=2, weight of size \[4, 2, 3, 3\], expected"):
        F.conv2d(tg.tensor(array(1, 3, 6, 6)), tg.tensor(array(4, 2, 3, 3)), groups=2)
    model = tg.nn.Sequential(tg.nn.Conv2d(1, 2, 3), tg.nn.Conv2d(3, 2, 3))
    with pytest.raises(tg.errors.ShapeError, match=r"^1 .*conv2d: .* in_channels=2"):
        model(tg.tensor(array(1, 1, 9, 9, dtype=np.float32)))


def test_depthwise_gradients_of_images_smaller_than_the_stride():
    x = tg.ones(1, 2, 1, 1, requires_grad=True)
    F.conv2d(x, tg.ones(2, 1, 1, 2), stride=(1, 2), padding=(0, 1), groups=2).sum().backward()
    assert x.grad.tolist() == [[[[1.0]], [[1.0]]]]


@pytest.mark.parametrize("groups", [1, 2])
def test_the_columns_of_pointwise_filters_are_the_pixels(groups):
    x = np.random.default_rng(0).random((3, 5, 6, 4)).transpose(0, 3, 1, 2)
    geometry = columns.Geometry((1, 1), (1, 1), (0, 0), (1, 1), (5, 6), groups)
    ((images, rows, matrix),) = columns.column_blocks(x, geometry)
    assert np.shares_memory(matrix, x)
    assert (images, rows, matrix.shape) == (slice(0, 3), slice(0, 5), (groups, 90, 4 // groups))
    pixels = x.transpose(0, 2, 3, 1).reshape(90, groups, -1)
    np.testing.assert_array_equal(matrix, pixels.transpose(1, 0, 2))
    ((_, _, band),) = columns.column_blocks(x[1:2], geometry.band(slice(2, 4)))
    assert np.shares_memory(band, x)
    np.testing.assert_array_equal(band, matrix[:, 42:54])
    padded = columns.Geometry((1, 1), (1, 1), (1, 0), (1, 1), (7, 6), groups)
    blocks = [block.copy() for _, _, block in columns.column_blocks(x, padded)]
    assert np.concatenate(blocks, axis=1)[:, 6:36].tolist() == matrix[:, :30].tolist()
    blocks = [block.copy() for _, _, block in columns.column_blocks(x, padded.band(slice(0, 3)))]
    above = np.concatenate(blocks, axis=1).reshape(groups, 3, 3, 6, -1)
    assert not above[:, :, 0].any()
    np.testing.assert_array_equal(above[:, 0, 1:].reshape(groups, 12, -1), matrix[:, :12])
