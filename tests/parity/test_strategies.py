"""What the strategies draw is valid in PyTorch too, and gives the same results there."""

import pytest
from hypothesis import given

from tests.parity.compare import compare
from tinygrad_cnn.testing import strategies as cases


@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d", "max_pool2d", "avg_pool2d"])
def test_arguments_are_valid_in_pytorch(name):
    @given(getattr(cases, name + "_arguments")())
    def test(arguments):
        arrays = {k: arguments.pop(k) for k in ("input", "weight", "bias") if k in arguments}

        def call(T, *inputs):
            return getattr(T.nn.functional, name)(**dict(zip(arrays, inputs, strict=True)), **arguments)

        compare(call, *arrays.values())

    test()


@pytest.mark.parametrize("layer", ["Conv2d", "ConvTranspose2d", "MaxPool2d", "AvgPool2d"])
def test_settings_make_layers_in_pytorch(layer):
    names = dict(Conv2d="conv2d", ConvTranspose2d="conv_transpose2d", MaxPool2d="max_pool2d", AvgPool2d="avg_pool2d")

    @given(getattr(cases, names[layer] + "_settings")())
    def test(case):
        arguments, shape = case
        compare(lambda T: tuple(getattr(T.nn, layer)(**arguments)(T.zeros(shape)).shape))

    test()


@given(cases.labels(3, (4,), ignore_index=-100), cases.arrays((4, 3)))
def test_labels_are_valid_in_pytorch(labels, scores):
    compare(lambda T, x, y: T.nn.functional.cross_entropy(x, y), scores, labels)
