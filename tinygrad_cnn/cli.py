"""The command ``tinygrad-cnn``."""

from __future__ import annotations

import argparse
import importlib.util
import math
import platform
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.data import DataLoader, TensorDataset, datasets
from tinygrad_cnn.errors import ArgumentError, MissingExtraError, TinygradError
from tinygrad_cnn.kernels.parallel import get_num_threads, set_num_threads
from tinygrad_cnn.models import get_model, list_models, model_info

PACKAGED = "mnist5k"
DEFAULT_LR = {"adam": 1e-3, "sgd": 1e-2}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line ``argv``; gives the exit code."""
    options = _parser().parse_args(argv)
    try:
        return int(options.run(options))
    except MissingExtraError as error:
        print(f"tinygrad-cnn: error: {error}", file=sys.stderr)
        return 1
    except TinygradError as error:
        print(f"tinygrad-cnn: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tinygrad-cnn", description="Convolutional networks on an autograd framework in NumPy.")
    parser.add_argument("--version", action="version", version=f"tinygrad-cnn {tg.__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    train = commands.add_parser(
        "train",
        help="train a network on handwritten digits",
        description="Train a network on handwritten digits. With no option: the SimpleConvNet of the book "
        '"Deep Learning from Scratch" on the 5,000 images that come with the package.',
    )
    train.set_defaults(run=_train)
    option = train.add_argument
    option("--model", choices=list_models(), default="simple_conv_net", help="the network (default: %(default)s)")
    option(
        "--data",
        metavar="FOLDER",
        default=PACKAGED,
        help="a folder with the IDX files of MNIST, gzipped or not (default: %(default)s, the packaged images)",
    )
    option("--download", action="store_true", help="download what is missing of MNIST into the folder of --data")
    option("--epochs", type=_count, metavar="N", default=20, help="passes over the images (default: %(default)s)")
    option("--batch-size", type=_count, metavar="N", default=100, help="images in a step (default: %(default)s)")
    option("--optimizer", choices=sorted(DEFAULT_LR), default="adam", help="the optimiser (default: %(default)s)")
    option("--lr", type=_positive, metavar="X", help="the learning rate (default: 0.001 for adam, 0.01 for sgd)")
    option("--momentum", type=_below_one, metavar="X", help="the momentum of sgd (default: 0.9)")
    option("--weight-decay", type=_below_one, metavar="X", default=0.0, help="the L2 penalty (default: %(default)s)")
    option("--seed", type=_seed, metavar="N", default=0, help="of weights and order (default: %(default)s)")
    option(
        "--threads",
        type=_count,
        metavar="N",
        default=1,  # BLAS's own threads wait busily, which costs more on small networks than they bring
        help="threads to compute with (default: %(default)s; more pay for large networks on an idle machine)",
    )
    option("--output", metavar="FOLDER", help="a new folder for the results (default: runs/<date and time>)")

    models = commands.add_parser("models", help="list the networks", description="List the networks and their sizes.")
    models.set_defaults(run=_models)
    return parser


def _models(options: argparse.Namespace) -> int:
    for name in list_models():
        parameters = model_info(name).parameters
        if parameters is None:
            parameters = sum(parameter.numel() for parameter in get_model(name).parameters())
        print(f"{name:20} {parameters:>12,} parameters")
    return 0


def _train(options: argparse.Namespace) -> int:
    for module in ("tqdm", "matplotlib"):  # now, rather than when the training is over
        if importlib.util.find_spec(module) is None:
            raise MissingExtraError(f'train needs {module}; install it with: pip install "tinygrad-cnn[train]"')
    from tinygrad_cnn.train import ProgressBar, RunFolder, Trainer, dataset_for_digits, model_for_digits

    set_num_threads(options.threads)
    train_set, test_set = (dataset_for_digits(options.model, digits) for digits in _load_data(options))
    tg.manual_seed(options.seed)
    model = model_for_digits(options.model)
    optimizer = _optimizer(options, model)
    train_loader: DataLoader[Any] = DataLoader(train_set, options.batch_size, shuffle=True)
    test_loader: DataLoader[Any] = DataLoader(test_set, batch_size=100)
    with tg.no_grad():
        model.eval()(train_set[:1][0])  # images that don't fit the model are reported before anything is written
    run = RunFolder(options.output, _configuration(options, optimizer))
    trainer = Trainer(model, tg.nn.CrossEntropyLoss(), optimizer, [ProgressBar(), run])
    print(f"{options.model}: {len(train_set):,} images to train with, {len(test_set):,} to test with")
    code = 0
    try:
        trainer.fit(train_loader, test_loader, options.epochs)
    except KeyboardInterrupt:
        print(f"interrupted in epoch {len(trainer.history) + 1}; what was trained is saved", file=sys.stderr)
        code = 130
    print(f"saved to {run.path}")
    print(f"test accuracy: {trainer.evaluate(test_loader)[1]:.4f}")
    return code


def _load_data(options: argparse.Namespace) -> tuple[TensorDataset, TensorDataset]:
    """The images to train with, and those to test with."""
    if options.data == PACKAGED:
        if options.download:
            raise ArgumentError("argument --download: needs --data FOLDER, the folder to download into")
        return datasets.MNIST5k(train=True).tensors(), datasets.MNIST5k(train=False).tensors()
    sets = [datasets.MNIST(options.data, train=train, download=options.download) for train in (True, False)]
    return sets[0].tensors(), sets[1].tensors()


def _optimizer(options: argparse.Namespace, model: tg.nn.Module) -> tg.optim.Optimizer:
    lr = DEFAULT_LR[options.optimizer] if options.lr is None else options.lr
    if options.optimizer == "sgd":
        momentum = 0.9 if options.momentum is None else options.momentum
        return tg.optim.SGD(model.parameters(), lr=lr, momentum=momentum, weight_decay=options.weight_decay)
    if options.momentum is not None:
        raise ArgumentError("argument --momentum: only sgd has one; add --optimizer sgd")
    return tg.optim.Adam(model.parameters(), lr=lr, weight_decay=options.weight_decay)


def _configuration(options: argparse.Namespace, optimizer: tg.optim.Optimizer) -> dict[str, Any]:
    """What makes a run what it is."""
    left_out = ("run", "output", "download", "momentum")
    settings = {name: value for name, value in vars(options).items() if name not in left_out}
    settings |= {name: optimizer.defaults[name] for name in ("lr", "momentum") if name in optimizer.defaults}
    return settings | {
        "model_arguments": dict(model_info(options.model).digits),
        "threads": get_num_threads(),
        "tinygrad_cnn": tg.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _number(convert: Callable[[str], Any], accept: Callable[[Any], bool], expected: str) -> Callable[[str], Any]:
    """The parser of an option's value: one that is refused is reported with what was expected."""

    def parse(text: str) -> Any:
        try:
            value = convert(text)
        except ValueError:
            value = None
        if value is None or not accept(value):
            raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")
        return value

    return parse


_count = _number(int, lambda value: value > 0, "a whole number above 0")
_seed = _number(int, lambda value: value >= 0, "a whole number from 0")
_positive = _number(float, lambda value: 0 < value < math.inf, "a number above 0")
_below_one = _number(float, lambda value: 0 <= value < 1, "a number from 0, below 1")
