"""Damaged and malicious checkpoints: one clear error, nothing executed, nothing large allocated."""

import contextlib
import io
import os
import pickle
import random
import struct
import tracemalloc
import zipfile

import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import CheckpointError, DataError

executed = []


def run(*arguments):
    executed.append(arguments)


class Calls:
    """Pickled, it asks to be unpickled by a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def archive(pickled, entries=(), compression=zipfile.ZIP_STORED):
    """A zip archive as torch.save writes it, with this pickle."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as file:
        file.writestr("m/data.pkl", pickled)
        for name, content in dict(entries).items():
            file.writestr(f"m/{name}", content)
        file.writestr("m/version", b"3\n")
    return out.getvalue()


def legacy(pickled, keys=(), storages=b""):
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    return b"".join(pickle.dumps(part, 2) for part in head) + pickled + pickle.dumps(list(keys), 2) + storages


def refuse(content, error=DataError, match=None):
    """Assert that loading raises our error, executes nothing, and takes little memory."""
    executed.clear()
    tracemalloc.start()
    try:
        with pytest.raises(error, match=match) as caught:
            tg.load(io.BytesIO(content), weights_only=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert not executed
    assert peak < 50e6 + 50 * len(content)
    assert len(str(caught.value)) < 700
    return str(caught.value)


def tensor_pickle(offset=0, size=(2,), stride=(1,), numel=2, key="0", kind="FloatStorage"):
    """The pickle of one tensor, with everything about it as claimed."""
    out = bytearray(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((")
    for part in ("storage", None, key, "cpu", numel):
        out += f"ctorch\n{kind}\n".encode() if part is None else pickle.dumps(part, 2)[2:-1]
    out += b"tQ"
    for part in (offset, size, stride, False):
        out += pickle.dumps(part, 2)[2:-1]
    return bytes(out + b"ccollections\nOrderedDict\n)RtR.")


def test_the_honest_form_of_these_files_is_read():
    storage = struct.pack("<2f", 1, 2)
    assert tg.load(io.BytesIO(archive(tensor_pickle(), {"data/0": storage}))).tolist() == [1, 2]
    assert tg.load(io.BytesIO(legacy(tensor_pickle(), ["0"], struct.pack("<q", 2) + storage))).tolist() == [1, 2]


CALLS = [
    (Calls(os.system, "exit 1"), "system"),
    (Calls(eval, "1"), "builtins.eval"),
    (Calls(exec, "1"), "builtins.exec"),
    (Calls(getattr, "", "join"), "builtins.getattr"),
    (Calls(run), "test_serialization_hostile.run"),
    (Calls(__import__, "os"), "__import__"),
    ([{"deep": (Calls(run, 1),)}], "test_serialization_hostile.run"),
    (os.system, "system"),
    (io.BytesIO, "BytesIO"),
]


@pytest.mark.parametrize("protocol", range(5))
@pytest.mark.parametrize(("value", "named"), CALLS, ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("form", [archive, legacy])
def test_a_call_is_refused_by_name(value, named, protocol, form):
    message = refuse(form(pickle.dumps(value, protocol)), pickle.UnpicklingError)
    assert named in message or "opcode" in message  # protocol 0 has other opcodes


@pytest.mark.parametrize(
    "pickled",
    {
        "attributes of a builder": b"\x80\x02ctorch\nSize\n}X\x04\x00\x00\x00nameX\x01\x00\x00\x00xsb.",
        "slots of a builder": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x05\x00\x00\x00buildNs\x86b.",
        "a builder as the value": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n.",
        "a builder in a list": b"\x80\x02]ctorch\nSize\na.",
        "a storage class as the value": b"\x80\x02ctorch\nFloatStorage\n.",
        "methods hidden by attributes": b"\x80\x02ccollections\nOrderedDict\n)R}X\x05\x00\x00\x00itemsK\x01sb.",
        "dunder attributes": b"\x80\x02ccollections\nOrderedDict\n)R}X\x09\x00\x00\x00__class__K\x01sb.",
        "a call of a string": b"\x80\x02X\x06\x00\x00\x00system)R.",
        "a call of a dict": b"\x80\x02}(K\x01tR.",
        "a dotted name": b"\x80\x04\x8c\x0ccollections.\x94\x8c\x14OrderedDict.__init__\x94\x93.",
        "a name through the package": b"\x80\x02ctorch\n_utils.os.system\n.",
        "an instance": b"(icollections\nOrderedDict\n.",
        "an object": b"(ccollections\nOrderedDict\no.",
        "an extension": b"\x80\x02\x82\x01.",
        "a text id": b"Pstorage\n.",
        "keyword arguments": b"\x80\x04ccollections\nOrderedDict\n)}\x92.",
        "an id that is no storage": b"\x80\x02K\x01Q.",
        "a Size of a string": b"\x80\x02ctorch\nSize\nX\x01\x00\x00\x00a\x85R.",
        "ten gigabytes": b"\x80\x02cbuiltins\nbytearray\nJ\x00\xe4\x0bT\x85R.",
        "bytes by a codec": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00zip\x86R.",
        "a long string": b"\x80\x02X\xff\xff\xff\x7fa.",
        "a very long string": b"\x80\x04\x8d" + struct.pack("<Q", 10**12) + b"a.",
        "a very long number": b"\x80\x02\x8b\xff\xff\xff\x7f\x01.",
        "a memo of gigabytes": b"\x80\x02]r\xff\xff\xff\x7f0h\x01.",
        "an empty stack": b"\x80\x020000.",
        "tuples from nothing": b"\x80\x02\x87.",
        "elements of nothing": b"\x80\x02(e.",
        "an unknown opcode": b"\x80\x02\xff.",
        "a list as a key": b"\x80\x02}]K\x01s.",
        "a plain Tensor": b"\x80\x02ctorch\nTensor\nJ\x00\xe4\x0bT\x85R.",
        "no end": b"\x80\x02}",
        "nothing": b"",
    }.items(),
    ids=lambda item: item[0],
)
def test_tricks_of_the_pickle(pickled):
    refuse(archive(pickled[1]), CheckpointError)


def test_builders_stay_as_they_are():
    """What a hostile file did to the reader before must not reach the next file."""
    refuse(archive(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x05\x00\x00\x00buildNs\x86b."))
    test_the_honest_form_of_these_files_is_read()


def test_nests_that_grow_by_themselves():
    tuples = (
        b"K\x01q\x00" + b"h\x00h\x00\x86q\x00" * 60
    )  # a tuple of two of the one before, 60 times: 2**60 elements to hash
    refuse(archive(b"\x80\x02" + tuples + b"}h\x00K\x01s."), match="key")
    numbers = b"](" + b"K\x01" * 10_000 + b"eq\x00"
    copies = b"".join(b"cbuiltins\nset\nh\x00\x85R" for _ in range(10_000))
    refuse(archive(b"\x80\x02" + numbers + copies + b"."), match="larger than the file")


@pytest.mark.parametrize(
    "opcode", [b"]" * 100_000 + b"a" * 99_999, b"N" + b"\x85" * 100_000, b"(" * 100_000 + b"t" * 100_000]
)
def test_nests_too_deep_to_walk(opcode):
    refuse(archive(b"\x80\x02" + opcode + b"."), match="deep")


WRONG = [
    dict(size=(3,)),
    dict(offset=1),
    dict(stride=(2,)),
    dict(size=(-1,)),
    dict(stride=(-1,)),
    dict(offset=-1),
    dict(size=(2, 2), stride=(2, 1)),
    dict(size=(2, 2)),
    dict(size=(2**62, 2**62), stride=(0, 0)),
    dict(size=(10**10,)),
    dict(size=(2**63,), stride=(2**63,)),
    dict(size=(2,), stride=(2**80,)),
    dict(size=(1,) * 100, stride=(1,) * 100),
    dict(size=(0,), offset=2**70),
    dict(size=(True,)),
    dict(size=(1.0,)),
    dict(size=[2]),
    dict(size="ab"),
    dict(numel=3),
    dict(numel=10**10, size=(10**10,)),
    dict(numel=-1),
    dict(numel=2**100),
    dict(numel=1),
    dict(key="1"),
    dict(key="../version"),
    dict(key=5),
    dict(kind="DoubleStorage"),
    dict(kind="HalfStorage"),
    dict(kind="ComplexFloatStorage"),
    dict(kind="_C"),
]


@pytest.mark.parametrize("claims", WRONG, ids=str)
def test_a_tensor_outside_its_storage(claims):
    storage = struct.pack("<2f", 1, 2)
    refuse(archive(tensor_pickle(**claims), {"data/0": storage}))
    if claims.get("key", "0") == "0" and claims.get("kind") != "HalfStorage":  # more may follow in the legacy format
        numel = claims.get("numel", 2)
        length = numel.to_bytes(20, "little", signed=True)[:8]
        refuse(legacy(tensor_pickle(**claims), ["0"], length + storage))


def test_storages_of_the_legacy_format():
    storage = struct.pack("<q2f", 2, 1, 2)
    refuse(legacy(tensor_pickle(), [], storage), match="missing")
    refuse(legacy(tensor_pickle(), ["0", "1"], storage), match="no tensor")
    refuse(legacy(tensor_pickle(), ["0"], storage[:-1]), match="truncated")
    refuse(legacy(tensor_pickle(), [["0"]], storage))
    refuse(legacy(tensor_pickle())[:30])


def test_archives_with_false_sizes():
    good = archive(tensor_pickle(), {"data/0": b"\0" * 8})
    refuse(archive(tensor_pickle(), {"data/0": b"\0" * 8}, zipfile.ZIP_DEFLATED), match="compressed")
    bomb = archive(tensor_pickle(numel=25_000_000), {"data/0": b"\0" * 100_000_000}, zipfile.ZIP_DEFLATED)
    refuse(bomb)
    where = good.index(b"PK\x01\x02", good.index(b"PK\x01\x02") + 4)  # data/0 in the directory
    for claimed in (10**9, 2**32 - 2, 4, 0):
        sizes = struct.pack("<2I", claimed, claimed)
        refuse(good[: where + 20] + sizes + good[where + 28 :])
    for offset in (10**9, 7, 2**32 - 2):
        refuse(good[: where + 42] + struct.pack("<I", offset) + good[where + 46 :])
    damaged = good.replace(b"\0" * 8, b"\0" * 7 + b"\1")
    refuse(damaged, match="checksum")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty"),
        (b"PK\x03\x04", "zip"),
        (b"GIF89a", "begins with"),
        (pickle.dumps({"a": 1}), "pickle"),
        (b"\0" * 257 + b"ustar" + b"\0" * 250, "tar format"),
        (archive(b"N.", {"constants.pkl": b"N."}), "TorchScript"),
        (archive(b"N.", {"byteorder": b"middle"}), "byte order"),
        (archive(b"N.", {"x/data.pkl": b"N."}), "one data.pkl"),
    ],
)
def test_other_files(content, match):
    refuse(content, match=match)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("form", ["pth", "npz", "safetensors", "legacy"])
def test_any_damage_is_our_error(form):
    """A file cut short or with changed bytes is loaded or refused by our error, never anything else."""
    if form == "safetensors":
        pytest.importorskip("safetensors")
    if form == "legacy":
        content = legacy(tensor_pickle(), ["0"], struct.pack("<q2f", 2, 1, 2))
    else:
        file = io.BytesIO()
        value = {"a": tg.ones(2, 3), "b": tg.arange(4)}
        tg.save(value if form == "safetensors" else {**value, "c": [1, "x", (2.5, None)]}, file, format=form)
        content = file.getvalue()
    random.seed(0)
    for trial in range(600):
        changed = bytearray(content)
        if trial % 3 == 0:
            del changed[random.randrange(len(changed)) :]
        else:
            for _ in range(random.choice([1, 1, 2, 8])):
                changed[random.randrange(len(changed))] = random.choice([0, 1, 0x7F, 0xFF, random.randrange(256)])
        with contextlib.suppress(tg.errors.TinygradError):
            tg.load(io.BytesIO(changed))


@pytest.mark.parametrize(
    "location", ["cpu", tg.device("cpu"), {"cuda:0": "cpu"}, lambda s, where: s, lambda s, _: s.cpu()]
)
def test_map_location_to_the_cpu(location, tmp_path):
    tg.save(tg.ones(1), tmp_path / "x.pt")
    assert tg.load(tmp_path / "x.pt", map_location=location).tolist() == [1]


@pytest.mark.parametrize(
    "settings",
    [
        dict(map_location="cuda"),
        dict(map_location={"cpu": "cuda:0"}),
        dict(map_location=lambda storage, where: 5),
        dict(mmap=True),
        dict(pickle_module=pickle),
    ],
)
def test_what_cannot_be_honoured_raises(settings):
    with pytest.raises((NotImplementedError, RuntimeError)) as caught:
        tg.load(io.BytesIO(archive(b"N.")), **settings)
    assert isinstance(caught.value, tg.errors.TinygradError)


@pytest.mark.parametrize(
    "value",
    [tg.nn.Linear(1, 1), {"a": object()}, [lambda: 0], 2**3000, tg.nn.UninitializedParameter()],
    ids=lambda v: type(v).__name__,
)
def test_what_cannot_be_saved(value, tmp_path):
    with pytest.raises((TypeError, ValueError), match="save"):
        tg.save(value, tmp_path / "x.pt")
    assert not list(tmp_path.iterdir())
