"""Your own op, proven: declare it, get it wrong, read the explanation, get it right, train with it.

The op is generalised-mean pooling ("GeM", Radenovic, Tolias, Chum 2018, https://arxiv.org/abs/1711.02512, section 3.2):

    out = (mean over all pixels of x^p) ^ (1/p)        x (N,C,H,W), all positive, and one number p  ->  (N,C)

With p = 1 it is the average of each channel, with a large p the maximum; the network learns which it needs.

Run this file, or let pytest hold the op to all that it declares:

    python examples/your_own_op.py
    pytest --tinygrad-ops examples/your_own_op.py
"""

import math

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.testing import check_op

# Step 1. The forward is a function of NumPy arrays. Parameters without an annotation are inputs: they come as Tensors,
# and can have gradients. (Settings are annotated with their type: ``kernel_size: int``.)


@tg.differentiable
def gem_pool(input, p):
    """The generalised mean of each channel, (N,C,H,W) and p () -> (N,C); ``input`` must be positive."""
    return (input**p).mean((2, 3)) ** (1 / p)


# Step 2. Which arguments are valid? ``draw`` draws them: shapes, and values at a distance from what the op can't take
# (here: from 0). A failing case shrinks, so draw small things first.


@gem_pool.samples
def _(draw):
    return dict(input=draw.array(draw.shape(min_dims=4, max_dims=4, max_side=3), 0.5, 2.0), p=draw.array((), 1.5, 4.0))


# Step 3. What is it, in the slowest and most obvious words? The forward is held against this, so use loops and ``math``
# and nothing of the forward.


@gem_pool.reference
def _(input, p):
    out = np.zeros(input.shape[:2])
    for n, c in np.ndindex(*out.shape):
        pixels = input[n, c].ravel().tolist()
        out[n, c] = (sum(pixel ** float(p) for pixel in pixels) / len(pixels)) ** (1 / float(p))
    return out


# Step 4. The gradients. ``g`` is the upstream: the gradient of the loss with respect to the result. Besides, a formula
# may name any argument, ``out`` (the result) and ``input_shape``. It is written in operators and ops of the library, so
# that it can be differentiated again: it runs on arrays in backward(), and on Tensors under create_graph=True.


def wrong_gradient(g, input, p, out):
    """d out / d x = out^(1-p) x^(p-1). So it says in the notes from the train."""
    return (g * out ** (1 - p))[:, :, None, None] * input ** (p - 1)


def right_gradient(g, input, p, out):
    """d out / d x = out^(1-p) x^(p-1) / (H W): the mean divides by the number of pixels, and so does its gradient."""
    pixels = input.shape[2] * input.shape[3]
    return (g * out ** (1 - p))[:, :, None, None] * input ** (p - 1) / pixels


def gradient_of_p(g, input, p, out):
    """d out / d p = out (mean(x^p log x) / (p mean(x^p)) - log(out) / p)."""
    powers = input**p
    weighted = (powers * tg.log(input)).sum((2, 3)) / powers.sum((2, 3))
    return (g * out * (weighted - tg.log(out)) / p).sum()


gem_pool.gradients(input=right_gradient, p=gradient_of_p)


# Step 5. A layer is a Module, as in PyTorch.


class GeM(nn.Module):
    def __init__(self, p=3.0):
        super().__init__()
        self.p = nn.Parameter(tg.tensor(p))

    def forward(self, x):
        return gem_pool(x.clamp(min=1e-3), self.p)


def show_the_mistake():
    """The kit finds the wrong gradient, shrinks the case, and says what is wrong with it."""
    gem_pool.gradients(input=wrong_gradient)
    explanation = ""
    try:
        check_op(gem_pool)
    except AssertionError as error:
        explanation = str(error)
    finally:
        gem_pool.gradients(input=right_gradient)
    print(explanation)
    assert "missing mean" in explanation


def train(steps=80):
    """A small network with the op in it, on the digits that come with the package."""
    tg.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        GeM(),
        nn.Linear(32, 10),
    )
    optimizer = tg.optim.Adam(model.parameters(), lr=1e-2)
    digits = tg.data.DataLoader(tg.data.datasets.MNIST5k(train=True).tensors(), batch_size=50, shuffle=True)
    for _, (images, labels) in zip(range(steps), digits, strict=False):
        loss = nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images, labels = tg.data.datasets.MNIST5k(train=False).tensors()[:]
    with tg.no_grad():
        accuracy = (model.eval()(images).argmax(1) == labels).float().mean().item()
    return accuracy, model[9].p.item()


if __name__ == "__main__":
    print("--- with the wrong gradient")
    show_the_mistake()

    print("--- with the right one")
    check_op(gem_pool)  # raises nothing: values, first and second derivatives, layouts, dtypes, empty batches, ...
    print("every property holds")

    x = tg.tensor([[[[1.0, 2.0], [3.0, 4.0]]]], requires_grad=True)
    print(gem_pool(x, tg.tensor(1.0)), "with p = 1 it is the mean")
    assert math.isclose(gem_pool(x, tg.tensor(1.0)).item(), 2.5, rel_tol=1e-6)

    accuracy, p = train()
    print(f"--- trained: accuracy {accuracy:.3f}, p went from 3 to {p:.2f}")
    assert accuracy > 0.7
    assert p != 3.0
