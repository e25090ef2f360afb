"""PyTorch's own generated settings and errors of its optimisers (``optim_db``), and L-BFGS on hard functions."""

import copy
import math
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import torch
from tinygrad_cnn.errors import TinygradError

pytest.importorskip(
    "expecttest", reason="PyTorch's generated settings are part of its own tests: pip install expecttest"
)
from torch.testing._internal.common_optimizers import OptimizerErrorEnum, OptimizerInput, optim_db

NAMES = [info.optim_cls.__name__ for info in optim_db if hasattr(tg.optim, info.optim_cls.__name__)]
ADAFACTOR = dict(lr=0.1, beta2_decay=-0.5, eps=(1e-4, 0.1), d=1.5, weight_decay=0.1, maximize=True)
INPUTS = [pytest.param("Adafactor", OptimizerInput(None, ADAFACTOR), id="Adafactor-all")] + [
    pytest.param(info.optim_cls.__name__, given, id=f"{info.optim_cls.__name__}-{given.desc}")
    for info in optim_db
    if info.optim_cls.__name__ in NAMES
    for given in info.optim_inputs_func(device="cpu")
]
REFUSALS = [
    pytest.param(info, given, id=f"{info.optim_cls.__name__}-{given.optimizer_error_input.desc}")
    for info in optim_db
    if info.optim_cls.__name__ in NAMES
    for given in info.optim_error_inputs_func(device="cpu", dtype=torch.float32)
    if given.error_on == OptimizerErrorEnum.CONSTRUCTION_ERROR  # the others are of complex and sparse parameters
]


def ours(value):
    """The same in this library's Tensors."""
    if isinstance(value, torch.Tensor):
        tensor = tg.tensor(value.detach().numpy())
        return tg.nn.Parameter(tensor) if isinstance(value, torch.nn.Parameter) else tensor
    if isinstance(value, list | tuple):
        return type(value)(ours(v) for v in value)
    if isinstance(value, dict):
        return {key: ours(v) for key, v in value.items()}
    return value


def test_what_there_is():
    missing = {info.optim_cls.__name__ for info in optim_db} - set(NAMES)
    assert missing == {"Muon", "SparseAdam"}  # bfloat16 iterations, sparse gradients


def linear(T, name, settings):
    """A linear layer with a tensor for a bias of its own shape, and a closure."""
    rng = np.random.default_rng(0)
    weight, bias, input = (rng.uniform(-1, 1, shape) for shape in [(10, 5), (10,), (5,)])
    params = [T.nn.Parameter(T.tensor(array)) for array in (weight, bias)]
    input = T.tensor(input)
    optimizer = getattr(T.optim, name)(params, **settings)

    def closure():
        optimizer.zero_grad()
        loss = (params[0] @ input + params[1]).pow(2).sum()
        loss.backward()
        return loss

    return params, optimizer, closure


@pytest.mark.parametrize(("name", "given"), INPUTS)
def test_trajectory(name, given):
    """30 steps; in the middle the state goes into a fresh optimiser."""
    if given.kwargs.get("capturable"):
        with pytest.raises(NotImplementedError, match="capturable"):
            linear(tg, name, ours(given.kwargs))
        return
    paths = []
    for T in (torch, tg):
        settings = copy.deepcopy(given.kwargs) if T is torch else ours(given.kwargs)
        params, optimizer, closure = linear(T, name, settings)
        path = []
        for step in range(30):
            if step == 15:
                saved = copy.deepcopy(optimizer.state_dict())
                values = [p.detach().clone() for p in params]
                params, optimizer, closure = linear(T, name, settings)
                optimizer.load_state_dict(saved)
                for p, value in zip(params, values, strict=True):
                    p.data.copy_(value)
            loss = optimizer.step(closure)
            path.append([loss.item(), *(x for p in params for x in p.detach().numpy().ravel())])
        paths.append(path)
    np.testing.assert_allclose(paths[1], paths[0], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("info", "given"), REFUSALS)
@pytest.mark.filterwarnings("default")
def test_refusals(info, given):
    params, settings = given.optimizer_error_input.params, ours(given.optimizer_error_input.kwargs)
    params = [tg.nn.Parameter(tg.zeros(2))] if params is None else params
    make = getattr(tg.optim, info.optim_cls.__name__)
    shared = {}  # the same parameter twice stays the same

    def translate(value):
        if isinstance(value, torch.Tensor):
            return shared.setdefault(id(value), ours(value))
        if isinstance(value, list | tuple):
            return type(value)(translate(v) for v in value)
        return {key: translate(v) for key, v in value.items()} if isinstance(value, dict) else value

    if issubclass(given.error_type, Warning):
        with pytest.warns(given.error_type, match=given.error_regex):
            make(translate(params), **settings)
    else:
        with pytest.raises(given.error_type) as caught:
            make(translate(params), **settings)
        assert isinstance(caught.value, TinygradError)
        assert given.error_type is not ValueError or re.search(given.error_regex[:20], str(caught.value))


def rosenbrock(w):
    return ((1 - w[:-1]) ** 2 + 100 * (w[1:] - w[:-1] ** 2) ** 2).sum()


def steep(w):
    return (w**4).sum() + (3 * w).cos().sum()


def flat(w):
    return (w * w + 1).log().sum() + 0.1 * (w[0] - w[1]).exp()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("function", [rosenbrock, steep, flat])
@pytest.mark.parametrize(
    "settings",
    [
        dict(line_search_fn="strong_wolfe"),
        dict(line_search_fn="strong_wolfe", max_iter=7, history_size=3, lr=0.5),
        dict(line_search_fn="strong_wolfe", max_iter=4, max_eval=5, lr=3.0),
        dict(line_search_fn="strong_wolfe", lr=100.0, tolerance_change=1e-4),
        dict(lr=1e-3, max_iter=5, history_size=2),
        dict(lr=0.01, tolerance_grad=1e-1),
    ],
)
def test_lbfgs(function, settings, dtype):
    results = []
    for T in (torch, tg):
        w = T.nn.Parameter(T.tensor(np.array([-1.2, 1.0, 0.5, 2.0], dtype)))
        other = T.nn.Parameter(T.tensor(np.array([[0.3, -0.4]], dtype)))
        unused = T.nn.Parameter(T.tensor(np.ones(2, dtype)))
        optimizer = T.optim.LBFGS([w, other, unused], **settings)
        path = []

        def closure(T=T, w=w, other=other, optimizer=optimizer, path=path):
            optimizer.zero_grad()
            loss = function(T.cat([w, other.reshape(-1)]))
            loss.backward()
            path.append(loss.item())
            return loss

        for _ in range(4):
            optimizer.step(closure)
        held = optimizer.state_dict()["state"][0]
        results.append((path, w.detach().numpy(), [held["func_evals"], held["n_iter"]], len(held["old_dirs"])))
    (path, value, counts, length), (our_path, our_value, our_counts, our_length) = results
    if dtype == "float64":
        assert (our_counts, our_length) == (counts, length)
        np.testing.assert_allclose(our_path, path, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(our_value, value, rtol=1e-5, atol=1e-7)
    else:  # near the minimum rounding decides how many steps are worth it
        begin = min(8, len(path), len(our_path))
        np.testing.assert_allclose(our_path[:begin], path[:begin], rtol=1e-2)
        if function is rosenbrock and "line_search_fn" in settings:  # in its valley, where a path ends as well
            assert our_path[-1] < our_path[0] / 10
            assert path[-1] < path[0] / 10
        else:
            assert math.isclose(our_path[-1], path[-1], rel_tol=1e-2, abs_tol=1e-3)
        assert our_value.dtype == np.float32
