"""Threads of the kernels: the same numbers with any number of them, in user threads, after fork and under spawn."""

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import awake, conv, parallel

nn, F = tg.nn, tg.nn.functional


@pytest.fixture(autouse=True)
def threads_as_before(monkeypatch):
    before = tg.get_num_threads()
    monkeypatch.setattr(parallel, "_balance", parallel._Balance())
    yield
    tg.set_num_threads(before)


def small_shares(monkeypatch, threads):
    """Let even tiny arrays be shared out."""
    monkeypatch.setattr(parallel, "LEAST_SHARE", 1)
    monkeypatch.setattr(conv, "SMALL", 0)
    tg.set_num_threads(threads)


def train(seed=0, steps=3):
    """A step touches every kind of kernel: convolutions of all kinds, pooling, norms, losses, an optimiser."""
    tg.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 32, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.GroupNorm(2, 32),
        nn.ConvTranspose2d(32, 8, 2, stride=2),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 4 * 4, 10),
    )
    x, t = tg.randn(5, 3, 16, 16), tg.randint(0, 10, (5,))
    optimizer = tg.optim.SGD(model.parameters(), lr=1e-2, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), t)
        loss.backward()
        optimizer.step()
    return [loss.detach().numpy(), *(p.detach().numpy() for p in model.parameters())]


@pytest.mark.parametrize("times", [1, 1 << 10, parallel._TIMES])
def test_shares_reach_workers_that_watch_or_sleep(monkeypatch, times):
    """With few readings, both sides fall asleep, or are about to, at every hand-over."""
    monkeypatch.setattr(parallel, "_TIMES", times)
    monkeypatch.setattr(parallel, "_workers", [])
    work = np.ones(20_000)
    done = []

    def task(item):
        number, share = item
        pause = rng.random()
        if pause < 0.01:
            time.sleep(0.003)
        for _ in range(int(10 * pause)):
            work.sum()
        done.append(item)
        return number, share

    rng, before = np.random.default_rng(0), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads take turns wherever they can
    try:
        for number in range(1000):
            if number % 100 == 0:
                time.sleep(0.005)
            items = [(number, share) for share in range(1 + number % 4)]
            assert parallel.run(task, items) == items
            assert sorted(done) == items
            done.clear()
    finally:
        sys.setswitchinterval(before)


def test_a_run_repeats_bit_for_bit(monkeypatch):
    small_shares(monkeypatch, 3)
    for first, second in zip(train(), train(), strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_the_number_of_threads_changes_rounding_alone(monkeypatch, threads):
    small_shares(monkeypatch, 1)
    expected = train()
    small_shares(monkeypatch, threads)
    for got, want in zip(train(), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("shape", [(1, 16, 13, 13), (2, 16, 9, 9), (5, 16, 8, 8), (9, 3, 12, 12)], ids=str)
@pytest.mark.parametrize("settings", [{}, {"stride": 2}, {"padding": 1, "dilation": 2}, {"groups": "all"}], ids=str)
def test_convolutions_in_shares(monkeypatch, threads, shape, settings):
    settings = {key: shape[1] if value == "all" else value for key, value in settings.items()}
    weight = np.random.default_rng(0).normal(size=(3 * shape[1], shape[1] // settings.get("groups", 1), 3, 3))

    def run():
        x = tg.tensor(np.random.default_rng(1).normal(size=shape), requires_grad=True)
        w = tg.tensor(weight, requires_grad=True)
        out = F.conv2d(x, w, **settings)
        out.backward(tg.tensor(np.random.default_rng(2).normal(size=out.shape)))
        return out.detach(), x.grad, w.grad

    small_shares(monkeypatch, 1)
    expected = run()
    small_shares(monkeypatch, threads)
    for got, want in zip(run(), expected, strict=True):
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-12, atol=1e-12)


def test_two_models_trained_in_two_threads(monkeypatch):
    small_shares(monkeypatch, 2)
    expected = [train_alone(seed) for seed in (0, 1)]
    results = [None, None]

    def work(index):
        results[index] = train_alone(index)

    workers = [threading.Thread(target=work, args=(i,)) for i in (0, 1)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for got, want in zip(results, expected, strict=True):
        np.testing.assert_array_equal(got, want)


def train_alone(seed):
    """Without the global generator, which threads share."""
    generator = tg.Generator().manual_seed(seed)
    x = tg.randn(6, 2, 10, 10, generator=generator)
    w = tg.randn(4, 2, 3, 3, generator=generator).requires_grad_()
    for _ in range(20):
        loss = F.max_pool2d(F.relu(F.conv2d(x, w)), 2).square().mean()
        (grad,) = tg.autograd.grad(loss, w)
        w = (w - 0.01 * grad).detach().requires_grad_()
    return w.detach().numpy()


def _in_child(queue):
    parallel.LEAST_SHARE, conv.SMALL = 1, 0
    tg.set_num_threads(2)
    queue.put(train_alone(0))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # that is what is tried
def test_child_processes_have_threads_of_their_own(monkeypatch, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    small_shares(monkeypatch, 2)
    expected = train_alone(0)  # the parent has workers now
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    np.testing.assert_array_equal(queue.get(timeout=60), expected)
    child.join()
    np.testing.assert_array_equal(train_alone(0), expected)  # and the parent's still work


def test_an_error_in_a_worker_is_raised_and_the_workers_go_on():
    def task(item):
        if item == 1:
            raise ValueError("in a worker")
        return item

    with pytest.raises(ValueError, match="in a worker"):
        parallel.run(task, [0, 1])
    assert parallel.run(task, [0, 2, 3]) == [0, 2, 3]


def test_a_task_that_calls_again_does_its_items_itself():
    assert parallel.run(lambda i: sum(parallel.run(lambda j: i * j, [1, 2, 3])), [1, 2]) == [6, 12]


def test_blas_gets_its_threads_back():
    code = (
        "import threadpoolctl, numpy as np, tinygrad_cnn as tg\n"
        "count = lambda: [p['num_threads'] for p in threadpoolctl.threadpool_info() if p['user_api'] == 'blas']\n"
        "before = count()\n"
        "tg.set_num_threads(2)\n"
        "a = tg.randn(300, 300); (a @ a).sum()\n"
        "print(before == count())\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.endswith("_NUM_THREADS")}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert result.stdout.strip() == "True"


def test_a_blas_that_nobody_knows_changes_nothing(monkeypatch):
    a = tg.randn(200, 200)
    expected = a @ a
    blas = parallel._Blas()
    blas.libraries = []
    monkeypatch.setattr(parallel, "_blas", blas)
    np.testing.assert_array_equal((a @ a).numpy(), expected.numpy())


def test_regions_cover_everything_once():
    for images in range(7):
        for rows in (1, 3, 8, 13):
            for threads in (1, 2, 3, 5):
                tg.set_num_threads(threads)
                seen = np.zeros((images, rows), int)
                for part, band in parallel.regions(images, rows, cost=1e12, step=4):
                    seen[part, band] += 1
                assert (seen == 1).all()


def test_nothing_is_handed_over_while_that_does_not_pay(monkeypatch):
    now = 100.0
    monkeypatch.setattr(parallel, "perf_counter", lambda: now)
    monkeypatch.setattr(parallel, "_workers", [])
    balance = parallel._balance
    pauses = []
    for _ in range(8):
        while balance.pays():
            balance.add(computed=0.02, elapsed=0.02)  # each thread slows the other, so alone it would have been less
        assert set(parallel.run(lambda item: threading.get_ident(), [0, 1])) == {threading.get_ident()}
        pauses.append(balance.alone_until - now)
        now = balance.alone_until + 1e-6
    assert pauses[0] < pauses[1] < pauses[-1] == pytest.approx(parallel._LONGEST_PAUSE)
    assert len(set(parallel.run(lambda item: threading.get_ident(), [0, 1]))) == 2  # to try it again
    for _ in range(100):
        balance.add(computed=0.02, elapsed=0.012)
    assert balance.pays()
    assert not balance.pause


def test_a_vigil_lasts_as_long_as_the_workers_have_work(monkeypatch):
    vigil = awake.Vigil(0)
    monkeypatch.setattr(parallel, "_workers", [])
    monkeypatch.setattr(parallel, "_vigil", vigil)
    tg.set_num_threads(parallel._available())
    assert parallel.run(lambda item: vigil.users, [0, 1])[1] == 1
    until(lambda: vigil.users == 0)
    assert vigil.rest[0]


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="Linux's threads for idle cores")
def test_a_vigil_computes_where_nobody_else_does_and_rests_after_it():
    before = set(threading.enumerate())
    vigil = awake.Vigil(1)
    (thread,) = set(threading.enumerate()) - before
    until(lambda: os.sched_getscheduler(thread.native_id) == os.SCHED_IDLE)
    with vigil:
        until(lambda: ticks(thread) > 1)
    time.sleep(0.1)
    at_rest = ticks(thread)
    time.sleep(0.2)
    assert ticks(thread) == at_rest


def ticks(thread):
    """The hundredths of a second that a thread has computed for."""
    fields = Path(f"/proc/self/task/{thread.native_id}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11])


def until(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


RATIONS = {
    "none": {},
    "of version 2": {"/proc/self/cgroup": "0::/job/part\n", "/sys/fs/cgroup/job/cpu.max": "150000 100000\n"},
    "of a container": {"/sys/fs/cgroup/cpu.max": "50000 100000\n"},
    "of version 1": {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n"},
    "unlimited": {"/sys/fs/cgroup/cpu.max": "max 100000\n", "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n"},
}


@pytest.mark.parametrize("ration", RATIONS)
@pytest.mark.parametrize("flags", ["flags : fpu hypervisor lm", "flags : fpu lm", "Features : fp asimd hypervisor"])
def test_only_virtual_machines_are_kept_awake_unless_rationed_or_told_not_to(monkeypatch, flags, ration):
    files = {"/proc/cpuinfo": f"model name : hypervisor\n{flags}\npower : hypervisor", **RATIONS[ration]}
    monkeypatch.setattr(awake, "_text", lambda path: files.get(str(path), ""))
    monkeypatch.setattr(awake.os, "SCHED_IDLE", 5, raising=False)
    monkeypatch.delenv("TINYGRAD_CNN_KEEP_AWAKE", raising=False)
    expected = flags == "flags : fpu hypervisor lm" and ration in ("none", "unlimited")
    assert awake.may_sleep_long() == expected
    monkeypatch.setenv("TINYGRAD_CNN_KEEP_AWAKE", "0")
    assert not awake.may_sleep_long()
