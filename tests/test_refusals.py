"""What functions and layers refuse, each with the library's own error and a sentence that helps."""

import io

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn import errors, nn, ops
from tinygrad_cnn.autograd import Function, engine, functional
from tinygrad_cnn.nn.lazy import LazyModuleMixin

F = nn.functional
x = tg.arange(6.0).reshape(2, 3)
v = tg.arange(3.0)
n = tg.arange(6).reshape(2, 3)


def leaf(*shape):
    return tg.ones(*shape, requires_grad=True)


OPS = [
    (errors.ArgumentTypeError, "expected two Tensors", lambda: tg.isclose(x, 1.0)),
    (errors.ArgumentTypeError, "to() takes at most", lambda: x.to("cpu", tg.float32, False, False, None, 1)),
    (errors.ShapeError, "can't be read as", lambda: tg.ones(3, dtype=tg.float32).view(tg.float64)),
    (errors.UnsupportedError, "histc", lambda: tg.histc(n)),
    (errors.ShapeError, "is not finite", lambda: tg.histc(tg.tensor([0.0, float("inf")]))),
    (errors.ShapeError, "side can only be", lambda: tg.searchsorted(v, v, side="middle")),
    (errors.ShapeError, "side can only be", lambda: tg.searchsorted(v, v, side="left", right=True)),
    (errors.ShapeError, "searchsorted", lambda: tg.searchsorted(tg.zeros(3, 2), tg.zeros(2, 2))),
    (errors.ShapeError, "0-dimensional start", lambda: tg.linspace(v, 1.0, 3)),
    (errors.ShapeError, "only supports 2D", lambda: F.pdist(v)),
    (errors.GraphError, "non-negative p", lambda: F.pdist(x, -1)),
    (errors.GraphError, "non-negative p", lambda: tg.cdist(x, x, -1)),
    (errors.ArgumentError, "must specify the equation", lambda: tg.einsum()),
    (errors.GraphError, "has 2 operands, but 1", lambda: tg.einsum("ij,jk->ik", x)),
    (errors.ShapeError, "einsum", lambda: tg.einsum("ii->i", x)),
    (errors.ArgumentTypeError, "argument 'input' must be Tensor", lambda: tg.fmod(1.0, v)),
    (errors.ArgumentTypeError, "missing argument 'src'", lambda: x.scatter(0, n[:1])),
    (errors.DTypeError, "self (torch.float32) and source", lambda: x.index_add(0, tg.tensor([0]), x[:1].double())),
    (errors.ShapeError, "0-dimensional value", lambda: x.index_fill(0, tg.tensor([0]), v)),
    (errors.DTypeError, "expected an integer tensor for indices", lambda: tg.take_along_dim(x, x, 0)),
    (errors.ArgumentTypeError, "got the string", lambda: x["a"]),
    (errors.ArgumentError, "nested lists of equal lengths", lambda: x[[0, 1], [[0], [0, 1]]]),
    (errors.ArgumentTypeError, "can't assign a str", lambda: x.clone().__setitem__(0, "a")),
    (
        errors.DTypeError,
        "source and destination dtypes match",
        lambda: x.clone().__setitem__(tg.tensor([0]), x[:1].double()),
    ),
    (errors.ShapeError, "cannot be broadcast to what is indexed", lambda: x.clone().__setitem__(0, tg.zeros(2))),
    (errors.ArgumentTypeError, "copy_(): argument 'other'", lambda: x.clone().copy_([1.0])),
    (errors.ShapeError, "", lambda: x.clone().copy_(tg.zeros(2))),
    (errors.ArgumentTypeError, "must be a tuple of Tensors", lambda: tg.stack(x)),
    (errors.GraphError, "larger than 0, got 0", lambda: tg.tensor_split(x, 0)),
    (errors.ShapeError, "requires a tensor with at least 2", lambda: tg.vsplit(v, 1)),
    (errors.ShapeError, "vsplit", lambda: tg.vsplit(x, 4)),
    (errors.ArgumentTypeError, "argument 'mask' must be Tensor", lambda: x.masked_fill([True], 0)),
    (errors.DTypeError, "index tensor of type LongTensor", lambda: F.one_hot(x)),
    (errors.ShapeError, "from empty tensor", lambda: F.one_hot(tg.zeros(0, dtype=tg.int64))),
    (errors.ShapeError, "must be non-negative", lambda: F.one_hot(tg.tensor([-1]))),
    (errors.ShapeError, "smaller than num_classes 2", lambda: F.one_hot(tg.tensor([3]), 2)),
    (errors.ArgumentTypeError, "argument 'other' must be Tensor", lambda: tg.matmul(x, [1.0])),
    (errors.ShapeError, "", lambda: tg.addmm(tg.zeros(3, 3), x, x.t())),
    (errors.ShapeError, "expects dims from 0 to 2, got 3", lambda: tg.tensordot(x, x, 3)),
    (errors.ShapeError, "std > 0.0", lambda: tg.empty(2).log_normal_(std=0)),
    (errors.DTypeError, "cauchy_: expected a floating", lambda: n.clone().cauchy_()),
    (errors.GraphError, "allocated size 5", lambda: tg.repeat_interleave(v, 2, output_size=5)),
    (errors.ArgumentTypeError, "meshgrid: expected Tensors", lambda: tg.meshgrid(v, 1.0, indexing="ij")),
    (errors.ShapeError, "order expects to be non-negative", lambda: tg.diff(v, -1)),
    (errors.ArgumentTypeError, "expected a shape", lambda: tg.reshape(x, "a")),
    (errors.ArgumentTypeError, "takes 2 positional arguments but 3", lambda: ops.registry["mm"](x, x, x)),
    (errors.ArgumentTypeError, "must be a list or tuple of Tensors", lambda: tg.cat(x)),
]

NETWORKS = [
    (errors.ShapeError, "at least 2 dimensions", lambda: F.feature_alpha_dropout(v, 0.5, True)),
    (errors.ShapeError, "bilinear", lambda: F.bilinear(x, v, tg.zeros(1, 3, 3))),
    (errors.ShapeError, "expect one label", lambda: F.nll_loss(v, tg.tensor([0, 1]))),
    (errors.ShapeError, "cross_entropy", lambda: F.cross_entropy(x, F.softmax(x, 1), weight=tg.ones(2))),
    (errors.ShapeError, "cosine_embedding_loss", lambda: F.cosine_embedding_loss(x, x, tg.tensor(1.0))),
    (errors.ArgumentError, "must be one-dimensional", lambda: F.multi_margin_loss(x, n[:, 0], weight=x)),
    (errors.ShapeError, "inconsistent target size", lambda: F.multi_margin_loss(x, tg.tensor([0]))),
    (errors.DTypeError, "labels of dtype int64", lambda: F.multi_margin_loss(x, tg.tensor([0.0, 1.0]))),
    (errors.ShapeError, "multilabel_margin_loss", lambda: F.multilabel_margin_loss(x, n[:1])),
    (errors.DTypeError, "multilabel_margin_loss", lambda: F.multilabel_margin_loss(x, x)),
    (errors.ShapeError, "out of range: 5 for 3", lambda: F.multilabel_margin_loss(x, n)),
    (errors.ShapeError, "at least 2 dimensions", lambda: F.batch_norm(v, None, None, training=True)),
    (errors.ArgumentTypeError, "got None", lambda: F.adaptive_avg_pool2d(tg.zeros(1, 1, 4, 4), None)),
    (errors.ArgumentTypeError, "must be Tensor, not list", lambda: F.embedding([0], x)),
    (errors.ArgumentTypeError, "must be Tensor, not list", lambda: F.one_hot([0])),
    (errors.ArgumentTypeError, "must be Tensor, not list", lambda: F.interpolate([0.0], 2)),
    (errors.ShapeError, "at least two dimensions each", lambda: F.scaled_dot_product_attention(v, x, x)),
    (errors.ShapeError, "(..., L, E), (..., S, E)", lambda: F.scaled_dot_product_attention(x, x.t(), x.t())),
    (errors.StateError, "give one of them", lambda: F.scaled_dot_product_attention(x, x, x, x, is_causal=True)),
    (errors.ShapeError, "multiple of the heads", lambda: F.scaled_dot_product_attention(x, x, x, enable_gqa=True)),
    (errors.DTypeError, "bool or floating", lambda: F.scaled_dot_product_attention(x, x, x, n[:, :2])),
    (errors.ShapeError, "to broadcast to (2, 2)", lambda: F.scaled_dot_product_attention(x, x, x, x)),
    (errors.ShapeError, "divisible by 2", lambda: F.pad(x, (1,))),
    (errors.ShapeError, "Expected 3D (unbatched) or 4D", lambda: nn.LazyConv2d(1, 1)(v)),
    (errors.UnsupportedError, "initialize_parameters is not implemented", lambda: Lazy(3, 3)(x)),
    (errors.ShapeError, "isn't that of the loaded weight", lambda: loaded_lazy_conv()(tg.zeros(1, 5, 2, 2))),
    (errors.ArgumentError, "1D tensor, got 2D", lambda: nn.MultiMarginLoss(weight=x)),
    (errors.ArgumentError, "margin", lambda: nn.TripletMarginWithDistanceLoss(margin=0)),
    (errors.ArgumentTypeError, "received an invalid argument", lambda: nn.Linear(1, 1).to([])),
    (errors.ArgumentTypeError, "data expected a Tensor", lambda: nn.Parameter(1.0)),
    (
        errors.ArgumentTypeError,
        "torch.nn.Parameter or None required",
        lambda: nn.Linear(1, 1).register_parameter("w", leaf(1)),
    ),
    (errors.UnsupportedError, "sparse gradients", lambda: nn.Embedding(2, 2, sparse=True)),
    (errors.ContradictionError, "", lambda: nn.Embedding(2, 2, _weight=tg.zeros(3, 2))),
    (errors.ContradictionError, "", lambda: nn.Embedding.from_pretrained(v)),
    (errors.UnsupportedError, "override it to save", lambda: nn.Module().get_extra_state()),
    (errors.UnsupportedError, "override it to load", lambda: nn.Module().set_extra_state({})),
    (AssertionError, "module should be of type", lambda: nn.Sequential().insert(0, 1)),
    (AssertionError, "running_mean", lambda: fuse(nn.BatchNorm1d(2, track_running_stats=False))),
    (AssertionError, "", lambda: fuse(nn.BatchNorm1d(3))),
    (errors.GraphError, "Cannot register two", lambda: nn.utils.weight_norm(nn.utils.weight_norm(nn.Linear(2, 2)))),
]


AUTOGRAD = [
    (errors.ArgumentTypeError, "inputs must be Tensors", lambda: functional.vjp(lambda x: x, 1.0)),
    (errors.ArgumentTypeError, "must return Tensors", lambda: functional.vjp(lambda x: 1.0, v)),
    (errors.GraphError, "vector v can only be None", lambda: functional.vjp(lambda x: x, v)),
    (errors.ShapeError, "v expected shape (3,), got (2,)", lambda: functional.vjp(lambda x: x, v, v[:2])),
    (errors.GraphError, "'reverse-mode'", lambda: functional.jacobian(lambda x: x, v, strategy="forward-mode")),
    (errors.GraphError, "strict", lambda: functional.jacobian(lambda x, y: x, (v, v), strict=True)),
    (errors.GraphError, "single Tensor with one element", lambda: functional.hessian(lambda x: x, v)),
    (errors.GraphError, "got 1 tensors and 2 gradients", lambda: engine.backward([leaf(1)], [v, v])),
    (errors.ArgumentTypeError, "expected a Tensor, got float", lambda: engine.backward(1.0)),
    (errors.ArgumentTypeError, "gradient expected a Tensor", lambda: engine.backward([leaf(1)], [1.0])),
    (errors.GraphError, "inputs is empty", lambda: engine.backward(leaf(1).sum(), inputs=[])),
    (errors.GraphError, "is_grads_batched", lambda: tg.autograd.grad(leaf(1).sum(), v, is_grads_batched=True)),
    (
        errors.GraphError,
        "contradict each other",
        lambda: tg.autograd.grad(leaf(1).sum(), leaf(1), allow_unused=False, materialize_grads=True),
    ),
    (errors.GraphError, "only a leaf", lambda: leaf(1).clone().register_post_accumulate_grad_hook(print)),
    (errors.GraphError, "only a leaf can be pickled", lambda: __import__("pickle").dumps(leaf(1) * 2)),
    (NotImplementedError, "forward", lambda: Function.forward(None)),
    (NotImplementedError, "setup_context", lambda: Function.setup_context(None, (), None)),
    (NotImplementedError, "backward", lambda: Function.backward(None, v)),
]

FILES = [
    (errors.ArgumentError, "format expected one of", lambda: tg.save({}, io.BytesIO(), format="zip")),
    (errors.ArgumentTypeError, "open for reading", lambda: tg.load(1)),
    (errors.ArgumentTypeError, "open for writing", lambda: tg.save({}, 1)),
    (errors.UnsupportedError, "pin_memory_device", lambda: tg.utils.data.DataLoader([1], pin_memory_device="cuda")),
    (errors.ArgumentError, "stride should be 1 or 2", lambda: inverted_residual(3)),
]


class Lazy(LazyModuleMixin, nn.Linear):
    pass


def loaded_lazy_conv():
    layer = nn.LazyConv2d(2, 1)
    layer.load_state_dict(nn.Conv2d(3, 2, 1).state_dict())
    return layer


def fuse(norm):
    return nn.utils.fuse_linear_bn_eval(nn.Linear(2, 2).eval(), norm.eval())


def inverted_residual(stride):
    from tinygrad_cnn.models.mobilenetv2 import InvertedResidual

    return InvertedResidual(2, 2, stride, 1)


@pytest.mark.parametrize(("error", "sentence", "call"), [*OPS, *NETWORKS, *AUTOGRAD, *FILES])
@pytest.mark.filterwarnings("ignore")
def test_refused(error, sentence, call):
    with pytest.raises(error) as raised:
        call()
    assert sentence in str(raised.value)
    assert np.isfinite(x.sum().item()), "the arguments are as before"
