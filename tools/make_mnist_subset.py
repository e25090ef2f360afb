"""Build the packaged part of MNIST from the four raw IDX files: ``python tools/make_mnist_subset.py FOLDER``.

The files, gzipped or not, are checked against their MD5 sums.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tinygrad_cnn.data.datasets import MNIST, MNIST5k
from tinygrad_cnn.data.datasets.download import check_md5
from tinygrad_cnn.data.datasets.idx import parse_idx, read_bytes
from tinygrad_cnn.serialization import save_npz

TRAIN_COUNT, TEST_COUNT = 5_000, 1_000


def main() -> None:
    """Read, check, cut, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder with train-images-idx3-ubyte[.gz] and the other three")
    parser.add_argument("--output", type=Path, default=MNIST5k.path, help="the file to write")
    arguments = parser.parse_args()

    arrays = {}
    for name, md5 in MNIST.md5.items():
        path = arguments.folder / name
        content = read_bytes(path if path.exists() else path.with_name(f"{name}.gz"))
        check_md5(content, md5, name)
        split, kind = name.split("-")[:2]
        count = TRAIN_COUNT if split == "train" else TEST_COUNT
        arrays[f"{'train' if split == 'train' else 'test'}_{kind}"] = parse_idx(content, name)[:count]
    save_npz(arrays, arguments.output, compress=True)
    print(f"{arguments.output}: {arguments.output.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
