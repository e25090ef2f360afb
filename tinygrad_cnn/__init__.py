"""tinygrad_cnn: an autograd tensor framework for convolutional networks whose only engine is NumPy.

Names, semantics and errors are PyTorch's; each family lists what it makes public in ``__all__``.
"""

# the star imports below are the public surface, listed where it is defined
import importlib
from typing import TYPE_CHECKING, Any

from tinygrad_cnn import autograd as autograd, backend as backend, errors as errors, ops as ops
from tinygrad_cnn.autograd import *
from tinygrad_cnn.autograd.explain import explain_all as _explain_all
from tinygrad_cnn.autograd.op import Op as Op, differentiable as differentiable, operation as operation
from tinygrad_cnn.autograd.printing import (
    get_printoptions as get_printoptions,
    printoptions as printoptions,
    set_printoptions as set_printoptions,
)
from tinygrad_cnn.autograd.tensor import Tensor as Tensor
from tinygrad_cnn.backend import (
    Generator as Generator,
    Size as Size,
    bool_ as bool,
    device as device,
    double as double,
    dtype as dtype,
    float16 as float16,
    float32 as float32,
    float64 as float64,
    float_ as float,
    get_default_dtype as get_default_dtype,
    half as half,
    int8 as int8,
    int16 as int16,
    int32 as int32,
    int64 as int64,
    int_ as int,
    long as long,
    set_default_dtype as set_default_dtype,
    short as short,
    uint8 as uint8,
)
from tinygrad_cnn.kernels.parallel import get_num_threads as get_num_threads, set_num_threads as set_num_threads
from tinygrad_cnn.ops import linalg as linalg
from tinygrad_cnn.ops.activation import *
from tinygrad_cnn.ops.combine import *
from tinygrad_cnn.ops.compare import *
from tinygrad_cnn.ops.convert import *
from tinygrad_cnn.ops.counting import *
from tinygrad_cnn.ops.create import *
from tinygrad_cnn.ops.diagonal import *
from tinygrad_cnn.ops.distance import *
from tinygrad_cnn.ops.einsum import *
from tinygrad_cnn.ops.elementwise import *
from tinygrad_cnn.ops.extrema import *
from tinygrad_cnn.ops.gather import *
from tinygrad_cnn.ops.index import *
from tinygrad_cnn.ops.info import *
from tinygrad_cnn.ops.join import *
from tinygrad_cnn.ops.mask import *
from tinygrad_cnn.ops.matmul import *
from tinygrad_cnn.ops.permute import *
from tinygrad_cnn.ops.random import *
from tinygrad_cnn.ops.rearrange import *
from tinygrad_cnn.ops.reduce import *
from tinygrad_cnn.ops.scan import *
from tinygrad_cnn.ops.shape import *
from tinygrad_cnn.ops.softmax import *
from tinygrad_cnn.ops.sort import *
from tinygrad_cnn.ops.statistics import *
from tinygrad_cnn.ops.unary import *
from tinygrad_cnn.ops.vector_norm import *

if TYPE_CHECKING:
    from tinygrad_cnn import (
        data as data,
        models as models,
        nn as nn,
        optim as optim,
        profiler as profiler,
        serialization as serialization,
        testing as testing,
        train as train,
        utils as utils,
        viz as viz,
    )
    from tinygrad_cnn.nn.functional import (
        adaptive_avg_pool1d as adaptive_avg_pool1d,
        adaptive_max_pool1d as adaptive_max_pool1d,
        alpha_dropout as alpha_dropout,
        avg_pool1d as avg_pool1d,
        batch_norm as batch_norm,
        bilinear as bilinear,
        binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
        celu_ as celu_,
        channel_shuffle as channel_shuffle,
        conv1d as conv1d,
        conv2d as conv2d,
        conv_transpose1d as conv_transpose1d,
        conv_transpose2d as conv_transpose2d,
        cosine_embedding_loss as cosine_embedding_loss,
        dropout as dropout,
        embedding as embedding,
        feature_alpha_dropout as feature_alpha_dropout,
        group_norm as group_norm,
        hinge_embedding_loss as hinge_embedding_loss,
        instance_norm as instance_norm,
        kl_div as kl_div,
        layer_norm as layer_norm,
        margin_ranking_loss as margin_ranking_loss,
        max_pool1d as max_pool1d,
        max_pool1d_with_indices as max_pool1d_with_indices,
        max_pool2d as max_pool2d,
        pixel_shuffle as pixel_shuffle,
        pixel_unshuffle as pixel_unshuffle,
        poisson_nll_loss as poisson_nll_loss,
        rms_norm as rms_norm,
        rrelu_ as rrelu_,
        selu_ as selu_,
        threshold_ as threshold_,
        triplet_margin_loss as triplet_margin_loss,
    )
    from tinygrad_cnn.serialization import load as load, save as save

_explain_all(globals(), ops.__name__)
_explain_all(vars(linalg), ops.__name__)

__version__ = "0.1.0"

# The rooms above ops are imported when they are first named, so that importing the package is quick.
_ROOMS = {"backends", "data", "models", "nn", "optim", "profiler", "serialization", "testing", "train", "utils", "viz"}
_ELSEWHERE = {"load": "serialization", "save": "serialization"} | dict.fromkeys(
    (  # what PyTorch has at the top as well as in nn.functional
        "adaptive_avg_pool1d",
        "adaptive_max_pool1d",
        "alpha_dropout",
        "avg_pool1d",
        "batch_norm",
        "bilinear",
        "binary_cross_entropy_with_logits",
        "celu_",
        "channel_shuffle",
        "conv1d",
        "conv2d",
        "conv_transpose1d",
        "conv_transpose2d",
        "cosine_embedding_loss",
        "dropout",
        "embedding",
        "feature_alpha_dropout",
        "group_norm",
        "hinge_embedding_loss",
        "instance_norm",
        "kl_div",
        "layer_norm",
        "margin_ranking_loss",
        "max_pool1d",
        "max_pool1d_with_indices",
        "max_pool2d",
        "pixel_shuffle",
        "pixel_unshuffle",
        "poisson_nll_loss",
        "rms_norm",
        "rrelu_",
        "selu_",
        "threshold_",
        "triplet_margin_loss",
    ),
    "nn.functional",
)


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"tinygrad_cnn.{name}")
    if name in _ELSEWHERE:
        value = getattr(importlib.import_module(f"tinygrad_cnn.{_ELSEWHERE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'tinygrad_cnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_ROOMS, *_ELSEWHERE})
