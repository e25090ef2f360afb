"""The property about NaN: it isn't lost on the way."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.autograd import no_grad
from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.autograd.tensor import wrap
from tinygrad_cnn.errors import TinygradError
from tinygrad_cnn.testing.calls import (
    Arguments,
    Place,
    Recorded,
    as_arrays,
    draw_upstream,
    is_floating,
    map_arrays,
    places,
)
from tinygrad_cnn.testing.explain import Cause, refuse

OTHERS = (50.0, -50.0)  # instead of an element, to see what depends on it


def nan(op: Op, arguments: Arguments) -> None:
    """What depends on an element is NaN where that element is; there are gradients, too, whatever they are."""
    for place in places(op, arguments):
        array = place.of(arguments)
        if is_floating(array) and array.size:
            for index in sorted({0, array.size // 2, array.size - 1}):
                _nan_at(op, arguments, place, index)


def _nan_at(op: Op, arguments: Arguments, place: Place, index: int) -> None:
    array = place.of(arguments)
    with np.errstate(all="ignore"):
        given = _with(arguments, place, index, np.nan)
        found = _results(op, given)
        if found is None:
            return
        recorded = Recorded(op, given)
        recorded.gradients(draw_upstream(recorded.arrays))  # what it raises is a failure
        finite = [_results(op, _with(arguments, place, index, value)) for value in (array.flat[index], *OTHERS)]
    known = [results for results in finite if results is not None and len(results) == len(found)]
    for number, result in enumerate(found):
        alike = [results[number] for results in known if results[number].shape == result.shape]
        if result.dtype.kind != "f" or len(alike) < 2:
            continue
        depends = np.any([_differ(alike[0], other) for other in alike[1:]], axis=0)
        lost = depends & ~np.isnan(result)
        if lost.any():
            at, where = [int(i) for i in np.unravel_index(index, array.shape)], np.argwhere(lost)[0].tolist()
            why = (
                f"With NaN at {place}{at} the result at {where} is {result[tuple(where)]:.6g}, though "
                "it depends on that element: a mistake upstream goes unseen. Comparisons with NaN are False; "
                "np.maximum, np.minimum and np.clip keep it."
            )
            refuse(op, given, Cause("NaN is lost", why), property="nan", argument=str(place))


def _differ(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.asarray((one != other) & ~(np.isnan(one) & np.isnan(other)))


def _with(arguments: Arguments, place: Place, index: int, value: float) -> Arguments:
    array = place.of(arguments).copy()
    array.flat[index] = value
    return place.put(dict(arguments), array)


def _results(op: Op, arguments: Arguments) -> list[np.ndarray] | None:
    """The results; None if these arguments are refused."""
    try:
        with no_grad():
            return as_arrays(op(**map_arrays(op, arguments, lambda a: wrap(a.copy()))))
    except TinygradError:
        return None
