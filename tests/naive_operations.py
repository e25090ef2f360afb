"""The operations of the naive graph, by name, made of its few moves and functions."""

from __future__ import annotations

import numpy as np

from tests.naive_graph import (
    Call,
    Tensor,
    call,
    constant,
    exp,
    expand,
    make,
    matmul,
    needed,
    over,
    overwritten,
    places_of,
    plus,
    read,
    same,
    scale,
    scatter,
    sin,
    state,
    take,
    tanh,
    times,
    view,
)


def pairwise(function):
    """An operation on two values, after broadcasting both."""

    def broadcast(a, b):
        shape = np.broadcast_shapes(a.array.shape, b.array.shape)
        return function(expand(a, shape), expand(b, shape))

    return broadcast


def minus(a, b):
    return plus(a, scale(b, -1))


def total(x, dim=None):
    shape = x.array.shape
    if dim is None:
        return scatter(x, np.zeros(shape, int), ())
    out = shape[:dim] + shape[dim + 1 :]
    return scatter(x, np.broadcast_to(np.expand_dims(places_of(out), dim), shape), out)


def joined(places, shape):
    """A function of several values that puts the elements of each at places of its own."""

    def join(*values):
        out = None
        for value, at in zip(values, places, strict=True):
            part = scatter(value, at, shape)
            out = part if out is None else plus(out, part)
        return same(out)

    return join


def cat(tensors):
    sizes = [t.places.size for t in tensors]
    rows = sum(t.shape[0] for t in tensors)
    whole = places_of((rows, *tensors[0].shape[1:]))
    parts = np.split(whole.reshape(-1), np.cumsum(sizes)[:-1])
    places = [p.reshape(t.shape) for p, t in zip(parts, tensors, strict=True)]
    return call(joined(places, whole.shape), *tensors)


def stack(tensors):
    whole = places_of((len(tensors), *tensors[0].shape))
    return call(joined(list(whole), whole.shape), *tensors)


def cube_value(x):
    """The Function ``Cube``: its backward is 3 x² g, whatever it was computed by."""
    return make(lambda v: v**3, lambda g, out, x: [times(scale(g, 3), times(x, x))], x, multiplies=True)


def exp_and_double(tensor):
    """The Function ``ExpAndDouble``: two outputs of one call, the first of which it saves."""
    if not (state.recording and tensor.requires_grad):
        return [call(exp, tensor), call(lambda x: scale(x, 2), tensor)]
    size, shape = tensor.places.size, tensor.shape
    outs = []

    def pull(g, both, x):
        g_exp, g_double = (take(g, places_of(shape) + start) for start in (0, size))
        return [plus(times(g_exp, outs[0]), scale(g_double, 2))]

    both = make(lambda v: np.concatenate([np.exp(v).reshape(-1), 2 * v.reshape(-1)]), pull, read(tensor))
    outs += [take(both, places_of(shape) + start) for start in (0, size)]
    tensors = [Tensor.of(out) for out in outs]
    shared = Call([tensors[0].memory])
    for out in outs:
        out.call = shared
    return tensors


def together(tensor, groups):
    """Several views of one tensor, made by one call."""
    shared = Call()
    return [view(tensor, places, shared) for places in groups]


def index(tensor, key):
    return places_of(tensor.shape)[key if isinstance(key, tuple) else (key, ...)]


def add_number(number):
    return lambda x: plus(x, constant(np.full(x.array.shape, number)))


def zero_grad(tensor, set_to_none):
    """What an optimizer does before a step."""
    if set_to_none:
        tensor.grad = None
    elif tensor.grad is not None:
        tensor.grad.value = constant(tensor.grad.numpy())
        tensor.grad.write(0.0)


def assign_at(tensor, key, value):
    """``tensor[key] = value``, a Tensor or a number."""
    tensor.check_places()
    part = view(tensor, index(tensor, key))
    if isinstance(value, Tensor):
        part.assign(lambda a, b: same(expand(b, a.array.shape)), [value])
    else:
        part.assign(lambda a: constant(np.full(a.array.shape, value)))


def copied(whole, new):
    return overwritten(whole, expand(new, whole.array.shape), places_of(whole.array.shape))


operations = {
    "add": lambda a, b: call(pairwise(plus), a, b),
    "sub": lambda a, b: call(pairwise(minus), a, b),
    "mul": lambda a, b: call(pairwise(times), a, b, saved=needed(a, b, b, a)),
    "div": lambda a, b: call(pairwise(over), a, b, saved=[*needed(a, b, b, a), b.memory]),
    "matmul": lambda a, b: call(matmul, a, b, saved=needed(a, b, b, a)),
    "neg": lambda x: call(lambda v: scale(v, -1), x),
    "times_number": lambda x: call(lambda v: scale(v, 1.5), x, keeps=True),
    "plus_number": lambda x: call(add_number(0.5), x),
    "square": lambda x: call(lambda v: times(v, v), x, saved=[x.memory]),
    "exp": lambda x: call(exp, x, saves_out=True),
    "tanh": lambda x: call(tanh, x, saves_out=True),
    "sin": lambda x: call(sin, x, saved=[x.memory]),
    "sum": lambda x: call(total, x),
    "sum_first": lambda x: call(lambda v: total(v, 0), x),
    "clone": lambda x: call(same, x),
    "cube": lambda x: call(cube_value, x, saved=[x.memory]),
    "exp_and_double": exp_and_double,
    "detach": Tensor.detach,
    "index": lambda x, key: view(x, index(x, key)),
    "transpose": lambda x: view(x, places_of(x.shape).swapaxes(0, -1)),
    "unsqueeze": lambda x: view(x, places_of(x.shape)[None]),
    "flatten": lambda x: view(x, places_of(x.shape).reshape(-1)),
    "expand": lambda x: view(x, np.broadcast_to(places_of(x.shape), (2, *x.shape))),
    "unbind": lambda x: together(x, list(places_of(x.shape))),
    "split": lambda x: together(x, [places_of(x.shape)[:1], places_of(x.shape)[1:]]),
    "cat": lambda *tensors: cat(tensors),
    "stack": lambda *tensors: stack(tensors),
    "add_": lambda x, y: x.assign(lambda a, b: plus(a, expand(b, a.array.shape)), [y]),
    "mul_": lambda x, y: x.assign(lambda a, b: times(a, expand(b, a.array.shape)), [y], needed(x, y, y, x)),
    "times_number_": lambda x: x.assign(lambda a: scale(a, 1.5), keeps=True),
    "exp_": lambda x: x.assign(exp, saves_out=True),
    "sin_": lambda x: x.assign(sin, saved=[x.memory]),
    "zero_": lambda x: x.assign(lambda a: scale(a, 0)),
    "copy_": lambda x, y: x.assign(copied, [y]),
    "setitem": assign_at,
}
