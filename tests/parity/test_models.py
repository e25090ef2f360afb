"""Networks against PyTorch: the same keys, and with the same weights the same outputs and gradients.

PyTorch's side is written here, from torch.nn alone, as tables: a ``Net`` is named modules and how they are run.
"""

import copy

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import assert_same, torch
from tinygrad_cnn import models

nn = torch.nn
F = torch.nn.functional


class Net(nn.Module):
    def __init__(self, run, **modules):
        super().__init__()
        self.run = run
        for name, module in modules.items():
            self.add_module(name, module)

    def forward(self, *inputs):
        return self.run(self, *inputs)


def conv(a, b, k=1, stride=1, padding=0, groups=1, bias=False):
    return nn.Conv2d(a, b, k, stride, padding, groups=groups, bias=bias)


def bn(channels, **settings):
    return nn.BatchNorm2d(channels, **settings)


def seq(*modules, **named):
    if not named:
        return nn.Sequential(*modules)
    container = nn.Sequential()
    for name, module in named.items():
        container.add_module(name, module)
    return container


def pooled(x):
    return x.mean((2, 3))


# ------------------------------------------------------------------------------------------------ PyTorch's side
def vgg(cfg, batch_norm, classifier):
    layers, channels = [], 3
    for out in cfg:
        if out == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [conv(channels, out, 3, padding=1, bias=True), *([bn(out)] if batch_norm else []), nn.ReLU()]
            channels = out
    return Net(lambda m, x: m.classifier(m.avgpool(m.features(x)).flatten(1)),
               features=seq(*layers), avgpool=nn.AdaptiveAvgPool2d(7), classifier=classifier)  # fmt: skip


def alexnet(classifier):
    features = [conv(3, 64, 11, 4, 2, bias=True), nn.ReLU(), nn.MaxPool2d(3, 2)]
    features += [conv(64, 192, 5, padding=2, bias=True), nn.ReLU(), nn.MaxPool2d(3, 2)]
    for a, b in ((192, 384), (384, 256), (256, 256)):
        features += [conv(a, b, 3, padding=1, bias=True), nn.ReLU()]
    return Net(lambda m, x: m.classifier(m.avgpool(m.features(x)).flatten(1)),
               features=seq(*features, nn.MaxPool2d(3, 2)), avgpool=nn.AdaptiveAvgPool2d(6),
               classifier=classifier)  # fmt: skip


def residual(a, planes, stride, bottleneck, groups, base_width):
    out = planes * 4 if bottleneck else planes
    width = planes * base_width // 64 * groups
    if bottleneck:
        parts = dict(conv1=conv(a, width), bn1=bn(width), conv2=conv(width, width, 3, stride, 1, groups),
                     bn2=bn(width), conv3=conv(width, out), bn3=bn(out))  # fmt: skip
    else:
        parts = dict(conv1=conv(a, out, 3, stride, 1), bn1=bn(out), conv2=conv(out, out, 3, 1, 1), bn2=bn(out))
    if stride != 1 or a != out:
        parts["downsample"] = seq(conv(a, out, 1, stride), bn(out))

    def run(m, x):
        y = F.relu(m.bn1(m.conv1(x)))
        y = m.bn2(m.conv2(y))
        if bottleneck:
            y = m.bn3(m.conv3(F.relu(y)))
        return F.relu(y + (m.downsample(x) if "downsample" in parts else x))

    return Net(run, **parts)


def resnet(bottleneck, layers, num_classes=1000, groups=1, width_per_group=64):
    stages, channels = {}, 64
    for i, (planes, count) in enumerate(zip((64, 128, 256, 512), layers, strict=True), start=1):
        blocks = []
        for j in range(count):
            stride = 2 if i > 1 and j == 0 else 1
            blocks.append(residual(channels, planes, stride, bottleneck, groups, width_per_group))
            channels = planes * 4 if bottleneck else planes
        stages[f"layer{i}"] = seq(*blocks)

    def run(m, x):
        x = F.max_pool2d(F.relu(m.bn1(m.conv1(x))), 3, 2, 1)
        return m.fc(pooled(m.layer4(m.layer3(m.layer2(m.layer1(x))))))

    return Net(run, conv1=conv(3, 64, 7, 2, 3), bn1=bn(64), **stages, fc=nn.Linear(channels, num_classes))


def cifar_resnet(blocks, option):
    def block(a, b, stride):
        parts = dict(conv1=conv(a, b, 3, stride, 1), bn1=bn(b), conv2=conv(b, b, 3, 1, 1), bn2=bn(b))
        if a != b and option == "B":
            parts["shortcut"] = seq(conv(a, b, 1, stride), bn(b))

        def run(m, x):
            y = m.bn2(m.conv2(F.relu(m.bn1(m.conv1(x)))))
            if a == b:
                return F.relu(y + x)
            if option == "B":
                return F.relu(y + m.shortcut(x))
            zeros = torch.zeros_like(x[:, : (b - a) // 2, ::2, ::2])
            return F.relu(y + torch.cat([zeros, x[:, :, ::2, ::2], zeros], 1))

        return Net(run, **parts)

    stage = lambda a, b: seq(block(a, b, 1 if a == b else 2), *[block(b, b, 1) for _ in range(blocks - 1)])
    return Net(lambda m, x: m.linear(pooled(m.layer3(m.layer2(m.layer1(F.relu(m.bn1(m.conv1(x)))))))),
               conv1=conv(3, 16, 3, 1, 1), bn1=bn(16), layer1=stage(16, 16), layer2=stage(16, 32),
               layer3=stage(32, 64), linear=nn.Linear(64, 10))  # fmt: skip


def mobilenet_v1(width_mult):
    c = [max(8, int(n * width_mult)) for n in (32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)]
    part = lambda a, b, k, s=1, g=1: seq(conv(a, b, k, s, k // 2, g), bn(b), nn.ReLU())
    layers = [part(3, c[0], 3, 2)]
    for a, b, s in zip(c, c[1:], (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1), strict=False):
        layers.append(seq(depthwise=part(a, a, 3, s, a), pointwise=part(a, b, 1)))
    return Net(lambda m, x: m.classifier(pooled(m.features(x))),
               features=seq(*layers), classifier=seq(nn.Identity(), nn.Linear(c[-1], 1000)))  # fmt: skip


def mobilenet_v2(num_classes=1000, settings=None, last=1280):
    part = lambda a, b, k, s=1, g=1: seq(conv(a, b, k, s, k // 2, g), bn(b), nn.ReLU6())
    settings = settings or [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
                            (6, 320, 1, 1)]  # fmt: skip
    layers, a = [part(3, 32, 3, 2)], 32
    for t, c, n, s in settings:
        for stride in (s, *[1] * (n - 1)):
            h = a * t
            expand = [part(a, h, 1)] if t > 1 else []
            keep = stride == 1 and a == c
            layers.append(Net(lambda m, x, keep=keep: m.conv(x) + x if keep else m.conv(x),
                              conv=seq(*expand, part(h, h, 3, stride, h), conv(h, c), bn(c))))  # fmt: skip
            a = c
    return Net(lambda m, x: m.classifier(pooled(m.features(x))),
               features=seq(*layers, part(a, last, 1)),
               classifier=seq(nn.Identity(), nn.Linear(last, num_classes)))  # fmt: skip


def squeezenet(version, num_classes=1000):
    def fire(a, s, e):
        return Net(lambda m, x: (lambda y: torch.cat([m.expand1x1(y), m.expand3x3(y)], 1).relu())(m.squeeze(x).relu()),
                   squeeze=conv(a, s, bias=True), expand1x1=conv(s, e, bias=True),
                   expand3x3=conv(s, e, 3, 1, 1, bias=True))  # fmt: skip

    pool = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
    stem = conv(3, 96, 7, 2, bias=True) if version == "1_0" else conv(3, 64, 3, 2, bias=True)
    sizes = [(96 if version == "1_0" else 64, 16, 64), (128, 16, 64), (128, 32, 128), (256, 32, 128), (256, 48, 192),
             (384, 48, 192), (384, 64, 256), (512, 64, 256)]  # fmt: skip
    fires = [fire(*size) for size in sizes]
    for position in (7, 3) if version == "1_0" else (4, 2):
        fires.insert(position, pool())
    return Net(lambda m, x: pooled(m.classifier(m.features(x))), features=seq(stem, nn.ReLU(), pool(), *fires),
               classifier=seq(nn.Identity(), conv(512, num_classes, bias=True), nn.ReLU()))  # fmt: skip


def densenet(growth, config, channels, bn_size=4, num_classes=1000, memory_efficient=False):
    def layer(a):
        def run(m, x):
            first = lambda x: m.conv1(m.norm1(x).relu())
            # computed twice, batch normalisation counts twice: in PyTorch, too
            y = torch.utils.checkpoint.checkpoint(first, x, use_reentrant=False) if memory_efficient else first(x)
            return m.conv2(m.norm2(y).relu())

        b = bn_size * growth
        return Net(run, norm1=bn(a), conv1=conv(a, b), norm2=bn(b), conv2=conv(b, growth, 3, 1, 1))

    def dense(m, x):
        for child in m.children():
            x = torch.cat([x, child(x)], 1)
        return x

    features = dict(conv0=conv(3, channels, 7, 2, 3), norm0=bn(channels), relu0=nn.ReLU(), pool0=nn.MaxPool2d(3, 2, 1))
    for i, count in enumerate(config, start=1):
        layers = {f"denselayer{j + 1}": layer(channels + j * growth) for j in range(count)}
        features[f"denseblock{i}"] = Net(dense, **layers)
        channels += count * growth
        if i < len(config):
            features[f"transition{i}"] = seq(
                norm=bn(channels), relu=nn.ReLU(), conv=conv(channels, channels // 2), pool=nn.AvgPool2d(2)
            )
            channels //= 2
    return Net(lambda m, x: m.classifier(pooled(m.features(x).relu())),
               features=seq(**features, norm5=bn(channels)),
               classifier=nn.Linear(channels, num_classes))  # fmt: skip


def googlenet(num_classes=1000, aux=True, transform=False):
    def basic(a, b, k=1, **settings):
        run = lambda m, x: F.relu(m.bn(m.conv(x)))
        return Net(run, conv=nn.Conv2d(a, b, k, bias=False, **settings), bn=bn(b, eps=0.001))

    def inception(a, n1, r3, n3, r5, n5, p):
        return Net(lambda m, x: torch.cat([branch(x) for branch in m.children()], 1),
                   branch1=basic(a, n1), branch2=seq(basic(a, r3), basic(r3, n3, 3, padding=1)),
                   branch3=seq(basic(a, r5), basic(r5, n5, 3, padding=1)),
                   branch4=seq(nn.MaxPool2d(3, 1, 1), basic(a, p)))  # fmt: skip

    def head(a):
        return Net(lambda m, x: m.fc2(m.fc1(m.conv(F.adaptive_avg_pool2d(x, 4)).flatten(1)).relu()),
                   conv=basic(a, 128), fc1=nn.Linear(2048, 1024), fc2=nn.Linear(1024, num_classes))  # fmt: skip

    table = {
        "3a": (192, 64, 96, 128, 16, 32, 32), "3b": (256, 128, 128, 192, 32, 96, 64),
        "4a": (480, 192, 96, 208, 16, 48, 64), "4b": (512, 160, 112, 224, 24, 64, 64),
        "4c": (512, 128, 128, 256, 24, 64, 64), "4d": (512, 112, 144, 288, 32, 64, 64),
        "4e": (528, 256, 160, 320, 32, 128, 128), "5a": (832, 256, 160, 320, 32, 128, 128),
        "5b": (832, 384, 192, 384, 48, 128, 128),
    }  # fmt: skip
    parts = {f"inception{name}": inception(*row) for name, row in table.items()}
    if aux:
        parts |= dict(aux1=head(512), aux2=head(528))

    def run(m, x):
        if transform:  # from the statistics of ImageNet to 0.5 and 0.5
            mean, std = (torch.tensor(v, dtype=x.dtype).view(1, 3, 1, 1)
                         for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))  # fmt: skip
            x = (x * std + mean - 0.5) / 0.5
        pool = lambda x, k=3: F.max_pool2d(x, k, 2, ceil_mode=True)
        x = pool(m.conv3(m.conv2(pool(m.conv1(x)))))
        heads = {}
        for name in table:
            x = m.get_submodule(f"inception{name}")(x)
            if aux and m.training and name in ("4a", "4d"):
                heads[name] = m.get_submodule("aux1" if name == "4a" else "aux2")(x)
            if name in ("3b", "4e"):
                x = pool(x, 3 if name == "3b" else 2)
        scores = m.fc(pooled(x))
        return (scores, heads["4d"], heads["4a"]) if heads else scores

    return Net(run, conv1=basic(3, 64, 7, stride=2, padding=3), conv2=basic(64, 64),
               conv3=basic(64, 192, 3, padding=1), **parts, fc=nn.Linear(1024, num_classes))  # fmt: skip


def unet(width, depth, classes):
    double = lambda a, b: seq(conv(a, b, 3, 1, 1), bn(b), nn.ReLU(), conv(b, b, 3, 1, 1), bn(b), nn.ReLU())
    w = [width * 2**i for i in range(depth + 1)]

    def run(m, x):
        levels = [m.down[0](x)]
        for block in m.down[1:]:
            levels.append(block(F.max_pool2d(levels[-1], 2)))
        x = levels.pop()
        for up, merge in zip(m.up, m.merge, strict=True):
            bridge = levels.pop()
            x = up(x)
            missing = [bridge.shape[3] - x.shape[3], bridge.shape[2] - x.shape[2]]
            x = F.pad(x, (0, missing[0], 0, missing[1])) + pad_bias(up, missing, x)
            x = merge(torch.cat([bridge, x], 1))
        return m.head(x)

    def pad_bias(up, missing, x):  # where the transposed convolution reaches nothing, there is its bias
        inside = F.pad(torch.ones_like(x), (0, missing[0], 0, missing[1]))
        return (1 - inside) * up.bias.view(1, -1, 1, 1)

    return Net(run, down=nn.ModuleList(double(a, b) for a, b in zip([1, *w], w, strict=False)),
               up=nn.ModuleList(nn.ConvTranspose2d(2 * c, c, 2, 2) for c in w[-2::-1]),
               merge=nn.ModuleList(double(2 * c, c) for c in w[-2::-1]),
               head=conv(width, classes, bias=True))  # fmt: skip


# ------------------------------------------------------------------------------------------------ comparing
def assert_same_keys(ours, theirs):
    shapes = lambda model: {key: tuple(value.shape) for key, value in model.state_dict().items()}
    ours, theirs = shapes(ours), shapes(theirs)
    assert ours == theirs


def flat(output):
    return [part for part in output if part is not None] if isinstance(output, tuple) else [output]


def compare_models(ours, theirs, shape, rtol=1e-6):
    """The same weights and images: outputs, all gradients and running statistics agree, in training and evaluation."""
    assert_same_keys(ours, theirs)
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    theirs = theirs.double()
    for name, value in theirs.state_dict().items():  # batch normalisation with a weight of 1 hides mistakes
        if value.ndim == 1 and value.is_floating_point():
            value.copy_(torch.rand_like(value) + (0.5 if name.endswith(("weight", "var")) else -0.5))
    ours = ours.double()
    ours.load_state_dict({key: tg.tensor(value.numpy().copy()) for key, value in theirs.state_dict().items()})
    images = rng.normal(size=shape)
    for training in (False, True):
        ours.train(training)
        theirs.train(training)
        x, y = tg.tensor(images.copy(), requires_grad=True), torch.tensor(images.copy(), requires_grad=True)
        pairs = list(zip(flat(ours(x)), flat(theirs(y)), strict=True))
        total_ours, total_theirs = 0, 0
        for our, their in pairs:
            assert_same(our, their, rtol, 1e-8)
            upstream = rng.normal(size=tuple(their.shape))
            total_ours = total_ours + (our * tg.tensor(upstream)).sum()
            total_theirs = total_theirs + (their * torch.tensor(upstream)).sum()
        ours.zero_grad()
        theirs.zero_grad()
        total_ours.backward()
        total_theirs.backward()
        assert_near(x.grad, y.grad)
        gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
        for name, parameter in ours.named_parameters():
            if gradients[name] is None:
                assert parameter.grad is None, name
            else:
                assert_near(parameter.grad, gradients[name], name)
    buffers = dict(theirs.named_buffers())
    for name, buffer in ours.named_buffers():
        assert_near(buffer, buffers[name], name)


def assert_near(our, their, name=""):
    """Nearly equal, relative to the largest value: small ones are differences of large ones in both libraries."""
    our, their = our.numpy(), their.detach().numpy()
    assert our.dtype == their.dtype, name
    scale = np.abs(their).max(initial=1e-4)  # a bias before batch normalisation has a gradient of 0 but for rounding
    np.testing.assert_allclose(our / scale, their / scale, rtol=0, atol=1e-8, err_msg=name)


# ------------------------------------------------------------------------------------------------ the networks
def with_classifier(model, classifier):
    model.classifier = classifier
    return model


SMALL_CFG = [8, "M", 8, 16, "M"]
V2_SETTINGS = [[1, 16, 1, 1], [6, 24, 2, 2], [3, 24, 1, 1], [2, 32, 2, 2]]
NETWORKS = {
    "vgg_bn": lambda: (
        with_classifier(models.VGG(models.vgg.make_layers(SMALL_CFG, True), init_weights=False),
                        tg.nn.Linear(784, 5)),
        vgg(SMALL_CFG, True, nn.Linear(784, 5)), (2, 3, 16, 12)),
    "vgg": lambda: (
        with_classifier(models.VGG(models.vgg.make_layers(SMALL_CFG), init_weights=False), tg.nn.Linear(784, 5)),
        vgg(SMALL_CFG, False, nn.Linear(784, 5)), (2, 3, 16, 12)),
    "alexnet": lambda: (with_classifier(models.AlexNet(), tg.nn.Linear(9216, 5)),
                        alexnet(nn.Linear(9216, 5)), (2, 3, 71, 64)),
    "resnet18": lambda: (models.resnet18(num_classes=7), resnet(False, [2, 2, 2, 2], 7), (3, 3, 40, 33)),
    "bottleneck": lambda: (
        models.ResNet(models.Bottleneck, [2, 1, 1, 1], 7, groups=4, width_per_group=8),
        resnet(True, [2, 1, 1, 1], 7, 4, 8), (3, 3, 40, 33)),
    "cifar_resnet_A": lambda: (models.CifarResNet(2), cifar_resnet(2, "A"), (2, 3, 12, 10)),
    "cifar_resnet_B": lambda: (models.CifarResNet(2, option="B"), cifar_resnet(2, "B"), (2, 3, 12, 10)),
    "mobilenet_v1": lambda: (models.mobilenet_v1(width_mult=0.25, dropout=0), mobilenet_v1(0.25), (3, 3, 40, 33)),
    "mobilenet_v2": lambda: (models.mobilenet_v2(num_classes=7, inverted_residual_setting=V2_SETTINGS, dropout=0),
                             mobilenet_v2(7, V2_SETTINGS), (3, 3, 40, 33)),
    "squeezenet1_0": lambda: (models.squeezenet1_0(num_classes=7, dropout=0), squeezenet("1_0", 7), (2, 3, 40, 33)),
    "squeezenet1_1": lambda: (models.squeezenet1_1(num_classes=7, dropout=0), squeezenet("1_1", 7), (2, 3, 40, 33)),
    "densenet": lambda: (models.DenseNet(8, (2, 3, 2), 12, bn_size=2, num_classes=7),
                         densenet(8, (2, 3, 2), 12, 2, 7), (2, 3, 33, 40)),
    "densenet_memory_efficient": lambda: (
        models.DenseNet(8, (2, 2), 12, num_classes=7, memory_efficient=True),
        densenet(8, (2, 2), 12, 4, 7, memory_efficient=True), (2, 3, 17, 20)),
    "googlenet": lambda: (models.googlenet(num_classes=7, dropout=0, dropout_aux=0, init_weights=False),
                          googlenet(7), (2, 3, 48, 41)),
    "googlenet_transform_input": lambda: (
        models.googlenet(num_classes=7, dropout=0, aux_logits=False, transform_input=True, init_weights=False),
        googlenet(7, aux=False, transform=True), (2, 3, 48, 41)),
    "unet": lambda: (models.UNet(width=4, depth=2, num_classes=3), unet(4, 2, 3), (2, 1, 15, 10)),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_and_gradients(name, without_initial_values):
    compare_models(*NETWORKS[name]())


# ------------------------------------------------------------------------------------------------ at full size
def head(inputs, dropout_first):
    hidden = [nn.Linear(inputs, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()]
    return seq(nn.Dropout(), *hidden, nn.Linear(4096, 1000)) if dropout_first else seq(
        *hidden, nn.Dropout(), nn.Linear(4096, 1000)
    )  # fmt: skip


def vgg_cfg(*counts):
    channels = (64, 128, 256, 512, 512)
    return [entry for n, c in zip(counts, channels, strict=True) for entry in [*[c] * n, "M"]]


FULL = {
    "alexnet": lambda: alexnet(head(9216, True)),
    **{
        f"vgg{depth}{suffix}": lambda counts=counts, norm=bool(suffix): vgg(vgg_cfg(*counts), norm, head(25088, False))
        for depth, counts in {
            11: (1, 1, 2, 2, 2),
            13: (2, 2, 2, 2, 2),
            16: (2, 2, 3, 3, 3),
            19: (2, 2, 4, 4, 4),
        }.items()
        for suffix in ("", "_bn")
    },
    "resnet18": lambda: resnet(False, [2, 2, 2, 2]),
    "resnet34": lambda: resnet(False, [3, 4, 6, 3]),
    "resnet50": lambda: resnet(True, [3, 4, 6, 3]),
    "resnet101": lambda: resnet(True, [3, 4, 23, 3]),
    "resnet152": lambda: resnet(True, [3, 8, 36, 3]),
    "resnext50_32x4d": lambda: resnet(True, [3, 4, 6, 3], groups=32, width_per_group=4),
    "resnext101_32x8d": lambda: resnet(True, [3, 4, 23, 3], groups=32, width_per_group=8),
    "resnext101_64x4d": lambda: resnet(True, [3, 4, 23, 3], groups=64, width_per_group=4),
    "wide_resnet50_2": lambda: resnet(True, [3, 4, 6, 3], width_per_group=128),
    "wide_resnet101_2": lambda: resnet(True, [3, 4, 23, 3], width_per_group=128),
    "mobilenet_v1": lambda: mobilenet_v1(1),
    "mobilenet_v2": mobilenet_v2,
    "squeezenet1_0": lambda: squeezenet("1_0"),
    "squeezenet1_1": lambda: squeezenet("1_1"),
    "densenet121": lambda: densenet(32, (6, 12, 24, 16), 64),
    "densenet161": lambda: densenet(48, (6, 12, 36, 24), 96),
    "densenet169": lambda: densenet(32, (6, 12, 32, 32), 64),
    "densenet201": lambda: densenet(32, (6, 12, 48, 32), 64),
    "googlenet": googlenet,
}


@pytest.mark.parametrize("name", FULL)
def test_keys_and_shapes_at_full_size(name, without_initial_values):
    with torch.device("meta"):
        theirs = FULL[name]()
    assert_same_keys(models.get_model(name), theirs)


@pytest.fixture
def without_initial_values(monkeypatch):
    """Models as large as they are published, without drawing their weights."""
    for name in vars(tg.nn.init):
        if name.endswith("_") and not name.startswith("_"):
            monkeypatch.setattr(tg.nn.init, name, lambda tensor, *args, **kwargs: tensor)


def test_a_checkpoint_of_pytorch(tmp_path):
    theirs = squeezenet("1_1", 4)
    torch.save(theirs.state_dict(), tmp_path / "weights.pth")
    ours = models.squeezenet1_1(weights=tmp_path / "weights.pth", num_classes=4)
    for key, value in theirs.state_dict().items():
        assert_same(ours.state_dict()[key], value)
    assert copy.deepcopy(ours).state_dict().keys() == theirs.state_dict().keys()
