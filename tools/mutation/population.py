"""Every mutant of a source file: the operators are mutmut's, what may be mutated is decided here."""

from __future__ import annotations

import difflib
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace

import libcst as cst
from libcst.metadata import CodeRange, MetadataWrapper, PositionProvider, WhitespaceInclusivePositionProvider
from mutmut.mutation.mutators import mutation_operators

TEST_PARTS = {"samples", "reference", "refuses", "exempt"}  # an op's declarations that are the kit's, not the op's
LABELS = {"__name__", "__qualname__", "__doc__", "__module__", "__all__"}
PRINTED = {"grad_name", "strict"}  # keywords: what is printed, and what asserts that lengths are equal
NAMING = {"inplace_method", "op_method", "return_type", "tensor_method"}  # functions that give a name to something
NAMES = {"name", "method", "inplace", "reflected"}  # keywords of declarations: how an op is called
CERTAIN = {"len", "isinstance"}  # mutmut leaves calls of these alone: without an argument they always fail


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    path: str
    scope: str  # the outermost function that it lies in, "" for the module's own statements
    operator: str
    old: str  # the changed lines, before
    new: str  # and after
    occurrence: int  # counts mutants that are alike in all of the above
    first: int  # the statement's lines
    last: int
    at_import: bool  # whether the changed code runs when the module is imported, and only then
    is_name: bool  # whether it changes what something is called, and not what it does
    start: int  # what is replaced in the source, in characters
    stop: int
    text: str  # and by what

    @property
    def key(self) -> str:
        """What is the same in the next run, when lines have moved."""
        parts = (self.path, self.scope, self.operator, self.old, self.new, str(self.occurrence))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]

    def applied(self, source: str) -> str:
        """The source of the mutated file."""
        return source[: self.start] + self.text + source[self.stop :]


@dataclass(frozen=True)
class _Place:
    """Where in the file a node stands."""

    scope: tuple[str, ...] = ()
    at_import: bool = True
    is_name: bool = False
    first: int = 0
    last: int = 0
    indent: int = 0


def mutants(path: str, source: str) -> list[Mutant]:
    """The mutants of a file, without those that change what no behaviour depends on.

    Left out: annotations and type aliases, docstrings, ``__all__`` and ``__name__``-like labels, blocks for type
    checkers, messages (``raise``, ``assert``, f-strings), and the samples and references of ops, which are the test.
    """
    return list(_Finder(path, source).all())


class _Finder:
    def __init__(self, path: str, source: str) -> None:
        wrapper = MetadataWrapper(cst.parse_module(source))
        self.path, self.source, self.module = path, source, wrapper.module
        self.positions = wrapper.resolve(WhitespaceInclusivePositionProvider)
        self.syntactic = wrapper.resolve(PositionProvider)
        self.lines = source.splitlines(keepends=True)
        self.offsets = [0]
        for line in self.lines:
            self.offsets.append(self.offsets[-1] + len(line))
        self.seen: Counter[tuple[str, ...]] = Counter()

    def all(self) -> Iterator[Mutant]:
        for statement in self.module.body:
            yield from self.walk(statement, _Place())

    def code(self, node: cst.CSTNode, place: _Place) -> str:
        """A node's source, as deeply indented as its statement."""
        return self.module.code_for_node(node).replace("\n", "\n" + " " * place.indent)

    def range(self, node: cst.CSTNode) -> CodeRange:
        return self.positions[node]

    def walk(self, node: cst.CSTNode, place: _Place) -> Iterator[Mutant]:
        if _is_left_out(node, place):
            return
        if isinstance(node, cst.SimpleStatementLine | cst.BaseCompoundStatement):
            lines = self.syntactic[node]
            place = replace(place, first=lines.start.line, last=lines.end.line, indent=lines.start.column)
        match node:
            case cst.Arg(keyword=cst.Name(value=name)) if name in NAMES:
                place = replace(place, is_name=place.at_import)
            case cst.Call(func=cst.Name(value=name)) | cst.Decorator(decorator=cst.Name(value=name)) if name in NAMING:
                place = replace(place, is_name=place.at_import)
        yield from self.here(node, place)
        inside = place
        if isinstance(node, cst.FunctionDef):
            inside = replace(place, scope=(*place.scope, _function_name(node)), at_import=False)
        elif isinstance(node, cst.ClassDef):
            inside = replace(place, scope=(*place.scope, node.name.value))
        elif isinstance(node, cst.Lambda):
            body = self.range(node.body)
            inside = replace(place, at_import=False, first=body.start.line, last=body.end.line)
        elif isinstance(node, cst.If | cst.While):
            test = self.range(node.test)
            place = replace(place, first=test.start.line, last=test.end.line)
        for child in node.children:
            is_body = child is getattr(node, "body", None)
            yield from self.walk(child, inside if is_body else place)

    def here(self, node: cst.CSTNode, place: _Place) -> Iterator[Mutant]:
        for kind, operator in mutation_operators:
            if not isinstance(node, kind):
                continue
            for mutated in operator(node):
                argument = _changed_argument(node, mutated)
                keyword = argument.keyword.value if argument is not None and argument.keyword is not None else ""
                if keyword in TEST_PARTS | PRINTED or (argument is not None and _is_own_name(argument.value, place)):
                    continue
                is_name = place.is_name or (place.at_import and keyword in NAMES)
                name = operator.__name__.removeprefix("operator_")
                yield self.made(node, mutated, name, replace(place, is_name=is_name))

    def made(self, node: cst.CSTNode, mutated: cst.CSTNode, operator: str, place: _Place) -> Mutant:
        at = self.range(node)
        start = self.offsets[at.start.line - 1] + at.start.column
        stop = self.offsets[at.end.line - 1] + at.end.column
        text = self.code(mutated, place)
        assert self.source[start:stop] == self.code(node, place), f"{self.path}:{at.start.line} isn't found again"
        old, new = self.changed_lines(at, text)
        scope = ".".join(place.scope)
        alike = (scope, operator, old, new)
        self.seen[alike] += 1
        first = place.first or at.start.line
        return Mutant(
            self.path, scope, operator, old, new, self.seen[alike], first, place.last or at.end.line,
            place.at_import, place.is_name, start, stop, text,
        )  # fmt: skip

    def changed_lines(self, at: CodeRange, text: str) -> tuple[str, str]:
        """The lines that differ when ``text`` stands at a place, before and after, without their indentation."""
        lines = self.lines[at.start.line - 1 : at.end.line]
        mutated = (lines[0][: at.start.column] + text + lines[-1][at.end.column :]).splitlines(keepends=True)
        gone, come = [], []
        for tag, a, b, c, d in difflib.SequenceMatcher(None, lines, mutated, autojunk=False).get_opcodes():
            if tag != "equal":
                gone += lines[a:b]
                come += mutated[c:d]
        return "\n".join(line.strip() for line in gone), "\n".join(line.strip() for line in come)


def _function_name(node: cst.FunctionDef) -> str:
    """A function's name; for ``@op.check def _`` that of its decorator."""
    if node.name.value != "_" or not node.decorators:
        return node.name.value
    return cst.Module([]).code_for_node(node.decorators[0].decorator)


def _is_left_out(node: cst.CSTNode, place: _Place) -> bool:
    match node:
        case cst.Annotation() | cst.TypeParameters() | cst.Raise() | cst.Assert() | cst.FormattedString():
            return True
        case cst.Import() | cst.ImportFrom() | cst.ConcatenatedString():
            return True
        case cst.Expr(value=cst.SimpleString()):
            return True
        case cst.SimpleString() if _is_own_name(node, place) or " " in str(node.evaluated_value):
            return True  # the latter is a text
        case cst.Call(func=cst.Name(value=name)) if name in CERTAIN or name in {"TypeVar", "cast"}:
            return True
        case cst.Call(func=cst.Attribute(attr=cst.Name(value=name))) if name in TEST_PARTS or name == "warn":
            return True
        case cst.Arg(keyword=cst.Name(value=name)) if name in TEST_PARTS | PRINTED:
            return True
        case cst.If(test=cst.Name(value="TYPE_CHECKING")):
            return True
        case cst.FunctionDef():
            return any(_is_test_part(d.decorator) for d in node.decorators)
        case cst.Assign():
            return all(_is_label(target.target) for target in node.targets) or (
                not place.scope and _is_type_alias(node)
            )
    return False


def _is_test_part(decorator: cst.BaseExpression) -> bool:
    match decorator:
        case cst.Attribute(attr=cst.Name(value=name)):
            return name in TEST_PARTS
        case cst.Call(func=function):
            return _is_test_part(function)
        case cst.Name(value="overload"):
            return True
    return False


def _is_label(target: cst.BaseExpression) -> bool:
    match target:
        case cst.Attribute(attr=cst.Name(value=name)) | cst.Name(value=name):
            return name in LABELS
        case cst.Tuple(elements=elements):
            return all(_is_label(element.value) for element in elements)
    return False


def _is_type_alias(node: cst.Assign) -> bool:
    """``Pair = tuple[int, int]``: read by type checkers alone."""
    match node.targets[0].target, node.value:
        case cst.Name(value=name), cst.Subscript() | cst.Attribute() | cst.Name() | cst.BinaryOperation():
            return name[0].isupper() and not name.isupper()
    return False


def _changed_argument(node: cst.CSTNode, mutated: cst.CSTNode) -> cst.Arg | None:
    """The argument that a mutant of a call removes or replaces."""
    if isinstance(node, cst.Call) and isinstance(mutated, cst.Call):
        for index, argument in enumerate(node.args):
            if index >= len(mutated.args) or mutated.args[index] is not argument:
                return argument
    return None


def _is_own_name(node: cst.CSTNode, place: _Place) -> bool:
    """Whether it is the name of the function around it, which a check gets for its messages."""
    if not isinstance(node, cst.SimpleString) or not place.scope:
        return False
    return str(node.evaluated_value).rstrip("_") == place.scope[0].partition(".")[0].strip("_")
