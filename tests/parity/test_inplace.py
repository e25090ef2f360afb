"""Random programs of views and in-place operations: values and gradients are PyTorch's wherever it doesn't raise."""

import random

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import torch

VIEWS = [
    lambda x: x[0],
    lambda x: x[1:],
    lambda x: x[::2],
    lambda x: x[..., -1],
    lambda x: x[..., :2],
    lambda x: x.transpose(0, -1),
    lambda x: x.permute(tuple(range(x.ndim)[::-1])),
    lambda x: x.movedim(0, -1),
    lambda x: x.reshape(-1),
    lambda x: x.view(-1),
    lambda x: x.flatten(),
    lambda x: x.view(x.numel(), 1),
    lambda x: x.unsqueeze(0),
    lambda x: x.squeeze(),
    lambda x: x.select(0, 0),
    lambda x: x.narrow(0, 0, 1),
    lambda x: x.diagonal() if x.ndim > 1 else x,
    lambda x: x.expand(2, *x.shape),
]
WRITES = [
    lambda library, x, y: x.add_(1.5),
    lambda library, x, y: x.mul_(y.mean()),
    lambda library, x, y: x.sub_(y.sum() * x),
    lambda library, x, y: x.__imul__(x),
    lambda library, x, y: x.exp_(),
    lambda library, x, y: x.fill_(0.3),
    lambda library, x, y: x.zero_(),
    lambda library, x, y: x.masked_fill_(x > 0.5, 0.1),
    lambda library, x, y: x.unsqueeze_(0),
    lambda library, x, y: x.squeeze_(),
    lambda library, x, y: x.transpose_(0, -1),
    lambda library, x, y: x.copy_(y),
    lambda library, x, y: x.copy_(y.sum()),
    lambda library, x, y: x.__setitem__(0, y.sum()),
    lambda library, x, y: x.__setitem__((..., 0), 0.25),
    lambda library, x, y: x.__setitem__((..., slice(-1, None)), x[..., -1:] + y.mean()),
    lambda library, x, y: x.__setitem__(x > 0.5, y.sum()),
    lambda library, x, y: x.__setitem__(x > 0.5, 0.0),
]


def run(library, seed):
    """The values of all tensors of a random program, whether they are recorded, and the leaves' gradients."""
    draw = random.Random(seed)
    leaves = [
        library.tensor(np.linspace(0.1, 1.2, 12).reshape(3, 4), requires_grad=True),
        library.tensor([0.5, 0.7], dtype=library.float64, requires_grad=True),
    ]
    tensors = [leaves[0] * 1.0 if draw.random() < 0.5 else leaves[0].detach().clone(), leaves[1] * 1.0]
    for _ in range(draw.randint(2, 8)):
        x, y, kind = draw.choice(tensors), draw.choice(tensors), draw.random()
        if kind < 0.35:
            tensors.append(draw.choice(VIEWS)(x))
        elif kind < 0.8:
            draw.choice(WRITES)(library, x, y)
        elif kind < 0.9:
            tensors.append(x * 2.0 + y.sum())
        else:
            with library.no_grad():
                x.mul_(0.9)
    values = [t.detach().numpy().copy() for t in tensors]
    recorded = [t.requires_grad for t in tensors]
    try:
        sum((t * t).sum() * (i + 1.0) for i, t in enumerate(tensors)).backward()
    except RuntimeError:
        return values, recorded, None
    return values, recorded, [None if leaf.grad is None else leaf.grad.numpy() for leaf in leaves]


@pytest.mark.filterwarnings("ignore::UserWarning")  # PyTorch deprecates masked writes to expanded tensors
@pytest.mark.parametrize("start", range(0, 600, 100))
def test_random_programs(start):
    compared = 0
    for seed in range(start, start + 100):
        try:
            values, recorded, gradients = run(torch, seed)
        except (RuntimeError, IndexError):  # PyTorch refuses more: writes to expanded tensors, leaves, several views
            continue
        try:
            ours = run(tg, seed)
        except tg.errors.GraphError as error:
            if "single memory location" not in str(error):  # a masked write to an expanded tensor: PyTorch only warns
                raise
            continue
        compared += 1
        assert ours[1] == recorded, seed
        for our, their in zip(ours[0], values, strict=True):
            np.testing.assert_allclose(our, their, rtol=1e-9, err_msg=f"values of program {seed}")
        if gradients is not None:
            for our, their in zip(ours[2], gradients, strict=True):
                assert (our is None) == (their is None), seed
                if our is not None:
                    np.testing.assert_allclose(our, their, rtol=1e-8, err_msg=f"gradients of program {seed}")
    assert compared > 50
