"""The functions behind the layers, under PyTorch's names and with its signatures."""

from tinygrad_cnn.autograd.explain import explain_all as _explain_all
from tinygrad_cnn.nn.functional.activation import *  # noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.nn.functional.attention import *  # noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.nn.functional.conv import *  # noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.nn.functional.distance import *  # noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.nn.functional.dropout import *  # noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.nn.functional.linear import *  # noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.nn.functional.loss import *  # noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.nn.functional.margin_loss import *  # noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.nn.functional.norm import *  # noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.nn.functional.pool import *  # noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.nn.functional.sparse import *  # noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.nn.functional.vision import *  # noqa: F403  # each file lists its public names in __all__

_explain_all(globals(), __name__)
