"""Transforms of images, under torchvision's names.

An image is a NumPy array (H,W) or (H,W,C), as datasets give it, or a Tensor (...,H,W), as ``ToTensor`` makes it.
Those that move pixels take both, and give what they took; of a PIL image they make an array. Random ones draw from
the library's own generator, in a DataLoader's worker from the worker's own.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.backend import as_dtype, get_default_dtype
from tinygrad_cnn.data.worker import current_generator
from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, check_argument
from tinygrad_cnn.nn.functional import interpolate

__all__ = [
    "CenterCrop",
    "Compose",
    "ConvertImageDtype",
    "InterpolationMode",
    "Lambda",
    "Normalize",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomVerticalFlip",
    "Resize",
    "ToTensor",
]

Image = Any  # an array or a Tensor
_PAD_MODES = ("constant", "edge", "reflect", "symmetric")


class Compose:
    """One transform after the other.

    >>> Compose([Lambda(lambda x: x + 1), Lambda(lambda x: x * 2)])(3)
    8
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        """The transformed image."""
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return "\n".join(["Compose(", *(f"    {transform}" for transform in self.transforms), ")"])


class Lambda:
    """A function as a transform."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise ArgumentTypeError(f"Lambda: Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        """The transformed image."""
        return self.lambd(img)

    def __repr__(self) -> str:
        return "Lambda()"


class ToTensor:
    """A Tensor (C,H,W) of an array (H,W) or (H,W,C), or of a PIL image; uint8 becomes floats from 0 to 1.

    >>> import numpy as np
    >>> ToTensor()(np.array([[0, 255]], np.uint8))
    tensor([[[0., 1.]]])
    """

    def __call__(self, pic: Any) -> Tensor:
        """The transformed image."""
        if isinstance(pic, Tensor) or not (isinstance(pic, np.ndarray) or hasattr(pic, "__array_interface__")):
            raise ArgumentTypeError(f"ToTensor: pic should be PIL Image or ndarray. Got {type(pic).__name__}")
        array = np.asarray(pic)
        if array.ndim not in (2, 3):
            raise ArgumentError(f"ToTensor: pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
        if array.dtype == bool and not isinstance(pic, np.ndarray):
            array = array * np.uint8(255)  # PIL's black and white
        array = array[:, :, None] if array.ndim == 2 else array
        array = array.transpose(2, 0, 1)
        if array.dtype != np.uint8:
            return wrap(array.copy())
        dtype = get_default_dtype().dtype
        return wrap(array.astype(dtype, order="C") / dtype.type(255))

    def __repr__(self) -> str:
        return "ToTensor()"


class ConvertImageDtype:
    """Another dtype, and the range of values that belongs to it: 0 to 1 for floats, 0 to the maximum for integers.

    >>> import tinygrad_cnn as tg
    >>> ConvertImageDtype(tg.float32)(tg.tensor([[0, 255]], dtype=tg.uint8))
    tensor([[0., 1.]])
    """

    def __init__(self, dtype: Any) -> None:
        self.dtype = as_dtype(dtype)
        check_argument(self.dtype.name != "bool", "ConvertImageDtype: expected a number dtype, got bool")

    def __call__(self, image: Tensor) -> Tensor:
        """The transformed image."""
        array = _tensor_array(self, image)
        target = self.dtype.dtype
        if target == array.dtype:
            return image
        if target.kind == "f":
            limit = 1 if array.dtype.kind == "f" else np.iinfo(array.dtype).max
            return wrap(array.astype(target) / target.type(limit))
        top = int(np.iinfo(target).max)
        if array.dtype.kind == "f":  # each integer gets an equal share of [0, 1]
            return wrap((array.astype(np.float64) * (top + 1 - 1e-3)).astype(target))
        own = int(np.iinfo(array.dtype).max)
        if own > top:
            return wrap((array // ((own + 1) // (top + 1))).astype(target))
        return wrap(array.astype(target) * target.type((top + 1) // (own + 1)))

    def __repr__(self) -> str:
        return "ConvertImageDtype()"


class Normalize:
    """``(image - mean) / std`` for each channel of a floating Tensor (...,C,H,W).

    >>> import tinygrad_cnn as tg
    >>> Normalize(mean=[0.5], std=[0.5])(tg.tensor([[[0.0, 1.0]]]))
    tensor([[[-1.,  1.]]])
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def __call__(self, tensor: Tensor) -> Tensor:
        """The transformed image."""
        array = _tensor_array(self, tensor)
        if array.dtype.kind != "f":
            raise ArgumentTypeError(f"Normalize: expected a float tensor, got {tensor.dtype}; use ToTensor() first")
        if array.ndim < 3:
            raise ArgumentError(f"Normalize: expected a tensor image of size (..., C, H, W), got {array.shape}")
        mean, std = (np.asarray(v, array.dtype).reshape(-1, 1, 1) for v in (self.mean, self.std))
        if not std.all():
            raise ArgumentError(f"Normalize: std evaluated to zero after conversion to {tensor.dtype}: {self.std}")
        channels = array.shape[-3]
        if {mean.size, std.size} - {1, channels}:
            raise ArgumentError(
                f"Normalize: the image has {channels} channels, mean has {mean.size} values and std {std.size}"
            )
        if self.inplace:
            array -= mean
            array /= std
            return tensor
        return wrap((array - mean) / std)

    def __repr__(self) -> str:
        return f"Normalize(mean={self.mean}, std={self.std})"


class InterpolationMode(enum.Enum):
    """How pixels are made of others; the last three are for PIL images only."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


_PIL_FILTERS = {"nearest": 0, "nearest-exact": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}


class Resize:
    """Another size: ``size`` is (height, width), or the length of the shorter side, where the shape stays.

    With one length, ``max_size`` limits the longer side. A PIL image is resized by PIL; arrays and Tensors as
    ``nn.functional.interpolate`` does it, integers with rounding.

    >>> import tinygrad_cnn as tg
    >>> Resize((4, 6))(tg.zeros(1, 2, 3)).shape, Resize(4)(tg.zeros(1, 2, 3)).shape
    (torch.Size([1, 4, 6]), torch.Size([1, 4, 6]))
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: InterpolationMode | str | int = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        _size(self, size)
        if isinstance(interpolation, int):
            interpolation = next((mode for mode, code in _PIL_FILTERS.items() if code == interpolation), "")
        known = [mode.value for mode in InterpolationMode]
        mode = interpolation.value if isinstance(interpolation, InterpolationMode) else interpolation
        check_argument(mode in known, f"Resize: interpolation expected one of {known}, got {interpolation!r}")
        if max_size is not None and not (isinstance(size, int) or len(size) == 1):
            raise ArgumentError("Resize: max_size needs a size of one length, the shorter side's")
        self.size = size
        self.interpolation = InterpolationMode(mode)
        self.max_size = max_size
        self.antialias = antialias

    def __call__(self, img: Image) -> Image:
        """The transformed image."""
        mode = self.interpolation.value
        if hasattr(img, "resize") and hasattr(img, "getbands"):  # a PIL image
            width, height = img.size
            size = self._target(height, width)
            return img if size == (height, width) else img.resize(size[::-1], _PIL_FILTERS[mode])
        array, rows, columns = _pixels(self, img)
        if mode not in ("nearest", "nearest-exact", "bilinear", "bicubic"):
            raise ArgumentError(f"Resize: interpolation {mode!r} is for PIL images, got {type(img).__name__}")
        sides = array.shape[rows], array.shape[columns]
        check_argument(min(sides) > 0, f"Resize: expected an image with pixels, got shape {array.shape}")
        size = self._target(*sides)
        if size == sides:
            return img
        planes = np.moveaxis(array, (rows, columns), (-2, -1))
        images = planes.reshape(1, -1, *sides).astype(array.dtype if array.dtype.kind == "f" else np.float32)
        smooth = mode.startswith("bi")
        resized = interpolate(wrap(images), size, mode=mode, antialias=bool(self.antialias) and smooth).numpy()
        if array.dtype.kind != "f":
            limits = np.iinfo(array.dtype) if array.dtype.kind in "iu" else None
            resized = np.rint(resized) if limits is None else np.clip(np.rint(resized), limits.min, limits.max)
        out = resized.astype(array.dtype).reshape(*planes.shape[:-2], *size)
        return _like(img, np.moveaxis(out, (-2, -1), (rows, columns)))

    def _target(self, height: int, width: int) -> tuple[int, int]:
        """The height and width that an image of this height and width gets."""
        sides = [self.size] if isinstance(self.size, int) else list(self.size)
        if len(sides) == 2:
            return sides[0], sides[1]
        short, long = sorted((height, width))
        new_short, new_long = sides[0], int(sides[0] * long / short)
        if self.max_size is not None:
            if self.max_size <= sides[0]:
                raise ArgumentError(f"Resize: max_size = {self.max_size} must be greater than the size {sides[0]}")
            if new_long > self.max_size:
                new_short, new_long = int(self.max_size * new_short / new_long), self.max_size
        return (new_long, new_short) if width <= height else (new_short, new_long)

    def __repr__(self) -> str:
        mode, more = self.interpolation.value, f"max_size={self.max_size}, antialias={self.antialias}"
        return f"Resize(size={self.size}, interpolation={mode}, {more})"


class Pad:
    """Borders of ``padding`` pixels: one number, (left/right, top/bottom) or (left, top, right, bottom).

    ``padding_mode`` is "constant" (``fill``), "edge", "reflect" or "symmetric".
    """

    def __init__(self, padding: int | Sequence[int], fill: float = 0, padding_mode: str = "constant") -> None:
        sides = [padding] if isinstance(padding, int) else list(padding)
        if len(sides) not in (1, 2, 4):
            raise ArgumentError(
                f"Pad: padding must be an int or a 1, 2, or 4 element tuple, not a {len(sides)} element one"
            )
        check_argument(
            padding_mode in _PAD_MODES, f"Pad: padding_mode should be one of {_PAD_MODES}, got {padding_mode!r}"
        )
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode
        self._left, self._top, self._right, self._bottom = sides * (4 // len(sides))

    def __call__(self, img: Image) -> Image:
        """The transformed image."""
        return self._pad(img, self._left, self._top, self._right, self._bottom)

    def _pad(self, img: Image, left: int, top: int, right: int, bottom: int) -> Image:
        array, rows, columns = _pixels(self, img)
        widths = [(0, 0)] * array.ndim
        widths[rows], widths[columns] = (top, bottom), (left, right)
        options = {"constant_values": self.fill} if self.padding_mode == "constant" else {}
        return _like(img, np.pad(array, widths, self.padding_mode, **options))  # type: ignore[call-overload]  # a mode by name

    def __repr__(self) -> str:
        return f"Pad(padding={self.padding}, fill={self.fill}, padding_mode={self.padding_mode})"


class CenterCrop:
    """The middle of the image, ``size`` high and wide; a smaller image is padded with zeros."""

    def __init__(self, size: int | Sequence[int]) -> None:
        self.size = _size(self, size)

    def __call__(self, img: Image) -> Image:
        """The transformed image."""
        array, rows, columns = _pixels(self, img)
        missing = [max(want - array.shape[axis], 0) for want, axis in zip(self.size, (rows, columns), strict=True)]
        if any(missing):
            top, left = missing[0] // 2, missing[1] // 2
            img = Pad((left, top, missing[1] - left, missing[0] - top))(img)
            array = _pixels(self, img)[0]
        top, left = (
            round((array.shape[axis] - want) / 2.0) for want, axis in zip(self.size, (rows, columns), strict=True)
        )
        return _crop(self, img, top, left, self.size)

    def __repr__(self) -> str:
        return f"CenterCrop(size={self.size})"


class RandomCrop:
    """A part of the image at a random place, ``size`` high and wide, after ``padding`` as in ``Pad``.

    ``pad_if_needed`` pads an image that is smaller than the crop; without it that is an ArgumentError.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: float = 0,
        padding_mode: str = "constant",
    ) -> None:
        self.size = _size(self, size)
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self._pad = Pad(0 if padding is None else padding, fill, padding_mode)

    def __call__(self, img: Image) -> Image:
        """The transformed image."""
        if self.padding is not None:
            img = self._pad(img)
        height, width = self.size
        array, rows, columns = _pixels(self, img)
        if self.pad_if_needed:
            more_rows, more_columns = max(height - array.shape[rows], 0), max(width - array.shape[columns], 0)
            img = self._pad._pad(img, more_columns, more_rows, more_columns, more_rows)
            array = _pixels(self, img)[0]
        room = array.shape[rows] - height, array.shape[columns] - width
        if min(room) < 0:
            raise ArgumentError(
                f"RandomCrop: Required crop size {self.size} is larger than input image size "
                f"{(array.shape[rows], array.shape[columns])}; use padding or pad_if_needed=True"
            )
        random = current_generator().numpy
        return _crop(self, img, int(random.integers(room[0] + 1)), int(random.integers(room[1] + 1)), self.size)

    def __repr__(self) -> str:
        return f"RandomCrop(size={self.size}, padding={self.padding})"


class RandomHorizontalFlip:
    """Left and right exchanged, with probability ``p``."""

    def __init__(self, p: float = 0.5) -> None:
        check_argument(0 <= p <= 1, f"{type(self).__name__}: p should be between 0 and 1, got {p}")
        self.p = p

    def __call__(self, img: Image) -> Image:
        """The transformed image."""
        array, rows, columns = _pixels(self, img)
        if current_generator().numpy.random() >= self.p:
            return img
        return _like(img, np.flip(array, self._axis(rows, columns)).copy())

    def _axis(self, rows: int, columns: int) -> int:
        return columns

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomVerticalFlip(RandomHorizontalFlip):
    """Top and bottom exchanged, with probability ``p``."""

    def _axis(self, rows: int, columns: int) -> int:
        return rows


def _pixels(transform: object, img: Image) -> tuple[np.ndarray, int, int]:
    """The array of an image, and which of its axes are the rows and the columns."""
    name = type(transform).__name__
    if isinstance(img, Tensor):
        if img.ndim < 2:
            raise ArgumentTypeError(
                f"{name}: Tensor is not a torch image: expected (..., H, W), got {tuple(img.shape)}"
            )
        return img.numpy(), img.ndim - 2, img.ndim - 1
    if hasattr(img, "getbands"):  # a PIL image
        img = np.asarray(img) * np.uint8(255) if img.mode == "1" else np.asarray(img)
    if not isinstance(img, np.ndarray):
        raise ArgumentTypeError(
            f"{name}: expected an array, a Tensor or a PIL image, got {type(img).__name__}; use ToTensor() first"
        )
    if img.ndim not in (2, 3):
        raise ArgumentTypeError(f"{name}: expected an array (H, W) or (H, W, C), got {img.shape}")
    return img, 0, 1


def _like(img: Image, array: np.ndarray) -> Image:
    return wrap(array) if isinstance(img, Tensor) else array


def _crop(transform: object, img: Image, top: int, left: int, size: tuple[int, int]) -> Image:
    array, rows, columns = _pixels(transform, img)
    index = [slice(None)] * array.ndim
    index[rows], index[columns] = slice(top, top + size[0]), slice(left, left + size[1])
    return _like(img, array[tuple(index)].copy())


def _size(transform: object, size: int | Sequence[int]) -> tuple[int, int]:
    sides = [size] if isinstance(size, int) else list(size)
    if len(sides) not in (1, 2) or min(sides) < 1:
        raise ArgumentError(f"{type(transform).__name__}: expected a size, or (height, width), got {size}")
    return sides[0], sides[-1]


def _tensor_array(transform: object, img: Any) -> np.ndarray:
    if not isinstance(img, Tensor):
        raise ArgumentTypeError(f"{type(transform).__name__}: img should be Tensor Image. Got {type(img).__name__}")
    return img.numpy()
