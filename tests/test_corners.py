"""Options that models seldom use: of layers, state and hooks, optimisers, files, and of the names that compat gives."""

import copy
import io
import warnings

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import errors, nn, optim
from tinygrad_cnn.compat import cuda, extras, system, vision
from tinygrad_cnn.models.blocks import Conv2dNormActivation
from tinygrad_cnn.utils.checkpoint import checkpoint, checkpoint_sequential

F = nn.functional


# ---------------------------------------------------------------------------------------------- state of modules
def test_what_loading_returns_reads_well():
    layer = nn.Linear(1, 1)
    assert repr(layer.load_state_dict(layer.state_dict())) == "<All keys matched successfully>"
    found = layer.load_state_dict({"other": tg.zeros(1)}, strict=False)
    assert repr(found) == "_IncompatibleKeys(missing_keys=['weight', 'bias'], unexpected_keys=['other'])"


def test_assigned_values_are_taken_as_they_are():
    layer = nn.BatchNorm1d(2)
    layer.weight.requires_grad_(False)
    state = {name: value.clone() for name, value in layer.state_dict().items()}
    state["bias"] = nn.Parameter(tg.ones(2))
    layer.load_state_dict(state, assign=True)
    assert layer.bias is state["bias"]
    assert layer.running_mean is state["running_mean"]
    assert layer.weight.requires_grad is False
    assert np.shares_memory(layer.weight.numpy(), state["weight"].numpy())


class Extra(nn.Module):
    extra = 1

    def get_extra_state(self):
        return self.extra

    def set_extra_state(self, state):
        self.extra = state


def test_extra_state_is_missed_found_and_unexpected():
    module = Extra()
    assert module.load_state_dict({"_extra_state": 5}).missing_keys == []
    assert module.extra == 5
    with pytest.raises(errors.StateError, match=r'Missing key.*"_extra_state"'):
        module.load_state_dict({})
    assert module.load_state_dict({}, strict=False).missing_keys == ["_extra_state"]
    with pytest.raises(errors.StateError, match=r'Unexpected key.*"_extra_state"'):
        nn.Module().load_state_dict({"_extra_state": 5})


def test_hooks_of_state():
    def post(module, state, prefix, metadata):
        state[prefix + "more"] = tg.zeros(1)

    layer = nn.Linear(1, 1)
    handle = layer.register_state_dict_post_hook(post)
    assert list(layer.state_dict()) == ["weight", "bias", "more"]
    with pytest.raises(errors.GraphError, match="same function"):
        layer._register_state_dict_hook(post)
    handle.remove()
    layer.register_state_dict_post_hook(lambda *arguments: {})
    with pytest.raises(errors.GraphError, match="must return None"):
        layer.state_dict()
    other = nn.Linear(1, 1)
    other._register_state_dict_hook(lambda module, state, prefix, metadata: {"instead": 1})
    assert other.state_dict() == {"instead": 1}
    other.register_load_state_dict_post_hook(lambda module, keys: keys)
    with pytest.raises(errors.StateError, match="not expected to return new values"):
        other.load_state_dict(nn.Linear(1, 1).state_dict())


def test_instance_norm_refuses_statistics_of_old():
    layer = nn.InstanceNorm1d(2)
    with pytest.raises(errors.StateError, match="Unexpected running stats buffer"):
        layer.load_state_dict({"running_mean": tg.zeros(2), "running_var": tg.ones(2)})


def test_instance_norm_says_that_its_number_of_features_is_wrong():
    with pytest.warns(UserWarning, match="does not match num_features"):
        out = nn.InstanceNorm1d(5)(tg.arange(6.0).reshape(1, 2, 3))
    assert out.sum((0, 2)).abs().max() < 1e-5
    with pytest.raises(errors.ArgumentError, match="to match num_features"):
        nn.InstanceNorm1d(5, affine=True)(tg.zeros(1, 2, 3))


# ------------------------------------------------------------------------------------------------- lazy layers
def test_lazy_layers_take_their_sizes_once():
    norm = nn.LazyBatchNorm2d(affine=False, track_running_stats=False)
    assert norm(tg.zeros(2, 3, 4, 4)).shape == (2, 3, 4, 4)
    norm = nn.LazyBatchNorm2d()
    assert repr(norm.weight) == "<UninitializedParameter>"
    copied = copy.deepcopy({"one": norm, "again": norm})
    assert copied["one"] is copied["again"]
    norm(tg.zeros(2, 3, 4, 4))
    assert type(norm) is nn.BatchNorm2d
    assert norm.weight.shape == (3,)
    fresh = nn.LazyLinear(2, bias=False)
    fresh.load_state_dict(nn.Linear(3, 2, bias=False).state_dict())
    assert fresh(tg.ones(1, 3)).shape == (1, 2)
    frozen = nn.LazyLinear(2)
    frozen.weight.requires_grad_(False)
    frozen(tg.ones(1, 3))
    assert (frozen.weight.requires_grad, frozen.bias.requires_grad) == (False, True)


def test_a_lazy_layer_that_stays_itself():
    class Half(nn.LazyLinear):
        cls_to_become = None

    layer = Half(2)
    assert layer(tg.ones(1, 3)).shape == (1, 2)
    assert type(layer) is Half

    class Never(nn.LazyLinear):
        def initialize_parameters(self, input):
            """Nothing."""

    with pytest.raises(errors.GraphError, match="has not been fully initialized"):
        Never(2)(tg.ones(1, 3))


# ------------------------------------------------------------------------------------------------------- hooks
def test_a_hook_that_always_runs_may_not_hide_the_error():
    class Fails(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError

    def hook(module, args, output):
        raise KeyError("in the hook")

    module = Fails()
    module.register_forward_hook(hook, always_call=True)
    with pytest.warns(UserWarning, match="was silenced"), pytest.raises(ZeroDivisionError):
        module(1)


def test_backward_hooks_and_what_they_may_return():
    class Pair(nn.Module):
        def forward(self, x):
            return {"out": x * 2}

    module = Pair()
    module.register_full_backward_hook(lambda module, grad_input, grad_output: None)
    with pytest.warns(UserWarning, match="should be a Tensor or a tuple"):
        module(tg.ones(1, requires_grad=True))
    layer = nn.Linear(1, 1)
    handle = layer.register_full_backward_hook(lambda module, grad_input, grad_output: (tg.ones(1),))
    with pytest.warns(UserWarning, match="no inputs require gradients"), pytest.raises(errors.GraphError, match="None"):
        layer(tg.ones(1, 1)).sum().backward()
    handle.remove()
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: (tg.ones(1), tg.ones(1)))
    with pytest.raises(errors.GraphError, match="invalid number of grad_input, got 2, but expected 1"):
        layer(tg.ones(1, 1, requires_grad=True)).sum().backward()
    other = nn.Linear(1, 1)
    other.register_forward_pre_hook(lambda module, args, kwargs: 1, with_kwargs=True)
    with pytest.raises(errors.GraphError, match="new_args, new_kwargs"):
        other(tg.ones(1, 1))


# ------------------------------------------------------------------------------------------- layers, functions
def test_pooling_with_indices_by_name():
    x = tg.arange(6.0).reshape(1, 1, 6)
    values, indices = F.max_pool1d_with_indices(x, 2)
    assert (values.tolist(), indices.tolist()) == ([[[1, 3, 5]]], [[[1, 3, 5]]])
    values, indices = F.adaptive_max_pool1d_with_indices(x, 2)
    assert indices.tolist() == [[[2, 5]]]
    values, indices = F.adaptive_max_pool2d_with_indices(x[..., None], (3, 1))
    assert indices.flatten().tolist() == [1, 3, 5]


def test_dropout_of_channels_says_what_it_takes_the_input_for():
    with pytest.warns(UserWarning, match="dropout2d"):
        F.dropout2d(tg.ones(2, 3), 0.5)
    with pytest.warns(UserWarning, match="dropout3d"):
        F.dropout3d(tg.ones(2, 3), 0.5)


def test_initialisers_leave_empty_tensors_alone():
    for initialise in (nn.init.kaiming_uniform_, nn.init.kaiming_normal_, nn.init.orthogonal_):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            assert initialise(tg.empty(0, 3)).shape == (0, 3)


def test_the_old_name_of_clipping_warns():
    weight = nn.Parameter(tg.ones(1))
    weight.grad = tg.ones(1) * 10
    with pytest.warns(FutureWarning, match="deprecated"):
        nn.utils.clip_grad_norm([weight], 1.0)
    assert weight.grad.item() == pytest.approx(1.0, rel=1e-4)


def test_modules_in_odd_places():
    layer = nn.Linear(1, 1)
    layer.compile()
    assert layer.to(non_blocking=True) is layer
    names = dict(nn.Sequential(layer, layer).named_modules(remove_duplicate=False))
    assert names["0"] is names["1"] is layer
    assert nn.ParameterDict().update({}) is None
    parameters = nn.ParameterDict({"a": tg.ones(1)})
    assert parameters.setdefault("a", tg.zeros(1)) is parameters["a"]
    assert nn.ParameterDict.fromkeys if hasattr(nn.ParameterDict, "fromkeys") else True
    shared = nn.Parameter(tg.ones(1))
    first, second = copy.deepcopy([shared, shared])
    assert first is second


# -------------------------------------------------------------------------------------------------- optimisers
def trained(optimizer, parameter):
    optimizer.zero_grad()
    (parameter * parameter).sum().backward()
    optimizer.step()
    return parameter.item()


def test_hooks_of_optimisers_may_replace_what_they_are_shown():
    p = nn.Parameter(tg.ones(1))
    optimizer = optim.SGD([p], lr=0.5, momentum=0.5)
    trained(optimizer, p)
    seen = []
    optimizer.register_state_dict_pre_hook(lambda opt: seen.append("pre"))
    optimizer.register_state_dict_pre_hook(lambda opt: seen.append("first"), prepend=True)
    optimizer.register_state_dict_post_hook(lambda opt, state: None)
    optimizer.register_state_dict_post_hook(lambda opt, state: {**state, "more": 1})
    state = optimizer.state_dict()
    assert seen == ["first", "pre"]
    assert state["more"] == 1
    optimizer.register_load_state_dict_pre_hook(lambda opt, state: None)
    optimizer.register_load_state_dict_pre_hook(lambda opt, state: {k: v for k, v in state.items() if k != "more"})
    optimizer.register_load_state_dict_post_hook(lambda opt: seen.append("loaded"))
    state["state"]["of the user"] = {"kept": 1}
    optimizer.load_state_dict(state)
    assert seen[-1] == "loaded"
    assert optimizer.state["of the user"] == {"kept": 1}


def test_hooks_of_every_optimiser():
    p = nn.Parameter(tg.ones(1))
    optimizer = optim.SGD([p], lr=0.1)
    seen = []
    from tinygrad_cnn.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

    handles = [
        register_optimizer_step_pre_hook(lambda opt, args, kwargs: seen.append("before")),
        register_optimizer_step_post_hook(lambda opt, args, kwargs: seen.append("after")),
    ]
    trained(optimizer, p)
    for handle in handles:
        handle.remove()
    trained(optimizer, p)
    assert seen == ["before", "after"]
    handle = optimizer.register_step_pre_hook(lambda opt, args, kwargs: (args, kwargs))
    trained(optimizer, p)
    handle.remove()
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: 1)
    with pytest.raises(errors.GraphError, match="new_args, new_kwargs"):
        optimizer.step()


def test_names_of_parameters_survive_loading():
    p = nn.Parameter(tg.ones(1))
    optimizer = optim.SGD([("weight", p)], lr=0.1)
    state = optim.SGD([p], lr=0.2).state_dict()
    optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["param_names"] == ["weight"]
    assert optimizer.param_groups[0]["lr"] == 0.2


@pytest.mark.parametrize("make", [optim.Adam, optim.ASGD, optim.Adagrad], ids=lambda make: make.__name__)
def test_states_of_old_versions_hold_numbers(make):
    p = nn.Parameter(tg.ones(1))
    optimizer = make([p], lr=0.1)
    trained(optimizer, p)
    old = copy.deepcopy(optimizer.state_dict())
    for name, value in old["state"][0].items():
        if name in ("step", "eta", "mu") and isinstance(value, tg.Tensor):
            old["state"][0][name] = value.item()
    q = nn.Parameter(p.detach().clone())
    loaded = make([q], lr=0.1)
    loaded.load_state_dict(old)
    assert trained(loaded, q) == pytest.approx(trained(optimizer, p))


def test_a_parameter_that_was_added_later():
    p, q = nn.Parameter(tg.ones(1)), nn.Parameter(tg.ones(1))
    optimizer = optim.Adagrad([p], lr=0.1)
    trained(optimizer, p)
    optimizer.add_param_group({"params": [q]})
    assert trained(optimizer, q) < 1


def test_averaging_batch_statistics_without_a_batch_norm():
    optim.swa_utils.update_bn([tg.ones(1, 1)], nn.Linear(1, 1))


# ------------------------------------------------------------------------------------------------------- files
@pytest.mark.parametrize("value", [1j, {1, 2}, tg.float32, tg.device("cpu"), np.float64(2.5), 2**70, tg.Size([1, 2])])
def test_values_of_every_kind_are_saved(value):
    file = io.BytesIO()
    shared = [value, value]
    tg.save({"a": shared, "b": shared}, file)
    file.seek(0)
    loaded = tg.load(file)
    assert loaded["a"] == shared
    assert loaded["a"] is loaded["b"]


def test_tensors_that_share_memory_and_odd_layouts_are_saved():
    base = tg.arange(12.0).reshape(3, 4)
    views = {"t": base.t(), "row": base[1], "empty": base[:0], "flipped": tg.from_numpy(base.numpy()[::-1])}
    file = io.BytesIO()
    tg.save(views, file)
    file.seek(0)
    loaded = tg.load(file)
    for name, view in views.items():
        assert (loaded[name] == view).all(), name
    loaded["row"][0] = -1
    assert loaded["t"][0, 1] == -1


# -------------------------------------------------------------------------------------------------- checkpoint
def test_checkpointed_parts_of_a_sequential():
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Dropout(0.5), nn.Linear(3, 1))
    x = tg.ones(4, 2, requires_grad=True)
    tg.manual_seed(0)
    net(x).sum().backward()
    plain = x.grad.clone()
    x.grad = None
    tg.manual_seed(0)
    checkpoint_sequential(net, 2, x).sum().backward()
    assert (x.grad == plain).all()
    with pytest.raises(errors.ArgumentError, match="segments expected 1 to 4, got 5"):
        checkpoint_sequential(net, 5, x)
    assert checkpoint_sequential([nn.Tanh()], 1, x).shape == (4, 2)


def test_a_checkpoint_that_does_something_else_the_second_time():
    x = tg.ones(2, requires_grad=True)
    runs = []

    def once(t):
        runs.append(1)
        return t.exp() if len(runs) == 1 else t.exp().exp()

    out = checkpoint(once, x, preserve_rng_state=False)
    with pytest.raises(errors.GraphError, match="must do the same both times"):
        out.sum().backward()
    out = checkpoint(lambda t: t.exp() * t, x).sum()
    out.backward(retain_graph=True)
    out.backward()
    assert x.grad.tolist() == pytest.approx([4 * np.e] * 2)


# ------------------------------------------------------------------------------------------------------ compat
def test_versions_compare_number_by_number():
    version = extras.TorchVersion("2.13.0")
    assert version <= "2.13.0+cpu"
    assert version >= (2, 13)
    assert version > "2.9"
    assert version < (3,)


def test_types_of_tensors_and_their_names():
    assert repr(extras.FloatTensor) == "<class 'torch.FloatTensor'>"
    assert isinstance(extras.LongTensor([1]), extras.LongTensor)
    assert extras.DoubleTensor(2, 3).shape == (2, 3)
    assert repr(extras.strided) == "torch.strided"
    before = tg.get_default_dtype()
    extras.set_default_tensor_type("torch.DoubleTensor")
    assert tg.ones(1).dtype == tg.float64
    extras.set_default_tensor_type(before)
    assert tg.ones(1).dtype == before


def test_wishes_are_noted():
    extras.use_deterministic_algorithms(True, warn_only=True)
    assert extras.are_deterministic_algorithms_enabled()
    assert extras.is_deterministic_algorithms_warn_only_enabled()
    extras.use_deterministic_algorithms(False)
    extras.set_float32_matmul_precision("high")
    assert extras.get_float32_matmul_precision() == "high"
    extras.set_float32_matmul_precision("highest")
    extras.set_num_interop_threads(2)
    assert extras.get_num_interop_threads() == 2
    extras.set_default_device(None)
    extras.set_default_device("cpu")
    assert extras.get_default_device() == tg.device("cpu")
    assert extras.get_autocast_dtype("cpu") == tg.get_default_dtype()
    assert extras.get_device(tg.ones(1)) == -1
    assert (cuda.memory_allocated(), cuda.get_rng_state_all(), cuda.is_bf16_supported()) == (0, [], False)
    assert cuda.custom_fwd(cast_inputs=tg.float32)(len) is len


def test_variables_are_tensors():
    x = tg.ones(1)
    assert extras.Variable(x) is x
    assert extras.Variable(x, requires_grad=True).requires_grad
    with pytest.raises(errors.UnsupportedError, match="no_grad"):
        extras.Variable(x, volatile=True)
    with pytest.raises(errors.ArgumentTypeError, match="must be a Tensor"):
        extras.Variable([1.0])
    with pytest.raises(errors.UnsupportedError, match="state_dict"):
        extras.exported(x)


def test_downloads_of_pytorch_are_found(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert system.get_dir() == str(tmp_path / "hub")
    system.set_dir(tmp_path / "else")
    monkeypatch.setattr(system, "_hub_dir", system._hub_dir)
    with pytest.raises(errors.DataError, match="nothing is downloaded here"):
        system.load_state_dict_from_url("https://example.org/net.pth")
    tg.save({"w": tg.ones(1)}, tmp_path / "net.pth")
    loaded = system.load_state_dict_from_url("https://example.org/net.pth", model_dir=tmp_path)
    assert loaded["w"].item() == 1
    system.set_dir("")


def test_closeness_as_pytorch_asserts_it():
    system.assert_close([tg.ones(2), 1.0], [tg.ones(2) + 1e-7, 1.0])
    system.assert_close(tg.tensor([float("nan")]), tg.tensor([float("nan")]), equal_nan=True)
    for wrong in (tg.ones(2) * 1.1, tg.ones(3), tg.ones(2, dtype=tg.float64)):
        with pytest.raises(AssertionError):
            system.assert_close(wrong, tg.ones(2))
    system.assert_close(tg.ones(2, dtype=tg.float64), tg.ones(2), check_dtype=False)


def test_the_prefix_that_data_parallel_adds_is_removed():
    state = nn.DataParallel(nn.BatchNorm1d(2)).state_dict()
    system.consume_prefix_in_state_dict_if_present(state, "module.")
    nn.BatchNorm1d(2).load_state_dict(state)
    assert "weight" in state
    assert list(state._metadata) == [""] or "" in state._metadata


def test_parts_of_torchvision():
    block = Conv2dNormActivation(2, 4, norm_layer=None, activation_layer=None)
    assert [type(layer) for layer in block] == [nn.Conv2d]
    block = Conv2dNormActivation(2, 4, padding=0)
    assert block(tg.zeros(1, 2, 5, 5)).shape == (1, 4, 3, 3)
    assert vision.SqueezeExcitation(4, 2)(tg.ones(1, 4, 2, 2)).shape == (1, 4, 2, 2)
    drop = vision.StochasticDepth(0.5, "row")
    tg.manual_seed(0)
    kept = drop(tg.ones(100, 2))
    assert set(kept.flatten().tolist()) == {0.0, 2.0}
    assert (kept[:, 0] == kept[:, 1]).all()
    assert vision.StochasticDepth(1.0, "batch")(tg.ones(3, 2)).abs().sum() == 0
    frozen = vision.FrozenBatchNorm2d(3)
    frozen.running_mean.fill_(2.0)
    assert tg.allclose(frozen(tg.ones(2, 3, 4, 4)), tg.full((2, 3, 4, 4), -1.0), atol=1e-4)
    assert repr(frozen) == "FrozenBatchNorm2d(3, eps=1e-05)"
    assert not list(frozen.parameters())
    assert (drop.eval()(tg.ones(2, 2)) == 1).all()


def test_images_in_a_grid():
    images = tg.arange(8.0).reshape(2, 1, 2, 2)
    grid = vision.make_grid(images, padding=1, pad_value=-1)
    assert grid.shape == (3, 4, 7)
    assert grid[0, 1, 1:3].tolist() == [0, 1]
    assert vision.make_grid(images, normalize=True).max() == 1
    assert vision.make_grid(list(images), normalize=True, scale_each=True, padding=0)[0, 0].tolist()[0] == 0
    assert vision.make_grid(images, normalize=True, value_range=(0.0, 3.0)).max() == 1
    assert vision.make_grid(images[:1]).shape == (3, 2, 2)
    with pytest.raises(errors.ArgumentTypeError, match="list of tensors expected"):
        vision.make_grid([1, 2])


def test_functional_transforms():
    picture = np.full((2, 2, 3), 255, np.uint8)
    image = vision.to_tensor(picture)
    assert image.max() == 1
    assert vision.normalize(image, [1.0] * 3, [0.5] * 3).abs().max() == 0
