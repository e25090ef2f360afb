"""tinygrad_cnn: an autograd tensor framework for convolutional networks whose only engine is NumPy.

Names, semantics and errors are PyTorch's; each family lists what it makes public in ``__all__``.
"""

# the star imports below are the public surface, listed where it is defined
import importlib
from typing import TYPE_CHECKING, Any

from tinygrad_cnn import autograd as autograd
from tinygrad_cnn import backend as backend
from tinygrad_cnn import (
    data as data,
)
from tinygrad_cnn import errors as errors
from tinygrad_cnn import (
    nn as nn,
)
from tinygrad_cnn import ops as ops
from tinygrad_cnn import (
    optim as optim,
)
from tinygrad_cnn import (
    testing as testing,
)
from tinygrad_cnn import (
    utils as utils,
)
from tinygrad_cnn.autograd import *
from tinygrad_cnn.autograd.op import Op as Op
from tinygrad_cnn.autograd.op import differentiable as differentiable
from tinygrad_cnn.autograd.op import operation as operation
from tinygrad_cnn.autograd.printing import (
    get_printoptions as get_printoptions,
)
from tinygrad_cnn.autograd.printing import (
    printoptions as printoptions,
)
from tinygrad_cnn.autograd.printing import (
    set_printoptions as set_printoptions,
)
from tinygrad_cnn.autograd.tensor import Tensor as Tensor
from tinygrad_cnn.backend import (
    Generator as Generator,
)
from tinygrad_cnn.backend import (
    Size as Size,
)
from tinygrad_cnn.backend import bool_ as bool
from tinygrad_cnn.backend import (
    device as device,
)
from tinygrad_cnn.backend import (
    double as double,
)
from tinygrad_cnn.backend import (
    dtype as dtype,
)
from tinygrad_cnn.backend import (
    float16 as float16,
)
from tinygrad_cnn.backend import (
    float32 as float32,
)
from tinygrad_cnn.backend import (
    float64 as float64,
)
from tinygrad_cnn.backend import float_ as float
from tinygrad_cnn.backend import (
    get_default_dtype as get_default_dtype,
)
from tinygrad_cnn.backend import (
    half as half,
)
from tinygrad_cnn.backend import (
    int8 as int8,
)
from tinygrad_cnn.backend import (
    int16 as int16,
)
from tinygrad_cnn.backend import (
    int32 as int32,
)
from tinygrad_cnn.backend import (
    int64 as int64,
)
from tinygrad_cnn.backend import int_ as int
from tinygrad_cnn.backend import (
    long as long,
)
from tinygrad_cnn.backend import (
    set_default_dtype as set_default_dtype,
)
from tinygrad_cnn.backend import (
    short as short,
)
from tinygrad_cnn.backend import (
    uint8 as uint8,
)
from tinygrad_cnn.kernels.parallel import get_num_threads as get_num_threads
from tinygrad_cnn.kernels.parallel import set_num_threads as set_num_threads
from tinygrad_cnn.nn.functional import (
    adaptive_max_pool1d as adaptive_max_pool1d,
)
from tinygrad_cnn.nn.functional import (
    alpha_dropout as alpha_dropout,
)
from tinygrad_cnn.nn.functional import (
    avg_pool1d as avg_pool1d,
)
from tinygrad_cnn.nn.functional import (
    batch_norm as batch_norm,
)
from tinygrad_cnn.nn.functional import (
    bilinear as bilinear,
)
from tinygrad_cnn.nn.functional import (
    binary_cross_entropy_with_logits as binary_cross_entropy_with_logits,
)
from tinygrad_cnn.nn.functional import (
    celu_ as celu_,
)
from tinygrad_cnn.nn.functional import (
    channel_shuffle as channel_shuffle,
)
from tinygrad_cnn.nn.functional import (
    conv1d as conv1d,
)
from tinygrad_cnn.nn.functional import (
    conv2d as conv2d,
)
from tinygrad_cnn.nn.functional import (
    conv_transpose1d as conv_transpose1d,
)
from tinygrad_cnn.nn.functional import (
    conv_transpose2d as conv_transpose2d,
)
from tinygrad_cnn.nn.functional import (
    cosine_embedding_loss as cosine_embedding_loss,
)
from tinygrad_cnn.nn.functional import (
    dropout as dropout,
)
from tinygrad_cnn.nn.functional import (
    embedding as embedding,
)
from tinygrad_cnn.nn.functional import (
    feature_alpha_dropout as feature_alpha_dropout,
)
from tinygrad_cnn.nn.functional import (
    group_norm as group_norm,
)
from tinygrad_cnn.nn.functional import (
    hinge_embedding_loss as hinge_embedding_loss,
)
from tinygrad_cnn.nn.functional import (
    instance_norm as instance_norm,
)
from tinygrad_cnn.nn.functional import (
    kl_div as kl_div,
)
from tinygrad_cnn.nn.functional import (
    layer_norm as layer_norm,
)
from tinygrad_cnn.nn.functional import (
    margin_ranking_loss as margin_ranking_loss,
)
from tinygrad_cnn.nn.functional import (
    max_pool1d as max_pool1d,
)
from tinygrad_cnn.nn.functional import (
    max_pool2d as max_pool2d,
)
from tinygrad_cnn.nn.functional import (
    pixel_shuffle as pixel_shuffle,
)
from tinygrad_cnn.nn.functional import (
    pixel_unshuffle as pixel_unshuffle,
)
from tinygrad_cnn.nn.functional import (
    poisson_nll_loss as poisson_nll_loss,
)
from tinygrad_cnn.nn.functional import (
    rms_norm as rms_norm,
)
from tinygrad_cnn.nn.functional import (
    rrelu_ as rrelu_,
)
from tinygrad_cnn.nn.functional import (
    selu_ as selu_,
)
from tinygrad_cnn.nn.functional import (
    threshold_ as threshold_,
)
from tinygrad_cnn.nn.functional import (
    triplet_margin_loss as triplet_margin_loss,
)
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
    from tinygrad_cnn import data as data
    from tinygrad_cnn import models as models
    from tinygrad_cnn import nn as nn
    from tinygrad_cnn import optim as optim
    from tinygrad_cnn import serialization as serialization
    from tinygrad_cnn import testing as testing
    from tinygrad_cnn import train as train
    from tinygrad_cnn import utils as utils
    from tinygrad_cnn import viz as viz
    from tinygrad_cnn.nn.functional import (
        adaptive_avg_pool1d as adaptive_avg_pool1d,
    )
    from tinygrad_cnn.serialization import load as load
    from tinygrad_cnn.serialization import save as save

__version__ = "0.1.0"

# The rooms above ops are imported when they are first named, so that importing the package is quick.
_ROOMS = {"data", "models", "nn", "optim", "serialization", "testing", "train", "utils", "viz"}
_ELSEWHERE = {"load": "serialization", "save": "serialization"} | dict.fromkeys(
    (  # what PyTorch has at the top as well as in nn.functional
        "adaptive_avg_pool1d",
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
