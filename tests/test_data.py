"""Datasets, samplers, collating and the loader, with and without workers."""

import gc
import itertools
import threading
import time
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.data import (
    BatchSampler,
    ChainDataset,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
)
from tinygrad_cnn.errors import TinygradError

WORKERS = [0, 1, 3]


class Squares(Dataset):
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        return index, float(index * index)


class Stream(IterableDataset):
    """Counts from ``start`` to ``end``, divided among workers by themselves."""

    def __init__(self, start, end):
        self.start, self.end = start, end

    def __iter__(self):
        info = get_worker_info()
        first, step = (0, 1) if info is None else (info.id, info.num_workers)
        return iter(range(self.start + first, self.end, step))

    def __len__(self):
        return self.end - self.start


def generator(seed=0):
    return tg.Generator().manual_seed(seed)


def pairs(count=10):
    return TensorDataset(tg.arange(count), tg.arange(count).float() * 2)


# ------------------------------------------------------------------------------------------- datasets
def test_tensor_dataset():
    x, y = pairs()[3]
    assert (x.item(), y.item(), len(pairs())) == (3, 6.0, 10)
    assert [int(x) for x, _ in pairs(3)] == [0, 1, 2]  # iteration ends at an IndexError


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: TensorDataset(tg.zeros(2), tg.zeros(3)), AssertionError),
        (lambda: TensorDataset(), AssertionError),
        (lambda: ConcatDataset([]), AssertionError),
        (lambda: ConcatDataset([Stream(0, 2)]), AssertionError),
        (lambda: list(ChainDataset([Squares(2)])), AssertionError),
        (lambda: ConcatDataset([Squares(2)])[-3], ValueError),
        (lambda: ConcatDataset([Squares(2)])[2], IndexError),
        (lambda: StackDataset(), ValueError),
        (lambda: StackDataset(Squares(2), Squares(3)), ValueError),
        (lambda: Dataset()[0], NotImplementedError),
        (lambda: iter(IterableDataset()), NotImplementedError),
        (lambda: iter(Sampler()), NotImplementedError),
        (lambda: random_split(Squares(4), [1, 2]), ValueError),
        (lambda: random_split(Squares(4), [1.5, -0.5]), ValueError),
        (lambda: RandomSampler([]), ValueError),
        (lambda: RandomSampler([1], num_samples=0), ValueError),
        (lambda: RandomSampler([1], replacement=1), TypeError),
        (lambda: BatchSampler([1], 0, False), ValueError),
        (lambda: BatchSampler([1], True, False), ValueError),
        (lambda: BatchSampler([1], 1, 0), ValueError),
        (lambda: WeightedRandomSampler([1.0], 0), ValueError),
        (lambda: WeightedRandomSampler([[1.0]], 1), ValueError),
        (lambda: list(WeightedRandomSampler([1.0, 0.0], 3, replacement=False)), RuntimeError),
        (lambda: list(WeightedRandomSampler([1.0, -1.0], 2)), RuntimeError),
        (lambda: DataLoader(Squares(2), num_workers=-1), ValueError),
        (lambda: DataLoader(Squares(2), timeout=-1), ValueError),
        (lambda: DataLoader(Squares(2), prefetch_factor=2), ValueError),
        (lambda: DataLoader(Squares(2), persistent_workers=True), ValueError),
        (lambda: DataLoader(Squares(2), multiprocessing_context="fork"), ValueError),
        (lambda: DataLoader(Squares(2), num_workers=1, multiprocessing_context="fork"), NotImplementedError),
        (lambda: DataLoader(Squares(2), sampler=[1], shuffle=True), ValueError),
        (lambda: DataLoader(Squares(2), batch_sampler=[[1]], batch_size=2), ValueError),
        (lambda: DataLoader(Squares(2), batch_sampler=[[1]], drop_last=True), ValueError),
        (lambda: DataLoader(Squares(2), batch_size=None, drop_last=True), ValueError),
        (lambda: DataLoader(Squares(2), batch_size=0), ValueError),
        (lambda: DataLoader(Stream(0, 2), shuffle=True), ValueError),
        (lambda: DataLoader(Stream(0, 2), sampler=[0]), ValueError),
        (lambda: DataLoader(Stream(0, 2), batch_sampler=[[0]]), ValueError),
        (lambda: setattr(DataLoader(Squares(2)), "batch_size", 3), ValueError),
        (lambda: default_collate([tg.zeros(2), tg.zeros(3)]), RuntimeError),
        (lambda: default_collate([[1], [1, 2]]), RuntimeError),
        (lambda: default_collate([object()]), TypeError),
        (lambda: default_collate([np.array(["a"])]), TypeError),
    ],
)
def test_errors_are_ours_and_of_the_type_that_pytorch_raises(call, error):
    with pytest.raises(error) as caught:
        call()
    assert isinstance(caught.value, TinygradError)


def test_datasets_together():
    both = Squares(2) + Squares(3)
    assert isinstance(both, ConcatDataset)
    assert [both[i][0] for i in range(5)] == [0, 1, 0, 1, 2]
    assert both[-1] == (2, 4.0)
    assert list(ChainDataset([Stream(0, 2), Stream(5, 7)])) == [0, 1, 5, 6]
    assert list(Stream(0, 1) + Stream(3, 4)) == [0, 3]
    assert len(ChainDataset([Stream(0, 2), Stream(5, 7)])) == 4
    assert StackDataset(Squares(3), "abc")[1] == ((1, 1.0), "b")
    assert Subset(Squares(9), [4, 2])[1] == (2, 4.0)
    assert len(Subset(Squares(9), [4, 2])) == 2


def test_subset_that_overrides_one_access_only_is_refused():
    class Doubled(Subset):
        def __getitem__(self, index):
            return 2 * super().__getitem__(index)

    with pytest.raises(NotImplementedError, match="__getitems__"):
        Doubled(Squares(3), [0])


def test_random_split_is_a_partition_and_repeats_with_its_generator():
    parts = random_split(range(10), [0.55, 0.45], generator=generator(3))
    assert [len(part) for part in parts] == [6, 4]
    assert sorted(x for part in parts for x in part) == list(range(10))
    again = random_split(range(10), [6, 4], generator=generator(3))
    assert [list(part) for part in parts] == [list(part) for part in again]
    with pytest.warns(UserWarning, match="index 1 is 0"):
        random_split(range(1), [0.9, 0.1])


# ------------------------------------------------------------------------------------------- samplers
def test_samplers():
    assert list(SequentialSampler(range(3))) == [0, 1, 2]
    assert sorted(RandomSampler(range(9))) == list(range(9))
    assert list(RandomSampler(range(99))) != list(range(99))
    more = list(RandomSampler(range(4), num_samples=10))
    assert len(more) == 10
    assert sorted(more[:4]) == sorted(more[4:8]) == [0, 1, 2, 3]
    drawn = list(RandomSampler(range(3), replacement=True, num_samples=200, generator=generator()))
    assert len(drawn) == 200
    assert set(drawn) == {0, 1, 2}
    assert sorted(SubsetRandomSampler([3, 1, 7])) == [1, 3, 7]
    weighted = list(WeightedRandomSampler([0.0, 3.0, 1.0], 4000, generator=generator()))
    assert weighted.count(1) / 4000 == pytest.approx(0.75, abs=0.03)
    assert sorted(WeightedRandomSampler([0.1, 0, 5], 2, replacement=False)) == [0, 2]
    assert list(BatchSampler(range(5), 2, drop_last=True)) == [[0, 1], [2, 3]]
    assert len(BatchSampler(range(5), 2, drop_last=True)) == 2
    assert len(BatchSampler(range(5), 2, drop_last=False)) == 3


def test_seeds_decide_the_order():
    for sampler in (RandomSampler(range(50)), SubsetRandomSampler(range(50)), WeightedRandomSampler([1.0] * 50, 50)):
        tg.manual_seed(4)
        first = list(sampler)
        second = list(sampler)
        tg.manual_seed(4)
        assert list(sampler) == first != second


# ------------------------------------------------------------------------------------------- collate
def test_collate_types():
    Point = namedtuple("Point", "x y")
    batch = default_collate(
        [
            {
                "t": tg.ones(2),
                "a": np.zeros((1, 2), np.uint8),
                "i": 1,
                "f": 2.5,
                "s": "a",
                "b": True,
                "p": Point(1, 2.0),
            },
            {
                "t": tg.zeros(2),
                "a": np.ones((1, 2), np.uint8),
                "i": 2,
                "f": 3.5,
                "s": "b",
                "b": False,
                "p": Point(3, 4.0),
            },
        ]
    )
    assert batch["t"].tolist() == [[1, 1], [0, 0]]
    assert (batch["a"].shape, batch["a"].dtype) == ((2, 1, 2), tg.uint8)
    assert (batch["i"].dtype, batch["f"].dtype, batch["b"].dtype) == (tg.int64, tg.float64, tg.bool)
    assert batch["s"] == ["a", "b"]
    assert type(batch["p"]) is Point
    assert batch["p"].y.tolist() == [2.0, 4.0]
    assert type(default_collate([OrderedDict(a=1)])) is OrderedDict
    assert [part.tolist() for part in default_collate([[1, 2], [3, 4]])] == [[1, 3], [2, 4]]
    assert default_collate([np.float32(1), np.float32(2)]).dtype == tg.float32


def test_collate_keeps_the_graph():
    x = tg.ones(2, requires_grad=True)
    default_collate([x * 2, x * 3]).sum().backward()
    assert x.grad.tolist() == [5, 5]


def test_convert():
    got = default_convert({"a": (np.ones(2), "s"), "n": np.float64(2)})
    assert got["a"][0].tolist() == [1, 1]
    assert got["a"][1] == "s"
    assert got["n"].item() == 2


# ------------------------------------------------------------------------------------------- loader
@pytest.mark.parametrize("workers", WORKERS)
def test_batches_come_in_order(workers):
    loader = DataLoader(Squares(10), batch_size=4, num_workers=workers)
    assert len(loader) == len(iter(loader)) == 3
    assert [batch[0].tolist() for batch in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert [batch[1].tolist() for batch in DataLoader(Squares(3), 2, drop_last=True, num_workers=workers)] == [[0, 1]]
    assert [b[0].tolist() for b in DataLoader(Squares(9), batch_sampler=[[8], [1, 2]], num_workers=workers)] == [
        [8],
        [1, 2],
    ]
    assert list(DataLoader(Squares(3), batch_size=None, num_workers=workers)) == [[0, 0.0], [1, 1.0], [2, 4.0]]
    assert list(DataLoader("abc", collate_fn="".join, batch_size=2, num_workers=workers)) == ["ab", "c"]


def test_the_order_depends_on_the_seed_alone_not_on_workers():
    def order(workers):
        tg.manual_seed(5)
        loader = DataLoader(Squares(20), 3, shuffle=True, num_workers=workers)
        return [[batch[0].tolist() for batch in loader] for _ in range(2)]

    first, second = order(0)
    assert first != second
    assert sorted(itertools.chain(*first)) == list(range(20))
    assert order(0) == order(1) == order(3) == [first, second]


def test_tensors_are_fetched_at_once_and_like_samples():
    data = pairs()
    part = Subset(Subset(data, [9, 7, 5, 3]), [3, 0])
    (x, y), *rest = DataLoader(part, batch_size=2)
    assert (x.tolist(), y.tolist(), rest) == ([3, 9], [6.0, 18.0], [])
    assert [type(batch) for batch in DataLoader(data, batch_size=5)] == [list, list]

    class Tripled(TensorDataset):
        def __getitem__(self, index):
            return tuple(3 * x for x in super().__getitem__(index))

    assert next(iter(DataLoader(Tripled(tg.arange(2)), batch_size=2)))[0].tolist() == [0, 3]
    samples = next(iter(DataLoader(data, batch_size=2, collate_fn=lambda samples: samples)))
    assert isinstance(samples, list)  # a collate_fn may sort them in place
    assert [int(x) for x, _ in samples] == [0, 1]


def test_getitems_is_used():
    class Many(Dataset):
        def __getitems__(self, indices):
            return [index * 10 for index in indices]

        def __len__(self):
            return 3

    assert [batch.tolist() for batch in DataLoader(Many(), batch_size=2)] == [[0, 10], [20]]


@pytest.mark.parametrize("workers", WORKERS)
def test_streams(workers):
    batches = [batch.tolist() for batch in DataLoader(Stream(0, 7), batch_size=2, num_workers=workers)]
    assert sorted(itertools.chain(*batches)) == list(range(7))
    assert len(DataLoader(Stream(0, 7), batch_size=2)) == 4
    assert sorted(DataLoader(Stream(0, 5), batch_size=None, num_workers=workers)) == list(range(5))
    full = DataLoader(Stream(0, 7), batch_size=3, drop_last=True, num_workers=workers)
    assert all(len(batch) == 3 for batch in full)


def test_worker_init_may_give_each_worker_its_part_of_a_stream():
    class Plain(IterableDataset):
        def __init__(self):
            self.start, self.end = 3, 7

        def __iter__(self):
            return iter(range(self.start, self.end))

    def divide(worker):
        part = get_worker_info().dataset
        part.start, part.end = 3 + 2 * worker, 5 + 2 * worker

    data = Plain()
    assert sorted(x.item() for x in DataLoader(data, num_workers=2, worker_init_fn=divide)) == [3, 4, 5, 6]
    assert (data.start, data.end) == (3, 7)


def test_a_stream_that_is_longer_than_it_said_warns():
    class Liar(Stream):
        def __len__(self):
            return 2

    loader = DataLoader(Liar(0, 3))
    assert len(loader) == 2
    with pytest.warns(UserWarning, match="was reported to be 2"):
        list(loader)


@pytest.mark.parametrize("workers", WORKERS)
def test_exceptions_come_through(workers):
    class Broken(Squares):
        def __getitem__(self, index):
            if index == 5:
                raise KeyError("sample five")
            return index

    got = []
    loader = DataLoader(Broken(9), batch_size=2, num_workers=workers)
    with pytest.raises(KeyError, match="sample five") as caught:
        got.extend(batch.tolist() for batch in loader)
    assert got == [[0, 1], [2, 3]]
    if workers:
        assert "worker" in caught.value.__notes__[0]


def worker_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("DataLoader")]


def wait_until(condition):
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_end_when_nobody_needs_them(persistent):
    gc.collect()
    assert wait_until(lambda: not worker_threads())
    gc.disable()  # reference counts must do
    try:
        loader = DataLoader(Squares(50), num_workers=2, persistent_workers=persistent)
        list(loader)
        next(iter(loader))  # a pass that is broken off
        del loader
        assert wait_until(lambda: not worker_threads())
    finally:
        gc.enable()


def test_persistent_workers_start_once_and_forget_a_pass_that_was_broken_off():
    started = []
    loader = DataLoader(Squares(9), 2, num_workers=2, persistent_workers=True, worker_init_fn=started.append)
    first = iter(loader)
    assert next(first)[0].tolist() == [0, 1]
    for _ in range(2):
        assert [batch[0].tolist() for batch in loader] == [[0, 1], [2, 3], [4, 5], [6, 7], [8]]
    assert sorted(started) == [0, 1]


def test_workers_prefetch_so_many_and_no_more():
    fetched = []

    class Counted(Squares):
        def __getitem__(self, index):
            fetched.append(index)
            return index

    batches = iter(DataLoader(Counted(50), num_workers=2, prefetch_factor=3))
    next(batches)
    assert wait_until(lambda: len(fetched) == 7)
    time.sleep(0.05)
    assert len(fetched) == 7  # one given, 2 * 3 ahead


def test_timeout():
    class Slow(Squares):
        def __getitem__(self, index):
            time.sleep(0.5)
            return index

    with pytest.raises(RuntimeError, match="timed out"):
        next(iter(DataLoader(Slow(2), num_workers=1, timeout=0.05)))


def test_worker_info():
    class Info(Dataset):
        def __getitem__(self, index):
            info = get_worker_info()
            return info.id, info.num_workers, info.seed

        def __len__(self):
            return 4

    ids, counts, _ = next(iter(DataLoader(Info(), 4, num_workers=2)))
    assert set(ids.tolist()) == {0}
    assert set(counts.tolist()) == {2}
    assert get_worker_info() is None


def test_pytorchs_paths():
    from tinygrad_cnn.utils import data
    from tinygrad_cnn.utils.data.dataloader import default_collate as collate
    from tinygrad_cnn.utils.data.dataset import Dataset as Base
    from tinygrad_cnn.utils.data.sampler import SubsetRandomSampler as Sampler_

    assert (data.DataLoader, collate, Base, Sampler_) == (DataLoader, default_collate, Dataset, SubsetRandomSampler)
    assert DataLoader[int]
    assert Dataset[int]
