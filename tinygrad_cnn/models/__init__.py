"""The networks of the literature, written with ``nn`` alone; torchvision's names, arguments and keys where it has them.

``weights`` is None or the path of a checkpoint. ``progress`` is that of downloads, of which there are none.
"""

# ruff: noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.models.alexnet import *
from tinygrad_cnn.models.cifar_resnet import *
from tinygrad_cnn.models.densenet import *
from tinygrad_cnn.models.googlenet import *
from tinygrad_cnn.models.lenet import *
from tinygrad_cnn.models.mobilenetv1 import *
from tinygrad_cnn.models.mobilenetv2 import *
from tinygrad_cnn.models.registry import *
from tinygrad_cnn.models.resnet import *
from tinygrad_cnn.models.simple_conv_net import *
from tinygrad_cnn.models.squeezenet import *
from tinygrad_cnn.models.unet import *
from tinygrad_cnn.models.vgg import *
