"""A reader of pickles that can build tensors, containers and numbers, and nothing else.

Python's own ``pickle`` calls what the file tells it to call. Here a global is no object but a word, looked up in a
table of builders; a word that isn't in it ends the reading with an error that names it. No opcode reaches an
attribute, a class or a function, and nothing is built that is much larger than the bytes that ask for it.
"""

from __future__ import annotations

import io
import pickletools
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import Size, device, dtype
from tinygrad_cnn.errors import CheckpointError

MAX_DEPTH = 1000  # Python's own pickler gives up at this nesting, so deeper nests were made to do harm
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING", "BINSTRING",
    "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE", "BINBYTES", "BINBYTES8",
    "SHORT_BINBYTES", "BYTEARRAY8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {"EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set, "EMPTY_TUPLE": tuple}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_KEYS = (str, int, float, bytes, complex, type(None), dtype, device, Tensor)


class Builder(NamedTuple):
    """What a global stands for: a function that REDUCE and NEWOBJ may call with the arguments in the file."""

    name: str
    build: Callable[..., Any]


class Unpickler:
    """Reads one pickle from ``stream``, which it leaves behind the pickle.

    ``names`` maps each global that is allowed to a value or a Builder; ``persistent`` turns an id into a storage.
    """

    def __init__(
        self, stream: io.BytesIO, names: Mapping[str, Any], persistent: Callable[[Any], Any], source: str
    ) -> None:
        self.stream = stream
        self.names = {**names, **self._containers()}
        self.persistent = persistent
        self.source = source
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}
        self.budget = len(stream.getbuffer())  # of elements to be copied from one container into another

    def load(self) -> Any:
        """The pickled object. CheckpointError if it isn't made of tensors, containers and numbers."""
        try:
            for opcode, argument, _ in pickletools.genops(self.stream):
                if opcode.name == "STOP":
                    value = self.stack.pop()
                    self._check_result(value)
                    return value
                self._step(opcode.name, argument)
        except CheckpointError:
            raise
        except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise self._error(f"damaged pickle ({type(error).__name__}: {error})") from None
        raise self._error("damaged pickle: it has no end")

    def _error(self, what: str) -> CheckpointError:
        return CheckpointError(f"{self.source}: {what}")

    # ---------------------------------------------------------------------------------------- opcodes
    def _step(self, name: str, argument: Any) -> None:
        stack = self.stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in ("BINPUT", "LONG_BINPUT", "PUT"):
            self.memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self.memo[argument])
        elif name == "MARK":
            self.marks.append(len(stack))
        elif name in _TUPLES:
            stack.append(tuple(self._pop(_TUPLES[name])))
        elif name == "TUPLE":
            stack.append(tuple(self._pop_mark()))
        elif name in ("LIST", "DICT", "FROZENSET"):
            self._collect(name, self._pop_mark())
        elif name in ("APPEND", "SETITEM"):
            self._extend(self._pop(1 if name == "APPEND" else 2), list if name == "APPEND" else dict)
        elif name in ("APPENDS", "SETITEMS", "ADDITEMS"):
            self._extend(self._pop_mark(), {"APPENDS": list, "SETITEMS": dict, "ADDITEMS": set}[name])
        elif name == "GLOBAL":
            stack.append(self._find(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(self._find(*self._pop(2)))
        elif name in ("REDUCE", "NEWOBJ"):
            stack.append(self._build(*self._pop(2)))
        elif name == "BUILD":
            self._set_attributes(*self._pop(1))
        elif name == "BINPERSID":
            stack.append(self.persistent(self._pop(1)[0]))
        elif name not in ("PROTO", "FRAME"):
            raise self._error(f"opcode {name} is refused; no checkpoint of tensors, containers and numbers has it")

    def _pop(self, count: int) -> list[Any]:
        if len(self.stack) - (self.marks[-1] if self.marks else 0) < count:
            raise self._error("damaged pickle: it takes more values than there are")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def _pop_mark(self) -> list[Any]:
        mark = self.marks.pop()
        items = self.stack[mark:]
        del self.stack[mark:]
        return items

    def _collect(self, name: str, items: list[Any]) -> None:
        if name == "LIST":
            self.stack.append(items)
        elif name == "FROZENSET":
            self.stack.append(frozenset(self._key(item) for item in items))
        else:
            self.stack.append({})
            self._extend(items, dict)

    def _extend(self, items: Sequence[Any], kind: type) -> None:
        target = self.stack[-1]
        if kind is list and isinstance(target, list):
            target.extend(items)
        elif kind is set and isinstance(target, set):
            target.update(self._key(item) for item in items)
        elif kind is not dict or not isinstance(target, dict) or len(items) % 2:
            raise self._error(f"damaged pickle: it adds elements of a {kind.__name__} to a {type(target).__name__}")
        else:
            for key, value in zip(items[::2], items[1::2], strict=True):
                target[self._key(key)] = value

    def _find(self, module: Any, name: Any) -> Any:
        module = {"__builtin__": "builtins"}.get(module, module)  # as Python 2 called it
        full = f"{module}.{name}"
        if full not in self.names:
            raise self._error(
                f"Unsupported global: {full} is refused; only tensors, containers and numbers are built from a file. "
                "If it is yours, load it with the program that wrote it, and save its state_dict()"
            )
        return self.names[full]

    def _build(self, builder: Any, arguments: Any) -> Any:
        if not isinstance(builder, Builder) or not isinstance(arguments, tuple):
            raise self._error(f"damaged pickle: it calls a {type(builder).__name__}; only known globals can be called")
        try:
            return builder.build(*arguments)
        except TypeError as error:
            raise self._error(f"damaged pickle: {builder.name} with unfit arguments ({error})") from None

    def _set_attributes(self, state: Any) -> None:
        target = self.stack[-1]
        if type(target) is not OrderedDict or type(state) is not dict:
            raise self._error(f"damaged pickle: it sets attributes of a {type(target).__name__}")
        set_attributes(target, state, self.source)

    # --------------------------------------------------------------------------- containers and numbers
    def _containers(self) -> dict[str, Builder]:
        builders: dict[str, Callable[..., Any]] = {
            "collections.OrderedDict": self._ordered_dict,
            "collections.Counter": lambda counts=None: Counter(self._copied(counts or {}, dict)),
            "builtins.set": lambda items=(): set(map(self._key, self._copied(items, list | tuple))),
            "builtins.frozenset": lambda items=(): frozenset(map(self._key, self._copied(items, list | tuple))),
            "builtins.complex": lambda real, imag: complex(float(real), float(imag)),
            "builtins.bytes": lambda *content: self._bytes(*content),
            "builtins.bytearray": lambda *content: bytearray(self._bytes(*content)),
            "_codecs.encode": self._bytes,
        }
        return {name: Builder(name, build) for name, build in builders.items()}

    def _ordered_dict(self, items: Sequence[Any] = ()) -> OrderedDict[Any, Any]:
        pairs = [self._copied(pair, list | tuple) for pair in self._copied(items, list | tuple)]
        return OrderedDict((self._key(key), value) for key, value in pairs)

    def _bytes(self, content: Any = b"", encoding: str = "latin1") -> bytes:
        self._copied(content, str | bytes)
        if encoding not in ("latin1", "latin-1"):
            raise self._error(f"bytes in the encoding {encoding!r} are refused; expected latin1, as pickle writes it")
        return content.encode("latin1") if isinstance(content, str) else bytes(content)

    def _copied(self, items: Any, kind: Any) -> Any:
        """``items``, counted: a small file could else have one long list copied many times."""
        if not isinstance(items, kind):
            raise self._error(f"damaged pickle: a container can't be built of a {type(items).__name__}")
        self.budget -= len(items)
        if self.budget < 0:
            raise self._error("it builds containers larger than the file itself")
        return items

    def _key(self, key: Any) -> Any:
        """A key of a dict or an element of a set, which Python will hash: a nest of tuples must be small."""
        pending, count = [key], 0
        while pending:
            item = pending.pop()
            count += 1
            if count > 1000:
                raise self._error("a key of more than 1000 elements")
            if isinstance(item, tuple | frozenset):
                pending.extend(item)
            elif not isinstance(item, _KEYS):
                raise self._error(f"damaged pickle: a {type(item).__name__} as a key")
        return key

    def _check_result(self, value: Any) -> None:
        """No builder or storage may get out, and the nest mustn't be deeper than Python can walk."""
        level: list[Any] = [value]
        seen: set[int] = set()
        depth = 0
        while level:
            depth += 1
            if depth > MAX_DEPTH:
                raise self._error(f"containers nested more than {MAX_DEPTH} deep")
            inner: list[Any] = []
            for item in level:
                if isinstance(item, dict):
                    inner += (*item.keys(), *item.values(), vars(item) if isinstance(item, OrderedDict) else None)
                elif type(item) in (list, tuple, set, frozenset, Size):
                    inner += item
                elif not isinstance(item, (*_KEYS, bytearray)):
                    name = item.name if isinstance(item, Builder) else type(item).__name__
                    raise self._error(f"Unsupported global: {name} is refused where a value is expected")
            level = list({id(item): item for item in inner if id(item) not in seen}.values())
            seen.update(map(id, level))


def set_attributes(target: Any, state: Mapping[Any, Any], source: str) -> None:
    """Give ``target`` the attributes that it had when it was saved, unless they would hide its own."""
    for name, value in state.items():
        if not isinstance(name, str) or hasattr(type(target), name) or name in Tensor.__annotations__:
            raise CheckpointError(f"{source}: attribute {name!r} of a {type(target).__name__} is refused")
        target.__dict__[name] = value
