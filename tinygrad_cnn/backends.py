"""Which kernels compute convolutions: the rule, printed, overridden, and found anew for another machine.

    python -m tinygrad_cnn.backends                      prints the rule in force
    python -m tinygrad_cnn.backends --measure FILE.json  finds the rule of this machine and writes it

The choice is a fixed rule on shapes, not a race at run time, so that runs repeat bit for bit. ``use(load(file))``
puts a rule that was measured in force.

>>> import tinygrad_cnn as tg
>>> print(tg.backends.explain((64, 256, 16, 16), (256, 256, 3, 3), padding=1))  # doctest: +ELLIPSIS
winograd F(4x4,3x3): 0... of a plain product's estimated time, below 1.0
>>> with tg.backends.flags(winograd=False):
...     print(tg.backends.explain((64, 256, 16, 16), (256, 256, 3, 3), padding=1))
columns: a product of (16384, 2304) and (2304, 256), 1 result in a row
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.kernels import choice, conv, winograd
from tinygrad_cnn.kernels.choice import Rule, rule, use
from tinygrad_cnn.kernels.columns import Geometry
from tinygrad_cnn.kernels.parallel import one_blas_thread, run, shares
from tinygrad_cnn.kernels.windows import Pair, output_sizes

Array = np.ndarray
Shape = tuple[int, int, int, int, int]  # batch, side, channels, filters, kernel

__all__ = ["Rule", "explain", "flags", "load", "measure", "rule", "use"]


@contextlib.contextmanager
def flags(**changes: Any) -> Iterator[Rule]:
    """The rule with some of its numbers changed, within a ``with`` block; ``winograd=False`` is the most useful.

    >>> with flags(winograd=False) as changed:
    ...     changed.winograd
    False
    """
    before = rule()
    try:
        changed = dataclasses.replace(before, **changes)
    except TypeError as error:
        known = ", ".join(field.name for field in dataclasses.fields(Rule))
        raise ArgumentError(f"backends.flags: {sorted(changes)} aren't all settings of the rule: {known}") from error
    use(changed)
    try:
        yield changed
    finally:
        use(before)


def explain(
    input: tuple[int, ...],
    weight: tuple[int, ...],
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    dtype: Any = np.float32,
) -> str:
    """Say which kernel computes a convolution of these shapes, (N,C,H,W) and (F,C/groups,KH,KW), and why."""
    if len(input) != 4 or len(weight) != 4:
        raise ShapeError(f"backends.explain: expected shapes (N,C,H,W) and (F,C/groups,KH,KW), got {input}, {weight}")
    step, pad, gap = (value if isinstance(value, tuple) else (value, value) for value in (stride, padding, dilation))
    kernel = (weight[2], weight[3])
    out = output_sizes((input[2], input[3]), kernel, step, pad, gap)
    geometry = Geometry(kernel, step, pad, gap, out, groups)
    n, c, f = input[0], weight[1], weight[0] // groups
    way = choice.convolution(geometry, n, c, f, np.dtype(dtype))
    if way.startswith("winograd"):
        _, fraction = choice.least_operations(geometry, n, c, f)
        return f"{way}: {fraction:.2f} of a plain product's estimated time, below {rule().winograd_below}"
    if way == "depthwise":
        return f"depthwise: {kernel[0] * kernel[1]} multiplications a result, no product"
    if way == "few windows":
        rows, run = n * out[0] * out[1], kernel[0] * kernel[1] * c
        return f"few windows: a product of the filters ({f}, {run}) and columns ({run}, {rows}), no copy of the filters"
    joined = choice.widening(geometry, c, f)
    wide = geometry.joined(joined)
    rows, run = n * out[0] * out[1] // joined, wide.kernel[0] * wide.kernel[1] * c
    sizes = f"({rows}, {run}) and ({run}, {joined * f})" + (f" in each of {groups} groups" if groups > 1 else "")
    return f"columns: a product of {sizes}, {joined} result{'s' * (joined > 1)} in a row"


def load(file: str | Path) -> Rule:
    """A rule that ``--measure`` wrote."""
    try:
        return Rule(**json.loads(Path(file).read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"backends.load: {file} isn't a rule; write one with --measure ({error})") from error


# ------------------------------------------------------------------------------------------------ measuring
_SHAPES: list[Shape] = [  # on both sides of every threshold
    *itertools.product((1, 16), (8, 16, 32), (8, 16, 32, 64), (8, 16, 32, 64), (3,)),
    *itertools.product((1, 8), (7, 14, 28), (128, 256), (128, 256), (3,)),
    *itertools.product((16,), (10, 28), (1, 3, 6, 16), (6, 16, 32, 64), (3, 5)),
]
_NUMBERS: dict[str, tuple[Any, ...]] = {  # what is tried for the rule
    "narrow": (8, 12, 16),
    "byte_weight": (6, 8, 12, 18),
    "transform_weight": (3, 4, 5, 6),
    "call": (12, 40, 80, 160),
    "filter_weight": (144, 200, 288),
}


def measure(report: Callable[[str], Any] = print) -> Rule:
    """Find the rule of this machine and number of threads, by timing kernels against each other, for about a minute."""
    with one_blas_thread():
        timed = [(shape, _race(*shape)) for shape in _SHAPES]
    tried = itertools.product(*_NUMBERS.values())
    candidates = [Rule(**dict(zip(_NUMBERS, numbers, strict=True))) for numbers in tried]
    found = min(candidates, key=lambda candidate: _slowness(candidate, timed))
    report(f"kernels chosen with it take {_slowness(found, timed):.3f} x the time of the best, on average;")
    report(f"the rule in force {_slowness(rule(), timed):.3f} x, plain products {_slowness(_PLAIN, timed):.3f} x")
    return found


_PLAIN = Rule(winograd=False, widen_below=0)


def _geometry(n: int, side: int, c: int, f: int, kernel: int) -> Geometry:
    pad = kernel // 2
    return Geometry((kernel, kernel), (1, 1), (pad, pad), (1, 1), (side, side), 1)


def _arrays(n: int, side: int, c: int, f: int, kernel: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.random((n, side, side, c), np.float32).transpose(0, 3, 1, 2)
    return x, rng.random((f, c, kernel, kernel), np.float32), np.empty((n, side, side, f), np.float32)


def _best(task: Callable[[], Any]) -> float:
    """The shortest of five runs, in seconds."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        task()
        times.append(time.perf_counter() - start)
    return min(times)


def _race(n: int, side: int, c: int, f: int, kernel: int) -> dict[str | int, float]:
    """The times of Winograd's kernels, and of the plain product with 1, 2, ... neighbours in a row."""
    x, w, out = _arrays(n, side, c, f, kernel)
    geometry, times = _geometry(n, side, c, f, kernel), dict[str | int, float]()
    for r in (r for r in range(1, side + 1) if side % r == 0):
        filters, target = conv.filter_matrices(conv.widen(w, geometry, r), 1), conv.join(out, r)
        times[r] = _best(partial(_over_images, conv.multiply, x, filters, geometry.joined(r), target))
        if f * r > 512:  # slower and slower
            break
    for name, transform in winograd.TRANSFORMS.items():
        if transform.fits(geometry):
            times[name] = _best(partial(_transform_and_correlate, transform, x, w, geometry, out))
    return times


def _transform_and_correlate(transform: winograd.Transform, x: Array, w: Array, geometry: Geometry, out: Array) -> None:
    filters = winograd.transform_filters(transform, w)
    _over_images(partial(winograd.correlate, transform), x, filters, geometry, out)


def _over_images(kernel: conv.Kernel, x: Array, filters: Array, geometry: Geometry, out: Array) -> None:
    """Run a kernel in all threads, each with some of the images."""
    run(lambda some: kernel(x[some], filters, None, geometry, out[some]), shares(len(x), out.nbytes * 64))


def _slowness(candidate: Rule, timed: Sequence[tuple[Shape, dict[str | int, float]]]) -> float:
    """The geometric mean of how long the kernels that the candidate chooses take, beside the fastest ones."""
    before, total = rule(), 0.0
    use(candidate)
    for (n, side, c, f, kernel), times in timed:
        geometry = _geometry(n, side, c, f, kernel)
        way = choice.convolution(geometry, n, c, f, np.dtype(np.float32))
        taken = times.get(way) or times.get(choice.widening(geometry, c, f), math.inf)
        total += math.log(taken / min(times.values()))
    use(before)
    return math.exp(total / len(timed))


def main(arguments: list[str] | None = None) -> None:
    """Print the rule, or measure one."""
    parser = argparse.ArgumentParser(prog="python -m tinygrad_cnn.backends", description="The rule for convolutions.")
    parser.add_argument("--measure", metavar="FILE", help="find this machine's rule and write it as JSON")
    options = parser.parse_args(arguments)
    found = measure() if options.measure else rule()
    for field in dataclasses.fields(found):
        print(f"{field.name:16s} {getattr(found, field.name)!r}")
    if options.measure:
        Path(options.measure).write_text(json.dumps(dataclasses.asdict(found), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
