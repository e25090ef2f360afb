"""The benchmark command works, and every workload can be built. Nothing is timed here."""

import dataclasses
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from benchmarks import contest, peers, report
from benchmarks.workloads import ALL, MORE, draw_parameters

ROOT = Path(__file__).parents[1]


def run(*arguments):
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("name", [name for name in ALL if "resnet18" not in name])
def test_a_step_gives_a_finite_loss(name):
    workload = dataclasses.replace(ALL[name], batch=2)
    result = workload.build(tg)()
    assert np.isfinite(result.detach().numpy()).all()
    assert result.shape == (() if workload.optimizer else (2, workload.classes))


def test_the_command_measures_and_writes_json(tmp_path):
    done = run("mlp", "--rounds", "1", "--steps", "1", "--against", "", "--json", str(tmp_path / "out.json"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "out.json").read_text())
    (entry,) = results["workloads"]
    (row,) = entry["results"]
    assert (row["library"], row["ratio"], row["rounds"], row["steps"]) == ("tinygrad_cnn", 1, 1, 1)
    assert row["milliseconds"] > 0
    assert results["machine"]["cores"] >= 1
    assert "MLP 784-256-128-10" in done.stdout
    again = run("--from", str(tmp_path / "out.json"))
    assert report.rows(entry)[0] in again.stdout


def test_the_book_computes_the_same():
    workload = ALL["simple_conv_net"]
    theirs = peers.load("book").step(dict(draw_parameters(peers.SHAPES.items())), *workload.data(), 1)
    ours = workload.build(tg)
    for _ in range(3):
        assert theirs() == pytest.approx(float(ours().detach()), rel=5e-3)


def test_profile_shows_ops_and_layers():
    done = run("lenet5_b1", "--profile", "--steps", "1", "--against", "")
    assert done.returncode == 0, done.stderr
    assert "conv2d" in done.stdout
    assert "Sequential.3" in done.stdout


@pytest.mark.parametrize(("arguments", "message"), [(["speed"], "unknown workload"), (["--against", "x"], "--against")])
def test_unknown_names_are_refused(arguments, message):
    done = run(*arguments)
    assert done.returncode == 1
    assert message in done.stderr


def test_disagreement_is_an_error():
    same, other = (contest.Result("tinygrad_cnn", check=[2.5, 3.0]), contest.Result("torch", check=[2.5, 3.1]))
    contest.check_agreement("mlp", [same, same])
    with pytest.raises(RuntimeError, match="don't compute the same"):
        contest.check_agreement("mlp", [same, other])
    other.check[1] = float("nan")
    with pytest.raises(RuntimeError, match="don't compute the same"):
        contest.check_agreement("mlp", [same, other])


def test_ratios_are_paired_by_round():
    memory = dict(start=10, built=12, peak=20, step=15)
    ours = contest.Result("tinygrad_cnn", [[1.0, 1.0], [10.0, 10.0]], memory)
    theirs = contest.Result("torch", [[2.0, 2.0], [20.0, 20.0]], memory)
    summary = theirs.summary(ours)
    assert summary["ratio"] == 2
    assert summary["ratio_quartiles"] == [2, 2]
    assert (summary["peak_mb"], summary["step_mb"]) == (10, 3)


@pytest.mark.skipif(not report.RESULTS.exists(), reason="no results are kept")
def test_the_readmes_table_is_the_output():
    text = report.README.read_text(encoding="utf-8")
    assert report.in_readme(text, json.loads(report.RESULTS.read_text(encoding="utf-8"))) == text


def test_small_runs_of_the_other_commands(tmp_path):
    noise = run("noise", "lenet5_b1", "--rounds", "1", "--seconds", "0.05", "--against", "")
    assert "| tinygrad_cnn |" in noise.stdout, noise.stderr
    scaling = run(
        "scaling", "lenet5_b1", "--rounds", "1", "--against", "", "--batches", "1,2", "--batch-workload", "mlp"
    )
    assert "time grows as batch^" in scaling.stdout, scaling.stderr
    write_digits(tmp_path)
    mnist = run("mnist", "--data", str(tmp_path), "--seeds", "1", "--against", "", "--limit", "200")
    assert "1 reach 99 %" in mnist.stdout, mnist.stderr


def write_digits(folder):
    for split, name in ((True, "train"), (False, "t10k")):
        digits = tg.data.datasets.MNIST5k(train=split)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(bytes(16) + digits.data.numpy()[:300].tobytes())
        labels = digits.targets.numpy()[:300].astype(np.uint8)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(bytes(8) + labels.tobytes())


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs PyTorch")
@pytest.mark.parametrize("name", ["mlp", "mobilenet", "lenet5_b1", *MORE])
def test_pytorch_computes_the_same(name):
    torch = importlib.import_module("torch")
    workload = dataclasses.replace(ALL[name], batch=3)
    ours, theirs = workload.build(tg)(), workload.build(torch)()
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-4, atol=1e-5)
