"""torchvision's ways to ask for pretrained weights, answered from the checkpoints that lie on this machine."""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

from tinygrad_cnn import models
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.compat.system import checkpoint_of, load_state_dict_from_url
from tinygrad_cnn.data.transforms import CenterCrop, ConvertImageDtype, Normalize, Resize, ToTensor
from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, UnsupportedError

_URL = "https://download.pytorch.org/models/"
# torchvision's enumeration of a model's weights; the model; the hashes in the names of its first and second checkpoint
_WEIGHTS = """
    AlexNet alexnet owt-7be5be79
    DenseNet121 densenet121 a639ec97
    DenseNet161 densenet161 8d451a50
    DenseNet169 densenet169 b2777c0a
    DenseNet201 densenet201 c1103571
    GoogLeNet googlenet 1378be20
    MobileNet_V2 mobilenet_v2 b0353104 7ebf99e0
    ResNet18 resnet18 f37072fd
    ResNet34 resnet34 b627a593
    ResNet50 resnet50 0676ba61 11ad3fa6
    ResNet101 resnet101 63fe2227 cd907fc2
    ResNet152 resnet152 394f9c45 f82ba261
    ResNeXt50_32X4D resnext50_32x4d 7cdf4587 1a0047aa
    ResNeXt101_32X8D resnext101_32x8d 8ba56ff5 110c445d
    ResNeXt101_64X4D resnext101_64x4d 173b62eb
    Wide_ResNet50_2 wide_resnet50_2 95faca4d 9ba9bcbe
    Wide_ResNet101_2 wide_resnet101_2 32ee1156 d733dc28
    SqueezeNet1_0 squeezenet1_0 b66bff10
    SqueezeNet1_1 squeezenet1_1 b8a52dc0
    VGG11 vgg11 8a719046
    VGG11_BN vgg11_bn 6002323d
    VGG13 vgg13 19584684
    VGG13_BN vgg13_bn abd245e5
    VGG16 vgg16 397923af
    VGG16_BN vgg16_bn 6c64b313
    VGG19 vgg19 dcbb9e9d
    VGG19_BN vgg19_bn c79401a0
"""


class ImageClassification:
    """The image, resized, cropped, between 0 and 1, and normalised, as ImageNet's networks expect it."""

    def __init__(
        self,
        *,
        crop_size: int = 224,
        resize_size: int = 256,
        mean: tuple[float, ...] = (0.485, 0.456, 0.406),
        std: tuple[float, ...] = (0.229, 0.224, 0.225),
    ) -> None:
        self.crop_size, self.resize_size, self.mean, self.std = [crop_size], [resize_size], list(mean), list(std)

    def __call__(self, img: Any) -> Tensor:
        """The transformed image."""
        img = CenterCrop(self.crop_size)(Resize(self.resize_size)(img))
        image = ConvertImageDtype("float32")(img if isinstance(img, Tensor) else ToTensor()(img))
        return Normalize(self.mean, self.std)(image)


class Weights(NamedTuple):
    """Where a checkpoint comes from, and what its images go through."""

    url: str
    transforms: Callable[..., ImageClassification]
    meta: dict[str, Any]


class _Meta(dict[str, Any]):
    """What torchvision knows of a checkpoint; none of it is carried here."""

    def __missing__(self, key: str) -> NoReturn:
        raise UnsupportedError(f"torchvision's weights: meta[{key!r}] isn't carried by tinygrad_cnn.compat")


class WeightsEnum(enum.Enum):
    """The checkpoints of a model, by torchvision's names."""

    @property
    def url(self) -> str:
        """Where torchvision downloads it from."""
        return str(self.value.url)

    @property
    def transforms(self) -> Callable[..., ImageClassification]:
        """What makes the transform of images for it."""
        return functools.partial(self.value.transforms)

    @property
    def meta(self) -> dict[str, Any]:
        """What torchvision knows of it."""
        meta: dict[str, Any] = self.value.meta
        return meta

    def get_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The checkpoint, if it lies where PyTorch puts its downloads. DataError otherwise."""
        return load_state_dict_from_url(self.url)

    def __repr__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    __str__ = __repr__


def _enumeration(name: str, model: str, hashes: list[str]) -> type[WeightsEnum]:
    sizes = (232,) if name == "ResNeXt101_64X4D" else (256, 232)  # the second checkpoints, and this one, are newer
    members: dict[str, Weights] = {
        f"IMAGENET1K_V{number}": Weights(
            f"{_URL}{model}-{part}.pth", functools.partial(ImageClassification, resize_size=size), _Meta()
        )
        for number, (part, size) in enumerate(zip(hashes, sizes, strict=False), 1)
    }
    members["DEFAULT"] = list(members.values())[-1]
    make: Any = WeightsEnum  # mypy takes the call for a lookup
    kind: type[WeightsEnum] = make(f"{name}_Weights", members)
    return kind


def _builder(build: Callable[..., Any], kind: type[WeightsEnum]) -> Callable[..., Any]:
    """The function that builds a model, with torchvision's ways to name its weights."""
    missing = object()

    @functools.wraps(build)
    def function(weights: Any = None, progress: bool = True, *, pretrained: Any = missing, **settings: Any) -> Any:
        wanted = weights if pretrained is missing else bool(pretrained)
        if isinstance(wanted, bool):
            wanted = kind["IMAGENET1K_V1"] if wanted else None
        elif isinstance(wanted, str) and wanted.rpartition(".")[2] in kind.__members__:
            wanted = kind[wanted.rpartition(".")[2]]
        if isinstance(wanted, WeightsEnum):
            if not isinstance(wanted, kind):
                raise ArgumentTypeError(f"{build.__name__}: weights expected a {kind.__name__}, got {wanted!r}")
            wanted = checkpoint_of(wanted.url)
        return build(wanted, progress, **settings)

    return function


_rows = [line.split() for line in _WEIGHTS.split("\n") if line.strip()]
_kinds = {model: _enumeration(name, model, hashes) for name, model, *hashes in _rows}
_builders = {model: _builder(getattr(models, model), kind) for model, kind in _kinds.items()}


def get_model(name: str, **config: Any) -> Any:
    """A model by its name; ``weights`` as its own function takes them."""
    build = _builders.get(name.lower())
    return models.get_model(name, **config) if build is None else build(**config)


def get_model_weights(name: Any) -> type[WeightsEnum]:
    """The checkpoints of a model, given by its name or function. ArgumentError if it has none."""
    key = (name if isinstance(name, str) else name.__name__).lower()
    if key not in _kinds:
        raise ArgumentError(f"get_model_weights: no weights are known of {key!r}, only of {', '.join(_kinds)}")
    return _kinds[key]


def get_weight(name: str) -> WeightsEnum:
    """A checkpoint by its full name, such as "ResNet50_Weights.IMAGENET1K_V2"."""
    enumeration, _, member = name.partition(".")
    for kind in _kinds.values():
        if kind.__name__ == enumeration and member in kind.__members__:
            return kind[member]
    raise ArgumentError(f"get_weight: expected a name such as 'ResNet50_Weights.IMAGENET1K_V2', got {name!r}")


names: dict[str, Any] = {
    **_builders,
    **{kind.__name__: kind for kind in _kinds.values()},
    "WeightsEnum": WeightsEnum,
    "Weights": Weights,
    "get_model": get_model,
    "get_model_weights": get_model_weights,
    "get_weight": get_weight,
}
