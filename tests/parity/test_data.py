"""The data side against PyTorch: what has no randomness must be equal, and errors of the same types."""

from collections import namedtuple

import numpy as np
import pytest

import tinygrad_cnn as tg
import tinygrad_cnn.utils.data  # so that tg.utils.data is there as torch.utils.data is
from tests.parity.compare import compare_error, torch

Point = namedtuple("Point", "x y")


def plain(value):
    """A result in types that both libraries share, with dtypes and container types kept."""
    if hasattr(value, "tolist") and hasattr(value, "dtype"):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return type(value).__name__, [plain(item) for item in value]
    return value


def same(call):
    assert plain(call(tg)) == plain(call(torch))


def tensors(T, count=7):
    return T.utils.data.TensorDataset(T.arange(count), T.arange(count * 2).reshape(count, 2).float())


@pytest.mark.parametrize(
    "batch",
    [
        [1, 2],
        [1.5, 2.5],
        [True, False],
        [1, 2.5],
        ["a", "b"],
        [b"a", b"b"],
        [(1, "a"), (2, "b")],
        [[1, 2], [3, 4]],
        [{"a": 1, "b": [2.0]}, {"a": 3, "b": [4.0]}],
        [Point(1, 2.0), Point(3, 4.0)],
        [np.float32(1), np.float32(2)],
        [np.int32(1), np.int32(2)],
        [np.ones(2), np.zeros(2)],
        [np.ones((1, 2), np.uint8)] * 2,
        [np.array(3), np.array(4)],
        [(np.ones(1), 1, {"x": (1, 2)})] * 3,
        [()],
        [[], []],
    ],
    ids=repr,
)
def test_collate_and_convert(batch):
    same(lambda T: T.utils.data.default_collate(batch))
    same(lambda T: T.utils.data.default_convert(batch))


@pytest.mark.parametrize(
    "call",
    [
        lambda T: list(T.utils.data.DataLoader(tensors(T), batch_size=3)),
        lambda T: list(T.utils.data.DataLoader(tensors(T), batch_size=3, drop_last=True)),
        lambda T: list(T.utils.data.DataLoader(tensors(T), batch_size=None)),
        lambda T: list(T.utils.data.DataLoader(tensors(T), sampler=[5, 1, 1], batch_size=2)),
        lambda T: list(T.utils.data.DataLoader(tensors(T), batch_sampler=[[0], [6, -1]])),
        lambda T: list(T.utils.data.DataLoader(tensors(T), 2, collate_fn=len)),
        lambda T: list(T.utils.data.DataLoader(range(5), batch_size=2)),
        lambda T: list(T.utils.data.DataLoader([np.ones(2), np.zeros(2)], batch_size=None)),
        lambda T: list(T.utils.data.DataLoader({0: "a", 1: "b"}, 2)),
        lambda T: len(T.utils.data.DataLoader(tensors(T), batch_size=3)),
        lambda T: len(T.utils.data.DataLoader(tensors(T), batch_size=None)),
        lambda T: T.utils.data.DataLoader(tensors(T)).batch_size,
        lambda T: T.utils.data.DataLoader(tensors(T), batch_sampler=[[1]]).batch_size,
        lambda T: T.utils.data.DataLoader(tensors(T), num_workers=1).prefetch_factor,
        lambda T: type(T.utils.data.DataLoader(tensors(T), shuffle=True).sampler).__name__,
        lambda T: tensors(T)[2:4],
        lambda T: tensors(T)[[1, 2]],
        lambda T: tensors(T)[-1],
        lambda T: T.utils.data.Subset(tensors(T), [3, 4])[[0, 1]],
        lambda T: T.utils.data.ConcatDataset([[1, 2], [3]]).cumulative_sizes,
        lambda T: [len(part) for part in T.utils.data.random_split(range(11), [0.3, 0.3, 0.4])],
        lambda T: [len(part) for part in T.utils.data.random_split(range(3), [3, 0])],
        lambda T: sorted(T.utils.data.WeightedRandomSampler([1.0, 0.0], 2, False)),
        lambda T: len(T.utils.data.RandomSampler(range(3), num_samples=5)),
        lambda T: list(T.utils.data.BatchSampler(T.utils.data.SequentialSampler(range(5)), 2, False)),
    ],
)
def test_calls(call):
    same(call)


@pytest.mark.parametrize(
    "call",
    [
        lambda T: T.utils.data.TensorDataset(T.ones(2), T.ones(3)),
        lambda T: T.utils.data.ConcatDataset([]),
        lambda T: T.utils.data.ConcatDataset([[1]])[-2],
        lambda T: T.utils.data.Dataset()[0],
        lambda T: T.utils.data.StackDataset(),
        lambda T: T.utils.data.StackDataset([1], [1, 2]),
        lambda T: T.utils.data.random_split([1, 2], [3]),
        lambda T: T.utils.data.random_split([1, 2], [1.5, -0.5]),
        lambda T: T.utils.data.RandomSampler([]),
        lambda T: T.utils.data.RandomSampler([1], "yes"),
        lambda T: T.utils.data.RandomSampler([1], num_samples=-1),
        lambda T: T.utils.data.BatchSampler([1], 1.5, False),
        lambda T: T.utils.data.BatchSampler([1], 1, None),
        lambda T: T.utils.data.WeightedRandomSampler([1.0], 1.5),
        lambda T: T.utils.data.WeightedRandomSampler([1.0], 1, replacement=1),
        lambda T: T.utils.data.WeightedRandomSampler([[1.0]], 1),
        lambda T: list(T.utils.data.WeightedRandomSampler([1.0, 0.0], 3, False)),
        lambda T: list(T.utils.data.WeightedRandomSampler([0.0, 0.0], 2)),
        lambda T: T.utils.data.DataLoader([1], num_workers=-1),
        lambda T: T.utils.data.DataLoader([1], timeout=-1),
        lambda T: T.utils.data.DataLoader([1], prefetch_factor=2),
        lambda T: T.utils.data.DataLoader([1], num_workers=1, prefetch_factor=-1),
        lambda T: T.utils.data.DataLoader([1], persistent_workers=True),
        lambda T: T.utils.data.DataLoader([1], multiprocessing_context="fork"),
        lambda T: T.utils.data.DataLoader([1], sampler=[0], shuffle=True),
        lambda T: T.utils.data.DataLoader([1], batch_sampler=[[0]], shuffle=True),
        lambda T: T.utils.data.DataLoader([1], batch_sampler=[[0]], batch_size=None),
        lambda T: T.utils.data.DataLoader([1], batch_size=None, drop_last=True),
        lambda T: T.utils.data.DataLoader([1], batch_size=-1),
        lambda T: T.utils.data.DataLoader([], shuffle=True),
        lambda T: setattr(T.utils.data.DataLoader([1]), "sampler", None),
        lambda T: T.utils.data.default_collate([T.ones(1), T.ones(2)]),
        lambda T: T.utils.data.default_collate([(1,), (1, 2)]),
        lambda T: T.utils.data.default_collate([None]),
        lambda T: T.utils.data.default_collate([np.array([None])]),
    ],
)
def test_errors(call):
    compare_error(call)
