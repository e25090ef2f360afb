"""The trainer, the models, and the command line."""

import csv
import json
import os
import signal
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.cli import main
from tinygrad_cnn.data import DataLoader, TensorDataset
from tinygrad_cnn.data.datasets import MNIST, MNIST5k
from tinygrad_cnn.errors import MissingExtraError, TinygradError, import_extra
from tinygrad_cnn.models import SimpleConvNet, get_model, list_models, register_model
from tinygrad_cnn.serialization import load_npz
from tinygrad_cnn.train import Callback, RunFolder, Trainer, accuracy


@pytest.fixture
def digits(tmp_path):
    """A folder with the IDX files of 40 training and 20 test images, real ones."""
    folder = tmp_path / "digits"
    folder.mkdir()
    for split, train, count in (("train", True, 40), ("t10k", False, 20)):
        data = MNIST5k(train=train)
        for kind, code, array in (("images-idx3", 3, data.data), ("labels-idx1", 1, data.targets)):
            part = array.numpy()[:count].astype(np.uint8)
            header = bytes([0, 0, 8, code]) + struct.pack(f">{part.ndim}I", *part.shape)
            (folder / f"{split}-{kind}-ubyte").write_bytes(header + part.tobytes())
    return folder


def train(digits, output, *arguments):
    return main(
        ["train", "--data", str(digits), "--epochs", "2", "--batch-size", "20", "--output", str(output), *arguments]
    )


# --------------------------------------------------------------------------------------------- trainer
def separable():
    x = np.random.default_rng(0).uniform(-1, 1, (64, 2)).astype(np.float32)
    return TensorDataset(tg.tensor(x), tg.tensor((x[:, 0] > x[:, 1]).astype(np.int64)))


def trainer(*callbacks):
    tg.manual_seed(0)
    model = tg.nn.Linear(2, 2)
    return Trainer(model, tg.nn.CrossEntropyLoss(), tg.optim.Adam(model.parameters(), lr=0.1), callbacks)


def test_training_learns_and_keeps_its_history():
    loader = DataLoader(separable(), batch_size=10, shuffle=True)
    work = trainer()
    history = work.fit(loader, loader, epochs=8)
    assert [epoch.epoch for epoch in history] == list(range(1, 9))
    assert history[-1].train_loss < history[0].train_loss
    assert history[-1].test_accuracy > 0.95
    assert work.fit(loader, epochs=1)[-1].epoch == 9
    assert work.history[-1].test_loss is None


def test_evaluation_weighs_batches_by_their_size_records_nothing_and_restores_the_mode():
    work = trainer()
    data = separable()
    seen = []
    work.model.register_forward_hook(lambda module, inputs, out: seen.append((module.training, out.requires_grad)))
    loss, share = work.evaluate(DataLoader(data, batch_size=24))
    x, y = data.tensors
    assert seen == [(False, False)] * 3
    assert work.model.training
    assert loss == pytest.approx(work.loss(work.model(x), y).item(), rel=1e-5)
    assert share == accuracy(work.model(x), y)


def test_callbacks_are_told_and_may_stop_the_training():
    class Log(Callback):
        def __init__(self):
            self.events = []

        def on_fit_begin(self, trainer):
            self.events.append(("begin", trainer.epochs, trainer.batches))

        def on_batch_end(self, trainer, loss):
            self.events.append("batch")

        def on_epoch_end(self, trainer, epoch):
            self.events.append(epoch.epoch)
            trainer.stop = epoch.epoch == 2

        def on_fit_end(self, trainer):
            self.events.append("end")

    log = Log()
    trainer(log).fit(DataLoader(separable(), batch_size=32), epochs=9)
    assert log.events == [("begin", 9, 2), "batch", "batch", 1, "batch", "batch", 2, "end"]


def test_on_fit_end_is_called_when_the_training_breaks():
    class Breaks(Callback):
        ended = False

        def on_batch_end(self, trainer, loss):
            raise KeyboardInterrupt

        def on_fit_end(self, trainer):
            self.ended = True

    breaks = Breaks()
    with pytest.raises(KeyboardInterrupt):
        trainer(breaks).fit(DataLoader(separable()))
    assert breaks.ended


# --------------------------------------------------------------------------------------------- models
def test_simple_conv_net_is_the_books():
    tg.manual_seed(0)
    model = SimpleConvNet()
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes == {
        "conv1.weight": (30, 1, 5, 5), "conv1.bias": (30,),
        "affine1.weight": (100, 4320), "affine1.bias": (100,),
        "affine2.weight": (10, 100), "affine2.bias": (10,),
    }  # fmt: skip
    assert model.affine1.weight.detach().numpy().std() == pytest.approx(0.01, rel=0.01)
    assert not any(model.state_dict()[name].numpy().any() for name in shapes if name.endswith("bias"))


def test_model_names():
    assert {"simple_conv_net", "lenet5"} <= set(list_models())
    with pytest.raises(ValueError, match="unknown model 'resnet9000'; known: "):
        get_model("resnet9000")
    with pytest.raises(ValueError, match="is taken"):
        register_model("lenet5")(SimpleConvNet)


# --------------------------------------------------------------------------------------- command line
def test_train_leaves_a_run_folder(digits, tmp_path, capsys):
    output = tmp_path / "new" / "run"
    assert train(digits, output, "--lr", "0.01", "--seed", "3") == 0
    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert lines[0] == "simple_conv_net: 40 images to train with, 20 to test with"
    assert lines[1].startswith("epoch 1  loss ")
    assert "train accuracy" in lines[1]
    assert "test accuracy" in lines[1]
    assert lines[-2] == f"saved to {output}"
    assert "epoch 2/2: 100%" in err
    assert "loss=" in err

    assert sorted(entry.name for entry in output.iterdir()) == [
        "config.json",
        "curves.png",
        "metrics.csv",
        "weights.npz",
    ]
    config = json.loads((output / "config.json").read_text())
    assert (config["model"], config["lr"], config["seed"], config["epochs"]) == ("simple_conv_net", 0.01, 3, 2)
    assert config["batch_size"] == 20
    rows = list(csv.DictReader((output / "metrics.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert (output / "curves.png").read_bytes()[:4] == b"\x89PNG"

    model = get_model("simple_conv_net")
    model.load_state_dict(load_npz(output / "weights.npz"))
    x, y = MNIST(digits, train=False).tensors().tensors
    assert lines[-1] == f"test accuracy: {accuracy(model(x), y):.4f}"
    assert float(rows[-1]["test_accuracy"]) == pytest.approx(accuracy(model(x), y))


def test_a_seed_gives_the_same_weights_bit_for_bit(digits, tmp_path):
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert train(digits, tmp_path / name, "--seed", seed) == 0
    first, again, other = ((tmp_path / name / "weights.npz").read_bytes() for name in "abc")
    assert first == again != other


def test_other_models_and_optimizers(digits, tmp_path):
    options = [
        "--model",
        "lenet5",
        "--optimizer",
        "sgd",
        "--momentum",
        "0.5",
        "--weight-decay",
        "0.001",
        "--threads",
        "1",
    ]
    before = tg.get_num_threads()
    try:
        assert train(digits, tmp_path / "run", *options) == 0
    finally:
        tg.set_num_threads(before)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["lr"], config["momentum"], config["threads"]) == (0.01, 0.5, 1)


def test_the_folder_of_a_run_without_a_name_is_new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = {RunFolder(None, {}).path for _ in range(3)}
    assert len(paths) == 3
    assert all(path.parent.name == "runs" for path in paths)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --epochs 0", "argument --epochs: expected a whole number above 0, got '0'"),
        ("train --epochs two", "argument --epochs: expected a whole number above 0, got 'two'"),
        ("train --batch-size -3", "argument --batch-size: expected a whole number above 0, got '-3'"),
        ("train --lr 0", "argument --lr: expected a number above 0, got '0'"),
        ("train --lr nan", "argument --lr: expected a number above 0, got 'nan'"),
        ("train --lr inf", "argument --lr: expected"),
        ("train --seed -1", "argument --seed: expected a whole number from 0, got '-1'"),
        ("train --threads 0", "argument --threads: expected"),
        ("train --weight-decay 1", "argument --weight-decay: expected a number from 0, below 1, got '1'"),
        ("train --momentum 0.9", "argument --momentum: only sgd has one"),
        ("train --model resnet9000", "argument --model: invalid choice: 'resnet9000'"),
        ("train --optimizer lion", "argument --optimizer: invalid choice: 'lion'"),
        ("train --download", "argument --download: needs --data FOLDER"),
        ("train --data nowhere", "train-images-idx3-ubyte: Dataset not found"),
        ("train --output full", "output folder full is not empty"),
        ("train --output full/file", "output folder full/file can't be used: "),
        ("train --colour red", "unrecognized arguments: --colour red"),
        ("paint", "'paint'"),
        ("", "the following arguments are required: COMMAND"),
    ],
)
def test_a_wrong_value_is_one_line_and_exit_code_2(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    try:
        code = main(arguments.split())
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert out == ""
    assert not (tmp_path / "runs").exists()


def test_images_that_do_not_fit_the_model_are_reported_before_anything_is_written(digits, tmp_path, capsys):
    images = np.zeros((40, 20, 20), np.uint8)
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", *images.shape)
    (digits / "train-images-idx3-ubyte").write_bytes(header + images.tobytes())
    assert train(digits, tmp_path / "run") == 2
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("arguments", ["--help", "train --help", "models --help", "--version"])
def test_help(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments.split())
    assert stop.value.code == 0
    assert capsys.readouterr().out


def test_every_option_has_help(capsys):
    from tinygrad_cnn.cli import _parser

    (commands,) = (action for action in _parser()._actions if hasattr(action, "choices") and action.choices)
    for command in commands.choices.values():
        assert all(action.help for action in command._actions)


def test_models_command(capsys):
    assert main(["models"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert list(lines) == list_models()
    assert lines["simple_conv_net"].split() == ["433,890", "parameters"]
    assert lines["lenet5"].split() == ["61,706", "parameters"]


def test_a_missing_extra_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["train"]) == 1
    assert 'pip install "tinygrad-cnn[train]"' in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(MissingExtraError, match=r'tqdm is not installed.*"tinygrad-cnn\[train\]"') as caught:
        import_extra("tqdm", "train")
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, TinygradError)


@pytest.mark.skipif(os.name != "posix", reason="sends SIGINT")
def test_ctrl_c_saves_what_was_trained(digits, tmp_path):
    output = tmp_path / "run"
    command = [sys.executable, "-m", "tinygrad_cnn", "train", "--data", str(digits), "--epochs", "100000"]
    command += ["--output", str(output)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a suite in the background ignores it
    )
    deadline = time.monotonic() + 60
    metrics = output / "metrics.csv"
    while not (metrics.exists() and metrics.read_text().count("\n") >= 3) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "what was trained is saved" in err
    assert out.splitlines()[-1].startswith("test accuracy: ")
    assert (output / "curves.png").exists()
    get_model("simple_conv_net").load_state_dict(load_npz(output / "weights.npz"))
