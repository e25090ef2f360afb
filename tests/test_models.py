"""The networks by name: sizes, keys, what they refuse, their initial values, and weights from files."""

import inspect
import re

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import models, nn
from tinygrad_cnn.cli import main
from tinygrad_cnn.data import TensorDataset
from tinygrad_cnn.models import get_model, list_models, model_info
from tinygrad_cnn.train import dataset_for_digits, model_for_digits

LISTED = [
    "simple_conv_net",
    "lenet5",
    "lenet5_original",
    "alexnet",
    "alexnet_2012",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "resnet20",
    "resnet32",
    "resnet44",
    "resnet56",
    "resnet110",
    "mobilenet_v1",
    "mobilenet_v2",
    "squeezenet1_0",
    "squeezenet1_1",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "googlenet",
    "unet",
]
SMALL = [name for name in LISTED if model_info(name).parameters < 1e6]


@pytest.fixture
def without_initial_values(monkeypatch):
    """Models as large as they are published, without drawing their weights."""
    for name in vars(nn.init):
        if name.endswith("_") and not name.startswith("_"):
            monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: tensor)


@pytest.fixture
def weights_of_zero(monkeypatch):
    """Models without random numbers that can be run: what memory happens to hold might overflow."""
    zeros = nn.init.zeros_
    for name in vars(nn.init):
        if name.endswith("_") and not name.startswith("_"):
            monkeypatch.setattr(nn.init, name, lambda tensor, *args, **kwargs: zeros(tensor))


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


# --------------------------------------------------------------------------------------------- sizes and names
def test_all_are_listed():
    assert sorted(LISTED) == list_models()
    assert all(model_info(name).build is getattr(models, name) for name in LISTED)


@pytest.mark.parametrize("name", LISTED)
def test_the_documented_number_of_parameters_is_true(name, without_initial_values):
    info = model_info(name)
    assert count(get_model(name)) == info.parameters
    assert f"{info.parameters:,} parameters" in inspect.getdoc(info.build)
    assert re.search(r"images \(N,[13],\w+,\w+\)", inspect.getdoc(info.build))


@pytest.mark.parametrize("name", LISTED)
def test_each_takes_weights_and_progress(name):
    assert list(inspect.signature(model_info(name).build).parameters) == ["weights", "progress", "kwargs"]


def test_googlenet_without_auxiliary_classifiers(without_initial_values):
    model = models.googlenet(aux_logits=False)
    assert count(model) == 6_624_904
    assert not any(key.startswith("aux") for key in model.state_dict())


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("alexnet", "features.0.weight features.10.bias classifier.1.weight classifier.6.bias"),
        ("vgg11_bn", "features.0.weight features.1.running_var features.25.weight classifier.6.bias"),
        ("resnet18", "conv1.weight bn1.running_mean layer1.0.conv1.weight layer2.0.downsample.0.weight fc.bias"),
        ("resnet50", "layer1.0.conv3.weight layer1.0.downsample.1.num_batches_tracked layer4.2.bn3.bias"),
        ("resnet20", "conv1.weight layer3.2.bn2.bias linear.weight"),
        ("mobilenet_v2", "features.0.0.weight features.1.conv.0.0.weight features.2.conv.1.1.running_var"),
        ("mobilenet_v2", "features.18.1.bias classifier.1.weight"),
        ("squeezenet1_0", "features.3.squeeze.weight features.12.expand3x3.bias classifier.1.weight"),
        ("densenet121", "features.conv0.weight features.denseblock1.denselayer1.norm1.weight classifier.bias"),
        ("densenet121", "features.transition3.conv.weight features.norm5.running_mean"),
        ("googlenet", "inception3a.branch2.0.conv.weight inception5b.branch4.1.bn.weight aux1.fc1.weight fc.weight"),
    ],
)
def test_keys_of_torchvision(name, keys, without_initial_values):
    assert set(keys.split()) <= set(get_model(name).state_dict())


# --------------------------------------------------------------------------------------------- outputs
@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (lambda: models.alexnet(num_classes=4), (1, 3, 63, 63)),
        (lambda: models.alexnet_2012(num_classes=4), (1, 3, 227, 227)),
        (lambda: models.mobilenet_v1(num_classes=4, width_mult=0.25, in_channels=1), (2, 1, 32, 32)),
        (lambda: models.resnet18(num_classes=4, norm_layer=lambda c: nn.GroupNorm(8, c)), (1, 3, 32, 32)),
        (lambda: models.CifarResNet(1, num_classes=4, option="B", in_channels=1), (2, 1, 9, 8)),
        (lambda: models.densenet121(num_classes=4, drop_rate=0.2), (2, 3, 32, 32)),
        (lambda: models.lenet5_original(num_classes=4, in_channels=2), (1, 2, 28, 28)),
    ],
)  # fmt: skip
def test_scores(model, shape, weights_of_zero):
    assert model().eval()(tg.zeros(shape)).shape == (shape[0], 4)


def test_dilation_in_place_of_strides(without_initial_values):
    model = models.ResNet(models.Bottleneck, [1, 1, 1, 2], replace_stride_with_dilation=[False, True, True])
    assert (model.layer4[0].conv2.dilation, model.layer4[1].conv2.dilation) == ((2, 2), (4, 4))
    assert model.layer3[0].conv2.stride == (1, 1)


def test_googlenet_gives_a_namedtuple_in_training(weights_of_zero):
    model = models.googlenet(num_classes=4)
    out = model(tg.zeros(2, 3, 32, 32))
    assert type(out)._fields == ("logits", "aux_logits2", "aux_logits1")
    assert [tuple(part.shape) for part in out] == [(2, 4)] * 3
    assert isinstance(model.eval()(tg.zeros(2, 3, 32, 32)), tg.Tensor)


def test_unet_keeps_odd_sizes():
    model = models.unet(num_classes=3, width=4)
    out = model(tg.zeros(1, 1, 13, 22))
    assert out.shape == (1, 3, 13, 22)
    out.sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


# --------------------------------------------------------------------------------------------- initial values
def test_residual_blocks_may_begin_as_their_shortcuts():
    for block in (models.BasicBlock, models.Bottleneck):
        model = models.ResNet(block, [1, 1, 1, 1], 3, zero_init_residual=True)
        last = "bn3" if block is models.Bottleneck else "bn2"
        assert not getattr(model.layer2[0], last).weight.detach().numpy().any()
        assert model.layer2[0].bn1.weight.detach().numpy().all()


def test_initial_values():
    tg.manual_seed(0)
    weight = models.resnet18(num_classes=2).layer4[1].conv2.weight.detach().numpy()
    assert weight.std() == pytest.approx(np.sqrt(2 / (512 * 9)), rel=0.01)  # He et al., fan_out
    model = models.mobilenet_v2(num_classes=50)
    assert model.classifier[1].weight.detach().numpy().std() == pytest.approx(0.01, rel=0.02)
    assert not model.classifier[1].bias.detach().numpy().any()
    weight = models.squeezenet1_1(num_classes=50).classifier[1].weight.detach().numpy()
    assert weight.std() == pytest.approx(0.01, rel=0.02)


def test_biases_of_2012(monkeypatch):
    monkeypatch.setattr(nn.init, "normal_", lambda tensor, **settings: tensor)
    model = models.AlexNet2012(num_classes=2)
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert [float(layer.bias.detach().numpy().mean()) for layer in layers] == [0, 1, 0, 1, 1, 1, 1, 0]


# --------------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: models.resnet18(weights="IMAGENET1K_V1"), ValueError, "there is no hub .* pass its path"),
        (lambda: models.densenet121(weights=True), ValueError, "expected None or the path of a checkpoint, got True"),
        (lambda: models.googlenet(weights="DEFAULT"), ValueError, "there is no hub"),
        (lambda: models.resnext50_32x4d(groups=2), ValueError, "'groups' expected value 32 but got 2"),
        (lambda: models.ResNet(models.BasicBlock, [1] * 4, groups=2), ValueError, "BasicBlock only supports groups=1"),
        (lambda: models.ResNet(models.BasicBlock, [1] * 4, replace_stride_with_dilation=[True]), ValueError, "3-elem"),
        (lambda: models.SqueezeNet("2_0"), ValueError, "Unsupported SqueezeNet version 2_0"),
        (lambda: models.MobileNetV2(inverted_residual_setting=[]), ValueError, "should be non-empty"),
        (lambda: models.GoogLeNet(blocks=[nn.Identity]), ValueError, "blocks length should be 3 instead of 1"),
        (lambda: models.resnet20(option="C"), ValueError, "option expected 'A'"),
        (lambda: models.resnet18(colour="red"), TypeError, "colour"),
    ],
)
def test_refusals(build, error, message, without_initial_values):
    with pytest.raises(error, match=message):
        build()


# --------------------------------------------------------------------------------------------- weights from files
@pytest.mark.parametrize("name", ["lenet5", "simple_conv_net", "resnet20", "squeezenet1_1", "unet"])
def test_weights_from_a_file(name, tmp_path):
    tg.manual_seed(0)
    state = get_model(name).state_dict()
    tg.save(state, tmp_path / "weights.npz")
    loaded = get_model(name, weights=tmp_path / "weights.npz").state_dict()
    assert all(tg.equal(loaded[key], state[key]) for key in state)


def test_densenet_reads_the_keys_of_old_checkpoints(tmp_path):
    tg.manual_seed(0)
    state = models.densenet121(num_classes=2).state_dict()
    key = "features.denseblock2.denselayer3.conv2.weight"
    old = {re.sub(r"(norm|conv)([12]\.)", r"\1.\2", name): value for name, value in state.items()}
    assert "features.denseblock2.denselayer3.conv.2.weight" in old
    tg.save(old, tmp_path / "weights.npz")
    model = models.densenet121(weights=str(tmp_path / "weights.npz"), num_classes=2)
    assert tg.equal(model.state_dict()[key], state[key])


@pytest.mark.parametrize("saved_with", [True, False])
def test_googlenet_reads_checkpoints_with_and_without_auxiliary_classifiers(saved_with, tmp_path):
    tg.manual_seed(0)
    state = models.googlenet(num_classes=2, aux_logits=saved_with, init_weights=False).state_dict()
    tg.save(state, tmp_path / "weights.npz")
    model = models.googlenet(weights=tmp_path / "weights.npz", num_classes=2)
    assert (model.transform_input, model.aux_logits) == (True, False)
    assert isinstance(model(tg.zeros(2, 3, 32, 32)), tg.Tensor)
    assert tg.equal(model.fc.weight, state["fc.weight"])


# --------------------------------------------------------------------------------------------- the ten digits
@pytest.mark.parametrize("name", LISTED)
def test_what_the_command_trains_is_for_ten_digits(name, without_initial_values):
    info = model_info(name)
    model = model_for_digits(name)
    assert model.state_dict().keys() == get_model(name, **info.digits).state_dict().keys()
    last = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)][-1]
    assert last.weight.shape[0] == (11 if info.per_pixel else 10)


@pytest.mark.parametrize("name", [*SMALL, "resnet18", "googlenet", "mobilenet_v2", "alexnet", "densenet121"])
def test_digits_fit(name, weights_of_zero):
    seen = []
    model = model_for_digits(name).eval()
    first = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d))
    first.register_forward_hook(lambda module, inputs, out: seen.append(inputs[0].shape))
    info = model_info(name)
    size = max(28, info.min_size)
    out = model(tg.zeros(1, 1, 28, 28))
    assert seen[0] == (1, info.channels, size, size)
    assert out.shape == ((1, 11, 28, 28) if info.per_pixel else (1, 10))


def test_pixels_are_labelled_by_their_ink():
    images = tg.zeros(2, 1, 3, 3)
    images[0, 0, 1, 2] = 1.0
    digits = TensorDataset(images, tg.tensor([7, 3]))
    labels = dataset_for_digits("unet", digits).tensors[1]
    assert labels.dtype == tg.int64
    assert labels[0].tolist() == [[10, 10, 10], [10, 10, 7], [10, 10, 10]]
    assert dataset_for_digits("lenet5", digits) is digits


@pytest.mark.parametrize("name", ["unet", "resnet20", "squeezenet1_1"])
def test_the_command_trains_models_of_every_kind(name, tmp_path, monkeypatch):
    images, labels = tg.data.datasets.MNIST5k(train=True).tensors()[:12]
    monkeypatch.setattr("tinygrad_cnn.cli._load_data", lambda options: (TensorDataset(images, labels),) * 2)
    run = tmp_path / "run"
    arguments = ["--epochs", "1", "--batch-size", "6", "--output", str(run)]
    assert main(["train", "--model", name, *arguments]) == 0
    get_model(name, **model_info(name).digits, weights=run / "weights.npz")
