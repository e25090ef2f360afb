"""check_module: every layer passes it, and each kind of broken layer is caught, with its sentence."""

import copy
import pickle
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.testing import ConformanceError, check_module
from tinygrad_cnn.testing.modules import MODULE_PROPERTIES


def array(*shape, seed=0, low=-1.0, high=1.0):
    """Distinct values, none near 0, -0.5, 0.5 or another kink of the layers below."""
    values = np.random.default_rng(seed).permutation(np.linspace(low, high, int(np.prod(shape))))
    near = np.round(values * 2) / 2
    return np.where(np.abs(values - near) < 0.02, near + 0.03, values).reshape(shape)


IMAGES, ROWS, SIGNALS = array(2, 4, 4, 4), array(3, 4), array(2, 4, 6)
PROBABILITIES = np.full((3, 4), 0.25) + np.linspace(-0.1, 0.1, 4)
LABELS, SIGNS = np.array([0, 3, 1]), np.array([1.0, -1.0, 1.0])
OTHER = array(3, 4, seed=1, low=-0.9, high=1.2)
LOSS = {"samples"}  # one number for the whole batch

# The construction, the inputs, and the properties that the layer rightly doesn't have.
LAYERS = {
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(4), [SIGNALS]),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d((3, 2)), [IMAGES]),
    "AdaptiveMaxPool1d": (lambda: nn.AdaptiveMaxPool1d(4), [SIGNALS]),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d(2, return_indices=True), [IMAGES]),
    "AlphaDropout": (lambda: nn.AlphaDropout(0.3), [IMAGES]),
    "AvgPool1d": (lambda: nn.AvgPool1d(3, 2, 1), [SIGNALS]),
    "AvgPool2d": (lambda: nn.AvgPool2d(2, 2, 1, count_include_pad=False), [IMAGES]),
    "BCELoss": (lambda: nn.BCELoss(), [PROBABILITIES, PROBABILITIES[::-1].copy()], LOSS),
    "BCEWithLogitsLoss": (lambda: nn.BCEWithLogitsLoss(pos_weight=tg.ones(4)), [ROWS, PROBABILITIES], LOSS),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(4), [ROWS]),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4, momentum=None), [IMAGES]),
    "BatchNorm3d": (lambda: nn.BatchNorm3d(4, affine=False), [array(2, 4, 2, 2, 2)]),
    "Bilinear": (lambda: nn.Bilinear(4, 4, 2), [ROWS, OTHER]),
    "CELU": (lambda: nn.CELU(0.7), [ROWS]),
    "ChannelShuffle": (lambda: nn.ChannelShuffle(2), [IMAGES]),
    "CircularPad1d": (lambda: nn.CircularPad1d((2, 1)), [SIGNALS]),
    "CircularPad2d": (lambda: nn.CircularPad2d((2, 1, 0, 1)), [IMAGES]),
    "ConstantPad1d": (lambda: nn.ConstantPad1d((2, -1), 3.0), [SIGNALS]),
    "ConstantPad2d": (lambda: nn.ConstantPad2d((2, -1, 0, 1), 3.0), [IMAGES]),
    "Conv1d": (lambda: nn.Conv1d(4, 2, 3, padding=1, padding_mode="reflect"), [SIGNALS]),
    "Conv2d": (lambda: nn.Conv2d(4, 2, (3, 2), 2, 1, groups=2), [IMAGES]),
    "ConvTranspose1d": (lambda: nn.ConvTranspose1d(4, 2, 3, 2, output_padding=1), [SIGNALS]),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(4, 2, 3, 2, 1, groups=2), [IMAGES]),
    "CosineEmbeddingLoss": (lambda: nn.CosineEmbeddingLoss(-0.9), [ROWS, OTHER, SIGNS], LOSS),
    "CosineSimilarity": (lambda: nn.CosineSimilarity(), [ROWS, OTHER]),
    "CrossEntropyLoss": (lambda: nn.CrossEntropyLoss(tg.tensor([0.5, 1, 2, 1]), label_smoothing=0.1), [ROWS, LABELS]),
    "DataParallel": (lambda: nn.DataParallel(nn.Linear(4, 2)), [ROWS]),
    "Dropout": (lambda: nn.Dropout(), [IMAGES]),
    "Dropout1d": (lambda: nn.Dropout1d(), [SIGNALS]),
    "Dropout2d": (lambda: nn.Dropout2d(), [IMAGES]),
    "Dropout3d": (lambda: nn.Dropout3d(), [array(2, 4, 2, 2, 2)]),
    "ELU": (lambda: nn.ELU(0.5), [ROWS]),
    "Embedding": (lambda: nn.Embedding(5, 3, padding_idx=2), [np.array([[1, 0], [4, 1]])]),
    "FeatureAlphaDropout": (lambda: nn.FeatureAlphaDropout(), [IMAGES]),
    "Flatten": (lambda: nn.Flatten(), [IMAGES]),
    "Fold": (lambda: nn.Fold((3, 3), 2), [array(2, 8, 4)]),
    "GELU": (lambda: nn.GELU("tanh"), [ROWS]),
    "GLU": (lambda: nn.GLU(), [ROWS]),
    "GaussianNLLLoss": (lambda: nn.GaussianNLLLoss(), [ROWS, OTHER, array(3, 4, low=0.5)], LOSS),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), [IMAGES]),
    "Hardshrink": (lambda: nn.Hardshrink(), [ROWS]),
    "Hardsigmoid": (lambda: nn.Hardsigmoid(), [6 * ROWS]),
    "Hardswish": (lambda: nn.Hardswish(), [6 * ROWS]),
    "Hardtanh": (lambda: nn.Hardtanh(-0.5, 0.5), [ROWS]),
    "HingeEmbeddingLoss": (lambda: nn.HingeEmbeddingLoss(), [array(3), SIGNS], LOSS),
    "HuberLoss": (lambda: nn.HuberLoss(delta=0.7), [ROWS, OTHER], LOSS),
    "Identity": (lambda: nn.Identity(), [ROWS]),
    "InstanceNorm1d": (lambda: nn.InstanceNorm1d(4, affine=True), [SIGNALS]),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4, track_running_stats=True), [IMAGES]),
    "InstanceNorm3d": (lambda: nn.InstanceNorm3d(4), [array(2, 4, 2, 2, 2)]),
    "KLDivLoss": (lambda: nn.KLDivLoss(reduction="batchmean"), [ROWS, PROBABILITIES], LOSS),
    "L1Loss": (lambda: nn.L1Loss(), [ROWS, OTHER], LOSS),
    "LPPool1d": (lambda: nn.LPPool1d(2, 2), [SIGNALS]),
    "LPPool2d": (lambda: nn.LPPool2d(2, 2), [IMAGES]),
    "LayerNorm": (lambda: nn.LayerNorm((4, 4)), [IMAGES]),
    "LazyBatchNorm1d": (lambda: nn.LazyBatchNorm1d(), [ROWS]),
    "LazyBatchNorm2d": (lambda: nn.LazyBatchNorm2d(), [IMAGES]),
    "LazyBatchNorm3d": (lambda: nn.LazyBatchNorm3d(), [array(2, 4, 2, 2, 2)]),
    "LazyConv1d": (lambda: nn.LazyConv1d(2, 3), [SIGNALS]),
    "LazyConv2d": (lambda: nn.LazyConv2d(2, 3), [IMAGES]),
    "LazyConvTranspose1d": (lambda: nn.LazyConvTranspose1d(2, 3), [SIGNALS]),
    "LazyConvTranspose2d": (lambda: nn.LazyConvTranspose2d(2, 3), [IMAGES]),
    "LazyInstanceNorm1d": (lambda: nn.LazyInstanceNorm1d(affine=True), [SIGNALS]),
    "LazyInstanceNorm2d": (lambda: nn.LazyInstanceNorm2d(affine=True), [IMAGES]),
    "LazyInstanceNorm3d": (lambda: nn.LazyInstanceNorm3d(affine=True), [array(2, 4, 2, 2, 2)]),
    "LazyLinear": (lambda: nn.LazyLinear(2), [ROWS]),
    "LeakyReLU": (lambda: nn.LeakyReLU(), [ROWS]),
    "Linear": (lambda: nn.Linear(4, 2), [ROWS]),
    "LocalResponseNorm": (lambda: nn.LocalResponseNorm(3), [IMAGES]),
    "LogSigmoid": (lambda: nn.LogSigmoid(), [ROWS]),
    "LogSoftmax": (lambda: nn.LogSoftmax(1), [ROWS]),
    "MSELoss": (lambda: nn.MSELoss(), [ROWS, OTHER], LOSS),
    "MarginRankingLoss": (lambda: nn.MarginRankingLoss(0.1), [array(3), array(3, seed=1), SIGNS], LOSS),
    "MaxPool1d": (lambda: nn.MaxPool1d(3, 2, 1), [SIGNALS]),
    "MaxPool2d": (lambda: nn.MaxPool2d(2, 1, ceil_mode=True, return_indices=True), [IMAGES]),
    "MaxUnpool1d": (lambda: nn.MaxUnpool1d(2), [array(1, 2, 2), np.array([[[0, 3], [1, 2]]])]),
    "MaxUnpool2d": (lambda: nn.MaxUnpool2d(2), [array(1, 1, 1, 2), np.array([[[[0, 7]]]])]),
    "Mish": (lambda: nn.Mish(), [ROWS]),
    "MultiLabelMarginLoss": (lambda: nn.MultiLabelMarginLoss(), [ROWS, np.array([[0, 2, -1, 1]] * 3)], LOSS),
    "MultiLabelSoftMarginLoss": (lambda: nn.MultiLabelSoftMarginLoss(), [ROWS, np.eye(3, 4)], LOSS),
    "MultiMarginLoss": (lambda: nn.MultiMarginLoss(2), [ROWS, LABELS], LOSS),
    "NLLLoss": (lambda: nn.NLLLoss(ignore_index=1), [ROWS, LABELS], LOSS),
    "PReLU": (lambda: nn.PReLU(4), [ROWS]),
    "PairwiseDistance": (lambda: nn.PairwiseDistance(), [ROWS, OTHER]),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), [IMAGES]),
    "PixelUnshuffle": (lambda: nn.PixelUnshuffle(2), [IMAGES]),
    "PoissonNLLLoss": (lambda: nn.PoissonNLLLoss(), [ROWS, array(3, 4, low=0.5, high=2.0)], LOSS),
    "RMSNorm": (lambda: nn.RMSNorm(4), [ROWS]),
    "RReLU": (lambda: nn.RReLU(), [ROWS]),
    "ReLU": (lambda: nn.ReLU(), [ROWS]),
    "ReLU6": (lambda: nn.ReLU6(), [ROWS]),
    "ReflectionPad1d": (lambda: nn.ReflectionPad1d((2, 1)), [SIGNALS]),
    "ReflectionPad2d": (lambda: nn.ReflectionPad2d((2, 1, 0, 1)), [IMAGES]),
    "ReplicationPad1d": (lambda: nn.ReplicationPad1d((2, 1)), [SIGNALS]),
    "ReplicationPad2d": (lambda: nn.ReplicationPad2d((2, 1, 0, 1)), [IMAGES]),
    "SELU": (lambda: nn.SELU(), [ROWS]),
    "SiLU": (lambda: nn.SiLU(), [ROWS]),
    "Sigmoid": (lambda: nn.Sigmoid(), [ROWS]),
    "SmoothL1Loss": (lambda: nn.SmoothL1Loss(beta=0.7), [ROWS, OTHER], LOSS),
    "SoftMarginLoss": (lambda: nn.SoftMarginLoss(), [array(3), SIGNS], LOSS),
    "Softmax": (lambda: nn.Softmax(1), [ROWS]),
    "Softmax2d": (lambda: nn.Softmax2d(), [IMAGES]),
    "Softmin": (lambda: nn.Softmin(1), [ROWS]),
    "Softplus": (lambda: nn.Softplus(2.0, 1.5), [ROWS]),
    "Softshrink": (lambda: nn.Softshrink(), [ROWS]),
    "Softsign": (lambda: nn.Softsign(), [ROWS]),
    "Tanh": (lambda: nn.Tanh(), [ROWS]),
    "Tanhshrink": (lambda: nn.Tanhshrink(), [ROWS]),
    "Threshold": (lambda: nn.Threshold(0.5, -7.0), [ROWS]),
    "TripletMarginLoss": (lambda: nn.TripletMarginLoss(swap=True), [ROWS, OTHER, array(3, 4, seed=2)], LOSS),
    "TripletMarginWithDistanceLoss": (
        lambda: nn.TripletMarginWithDistanceLoss(distance_function=F.pairwise_distance),
        [ROWS, OTHER, array(3, 4, seed=2)],
        LOSS,
    ),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 2)), [ROWS]),
    "Unfold": (lambda: nn.Unfold(2, padding=1), [IMAGES]),
    "Upsample": (lambda: nn.Upsample(scale_factor=2, mode="bicubic"), [array(1, 1, 3, 3)]),
    "UpsamplingBilinear2d": (lambda: nn.UpsamplingBilinear2d(scale_factor=2), [array(1, 1, 3, 3)]),
    "UpsamplingNearest2d": (lambda: nn.UpsamplingNearest2d(size=5), [array(1, 1, 3, 3)]),
    "ZeroPad1d": (lambda: nn.ZeroPad1d(1), [SIGNALS]),
    "ZeroPad2d": (lambda: nn.ZeroPad2d((1, 0, -1, 2)), [IMAGES]),
}
NOT_LAYERS = {
    *("Module", "Parameter", "Buffer", "UninitializedParameter", "UninitializedBuffer", "LazyModuleMixin"),
    *("ModuleList", "ModuleDict", "ParameterList", "ParameterDict", "Sequential"),  # containers: in the models below
}


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
    check_module(MODELS[name](), array(2, 3, 6, 6), elements=4)


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
    Sign: ("first_order", "features.1.weight", "ratio"),
    Ignored: ("first_order", "features.1.weight", "features.1.weight"),
    Mean: ("first_order", "features.1.weight", "0.3333"),
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
