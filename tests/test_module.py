"""Module, without an oracle: where an error came from, what a call costs, cycles, threads."""

import gc
import weakref

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import nn
from tinygrad_cnn.errors import ShapeError, TinygradError


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.ModuleDict({"first": nn.Linear(4, 6)})
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(5, 2))

    def forward(self, x):
        return self.classifier(self.features["first"](x))


def test_an_error_names_the_layer_by_its_path():
    with pytest.raises(ShapeError) as caught:
        Classifier()(tg.ones(3, 4))
    assert caught.value.path == "classifier.1"
    assert caught.value.layer == "Linear"
    text = "classifier.1: Linear expected 5 features in the last dimension, got 6 from an input of shape (3, 6)"
    assert str(caught.value) == f"{text}; use in_features=6 or LazyLinear"


def test_a_layer_inside_a_container_that_is_never_called_has_its_path_too():
    with pytest.raises(ShapeError, match=r"^features\.first: Linear expected 4 features"):
        Classifier()(tg.ones(3, 5))


def test_an_error_of_an_op_names_the_class_of_the_layer():
    class Add(nn.Module):
        def forward(self, x):
            return x + tg.ones(3)

    with pytest.raises(TinygradError, match=r"^1\.0 \(Add\): add: "):
        nn.Sequential(nn.Identity(), nn.Sequential(Add()))(tg.ones(2))
    with pytest.raises(TinygradError, match=r"^add: "):
        Add()(tg.ones(2))


def test_an_error_that_is_caught_and_raised_anew_keeps_its_path():
    class Careful(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = Classifier()
            self.other = nn.Identity()

        def forward(self, x):
            try:
                return self.inner(x)
            except ShapeError:
                self.other(x)
                raise

    with pytest.raises(ShapeError, match=r"^inner\.classifier\.1: "):
        Careful()(tg.ones(3, 4))


def test_other_errors_pass_untouched():
    class Broken(nn.Module):
        def forward(self, x):
            return {}["missing"]

    with pytest.raises(KeyError) as caught:
        nn.Sequential(Broken())(tg.ones(1))
    assert not hasattr(caught.value, "path")


def test_an_attribute_that_is_missing_suggests_one():
    with pytest.raises(AttributeError) as caught:
        nn.Linear(2, 2).weigth  # noqa: B018  # the attribute is what is tested
    assert caught.value.name == "weigth"
    assert isinstance(caught.value.obj, nn.Linear)


def test_a_module_is_freed_without_the_cycle_collector():
    gc.disable()
    try:
        module = Classifier()
        reference = weakref.ref(module)
        out = module.features["first"](tg.ones(1, 4))
        out.sum().backward()
        del module, out
        assert reference() is None
    finally:
        gc.enable()


def test_hooks_of_all_modules():
    from tinygrad_cnn.nn import hooks

    seen = []
    handles = [
        hooks.register_module_forward_pre_hook(lambda m, args: seen.append(("before", type(m).__name__))),
        hooks.register_module_forward_hook(lambda m, args, out: seen.append(("after", type(m).__name__))),
        hooks.register_module_full_backward_pre_hook(lambda m, go: seen.append(("grad", type(m).__name__))),
        hooks.register_module_full_backward_hook(lambda m, gi, go: seen.append(("grads", type(m).__name__))),
    ]
    try:
        nn.Sequential(nn.Flatten())(tg.ones(1, 2, requires_grad=True)).sum().backward()
    finally:
        for handle in handles:
            handle.remove()
    names = ["Sequential", "Flatten", "Flatten", "Sequential"]
    assert seen[:4] == list(zip(["before", "before", "after", "after"], names, strict=True))
    assert seen[4:] == [("grad", "Sequential"), ("grad", "Flatten"), ("grads", "Flatten"), ("grads", "Sequential")]
    nn.Flatten()(tg.ones(1, 2))
    assert len(seen) == 8


def test_what_is_not_here_says_so():
    with pytest.raises(RuntimeError, match="cpu"):
        nn.Linear(2, 2).cuda()
    with pytest.raises(RuntimeError, match="cpu"):
        nn.Linear(2, 2, device="cuda")


def test_loaded_values_bump_the_version():
    layer = nn.Linear(2, 2, bias=False)
    out = (layer(tg.ones(1, 2)) ** 2).sum()
    held = layer.weight.detach().numpy().copy()
    layer.load_state_dict({"weight": tg.zeros(2, 2)})
    assert layer.weight._version == 2  # of the initial values, and of the loaded ones
    assert held.any()
    x = tg.ones(1, 2, requires_grad=True)
    out = layer(x).sum()
    layer.load_state_dict({"weight": tg.ones(2, 2)})
    with pytest.raises(TinygradError, match="modified by an inplace operation"):
        out.backward()


def test_a_state_dict_shares_memory_with_the_module():
    layer = nn.Linear(2, 2)
    state = layer.state_dict()
    state["weight"].zero_()
    assert not layer.weight.detach().numpy().any()
    assert np.shares_memory(state["bias"].numpy(), layer.bias.detach().numpy())


def test_sequential_with_shared_layers_and_slices_shares_parameters():
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.Identity(), layer)
    assert len(list(model.parameters())) == 2
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    assert model[:1][0].weight is layer.weight


def test_data_parallel_puts_its_name_in_front_of_the_keys():
    model = nn.DataParallel(nn.Linear(2, 1))
    assert list(model.state_dict()) == ["module.weight", "module.bias"]
    assert (model(tg.ones(1, 2)) == model.module(tg.ones(1, 2))).all()
    with pytest.raises(RuntimeError, match="no GPU"):
        nn.DataParallel(nn.Linear(2, 1), device_ids=[0, 1])


def test_the_old_backward_hook_sees_the_gradient_of_the_output():
    layer = nn.Linear(2, 1)
    seen = []
    layer.register_backward_hook(lambda module, grad_input, grad_output: seen.append(grad_output[0].tolist()))
    (layer(tg.ones(1, 2, requires_grad=True)) * 3).sum().backward()
    assert seen == [[[3.0]]]
