"""PyTorch's surface as this library carries it: the names, and what differs. Written as docs/pytorch.md by
``python -m tests.parity.surface``."""

from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "pytorch.md"

# The names by section; a section is what follows "torch." (nothing for torch itself).
NAMES = {
    "": """
        tensor as_tensor from_numpy zeros ones full empty eye arange linspace logspace rand randn randint randperm
        normal bernoulli zeros_like ones_like full_like empty_like rand_like randn_like
        float16 float32 float64 float double half int8 int16 int32 int64 uint8 short int long bool
        device dtype Size Generator manual_seed initial_seed get_rng_state set_rng_state get_default_dtype
        set_default_dtype set_num_threads get_num_threads no_grad enable_grad set_grad_enabled is_grad_enabled
        inference_mode save load allclose isclose equal
        add sub mul div pow neg abs sign exp expm1 log log1p log2 log10 sqrt rsqrt square reciprocal sin cos tan asin
        acos atan atan2 sinh cosh tanh sigmoid relu erf erfinv floor ceil round trunc frac remainder fmod clamp minimum
        maximum where lerp addcmul addcdiv
        matmul mm bmm mv dot outer addmm baddbmm einsum tensordot
        sum mean var std var_mean prod max min amax amin argmax argmin logsumexp norm linalg.norm cumsum cumprod all
        any topk kthvalue mode sort argsort median unique bincount diff
        cat stack split chunk unbind reshape flatten unflatten ravel squeeze unsqueeze transpose swapaxes movedim
        permute t flip roll rot90 tile repeat_interleave broadcast_to gather scatter scatter_add index_select
        take_along_dim masked_select masked_fill nonzero tril triu diag diagonal meshgrid
        isnan isinf isfinite eq ne lt le gt ge logical_and logical_or logical_not logical_xor softmax log_softmax
    """,
    "Tensor": """
        add sub mul div pow neg abs sign exp expm1 log log1p log2 log10 sqrt rsqrt square reciprocal sin cos tan asin
        acos atan atan2 sinh cosh tanh sigmoid relu erf erfinv floor ceil round trunc frac remainder fmod clamp minimum
        maximum where lerp addcmul addcdiv matmul mm bmm mv dot outer addmm baddbmm
        sum mean var std prod max min amax amin argmax argmin logsumexp norm cumsum cumprod all any topk sort argsort
        median unique bincount diff
        split chunk unbind reshape flatten unflatten ravel squeeze unsqueeze transpose swapaxes movedim permute t flip
        roll rot90 tile repeat_interleave broadcast_to gather scatter scatter_add index_select take_along_dim
        masked_select masked_fill nonzero tril triu diag diagonal isnan isinf isfinite eq ne lt le gt ge logical_and
        logical_or logical_not logical_xor softmax log_softmax allclose isclose equal bernoulli
        __add__ __radd__ __iadd__ __sub__ __rsub__ __isub__ __mul__ __rmul__ __imul__ __truediv__ __rtruediv__
        __itruediv__ __floordiv__ __rfloordiv__ __mod__ __rmod__ __pow__ __rpow__ __ipow__ __matmul__
        __neg__ __pos__ __abs__ __eq__ __ne__ __lt__ __le__ __gt__ __ge__ __and__ __or__ __xor__ __invert__
        __getitem__ __setitem__
        shape size dim ndim numel dtype device requires_grad requires_grad_ is_leaf grad grad_fn data detach clone
        contiguous item tolist numpy __array__ __dlpack__ to type float double int long bool cpu cuda
        view view_as reshape_as expand expand_as repeat T mT unfold
        copy_ fill_ zero_ add_ sub_ mul_ div_ clamp_ normal_ uniform_ bernoulli_ exponential_ random_ masked_fill_
        scatter_ index_fill_ new_zeros new_ones new_full new_tensor
        backward register_hook retain_grad _version __format__ __repr__ __iter__ __len__ __bool__ __deepcopy__
        __reduce_ex__
    """,
    "autograd": """
        grad backward Function Function.forward Function.backward Function.setup_context Function.apply
        function.FunctionCtx.save_for_backward
        gradcheck gradgradcheck detect_anomaly set_detect_anomaly functional.jacobian functional.hessian
        functional.vjp functional.jvp functional.hvp graph.saved_tensors_hooks
    """,
    "utils.checkpoint": "checkpoint",
    "nn.Module": """
        parameters named_parameters buffers named_buffers children named_children modules named_modules get_submodule
        get_parameter get_buffer add_module register_module register_parameter register_buffer apply to float double
        cpu cuda train eval requires_grad_ zero_grad state_dict load_state_dict _load_from_state_dict
        register_forward_hook register_forward_pre_hook register_full_backward_hook register_full_backward_pre_hook
        register_backward_hook register_state_dict_post_hook register_state_dict_pre_hook
        register_load_state_dict_pre_hook register_load_state_dict_post_hook _version __repr__ extra_repr compile
        __setstate__ __call__ forward
    """,
    "nn": """
        Module Parameter Buffer Sequential ModuleList ModuleDict ParameterList Identity Flatten Unflatten
        Conv1d Conv2d ConvTranspose1d ConvTranspose2d LazyConv2d LazyLinear LazyBatchNorm1d LazyBatchNorm2d Linear
        Embedding MaxPool1d MaxPool2d MaxUnpool2d AvgPool1d AvgPool2d AdaptiveAvgPool1d AdaptiveAvgPool2d
        AdaptiveMaxPool1d AdaptiveMaxPool2d BatchNorm1d BatchNorm2d LayerNorm GroupNorm InstanceNorm1d InstanceNorm2d
        LocalResponseNorm RMSNorm Dropout Dropout1d Dropout2d AlphaDropout ZeroPad2d ConstantPad1d ConstantPad2d
        ReflectionPad1d ReflectionPad2d ReplicationPad1d ReplicationPad2d CircularPad1d CircularPad2d
        Upsample UpsamplingNearest2d UpsamplingBilinear2d PixelShuffle PixelUnshuffle ChannelShuffle Fold Unfold
        ReLU ReLU6 LeakyReLU PReLU RReLU ELU SELU CELU GELU SiLU Mish Hardswish Hardsigmoid Hardtanh Hardshrink
        Softshrink Tanhshrink Sigmoid LogSigmoid Tanh Softplus Softsign Softmax Softmax2d LogSoftmax Softmin Threshold
        GLU CrossEntropyLoss NLLLoss MSELoss L1Loss SmoothL1Loss HuberLoss BCELoss BCEWithLogitsLoss KLDivLoss
        MarginRankingLoss CosineEmbeddingLoss TripletMarginLoss CosineSimilarity PairwiseDistance
        utils.clip_grad_norm_ utils.clip_grad_value_ utils.parameters_to_vector utils.vector_to_parameters
        utils.fuse_conv_bn_eval
    """,
    "nn.functional": """
        conv1d conv2d conv_transpose1d conv_transpose2d linear embedding max_pool1d max_pool2d max_unpool2d avg_pool1d
        avg_pool2d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool1d adaptive_max_pool2d batch_norm
        layer_norm group_norm instance_norm local_response_norm rms_norm dropout dropout1d dropout2d alpha_dropout pad
        interpolate upsample grid_sample affine_grid pixel_shuffle pixel_unshuffle channel_shuffle fold unfold
        relu relu6 leaky_relu prelu rrelu elu selu celu gelu silu mish hardswish hardsigmoid hardtanh hardshrink
        softshrink tanhshrink sigmoid logsigmoid tanh softplus softsign softmax log_softmax softmin threshold glu
        cross_entropy nll_loss mse_loss l1_loss smooth_l1_loss huber_loss binary_cross_entropy
        binary_cross_entropy_with_logits kl_div margin_ranking_loss cosine_embedding_loss triplet_margin_loss
        cosine_similarity pairwise_distance one_hot normalize scaled_dot_product_attention
    """,
    "nn.init": """
        uniform_ normal_ constant_ ones_ zeros_ eye_ dirac_ xavier_uniform_ xavier_normal_ kaiming_uniform_
        kaiming_normal_ trunc_normal_ orthogonal_ sparse_ calculate_gain
    """,
    "optim": """
        Optimizer Optimizer.add_param_group Optimizer.state_dict Optimizer.load_state_dict Optimizer.zero_grad
        Optimizer.step Optimizer.register_step_pre_hook Optimizer.register_step_post_hook
        SGD Adam AdamW NAdam RAdam Adamax RMSprop Adagrad Adadelta
    """,
    "optim.lr_scheduler": """
        LRScheduler StepLR MultiStepLR ConstantLR LinearLR ExponentialLR PolynomialLR CosineAnnealingLR
        CosineAnnealingWarmRestarts CyclicLR CyclicLR.load_state_dict OneCycleLR ReduceLROnPlateau LambdaLR
        MultiplicativeLR SequentialLR ChainedScheduler
    """,
    "optim.swa_utils": "AveragedModel update_bn SWALR",
    "utils.data": """
        Dataset IterableDataset TensorDataset Subset ConcatDataset random_split Sampler SequentialSampler
        RandomSampler SubsetRandomSampler WeightedRandomSampler BatchSampler DataLoader default_collate
    """,
}

# What holds for many names at once.
EVERYWHERE = (
    "There is one device, the CPU: others can be named, and raise where a tensor or layer should go there, as do "
    "`cuda()` and its relatives (a RuntimeError).",
    "The dtypes are those of the table: no complex and no quantised numbers, and bfloat16 in files is read as float32.",
    "Volumes (the layers and functions named `3d`, and 5-D inputs of the others) are outside the library.",
    "`out=` isn't there: use the result, or an in-place method. Neither are `layout=` and sparse tensors.",
    "Errors are subclasses of the type that PyTorch raises, with other texts.",
    "The random generator is another one, so a seed gives other numbers than in PyTorch, from the same distributions.",
    "Writing in place to a recorded tensor rebinds it to a new value instead of overwriting what backward needs, so "
    "some programs that PyTorch refuses in `backward()` work, and give the right gradient.",
    "A layer of `torch.nn` differs where its function in `torch.nn.functional` does.",
    "Where a function is composed of others, `grad_fn` prints the name of the last of them.",
    "Memory may be laid out in another way: elementwise results of transposed tensors report as contiguous, and a "
    "`memory_format` changes no strides.",
    "A few functions accept a plain number where PyTorch wants a tensor, such as `addcmul` and `lerp`.",
)

_NODE = "A composition: `grad_fn` prints another name."
_TIES = "Which of several equal values is named can differ."
_INTEGERS = "With an integer dtype, the numbers are truncated at the end; PyTorch truncates fractional arguments first."
_STABLE = "Always stable, so the order of equal values can differ from PyTorch's unstable order."
_REMAINDER = "Has a gradient for number and tensor as well, where PyTorch has none."
_FLOOR = "Its gradient is 0, and `grad_fn` prints another name; PyTorch raises in backward."
_NAN = "Where the input is NaN, the gradient is that of PyTorch's vectorised loop, whatever the size."
_BYTES = "uint8 compared with a number outside its range compares the values; PyTorch wraps the number round first."
_LAZY = "An uninitialised parameter raises at `.shape` alone; as an operand it acts as an empty tensor."
_CAPTURE = "`capturable=True` and `differentiable=True` raise; `foreach` and `fused` choose nothing."
_CHECK = (
    "Forward-mode and batched gradients raise when asked for. Stricter: backward must be linear in its upstream. At a "
    "kink a valid subgradient passes (`subgradients=False`: as in PyTorch). `method`, `projections`, `seed` are extra."
)


def _each(names: str, sentence: str, prefix: str = "") -> dict[str, str]:
    """The same sentence for several names."""
    return {prefix + name: sentence for name in names.split()}


# What differs, and why, by qualified name; for all names that aren't here, nothing is known to.
DIFFERENCES = {
    **_each(
        """
        var_mean einsum matmul addmm baddbmm mv dot addcmul addcdiv rot90 tile repeat_interleave stack masked_select
        diag
        """,
        _NODE,
    ),
    **_each(
        """
        addmm baddbmm matmul mv dot addcmul addcdiv rot90 tile repeat repeat_interleave masked_select diag __matmul__
        """,
        _NODE,
        "Tensor.",
    ),
    **_each(
        """
        conv1d conv_transpose1d max_pool1d avg_pool1d adaptive_avg_pool1d adaptive_max_pool1d group_norm instance_norm
        affine_grid pixel_shuffle pixel_unshuffle channel_shuffle linear rrelu glu pairwise_distance
        """,
        _NODE,
        "nn.functional.",
    ),
    # torch and Tensor
    "arange": _INTEGERS,
    "linspace": "With an integer dtype and fractional bounds, numbers in between can differ by one.",
    "logspace": _INTEGERS,
    "meshgrid": "Without `indexing` it is 'ij' as in PyTorch, without PyTorch's warning.",
    "dtype": "Its instances are the dtypes of this table; PyTorch's class can't be called, this one isn't for calling.",
    "get_rng_state": "The state is that of NumPy's generator: uint8 as in PyTorch, of another length.",
    "set_rng_state": "Takes states of this library's generator, not PyTorch's.",
    "manual_seed": "The same seed gives other numbers: the generator is NumPy's.",
    "no_grad": "The decorated function's parameter has another name.",
    "enable_grad": "The decorated function's parameter has another name.",
    "save": "Saves tensors, numbers, strings and containers, no objects or modules; `format=` chooses .pth, .npz or "
    ".safetensors, and the options of pickle aren't there.",
    "load": "Reads weights only and never executes what is in a file; `pickle_module` and further options of pickle "
    "raise.",
    "kthvalue": _TIES,
    "mode": _TIES,
    "topk": _TIES,
    "Tensor.topk": _TIES,
    "sort": _STABLE,
    "argsort": _STABLE,
    "Tensor.sort": _STABLE,
    "Tensor.argsort": _STABLE,
    "unique": "The result is never recorded; PyTorch's requires grad, but has no derivative. The signature is "
    "written out.",
    "Tensor.unique": "The result is never recorded; PyTorch's requires grad, but has no derivative.",
    "remainder": _REMAINDER,
    "Tensor.remainder": _REMAINDER,
    "Tensor.__mod__": _REMAINDER,
    "Tensor.__rmod__": _REMAINDER,
    "Tensor.__floordiv__": _FLOOR,
    "Tensor.__rfloordiv__": _FLOOR,
    "div": "With `rounding_mode`, `grad_fn` prints another name.",
    "Tensor.div": "With `rounding_mode`, `grad_fn` prints another name.",
    **_each("eq ne lt le gt ge", _BYTES),
    **_each("eq ne lt le gt ge __eq__ __ne__ __lt__ __le__ __gt__ __ge__", _BYTES, "Tensor."),
    "lerp": "Accepts a number as `end` as well.",
    "Tensor.lerp": "Accepts a number as `end` as well.",
    "Tensor.masked_fill_": "On an expanded tensor it raises, as other writes to one do; PyTorch writes.",
    "Tensor.__setitem__": "With a mask on an expanded tensor it raises, as other writes to one do; PyTorch writes.",
    "Tensor.contiguous": "`memory_format` is accepted, and changes no strides.",
    "Tensor.cuda": "Raises a RuntimeError; PyTorch without a GPU raises an AssertionError.",
    "Tensor._version": "Starts again at 0 after an in-place change of a recorded tensor, which is rebound.",
    # autograd
    "autograd.backward": "`grad_variables`, deprecated in PyTorch, isn't there.",
    "autograd.gradcheck": _CHECK,
    "autograd.gradgradcheck": _CHECK,
    "autograd.functional.jacobian": "`strategy='forward-mode'` raises: there is reverse mode alone.",
    "autograd.functional.hessian": "`outer_jacobian_strategy='forward-mode'` raises: there is reverse mode alone.",
    "utils.checkpoint.checkpoint": "Always the non-reentrant way; `early_stop` or not, the second run goes to the end.",
    # nn
    "nn.Module.cuda": "Raises a RuntimeError; PyTorch without a GPU raises an AssertionError.",
    "nn.Module.register_backward_hook": "It is the full hook: PyTorch's deprecated one sees the last op alone.",
    "nn.Module.compile": "Returns the module: there is nothing to compile.",
    "nn.Module.forward": "Takes keywords as well, before it raises.",
    "nn.LazyConv2d": _LAZY,
    "nn.LazyLinear": _LAZY,
    "nn.LazyBatchNorm1d": _LAZY,
    "nn.LazyBatchNorm2d": _LAZY,
    "nn.Embedding": "`sparse=True` raises: there are no sparse gradients.",
    "nn.functional.embedding": "`sparse=True` raises; the second derivative with `scale_grad_by_freq` is scaled by the "
    "counts, PyTorch's isn't.",
    "nn.functional.conv2d": "Inputs without channels are refused.",
    "nn.Conv2d": "Inputs without channels are refused.",
    "nn.functional.layer_norm": "Where the exact gradient is 0, so is this one; PyTorch's is rounding noise.",
    "nn.functional.pad": "Circular padding of booleans is refused; the node of the modes other than constant has "
    "another name.",
    "nn.functional.interpolate": "5-D inputs, and linear or cubic modes on uint8, are refused; PyTorch's "
    "`antialias=True` to a width of one repeats the first row.",
    "nn.functional.upsample": "5-D inputs, and linear or cubic modes on uint8 are refused.",
    "nn.Upsample": "5-D inputs, and linear or cubic modes on uint8 are refused.",
    "nn.functional.grid_sample": "5-D inputs are refused; a composition: `grad_fn` prints another name.",
    "nn.functional.scaled_dot_product_attention": "A composition: `grad_fn` prints another name.",
    "nn.functional.cross_entropy": "With probabilities as targets a composition: `grad_fn` prints another name.",
    "nn.functional.elu": _NAN,
    "nn.functional.celu": _NAN + " `grad_fn` prints the name of elu's.",
    "nn.functional.selu": _NAN,
    "nn.functional.hardtanh": _NAN,
    # optim
    "optim.Optimizer.load_state_dict": "Copies the tensors; PyTorch shares those that need no conversion.",
    **_each("SGD Adam AdamW NAdam RAdam Adamax RMSprop Adagrad Adadelta", _CAPTURE, "optim."),
    "optim.lr_scheduler.CyclicLR.load_state_dict": "Leaves the caller's dict as it is; PyTorch removes a key from it.",
    # data
    "utils.data.DataLoader": "Workers are threads, so `multiprocessing_context` and `pin_memory_device` raise, and "
    "`timeout` without workers raises at construction; the package's own image datasets give uint8 arrays, not PIL "
    "images, where there is no transform.",
    "utils.data.random_split": "Without `generator` it is the default generator, written as None.",
}

# Of those, the names whose parameters or defaults differ too.
OTHER_SIGNATURES = {
    *("dtype", "no_grad", "enable_grad", "save", "load", "unique"),
    *("autograd.backward", "autograd.gradcheck", "autograd.gradgradcheck"),
    *("utils.checkpoint.checkpoint", "nn.Module.forward", "utils.data.random_split"),
}


def qualified_names(section: str) -> Iterator[str]:
    """The names of a section as written after ``torch.``."""
    for name in NAMES[section].split():
        yield f"{section}.{name}" if section else name


def page() -> str:
    """The text of docs/pytorch.md."""
    names = [name for section in NAMES for name in qualified_names(section)]
    lines = [
        "# What of PyTorch is here",
        "",
        "<!-- Generated by `python -m tests.parity.surface`: change the tables there. -->",
        "",
        f"The {len(names)} names of PyTorch (2.13, on the CPU) that the library carries under its own top-level name: "
        "`torch.nn.Conv2d` is `tinygrad_cnn.nn.Conv2d`. **yes** means that no difference is known beyond those of the "
        "next section; otherwise the table says what differs and why. More names than these exist; these are the ones "
        "that are promised.",
        "",
        "How it is tested: `tests/parity/test_surface.py` holds every name, its parameters and their defaults to "
        "PyTorch's, and holds this page to the tables. The other tests in `tests/parity` run the same calls, models "
        "and training steps on both libraries, PyTorch's own generated samples among them, and compare values, "
        "gradients, dtypes, shapes and errors. They need `pip install '.[peers]'`; `pytest tests/parity` runs them.",
        "",
        "## What differs everywhere",
        "",
        *(f"- {sentence}" for sentence in EVERYWHERE),
    ]
    for section in NAMES:
        lines += ["", f"## torch.{section}" if section else "## torch", "", "| name | carried |", "| --- | --- |"]
        for name in qualified_names(section):
            lines.append(f"| `{name.removeprefix(section + '.')}` | {DIFFERENCES.get(name, 'yes')} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
