"""The engine: recording, backward, what is kept and for how long."""

import gc
import resource
import subprocess
import sys
import threading
import tracemalloc
import weakref

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import GraphError, GraphFreedError, InPlaceError, ShapeError
from tinygrad_cnn.kernels import spare


def leaf(*values, dtype=None):
    return tg.tensor(list(values), dtype=dtype or tg.float64, requires_grad=True)


def test_a_shared_input_adds_up_over_all_its_uses():
    x = leaf(2.0, 3.0)
    y = x * x + x * 3
    (y + y).sum().backward()
    assert x.grad.tolist() == [2 * (2 * 2 + 3), 2 * (2 * 3 + 3)]


def test_gradients_accumulate_until_they_are_cleared():
    x = leaf(1.0)
    for _ in range(3):
        (x * 2).sum().backward()
    assert x.grad.tolist() == [6.0]
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2.0]


def test_broadcasting_and_promotion_are_undone():
    x = tg.tensor([[1.0], [2.0]], dtype=tg.float32, requires_grad=True)
    y = tg.tensor([1.0, 2.0, 3.0], dtype=tg.float64, requires_grad=True)
    out = x * y
    assert out.dtype == tg.float64
    out.sum().backward()
    assert x.grad.dtype == tg.float32
    assert x.grad.tolist() == [[6.0], [6.0]]
    assert y.grad.tolist() == [3.0, 3.0, 3.0]


def test_gradients_of_two_leaves_do_not_share_memory():
    x, y, upstream = leaf(1.0, 2.0), leaf(3.0, 4.0), tg.tensor([1.0, 1.0], dtype=tg.float64)
    (x + y).backward(upstream)
    assert not np.shares_memory(x.grad.numpy(), y.grad.numpy())
    assert not np.shares_memory(x.grad.numpy(), upstream.numpy())
    with tg.no_grad():
        x.grad.zero_()
    assert y.grad.tolist() == [1.0, 1.0]


def test_a_leaf_keeps_a_fresh_gradient_without_a_copy():
    made = []

    @tg.differentiable(name="test_engine_fresh")
    def fresh(input):
        return input * 1

    fresh.gradients(input=lambda g: made.append(g * 2) or made[-1])
    x = leaf(1.0, 2.0)
    try:
        fresh(x).backward(tg.tensor([1.0, 1.0], dtype=tg.float64))
    finally:
        tg.autograd.op._registry.pop("test_engine_fresh")
    assert x.grad.numpy() is made[0]


def test_a_forward_may_call_ops_on_tensors_itself():
    @tg.differentiable(name="test_engine_nested")
    def nested(input):
        return (tg.tensor(input) / 0).exp().numpy()

    try:
        assert nested(tg.tensor([-1.0])).tolist() == [0.0]
    finally:
        tg.autograd.op._registry.pop("test_engine_nested")


def test_second_order_and_third_order():
    x = tg.tensor(2.0, dtype=tg.float64, requires_grad=True)
    (first,) = tg.autograd.grad(x * x * x * x, x, create_graph=True)
    (second,) = tg.autograd.grad(first, x, create_graph=True)
    (third,) = tg.autograd.grad(second, x)
    assert (first.item(), second.item(), third.item()) == (32.0, 48.0, 48.0)


def test_backward_with_create_graph_leaves_a_differentiable_grad():
    x = leaf(3.0)
    (x * x * x).sum().backward(create_graph=True)
    penalty = (x.grad * x.grad).sum()
    x.grad = None
    penalty.backward()
    assert x.grad.tolist() == [2 * 27.0 * 18.0]


def test_a_second_backward_says_what_to_do():
    x = leaf(1.0)
    loss = (x * x).sum()
    loss.backward()
    with pytest.raises(GraphFreedError, match="retain_graph=True"):
        loss.backward()
    assert x.grad.tolist() == [2.0], "the refused pass must not have added anything"


def test_a_graph_that_saved_nothing_can_be_passed_again_as_in_pytorch():
    x = leaf(1.0)
    loss = (x + 1).sum()
    loss.backward()
    loss.backward()
    assert x.grad.tolist() == [2.0]


def test_retain_graph_allows_another_pass():
    x = leaf(1.0)
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    assert x.grad.tolist() == [4.0]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tg.tensor([1.0, 2.0], requires_grad=True) * 2, "scalar"),
        (lambda: tg.tensor(1.0), "does not require grad"),
    ],
)
def test_backward_refuses_what_it_cannot_start_from(make, message):
    with pytest.raises(GraphError, match=message):
        make().backward()


def test_backward_of_a_no_grad_result_is_refused():
    x = leaf(1.0)
    with tg.no_grad():
        loss = (x * x).sum()
    with pytest.raises(GraphError, match="no_grad"):
        loss.backward()


def test_backward_checks_the_shape_of_the_given_gradient():
    with pytest.raises(ShapeError, match="Mismatch in shape"):
        (leaf(1.0, 2.0) * 2).backward(tg.tensor([1.0]))


def test_backward_inside_no_grad_works():
    x = leaf(2.0)
    loss = (x * x).sum()
    with tg.no_grad():
        loss.backward()
    assert x.grad.tolist() == [4.0]


def test_backward_into_chosen_inputs_only():
    x, y = leaf(2.0), leaf(3.0)
    (x * y).sum().backward(inputs=[x])
    assert x.grad.tolist() == [3.0]
    assert y.grad is None


def test_grad_of_an_intermediate_tensor_and_of_an_unused_one():
    x, unused = leaf(2.0), leaf(1.0)
    middle = x * x
    out = (middle * 3).sum()
    found = tg.autograd.grad(out, [middle, unused], allow_unused=True, retain_graph=True)
    assert found[0].tolist() == [3.0]
    assert found[1] is None
    with pytest.raises(GraphError, match="allow_unused"):
        tg.autograd.grad(out, unused, retain_graph=True)
    assert tg.autograd.grad(out, unused, materialize_grads=True)[0].tolist() == [0.0]
    assert x.grad is None, "grad() must not touch .grad"


def test_hooks_see_the_whole_gradient_once_and_may_replace_it():
    x = leaf(1.0)
    y = x * 2
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    handle = y.register_hook(lambda g: g * 10)
    (y + y * 3).sum().backward(retain_graph=True)
    assert seen == [[4.0]]
    assert x.grad.tolist() == [80.0]
    handle.remove()
    x.grad = None
    (y + y * 3).sum().backward()
    assert x.grad.tolist() == [8.0]


def test_hooks_on_leaves_and_after_accumulation():
    x = leaf(1.0)
    x.register_hook(lambda g: g + 1)
    after = []
    x.register_post_accumulate_grad_hook(lambda t: after.append(t.grad.tolist()))
    (x * 2).sum().backward()
    assert after == [[3.0]]


def test_retain_grad():
    x = leaf(2.0)
    y = x * 3
    y.retain_grad()
    (y * y).sum().backward()
    assert y.grad.tolist() == [12.0]
    assert y.retains_grad


def test_modes_nest_and_decorate():
    x = leaf(1.0)
    with tg.no_grad():
        assert not (x * 2).requires_grad
        with tg.enable_grad():
            assert (x * 2).requires_grad
        assert not tg.is_grad_enabled()

    @tg.no_grad()
    def quiet():
        return x * 2

    @tg.no_grad
    def quiet_too():
        return x * 2

    assert not quiet().requires_grad
    assert not quiet_too().requires_grad
    with tg.set_grad_enabled(False):
        assert not tg.is_grad_enabled()
    assert tg.is_grad_enabled()


def test_each_thread_has_its_own_mode():
    found = []
    with tg.no_grad():
        thread = threading.Thread(target=lambda: found.append(tg.is_grad_enabled()))
        thread.start()
        thread.join()
    assert found == [True]


def test_inference_tensors_cannot_be_recorded_later():
    with tg.inference_mode():
        x = tg.tensor([1.0]) * 2
    w = leaf(1.0, dtype=tg.float32)
    with pytest.raises(GraphError, match="Inference tensors"):
        x * w
    assert (x.clone() * w).requires_grad


def test_overwriting_what_backward_needs_is_noticed():
    x = leaf(1.0, 2.0)
    y = x * x
    with tg.no_grad():
        x.mul_(2)
    with pytest.raises(InPlaceError, match="modified by an inplace operation"):
        y.sum().backward()


def test_data_is_outside_the_check():
    w = leaf(1.0, 2.0)
    (w * w).sum().backward()
    w.data[:] -= 0.5 * w.grad
    assert w.tolist() == [0.0, 0.0]


def test_a_recorded_leaf_cannot_be_overwritten():
    w = leaf(1.0, 2.0)
    with pytest.raises(InPlaceError, match="leaf Variable that requires grad"):
        w += 1
    with pytest.raises(InPlaceError, match="a view of a leaf"):
        w[0:1].mul_(2)
    with tg.no_grad():
        w -= 1
    assert w.tolist() == [0.0, 1.0]
    assert w.is_leaf


def chain(length, step):
    x = leaf(1.0)
    y = x
    for _ in range(length):
        y = step(y)
    return x, y


def test_a_chain_of_100_000_ops_leaves_no_memory_behind():
    chain(10, lambda y: y * 1.0)[1].sum().backward()
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        x, y = chain(100_000, lambda y: y * 1.00001)
        during = tracemalloc.get_traced_memory()[0]
        y.sum().backward()
        assert x.grad.item() == pytest.approx(np.exp(1), rel=1e-4)
        del x, y
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        gc.enable()
    assert during - before > 10_000_000
    assert after - before < 500_000, "what is left is the interpreter's free lists"


def test_memory_falls_during_backward_while_the_result_is_still_held():
    x = tg.zeros(1000, dtype=tg.float64, requires_grad=True)
    tracemalloc.start()
    try:
        y = x
        for _ in range(200):
            y = y * y + 1
        held = tracemalloc.get_traced_memory()[0]
        y.sum().backward()
        assert tracemalloc.get_traced_memory()[0] < held / 10
    finally:
        tracemalloc.stop()


def test_a_forgotten_graph_dies_without_the_cycle_collector():
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        loss = (x * x).exp().sum()
        node = weakref.ref(loss.grad_fn)
        loss.register_hook(lambda g: None)
        del loss
        assert node() is None
        y = x * 2
        y.relu_()
        view = y.reshape(-1)
        view.mul_(3)
        node = weakref.ref(view.grad_fn)
        del y, view
        assert node() is None
    finally:
        gc.enable()


def test_function_in_pytorchs_form():
    class Cube(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x, power):
            ctx.save_for_backward(x)
            ctx.power = power
            return x**power

        @staticmethod
        def backward(ctx, g):
            (x,) = ctx.saved_tensors
            assert ctx.needs_input_grad == (True, False)
            return g * ctx.power * x ** (ctx.power - 1), None

    x = leaf(2.0)
    y = Cube.apply(x, 3)
    assert y.grad_fn.name() == "CubeBackward"
    (first,) = tg.autograd.grad(y.sum(), x, create_graph=True)
    (second,) = tg.autograd.grad(first.sum(), x)
    assert (first.item(), second.item()) == (12.0, 12.0)


def test_function_with_setup_context_two_outputs_and_a_saved_output():
    class ExpAndDouble(tg.autograd.Function):
        @staticmethod
        def forward(x):
            return x.exp(), x * 2

        @staticmethod
        def setup_context(ctx, inputs, output):
            ctx.save_for_backward(output[0])

        @staticmethod
        def backward(ctx, g_exp, g_double):
            (e,) = ctx.saved_tensors
            return g_exp * e + g_double * 2

    x = leaf(0.0)
    e, d = ExpAndDouble.apply(x)
    e.sum().backward(retain_graph=True)
    assert x.grad.tolist() == [1.0]
    d.sum().backward()
    assert x.grad.tolist() == [3.0]
    node = weakref.ref(e.grad_fn)
    del e, d
    assert node() is None, "a saved output must not keep its node alive"


def test_function_errors_name_the_function():
    class Wrong(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x, y):
            return x + y

        @staticmethod
        def backward(ctx, g):
            return g

    with pytest.raises(GraphError, match=r"WrongBackward returned an incorrect number of gradients \(expected 2"):
        Wrong.apply(leaf(1.0), leaf(2.0)).sum().backward()

    class WrongShape(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.sum()

        @staticmethod
        def backward(ctx, g):
            return tg.zeros(5, dtype=tg.float64)

    with pytest.raises(ShapeError, match="WrongShapeBackward"):
        WrongShape.apply(leaf(1.0, 2.0)).backward()


def test_once_differentiable():
    class Once(tg.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @tg.autograd.function.once_differentiable
        def backward(ctx, g):
            return g * 2 * ctx.saved_tensors[0]

    x = leaf(3.0)
    y = Once.apply(x) * x  # so that the gradient depends on x through g as well
    (first,) = tg.autograd.grad(y.sum(), x, create_graph=True)
    assert first.item() == 27.0
    with pytest.raises(GraphError, match="once_differentiable"):
        first.sum().backward()


def test_anomaly_detection_names_the_op_and_the_place():
    x = leaf(-1.0)
    with tg.autograd.detect_anomaly():
        y = x.sqrt()
        with pytest.raises(GraphError, match=r"(?s)'SqrtBackward0' returned nan.*test_engine"):
            y.sum().backward()


def test_saved_tensors_hooks_pack_and_unpack():
    packed = []

    def pack(t):
        packed.append(t.tolist())
        return t.numpy().astype(np.float32)

    x = leaf(1.0, 2.0)
    with tg.autograd.graph.saved_tensors_hooks(pack, lambda a: tg.tensor(a, dtype=tg.float64)):
        y = x * x
    y.sum().backward()
    assert packed == [[1.0, 2.0], [1.0, 2.0]]
    assert x.grad.tolist() == [2.0, 4.0]


def test_checkpoint_recomputes_with_the_same_random_numbers_and_the_same_gradients():
    x = tg.randn(4, 5, dtype=tg.float64, requires_grad=True)
    calls = []

    def part(t):
        calls.append(1)
        return (tg.nn.functional.dropout(t, 0.5) * t).exp()

    tg.manual_seed(1)
    plain = tg.autograd.grad(part(x).sum(), x)[0]
    tg.manual_seed(1)
    out = tg.utils.checkpoint.checkpoint(part, x, use_reentrant=False)
    tg.rand(3)
    out.sum().backward()
    assert len(calls) == 3
    assert x.grad.tolist() == plain.tolist()


def test_functional_derivatives_agree_with_formulas():
    functional = tg.autograd.functional
    x = tg.tensor([1.0, 2.0], dtype=tg.float64)
    v = tg.tensor([1.0, -1.0], dtype=tg.float64)
    assert functional.jacobian(lambda t: t**3, x).tolist() == [[3.0, 0.0], [0.0, 12.0]]
    assert functional.hessian(lambda t: (t**3).sum(), x).tolist() == [[6.0, 0.0], [0.0, 12.0]]
    assert functional.vjp(lambda t: t**3, x, v)[1].tolist() == [3.0, -12.0]
    assert functional.jvp(lambda t: t**3, x, v)[1].tolist() == [3.0, -12.0]
    assert functional.hvp(lambda t: (t**3).sum(), x, v)[1].tolist() == [6.0, -12.0]


def test_two_threads_train_independently():
    def work(seed, out):
        w = tg.tensor([float(seed)], requires_grad=True)
        for _ in range(50):
            loss = ((w - 3) * (w - 3)).sum()
            w.grad = None
            loss.backward()
            with tg.no_grad():
                w -= 0.1 * w.grad
        out.append(w.item())

    results = []
    threads = [threading.Thread(target=work, args=(seed, results)) for seed in (0, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == pytest.approx([3.0, 3.0], abs=1e-3)


def test_numpy_warnings_are_left_alone():
    code = (
        "import warnings; warnings.simplefilter('error'); import numpy as np, tinygrad_cnn as tg\n"
        "assert (tg.tensor([1.0]) / 0).item() == float('inf')\n"
        "try: np.ones(1) / 0\n"
        "except RuntimeWarning: print('warned')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "warned"


def test_a_thousand_training_steps_do_not_grow_memory_without_the_cycle_collector():
    tg.manual_seed(0)
    nn = tg.nn
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
    model.append(nn.Dropout(0.2)).append(nn.Linear(8, 3))
    optimizer = tg.optim.Adam(model.parameters())
    x, labels = tg.rand(2, 1, 6, 6), tg.tensor([0, 2])

    def steps(count):
        for _ in range(count):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), labels).backward()
            optimizer.step()
        return sys.getallocatedblocks(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    gc.collect()
    gc.disable()
    try:
        blocks, peak = steps(2500)  # the interpreter's free lists, of 2,000 tuples a size, fill up first
        blocks_later, peak_later = steps(1000)
    finally:
        gc.enable()
    assert blocks_later - blocks < 500, "half an object a step would be kept"
    assert peak_later - peak < 1024, "KB"


# What random programs against the naive graph (tests/test_engine_machine.py) found, each in its smallest form.
def test_retain_grad_moves_to_the_new_value_of_an_overwritten_tensor():
    x = leaf(1.0)
    y = x * 3
    y.retain_grad()
    z = y + 1
    y.mul_(2)
    (z + y * 5).sum().backward()
    assert y.grad.tolist() == [5.0], "what reached the old value is not this tensor's"


def test_a_leaf_keeps_its_place_while_requires_grad_is_off():
    x = leaf(2.0)
    y = x * x
    x.requires_grad_(False)
    y.sum().backward(retain_graph=True)
    assert x.grad is None
    x.requires_grad_()
    assert tg.autograd.grad(y.sum(), x)[0].tolist() == [4.0]


def test_grad_lets_go_of_what_it_has_passed_and_of_nothing_else():
    x, unused = leaf(2.0), leaf(1.0)
    middle = x * x
    out = (middle * middle).sum()
    assert tg.autograd.grad(out, unused, allow_unused=True) == (None,)
    assert tg.autograd.grad(out, middle)[0].tolist() == [8.0]
    middle.sum().backward()
    assert x.grad.tolist() == [4.0]


def test_grad_through_a_released_part_of_the_graph_is_refused_not_left_out():
    x = leaf(2.0)
    middle = x * x
    middle.sum().backward()
    with pytest.raises(GraphFreedError):
        tg.autograd.grad((middle * 3 + x).sum(), x)
    with pytest.raises(GraphFreedError):
        tg.autograd.grad((middle * 3).sum(), x, allow_unused=True)


def test_the_second_derivative_notices_that_what_the_first_saved_was_overwritten():
    x, w = leaf(2.0), leaf(3.0)
    (first,) = tg.autograd.grad(
        (x * w).sum(), x, tg.tensor(2.0, dtype=tg.float64, requires_grad=True), create_graph=True
    )
    with tg.no_grad():
        w.mul_(10)
    with pytest.raises(InPlaceError):
        first.sum().backward()


def test_a_detached_tensor_is_the_base_of_its_views():
    x = leaf(2.0, 3.0)
    shared = tg.ones(2, dtype=tg.float64)
    alone = shared.detach()
    alone[0:1].copy_(x[0:1])
    assert alone.requires_grad
    assert not shared.requires_grad
    assert shared.tolist() == alone.tolist() == [2.0, 1.0]
    alone.sum().backward()
    assert x.grad.tolist() == [1.0, 0.0]


def test_version_counts_recorded_writes_too():
    y = leaf(1.0, 2.0) * 2
    view = y[0]
    y.mul_(2)
    view.exp_()
    with tg.no_grad():
        y.add_(1)
    assert y._version == view._version == y.detach()._version == 3


def test_accumulation_keeps_the_tensor_and_its_history():
    x = leaf(3.0)
    (x * x * x).sum().backward(create_graph=True)
    held = x.grad
    (x * 2).sum().backward()
    assert x.grad is held
    assert held.tolist() == [29.0]
    assert tg.autograd.grad(held.sum(), x)[0].tolist() == [18.0]


def test_hooks_after_accumulation_run_for_chosen_inputs_too():
    x = leaf(3.0)
    seen = []
    x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.item()))
    (x * x).sum().backward(inputs=[x])
    assert seen == [6.0]


def test_inference_tensors_may_be_used_where_nothing_of_them_is_saved():
    x = leaf(1.0)
    with tg.inference_mode():
        made = tg.ones(1, dtype=tg.float64)
        view = x[0]
    assert (made + x).requires_grad
    assert not view.is_inference()
    with pytest.raises(GraphError, match="outside InferenceMode"):
        made.add_(1)


def test_retain_grad_ends_when_the_tensor_becomes_a_constant():
    x = leaf(1.0, 2.0)
    view = x[0:1]
    view.retain_grad()
    x.requires_grad_(False)
    view[0] = 0.0
    assert not view.requires_grad
    assert x.tolist() == [0.0, 2.0]


def assert_close(ours, theirs):
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-5, atol=1e-6)


def rectified():
    """A large tensor that is no leaf, its relu, and what leads to a gradient of the relu's own."""
    x = tg.randn(300, 400).requires_grad_()
    y = x * 1
    return y, tg.relu(y), tg.rand(300, 400) + 1


def test_the_last_reader_of_a_gradient_may_overwrite_it(monkeypatch):
    taken = []
    like = spare.like
    monkeypatch.setattr(spare, "like", lambda x: taken.append((x, like(x))) or taken[-1][1])
    _, z, weight = rectified()
    (z * weight).sum().backward()
    ((upstream, result),) = taken
    assert result is upstream


def test_a_gradient_that_others_see_is_not_overwritten():
    y, z, weight = rectified()
    inner, upstream = tg.autograd.grad((z * weight).sum(), [y, z], retain_graph=True)
    assert_close(upstream, weight)
    assert_close(inner, weight * (y > 0))
    z.retain_grad()
    y.retain_grad()
    (z * weight).sum().backward(retain_graph=True)
    assert_close(z.grad, weight)
    assert_close(y.grad, weight * (y > 0))
    seen = []
    z.register_hook(seen.append)
    (z * weight).sum().backward()
    assert_close(seen[0], weight)


def test_a_gradient_with_two_readers_is_not_overwritten():
    (y, a, weight), (x, b, _) = rectified(), rectified()
    y.retain_grad()
    x.retain_grad()
    ((a + b) * weight).sum().backward()
    assert_close(y.grad, weight * (y > 0))
    assert_close(x.grad, weight * (x > 0))


def test_a_chain_goes_through_one_memory():
    x = tg.randn(20, 4, 40, 40)
    conv, norm = tg.nn.Conv2d(4, 4, 3, padding=1), tg.nn.BatchNorm2d(4)
    found = []
    for shared in (False, True):
        h = conv(x)
        h = tg.nn.functional.leaky_relu(tg.relu(norm(h)) - 0.1, 0.2)
        if shared:
            h.register_hook(lambda g: None)
        out = (h * tg.arange(50.0).repeat(640).reshape(20, 1, 40, 40) / 1000).sum()
        found.append(tg.autograd.grad(out, [*conv.parameters(), *norm.parameters()]))
    for ours, theirs in zip(*found, strict=True):
        assert_close(ours, theirs)


def test_only_what_was_lent_is_taken_and_once():
    x, other = np.zeros((3, 4)), np.zeros((3, 4))
    rows = x.reshape(2, 6)
    with spare.lend(x):
        assert spare.like(other) is not other
        assert spare.like(x[:2]).base is None
        assert spare.like(rows) is rows
        assert spare.like(x) is not x
    with spare.lend(x):
        pass
    assert spare.like(x) is not x
