"""The steps of a random program on tensors, as data: chosen once, then run on any library with PyTorch's names.

A step is a name with plain arguments (positions in the list of tensors, numbers, names), so that the same program runs
on this library, on PyTorch, and on the naive graph. ``choose`` looks at one library's tensors and draws the arguments,
or returns None where the step makes no sense; ``run`` does it.
"""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np

from tests import naive_graph, naive_operations

SHAPES = [(), (2,), (3,), (2, 3), (1, 3), (2, 1)]
UNARY = ["neg", "times_number", "plus_number", "square", "exp", "tanh", "sin", "sum", "sum_first", "clone", "cube"]
UNARY += ["exp_and_double"]
BINARY = ["add", "sub", "mul", "div", "matmul"]
VIEWS = ["index", "index", "transpose", "unsqueeze", "flatten", "expand", "detach", "detach", "unbind", "split"]
INPLACE = ["times_number_", "exp_", "sin_", "zero_"]
INPLACE_BINARY = ["add_", "mul_", "copy_"]
KEYS = [0, slice(1, None), slice(None, None, 2), (..., -1), (..., slice(0, 2))]
MODES = ["plain"] * 6 + ["enable_grad"] + ["no_grad"] * 2 + ["inference_mode"]
WRITING_MODES = ["plain"] * 4 + ["no_grad"] * 4 + ["enable_grad", "inference_mode"]
HOOKS = {
    "look": lambda g: None,
    "scale": lambda g: g * 1.5,
    "shift": lambda g: g + 0.25,
    "square": lambda g: g * g,
}
LARGEST, LONGEST, MOST = 50.0, 12, 12  # size of a number, elements of a tensor, tensors at once


KINDS = ["leaf", "unary", "unary", "binary", "binary", "view", "join", "overwrite", "overwrite_binary", "assign"]
KINDS += ["set_requires_grad", "add_hook", "add_after_hook", "remove_hook", "retain_grad", "backward", "backward"]
KINDS += ["grad", "grad", "zero_grad", "take_grad", "forget"]


class Torchlike:
    """A library with PyTorch's names."""

    def __init__(self, library):
        self.library = library
        self.operations = torchlike_operations(library)

    def leaf(self, values, requires_grad):
        return self.library.tensor(values, dtype=self.library.float64, requires_grad=requires_grad)

    @contextmanager
    def mode(self, name):
        if name == "enable_grad":  # where it makes a difference
            with self.library.no_grad(), self.library.enable_grad():
                yield
        elif name == "plain":
            yield
        else:
            with getattr(self.library, name)():
                yield

    def hook(self, name):
        return HOOKS[name]

    def array(self, tensor):
        return tensor.detach().numpy().copy()

    def grad(self, output, inputs, **settings):
        return self.library.autograd.grad(output, inputs, **settings)

    def zero_grad(self, tensor, set_to_none):
        self.library.optim.SGD([tensor], lr=0.1).zero_grad(set_to_none=set_to_none)


class Naive:
    """The naive graph behind the same names."""

    operations = naive_operations.operations

    def leaf(self, values, requires_grad):
        tensor = naive_graph.Tensor.of(naive_graph.constant(values))
        return tensor.requires_grad_() if requires_grad else tensor

    def mode(self, name):
        return naive_graph.mode(name)

    def hook(self, name):
        operations = {
            "look": lambda g: None,
            "scale": naive_operations.operations["times_number"],
            "shift": lambda g: naive_graph.call(naive_operations.add_number(0.25), g),
            "square": lambda g: naive_operations.operations["mul"](g, g),
        }
        return operations[name]

    def array(self, tensor):
        return tensor.numpy().copy()

    def grad(self, output, inputs, grad_outputs=None, **settings):
        return naive_graph.grad(output, inputs, grad_outputs, **settings)

    def zero_grad(self, tensor, set_to_none):
        naive_operations.zero_grad(tensor, set_to_none)


def torchlike_operations(T):
    class Cube(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x**3

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            return g * 3 * (x * x)

    class ExpAndDouble(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            out = x.exp()
            ctx.save_for_backward(out)
            return out, x * 2

        @staticmethod
        def backward(ctx, g_exp, g_double):
            (out,) = ctx.saved_tensors
            return g_exp * out + g_double * 2

    return {
        "add": lambda a, b: a + b,
        "sub": lambda a, b: a - b,
        "mul": lambda a, b: a * b,
        "div": lambda a, b: a / b,
        "matmul": lambda a, b: a @ b,
        "neg": lambda x: -x,
        "times_number": lambda x: x * 1.5,
        "plus_number": lambda x: x + 0.5,
        "square": lambda x: x * x,
        "exp": lambda x: x.exp(),
        "tanh": lambda x: x.tanh(),
        "sin": lambda x: x.sin(),
        "sum": lambda x: x.sum(),
        "sum_first": lambda x: x.sum(0),
        "clone": lambda x: x.clone(),
        "cube": Cube.apply,
        "exp_and_double": ExpAndDouble.apply,
        "detach": lambda x: x.detach(),
        "index": lambda x, key: x[key],
        "transpose": lambda x: x.transpose(0, -1),
        "unsqueeze": lambda x: x.unsqueeze(0),
        "flatten": lambda x: x.view(-1),
        "expand": lambda x: x.expand(2, *x.shape),
        "unbind": lambda x: x.unbind(),
        "split": lambda x: x.split([1, x.shape[0] - 1]),
        "cat": lambda *tensors: T.cat(tensors),
        "stack": lambda *tensors: T.stack(tensors),
        "add_": lambda x, y: x.add_(y),
        "mul_": lambda x, y: x.mul_(y),
        "times_number_": lambda x: x.mul_(1.5),
        "exp_": lambda x: x.exp_(),
        "sin_": lambda x: x.sin_(),
        "zero_": lambda x: x.zero_(),
        "copy_": lambda x, y: x.copy_(y),
        "setitem": lambda x, key, value: x.__setitem__(key, value),
    }


class World:
    """The tensors of a running program in one library, what its hooks saw, and how to run a step."""

    def __init__(self, library, beside_pytorch=False):
        self.library = library
        self.beside_pytorch = beside_pytorch
        self.tensors = []
        self.leaves = []  # beside PyTorch, whose graph holds its leaves; ours lets forgotten ones go
        self.uncounted = []  # beside PyTorch: tensors whose version is the library's affair
        self.seen = {}  # by hook: the gradients that it was shown
        self.handles = []

    def run(self, step):
        name, *arguments = step
        getattr(self, name)(*arguments)

    def keep(self, made):
        self.tensors.extend(made if isinstance(made, list | tuple) else [made])

    def leaf(self, values, requires_grad):
        self.keep(self.library.leaf(values, requires_grad))
        if self.beside_pytorch:
            self.leaves.append(self.tensors[-1])

    def operate(self, name, positions, mode, *settings):
        with self.library.mode(mode):
            made = self.library.operations[name](*[self.tensors[i] for i in positions], *settings)
        self.keep(made)

    def overwrite(self, name, positions, mode, *settings):
        with self.library.mode(mode):
            self.library.operations[name](*[self.tensors[i] for i in positions], *settings)

    def assign(self, position, key, value, mode):
        """``value`` is a number, or the position of a tensor in a list of one."""
        value = self.tensors[value[0]] if isinstance(value, list) else value
        with self.library.mode(mode):
            self.library.operations["setitem"](self.tensors[position], key, value)

    def set_requires_grad(self, position, wanted):
        self.tensors[position].requires_grad_(wanted)

    def add_hook(self, position, name, number):
        change, seen, array = self.library.hook(name), self.seen.setdefault(number, []), self.library.array

        def hook(gradient):
            if gradient is None:  # PyTorch also runs it where no gradient arrives
                return None
            seen.append((array(gradient), gradient.requires_grad))
            return change(gradient)

        self.handles.append(self.tensors[position].register_hook(hook))

    def add_after_hook(self, position, number):
        seen, array = self.seen.setdefault(number, []), self.library.array

        def hook(leaf):
            if leaf.grad is not None and leaf.requires_grad:  # PyTorch also runs it when the leaf was switched off
                seen.append((array(leaf.grad), leaf.grad.requires_grad))

        self.handles.append(self.tensors[position].register_post_accumulate_grad_hook(hook))

    def remove_hook(self, number):
        self.handles.pop(number).remove()

    def retain_grad(self, position):
        self.tensors[position].retain_grad()

    def upstream(self, values, recorded, create):
        if values is None:
            return None
        if isinstance(values, int) and not create and not self.beside_pytorch:
            return self.tensors[values]
        if isinstance(values, int):  # what comes back may share its memory: in PyTorch, and where it is recorded
            with self.library.mode("plain" if recorded else "no_grad"):
                return self.library.operations["times_number"](self.tensors[values])
        return self.library.leaf(values, False)

    def backward(self, position, inputs, upstream, recorded, retain, create):
        g = self.upstream(upstream, recorded, create)
        extra = {} if inputs is None else {"inputs": [self.tensors[i] for i in inputs]}
        self.tensors[position].backward(g, retain_graph=retain, create_graph=create, **extra)

    def grad(self, position, inputs, upstream, recorded, retain, create, allow_unused):
        g = self.upstream(upstream, recorded, create)
        found = self.library.grad(
            self.tensors[position],
            [self.tensors[i] for i in inputs],
            grad_outputs=g,
            retain_graph=retain,
            create_graph=create,
            allow_unused=allow_unused,
        )
        found = [g for g in found if g is not None]
        if create or self.beside_pytorch:  # they may share memory: in PyTorch, and where they are recorded
            found = [self.library.operations["clone"](g) for g in found]
        self.keep(found)
        if self.beside_pytorch:
            self.uncounted.extend(found)

    def zero_grad(self, position, set_to_none):
        self.library.zero_grad(self.tensors[position], set_to_none)

    def take_grad(self, position):
        self.keep(self.tensors[position].grad)
        if self.beside_pytorch:
            self.uncounted.append(self.tensors[-1])

    def forget(self, position):
        del self.tensors[position]

    def untouched(self):
        """The positions of the tensors that a pass does not change, even if it is given up half-way."""
        gradients = [t.grad for t in self.tensors if t.grad is not None]
        return [i for i, t in enumerate(self.tensors) if t.is_leaf and not any(t is g for g in gradients)]

    def recover(self, positions):
        """After a pass that was given up half-way: only these tensors stay, without gradients or hooks."""
        self.tensors = [self.tensors[i] for i in positions]
        for tensor in self.tensors:
            tensor.grad = None
        while self.handles:
            self.remove_hook(0)
        self.seen.clear()


# ------------------------------------------------------------------------------------------------ choices
class Chooser:
    """Draws the arguments of a step for the tensors of ``world``; ``draw(n)`` is a number from 0 to n - 1."""

    def __init__(self, world, most_inputs=2):
        self.world = world
        self.most_inputs = most_inputs  # of grad()
        self.hooks = 0

    def choose(self, kind, draw):
        """A step of this kind, or None where there can be none now."""
        self.draw = draw
        return getattr(self, kind)()

    def one_of(self, options):
        return options[self.draw(len(options))]

    def position(self, fits=lambda tensor: True):
        """The position of a tensor that fits, or None."""
        found = [i for i, t in enumerate(self.world.tensors) if fits(t)]
        return self.one_of(found) if found else None

    def array(self, position):
        return self.world.library.array(self.world.tensors[position])

    def numbers(self, shape):
        count = int(np.prod(shape))
        values = np.array([(self.draw(31) - 15) / 8 or 0.125 for _ in range(count)])
        return values.reshape(shape)

    @property
    def full(self):
        return len(self.world.tensors) >= MOST

    # ---- tensors
    def leaf(self):
        return None if self.full else ("leaf", self.numbers(self.one_of(SHAPES)), self.draw(4) > 0)

    def unary(self):
        x, name = self.position(), self.one_of(UNARY)
        if x is None or self.full or not self.sane(name, [self.array(x)]):
            return None
        return ("operate", name, [x], self.one_of(MODES))

    def binary(self):
        x, y, name = self.position(), self.position(), self.one_of(BINARY)
        if x is None or self.full or not self.sane(name, [self.array(x), self.array(y)]):
            return None
        return ("operate", name, [x, y], self.one_of(MODES))

    def join(self):
        x = self.position()
        if x is None or self.full:
            return None
        shape = self.world.tensors[x].shape
        y, name = self.position(lambda t: t.shape == shape), self.one_of(["cat", "stack"])
        size = 2 * int(np.prod(shape))
        if size > LONGEST or (name == "cat" and not shape):
            return None
        return ("operate", name, [x, y], self.one_of(MODES))

    def view(self):
        name = self.one_of(VIEWS)
        x = self.position(lambda t: name in ("unsqueeze", "expand", "detach") or t.ndim > 0)
        if x is None or self.full:
            return None
        tensor, settings = self.world.tensors[x], []
        if name == "index":
            if not tensor.numel():
                return None
            settings = [self.one_of(KEYS)]
        if name == "flatten" and not tensor.is_contiguous():
            return None
        if name == "expand" and 2 * tensor.numel() > LONGEST:
            return None
        if name in ("unbind", "split") and not 1 <= tensor.shape[0] <= 3:
            return None
        return ("operate", name, [x], self.one_of(MODES), *settings)

    def sane(self, name, arrays):
        """Whether the shapes fit and the numbers stay moderate."""
        if any(not a.size for a in arrays) and name == "matmul":
            return False
        shapes = [a.shape for a in arrays]
        if name == "matmul" and not (len(shapes[0]) == len(shapes[1]) == 2 and shapes[0][1] == shapes[1][0]):
            return False
        if name == "sum_first" and not shapes[0]:
            return False
        if name == "div" and (np.abs(arrays[1]) < 0.2).any():
            return False
        try:
            results = NUMERIC.get(name, lambda *a: a[0])(*arrays)
        except ValueError:
            return False
        results = results if isinstance(results, tuple) else (results,)
        return all(np.size(r) <= LONGEST and (np.abs(r) < LARGEST).all() for r in results)

    # ---- in place
    def overwrite(self):
        x, name = self.position(), self.one_of(INPLACE)
        if x is None or not self.sane(name, [self.array(x)]):
            return None
        return ("overwrite", name, [x], self.one_of(WRITING_MODES))

    def overwrite_binary(self):
        x, y, name = self.position(), self.position(), self.one_of(INPLACE_BINARY)
        if x is None or (name == "copy_" and self.world.tensors[x] is self.world.tensors[y]):
            return None
        a, b = self.array(x), self.array(y)
        try:
            fits = np.broadcast_shapes(a.shape, b.shape) == a.shape
        except ValueError:
            fits = False
        if not fits or not self.sane(name, [a, b]):
            return None
        return ("overwrite", name, [x, y], self.one_of(WRITING_MODES))

    def assign(self):
        x = self.position(lambda t: t.ndim > 0 and t.numel() > 0)
        if x is None:
            return None
        key = self.one_of(KEYS)
        part = self.array(x)[key].shape
        y = self.position(lambda t: t.shape in ((), part))
        value = 0.75 if y is None or not self.draw(3) else [y]
        return ("assign", x, key, value, self.one_of(WRITING_MODES))

    # ---- the graph
    def set_requires_grad(self):
        x = self.position(lambda t: t.is_leaf and t._base is None)
        return None if x is None else ("set_requires_grad", x, self.draw(3) > 0)

    def add_hook(self):
        x = self.position(lambda t: t.requires_grad)
        self.hooks += 1
        return None if x is None else ("add_hook", x, self.one_of(list(HOOKS)), self.hooks)

    def add_after_hook(self):
        x = self.position(lambda t: t.requires_grad and t.is_leaf)
        self.hooks += 1
        return None if x is None else ("add_after_hook", x, self.hooks)

    def remove_hook(self):
        return ("remove_hook", self.draw(len(self.world.handles))) if self.world.handles else None

    def retain_grad(self):
        x = self.position(lambda t: t.requires_grad)
        return None if x is None else ("retain_grad", x)

    def upstream(self, x, create):
        """The gradient to start from: none, numbers, or (the position of) a tensor, recorded or not."""
        tensor = self.world.tensors[x]
        kind = self.draw(4)
        if kind == 0:
            y = self.position(lambda t: t.shape == tensor.shape)
            return y, create and self.draw(2) == 0
        return (None if kind == 1 and tensor.numel() == 1 else self.numbers(tensor.shape)), False

    def pass_settings(self):
        return self.one_of([True, True, False, None]), self.draw(3) == 0

    def backward(self):
        x = self.position(lambda t: t.requires_grad)
        if x is None:
            return None
        retain, create = self.pass_settings()
        inputs = None
        if self.draw(5) == 0:
            inputs = [self.position(lambda t: t.requires_grad and t.is_leaf)]
            inputs = None if None in inputs else inputs
        return ("backward", x, inputs, *self.upstream(x, create), retain, create)

    def grad(self):
        x = self.position(lambda t: t.requires_grad)
        if x is None or self.full:
            return None
        retain, create = self.pass_settings()
        inputs = sorted({self.position(lambda t: t.requires_grad) for _ in range(self.most_inputs)})
        inputs = list({id(self.world.tensors[i]): i for i in inputs}.values())
        return ("grad", x, inputs, *self.upstream(x, create), retain, create, self.draw(4) > 0)

    def zero_grad(self):
        x = self.position(lambda t: t.grad is not None and t.is_leaf)
        return None if x is None else ("zero_grad", x, self.draw(2) == 0)

    def take_grad(self):
        x = self.position(lambda t: (t.is_leaf or t.retains_grad) and t.grad is not None)
        return None if x is None or self.full else ("take_grad", x)

    def forget(self):
        x = self.position()
        return None if x is None else ("forget", x)


NUMERIC = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "matmul": np.matmul,
    "square": np.square,
    "exp": np.exp,
    "sum": np.sum,
    "cube": lambda x: x**3,
    "exp_and_double": lambda x: (np.exp(x), 2 * x),
    "times_number": lambda x: x * 1.5,
    "times_number_": lambda x: x * 1.5,
    "exp_": np.exp,
    "add_": np.add,
    "mul_": np.multiply,
    "copy_": lambda x, y: y,
}
