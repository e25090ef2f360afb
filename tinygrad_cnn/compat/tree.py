"""Which module holds what: the modules that ``import torch`` and ``import torchvision`` can reach."""

from __future__ import annotations

import importlib
import multiprocessing
import typing
from types import ModuleType
from typing import Any

import tinygrad_cnn as tg
from tinygrad_cnn import models, profiler, serialization, testing
from tinygrad_cnn.autograd import function, functional, graph, mode
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import Generator, Size, device, dtype
from tinygrad_cnn.compat import cuda, extras, jit, pretrained, system, vision
from tinygrad_cnn.compat.facade import Bag, Facade, missing_class, missing_layer, no, nothing, refuse, same
from tinygrad_cnn.data import dataset as data_dataset, datasets, loader, sampler, transforms
from tinygrad_cnn.models.blocks import Conv2dNormActivation
from tinygrad_cnn.optim import lr_scheduler, optimizer, swa_utils
from tinygrad_cnn.utils import checkpoint

_OWN = {"Op", "backend", "compat", "data", "differentiable", "errors", "kernels", "models", "operation", "ops"} | {
    "serialization",
    "train",
    "viz",
}

# layers of PyTorch outside this library's field: named in isinstance and imports of model sources
_LAYERS = (
    "AdaptiveAvgPool3d AdaptiveMaxPool3d AvgPool3d CTCLoss CircularPad3d ConstantPad3d Conv3d ConvTranspose3d "
    "EmbeddingBag FractionalMaxPool2d FractionalMaxPool3d GRU GRUCell LPPool3d LSTM LSTMCell LazyConv3d MaxPool3d "
    "MaxUnpool3d MultiheadAttention RNN RNNBase RNNCell ReflectionPad3d ReplicationPad3d SyncBatchNorm Transformer "
    "TransformerDecoder TransformerDecoderLayer TransformerEncoder TransformerEncoderLayer ZeroPad3d BatchNorm3d "
    "InstanceNorm3d CrossMapLRN2d AdaptiveLogSoftmaxWithLoss"
)
_FUNCTIONS = (
    "adaptive_avg_pool3d adaptive_max_pool3d avg_pool3d conv3d conv_transpose3d ctc_loss embedding_bag max_pool3d "
    "multi_head_attention_forward"
)
_LAYER_MODULES = (  # torch.nn.modules.<name>: the file here that has the same layers
    "module activation batchnorm container conv distance dropout flatten fold linear loss padding pooling sparse lazy "
    "normalization:norm instancenorm:batchnorm pixelshuffle:vision upsampling:vision channelshuffle:vision "
    "adaptive: rnn: transformer:"
)
_DATASETS = (
    "CIFAR10 CIFAR100 SVHN STL10 ImageFolder DatasetFolder ImageNet EMNIST QMNIST CelebA CocoDetection FakeData "
    "Places365 INaturalist VOCDetection VOCSegmentation Cityscapes OxfordIIITPet Flowers102 Food101 Caltech101"
)
_TRANSFORMS = (
    "PILToTensor Resize RandomResizedCrop ColorJitter Grayscale RandomGrayscale RandomRotation RandomAffine "
    "RandomErasing RandomApply GaussianBlur RandomChoice FiveCrop TenCrop AutoAugment RandAugment TrivialAugmentWide"
)
_OPTIMIZERS = "sgd adam adamw nadam radam adamax rmsprop adagrad adadelta rprop lbfgs"
_BACKENDS = "cudnn mps mkldnn mkl openmp cuda opt_einsum quantized xnnpack nnpack"
_RANDOM = ("manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state", "fork_rng", "default_generator")
_COLLECTIVES = (
    "get_rank",
    "get_world_size",
    "barrier",
    "all_reduce",
    "all_gather",
    "broadcast",
    "destroy_process_group",
)
_HUB = ("load_state_dict_from_url", "get_dir", "set_dir", "_get_torch_home", "HASH_REGEX", "urlparse")
_TRACING = ("wrap", "symbolic_trace", "Proxy", "GraphModule", "Tracer", "Node", "Graph")


class _Tree(dict[str, ModuleType]):
    """Modules by their full names."""

    def add(self, name: str, *sources: ModuleType, **extra: Any) -> None:
        """A new module with the names of ``sources`` and those given."""
        self[name] = Facade(name, *sources, **extra)


def build() -> dict[str, ModuleType]:
    """Every module by its full name, new; a module is also an attribute of the one above it."""
    tree = _Tree()
    tree.add("torch", tg, extras, autocast=cuda.autocast, GradScaler=cuda.GradScaler, __version__=extras.__version__)
    for name in _OWN:
        vars(tree["torch"]).pop(name, None)
    for part in (_add_nn, _add_nn_modules, _add_training, _add_data, _add_compilers, _add_devices, _add_system):
        part(tree)
    _add_torchvision(tree)
    for full, module in tree.items():
        above, _, name = full.rpartition(".")
        # torch.autograd.gradcheck and others are a function and a module: as an attribute it is the function
        if above and not callable(vars(tree[above]).get(name)):
            setattr(tree[above], name, module)
    return tree


def _missing_layers() -> dict[str, Any]:
    return {name: missing_layer(name) for name in _LAYERS.split() if not hasattr(tg.nn, name)}


def _add_nn(tree: _Tree) -> None:
    nn = tg.nn
    functions = {name: refuse(f"torch.nn.functional.{name}") for name in _FUNCTIONS.split()}
    functions = {name: value for name, value in functions.items() if not hasattr(nn.functional, name)}
    lazy = dict(UninitializedParameter=nn.UninitializedParameter, UninitializedBuffer=nn.UninitializedBuffer)
    parallel = dict(
        DistributedDataParallel=missing_class("torch.nn.parallel.DistributedDataParallel", "there is one process"),
        data_parallel=refuse("torch.nn.parallel.data_parallel", "there is no GPU here"),
    )
    tree.add("torch.nn", nn, **_missing_layers())
    tree.add("torch.nn.functional", nn.functional, **functions, Tensor=Tensor)
    tree.add("torch.nn.init", nn.init)
    tree.add("torch.nn.parameter", nn.parameter, **lazy)
    tree.add("torch.nn.common_types", **{f"_size_{n}_t": int | tuple[int, ...] for n in (1, 2, 3, "any")})
    tree.add("torch.nn.parallel", nn.parallel, **parallel)
    tree.add("torch.nn.parallel.data_parallel", nn.parallel)
    tree.add("torch.nn.parallel.distributed", **parallel)
    tree.add("torch.nn.utils", nn.utils)
    for name in ("clip_grad", "convert_parameters", "fusion"):
        tree.add(f"torch.nn.utils.{name}", getattr(nn.utils, name))
    tree.add("torch.nn.utils.parametrizations", nn.utils.reparametrize)
    for name in ("parametrize", "prune", "rnn", "stateless"):
        tree.add(f"torch.nn.utils.{name}")


def _add_nn_modules(tree: _Tree) -> None:
    layers = _missing_layers()
    tree.add("torch.nn.modules", tg.nn, **layers)
    for entry in _LAYER_MODULES.split():
        name, colon, file = entry.partition(":")
        own = file if colon else name
        tree.add(f"torch.nn.modules.{name}", tg.nn, *([getattr(tg.nn, own)] if own else []), **layers)
    helpers = ("_ntuple", "_single", "_pair", "_triple", "_quadruple", "_reverse_repeat_tuple")
    names = {name: getattr(system, name) for name in (*helpers, "consume_prefix_in_state_dict_if_present")}
    tree.add("torch.nn.modules.utils", **names)


def _add_training(tree: _Tree) -> None:
    tree.add("torch.optim", tg.optim)
    tree.add("torch.optim.lr_scheduler", lr_scheduler, _LRScheduler=lr_scheduler.LRScheduler)
    tree.add("torch.optim.swa_utils", swa_utils)
    tree.add("torch.optim.optimizer", optimizer)
    for name in _OPTIMIZERS.split():
        tree.add(f"torch.optim.{name}", tg.optim)
    checks = dict(gradcheck=testing.gradcheck, gradgradcheck=testing.gradgradcheck)
    errors = dict(GradcheckError=testing.GradcheckError)
    tree.add("torch.autograd", tg.autograd, **checks, Variable=extras.Variable)
    tree.add("torch.autograd.variable", Variable=extras.Variable)
    tree.add("torch.autograd.function", function)
    tree.add("torch.autograd.functional", functional)
    tree.add("torch.autograd.graph", graph, saved_tensors_hooks=mode.saved_tensors_hooks)
    tree.add("torch.autograd.gradcheck", **checks, **errors)
    tree.add("torch.autograd.grad_mode", mode)
    tree.add("torch.autograd.anomaly_mode", mode)
    tree.add("torch.autograd.profiler", profiler)


def _add_data(tree: _Tree) -> None:
    distributed = missing_class("torch.utils.data.distributed.DistributedSampler", "there is one process")
    no_globals = refuse("torch.serialization.add_safe_globals", "checkpoints hold only tensors and containers")
    tree.add("torch.utils", tg.utils)
    tree.add("torch.utils.data", tg.data)
    tree.add("torch.utils.data.dataset", data_dataset)
    tree.add("torch.utils.data.dataloader", loader, default_collate=tg.data.default_collate)
    tree.add("torch.utils.data.sampler", sampler)
    tree.add("torch.utils.data.distributed", DistributedSampler=distributed)
    tree.add("torch.utils.checkpoint", checkpoint)
    tree.add("torch.utils.model_zoo", load_url=system.load_state_dict_from_url)
    tree.add("torch.serialization", save=serialization.save, load=serialization.load, add_safe_globals=no_globals)


def _add_compilers(tree: _Tree) -> None:
    tree.add("torch._jit_internal", jit)
    tree.add("torch._dynamo", is_compiling=no, disable=same, allow_in_graph=same, reset=nothing)
    tree.add("torch.jit", jit)
    tree.add("torch.jit.annotations", typing)
    tree.add("torch.fx", **{name: getattr(jit, name) for name in _TRACING})
    tree.add("torch.fx.proxy", Proxy=jit.Proxy)
    tree.add("torch.compiler", tree["torch._dynamo"], is_dynamo_compiling=no, is_exporting=no, compile=extras.compile)
    for name in ("export", "onnx"):
        tree.add(f"torch.{name}", export=extras.exported, is_in_onnx_export=no)
    overrides = ("has_torch_function", "has_torch_function_unary", "has_torch_function_variadic")
    tree.add("torch.overrides", **dict.fromkeys(overrides, no), is_tensor_like=tg.is_tensor)


def _add_devices(tree: _Tree) -> None:
    scaling = dict(GradScaler=cuda.GradScaler, custom_fwd=cuda.custom_fwd, custom_bwd=cuda.custom_bwd)
    devices = {name: getattr(cuda, name) for name in ("is_available", "device_count", "synchronize", "empty_cache")}
    devices.update(manual_seed=nothing, seed=nothing, current_accelerator=nothing)
    tree.add("torch.cuda", cuda)
    tree.add("torch.cuda.amp", autocast=cuda.cuda_autocast, **scaling)
    tree.add("torch.cuda.amp.autocast_mode", autocast=cuda.cuda_autocast)
    tree.add("torch.cuda.amp.grad_scaler", GradScaler=cuda.GradScaler)
    tree.add("torch.cuda.nvtx", range_push=nothing, range_pop=nothing, mark=nothing)
    tree.add("torch.amp", autocast=cuda.autocast, **scaling)
    tree.add("torch.amp.autocast_mode", autocast=cuda.autocast)
    for name in ("mps", "xpu", "accelerator"):
        tree.add(f"torch.{name}", **devices)
    tree.add("torch.cpu", is_available=lambda: True, device_count=lambda: 1, synchronize=nothing)
    tree.add("torch.backends")
    for name in _BACKENDS.split():
        settings = dict(enabled=True, benchmark=False, deterministic=False, allow_tf32=False, flags=cuda.autocast)
        questions = dict(is_available=no, is_built=no, version=nothing)
        tree[f"torch.backends.{name}"] = Bag(f"torch.backends.{name}", **settings, **questions)
    tree["torch.backends.cuda.matmul"] = Bag("torch.backends.cuda.matmul", allow_tf32=False)


def _add_system(tree: _Tree) -> None:
    hub = {name: getattr(system, name) for name in _HUB}
    hub.update({n: refuse(f"torch.hub.{n}", "nothing is downloaded here") for n in ("load", "download_url_to_file")})
    alone = refuse("torch.distributed.init_process_group", "there is one process")
    questions = dict.fromkeys(("is_available", "is_initialized", "is_nccl_available", "is_gloo_available"), no)
    shared = refuse("torch.multiprocessing.spawn", "tensors aren't shared between processes")
    tree.add("torch.hub", **hub)
    tree.add("torch.linalg", tg.linalg)
    tree.add("torch.random", **{name: getattr(tg, name) for name in _RANDOM if hasattr(tg, name)})
    tree.add("torch.testing", assert_close=system.assert_close)
    tree.add("torch.types", Tensor=Tensor, Device=Any, Number=int | float | bool, _dtype=dtype, _device=device)
    tree.add("torch.version", __version__=extras.__version__, cuda=None, hip=None, git_version=None, debug=False)
    tree.add("torch._six", string_classes=(str, bytes), int_classes=int, inf=extras.inf)
    tree.add("torch._C", Generator=Generator, dtype=dtype, device=device, Size=Size)
    tree.add("torch.distributed", **questions, **dict.fromkeys(_COLLECTIVES, system.no_process_group))
    tree["torch.distributed"].__dict__["init_process_group"] = alone
    tree.add("torch.profiler", profiler)
    tree.add("torch.multiprocessing", multiprocessing, set_sharing_strategy=nothing, spawn=shared)


def _add_torchvision(tree: _Tree) -> None:
    """torchvision: datasets, transforms and models that exist here, and the pieces that models are made of."""
    sets = {name: missing_class(f"torchvision.datasets.{name}") for name in _DATASETS.split()}
    sets = {name: value for name, value in sets.items() if not hasattr(datasets, name)}
    others = {name: missing_class(f"torchvision.transforms.{name}") for name in _TRANSFORMS.split()}
    others = {name: value for name, value in others.items() if not hasattr(transforms, name)}
    no_image = refuse("torchvision.utils.save_image", "images aren't written; use make_grid() and matplotlib")
    parts = {name: getattr(vision, name) for name in ("FrozenBatchNorm2d", "SqueezeExcitation", "StochasticDepth")}
    parts["Conv2dNormActivation"] = parts["ConvNormActivation"] = Conv2dNormActivation
    tree.add("torchvision", __version__="0.28.0")
    tree.add("torchvision.datasets", datasets, **sets)
    tree.add("torchvision.datasets.mnist", datasets)
    functions = dict(
        to_tensor=vision.to_tensor, normalize=vision.normalize, InterpolationMode=transforms.InterpolationMode
    )
    wanted = ("create_feature_extractor", "get_graph_node_names")
    untraced = {name: refuse(f"torchvision.models.{name}", "there is no tracer") for name in wanted}
    tree.add("torchvision.transforms", transforms, **others)
    tree.add("torchvision.transforms.transforms", transforms, **others)
    tree.add("torchvision.transforms.functional", **functions)
    tree.add("torchvision.models", models, **pretrained.names)
    tree.add("torchvision.models.feature_extraction", **untraced)
    for name in ("alexnet", "densenet", "googlenet", "mobilenetv2", "resnet", "squeezenet", "vgg"):
        file = importlib.import_module(f"tinygrad_cnn.models.{name}")  # models.alexnet is the function
        tree.add(f"torchvision.models.{name}", models, file, **pretrained.names)
    tree.add("torchvision.models.mobilenet", tree["torchvision.models.mobilenetv2"])
    tree.add("torchvision.models.utils", load_state_dict_from_url=system.load_state_dict_from_url)
    tree.add("torchvision.models._utils", _make_divisible=vision.make_divisible)
    tree.add("torchvision.models._api", **pretrained.names)
    tree.add("torchvision.utils", make_grid=vision.make_grid, save_image=no_image, _log_api_usage_once=nothing)
    tree.add("torchvision.ops", **parts)
    tree.add("torchvision.ops.misc", **parts)
    tree.add("torchvision.ops.stochastic_depth", StochasticDepth=vision.StochasticDepth)
