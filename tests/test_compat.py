"""Sources written for PyTorch, run without a change; written here from what such sources commonly say."""

import importlib.util
import json
import os
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.data.datasets import MNIST5k

ROOT = Path(__file__).parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}  # wherever the process runs


def run(tmp_path, source, *arguments, check=True):
    """The script's output, of ``python -m tinygrad_cnn.compat script.py arguments`` in a new process."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(source))
    command = [sys.executable, "-W", "error", "-m", "tinygrad_cnn.compat", str(script), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=ENVIRONMENT)
    if check:
        assert done.returncode == 0, done.stderr
        return done.stdout
    return done


def write_idx(folder, count=200):
    """A small MNIST in the files that torchvision looks for."""
    folder.mkdir(parents=True)
    for split, name in ((True, "train"), (False, "t10k")):
        digits = MNIST5k(train=split)
        images, labels = digits.data.numpy()[:count], digits.targets.numpy()[:count].astype(np.uint8)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(
            b"\0\0\x08\x03" + b"".join(n.to_bytes(4, "big") for n in images.shape) + images.tobytes()
        )
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(
            b"\0\0\x08\x01" + count.to_bytes(4, "big") + labels.tobytes()
        )


@pytest.mark.parametrize("inside", ["MNIST/raw", ""])
def test_the_mnist_example_learns(tmp_path, inside):
    write_idx(tmp_path / "data" / inside if inside else tmp_path / "data")
    example = str(ROOT / "examples" / "mnist_pytorch.py")
    command = [sys.executable, "-W", "error", "-m", "tinygrad_cnn.compat", example, "--data", "data", "--epochs", "1",
               "--batch-size", "20", "--save-model"]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    assert "Test set: Average loss" in done.stdout
    assert int(done.stdout.partition("Accuracy: ")[2].partition("/")[0]) > 40
    assert list(tg.load(tmp_path / "mnist_cnn.pt"))[:2] == ["conv1.weight", "conv1.bias"]
    assert zipfile.ZipFile(tmp_path / "mnist_cnn.pt").namelist()[0] == "mnist_cnn/data.pkl"


def test_a_script_is_the_main_program(tmp_path):
    (tmp_path / "beside.py").write_text("import torch\nvalue = torch.ones(1).item()\n")
    source = """
        import json, sys, torch, beside
        print(json.dumps([__name__, sys.argv[1:], __file__, sys.path[0], beside.value, torch.__name__]))
    """
    name, arguments, file, folder, value, module = json.loads(run(tmp_path, source, "--lr", "0.1"))
    assert (name, arguments, value, module) == ("__main__", ["--lr", "0.1"], 1.0, "torch")
    assert (file, folder) == (str(tmp_path / "script.py"), str(tmp_path))


def test_errors_exits_and_usage_are_those_of_the_script(tmp_path):
    failed = run(tmp_path, "import torch\n\n\ntorch.ones(2) @ torch.ones(3)\n", check=False)
    assert failed.returncode == 1
    assert 'script.py", line 4, in <module>' in failed.stderr
    assert run(tmp_path, "import sys\nsys.exit(3)\n", check=False).returncode == 3
    usage = subprocess.run(
        [sys.executable, "-m", "tinygrad_cnn.compat"], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert usage.returncode == 1
    assert "usage" in usage.stderr
    missing = subprocess.run(
        [sys.executable, "-m", "tinygrad_cnn.compat", "none.py"], capture_output=True, text=True, env=ENVIRONMENT
    )
    assert "none.py" in missing.stderr


def test_a_training_script_with_everything_that_means_nothing_here(tmp_path):
    """In the manner of training scripts for CIFAR: cudnn, DataParallel, autocast, GradScaler, checkpoints."""
    source = """
        import os, random
        import numpy as np
        import torch
        import torch.nn as nn
        import torch.optim as optim
        import torch.nn.functional as F
        import torch.backends.cudnn as cudnn
        import torchvision
        import torchvision.transforms as transforms
        from torch.autograd import Variable
        from torch.cuda.amp import GradScaler, autocast
        from torch.utils.data import DataLoader, TensorDataset
        from torch.utils.checkpoint import checkpoint

        seed = 0
        random.seed(seed); np.random.seed(seed); torch.manual_seed(seed); torch.cuda.manual_seed_all(seed)
        cudnn.deterministic, cudnn.benchmark = True, False
        torch.use_deterministic_algorithms(True)
        torch.set_float32_matmul_precision("high")
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"

        class BasicBlock(nn.Module):
            expansion = 1

            def __init__(self, in_planes, planes, stride=1):
                super(BasicBlock, self).__init__()
                self.conv1 = nn.Conv2d(in_planes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
                self.bn1 = nn.BatchNorm2d(planes)
                self.shortcut = nn.Sequential()
                if stride != 1 or in_planes != self.expansion * planes:
                    self.shortcut = nn.Sequential(
                        nn.Conv2d(in_planes, planes, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(planes))

            def forward(self, x):
                out = self.bn1(self.conv1(x))
                out += self.shortcut(x)
                return F.relu(out, inplace=True)

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(BasicBlock(3, 8), BasicBlock(8, 8, 2))
                self.linear = nn.Linear(8, 4)
                for m in self.modules():
                    if isinstance(m, (nn.Conv2d, nn.Conv3d)):
                        nn.init.kaiming_normal_(m.weight, mode="fan_out")
                    elif isinstance(m, (nn.BatchNorm2d, nn.SyncBatchNorm)):
                        nn.init.constant_(m.weight, 1)

            @torch.jit.ignore
            def no_weight_decay(self):
                return {}

            def forward(self, x):
                if not torch.jit.is_scripting():
                    x = checkpoint(self.layers[0], x, use_reentrant=False)
                x = F.adaptive_avg_pool2d(self.layers[1](x), 1)
                return self.linear(torch.flatten(x, 1))

        net = torch.compile(Net().to(device, memory_format=torch.channels_last))
        if device == "cpu":
            net = torch.nn.DataParallel(net)
        x = torch.randn(32, 3, 8, 8)
        y = torch.randint(0, 4, (32,))
        x[torch.arange(32), 0] += y[:, None, None].float()
        loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True, pin_memory=True)
        criterion = nn.CrossEntropyLoss().to(device)
        optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
        scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
        scaler = GradScaler(enabled=torch.cuda.is_available())
        losses = []
        for epoch in range(10):
            net.train()
            for inputs, targets in loader:
                inputs, targets = inputs.to(device, non_blocking=True), Variable(targets.to(device))
                optimizer.zero_grad(set_to_none=True)
                with torch.amp.autocast(device_type="cuda", enabled=False), autocast(enabled=False):
                    loss = criterion(net(inputs), targets)
                scaler.scale(loss).backward()
                scaler.unscale_(optimizer)
                torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
                scaler.step(optimizer)
                scaler.update()
            losses.append(loss.item())
            scheduler.step()
        assert losses[-1] < losses[0] / 2, losses
        state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "scaler": scaler.state_dict()}
        torch.save(state, os.path.join(os.path.dirname(__file__), "ckpt.pth"))
        again = torch.load(os.path.join(os.path.dirname(__file__), "ckpt.pth"), map_location=torch.device("cpu"))
        net.load_state_dict(again["net"])
        assert list(again["net"])[0] == "module.layers.0.conv1.weight"
        torch.cuda.empty_cache(); torch.cuda.synchronize()
        print("done", torch.cuda.device_count())
    """
    assert run(tmp_path, source) == "done 0\n"


def test_a_model_source_in_the_manner_of_a_zoo(tmp_path):
    """Typing for compilers, private modules, scripted branches and downloads, as model files name them."""
    source = """
        from collections import namedtuple
        from functools import partial

        import torch
        from torch import Tensor, nn
        from torch.hub import load_state_dict_from_url
        from torch.jit import Final
        from torch.nn.common_types import _size_2_t
        from torch.nn.modules.batchnorm import _BatchNorm
        from torch.nn.modules.conv import _ConvNd
        from torch.nn.modules.utils import _ntuple, _pair
        from torch.nn.parameter import Parameter
        from torch.types import Device
        from torchvision.models._utils import _make_divisible
        from torchvision.ops.misc import Conv2dNormActivation, SqueezeExcitation
        from torchvision.utils import _log_api_usage_once

        Outputs = namedtuple("Outputs", ["logits", "aux"])
        torch.fx.wrap("helper")

        class Net(nn.Module):
            scale: Final[float]

            def __init__(self, norm_layer=None):
                super().__init__()
                _log_api_usage_once(self)
                norm_layer = norm_layer or partial(nn.BatchNorm2d, eps=0.001)
                width = _make_divisible(30 * 0.75, 8)
                self.features = Conv2dNormActivation(3, width, 3, 2, norm_layer=norm_layer, activation_layer=nn.ReLU6)
                self.se = SqueezeExcitation(width, 4)
                self.gamma = Parameter(torch.ones(width))
                self.register_buffer("scale_buffer", torch.tensor(1.0))

            @torch.jit.unused
            def eager_outputs(self, x: Tensor, aux) -> Outputs:
                return Outputs(x, aux)

            def forward(self, x: Tensor):
                torch._assert(x.ndim == 4, "expected images")
                x = self.se(self.features(x)) * self.gamma[:, None, None]
                if torch.jit.is_scripting():
                    return x
                return self.eager_outputs(x, None)

        net = torch.jit.script(Net())
        assert isinstance(net.features[1], _BatchNorm) and isinstance(net.features[0], _ConvNd)
        assert _pair(3) == (3, 3) and _ntuple(3)([1, 2, 3]) == (1, 2, 3)
        out = net(torch.ones(2, 3, 8, 8))
        print(tuple(out.logits.shape), out.aux, list(net.state_dict())[:3])
        try:
            load_state_dict_from_url("https://example.org/net-0000.pth", model_dir="nowhere")
        except RuntimeError as error:
            print("put" in str(error))
    """
    assert run(tmp_path, source) == "(2, 24, 4, 4) None ['gamma', 'scale_buffer', 'features.0.weight']\nTrue\n"


NAMES = [
    "torch.nn.functional", "torch.nn.init", "torch.nn.utils.clip_grad_norm_", "torch.nn.modules.module.Module",
    "torch.nn.modules.loss._Loss", "torch.nn.parallel.DataParallel", "torch.nn.parallel.DistributedDataParallel",
    "torch.nn.MultiheadAttention", "torch.optim.Optimizer", "torch.optim.lr_scheduler.StepLR",
    "torch.optim.lr_scheduler._LRScheduler", "torch.optim.swa_utils.AveragedModel", "torch.autograd.Function",
    "torch.autograd.function.Function", "torch.autograd.functional.jacobian", "torch.autograd.gradcheck",
    "torch.utils.data.DataLoader", "torch.utils.data.dataloader.default_collate",
    "torch.utils.data.sampler.Sampler", "torch.utils.data.distributed.DistributedSampler",
    "torch.utils.model_zoo.load_url", "torch.linalg.norm", "torch.random.manual_seed", "torch.jit.script_method",
    "torch.jit._overload_method", "torch.fx.Proxy", "torch.cuda.amp.GradScaler",
    "torch.cuda.max_memory_allocated", "torch.backends.cudnn.benchmark", "torch.backends.cuda.matmul.allow_tf32",
    "torch.mps.is_available", "torch.accelerator.is_available", "torch.amp.autocast",
    "torch.compiler.is_compiling", "torch.distributed.is_initialized", "torch.profiler.profile",
    "torch.onnx.is_in_onnx_export", "torch.multiprocessing.cpu_count", "torch.version.cuda", "torch.typename",
    "torch.contiguous_format",
    "torch.channels_last", "torch.preserve_format", "torch.FloatTensor", "torch.bfloat16", "torch.strided",
    "torch.inf", "torch.pi", "torch.testing.assert_close", "torch.overrides.has_torch_function",
    "torch._C.Generator", "torchvision.datasets.MNIST", "torchvision.datasets.FashionMNIST",
    "torchvision.datasets.KMNIST", "torchvision.datasets.CIFAR10", "torchvision.transforms.Normalize",
    "torchvision.transforms.Resize", "torchvision.transforms.functional.to_tensor",
    "torchvision.models.get_model", "torchvision.models.list_models", "torchvision.models.resnet18",
    "torchvision.models.resnet.BasicBlock", "torchvision.utils.make_grid", "torchvision.ops.StochasticDepth",
    "torchvision.models.vgg.make_layers", "torchvision.models.mobilenet.MobileNetV2",
    "torchvision.models.ResNet18_Weights", "torchvision.models.resnet.ResNet50_Weights",
]  # fmt: skip


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What a process in which torch is this library answers to the expressions below."""
    source = f"names = {NAMES!r}\nquestions = {[q for q, _ in QUESTIONS]!r}\n" + textwrap.dedent("""
        import importlib, json
        import torch, torchvision
        found = {}
        for name in names:
            path = name.split(".")
            importlib.import_module(".".join(path[:-1]))
            value = torch if path[0] == "torch" else torchvision
            for part in path[1:]:
                value = getattr(value, part)
            found[name] = True
        answers = {}
        for question in questions:
            try:
                answers[question] = repr(eval(question))
            except Exception as error:
                answers[question] = " ".join(c.__name__ for c in type(error).__mro__) + ": " + str(error)
        print(json.dumps([found, answers]))
    """)
    return json.loads(run(tmp_path_factory.mktemp("names"), source))


QUESTIONS = [
    ("torch.cuda.is_available(), torch.cuda.device_count(), torch.distributed.is_available()", "(False, 0, False)"),
    ("torch.FloatTensor([1, 2])", "tensor([1., 2.])"),
    ("torch.LongTensor([1]).dtype, torch.ByteTensor(2, 3).shape", "(torch.int64, torch.Size([2, 3]))"),
    ("isinstance(torch.ones(1), torch.FloatTensor), isinstance(torch.ones(1), torch.LongTensor)", "(True, False)"),
    ("torch.ones(1).type(torch.LongTensor)", "tensor([1])"),
    ("torch.ones(1).dtype in (torch.float16, torch.bfloat16)", "False"),
    ("torch.ones(1, dtype=torch.bfloat16)", "TypeError"),
    ("torch.compile(torch.nn.ReLU())(torch.ones(1))", "tensor([1.])"),
    ("torch.compile(mode='max-autotune')(len) is len, torch.jit.ignore(drop=True)(len) is len", "(True, True)"),
    ("torch.jit.annotate(int, 3), torch.jit.isinstance(3, int)", "(3, True)"),
    ("torch.__version__ >= '1.9', torch.__version__ < (2, 0), torch.__version__ > '2.2.0'", "(True, False, True)"),
    ("torch.typename(torch.ones(1)), torch.typename([])", "('torch.FloatTensor', 'list')"),
    ("torch.optim.lr_scheduler._LRScheduler is torch.optim.lr_scheduler.LRScheduler", "True"),
    ("isinstance(torch.nn.ReLU(), torch.nn.LSTM), issubclass(torch.nn.LSTM, torch.nn.Module)", "(False, True)"),
    ("torch.nn.LSTM(1, 2)", "NotImplementedError"),
    ("torch.nn.parallel.DistributedDataParallel(torch.nn.ReLU())", "NotImplementedError"),
    ("torchvision.datasets.CIFAR10('data', download=True)", "NotImplementedError"),
    ("torchvision.transforms.Resize(3)(torch.zeros(1, 6, 8)).shape", "torch.Size([1, 3, 4])"),
    ("torchvision.transforms.ColorJitter(3)", "NotImplementedError"),
    ("torch.jit.load('x.pt')", "NotImplementedError"),
    ("torch.device('cuda'), torch.device('cuda:1').index", "(device(type='cuda'), 1)"),
    ("torch.ones(1).to(torch.device('cuda'))", "RuntimeError"),
    ("torchvision.transforms.InterpolationMode.BICUBIC.value", "'bicubic'"),
    ("importlib.import_module('torchvision.models.feature_extraction').get_graph_node_names(1)", "NotImplementedError"),
    ("importlib.import_module('torch.jit.annotations').List[int]", "typing.List[int]"),
    ("torch.hub.HASH_REGEX.search('resnet18-f37072fd.pth').group(1)", "'f37072fd'"),
    ("torch.ones(1).cuda()", "Error"),
    ("torch.cuda.current_device()", "NotImplementedError"),
    ("torch.distributed.get_rank()", "RuntimeError"),
    ("torch.no_such_name", "AttributeError"),
    (
        "hasattr(torch, 'no_such_name'), hasattr(torch, 'kernels'), hasattr(torch.nn, 'attention')",
        "(False, False, False)",
    ),
    ("exec('from torch import no_such_name')", "ImportError"),
    ("importlib.import_module('torch.distributions')", "ModuleNotFoundError"),
    ("importlib.import_module('torchvision.io')", "ModuleNotFoundError"),
    ("torch.testing.assert_close(torch.ones(2), torch.ones(2) * 1.1)", "AssertionError"),
    ("torch.testing.assert_close(torch.ones(2), torch.ones(2) + 1e-7)", "None"),
    ("torch._assert(False, 'reason')", "AssertionError"),
    ("torch.set_default_device('cuda')", "RuntimeError"),
    ("torchvision.models.resnet18(pretrained=False, num_classes=3).fc.bias.shape", "torch.Size([3])"),
    (
        "torchvision.models.ResNet50_Weights.DEFAULT, str(torchvision.models.VGG11_Weights.DEFAULT)",
        "(ResNet50_Weights.IMAGENET1K_V2, 'VGG11_Weights.IMAGENET1K_V1')",
    ),
    ("torchvision.models.get_weight('ResNet50_Weights.IMAGENET1K_V2').transforms().resize_size", "[232]"),
    ("torchvision.models.get_weight('ResNet50')", "ValueError"),
    ("torchvision.models.get_model_weights('lenet')", "ValueError"),
    ("torchvision.models.resnet18(weights=torchvision.models.ResNet50_Weights.DEFAULT)", "TypeError"),
    ("torchvision.models.ResNet18_Weights.DEFAULT.meta['categories']", "NotImplementedError"),
    (
        "torchvision.models.ResNet18_Weights.DEFAULT.transforms()(torch.zeros(3, 300, 400, dtype=torch.uint8)).shape",
        "torch.Size([3, 224, 224])",
    ),
    ("torchvision.models.get_model('resnet18', num_classes=3).fc.weight.shape", "torch.Size([3, 512])"),
    ("torchvision.utils.make_grid(torch.ones(3, 1, 2, 2), nrow=2).shape", "torch.Size([3, 10, 10])"),
    ("list(torch.nn.modules.utils._reverse_repeat_tuple((1, 2), 2))", "[2, 2, 1, 1]"),
    ("type(torch.nn.modules.conv.Conv2d(1, 1, 1)) is torch.nn.Conv2d", "True"),
    (
        "torch.cuda.amp.GradScaler().scale(torch.ones(1)), torch.amp.GradScaler('cuda').get_scale()",
        "(tensor([1.]), 1.0)",
    ),
    ("torch.amp.autocast('cpu')(len) is len", "True"),
]


@pytest.mark.parametrize("name", NAMES)
def test_the_name_can_be_reached(answers, name):
    assert answers[0][name]


@pytest.mark.parametrize(("question", "answer"), QUESTIONS)
def test_the_answer_is_pytorchs_or_a_clear_refusal(answers, question, answer):
    got = answers[1][question]
    assert answer in got.partition(": ")[0] if answer.endswith("Error") else got == answer, got


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")
def test_real_pytorch_is_not_replaced():
    code = "import torch\nfrom tinygrad_cnn import compat\ncompat.install_as_torch()\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=ENVIRONMENT)
    assert "StateError: install_as_torch: the real torch is imported already" in done.stderr


@pytest.mark.parametrize(
    "call",
    [
        "squeezenet1_1(weights=models.SqueezeNet1_1_Weights.DEFAULT)",
        "squeezenet1_1(weights='IMAGENET1K_V1')",
        "squeezenet1_1(pretrained=True)",
        "squeezenet1_1(True)",
        "get_model('squeezenet1_1', weights='SqueezeNet1_1_Weights.DEFAULT')",
    ],
)
def test_pretrained_weights_are_those_that_pytorch_has_downloaded(tmp_path, call):
    source = f"from torchvision import models\nprint(models.{call}.features[0].bias.sum().item())"
    file = tmp_path / "hub" / "checkpoints" / "squeezenet1_1-b8a52dc0.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ENVIRONMENT, "TORCH_HOME", str(tmp_path))
        missing = run(tmp_path, source, check=False)
        assert f"put https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth at {file}" in missing.stderr
        model = tg.models.squeezenet1_1()
        tg.nn.init.constant_(model.features[0].bias, 0.5)
        file.parent.mkdir(parents=True)
        tg.save(model.state_dict(), file)
        assert run(tmp_path, source) == "32.0\n"


def test_in_a_process_for_a_while():
    code = textwrap.dedent("""
        import sys
        from tinygrad_cnn import compat
        with compat.installed_as_torch():
            compat.install_as_torch()  # again changes nothing
            import torch
            import torch.nn.functional as F
            print(F.relu(torch.tensor(-1.0)))
        assert not [name for name in sys.modules if name.partition(".")[0] in ("torch", "torchvision")]
        assert compat._finder not in sys.meta_path
        compat.install_as_torch()
        from torch import nn
        print(nn.Linear(1, 1))
        compat.uninstall()
        compat.uninstall()
    """)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.stdout == "tensor(0.)\nLinear(in_features=1, out_features=1, bias=True)\n", done.stderr


def test_nothing_of_it_is_in_the_librarys_own_namespace():
    code = "import tinygrad_cnn as tg; assert not {'compat', 'jit', 'cuda', 'compile', 'FloatTensor'} & set(dir(tg))"
    subprocess.run([sys.executable, "-c", code], check=True, env=ENVIRONMENT)
