"""Fitting models of any kind to the ten digits: channels, sizes, classes, and labels of pixels."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.data import TensorDataset
from tinygrad_cnn.models import get_model, model_info
from tinygrad_cnn.nn import Module, functional as F
from tinygrad_cnn.ops.elementwise import where

__all__ = ["dataset_for_digits", "model_for_digits"]

BACKGROUND = 10  # the class of a pixel without ink


def model_for_digits(name: str) -> Module:
    """The model ``name`` for grey images (N,1,H,W) of ten classes.

    A hook before it repeats the channel and enlarges the images as the model needs; its state_dict is as ever.

    >>> import tinygrad_cnn as tg
    >>> model_for_digits("resnet18").eval()(tg.zeros(1, 1, 28, 28)).shape
    torch.Size([1, 10])
    """
    info = model_info(name)
    model = get_model(name, **info.digits)

    def fit(module: Module, inputs: tuple[Any, ...]) -> Tensor:
        (images,) = inputs
        height, width = images.shape[-2:]
        if min(height, width) < info.min_size:
            size = (max(height, info.min_size), max(width, info.min_size))
            images = F.interpolate(images, size=size, mode="bilinear", align_corners=False)
        return images.expand(-1, info.channels, -1, -1)

    model.register_forward_pre_hook(fit)
    return model


def dataset_for_digits(name: str, digits: TensorDataset) -> TensorDataset:
    """``digits`` with the labels that the model ``name`` learns.

    A model that scores every pixel learns the digit where there is ink, and class 10 elsewhere: labels (N,H,W).
    """
    if not model_info(name).per_pixel:
        return digits
    images, labels = digits.tensors
    return TensorDataset(images, where(images[:, 0] > 0.5, labels[:, None, None], BACKGROUND))
