"""Tensor: an array, its gradient, and its place in the graph.

Its operators and most of its methods come from the declarations in ``ops``; here is what needs no op.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import engine
from tinygrad_cnn.autograd.graph import Edge, HookHandle, LeafNode, Node, add_hook
from tinygrad_cnn.autograd.mode import mode
from tinygrad_cnn.autograd.parse import array_of
from tinygrad_cnn.autograd.tensor_methods import TensorMethods
from tinygrad_cnn.backend import CPU, DTYPES, Size, device, dtype, get_default_dtype
from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, GraphError, IndexRangeError, InPlaceError, ShapeError


class Tensor(TensorMethods):
    """An n-dimensional array that records what is computed from it, so that ``backward()`` can differentiate.

    Make one with ``tensor([...])``. ``Tensor(2, 3)`` has that shape and no defined values, ``Tensor([2, 3])``
    those values in the default dtype, as in PyTorch.
    """

    __array_priority__ = 1000  # NumPy's operators leave array + Tensor to the Tensor

    _edge: Edge | None = None  # what made it; None: needs no gradient
    _grad: Tensor | None = None
    _base: Tensor | None = None  # the Tensor that this one is a view of, and how to make the view again
    _view: View | None = None
    _views: list[weakref.ref[Tensor]] | None = None  # of a base
    _inference: bool = False
    _array: np.ndarray
    _counter: list[int]  # counts in-place writes to the memory; shared with views
    _writes_before: int = 0  # to what it was before a recorded in-place operation gave it other memory
    _leaf: LeafNode | None = None  # where its gradient arrives, kept while requires_grad is off

    def __init__(self, *data: Any, device: object = None) -> None:
        if not data or (len(data) == 1 and not isinstance(data[0], int)):
            data = data or ([],)
            source = data[0]._array if isinstance(data[0], Tensor) else data[0]
            array = array_of(source, get_default_dtype().dtype)
        else:
            array = np.empty(data, get_default_dtype().dtype)
        self._array = array
        self._counter = [0]

    @staticmethod
    def _wrap(array: np.ndarray, edge: Edge | None = None) -> Tensor:
        return wrap(array, edge)

    # ------------------------------------------------------------------------------------ the array
    @property
    def shape(self) -> Size:
        """The sizes of the dimensions."""
        return Size(self._array.shape)

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        if dim is None:
            return self.shape
        if not self._array.ndim:
            raise IndexRangeError(f"size: Dimension specified as {dim} but tensor has no dimensions")
        return self._array.shape[check_dim(dim, self._array.ndim, "size")]

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    def dim(self) -> int:
        """The number of dimensions."""
        return self._array.ndim

    ndimension = dim

    def numel(self) -> int:
        """The number of elements."""
        return self._array.size

    nelement = numel

    @property
    def dtype(self) -> dtype:
        """The type of the elements."""
        return DTYPES[self._array.dtype]

    @property
    def device(self) -> device:
        """Always ``device('cpu')``."""
        return CPU

    @property
    def itemsize(self) -> int:
        """The number of bytes of one element."""
        return self._array.itemsize

    def element_size(self) -> int:
        """The number of bytes of one element."""
        return self._array.itemsize

    @property
    def nbytes(self) -> int:
        """The number of bytes of all elements."""
        return self._array.nbytes

    def is_floating_point(self) -> bool:
        """Whether the elements are floating-point numbers."""
        return self._array.dtype.kind == "f"

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The array itself, sharing memory. A recorded Tensor must be detached first, or ``force=True``."""
        if self._edge is not None and not force:
            raise GraphError(
                "numpy: Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
            )
        return self._array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __dlpack__(self, **kwargs: Any) -> Any:
        return self.numpy().__dlpack__(**kwargs)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._array.__dlpack_device__()

    def item(self) -> Any:
        """The only element, as a Python number."""
        if self._array.size != 1:
            raise ShapeError(
                f"item: a Tensor with {self._array.size} elements cannot be converted to Scalar; "
                "index or reduce it to one element first"
            )
        return self._array.item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self._array.tolist()

    def __len__(self) -> int:
        if self._array.ndim == 0:
            raise ArgumentTypeError("len() of a 0-d tensor; it has one element, .item()")
        return len(self._array)

    def __bool__(self) -> bool:
        if self._array.size != 1:
            raise GraphError(
                f"bool(): Boolean value of Tensor with {self._array.size} values is ambiguous; use .any() or .all()"
            )
        return bool(self._array.item())

    def __float__(self) -> float:
        return float(self._number())

    def __int__(self) -> int:
        return int(self._number())

    def __complex__(self) -> complex:
        return complex(self._number())

    def _number(self) -> Any:
        if self._array.size != 1:
            raise ArgumentError(
                f"only one element tensors can be converted to Python scalars, this one has {self._array.size}"
            )
        return self._array.item()

    def __index__(self) -> int:
        if self._array.dtype.kind not in "iu" or self._array.size != 1:
            raise ArgumentTypeError("only integer tensors of a single element can be converted to an index")
        return int(self._array.item())

    def __hash__(self) -> int:
        return id(self)

    def __contains__(self, element: Any) -> bool:
        if not isinstance(element, Tensor | int | float | np.generic):
            raise GraphError(f"__contains__ only supports Tensor or scalar, but you passed in a {type(element)}.")
        return bool((self == element)._array.any())

    def __iter__(self) -> Iterator[Tensor]:
        if self._array.ndim == 0:
            raise ArgumentTypeError("iteration over a 0-d tensor; it has one element, .item()")
        return iter(self.unbind(0))

    # ------------------------------------------------------------------------------------ the graph
    @property
    def requires_grad(self) -> bool:
        """Whether what is computed from it is recorded."""
        return self._edge is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Record what is computed from this leaf, or stop doing so."""
        if not requires_grad:
            if not self.is_leaf:
                raise GraphError(
                    "requires_grad_: you can only change requires_grad flags of leaf variables. To use a computed "
                    "value in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
                )
            if self._edge is not None:
                self._leaf, self._edge = self._edge[0], None  # type: ignore[assignment]  # a leaf's node is a LeafNode
        elif self._edge is None:
            if self._array.dtype.kind != "f":
                raise GraphError(
                    f"requires_grad_: only Tensors of floating point dtype can require gradients, got {self.dtype}; "
                    "convert with .float() first"
                )
            if self._inference and not mode.inference:
                raise GraphError(
                    "requires_grad_: Setting requires_grad=True on inference tensor outside InferenceMode "
                    "is not allowed; clone() it first"
                )
            self._edge = (self._leaf or LeafNode(self), 0)
            self._edge[0].metadata = ((self._array.shape, self._array.dtype),)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no recorded operation made it."""
        return self._edge is None or isinstance(self._edge[0], LeafNode)

    @property
    def grad_fn(self) -> Node | None:
        """The node that made it; None for a leaf."""
        return None if self.is_leaf else self._edge[0]  # type: ignore[index]  # no leaf, so an edge

    @property
    def output_nr(self) -> int:
        """Which output of its ``grad_fn`` it is."""
        return 0 if self._edge is None else self._edge[1]

    @property
    def grad(self) -> Tensor | None:
        """The gradient that backward has added up here so far."""
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise ArgumentTypeError(f"grad: expected a Tensor or None, got {type(value).__name__}")
            if value._array.shape != self._array.shape or value._array.dtype != self._array.dtype:
                raise ShapeError(
                    f"grad: expected the shape and dtype of its Tensor, {self._array.shape} {self.dtype}, "
                    f"got {value._array.shape} {value.dtype}"
                )
        self._grad = value

    @grad.deleter
    def grad(self) -> None:
        self._grad = None

    @property
    def data(self) -> Tensor:
        """The same memory, outside the graph: what is written to it isn't recorded and isn't checked."""
        out = wrap(self._array)
        if type(self) is not Tensor and getattr(type(self), "_keeps_type_in_data", False):
            out.__class__ = type(self)
        return out

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise ArgumentTypeError(f"data: expected a Tensor, got {type(value).__name__}")
        self._array = value._array
        if self._edge is not None:
            self._edge[0].metadata = ((self._array.shape, self._array.dtype),)

    def detach(self) -> Tensor:
        """The same memory, outside the graph; a later write to it is noticed by backward."""
        out = wrap(self._array)
        out._counter = self._counter
        track_view(out, self, Tensor.detach, ())
        return out

    def detach_(self) -> Tensor:
        """Take this Tensor out of the graph."""
        if self.is_leaf:
            return self.requires_grad_(False)
        self._edge = None
        return self

    def backward(
        self,
        gradient: Tensor | None = None,
        retain_graph: bool | None = None,
        create_graph: bool = False,
        inputs: Any = None,
    ) -> None:
        """Differentiate this scalar and add the gradients to the ``grad`` of the leaves.

        Raises GraphError if nothing is recorded, or if this isn't a scalar and ``gradient`` is missing;
        GraphFreedError on a second pass without ``retain_graph=True``.

        >>> import tinygrad_cnn as tg
        >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4.])
        """
        engine.backward(self, gradient, retain_graph, create_graph, inputs)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call ``hook(gradient)`` when this Tensor's gradient is complete; what it returns replaces it."""
        if self._edge is None:
            raise GraphError("register_hook: cannot register a hook on a tensor that doesn't require gradient")
        return add_hook(self._edge[0], self._edge[1], hook)

    def register_post_accumulate_grad_hook(self, hook: Callable[[Tensor], None]) -> HookHandle:
        """Call ``hook(self)`` after backward has added to this leaf's ``grad``."""
        node = None if self._edge is None else self._edge[0]
        if not isinstance(node, LeafNode):
            raise GraphError("register_post_accumulate_grad_hook: only a leaf that requires grad has such hooks")
        if node.after_hooks is None:
            node.after_hooks = {}
        handle = HookHandle(node.after_hooks)
        node.after_hooks[handle.id] = hook
        return handle

    def retain_grad(self) -> None:
        """Keep the gradient of this Tensor in ``grad`` although it is no leaf."""
        if self._edge is None:
            raise GraphError("retain_grad: can't retain_grad on Tensor that has requires_grad=False")
        node, index = self._edge
        if isinstance(node, LeafNode):
            return
        if node.retained is None:
            node.retained = {}
        node.retained[index] = weakref.ref(self)

    @property
    def retains_grad(self) -> bool:
        """Whether ``retain_grad`` was asked for on this computed Tensor."""
        if self.is_leaf or self._edge is None:
            return False
        keeper = (self._edge[0].retained or {}).get(self._edge[1])
        return keeper is not None and keeper() is self

    def is_inference(self) -> bool:
        """Whether it was made under ``inference_mode``."""
        return self._inference

    @property
    def _version(self) -> int:
        """How often it was written to in place."""
        return self._counter[0] + self._writes_before

    # ------------------------------------------------------------------------------- copies and text
    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise GraphError(
                "deepcopy: Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
                "protocol; detach() it first"
            )
        if id(self) in memo:
            return memo[id(self)]
        out = _restore(type(self), self._array.copy(order="K"), self.requires_grad, {})
        memo[id(self)] = out
        if self._grad is not None:
            out._grad = self._grad.detach().__deepcopy__(memo)
        out.__dict__.update(_user_attributes(self))
        return out

    def __reduce_ex__(self, protocol: Any) -> Any:
        if not self.is_leaf:
            raise GraphError("pickle: only a leaf can be pickled; detach() the tensor first")
        return _restore, (type(self), self._array, self.requires_grad, _user_attributes(self))

    def __repr__(self, *, tensor_contents: None = None) -> str:
        from tinygrad_cnn.autograd.printing import tensor_text

        return tensor_text(self)

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        if self._array.ndim == 0:
            return format(self._array.item(), spec)
        if spec:
            raise ArgumentTypeError(
                f"unsupported format string passed to Tensor.__format__ for shape {self._array.shape}; use .item()"
            )
        return str(self)


def _user_attributes(tensor: Tensor) -> dict[str, Any]:
    """What a user has set on the tensor, beside the fields above."""
    return {k: v for k, v in tensor.__dict__.items() if k not in Tensor.__annotations__}


def _restore(cls: type[Tensor], array: np.ndarray, requires_grad: bool, attributes: dict[str, Any]) -> Tensor:
    out = cls.__new__(cls)
    out._array, out._counter = array, [0]
    out.__dict__.update(attributes)
    return out.requires_grad_() if requires_grad else out


_new = Tensor.__new__


def wrap(array: np.ndarray, edge: Edge | None = None) -> Tensor:
    """A Tensor around ``array``, without a copy."""
    tensor = _new(Tensor)
    tensor._array = array
    tensor._counter = [0]
    if edge is not None:
        tensor._edge = edge
    if mode.inference:
        tensor._inference = True
    return tensor


def as_array(value: Any) -> Any:
    """The array of a Tensor; anything else as it is."""
    return value._array if isinstance(value, Tensor) else value


def as_tensor(value: Any) -> Tensor:
    """A Tensor around an array or number; a Tensor as it is."""
    return value if isinstance(value, Tensor) else wrap(np.asarray(value))


def check_dim(dim: int, ndim: int, op: str) -> int:
    """``dim`` counted from the front; IndexRangeError if a tensor of ``ndim`` dimensions has no such one."""
    span = max(ndim, 1)  # a 0-d tensor takes 0 and -1, as in PyTorch
    if not isinstance(dim, int | np.integer) or isinstance(dim, bool):
        raise ArgumentTypeError(f"{op}: dim expected an int, got {type(dim).__name__}")
    if not -span <= dim < span:
        raise IndexRangeError(
            f"{op}: Dimension out of range (expected to be in range of [{-span}, {span - 1}], but got {dim})"
        )
    return int(dim) % span


# ------------------------------------------------------------------------------------------------ views
class View:
    """How a view is made from its base: a chain of calls, kept so that it can be made again."""

    __slots__ = ("arguments", "before", "call", "output")

    def __init__(self, before: View | None, call: Callable[..., Any], arguments: Sequence[Any], output: int | None):
        self.before = before
        self.call = call
        self.arguments = arguments
        self.output = output

    def __call__(self, base: Any) -> Any:
        """The view of ``base``, an array or a Tensor."""
        steps = []
        step: View | None = self
        while step is not None:
            steps.append(step)
            step = step.before
        for step in reversed(steps):
            if step.call is Tensor.detach and not isinstance(base, Tensor):
                continue
            base = step.call(base, *step.arguments)
            if step.output is not None:
                base = base[step.output]
        return base


def track_view(
    out: Tensor, source: Tensor, call: Callable[..., Any], arguments: Sequence[Any], output: int | None = None
) -> None:
    """Note that ``out`` shares the memory of ``source``, so that in-place operations on one reach the other."""
    if source._base is None or is_detached(source):
        base, before = source, None
    else:
        base, before = source._base, source._view
    out._base = base
    out._view = View(before, call, arguments, output)
    out._counter = source._counter
    out._writes_before = source._writes_before
    out._inference = source._inference
    views = base._views
    if views is None:
        base._views = views = []
    elif len(views) >= 64 and len(views) & (len(views) - 1) == 0:  # at each power of two: drop the dead ones
        views[:] = [ref for ref in views if ref() is not None]
    views.append(weakref.ref(out))


def is_detached(tensor: Tensor) -> bool:
    """Whether it came from ``detach()``: it shares memory with its base, but has a history, and views, of its own."""
    return tensor._view is not None and tensor._view.call is Tensor.detach


def check_mode(tensor: Tensor) -> None:
    """Raise GraphError if ``tensor`` was made under ``inference_mode``, and this is outside."""
    if tensor._inference and not mode.inference:
        raise GraphError(
            "Inplace update to inference tensor outside InferenceMode is not allowed. You can make a clone to "
            "get a normal tensor before doing inplace update."
        )


def check_overwritable(tensor: Tensor, op: str) -> None:
    """Raise InPlaceError if ``tensor`` is a leaf that is being recorded, or a view of one."""
    check_mode(tensor)
    for root in (tensor, None if is_detached(tensor) else tensor._base):
        if root is None or root._edge is None or not root.is_leaf:
            continue
        what = "a leaf Variable" if root is tensor else "a view of a leaf Variable"
        raise InPlaceError(
            f"{op}: {what} that requires grad is being used in an in-place operation; "
            "wrap the update in no_grad(), or compute a new tensor"
        )
