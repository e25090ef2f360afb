"""The packaged digits, IDX files good and bad, downloads from a server on loopback."""

import gzip
import hashlib
import http.server
import os
import shutil
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from tinygrad_cnn.data import DataLoader, datasets, transforms
from tinygrad_cnn.data.datasets import MNIST, MNIST5k
from tinygrad_cnn.data.datasets.idx import read_idx
from tinygrad_cnn.errors import DataError

NAMES = list(MNIST.md5)


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(np.uint8).tobytes()


def digits(count, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28)), rng.integers(0, 10, count)


@pytest.fixture
def contents():
    """The four files of a small set: 12 training and 6 test images."""
    arrays = [*digits(12, 0), *digits(6, 1)]
    return {name: idx(array) for name, array in zip(NAMES, arrays, strict=True)}


@pytest.fixture
def folder(tmp_path, contents):
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


# ------------------------------------------------------------------------------------------ inside
def test_the_packaged_digits():
    train, test = MNIST5k(), MNIST5k(train=False)
    assert (len(train), len(test)) == (5000, 1000)
    assert (tuple(train.data.shape), str(train.data.dtype)) == ((5000, 28, 28), "torch.uint8")
    assert np.bincount(train.targets.numpy()).tolist() == [479, 563, 488, 493, 535, 434, 501, 550, 462, 495]
    assert np.bincount(test.targets.numpy()).tolist() == [85, 126, 116, 107, 110, 87, 87, 99, 89, 94]
    image, label = train[0]
    assert (image.shape, image.dtype, label, type(label)) == ((28, 28), np.uint8, 5, int)
    assert hashlib.md5(train.data.numpy().tobytes()).hexdigest() == "cbdc3a78058ebc7f42005a033e7f3c1f"
    assert hashlib.md5(test.data.numpy().tobytes()).hexdigest() == "1524e1bd745c8715b390a8741bb5a6d3"
    assert MNIST5k.path.stat().st_size <= 1_600_000
    assert (MNIST5k.path.parent / "mnist_subset.md").exists()


@pytest.mark.skipif("MNIST_FOLDER" not in os.environ, reason="MNIST_FOLDER names no folder with the full set")
@pytest.mark.parametrize("train", [True, False])
def test_the_packaged_digits_are_the_first_of_the_full_set(train):
    full, part = MNIST(os.environ["MNIST_FOLDER"], train=train), MNIST5k(train=train)
    assert len(full) == (60_000 if train else 10_000)
    assert np.array_equal(full.data.numpy()[: len(part)], part.data.numpy())
    assert np.array_equal(full.targets.numpy()[: len(part)], part.targets.numpy())


def test_transforms_and_tensors_agree():
    plain = MNIST5k(train=False)
    both = MNIST5k(train=False, transform=transforms.ToTensor(), target_transform=lambda label: -label)
    image, label = both[7]
    images, labels = plain.tensors()[7:9]
    assert np.array_equal(image.numpy(), images.numpy()[0])
    assert label == -labels[0].item()
    batch, _ = next(iter(DataLoader(both, batch_size=4)))
    assert (tuple(batch.shape), str(batch.dtype)) == ((4, 1, 28, 28), "torch.float32")
    assert repr(both).splitlines() == [
        "Dataset MNIST5k", "    Number of datapoints: 1000", "    Split: Test", "    Transform: ToTensor()",
    ]  # fmt: skip


# ------------------------------------------------------------------------------------------ IDX files
def test_files_are_found_gzipped_or_not_in_both_places(folder, contents):
    assert len(MNIST(folder)) == 12
    nested = folder / "MNIST" / "raw"
    nested.mkdir(parents=True)
    for name, content in contents.items():
        (folder / name).unlink()
        (nested / f"{name}.gz").write_bytes(gzip.compress(content))
    data = MNIST(str(folder), train=False)
    images, labels = digits(6, 1)
    assert np.array_equal(data.data.numpy(), images)
    assert data.targets.tolist() == labels.tolist()
    assert repr(data).splitlines()[:2] == ["Dataset MNIST", "    Number of datapoints: 6"]
    assert data.class_to_idx["3 - three"] == 3


def test_a_gzipped_file_without_the_ending_is_read(folder, contents):
    (folder / NAMES[0]).write_bytes(gzip.compress(contents[NAMES[0]]))
    assert len(MNIST(folder)) == 12


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        (NAMES[0], lambda c: c[:-1], r"truncated: expected 9424 bytes .* got 9423"),
        (NAMES[0], lambda c: c[:3], "truncated: expected an IDX header, got 3 bytes"),
        (NAMES[0], lambda c: c[:9], "truncated: expected a header of 16 bytes, got 9"),
        (NAMES[0], lambda c: b"", "truncated"),
        (NAMES[0], lambda c: c + b"x", r"corrupt \(bytes after the end\): expected 9424 bytes .* got 9425"),
        (NAMES[0], lambda c: b"<html>" + c, "not an IDX file: expected a magic number .* got 0x3c68746d"),
        (NAMES[0], lambda c: gzip.compress(c)[:-200], "truncated: the gzip stream ends early"),
        (
            NAMES[0],
            lambda c: gzip.compress(c)[:300] + bytes(200) + gzip.compress(c)[500:],
            "corrupt: .*fails its check",
        ),
        (NAMES[0], lambda c: idx(np.zeros(12)), "expected images, .* got 1-d uint8; images and labels are swapped"),
        (NAMES[1], lambda c: idx(np.zeros((12, 28, 28))), "expected labels, .* got 3-d uint8; images and labels are"),
        (NAMES[0], lambda c: idx(np.zeros((12, 28))), "expected images, an IDX file of 3-d uint8, got 2-d uint8"),
        (NAMES[0], lambda c: c[:2] + b"\x09" + c[3:], "expected images, .* got 3-d int8"),
        (NAMES[1], lambda c: idx(np.zeros(11)), "expected 12 labels, as many as there are images, got 11"),
        (NAMES[1], lambda c: idx(np.full(12, 10)), "corrupt: expected labels from 0 to 9, got 10"),
    ],
)
def test_bad_files_are_one_clear_error(folder, contents, name, spoil, message):
    (folder / name).write_bytes(spoil(contents[name]))
    with pytest.raises(DataError, match=message) as caught:
        MNIST(folder)
    assert str(folder / name) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_say_what_to_do(tmp_path):
    with pytest.raises(RuntimeError, match=r"train-images-idx3-ubyte: Dataset not found.*download=True"):
        MNIST(tmp_path)


def test_exchanged_train_and_test_files_are_noticed(tmp_path):
    for name, count in zip(NAMES, (10_000, 10_000, 60_000, 60_000), strict=True):
        array = np.zeros((count, 1, 1) if "images" in name else count)
        (tmp_path / name).write_bytes(idx(array))
    for train in (True, False):
        with pytest.raises(DataError, match="train and test are swapped"):
            MNIST(tmp_path, train=train)


def test_other_element_types(tmp_path):
    array = np.array([[1.5, -2.0]], ">f4")
    path = tmp_path / "floats"
    path.write_bytes(bytes([0, 0, 0x0D, 2]) + struct.pack(">2I", 1, 2) + array.tobytes())
    got = read_idx(path)
    assert got.dtype == np.float32
    assert got.tolist() == [[1.5, -2.0]]


# ------------------------------------------------------------------------------------------ download
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def server(tmp_path, contents):
    """A mirror on loopback: ``good`` holds the files, ``bad`` spoiled ones; ``requests`` counts."""
    root = tmp_path / "served"
    for kind in ("good", "bad"):
        (root / kind).mkdir(parents=True)
    for name, content in contents.items():
        (root / "good" / f"{name}.gz").write_bytes(gzip.compress(content))
        (root / "bad" / f"{name}.gz").write_bytes(gzip.compress(content[:-1] + b"?"))
    requests = []

    class Logged(Handler):
        def do_GET(self):
            requests.append(self.path)
            super().do_GET()

    httpd = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *arguments: Logged(*arguments, directory=str(root))
    )
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    httpd.url = f"http://127.0.0.1:{httpd.server_address[1]}"
    httpd.requests = requests
    yield httpd
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def small(contents, server, monkeypatch):
    """MNIST with the small set's checksums, and its mirrors yet to be set."""

    class Small(MNIST):
        pass

    Small.md5 = {name: hashlib.md5(content).hexdigest() for name, content in contents.items()}
    Small.mirrors = [f"{server.url}/good/"]
    Small.__name__ = "MNIST"
    return Small


def test_download(tmp_path, small, server):
    data = small(tmp_path, download=True)
    assert len(data) == 12
    assert sorted(os.listdir(tmp_path / "MNIST" / "raw")) == sorted(f"{name}.gz" for name in NAMES)
    assert len(server.requests) == 4
    small(tmp_path, train=False, download=True)
    assert len(server.requests) == 4  # nothing is downloaded twice


def test_checksums_of_the_gzipped_file_count_as_well(tmp_path, small, server):
    small.md5 = {
        name: hashlib.md5((Path(tmp_path) / "served/good" / f"{name}.gz").read_bytes()).hexdigest() for name in NAMES
    }
    assert len(small(tmp_path, download=True)) == 12


def test_download_goes_on_to_the_next_mirror(tmp_path, small, server):
    dead = "http://127.0.0.1:9"  # nobody listens on the discard port
    small.mirrors = [f"{dead}/", f"{server.url}/nowhere/", f"{server.url}/bad/", f"{server.url}/good/"]
    assert len(small(tmp_path, download=True)) == 12


def test_download_that_fails_everywhere_is_one_clear_error_and_leaves_nothing(tmp_path, small, server):
    small.mirrors = ["http://127.0.0.1:9/", f"{server.url}/nowhere/", f"{server.url}/bad/"]
    with pytest.raises(DataError) as caught:
        small(tmp_path, download=True)
    message = str(caught.value)
    assert "every mirror failed" in message
    assert "404" in message
    assert "expected MD5" in message
    assert "Connect to the internet" in message
    assert "\n" not in message
    assert not (tmp_path / "MNIST").exists() or not os.listdir(tmp_path / "MNIST" / "raw")


def test_a_broken_off_download_leaves_no_file(tmp_path, small, server, monkeypatch):
    def fail(source, target):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz: can't be written: disk full"):
        small(tmp_path, download=True)
    assert os.listdir(tmp_path / "MNIST" / "raw") == []
    shutil.rmtree(tmp_path / "MNIST")


def test_the_real_mirrors_are_well_formed():
    for kind in (datasets.MNIST, datasets.FashionMNIST, datasets.KMNIST):
        assert list(kind.md5) == NAMES
        assert all(len(md5) == 32 for md5 in kind.md5.values())
        assert all(mirror.startswith("http") and mirror.endswith("/") for mirror in kind.mirrors)
        assert len(kind.classes) == 10
