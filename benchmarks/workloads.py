"""What is measured: a network, a batch, and training or inference; the same weights and images for every library."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from benchmarks import more_networks, networks

Step = Callable[[], Any]  # does one step and returns the loss, or the scores


@dataclass(frozen=True)
class Workload:
    """One row: ``network`` on a batch of ``images`` of one shape; trained, unless there is no optimizer."""

    title: str
    network: Callable[[Any], Any]
    images: tuple[int, int, int]
    batch: int
    optimizer: str | None = None
    classes: int = 10

    def data(self) -> tuple[np.ndarray, list[np.ndarray]]:
        """The images (N,C,H,W), in [0, 1), and labels for ten steps in turn.

        The labels contradict each other: a loss that went to zero would end in denormal numbers, which are slow.
        """
        rng = np.random.default_rng(0)
        images = rng.random((self.batch, *self.images), dtype=np.float32)
        labels = rng.integers(0, self.classes, self.batch)
        return images, [(labels + shift) % self.classes for shift in range(10)]

    def build(self, T: Any) -> Step:
        """The step on the library ``T``."""
        model = self.network(T)
        shapes = [(name, tuple(p.shape)) for name, p in model.named_parameters()]
        for name, value in draw_parameters(shapes):  # one at a time: a second set would count as the library's memory
            model.load_state_dict({name: T.from_numpy(value)}, strict=False)
        images, labels = self.data()
        x, targets = T.from_numpy(images), cycle([T.from_numpy(t) for t in labels])
        if self.optimizer is None:
            model.eval()

            def infer() -> Any:
                with T.no_grad():
                    return model(x)

            return infer
        optimizer = OPTIMIZERS[self.optimizer](T, model.parameters())

        def train() -> Any:
            optimizer.zero_grad()
            loss = T.nn.functional.cross_entropy(model(x), next(targets))
            loss.backward()
            optimizer.step()
            return loss

        return train


OPTIMIZERS: dict[str, Callable[[Any, Any], Any]] = {
    "Adam": lambda T, parameters: T.optim.Adam(parameters, lr=1e-3),
    "SGD": lambda T, parameters: T.optim.SGD(parameters, lr=1e-3, momentum=0.9),
}


def draw_parameters(shapes: Iterable[tuple[str, tuple[int, ...]]]) -> Iterator[tuple[str, np.ndarray]]:
    """Initial values that depend on names and shapes alone: He's for weights, near 1 for scales, near 0 for biases."""
    rng = np.random.default_rng(1)
    for name, shape in shapes:
        noise = rng.standard_normal(shape, dtype=np.float32)
        if len(shape) > 1:
            yield name, noise * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        else:
            yield name, np.float32(name.endswith("weight")) + np.float32(0.1) * noise


_DIGIT, _SMALL, _LARGE = (1, 28, 28), (3, 32, 32), (3, 224, 224)
WORKLOADS = {
    "simple_conv_net": Workload("SimpleConvNet, batch 100, train", networks.simple_conv_net, _DIGIT, 100, "Adam"),
    "lenet5": Workload("LeNet-5, batch 256, train", networks.lenet5, _DIGIT, 256, "SGD"),
    "small_vgg": Workload("small VGG, batch 64, train", networks.small_vgg, _SMALL, 64, "SGD"),
    "resnet20": Workload("ResNet-20 (CIFAR), batch 128, train", networks.resnet20, _SMALL, 128, "SGD"),
    "mobilenet": Workload("MobileNet-style, batch 64, train", networks.mobilenet, _SMALL, 64, "SGD"),
    "mlp": Workload("MLP 784-256-128-10, batch 32, train", networks.mlp, _DIGIT, 32, "SGD"),
    "simple_conv_net_b1": Workload("SimpleConvNet, batch 1, train", networks.simple_conv_net, _DIGIT, 1, "Adam"),
    "lenet5_b1": Workload("LeNet-5, batch 1, inference", networks.lenet5, _DIGIT, 1),
    "resnet18_b1": Workload("ResNet-18 224x224, batch 1, inference", networks.resnet18, _LARGE, 1, classes=1000),
    "resnet18_b8": Workload("ResNet-18 224x224, batch 8, inference", networks.resnet18, _LARGE, 8, classes=1000),
}
_MIDDLE = (3, 64, 64)
MORE = {  # layers that those don't have
    "alexnet": Workload("AlexNet at half size, batch 8, train", more_networks.alexnet, (3, 127, 127), 8, "SGD"),
    "squeezenet": Workload("SqueezeNet-style, batch 32, train", more_networks.squeezenet, (3, 96, 96), 32, "SGD"),
    "densenet": Workload("DenseNet-style, batch 32, train", more_networks.densenet, _SMALL, 32, "SGD"),
    "resnext": Workload("ResNeXt-style, batch 32, train", more_networks.resnext, _SMALL, 32, "SGD"),
    "shufflenet": Workload("ShuffleNet-style, batch 64, train", more_networks.shufflenet, _SMALL, 64, "SGD"),
    "mobilenet_v3": Workload("MobileNetV3-style, batch 32, train", more_networks.mobilenet_v3, _MIDDLE, 32, "SGD"),
    "convnext": Workload("ConvNeXt-style, batch 32, train", more_networks.convnext, _MIDDLE, 32, "SGD"),
    "unet": Workload("U-Net with group norm, batch 4, train", more_networks.unet, _MIDDLE, 4, "SGD"),
    "discriminator": Workload("DCGAN's discriminator, batch 64, train", more_networks.discriminator, _SMALL, 64, "SGD"),
}
ALL = {**WORKLOADS, **MORE}
