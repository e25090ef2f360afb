"""What a profile records: every op forward and backward, the layer it belongs to, bytes and FLOPs."""

import json
import threading

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.autograd.record import OpNode
from tinygrad_cnn.profiler import profile, record_function


@pytest.fixture
def network():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10))


def step(network, optimizer=None):
    loss = nn.functional.cross_entropy(network(tg.ones(2, 1, 8, 8)), tg.tensor([1, 2]))
    loss.backward()
    if optimizer is not None:
        optimizer.step()


def rows(averages):
    return {(row.key, row.phase): row for row in averages}


def test_every_op_is_there_forward_and_backward(network):
    with profile() as prof:
        step(network, tg.optim.SGD(network.parameters(), lr=0.1))
        step(network)
    found = rows(prof.key_averages())
    forward = [(name, "forward") for name in ("conv2d", "relu", "linear", "cross_entropy")]
    backward = [(name, "backward") for name in ("ConvolutionBackward0", "conv2d_weight_grad", "AddmmBackward0")]
    for key in forward + backward:
        assert found[key].count == 2, key
        assert 0 < found[key].self_cpu_time_total <= found[key].cpu_time_total
    assert found["Optimizer.step#SGD.step", "optimizer"].count == 1
    assert ("conv_transpose2d", "backward") not in found  # the images need no gradient


def test_flops_and_bytes_are_those_of_the_formula(network):
    with profile() as prof:
        step(network)
    found = rows(prof.key_averages())
    convolution = 2 * (2 * 4 * 6 * 6) * (1 * 3 * 3)
    assert found["conv2d", "forward"].flops == convolution
    assert found["ConvolutionBackward0", "backward"].flops == convolution  # the weight's alone
    assert found["conv2d", "forward"].nbytes == 4 * (2 * 8 * 8 + 4 * 9 + 4 + 2 * 4 * 6 * 6)
    linear = 2 * 2 * 10 * 36
    assert found["linear", "forward"].flops == linear
    assert found["AddmmBackward0", "backward"].flops == 2 * linear
    assert found["relu", "forward"].flops == 0


def test_products_of_a_backward_rule_without_ops_are_counted_too():
    x, y = tg.ones(3, 4, requires_grad=True), tg.ones(4, 5)
    with profile() as prof:
        (x @ y).sum().backward()
    assert rows(prof.key_averages())["MmBackward0", "backward"].flops == 2 * 3 * 4 * 5


def test_layers_have_their_paths_and_backward_belongs_to_them():
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1))

        def forward(self, x):
            return self.inner(x) + x

    with profile() as prof:
        Block()(tg.ones(1, 1, 4, 4)).sum().backward()
    modules = {row.key: row for row in prof.modules()}
    assert {"Block", "Block.inner.0", "Block.inner.1", "sum"} <= modules.keys()
    for path in ("Block", "Block.inner.0", "Block.inner.1"):
        assert modules[path].count == 2  # the addition is the block's own
        assert modules[path].forward_time > 0
        assert modules[path].backward_time > 0


def test_times_do_not_count_twice(network):
    with profile() as prof:
        step(network)
    ops, modules = prof.key_averages(), prof.modules()
    total = ops.total_average().self_cpu_time_total
    assert total == pytest.approx(ops.inside)
    assert sum(row.cpu_time_total for row in modules) == pytest.approx(ops.inside)
    assert ops.inside <= ops.wall


def test_tables(network):
    with profile() as prof:
        step(network)
    text = prof.key_averages().table(sort_by="flops", row_limit=3)
    assert len(text.splitlines()) == 3 + 4 + 1
    assert "GFLOP/s" in text
    assert "between them" in text
    assert "[2, 1, 8, 8]" in prof.key_averages(group_by_input_shape=True).table()
    assert "Sequential.0" in str(prof.modules())
    with pytest.raises(ValueError, match="sort_by"):
        prof.key_averages().table(sort_by="speed")


def test_nothing_is_left_behind(network):
    before = Op.__call__, Op.with_residuals, OpNode.apply
    with pytest.raises(RuntimeError, match="features"), profile() as prof:
        network(tg.ones(2, 1, 9, 12))
    assert before == (Op.__call__, Op.with_residuals, OpNode.apply)
    count = len(prof.events())
    step(network)
    assert len(prof.events()) == count
    with profile() as again:
        step(network)
    assert "Sequential.4" in {e.module for e in again.events()}  # the failure left no layer open


def test_one_profile_at_a_time():
    with profile(), pytest.raises(RuntimeError, match="already enabled"), profile():
        pass
    with profile(enabled=False) as off:
        tg.ones(2).exp()
    assert off.events() == []


def test_what_cannot_be_recorded_is_refused():
    for setting in ("profile_memory", "with_stack", "schedule"):
        with pytest.raises(NotImplementedError, match=setting):
            profile(**{setting: True})


def test_record_function_and_trace(tmp_path):
    @record_function("twice")
    def twice(x):
        return x + x

    twice(tg.ones(2))  # outside of a profile it is just called
    with profile() as prof, record_function("block"):
        twice(tg.ones(2))
    assert [e.name for e in prof.events()] == ["add", "twice", "block"]
    assert [e.nested for e in prof.events()] == [False, False, False]  # a block is not an op
    prof.export_chrome_trace(tmp_path / "trace.json")
    trace = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert {event["name"] for event in trace} == {"add", "twice", "block"}


def test_threads_are_recorded_apart(network):
    together = threading.Barrier(2)  # a thread that ended would leave its number to the other

    def work():
        together.wait()
        step(network)
        together.wait()

    with profile() as prof:
        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({e.thread for e in prof.events()}) == 2
    assert rows(prof.key_averages())["conv2d", "forward"].count == 2


def test_second_order_and_results_are_unchanged(network):
    x = tg.tensor([0.3, 0.7], requires_grad=True)

    def slope():
        (first,) = tg.autograd.grad((x.exp() * x).sum(), x, create_graph=True)
        return tg.autograd.grad(first.sum(), x)[0]

    expected = slope()
    with profile():
        assert tg.equal(slope(), expected)


def test_pytorchs_paths():
    assert tg.profiler.profile is profile
    assert tg.autograd.profiler.profile is profile
