"""Which kernels compute convolutions: the rule, printed, overridden, and found anew for another machine.

    python -m tinygrad_cnn.backends                      prints the rule in force
    python -m tinygrad_cnn.backends --measure FILE.json  finds the rule of this machine and writes it

The choice is a fixed rule on shapes, not a race at run time, so that runs repeat bit for bit. ``use(load(file))``
puts a rule that was measured in force.

>>> import tinygrad_cnn as tg
>>> print(tg.backends.explain((64, 64, 16, 16), (128, 64, 3, 3), padding=1))
winograd F(4x4,3x3): 0.46 of a plain product's operations, below 0.85
>>> with tg.backends.flags(winograd=False):
...     print(tg.backends.explain((64, 64, 16, 16), (128, 64, 3, 3), padding=1))
columns: a product of (16384, 576) and (576, 128), 1 result in a row
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_cnn.errors import ArgumentError, ShapeError
from tinygrad_cnn.kernels import choice, conv, winograd
from tinygrad_cnn.kernels.choice import Rule, rule, use
from tinygrad_cnn.kernels.columns import Geometry
from tinygrad_cnn.kernels.parallel import one_blas_thread
from tinygrad_cnn.kernels.windows import Pair, output_sizes

Array = np.ndarray

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
        return f"{way}: {fraction:.2f} of a plain product's operations, below {rule().winograd_below}"
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
_PLAIN = [  # batch, side, channels, filters of 3x3 convolutions, on both sides of every threshold
    *itertools.product((1, 16), (8, 16, 32), (16, 32, 64), (16, 32, 64)),
    *itertools.product((1, 8), (7, 14, 28), (128, 256), (128, 256)),
]
_NARROW = [  # batch, side, channels, filters, kernel
    *itertools.product((32,), (12, 28), (1, 3, 6, 16), (6, 16, 32, 64), (3, 5)),
]


def measure(report: Callable[[str], Any] = print) -> Rule:
    """Find the rule of this machine, by timing kernels against each other on one thread; takes about a minute."""
    with one_blas_thread():
        timed = [(_geometry(n, side, c, f, 3), n, c, f, _race(n, side, c, f)) for n, side, c, f in _PLAIN]
        found = min(
            (
                Rule(filter_weight=filters, tall_weight=tall, winograd_below=round(float(below), 2))
                for filters in (36, 72, 144, 288, 576)
                for tall in (0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.1, 1.2)
                for below in np.arange(0.3, 1.6, 0.05)
            ),
            key=lambda candidate: _time_with(candidate, timed),
        )
        ideal, plain = sum(min(times.values()) for *_, times in timed), sum(times["columns"] for *_, times in timed)
        report(f"winograd: {plain / _time_with(found, timed):.2f} x as fast as without, at best {plain / ideal:.2f}")
        joined = [(shape, _widths(*shape)) for shape in _NARROW]
        numbers = min(
            itertools.product((4, 8, 16, 32), (3.0, 6.0, 12.5, 25.0, 50.0)),
            key=lambda pair: _time_joined(dataclasses.replace(found, narrow=pair[0], byte_weight=pair[1]), joined),
        )
        found = dataclasses.replace(found, narrow=numbers[0], byte_weight=numbers[1])
        plain, ideal = sum(times[1] for _, times in joined), sum(min(times.values()) for _, times in joined)
        report(f"widening: {plain / _time_joined(found, joined):.2f} x as fast as without, at best {plain / ideal:.2f}")
    return found


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


def _race(n: int, side: int, c: int, f: int) -> dict[str, float]:
    """The times of the plain product and of Winograd's, by what ``choice.convolution`` calls them."""
    x, w, out = _arrays(n, side, c, f, 3)
    geometry = _geometry(n, side, c, f, 3)
    times = {"columns": _best(lambda: conv.multiply(x, conv.filter_matrices(w, 1), None, geometry, out))}
    for name, transform in winograd.TRANSFORMS.items():
        if transform.fits(geometry):
            times[name] = _best(partial(_transform_and_correlate, transform, x, w, geometry, out))
    return times


def _transform_and_correlate(transform: winograd.Transform, x: Array, w: Array, geometry: Geometry, out: Array) -> None:
    winograd.correlate(transform, x, winograd.transform_filters(transform, w), None, geometry, out)


def _time_with(candidate: Rule, timed: list[Any]) -> float:
    """The sum of all times if the candidate chose between the kernels."""
    before = rule()
    use(candidate)
    total = sum(
        times.get(choice.convolution(geometry, n, c, f, np.dtype(np.float32)), times["columns"])
        for geometry, n, c, f, times in timed
    )
    use(before)
    return float(total)


def _widths(n: int, side: int, c: int, f: int, kernel: int) -> dict[int, float]:
    """The times of a narrow convolution with 1, 2, ... neighbours in a row."""
    x, w, out = _arrays(n, side, c, f, kernel)
    geometry = _geometry(n, side, c, f, kernel)
    times = {}
    for r in (r for r in range(1, side + 1) if side % r == 0):
        filters = conv.filter_matrices(conv.widen(w, geometry, r), 1)
        target = conv.join(out, r)
        wide = geometry.joined(r)
        times[r] = _best(lambda: conv.multiply(x, filters, None, wide, target))
    return times


def _time_joined(candidate: Rule, joined: list[Any]) -> float:
    before = rule()
    use(candidate)
    total = sum(
        times[choice.widening(_geometry(n, side, c, f, kernel), c, f)] for (n, side, c, f, kernel), times in joined
    )
    use(before)
    return float(total)


def main(arguments: list[str] | None = None) -> None:
    """Print the rule, or measure one."""
    parser = argparse.ArgumentParser(prog="python -m tinygrad_cnn.backends", description="The rule for convolutions.")
    parser.add_argument("--measure", metavar="FILE", help="find this machine's rule and write it as JSON")
    options = parser.parse_args(arguments)
    found = measure() if options.measure else rule()
    for field in dataclasses.fields(found):
        print(f"{field.name:15s} {getattr(found, field.name)!r}")
    if options.measure:
        Path(options.measure).write_text(json.dumps(dataclasses.asdict(found), indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
