"""Files of PyTorch are read here as PyTorch reads them, and the other way round."""

import io
from collections import Counter, OrderedDict

import numpy as np
import pytest
from hypothesis import given, strategies as st

import tinygrad_cnn as tg
from tests.parity.compare import torch

DTYPES = ["float32", "float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"]


def through(save, load, value, **options):
    file = io.BytesIO()
    save(value, file, **options)
    file.seek(0)
    return load(file)


@st.composite
def torch_tensors(draw, storages):
    """A view with an offset and strides of one of ``storages``, of 0 to 4 dimensions."""
    storage = draw(st.sampled_from(storages))
    kind = draw(st.integers(0, 4))
    if kind == 0:
        return storage
    if kind == 1:
        return storage[draw(st.integers(0, 23))]
    view = storage.view(draw(st.sampled_from([(4, 6), (2, 3, 4), (1, 24), (2, 2, 2, 3)])))
    if kind == 2:
        return view.transpose(0, -1)
    if kind == 3:
        return view[:, draw(st.integers(0, 1)) :: 2]
    return view[:1].expand(3, *view.shape[1:])


@st.composite
def torch_nests(draw):
    storages = [torch.arange(24).sub(7).to(getattr(torch, name)) for name in draw(st.permutations(DTYPES))[:3]]
    leaves = st.one_of(
        torch_tensors(storages),
        st.none()
        | st.booleans()
        | st.integers(-(2**70), 2**70)
        | st.floats()
        | st.text(max_size=5)
        | st.binary(max_size=5),
        st.sampled_from(
            [torch.Size([2, 3]), torch.float32, torch.int64, torch.device("cpu"), 2 - 3j, {1, "a"}, Counter("aab")]
        ),
        st.builds(torch.nn.Parameter, st.just(torch.ones(2, 3)), st.booleans()),
    )
    keys = st.text(max_size=3) | st.integers(-5, 300) | st.tuples(st.integers(0, 3), st.text(max_size=2))
    return draw(
        st.recursive(
            leaves,
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.lists(inner, max_size=4).map(tuple)
                | st.dictionaries(keys, inner, max_size=4)
                | st.dictionaries(keys, inner, max_size=4).map(OrderedDict)
            ),
            max_leaves=8,
        )
    )


def assert_same_nest(our, their):
    if isinstance(their, torch.Tensor):
        wide = their.float() if their.dtype in (torch.float16, torch.bfloat16) else their
        assert isinstance(our, tg.Tensor)
        assert isinstance(our, tg.nn.Parameter) == isinstance(their, torch.nn.Parameter)
        assert (str(our.dtype), tuple(our.shape)) == (str(wide.dtype), tuple(wide.shape))
        assert our.requires_grad == their.requires_grad
        np.testing.assert_array_equal(our.detach().numpy(), wide.detach().numpy())
    elif isinstance(their, torch.dtype | torch.device | torch.Size):
        assert repr(our) == repr(their)
    elif isinstance(their, dict):
        assert type(our) is type(their)
        assert list(our) == list(their)
        for key in their:
            assert_same_nest(our[key], their[key])
    elif isinstance(their, list | tuple):
        assert type(our) is type(their)
        assert len(our) == len(their)
        for pair in zip(our, their, strict=True):
            assert_same_nest(*pair)
    else:
        assert type(our) is type(their)
        assert our == their or (our != our and their != their)


@given(torch_nests(), st.booleans())
def test_both_read_what_pytorch_writes(nest, zipped):
    ours = through(torch.save, tg.load, nest, _use_new_zipfile_serialization=zipped)
    assert_same_nest(ours, nest)


@given(torch_nests())
def test_pytorch_reads_what_is_written_here(nest):
    ours = through(torch.save, tg.load, nest)
    theirs = through(tg.save, lambda file: torch.load(file, weights_only=True), ours)
    assert_same_nest(ours, theirs)
    assert_same_nest(through(tg.save, tg.load, ours), theirs)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_on_one_storage_stay_on_it(dtype, zipped):
    base = torch.arange(6).to(getattr(torch, dtype))
    ours = through(torch.save, tg.load, [base, base.view(2, 3).t(), base[2:]], _use_new_zipfile_serialization=zipped)
    ours[0][3] = 0
    assert not ours[1][0, 1]
    assert not ours[2][1]
    theirs = through(tg.save, torch.load, ours)
    theirs[2][0] = 1
    assert theirs[0][2] == 1
    assert theirs[1][2, 0] == 1


def test_a_tensor_saved_twice_is_one_tensor_and_a_list_in_itself_stays_so():
    tensor, loop = torch.ones(2), []
    loop.append(loop)
    ours = through(torch.save, tg.load, [tensor, tensor, loop])
    assert ours[0] is ours[1]
    assert ours[2][0] is ours[2]
    theirs = through(tg.save, torch.load, ours)
    assert theirs[0] is theirs[1]
    assert theirs[2][0] is theirs[2]


def make_model(nn):
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 9, 3))


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_a_training_goes_on_in_the_other_library(tmp_path, name):
    """Train in PyTorch, save, go on here for some steps, save, and end up in PyTorch where it ends up alone."""
    images = np.random.default_rng(0).normal(size=(6, 1, 5, 5)).astype(np.float32)
    labels = np.array([0, 1, 2, 0, 1, 2])

    def steps(library, model, optimizer, count):
        for _ in range(count):
            optimizer.zero_grad()
            loss = library.nn.functional.cross_entropy(model(library.tensor(images)), library.tensor(labels))
            loss.backward()
            optimizer.step()
        return loss.item()

    def settings(model):
        return dict(params=model.parameters(), lr=0.01) | ({"momentum": 0.9} if name == "SGD" else {})

    torch.manual_seed(0)
    theirs, ours = make_model(torch.nn), make_model(tg.nn)
    their_optimizer, our_optimizer = (
        getattr(lib.optim, name)(**settings(m)) for lib, m in ((torch, theirs), (tg, ours))
    )
    steps(torch, theirs, their_optimizer, 3)
    torch.save({"model": theirs.state_dict(), "optimizer": their_optimizer.state_dict()}, tmp_path / "their.pth")
    checkpoint = tg.load(tmp_path / "their.pth", map_location="cpu", weights_only=True)
    assert checkpoint["model"]._metadata == theirs.state_dict()._metadata
    ours.load_state_dict(checkpoint["model"])
    our_optimizer.load_state_dict(checkpoint["optimizer"])
    steps(tg, ours, our_optimizer, 3)
    tg.save({"model": ours.state_dict(), "optimizer": our_optimizer.state_dict()}, tmp_path / "our.pth")
    again = make_model(torch.nn)
    again_optimizer = getattr(torch.optim, name)(**settings(again))
    back = torch.load(tmp_path / "our.pth", weights_only=True)
    assert back["model"]._metadata == theirs.state_dict()._metadata
    again.load_state_dict(back["model"])
    again_optimizer.load_state_dict(back["optimizer"])
    assert steps(torch, again, again_optimizer, 2) == pytest.approx(steps(torch, theirs, their_optimizer, 5), rel=1e-4)


def test_pytorch_maps_our_files_into_memory(tmp_path):
    tg.save({"a": tg.ones(3), "b": tg.arange(5)}, tmp_path / "w.pt")
    loaded = torch.load(tmp_path / "w.pt", mmap=True)
    assert loaded["a"].tolist() == [1, 1, 1]
    assert loaded["b"].tolist() == [0, 1, 2, 3, 4]


def test_attributes_and_buffers():
    tensor, parameter = torch.ones(2), torch.nn.Parameter(torch.ones(1))
    tensor.note, parameter.tag = "kept", [1]
    ours = through(torch.save, tg.load, [tensor, parameter, torch.nn.Buffer(torch.zeros(1))])
    assert (ours[0].note, ours[1].tag) == ("kept", [1])
    assert isinstance(ours[2], tg.nn.Buffer)
    theirs = through(tg.save, torch.load, ours)
    assert (theirs[0].note, theirs[1].tag) == ("kept", [1])
    assert isinstance(theirs[2], torch.nn.Buffer)


def test_half_of_a_checkpoint_written_without_checksums():
    torch.serialization.set_crc32_options(False)
    try:
        ours = through(torch.save, tg.load, {"a": torch.tensor([1.5], dtype=torch.bfloat16)})
    finally:
        torch.serialization.set_crc32_options(True)
    assert repr(ours["a"]) == "tensor([1.5000])"


def test_a_big_endian_archive():
    theirs = torch.arange(5.0)
    torch.serialization.set_default_load_endianness(None)
    file = io.BytesIO()
    torch.save({"x": theirs}, file)
    little = theirs.numpy().tobytes()
    content = file.getvalue().replace(little, theirs.numpy().astype(">f4").tobytes())
    changed = rewrite(content, byteorder=b"big")
    assert tg.load(io.BytesIO(changed))["x"].tolist() == [0, 1, 2, 3, 4]


def rewrite(content, **entries):
    """The archive with other contents of some entries."""
    import zipfile

    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        old = zipfile.ZipFile(io.BytesIO(content))
        for info in old.infolist():
            name = info.filename.rpartition("/")[2]
            with old.open(info) as entry:
                entry._expected_crc = None
                new.writestr(info.filename, entries.get(name) or entry.read())
    return out.getvalue()


class Unknown:
    pass


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Unknown(), "test_serialization.Unknown"),
        (torch.nn.Linear(1, 1), "torch.nn.modules.linear.Linear"),
        (torch.ones(2, dtype=torch.complex64), "torch.ComplexFloatStorage"),
        (torch.float8_e5m2, "torch.float8_e5m2"),
        (torch.ones(2).to_sparse(), "torch._utils._rebuild_sparse_tensor"),
        (print, "builtins.print"),
        (np.ones(2), "_reconstruct"),
    ],
)
def test_what_is_refused_is_named(value, named):
    with pytest.raises(tg.errors.CheckpointError, match="Unsupported global") as error:
        through(torch.save, tg.load, {"x": value})
    assert named in str(error.value)


@given(
    st.dictionaries(st.text(min_size=1, max_size=5), st.sampled_from(DTYPES), max_size=4),
)
def test_safetensors_both_ways(names):
    package = pytest.importorskip("safetensors.torch")
    theirs = {name: torch.arange(6).view(2, 3).to(getattr(torch, dtype)) for name, dtype in names.items()}
    ours = tg.load(io.BytesIO(package.save(theirs)))
    assert set(ours) == set(theirs)
    for name in theirs:
        assert_same_nest(ours[name], theirs[name])
    file = io.BytesIO()
    tg.save(ours, file, format="safetensors")
    back = package.load(file.getvalue())
    for name in theirs:
        assert_same_nest(ours[name], back[name])
