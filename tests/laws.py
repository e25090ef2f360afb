"""What the tests of laws share: ``@law``, drawn convolutions and images, comparison."""

import inspect

import numpy as np
from hypothesis import given, strategies

import tinygrad_cnn as tg
from tinygrad_cnn.testing import Draw
from tinygrad_cnn.testing.draw import HypothesisSource


def law(test):
    """A test whose first argument is a ``Draw``: hypothesis runs it on many cases. Others may be parametrised."""

    def run(data, **arguments):
        test(Draw(HypothesisSource(data)), **arguments)

    others = list(inspect.signature(test).parameters.values())[1:]
    run.__signature__ = inspect.Signature(  # pytest and hypothesis read it
        [
            inspect.Parameter("data", inspect.Parameter.POSITIONAL_OR_KEYWORD),
            *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in others),
        ]
    )
    run.__name__ = run.__qualname__ = test.__name__
    run.__module__ = test.__module__
    return given(data=strategies.data())(run)


def close(actual, expected, rtol=1e-9, atol=1e-10):
    """Assert that two Tensors, arrays or numbers agree, in shape as well."""
    first, second = (np.asarray(v.detach() if isinstance(v, tg.Tensor) else v) for v in (actual, expected))
    assert first.shape == second.shape
    np.testing.assert_allclose(first, second, rtol=rtol, atol=atol)


def images(draw, height=None, width=None, distinct=False):
    """A float64 Tensor (N,C,H,W)."""
    shape = (draw.integer(1, 2), draw.integer(1, 3), height or draw.integer(2, 6), width or draw.integer(2, 6))
    return tg.tensor(draw.distinct(shape) if distinct else draw.array(shape))


def convolution(draw):
    """An input (N,C,H,W), a weight (F,C/groups,KH,KW), the settings of conv2d, and the output's height and width."""
    h, v = draw.window(), draw.window()
    groups, inner, outer = draw.integer(1, 3), draw.integer(1, 2), draw.integer(1, 2)
    x = tg.tensor(draw.array((draw.integer(1, 2), groups * inner, h.size, v.size)))
    w = tg.tensor(draw.array((groups * outer, inner, h.kernel, v.kernel)))
    settings = {name: (getattr(h, name), getattr(v, name)) for name in ("stride", "padding", "dilation")}
    return x, w, dict(settings, groups=groups), (h.out, v.out)


def slack(x, w, settings, out):
    """The ``output_padding`` of the transposed convolution: how many pixels the floor rule has left out."""
    each = zip(x.shape[2:], out, w.shape[2:], *(settings[k] for k in ("stride", "padding", "dilation")), strict=True)
    return tuple(size - ((o - 1) * s - 2 * p + d * (k - 1) + 1) for size, o, k, s, p, d in each)


def gradient(output, upstream, tensor):
    """The gradient of ``<output, upstream>`` by ``tensor``."""
    return tg.autograd.grad(output, tensor, upstream)[0]


def inner(a, b):
    """The inner product <a, b>."""
    return float((a * b).sum().detach())
