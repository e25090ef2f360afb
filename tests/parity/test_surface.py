"""Every name of the surface is in both libraries, with PyTorch's parameters; docs/pytorch.md says what differs."""

import ast
import importlib
import inspect
import re

import pytest

import tinygrad_cnn as tg
from tests.parity.compare import torch
from tests.parity.surface import DIFFERENCES, NAMES, OTHER_SIGNATURES, PAGE, page, qualified_names

NOT_HERE = {"out", "layout", "pin_memory", "memory_format"}  # of every name, see surface.EVERYWHERE
# Built-ins whose docstring doesn't say what they accept: broadcast_to's parameter is size, squeeze documents types,
# and correction=None means 1.
MISDOCUMENTED = {"broadcast_to", "squeeze", "std", "var", "var_mean"}
SURFACE = [name for section in NAMES for name in qualified_names(section)]

for module in ("utils.checkpoint", "utils.data", "optim.swa_utils", "autograd.graph"):
    importlib.import_module(f"torch.{module}")  # PyTorch doesn't import them by itself


def resolve(library, name):
    for part in name.split("."):
        library = getattr(library, part)
    return library


def same_default(ours, theirs):
    """Whether two defaults mean the same: the libraries' dtypes, generators and sequences are their own."""
    if isinstance(ours, tuple | list) and isinstance(theirs, tuple | list):
        return list(ours) == list(theirs)
    return ours == theirs or repr(ours) == repr(theirs)


def inspected(value):
    """The parameters' names and defaults, without what is absent everywhere; None where they can't be inspected."""
    try:
        parameters = list(inspect.signature(value).parameters.values())
    except (TypeError, ValueError):
        return None
    if all(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters) and len(parameters) == 2:
        return None  # (*args, **kwargs): a wrapper that hides the parameters
    return {p.name: p.default for p in parameters if p.name not in NOT_HERE}


def documented(value):
    """The same, from the first line of a built-in function's docstring, where None says little about the default."""
    line = re.match(r"[\w.]+\((.*)\) ->", (value.__doc__ or "").strip().replace("\\*", "*"))
    if line is None:
        return None
    found = {}
    for part in re.split(r",\s*(?![^(\[]*[)\]])", line[1]):
        name, _, default = part.partition("=")
        name = name.partition(":")[0].strip()
        if name and not name.startswith("*") and name not in NOT_HERE:
            try:
                found[name] = ast.literal_eval(default or "None")
            except (ValueError, SyntaxError):
                found[name] = None  # torch.float32 and the like
    return found


def mismatch(name):
    """What differs between the signatures of one name, as text; "" for nothing."""
    theirs, ours = resolve(torch, name), resolve(tg, name)
    last = name.rpartition(".")[2]
    if not callable(theirs) or last.startswith("__") or isinstance(theirs, torch.dtype):
        return ""
    our = inspected(ours)
    their = inspected(theirs)
    if our is None:
        return ""
    if their is None:  # a built-in: its docstring names parameters, and ours may have those of further forms
        if name.startswith("Tensor.") or inspect.isclass(theirs):
            return ""
        their = {} if name in MISDOCUMENTED else documented(theirs) or {}
        variadic = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(ours).parameters.values())
        missing = their.keys() - our.keys()
        if missing and not variadic:
            return f"missing {sorted(missing)}"
        pairs = [(key, d, our[key]) for key, d in their.items() if d is not None and key in our]
    else:
        if isinstance(resolve(torch, name.rpartition(".")[0]) if "." in name else None, type):
            their, our = dict(list(their.items())[1:]), dict(list(our.items())[1:])  # self, which has no one name
        if list(their) != list(our):
            return f"theirs ({', '.join(their)}), ours ({', '.join(our)})"
        pairs = [(key, d, our[key]) for key, d in their.items()]
    return "; ".join(f"{key}: theirs {t!r}, ours {o!r}" for key, t, o in pairs if not same_default(o, t))


@pytest.mark.parametrize("name", SURFACE)
def test_the_name_is_in_both_libraries(name):
    for library in (torch, tg):
        resolve(library, name)


@pytest.mark.parametrize("name", sorted(set(SURFACE) - OTHER_SIGNATURES))
def test_parameters_and_defaults_are_pytorchs(name):
    assert not mismatch(name)


@pytest.mark.parametrize("name", sorted(OTHER_SIGNATURES))
def test_what_is_listed_as_another_signature_is_one(name):
    assert name in DIFFERENCES
    assert mismatch(name) or name == "unique", "the signatures agree by now: take the name off OTHER_SIGNATURES"


def test_the_tables_agree_with_each_other():
    assert len(SURFACE) == len(set(SURFACE)), "a name is listed twice"
    assert not set(DIFFERENCES) - set(SURFACE), "a difference of a name that isn't listed"


def test_the_page_is_up_to_date():
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m tests.parity.surface"
