"""Every layer of ``nn`` in a small construction, with inputs for it."""

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.nn import functional as F


def array(*shape, seed=0, low=-1.0, high=1.0):
    """Distinct values, none near 0, -0.5, 0.5 or another kink of the layers below."""
    values = np.random.default_rng(seed).permutation(np.linspace(low, high, int(np.prod(shape))))
    near = np.round(values * 2) / 2
    moved = near + np.where(values < near, -1, 1) * (0.02 + 0.37 * np.abs(values - near))
    return np.where(np.abs(values - near) < 0.02, moved, values).reshape(shape)


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
