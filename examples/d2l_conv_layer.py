"""Dive into Deep Learning, chapter "Convolutions for Images": the operation, a layer, edges, learning a kernel."""

import tinygrad_cnn as torch
from tinygrad_cnn import nn


def corr2d(X, K):
    """Compute 2D cross-correlation."""
    h, w = K.shape
    Y = torch.zeros((X.shape[0] - h + 1, X.shape[1] - w + 1))
    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            Y[i, j] = (X[i : i + h, j : j + w] * K).sum()
    return Y


X = torch.tensor([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]])
K = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
print(corr2d(X, K))
assert torch.equal(corr2d(X, K), torch.tensor([[19.0, 25.0], [37.0, 43.0]]))


class Conv2D(nn.Module):
    """A convolutional layer by loops."""

    def __init__(self, kernel_size):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(kernel_size))
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        """Cross-correlate, add the bias."""
        return corr2d(x, self.weight) + self.bias


# edges of an object in an image: 1 from white to black, -1 from black to white
X = torch.ones((6, 8))
X[:, 2:6] = 0
K = torch.tensor([[1.0, -1.0]])
Y = corr2d(X, K)
print(Y)
assert torch.equal(Y, torch.tensor([[0.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0]] * 6))
assert not corr2d(X.t(), K).any()  # this kernel sees vertical edges alone

# learning the kernel from X and Y
torch.manual_seed(0)
conv2d = nn.LazyConv2d(1, kernel_size=(1, 2), bias=False)
X = X.reshape((1, 1, 6, 8))
Y = Y.reshape((1, 1, 6, 7))
lr = 3e-2  # Learning rate

for i in range(10):
    Y_hat = conv2d(X)
    l = (Y_hat - Y) ** 2  # noqa: E741  # the book's name
    conv2d.zero_grad()
    l.sum().backward()
    # Update the kernel
    conv2d.weight.data[:] -= lr * conv2d.weight.grad
    if (i + 1) % 2 == 0:
        print(f"epoch {i + 1}, loss {l.sum():.3f}")

print(conv2d.weight.data.reshape((1, 2)))
assert torch.allclose(conv2d.weight.data.reshape((1, 2)), K, atol=0.15)

# the same by the layer of loops: the gradient passes through the assignments Y[i, j] = ...
layer = Conv2D((1, 2))
for _ in range(20):
    loss = ((layer(X[0, 0]) - Y[0, 0]) ** 2).sum()
    layer.zero_grad()
    loss.backward()
    for parameter in layer.parameters():
        parameter.data[:] -= 1e-2 * parameter.grad
assert torch.allclose(layer.weight.data, K, atol=0.15)
