"""MNIST (LeCun, Cortes and Burges 1998) and the sets that come in its format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinygrad_cnn.autograd.tensor import wrap
from tinygrad_cnn.data.dataset import Dataset, TensorDataset
from tinygrad_cnn.data.datasets.download import download_file
from tinygrad_cnn.data.datasets.idx import read_idx
from tinygrad_cnn.errors import DataError

Transform = Callable[[Any], Any]


class ImageDataset(Dataset[tuple[Any, Any]]):
    """Grey images and their labels: ``data`` is uint8 (N,H,W), ``targets`` int64 (N,).

    ``dataset[i]`` is ``(image, label)``: a NumPy uint8 array (H,W) and an int, each passed through its transform.
    """

    classes: ClassVar[list[str]]

    def __init__(
        self, data: np.ndarray, targets: np.ndarray, transform: Transform | None, target_transform: Transform | None
    ) -> None:
        self.data = wrap(data)
        self.targets = wrap(targets.astype(np.int64))
        self.transform = transform
        self.target_transform = target_transform

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        image: Any = self.data.numpy()[index]
        target: Any = int(self.targets.numpy()[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return len(self.data)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The label of each class name."""
        return {name: index for index, name in enumerate(self.classes)}

    def tensors(self) -> TensorDataset:
        """All samples as tensors, without the transforms: float32 images (N,1,H,W) in [0, 1], and labels.

        A DataLoader makes batches of these many times faster than of single samples.
        """
        images = self.data.numpy()[:, None].astype(np.float32)
        images /= np.float32(255)
        return TensorDataset(wrap(images), self.targets)

    def __repr__(self) -> str:
        return "\n".join([f"Dataset {type(self).__name__}", f"    Number of datapoints: {len(self)}", *self._details()])

    def _details(self) -> list[str]:
        return [f"    Transform: {self.transform!r}"] if self.transform is not None else []


class MNIST(ImageDataset):
    """The handwritten digits: 60,000 images to train with, 10,000 to test with, 28 by 28 pixels.

    The IDX files, gzipped or not, are looked for in ``root/MNIST/raw``, where torchvision has them, and in ``root``.
    ``download=True`` fetches those that are missing. DataError if a file is missing, truncated, corrupt or swapped.
    """

    classes: ClassVar[list[str]] = [
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four",
        "5 - five", "6 - six", "7 - seven", "8 - eight", "9 - nine",
    ]  # fmt: skip
    mirrors: ClassVar[list[str]] = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://raw.githubusercontent.com/fgnt/mnist/master/",
    ]
    md5: ClassVar[dict[str, str]] = {  # of the files as they are inside the gzip
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Transform | None = None,
        target_transform: Transform | None = None,
        download: bool = False,
    ) -> None:
        self.root = Path(root).expanduser()
        self.train = bool(train)
        if download:
            self.download()
        split = "train" if train else "t10k"
        images = self._read(f"{split}-images-idx3-ubyte", "images", ndim=3)
        labels = self._read(f"{split}-labels-idx1-ubyte", "labels", ndim=1)
        self._check(images, labels, split)
        super().__init__(images, labels, transform, target_transform)

    @property
    def raw_folder(self) -> Path:
        """Where torchvision has the files, and where downloads go."""
        return self.root / type(self).__name__ / "raw"

    def download(self) -> None:
        """Fetch those of the four files that are missing, from the first mirror that has each intact."""
        for name, md5 in self.md5.items():
            if self._find(name) is None:
                download_file(f"{name}.gz", self.raw_folder, self.mirrors, md5)

    def _find(self, name: str) -> Path | None:
        places = [folder / file for folder in (self.raw_folder, self.root) for file in (name, f"{name}.gz")]
        return next((place for place in places if place.is_file()), None)

    def _read(self, name: str, what: str, ndim: int) -> np.ndarray:
        path = self._find(name)
        if path is None:
            raise DataError(
                f"{name}: Dataset not found: expected it, or {name}.gz, in {self.raw_folder} or {self.root}; "
                "use download=True to download it"
            )
        array = read_idx(path)
        if array.ndim != ndim or array.dtype != np.uint8:
            swapped = array.dtype == np.uint8 and array.ndim in (1, 3)
            raise DataError(
                f"{path}: expected {what}, an IDX file of {ndim}-d uint8, got {array.ndim}-d {array.dtype}"
                + ("; images and labels are swapped: exchange the files' names" if swapped else "")
            )
        return array

    def _check(self, images: np.ndarray, labels: np.ndarray, split: str) -> None:
        where = self._find(f"{split}-labels-idx1-ubyte")
        if len(images) != len(labels):
            raise DataError(
                f"{where}: expected {len(images)} labels, as many as there are images, got {len(labels)}; "
                "the two files are of different sets, get them again"
            )
        if labels.size and labels.max() >= len(self.classes):
            raise DataError(
                f"{where}: corrupt: expected labels from 0 to {len(self.classes) - 1}, got {labels.max()}; "
                "get the file again"
            )
        other_count, other = (10_000, "t10k") if split == "train" else (60_000, "train")
        if len(images) == other_count:
            theirs = self._find(f"{other}-labels-idx1-ubyte")
            if theirs is not None and len(read_idx(theirs)) == 70_000 - other_count:
                raise DataError(
                    f"{where}: expected {70_000 - other_count} samples, got {other_count}; "
                    "train and test are swapped: exchange the names of the train-* and t10k-* files"
                )

    def _details(self) -> list[str]:
        split = "Train" if self.train else "Test"
        return [f"    Root location: {self.root}", f"    Split: {split}", *super()._details()]


class FashionMNIST(MNIST):
    """Pictures of clothes in MNIST's format and sizes (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747)."""

    classes: ClassVar[list[str]] = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ]  # fmt: skip
    mirrors: ClassVar[list[str]] = [
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    ]
    md5: ClassVar[dict[str, str]] = {  # of the gzipped files
        "train-images-idx3-ubyte": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte": "bb300cfdad3c16e7a12a480ee83cd310",
    }


class KMNIST(MNIST):
    """Old Japanese characters in MNIST's format and sizes (Clanuwat et al. 2018, arXiv:1812.01718)."""

    classes: ClassVar[list[str]] = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]
    mirrors: ClassVar[list[str]] = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    md5: ClassVar[dict[str, str]] = {  # of the gzipped files
        "train-images-idx3-ubyte": "bdb82020997e1d708af4cf47b453dcf7",
        "train-labels-idx1-ubyte": "e144d726b3acfaa3e44228e80efcd344",
        "t10k-images-idx3-ubyte": "5c965bf0a639b31b8f53240b1b52f4d7",
        "t10k-labels-idx1-ubyte": "7320c461ea6c1c855c0b718fb2a4b134",
    }


class MNIST5k(ImageDataset):
    """The part of MNIST that comes with the package: the first 5,000 training and the first 1,000 test images.

    It is what the book "Deep Learning from Scratch" trains its convolutional network on; in the original order.

    >>> train, test = MNIST5k(train=True), MNIST5k(train=False)
    >>> len(train), len(test), train[0][0].shape, train.targets[:5]
    (5000, 1000, (28, 28), tensor([5, 0, 4, 1, 9]))
    """

    classes: ClassVar[list[str]] = MNIST.classes
    path: ClassVar[Path] = Path(__file__).with_name("mnist_subset.npz")

    def __init__(
        self, train: bool = True, transform: Transform | None = None, target_transform: Transform | None = None
    ) -> None:
        self.train = bool(train)
        split = "train" if train else "test"
        with np.load(self.path, allow_pickle=False) as arrays:
            super().__init__(arrays[f"{split}_images"], arrays[f"{split}_labels"], transform, target_transform)

    def _details(self) -> list[str]:
        return [f"    Split: {'Train' if self.train else 'Test'}", *super()._details()]


__all__ = ["KMNIST", "MNIST", "FashionMNIST", "ImageDataset", "MNIST5k"]
