"""What a profile has recorded, added up and laid out as tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any

from tinygrad_cnn.errors import ArgumentError

Row = tuple[str, ...]


class Event:
    """One call of an op, of a backward node, of an optimiser's step, or one ``record_function`` block.

    ``phase`` is ``"forward"``, ``"backward"``, ``"optimizer"`` or ``"user"``; ``module`` the path of the layer in whose
    forward the op was called. Times are in microseconds. ``nbytes`` is what had to be read and written at least: the
    arrays that went in and came out. ``flops`` counts the multiplications and additions of convolutions and
    matrix products; other ops have 0.
    """

    __slots__ = ("flops", "inner", "inner_flops", "module", "name", "nbytes", "nested", "phase", "shapes", "start",
                 "stop", "thread")  # fmt: skip

    def __init__(self, name: str, phase: str, module: str, thread: int, nested: bool) -> None:
        self.name = name
        self.phase = phase
        self.module = module
        self.thread = thread
        self.nested = nested  # within another event
        self.start = self.stop = self.inner = 0.0  # inner: the time of the events within this one
        self.flops = self.inner_flops = self.nbytes = 0
        self.shapes: tuple[tuple[int, ...], ...] = ()

    @property
    def cpu_time_total(self) -> float:
        """The time from the call to its return."""
        return self.stop - self.start

    @property
    def self_cpu_time_total(self) -> float:
        """The time outside the events within this one."""
        return self.stop - self.start - self.inner

    def __repr__(self) -> str:
        return f"<Event {self.name} {self.phase} {_time(self.cpu_time_total)}>"


class Average:
    """The events of one kind: how many, and their times, bytes and FLOPs added up."""

    def __init__(self, key: str, phase: str = "", shapes: tuple[tuple[int, ...], ...] = ()) -> None:
        self.key = key
        self.phase = phase
        self.input_shapes = shapes
        self.count = self.flops = self.nbytes = 0
        self.cpu_time_total = self.self_cpu_time_total = 0.0
        self.forward_time = self.backward_time = 0.0  # of the total time

    def add(self, event: Event) -> None:
        """Count one more event."""
        self.count += 1
        self.flops += event.flops
        self.nbytes += event.nbytes
        self.cpu_time_total += event.cpu_time_total
        self.self_cpu_time_total += event.self_cpu_time_total
        if event.phase == "backward":
            self.backward_time += event.cpu_time_total
        else:
            self.forward_time += event.cpu_time_total

    @property
    def cpu_time(self) -> float:
        """The mean time of a call."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def gflops_per_second(self) -> float:
        """10⁹ floating-point operations a second; 0 where none are counted."""
        return self.flops / self.cpu_time_total / 1e3 if self.cpu_time_total else 0.0

    @property
    def gbytes_per_second(self) -> float:
        """10⁹ bytes a second."""
        return self.nbytes / self.cpu_time_total / 1e3 if self.cpu_time_total else 0.0

    def __repr__(self) -> str:
        return f"<Average {self.key} {self.phase} calls={self.count} total={_time(self.cpu_time_total)}>"


Column = tuple[str, Callable[[Average, float], str]]  # a title, and the text of a row given the wall time
_OPS: tuple[Column, ...] = (
    ("Name", lambda row, _: row.key),
    ("Phase", lambda row, _: row.phase),
    ("Self CPU %", lambda row, wall: _share(row.self_cpu_time_total, wall)),
    ("Self CPU", lambda row, _: _time(row.self_cpu_time_total)),
    ("CPU total %", lambda row, wall: _share(row.cpu_time_total, wall)),
    ("CPU total", lambda row, _: _time(row.cpu_time_total)),
    ("CPU time avg", lambda row, _: _time(row.cpu_time)),
    ("# of Calls", lambda row, _: str(row.count)),
    ("GFLOP/s", lambda row, _: _rate(row.gflops_per_second)),
    ("GB/s", lambda row, _: _rate(row.gbytes_per_second)),
)
_SHAPES: Column = ("Input Shapes", lambda row, _: str([list(shape) for shape in row.input_shapes]))
_MODULES: tuple[Column, ...] = (
    ("Module", lambda row, _: row.key),
    ("Forward", lambda row, _: _time(row.forward_time)),
    ("Backward", lambda row, _: _time(row.backward_time)),
    ("CPU total", lambda row, _: _time(row.cpu_time_total)),
    ("CPU total %", lambda row, wall: _share(row.cpu_time_total, wall)),
    ("# of Calls", lambda row, _: str(row.count)),
    ("GFLOP/s", lambda row, _: _rate(row.gflops_per_second)),
    ("GB/s", lambda row, _: _rate(row.gbytes_per_second)),
)


class AverageList(list[Average]):
    """Averages, in the order in which their first events ended."""

    def __init__(
        self, averages: Iterable[Average], wall: float, inside: float, columns: tuple[Column, ...] = _OPS
    ) -> None:
        super().__init__(averages)
        self.wall = wall  # microseconds from the profile's start to its end
        self.inside = inside  # of which within an op
        self.columns = columns

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_name_column_width: int = 55,
        header: str | None = None,
    ) -> str:
        """The rows as text, the largest ``sort_by`` first (any attribute of ``Average``, such as "cpu_time_total")."""
        rows = list(self)
        if sort_by is not None:
            if rows and not isinstance(getattr(rows[0], sort_by, None), int | float):
                raise ArgumentError(
                    f"table: sort_by expected a number of Average such as 'cpu_time_total', 'self_cpu_time_total', "
                    f"'count', 'flops' or 'nbytes', got {sort_by!r}"
                )
            rows.sort(key=attrgetter(sort_by), reverse=True)
        lines = [tuple(title for title, _ in self.columns)]
        for row in rows[: row_limit if row_limit >= 0 else None]:
            name, *others = (text(row, self.wall) for _, text in self.columns)
            lines.append((_shorten(name, max_name_column_width), *others))
        text = _align(lines)
        outside = self.wall - self.inside
        return (
            f"{header + chr(10) if header else ''}{text}\n"
            f"Wall time {_time(self.wall)}, of which in ops {_time(self.inside)}, "
            f"between them {_time(outside)} ({_share(outside, self.wall)})"
        )

    def total_average(self) -> Average:
        """All rows in one."""
        total = Average("Total")
        for row in self:
            total.count += row.count
            total.self_cpu_time_total += row.self_cpu_time_total
        total.cpu_time_total = total.self_cpu_time_total
        return total

    def __str__(self) -> str:
        return self.table()


def by_op(events: Iterable[Event], wall: float, shapes: bool = False) -> AverageList:
    """The events added up by name and phase, and where asked for by the shapes of their inputs."""
    return _add_up(
        events,
        wall,
        lambda e: (e.name, e.phase, e.shapes if shapes else ()),
        (*_OPS, _SHAPES) if shapes else _OPS,
    )


def by_module(events: Iterable[Event], wall: float) -> AverageList:
    """The outermost events added up by the layer that they belong to."""
    return _add_up((e for e in events if not e.nested), wall, lambda e: (e.module or e.name, "", ()), _MODULES)


def _add_up(
    events: Iterable[Event], wall: float, key: Callable[[Event], tuple[str, str, Any]], columns: tuple[Column, ...]
) -> AverageList:
    averages: dict[Any, Average] = {}
    inside = 0.0
    for event in events:
        if event.phase == "user" and columns is _MODULES:
            continue
        identity = key(event)
        if identity not in averages:
            averages[identity] = Average(*identity)
        averages[identity].add(event)
        if not event.nested and event.phase != "user":
            inside += event.cpu_time_total
    return AverageList(averages.values(), wall, inside, columns)


# ------------------------------------------------------------------------------------------------- text
def _time(microseconds: float) -> str:
    for unit, size in (("s", 1e6), ("ms", 1e3)):
        if microseconds >= size:
            return f"{microseconds / size:.3f}{unit}"
    return f"{microseconds:.3f}us"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}%" if whole else "--"


def _rate(value: float) -> str:
    return f"{value:.1f}" if value else "--"


def _shorten(name: str, width: int) -> str:
    return name if width < 0 or len(name) <= width else name[: width - 3] + "..."


def _align(lines: list[Row]) -> str:
    """Columns of equal width: the first from the left, the others from the right."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    rule = "  ".join("-" * width for width in widths)
    text = ["  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines]
    return "\n".join([rule, text[0], rule, *text[1:], rule])
