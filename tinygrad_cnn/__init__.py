"""tinygrad_cnn: an autograd tensor framework for convolutional networks whose only engine is NumPy.

Names, semantics and errors are PyTorch's; each family lists what it makes public in ``__all__``.
"""

# the star imports below are the public surface, listed where it is defined
from tinygrad_cnn import autograd, backend, data, errors, nn, ops, optim, testing, utils
from tinygrad_cnn.autograd import *
from tinygrad_cnn.autograd.op import Op, differentiable, operation
from tinygrad_cnn.autograd.printing import get_printoptions, printoptions, set_printoptions
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import (
    Generator,
    Size,
    device,
    double,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    half,
    int8,
    int16,
    int32,
    int64,
    long,
    set_default_dtype,
    short,
    uint8,
)
from tinygrad_cnn.backend import bool_ as bool
from tinygrad_cnn.backend import float_ as float
from tinygrad_cnn.backend import int_ as int
from tinygrad_cnn.kernels.parallel import get_num_threads, set_num_threads
from tinygrad_cnn.nn.functional import (  # what PyTorch has at the top as well
    adaptive_avg_pool1d,
    adaptive_max_pool1d,
    alpha_dropout,
    avg_pool1d,
    batch_norm,
    bilinear,
    binary_cross_entropy_with_logits,
    celu_,
    channel_shuffle,
    conv1d,
    conv2d,
    conv_transpose1d,
    conv_transpose2d,
    cosine_embedding_loss,
    dropout,
    embedding,
    feature_alpha_dropout,
    group_norm,
    hinge_embedding_loss,
    instance_norm,
    kl_div,
    layer_norm,
    margin_ranking_loss,
    max_pool1d,
    max_pool2d,
    pixel_shuffle,
    pixel_unshuffle,
    poisson_nll_loss,
    rms_norm,
    rrelu_,
    selu_,
    threshold_,
    triplet_margin_loss,
)
from tinygrad_cnn.ops import linalg
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
from tinygrad_cnn.serialization import load, save

__version__ = "0.1.0"
