"""nn.utils and nn.init against PyTorch."""

import warnings

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import assert_same, compare, compare_error, torch

rng = np.random.default_rng(0)


def model(T, bias=True):
    layer = T.nn.Linear(4, 3, bias=bias)
    array = np.random.default_rng(1).uniform(-1, 1, (3, 4)).astype(np.float32)
    layer.weight.data = T.tensor(array)
    if bias:
        layer.bias.data = T.tensor(array[:, 0])
    return layer


def with_gradients(T, scale=1.0):
    layer = model(T)
    for p in layer.parameters():
        p.grad = (p * scale).detach()
    return layer


@pytest.mark.parametrize("norm_type", [2.0, 1, 3.5, 0, float("inf"), -float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 100, 0])
def test_clip_grad_norm(norm_type, max_norm):
    results = []
    for T in (torch, tg):
        layer = with_gradients(T)
        norm = T.nn.utils.clip_grad_norm_(layer.parameters(), max_norm, norm_type=norm_type)
        results.append([norm, layer.weight.grad, layer.bias.grad])
    for their, our in zip(*results, strict=True):
        assert_same(our, their)


def test_clip_grad_norm_of_one_tensor_of_none_and_of_nothing_finite():
    for T in (torch, tg):
        layer = with_gradients(T, float("nan"))
        with pytest.raises(RuntimeError, match="non-finite"):
            T.nn.utils.clip_grad_norm_(layer.parameters(), 1.0, error_if_nonfinite=True)
        assert T.nn.utils.clip_grad_norm_(layer.weight, 1.0).isnan()
        assert T.nn.utils.clip_grad_norm_([T.nn.Parameter(T.ones(2))], 1.0).item() == 0.0
        with pytest.warns(UserWarning, match="empty generator"):
            T.nn.utils.clip_grad_norm_((p for p in []), 1.0)


def test_clip_grad_value():
    results = []
    for T in (torch, tg):
        layer = with_gradients(T)
        T.nn.utils.clip_grad_value_(layer.parameters(), 0.3)
        results.append([layer.weight.grad, layer.bias.grad])
    for their, our in zip(*results, strict=True):
        assert_same(our, their)


def test_vectors():
    results = []
    for T in (torch, tg):
        layer = model(T)
        vector = T.nn.utils.parameters_to_vector(layer.parameters())
        (vector * vector).sum().backward()
        T.nn.utils.vector_to_parameters(vector.detach() * 2, layer.parameters())
        results.append([vector, layer.weight.grad, layer.weight, layer.bias])
    for their, our in zip(*results, strict=True):
        assert_same(our, their)
    compare_error(lambda T: T.nn.utils.vector_to_parameters([1.0], []))
    compare_error(lambda T: T.nn.utils.vector_to_parameters(T.ones(2), T.nn.Linear(2, 2).parameters()))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d", "Linear"])
def test_fusing_a_batch_norm(kind, bias, affine):
    if kind == "Linear" and not affine:
        pytest.skip("PyTorch needs an affine batch norm here")
    results = []
    for T in (torch, tg):
        layer = getattr(T.nn, kind)(3, 4, *([2] if kind != "Linear" else []), bias=bias).double().eval()
        norm = (T.nn.BatchNorm1d if kind == "Linear" else T.nn.BatchNorm2d)(4, affine=affine).double().eval()
        draw = np.random.default_rng(3)
        for tensor in [*layer.parameters(), *norm.parameters(), norm.running_mean, norm.running_var]:
            tensor.data = T.tensor(draw.uniform(0.5, 1, tuple(tensor.shape)))
        norm.running_mean, norm.running_var = norm.running_mean.detach(), norm.running_var.detach()
        x = T.tensor(draw.uniform(-1, 1, (2, 3) if kind == "Linear" else (2, 3, 5, 5)))
        if kind == "Linear":
            fused = T.nn.utils.fuse_linear_bn_eval(layer, norm)
        else:
            fused = T.nn.utils.fuse_conv_bn_eval(layer, norm, transpose=kind != "Conv2d")
        np.testing.assert_allclose(fused(x).detach().numpy(), norm(layer(x)).detach().numpy(), rtol=1e-6)
        results.append([fused.weight, fused.bias, fused.weight.requires_grad, fused.bias.requires_grad])
        with pytest.raises(AssertionError, match="eval"):
            T.nn.utils.fuse_conv_bn_eval(layer.train(), norm)
    for their, our in zip(*results, strict=True):
        assert_same(our, their)


@pytest.mark.parametrize("dim", [0, 1, None])
def test_weight_norm(dim):
    results = []
    x = rng.uniform(-1, 1, (2, 4)).astype(np.float32)
    for T in (torch, tg):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # PyTorch would rather have its parametrizations used
            layer = T.nn.utils.weight_norm(model(T), dim=dim)
        layer.weight_g.data = layer.weight_g.data * 2
        out = layer(T.tensor(x))
        (out * out).sum().backward()
        names = [name for name, _ in layer.named_parameters()]
        grads = [layer.weight_g.grad, layer.weight_v.grad]
        T.nn.utils.remove_weight_norm(layer)
        results.append([out, *grads, layer.weight, names, sorted(layer.state_dict())])
    for their, our in zip(*results, strict=True):
        assert_same(our, their)
    compare_error(lambda T: T.nn.utils.remove_weight_norm(T.nn.Linear(2, 2)))


def test_spectral_norm():
    results = []
    x = rng.uniform(-1, 1, (2, 4)).astype(np.float32)
    for T in (torch, tg):
        layer = T.nn.utils.spectral_norm(model(T), n_power_iterations=2)
        u, v = (np.ones(n, np.float32) / np.sqrt(np.float32(n)) for n in (3, 4))
        layer.load_state_dict({"weight_u": T.tensor(u), "weight_v": T.tensor(v)}, strict=False)
        outs = [layer(T.tensor(x)), layer(T.tensor(x))]  # as for the real and the fake images
        (outs[0] * outs[0] - outs[1]).sum().backward()
        grad = layer.weight_orig.grad
        state = layer.state_dict()
        layer.eval()
        outs.append(layer(T.tensor(x)))
        T.nn.utils.remove_spectral_norm(layer)
        results.append([*outs, grad, layer.weight, list(state), state._metadata[""], list(layer.state_dict())])
    for their, our in zip(*results, strict=True):
        assert_same(our, their)


# ------------------------------------------------------------------------------------------------- init
FANS = [(4,), (3, 4), (3, 4, 5), (2, 3, 4, 5)]


@pytest.mark.parametrize("shape", FANS[1:])
def test_deterministic_initialisers(shape):
    compare(lambda T, w: T.nn.init.ones_(w), np.zeros(shape), backward=False)
    compare(lambda T, w: T.nn.init.zeros_(w), np.ones(shape), backward=False)
    compare(lambda T, w: T.nn.init.constant_(w, 2.5), np.ones(shape), backward=False)
    if len(shape) == 2:
        compare(lambda T, w: T.nn.init.eye_(w), np.ones(shape), backward=False)
    else:
        compare(lambda T, w: T.nn.init.dirac_(w), np.ones(shape), backward=False)
        compare(lambda T, w: T.nn.init.dirac_(w, groups=2), np.ones((4, *shape[1:])), backward=False)
    assert tg.nn.init._calculate_fan_in_and_fan_out(tg.zeros(shape)) == torch.nn.init._calculate_fan_in_and_fan_out(
        torch.zeros(shape)
    )


@pytest.mark.parametrize(
    "name", ["linear", "conv2d", "conv_transpose1d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"]
)
@pytest.mark.parametrize("param", [None, 0.2, 1])
def test_gain(name, param):
    assert tg.nn.init.calculate_gain(name, param) == torch.nn.init.calculate_gain(name, param)


INIT_ERRORS = [
    lambda T, w: T.nn.init.eye_(w),
    lambda T, w: T.nn.init.dirac_(w),
    lambda T, w: T.nn.init.xavier_uniform_(w),
    lambda T, w: T.nn.init.kaiming_normal_(w),
    lambda T, w: T.nn.init.orthogonal_(w),
    lambda T, w: T.nn.init.sparse_(w, 0.5),
    lambda T, w: T.nn.init.kaiming_uniform_(w.reshape(1, 4), mode="fan_avg"),
    lambda T, w: T.nn.init.kaiming_uniform_(w.reshape(1, 4), nonlinearity="gelu"),
    lambda T, w: T.nn.init.calculate_gain("leaky_relu", "steep"),
    lambda T, w: T.nn.init.dirac_(w.reshape(2, 1, 2), groups=3),
    lambda T, w: T.nn.init.uniform_(w, 1.0, 0.0),
    lambda T, w: T.nn.init.normal_(w, 0.0, -1.0),
]


@pytest.mark.parametrize("call", INIT_ERRORS)
def test_init_errors(call):
    compare_error(call, np.ones(4, np.float32))


DISTRIBUTIONS = [
    lambda init, w: init.uniform_(w, -2, 3),
    lambda init, w: init.normal_(w, 1.0, 2.0),
    lambda init, w: init.trunc_normal_(w, 0.5, 1.0, -1.0, 1.2),
    lambda init, w: init.trunc_normal_(w, 0.0, 1.0, 1.5, 3.0),  # far in the tail: another way of drawing
    lambda init, w: init.xavier_uniform_(w, gain=2.0),
    lambda init, w: init.xavier_normal_(w),
    lambda init, w: init.kaiming_uniform_(w, a=0.3),
    lambda init, w: init.kaiming_uniform_(w, mode="fan_out", nonlinearity="relu"),
    lambda init, w: init.kaiming_normal_(w, mode="FAN_OUT"),
    lambda init, w: init.orthogonal_(w, gain=2.0),
    lambda init, w: init.sparse_(w, 0.3, std=1.0),
]


@pytest.mark.parametrize("call", DISTRIBUTIONS)
def test_distributions(call):
    torch.manual_seed(0)
    tg.manual_seed(0)
    theirs = call(torch.nn.init, torch.empty(120, 150)).numpy().ravel()
    ours = call(tg.nn.init, tg.empty(120, 150)).numpy().ravel()
    # Kolmogorov and Smirnov: the largest distance between the two distribution functions; 2.2/sqrt(n) has p < 1e-4
    grid = np.sort(np.concatenate([theirs, ours]))
    a, b = (np.searchsorted(np.sort(x), grid, side="right") / x.size for x in (theirs, ours))
    assert np.abs(a - b).max() < 2.2 * np.sqrt(1 / theirs.size + 1 / ours.size)


def test_orthogonal_is_orthogonal_and_sparse_is_sparse_in_each_column():
    for shape in [(5, 3), (3, 5), (4, 2, 3)]:
        w = tg.nn.init.orthogonal_(tg.empty(*shape, dtype=tg.float64), gain=2.0).numpy().reshape(shape[0], -1)
        small = min(w.shape)
        product = w.T @ w if w.shape[1] == small else w @ w.T
        np.testing.assert_allclose(product, 4 * np.eye(small), atol=1e-12)
    assert ((tg.nn.init.sparse_(tg.empty(10, 7), 0.25).numpy() == 0).sum(axis=0) == 3).all()


def test_generator_and_layer_defaults():
    draw = [tg.nn.init.kaiming_normal_(tg.empty(3, 4), generator=tg.Generator().manual_seed(1)) for _ in range(2)]
    assert (draw[0] == draw[1]).all()
    with pytest.warns(UserWarning, match="no-op"):
        tg.nn.init.kaiming_uniform_(tg.empty(0, 3))
    with pytest.warns(UserWarning, match="2 std"):
        tg.nn.init.trunc_normal_(tg.empty(3), mean=6.0)
    with pytest.warns(FutureWarning, match="uniform_"):
        tg.nn.init.uniform(tg.empty(3))
    layer = tg.nn.Linear(100, 200)
    for tensor in (layer.weight, layer.bias):
        assert 0.098 < tensor.abs().max().item() <= 0.1
