"""Corners of the engine: what a Function may do, switches as decorators, hooks of nodes, declarations of ops."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import autograd, errors
from tinygrad_cnn.autograd import Function, functional, graph, mode
from tinygrad_cnn.autograd.function import once_differentiable
from tinygrad_cnn.ops import registry


def leaf(*values):
    return tg.tensor(values, dtype=tg.float64, requires_grad=True)


# ----------------------------------------------------------------------------------------- autograd.Function
class Both(Function):
    """Twice and three times the input; what backward gets and gives is set by the tests."""

    forward_extra = staticmethod(lambda ctx, x, outputs: None)
    backward_result = staticmethod(lambda ctx, a, b: 2 * a + 3 * b)

    @classmethod
    def changed(cls, **functions):
        return type("Both", (cls,), {name: staticmethod(f) for name, f in functions.items()})

    @staticmethod
    def forward(ctx, x, kind):
        outputs = x * 2, x * 3
        kind.forward_extra(ctx, x, outputs)
        ctx.kind = kind
        return outputs

    @staticmethod
    def backward(ctx, a, b):
        result = ctx.kind.backward_result(ctx, a, b)
        return result if isinstance(result, tuple) else (result, None)


def test_outputs_that_nothing_comes_from_count_as_zeros_or_as_none():
    x = leaf(1.0, 2.0)
    Both.apply(x, Both)[0].sum().backward()
    assert x.grad.tolist() == [2, 2]
    kind = Both.changed(
        forward_extra=lambda ctx, x, outputs: ctx.set_materialize_grads(False),
        backward_result=lambda ctx, a, b: a * 2 if b is None else None,
    )
    Both.apply(x, kind)[0].sum().backward()
    assert x.grad.tolist() == [4, 4]


def test_outputs_without_a_gradient():
    kind = Both.changed(forward_extra=lambda ctx, x, outputs: ctx.mark_non_differentiable(outputs[1]))
    first, second = Both.apply(leaf(1.0), kind)
    assert first.requires_grad
    assert not second.requires_grad


def test_saving_nothing_and_saving_what_is_no_tensor():
    seen = []
    kind = Both.changed(
        forward_extra=lambda ctx, x, outputs: ctx.save_for_backward(None, x, outputs[0]),
        backward_result=lambda ctx, a, b: seen.extend(ctx.saved_tensors) or a,
    )
    x = leaf(1.0)
    Both.apply(x, kind)[0].sum().backward()
    assert [None if t is None else t.tolist() for t in seen] == [None, [1.0], [2.0]]
    with pytest.raises(errors.ArgumentTypeError, match="can only save variables"):
        Both.apply(x, Both.changed(forward_extra=lambda ctx, x, outputs: ctx.save_for_backward(1.0)))


def test_saved_tensors_are_freed_and_their_versions_are_watched():
    kind = Both.changed(
        forward_extra=lambda ctx, x, outputs: ctx.save_for_backward(x),
        backward_result=lambda ctx, a, b: a * ctx.saved_tensors[0],
    )
    x = leaf(1.0)
    out = Both.apply(x, kind)[0].sum()
    out.backward()
    with pytest.raises(errors.GraphFreedError, match="retain_graph=True"):
        out.backward()
    out = Both.apply(x, kind)[0].sum()
    with tg.no_grad():
        x.add_(1)
    with pytest.raises(errors.InPlaceError, match="modified by an inplace operation"):
        out.backward()


def test_more_gradients_than_arguments_if_they_are_none():
    x = leaf(1.0)
    Both.apply(x, Both.changed(backward_result=lambda ctx, a, b: (a, None, None, None)))[0].sum().backward()
    assert x.grad.tolist() == [1]
    with pytest.raises(errors.GraphError, match="incorrect number of gradients"):
        Both.apply(x, Both.changed(backward_result=lambda ctx, a, b: (a, None, a)))[0].sum().backward()
    with pytest.raises(errors.ArgumentTypeError, match="gradient of type float at index 0"):
        Both.apply(x, Both.changed(backward_result=lambda ctx, a, b: (1.0, None)))[0].sum().backward()


def test_nothing_is_recorded_of_inputs_that_need_no_gradient():
    first, _ = Both.apply(tg.ones(2), Both)
    assert first.grad_fn is None


class Identity(Function):
    @staticmethod
    def forward(ctx, x):
        return x

    @staticmethod
    def backward(ctx, g):
        return 5 * g


class AddOne(Function):
    @staticmethod
    def forward(ctx, x):
        ctx.mark_dirty(x)
        return x.add_(1)

    @staticmethod
    def backward(ctx, g):
        return g


def test_an_input_given_back_is_another_tensor_and_an_overwritten_one_the_same():
    x = leaf(1.0)
    same = Identity.apply(x)
    assert same is not x
    same.sum().backward()
    assert x.grad.tolist() == [5]
    y = x * 1
    changed = AddOne.apply(y)
    assert changed is y
    assert changed.grad_fn.name() == "AddOneBackward"


def test_once_differentiable_refuses_a_second_time():
    class Square(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx, g):
            return 2 * ctx.saved_tensors[0] * g

    x = leaf(3.0)
    Square.apply(x).sum().backward()
    assert x.grad.tolist() == [6]
    (g,) = tg.autograd.grad((Square.apply(x) ** 2).sum(), x, create_graph=True)
    assert g.tolist() == [4 * 3**3]
    with pytest.raises(errors.GraphError, match="marked with @once_differentiable"):
        g.sum().backward()


# ------------------------------------------------------------------------------------------------ switches
def test_switches_decorate_functions_and_generators():
    @tg.no_grad()
    def count():
        """Yields whether it records."""
        yield tg.is_grad_enabled()
        yield tg.is_grad_enabled()
        return "end"

    steps = count()
    assert next(steps) is False
    assert tg.is_grad_enabled(), "between two steps the setting is the caller's"
    assert next(steps) is False
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == "end"
    assert count.__doc__ == "Yields whether it records."


@pytest.mark.parametrize(
    ("switch", "expected"),
    [
        (tg.set_grad_enabled(True), True),
        (tg.no_grad, False),
        (tg.enable_grad, True),
        (tg.inference_mode, False),
        (tg.inference_mode(), False),
        (tg.inference_mode(False), True),
    ],
)
def test_switches_as_decorators(switch, expected):
    assert switch(tg.is_grad_enabled)() is expected
    assert tg.is_grad_enabled()


def test_set_grad_enabled_as_a_decorator_leaves_the_rest_alone():
    decorator = tg.set_grad_enabled(False)
    quiet = decorator(tg.is_grad_enabled)
    assert tg.is_grad_enabled()
    assert quiet() is False
    assert tg.is_grad_enabled()


def test_anomaly_switches():
    found = autograd.detect_anomaly()
    assert mode.is_anomaly_enabled() is False, "only the block turns it on"
    assert found(mode.is_anomaly_enabled)() is True
    assert mode.is_anomaly_enabled() is False
    autograd.set_detect_anomaly(True)
    assert mode.is_anomaly_enabled() is True
    autograd.set_detect_anomaly(False)
    with autograd.set_detect_anomaly(True):
        assert mode.is_anomaly_enabled() is True
    assert mode.is_anomaly_enabled() is False


def test_anomaly_detection_may_leave_nans_alone():
    x = leaf(-1.0)
    with autograd.detect_anomaly(check_nan=False):
        x.sqrt().sum().backward()
    assert np.isnan(x.grad.item())
    with autograd.detect_anomaly(), pytest.raises(errors.GraphError, match="SqrtBackward0"):
        x.sqrt().sum().backward()


# --------------------------------------------------------------------------------------------------- nodes
def test_a_node_tells_its_name_and_its_parents():
    x = leaf(1.0)
    out = x * 2
    node = out.grad_fn
    assert repr(node) == f"<{node.name()}>" or node.name() in repr(node)
    (parent, index), (nothing, _) = node.next_functions
    assert (parent.name(), index, nothing) == ("AccumulateGrad", 0, None) or parent.variable is x
    assert parent.variable is x


def test_a_prehook_changes_the_gradient_before_the_node_runs():
    x = leaf(1.0)
    out = x * 2
    handle = out.grad_fn.register_prehook(lambda gradients: (gradients[0] * 10,))
    out.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [20]
    handle.remove()
    out.sum().backward()
    assert x.grad.tolist() == [22]


def test_gradients_are_converted_to_the_dtype_of_their_tensor():
    x = tg.ones(2, requires_grad=True)
    (x * 2).backward(tg.ones(2, dtype=tg.float64))
    assert x.grad.dtype == tg.float32


def test_a_hook_that_returns_something_else():
    x = leaf(1.0)
    y = x * 2
    y.register_hook(lambda g: g[:0])
    with pytest.raises(errors.ShapeError):
        y.sum().backward()
    z = x * 2
    z.register_hook(lambda g: True)
    with pytest.raises(TypeError, match=r"Mul.*: a hook must return a Tensor or None, got bool"):
        z.sum().backward()


# ------------------------------------------------------------------------------------- functional, tensors
def test_a_vector_is_given_or_the_result_has_one_element():
    x = leaf(1.0, 2.0)
    out, g = functional.vjp(lambda x: x.sum(), x)
    assert (out.item(), g.tolist()) == (3, [1, 1])
    out, jv = functional.jvp(lambda x: x * x, leaf(3.0))
    assert (out.tolist(), jv.tolist()) == ([9], [6])


def test_a_jacobian_of_nothing_has_its_shape():
    assert functional.jacobian(lambda x: x[:0], leaf(1.0, 2.0)).shape == (0, 2)


def test_copies_of_a_tensor_are_shared_as_the_tensor_was():
    x = leaf(1.0)
    first, second = copy.deepcopy([x, x])
    assert first is second
    assert first is not x
    assert pickle.loads(pickle.dumps(x)).requires_grad


def test_a_tensor_gives_its_memory_through_dlpack():
    x = tg.ones(2)
    assert x.__dlpack_device__() == np.ones(2).__dlpack_device__()
    assert np.from_dlpack(x).tolist() == [1, 1]


# -------------------------------------------------------------------------------------------- declarations
def test_declarations_that_cannot_be_meant_are_refused():
    with pytest.raises(TypeError, match="must be the only input"):

        @tg.differentiable(name="several_and_one")
        def several_and_one(tensors: "Sequence[Array]", other: "Array"):  # noqa: F821 - read as text
            return other

    op = registry["relu"]
    with pytest.raises(TypeError, match="unknown input 'other'"):
        op.gradients(other=lambda g: g)
    with pytest.raises(TypeError, match="which is no argument"):
        op.gradients(input=lambda g, nonsense: g)
    with pytest.raises(ValueError, match="already registered"):
        tg.differentiable(name="relu")(lambda input: input)


def test_an_op_is_found_by_name_when_pickled_and_is_no_method():
    op = registry["relu"]
    assert pickle.loads(pickle.dumps(op)) is op
    assert copy.deepcopy(op) is op
    assert repr(op) == "<op relu(input)>"

    class Holder:
        activation = op

    assert Holder().activation is op


def test_numbers_alone_make_a_tensor_where_an_op_takes_them():
    assert tg.add(1, 2).item() == 3
    assert tg.mul(2.0, 3).dtype == tg.get_default_dtype()


def test_shapes_that_do_not_broadcast_are_told_apart():
    with pytest.raises(errors.ShapeError, match=r"\(3\).*\(4\)"):
        tg.ones(2, 3) + tg.ones(2, 4)


def test_anything_else_has_no_such_methods():
    node = graph.Node((), ())
    with pytest.raises(NotImplementedError):
        node.apply([], False)
    assert node.name() == "Node"
    assert list(node.saved_arrays()) == []
    switch = mode._Switch()
    with pytest.raises(NotImplementedError):
        switch.__enter__()
