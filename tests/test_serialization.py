"""Saving and loading without pickle."""

import io
from collections import OrderedDict

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import TinygradError
from tinygrad_cnn.serialization import load, load_npz, save, save_npz


def test_a_state_dict_is_a_plain_npz(tmp_path):
    state = OrderedDict({"conv.weight": tg.ones(2, 3), "file": tg.tensor(5), "b": tg.zeros(0, dtype=tg.float64)})
    save(state, tmp_path / "weights.npz")
    with np.load(tmp_path / "weights.npz", allow_pickle=False) as arrays:
        assert list(arrays) == ["conv.weight", "file", "b"]
        assert arrays["conv.weight"].dtype == np.float32
    loaded = load(str(tmp_path / "weights.npz"))
    assert list(loaded) == list(state)
    assert loaded["file"].item() == 5
    assert (loaded["b"].dtype, tuple(loaded["b"].shape)) == (tg.float64, (0,))


def test_nested_values_come_back_as_they_were():
    value = {
        "state": {0: {"step": tg.tensor(3.0), "shape": (1, [2, None])}, 1: {}},
        "state.0": {"step": tg.tensor(4)},  # the same path as a tensor above
        "numbers": [1, 2.5, True, float("inf"), "text", np.float32(0.5)],
        "array": np.arange(3),
        "order": OrderedDict(b=1, a=2),
    }
    file = io.BytesIO()
    save(value, file, format="npz")
    file.seek(0)
    got = load(file, map_location="cpu")
    assert got["state"][0]["shape"] == (1, [2, None])
    assert got["state"][0]["step"].item() == 3.0
    assert got["state.0"]["step"].item() == 4
    assert got["state"][1] == {}
    assert got["numbers"] == [1, 2.5, True, float("inf"), "text", 0.5]
    assert type(got["numbers"][2]) is bool
    assert got["array"].tolist() == [0, 1, 2]
    assert isinstance(got["array"], np.ndarray)
    assert type(got["order"]) is OrderedDict
    assert list(got["order"]) == ["b", "a"]


@pytest.mark.parametrize("value", [tg.ones(2), [tg.ones(2)], 3, None, "text", {}])
@pytest.mark.parametrize("format", ["npz", "pth"])
def test_any_root(value, format):
    file = io.BytesIO()
    save(value, file, format=format)
    file.seek(0)
    got = load(file)
    assert type(got) is type(value)
    assert str(got) == str(value)


def test_equal_values_give_equal_bytes(tmp_path):
    for name in ("a/w.npz", "b/w.npz", "a/w.pth", "b/w.pth"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        save({"w": tg.ones(3)}, tmp_path / name)
    for name in ("w.npz", "w.pth"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_requires_grad_is_saved_as_values():
    file = io.BytesIO()
    save({"w": tg.ones(2, requires_grad=True) * 2}, file, format="npz")
    file.seek(0)
    loaded = load(file)["w"]
    assert not loaded.requires_grad
    assert loaded.tolist() == [2, 2]


def test_a_failed_save_leaves_the_old_file(tmp_path):
    path = tmp_path / "w.npz"
    save({"w": tg.ones(1)}, path)
    with pytest.raises(TypeError, match=r"w: can't save a object"):
        save({"w": object()}, path)
    with pytest.raises(ValueError, match="pickle"):
        save_npz({"w": np.array([object()])}, path)
    assert load(path)["w"].tolist() == [1]
    assert [entry.name for entry in tmp_path.iterdir()] == ["w.npz"]


def written(write, array):
    file = io.BytesIO()
    write(file, array)
    return file.getvalue()


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda path: save({(1, 2): 3}, path), TypeError),
        (lambda path: save({"m": lambda: 0}, path), TypeError),
        (lambda path: (path.write_bytes(b"nonsense"), load(path)), RuntimeError),
        (lambda path: (path.write_bytes(b""), load(path)), RuntimeError),
        (lambda path: (path.write_bytes(written(np.save, np.ones(2))), load(path)), RuntimeError),
        (lambda path: (path.write_bytes(written(np.savez, np.array([{}]))), load(path)), RuntimeError),
    ],
)
def test_errors(tmp_path, call, error):
    with pytest.raises(error) as caught:
        call(tmp_path / "w.npz")
    assert isinstance(caught.value, TinygradError)


def test_a_missing_file_is_pythons_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_npz(tmp_path / "none.npz")
