"""Dive into Deep Learning, chapter "Pooling"."""

import tinygrad_cnn as torch
from tinygrad_cnn import nn


def pool2d(X, pool_size, mode="max"):
    """The maximum or the mean of each window."""
    p_h, p_w = pool_size
    Y = torch.zeros((X.shape[0] - p_h + 1, X.shape[1] - p_w + 1))
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            if mode == "max":
                Y[i, j] = X[i : i + p_h, j : j + p_w].max()
            elif mode == "avg":
                Y[i, j] = X[i : i + p_h, j : j + p_w].mean()
    return Y


X = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]])
assert torch.equal(pool2d(X, (2, 2)), torch.tensor([[4.0, 5.0], [7.0, 8.0]]))
assert torch.equal(pool2d(X, (2, 2), "avg"), torch.tensor([[2.0, 3.0], [5.0, 6.0]]))

X = torch.arange(16, dtype=torch.float32).reshape((1, 1, 4, 4))
print(X)

pool2d = nn.MaxPool2d(3)
# Pooling has no model parameters, hence it needs no initialization
assert torch.equal(pool2d(X), torch.tensor([[[[10.0]]]]))

pool2d = nn.MaxPool2d(3, padding=1, stride=2)
assert torch.equal(pool2d(X), torch.tensor([[[[5.0, 7.0], [13.0, 15.0]]]]))

pool2d = nn.MaxPool2d((2, 3), stride=(2, 3), padding=(0, 1))
assert torch.equal(pool2d(X), torch.tensor([[[[5.0, 7.0], [13.0, 15.0]]]]))

X = torch.cat((X, X + 1), 1)
pool2d = nn.MaxPool2d(3, padding=1, stride=2)
print(pool2d(X))
assert torch.equal(pool2d(X), torch.tensor([[[[5.0, 7.0], [13.0, 15.0]], [[6.0, 8.0], [14.0, 16.0]]]]))
