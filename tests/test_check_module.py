"""check_module: every layer passes it, and each kind of broken layer is caught, with its sentence."""

import copy
import pickle
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.layers import LAYERS, NOT_LAYERS, ROWS, array
from tinygrad_cnn import nn
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.testing import ConformanceError, check_module
from tinygrad_cnn.testing.modules import MODULE_PROPERTIES


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    build, inputs, skip = (*LAYERS[name], ())[:3]
    tg.manual_seed(0)
    check_module(build(), *inputs, skip=skip, elements=4)


def test_every_layer_is_checked():
    layers = {name for name, value in vars(nn).items() if isinstance(value, type) and issubclass(value, nn.Module)}
    assert layers - NOT_LAYERS == set(LAYERS)


# -------------------------------------------------------------------------------------------------- models
class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(out)) + x)


class Branches(nn.Module):
    def __init__(self):
        super().__init__()
        self.branches = nn.ModuleDict(
            dict(
                one=nn.Conv2d(3, 2, 1),
                three=nn.Sequential(nn.Conv2d(3, 2, 1), nn.Tanh(), nn.Conv2d(2, 2, 3, padding=1)),
                pool=nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(3, 1, 1)),
            )
        )
        self.scales = nn.ParameterList([nn.Parameter(tg.tensor(float(i))) for i in (1, 2, 3)])

    def forward(self, x):
        return tg.cat([s * branch(x) for s, branch in zip(self.scales, self.branches.values(), strict=True)], 1)


MODELS = {
    "LeNet": lambda: nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 5, 2), nn.Tanh(), nn.Flatten()),
        *(nn.Linear(20, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 3)),
    ),
    "residual block": lambda: Residual(3),
    "MobileNet block": lambda: nn.Sequential(
        *(nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU6()),
        *(nn.Conv2d(6, 6, 3, 2, 1, groups=6, bias=False), nn.BatchNorm2d(6), nn.Hardswish()),
        *(nn.Conv2d(6, 3, 1, bias=False), nn.BatchNorm2d(3)),
    ),
    "inception branches": Branches,
}


@pytest.mark.parametrize("name", MODELS)
def test_model(name):
    tg.manual_seed(1)
    check_module(MODELS[name](), array(2, 3, 6, 6), elements=2)


def test_inputs_can_be_drawn():
    drawn = []

    def sample(draw):
        drawn.append(draw.array((draw.integer(1, 3), 4)))
        return drawn[-1]

    check_module(nn.Linear(4, 2), sample, examples=3)
    assert len(drawn) >= 3
    check_module(nn.Bilinear(4, 4, 2), lambda draw: (draw.array((2, 4)), draw.array((2, 4))), examples=2)


def test_the_module_is_left_as_it_was():
    tg.manual_seed(3)
    module = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Dropout())
    module[1].eval()
    module[0].weight.grad = tg.ones(3, 4)
    before, state, modes = (
        copy.deepcopy(module.state_dict()),
        tg.get_rng_state(),
        [m.training for m in module.modules()],
    )
    x = tg.tensor(ROWS, requires_grad=True)
    check_module(module, x)
    assert all(tg.equal(value, before[name]) for name, value in module.state_dict().items())
    assert tg.equal(tg.get_rng_state(), state)
    assert [m.training for m in module.modules()] == modes
    assert module[0].weight.dtype == tg.float32
    assert tg.equal(module[0].weight.grad, tg.ones(3, 4))
    assert module[0].bias.grad is None
    assert x.grad is None


def test_skip_is_checked():
    with pytest.raises(ValueError, match=r"skip expected some of .*'samples'.*got \['sample'\]"):
        check_module(nn.Identity(), ROWS, skip=["sample"])


def test_a_kink_is_no_failure_where_the_gradient_is_a_subgradient():
    check_module(nn.ReLU(), np.array([[0.0, 1.0], [-1.0, 0.0]]), skip=["second_order"])

    class Steeper(nn.Module):  # 2 at 0 is not between the slopes 0 and 1
        def forward(self, x):
            return SlopeTwoAtZero.apply(x)

    with pytest.raises(ConformanceError, match="gradient"):
        check_module(Steeper(), np.array([[0.0, 1.0], [-1.0, 0.0]]), skip=["second_order", "copies"])


class SlopeTwoAtZero(tg.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return tg.relu(x)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * ((x > 0).double() + 2.0 * (x == 0).double()).to(g.dtype)


# ------------------------------------------------------------------------------------------ broken layers
class Product(tg.autograd.Function):
    """x @ w.T, with backward rules that the subclasses get wrong."""

    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w.T

    @classmethod
    def rule(cls, g, x, w):
        return g @ w, g.T @ x


def broken_product(rule):
    class Broken(Product):
        @staticmethod
        def backward(ctx, g):
            return rule(g, *ctx.saved_tensors)

    return Broken


def overwritten(g, x, w):
    result = g @ w, g.T @ x
    g.zero_()
    return result


PRODUCTS = {
    "right": broken_product(lambda g, x, w: (g @ w, g.T @ x)),
    "sign": broken_product(lambda g, x, w: (g @ w, -(g.T @ x))),
    "upstream ignored": broken_product(lambda g, x, w: (g @ w, tg.ones_like(g).T @ x)),
    "mean": broken_product(lambda g, x, w: (g @ w, g.T @ x / x.shape[0])),
    "input": broken_product(lambda g, x, w: (g @ w * 2, g.T @ x)),
    "second": broken_product(lambda g, x, w: (g @ w.detach(), g.T @ x)),
    "upstream overwritten": broken_product(overwritten),
}


class Layer(nn.Module):
    """A linear layer, the base of the broken ones."""

    kind = "right"

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(tg.tensor(array(2, 4, seed=5).astype(np.float32)))

    def forward(self, x):
        return PRODUCTS[self.kind].apply(x, self.weight)


class Sign(Layer):
    kind = "sign"


class Ignored(Layer):
    kind = "upstream ignored"


class Mean(Layer):
    kind = "mean"


class Input(Layer):
    kind = "input"


class Second(Layer):
    kind = "second"


class OverwritesUpstream(Layer):
    kind = "upstream overwritten"


class Model(nn.Module):
    """The broken layer inside a model, so that the path is seen."""

    def __init__(self, layer):
        super().__init__()
        self.features = nn.Sequential(nn.Tanh(), layer)

    def forward(self, x):
        return self.features(x)


class DropsInEval(Layer):
    def forward(self, x):
        return F.dropout(super().forward(x))


class CountsInEval(Layer):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", tg.zeros(()))

    def forward(self, x):
        self.seen += 1
        return super().forward(x)


class BatchStatisticsInEval(Layer):
    def forward(self, x):
        return super().forward(x) - x.mean(0, keepdim=True).sum()


class Unregistered(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = tg.ones(4, requires_grad=True)

    def forward(self, x):
        return x * self.scale


class PlainList(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Identity(), nn.Linear(4, 4)]

    def forward(self, x):
        return self.layers[1](x)


class Unused(Layer):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(tg.zeros(2))


class Detached(Layer):
    def forward(self, x):
        return x @ self.weight.detach().T


class OverwritesInput(Layer):
    def forward(self, x):
        x *= 2
        return super().forward(x)


class OverwritesParameter(Layer):
    def forward(self, x):
        with tg.no_grad():
            self.weight.clamp_(-0.5, 0.5)
        return super().forward(x)


class StateElsewhere(Layer):
    """What is learned in training is kept in a plain attribute."""

    def __init__(self):
        super().__init__()
        self.mean = 0.0

    def forward(self, x):
        if self.training:
            self.mean += 0.5
        return super().forward(x) - self.mean


class ExtraState(StateElsewhere):
    def get_extra_state(self):
        return self.mean

    def set_extra_state(self, state):
        self.mean = state


class HalfExtraState(StateElsewhere):
    def get_extra_state(self):
        return self.mean


class NotPersistent(Layer):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", tg.zeros(()), persistent=False)

    def forward(self, x):
        if self.training:
            self.mean += 0.5
        return super().forward(x) - self.mean


class Float32Inside(Layer):
    def forward(self, x):
        return super().forward(x).float()


class Upcast(Layer):
    def forward(self, x):
        return super().forward(x) * tg.ones(2, dtype=tg.float64)


class StaysInTraining(Layer):
    def train(self, mode=True):
        return super().train(True)


class TrainReturnsNothing(Layer):
    def train(self, mode=True):
        super().train(mode)


class Memory:
    runs = 0


class RemembersRuns(Layer):
    def forward(self, x):
        Memory.runs += 1
        return super().forward(x) + float(Memory.runs)


class CannotBeCopied(Layer):
    def __init__(self):
        super().__init__()
        self.stream = (i for i in range(3))


class CannotBePickled(Layer):
    def __init__(self):
        super().__init__()
        self.scale = lambda x: 2 * x

    def forward(self, x):
        return self.scale(super().forward(x))


class LosesWeight(Layer):
    def __setstate__(self, state):
        super().__setstate__(state)
        self.weight = nn.Parameter(tg.zeros(2, 4, dtype=self.weight.dtype))


class SharedGradients(nn.Module):
    """The gradients of both parameters are one array, to which a second backward() would add twice."""

    def __init__(self):
        super().__init__()
        self.a = nn.Parameter(tg.zeros(3, 4))
        self.b = nn.Parameter(tg.zeros(3, 4))

    def forward(self, x):
        def share(a):
            self.b.grad = a.grad

        if self.a.requires_grad:
            self.a.register_post_accumulate_grad_hook(share)
        return x * 2 + self.a + self.b.detach()


BROKEN = {  # the layer, the property, the argument, words of the message
    Sign: ("first_order", "features.1.weight", "likely cause: sign"),
    Ignored: ("first_order", "features.1.weight", "features.1.weight"),
    Mean: ("first_order", "features.1.weight", "likely cause: constant factor 1/3"),
    Input: ("first_order", "x", "gradient of"),
    Second: ("second_order", "features.1.weight", "second derivative of `features.1.weight` in train mode"),
    OverwritesUpstream: ("memory", "", "backward changes its upstream gradient in train mode"),
    DropsInEval: (
        "evaluation",
        "",
        "random numbers are drawn in eval mode; functional dropout needs training=self.training",
    ),
    CountsInEval: ("evaluation", "features.1.seen", "a buffer changes in eval mode; change it if self.training"),
    BatchStatisticsInEval: ("samples", "", "in the batch"),
    Unregistered: (
        "registration",
        "features.1.scale",
        "requires grad and isn't registered; .* make it an nn.Parameter",
    ),
    PlainList: ("registration", "features.1.layers[1]", "a layer that isn't registered; .* use ModuleList"),
    Unused: ("unused", "features.1.bias", "gets no gradient; use it in forward, or pass unused="),
    Detached: ("first_order", "features.1.weight", "gradient of `features.1.weight` in train mode"),
    OverwritesParameter: ("memory", "features.1.weight", "changes a parameter"),
    StateElsewhere: ("state_dict", "features.1.mean", "isn't in the state_dict; make it a buffer"),
    HalfExtraState: ("state_dict", "", "can't be loaded again"),
    NotPersistent: ("state_dict", "features.1.mean", "isn't in the state_dict; make it a buffer"),
    Float32Inside: ("float32", "", "float64 in, torch.float32 out|float64 in, float32 out"),
    Upcast: ("float32", "", "float32 in, float64 out"),
    StaysInTraining: ("modes", "features.1", "train.False. doesn't reach it"),
    TrainReturnsNothing: ("modes", "", "train.. doesn't return the module"),
    RemembersRuns: ("repeat", "", "two runs from the same state differ in train mode"),
    CannotBeCopied: ("copies", "", "deepcopy fails; .*generator"),
    CannotBePickled: ("copies", "", "pickle fails; .*lambda"),
    LosesWeight: ("copies", "features.1.weight", "deepcopy doesn't keep its value"),
    SharedGradients: ("memory", "features.1.b", "shares memory with that of `features.1.a`"),
}


@pytest.mark.parametrize("layer", BROKEN, ids=lambda layer: layer.__name__)
def test_a_broken_layer_is_caught_with_its_sentence(layer):
    kind, argument, words = BROKEN[layer]
    with pytest.raises(ConformanceError) as caught:
        check_module(layer() if layer is TrainReturnsNothing else Model(layer()), array(3, 4))
    assert (caught.value.property, caught.value.argument) == (kind, argument), str(caught.value)
    assert re.search(words, str(caught.value)), str(caught.value)
    assert str(caught.value).startswith(("Model", "TrainReturnsNothing"))


def test_a_layer_that_overwrites_its_input_is_caught_and_can_be_allowed():
    with pytest.raises(ConformanceError, match=r"OverwritesInput \(memory\): `x`: forward changes its input"):
        check_module(OverwritesInput(), array(3, 4))
    check_module(OverwritesInput(), array(3, 4), skip=["memory"])


@pytest.mark.parametrize("layer", [Layer, ExtraState])
def test_the_same_layer_without_the_mistake_passes(layer):
    check_module(Model(layer()), array(3, 4))
    check_module(Model(pickle.loads(pickle.dumps(layer()))), array(3, 4))


def test_what_is_meant_can_be_said():
    check_module(Model(Unused()), array(3, 4), unused=["features.1.bias"])
    check_module(Model(Second()), array(3, 4), skip=["second_order"])
    check_module(Model(BatchStatisticsInEval()), array(3, 4), skip=["samples"])


def test_every_property_is_seen_to_fail():
    assert {kind for kind, _, _ in BROKEN.values()} == set(MODULE_PROPERTIES)
