"""99 % on the full MNIST in seconds: one pass over the images, with batch normalisation and a one-cycle schedule.

The program is the same for this library and for PyTorch, whose names are ours:

    python examples/mnist_99.py --data FOLDER_WITH_THE_IDX_FILES
    python examples/mnist_99.py --data FOLDER_WITH_THE_IDX_FILES --library torch

The first convolution steps by three, so that the others see a ninth of the pixels. The learning rate rises to a large
value and falls to nearly nothing (Smith and Topin 2017, "Super-Convergence"); labels are smoothed (Szegedy et al. 2015,
"Rethinking the Inception Architecture", section 7), which is worth a tenth of a percent here.
"""

import argparse
import gzip
import importlib
import time
from pathlib import Path

import numpy as np


def read(folder, name):
    """The bytes of an IDX file, gzipped or not, as an array: images (N,1,28,28) or labels (N,)."""
    path = next((p for p in (folder / name, folder / f"{name}.gz") if p.exists()), None)
    if path is None:
        raise SystemExit(f"{folder} has neither {name} nor {name}.gz")
    content = path.read_bytes()
    content = gzip.decompress(content) if path.suffix == ".gz" else content
    if "images" in name:
        return np.frombuffer(content, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    return np.frombuffer(content, np.uint8, offset=8)


def normalise(images):
    """Grey values with mean 0 and deviation 1, as float32."""
    return (images.astype(np.float32) - np.float32(33.3)) / np.float32(78.6)


def network(nn):
    """Three convolutions, 28x28 -> 8x8 -> 6x6 -> 4x4, and one affine layer."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 5, stride=3, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * 4 * 4, 10),
    )


def accuracy(T, model, images, labels):
    """The percentage of images that the model gets right."""
    model.eval()
    with T.no_grad():
        found = [model(T.from_numpy(images[i : i + 1000])).argmax(1).numpy() for i in range(0, len(images), 1000)]
    return 100 * float((np.concatenate(found) == labels).mean())


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the four IDX files, gzipped or not")
    parser.add_argument("--library", default="tinygrad_cnn", help="tinygrad_cnn (default) or torch")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch", type=int, default=192)
    parser.add_argument("--lr", type=float, default=3e-2, help="the largest learning rate")
    parser.add_argument("--limit", type=int, help="use only so many images, to try the program")
    options = parser.parse_args()

    images = normalise(read(options.data, "train-images-idx3-ubyte")[: options.limit])
    labels = read(options.data, "train-labels-idx1-ubyte").astype(np.int64)
    test_images = normalise(read(options.data, "t10k-images-idx3-ubyte")[: options.limit])
    test_labels = read(options.data, "t10k-labels-idx1-ubyte")[: options.limit]

    T = importlib.import_module(options.library)
    T.set_num_threads(options.threads)
    T.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    model = network(T.nn)
    optimizer = T.optim.Adam(model.parameters(), lr=options.lr)
    steps = len(images) // options.batch
    schedule = T.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=options.epochs * steps)

    seconds = 0.0
    for epoch in range(1, options.epochs + 1):
        start = time.perf_counter()
        model.train()
        order = rng.permutation(len(images))
        for step in range(steps):
            chosen = order[step * options.batch : (step + 1) * options.batch]
            x, t = T.from_numpy(images[chosen]), T.from_numpy(labels[chosen])
            loss = T.nn.functional.cross_entropy(model(x), t, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        seconds += time.perf_counter() - start
        percent = accuracy(T, model, test_images, test_labels)
        print(f"epoch {epoch}: test accuracy {percent:.2f} %, trained {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main()
