"""Module and containers: the same code on both libraries gives the same names, texts, values and errors."""

import copy
import inspect
import pickle
from collections import OrderedDict, namedtuple

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import compare_error, torch


def same(call):
    """Assert that ``call(library)`` is equal on both libraries."""
    theirs, ours = call(torch), call(tg)
    assert ours == theirs
    return ours


def block(T, channels=2, bias=True):
    """A module with parameters, buffers of both kinds, a None of each, and children."""

    class Block(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = T.nn.Parameter(T.ones(channels))
            self.register_parameter("bias", T.nn.Parameter(T.zeros(channels)) if bias else None)
            self.register_buffer("mean", T.zeros(channels))
            self.register_buffer("count", T.tensor(0), persistent=True)
            self.register_buffer("cache", T.zeros(1), persistent=False)
            self.register_buffer("nothing", None)
            self.flat = T.nn.Flatten()

        def forward(self, x):
            out = self.flat(x) * self.weight
            return out if self.bias is None else out + self.bias

        def extra_repr(self):
            return f"{channels}"

    return Block()


def net(T):
    class Net(T.nn.Module):
        def __init__(self):
            super().__init__()
            self.features = T.nn.Sequential(OrderedDict([("first", block(T)), ("second", block(T, bias=False))]))
            self.shared = self.features.first
            self.tied = T.nn.ModuleList([T.nn.Linear(2, 2), T.nn.Linear(2, 2, bias=False)])
            self.tied[1].weight = self.tied[0].weight
            self.absent = None
            self.register_module("none", None)

    return Net()


# ---------------------------------------------------------------------------------------------- traversal
TRAVERSALS = [
    lambda m: [n for n, _ in m.named_parameters()],
    lambda m: [n for n, _ in m.named_parameters("x", recurse=False)],
    lambda m: [n for n, _ in m.named_parameters(prefix="model", remove_duplicate=False)],
    lambda m: len(list(m.parameters())),
    lambda m: len(list(m.features.first.parameters(recurse=False))),
    lambda m: [n for n, _ in m.named_buffers()],
    lambda m: [n for n, _ in m.features.first.named_buffers(prefix="p", recurse=False)],
    lambda m: len(list(m.buffers())),
    lambda m: [n for n, _ in m.named_children()],
    lambda m: len(list(m.children())),
    lambda m: [n for n, _ in m.named_modules()],
    lambda m: [n for n, _ in m.named_modules(prefix="top", remove_duplicate=False)],
    lambda m: [n for n, _ in m.named_modules(memo={m.features})],
    lambda m: [type(x).__name__ for x in m.modules()],
    lambda m: list(m.state_dict()),
    lambda m: list(m.state_dict(prefix="module.")),
    lambda m: dict(m.state_dict()._metadata),
    lambda m: [p.requires_grad for p in m.state_dict(keep_vars=True).values()],
    lambda m: [p.requires_grad for p in m.state_dict().values()],
    lambda m: repr(m),
    lambda m: m.get_submodule("features.second.flat") is m.features.second.flat,
    lambda m: m.get_submodule("") is m,
    lambda m: m.get_parameter("tied.0.weight") is m.tied[0].weight,
    lambda m: m.get_buffer("features.first.mean") is m.features.first.mean,
    lambda m: [m.eval().training, m.features.first.training, m.train().tied.training],
    lambda m: [p.requires_grad for p in m.requires_grad_(False).parameters()],
    lambda m: [type(x).__name__ for x in record_apply(m)],
    lambda m: [str(t.dtype) for t in m.double().state_dict().values()],
    lambda m: [str(t.dtype) for t in m.half().features.first.buffers()],
    lambda m: sorted(set(m.__dir__()) & {"features", "tied", "weight", "0", "training"}),
    lambda m: "0" in dir(m.tied),
    lambda m: m.tied[0].weight is m.double().tied[1].weight,
]


def record_apply(module):
    seen = []
    module.apply(seen.append)
    return seen


@pytest.mark.parametrize("call", TRAVERSALS)
def test_traversal(call):
    same(lambda T: call(net(T)))


TO = [
    lambda T, m: m.to(T.float64),
    lambda T, m: m.to("cpu"),
    lambda T, m: m.to(T.device("cpu")),
    lambda T, m: m.to(T.device("cpu"), T.float64),
    lambda T, m: m.to("cpu", T.float64, True),
    lambda T, m: m.to(T.zeros(1, dtype=T.float64)),
    lambda T, m: m.to(dtype=T.float16),
    lambda T, m: m.to(device="cpu", dtype=T.float64, non_blocking=False),
    lambda T, m: m.to(tensor=T.zeros(1, dtype=T.float64)),
    lambda T, m: m.double().float(),
    lambda T, m: m.type(T.float64),
    lambda T, m: m.cpu(),
]


@pytest.mark.parametrize("call", TO)
def test_to(call):
    def run(T):
        m = block(T)
        weight = m.weight
        m.weight.grad = T.ones(2)
        assert call(T, m) is m
        assert m.weight is weight
        out = (m.weight.sum() + m.mean.sum()).dtype
        m.weight.sum().backward()
        return [str(t.dtype) for t in (m.weight, m.weight.grad, m.mean, m.count)], str(out), m.weight.grad.tolist()

    same(run)


# -------------------------------------------------------------------------------------- setting, deleting
def plain(T):
    return T.nn.Module()


SETTINGS = [
    lambda T, m: m.register_buffer("b", T.zeros(1)) or setattr(m, "b", T.ones(1)),
    lambda T, m: m.register_buffer("b", T.zeros(1), persistent=False) or setattr(m, "b", T.ones(1)),
    lambda T, m: m.register_buffer("b", T.zeros(1)) or setattr(m, "b", None),
    lambda T, m: m.register_buffer("b", T.zeros(1)) or setattr(m, "b", T.nn.Parameter(T.ones(1))),
    lambda T, m: m.register_buffer("b", T.zeros(1)) or delattr(m, "b"),
    lambda T, m: setattr(m, "b", T.nn.Buffer(T.ones(1))),
    lambda T, m: setattr(m, "b", T.nn.Buffer(T.ones(1), persistent=False)),
    lambda T, m: setattr(m, "p", T.nn.Parameter(T.ones(1))) or setattr(m, "p", None),
    lambda T, m: setattr(m, "p", T.nn.Parameter(T.ones(1))) or setattr(m, "p", T.nn.Parameter(T.zeros(1))),
    lambda T, m: setattr(m, "p", T.nn.Parameter(T.ones(1))) or delattr(m, "p"),
    lambda T, m: setattr(m, "p", 3) or setattr(m, "p", T.nn.Parameter(T.ones(1))),
    lambda T, m: setattr(m, "p", T.nn.Parameter(T.ones(1))) or setattr(m, "q", m.p),
    lambda T, m: setattr(m, "c", T.nn.Identity()) or setattr(m, "c", None),
    lambda T, m: setattr(m, "c", T.nn.Identity()) or setattr(m, "c", T.nn.Flatten()),
    lambda T, m: setattr(m, "c", T.nn.Identity()) or delattr(m, "c"),
    lambda T, m: setattr(m, "c", 3) or setattr(m, "c", T.nn.Identity()),
    lambda T, m: m.add_module("c", T.nn.Identity()) or m.register_module("d", m.c),
    lambda T, m: m.register_parameter("c", None) or setattr(m, "c", T.nn.Parameter(T.zeros(2))),
    lambda T, m: setattr(m, "t", T.ones(1)),
    lambda T, m: setattr(m, "l", [T.nn.Parameter(T.ones(1))]),
    lambda T, m: m.set_submodule("c", T.nn.Identity()) or m.set_submodule("c", T.nn.Flatten(), strict=True),
]


@pytest.mark.parametrize("call", SETTINGS)
def test_setting_attributes(call):
    def run(T):
        m = plain(T)
        call(T, m)
        return (
            list(m._parameters),
            list(m._buffers),
            list(m._modules),
            sorted(m._non_persistent_buffers_set),
            sorted(set(m.__dict__) & {"b", "p", "c", "t", "l"}),
            list(m.state_dict()),
            repr(m),
        )

    same(run)


class Bare:
    """A mixin; what is set on it goes nowhere."""


def before_init(T, value):
    class M(T.nn.Module):
        def __init__(self):
            self.x = value

    return M


ERRORS = [
    lambda T: before_init(T, T.nn.Parameter(T.ones(1)))(),
    lambda T: before_init(T, T.nn.Identity())(),
    lambda T: before_init(T, T.nn.Buffer(T.ones(1)))(),
    lambda T: plain(T).missing,
    lambda T: delattr(plain(T), "missing"),
    lambda T: setattr(block(T), "weight", T.ones(2)),
    lambda T: setattr(block(T), "flat", 3),
    lambda T: setattr(block(T), "mean", 3),
    lambda T: plain(T).register_parameter("a.b", None),
    lambda T: plain(T).register_parameter("", None),
    lambda T: plain(T).register_parameter(3, None),
    lambda T: plain(T).register_parameter("forward", None),
    lambda T: plain(T).register_parameter("w", T.ones(1)),
    lambda T: plain(T).register_parameter("w", "text"),
    lambda T: plain(T).register_parameter("w", 2.5),
    lambda T: plain(T).register_buffer("a.b", None),
    lambda T: plain(T).register_buffer("", None),
    lambda T: plain(T).register_buffer(3, None),
    lambda T: block(T).register_buffer("weight", T.ones(1)),
    lambda T: plain(T).register_buffer("w", 3),
    lambda T: plain(T).add_module("a.b", None),
    lambda T: plain(T).add_module("", None),
    lambda T: plain(T).add_module(3, None),
    lambda T: block(T).add_module("weight", None),
    lambda T: plain(T).add_module("m", 3),
    lambda T: plain(T)(3),
    lambda T: T.nn.Module(3),
    lambda T: T.nn.Module(x=3),
    lambda T: plain(T).train("yes"),
    lambda T: plain(T).to(T.int64),
    lambda T: plain(T).to(T.zeros(1, dtype=T.int64)),
    lambda T: plain(T).to("gpu"),
    lambda T: plain(T).to(nothing=3),
    lambda T: block(T).get_submodule("flat.x"),
    lambda T: block(T).get_submodule("weight"),
    lambda T: block(T).get_parameter("mean"),
    lambda T: block(T).get_parameter("gamma"),
    lambda T: block(T).get_buffer("weight"),
    lambda T: block(T).set_submodule("", T.nn.Identity()),
    lambda T: block(T).set_submodule("x.y", T.nn.Identity()),
    lambda T: block(T).set_submodule("weight", T.nn.Identity()),
    lambda T: block(T).set_submodule("x", 3),
    lambda T: block(T).set_submodule("x", T.nn.Identity(), strict=True),
    lambda T: T.nn.Parameter(T.ones(1, dtype=T.int64)),
    lambda T: plain(T).load_state_dict(3),
    lambda T: block(T).load_state_dict({}),
    lambda T: block(T).load_state_dict({**block(T).state_dict(), "extra": T.ones(1)}),
    lambda T: block(T).load_state_dict({**block(T).state_dict(), "flat.x": T.ones(1), "no.x": T.ones(1)}),
    lambda T: block(T).load_state_dict({**block(T).state_dict(), "weight": T.ones(3)}, strict=False),
    lambda T: block(T).load_state_dict({**block(T).state_dict(), "weight": 3}),
    lambda T: net(T).load_state_dict(OrderedDict(block(T).state_dict())),
    lambda T: T.nn.Sequential(3),
    lambda T: T.nn.Sequential(T.nn.Identity())[1],
    lambda T: T.nn.Sequential(T.nn.Identity())[-2],
    lambda T: T.nn.Sequential(T.nn.Identity()) + T.nn.Identity(),
    lambda T: T.nn.Sequential(T.nn.Identity()) * 0,
    lambda T: T.nn.Sequential(T.nn.Identity()) * 1.5,
    lambda T: T.nn.Sequential(T.nn.Identity()).insert(3, T.nn.Identity()),
    lambda T: T.nn.Sequential(T.nn.Identity()).append(3),
    lambda T: T.nn.ModuleList([3]),
    lambda T: T.nn.ModuleList(3),
    lambda T: T.nn.ModuleList([])[0],
    lambda T: T.nn.ModuleList([T.nn.Identity()])(3),
    lambda T: T.nn.ModuleDict(3),
    lambda T: T.nn.ModuleDict([3]),
    lambda T: T.nn.ModuleDict([("a", T.nn.Identity(), 3)]),
    lambda T: T.nn.ModuleDict({"pop": T.nn.Identity()}),
    lambda T: T.nn.ModuleDict({"a.b": T.nn.Identity()}),
    lambda T: T.nn.ParameterList(3),
    lambda T: T.nn.ParameterList([])[0],
    lambda T: T.nn.ParameterList([])(),
    lambda T: T.nn.ParameterDict(3),
    lambda T: T.nn.ParameterDict([("a",)]),
    lambda T: T.nn.ParameterDict({})(3),
    lambda T: T.nn.ParameterDict({1: T.ones(1)}),
    lambda T: T.nn.Unflatten(1, 3),
    lambda T: T.nn.Unflatten(1, (2.0, 3)),
    lambda T: T.nn.Linear(3, 2)(T.ones(4, 5)),
    lambda T: T.nn.Linear(3, 2)(T.ones(4, 3, dtype=T.float64)),
    lambda T: T.nn.LazyLinear(3).weight.shape,
    lambda T: T.nn.Linear(2, 3).load_state_dict(T.nn.LazyLinear(3).state_dict()),
]


@pytest.mark.parametrize("call", ERRORS)
def test_errors(call):
    compare_error(call)


WORDS = [
    lambda T: before_init(T, T.nn.Parameter(T.ones(1)))(),
    lambda T: before_init(T, T.nn.Identity())(),
    lambda T: plain(T).missing,
    lambda T: setattr(block(T), "flat", 3),
    lambda T: plain(T).register_parameter("a.b", None),
    lambda T: plain(T).register_buffer("forward", None),
    lambda T: plain(T).add_module("m", 3),
    lambda T: plain(T)(3),
    lambda T: plain(T).train("yes"),
    lambda T: block(T).get_submodule("x"),
    lambda T: block(T).get_parameter("mean"),
    lambda T: block(T).load_state_dict({"extra": T.ones(1), "weight": T.ones(3), "bias": T.ones(2, 2)}),
    lambda T: T.nn.Sequential(T.nn.Identity())[1],
    lambda T: T.nn.ParameterList([])(),
]


@pytest.mark.parametrize("call", WORDS)
def test_error_texts_are_pytorchs(call):
    def text(T):
        with pytest.raises(Exception) as caught:
            call(T)
        return str(caught.value)

    theirs, ours = text(torch), text(tg)
    assert ours.split(", got")[0].rstrip("'") == theirs.split(", got")[0].rstrip("'")


# --------------------------------------------------------------------------------------------- containers
def layers(T, n=3):
    return [T.nn.Flatten(i) for i in range(n)]


CONTAINERS = [
    lambda T, nn: nn.Sequential(),
    lambda T, nn: nn.Sequential(OrderedDict([("a", nn.Identity()), ("b", nn.Flatten())])),
    lambda T, nn: nn.Sequential(*layers(T))[1:],
    lambda T, nn: nn.Sequential(OrderedDict(a=nn.Identity(), b=nn.Flatten()))[:1],
    lambda T, nn: nn.Sequential(*layers(T))[-1],
    lambda T, nn: nn.Sequential(*layers(T)).append(nn.Identity()),
    lambda T, nn: nn.Sequential(*layers(T)).insert(1, nn.Identity()),
    lambda T, nn: nn.Sequential(*layers(T)).insert(-1, nn.Identity()),
    lambda T, nn: nn.Sequential(*layers(T)).extend(nn.Sequential(nn.Identity())),
    lambda T, nn: nn.Sequential(*layers(T)) + nn.Sequential(nn.Identity()),
    lambda T, nn: nn.Sequential(*layers(T)) * 2,
    lambda T, nn: 2 * nn.Sequential(nn.Identity()),
    lambda T, nn: nn.ModuleList(layers(T)),
    lambda T, nn: nn.ModuleList([nn.Sequential(nn.Identity(), nn.Flatten()) for _ in range(4)] + [nn.Identity()]),
    lambda T, nn: nn.ModuleList(layers(T))[:2],
    lambda T, nn: nn.ModuleList(layers(T))[-1],
    lambda T, nn: nn.ModuleList(layers(T)) + nn.ModuleList([nn.Identity()]),
    lambda T, nn: nn.ModuleList(m for m in layers(T)).append(nn.Identity()),
    lambda T, nn: nn.ModuleList(),
    lambda T, nn: nn.ModuleList([nn.ModuleList([nn.Identity()] * 2), nn.ModuleDict({"x": nn.Identity()})]),
    lambda T, nn: nn.ModuleDict({"b": nn.Identity(), "a": nn.Flatten()}),
    lambda T, nn: nn.ModuleDict([("b", nn.Identity()), ["a", nn.Flatten()]]),
    lambda T, nn: nn.ModuleDict(nn.ModuleDict({"b": nn.Identity()})),
    lambda T, nn: nn.ParameterList([T.ones(2, 3), nn.Parameter(T.ones(1, dtype=T.float64)), "text", 3]),
    lambda T, nn: nn.ParameterList([T.ones(2), T.ones(3)])[1:],
    lambda T, nn: nn.ParameterList([T.ones(2)]).append(T.ones(())),
    lambda T, nn: nn.ParameterList(),
    lambda T, nn: nn.ParameterDict(OrderedDict(b=3, a="x")),
    lambda T, nn: nn.ParameterDict({"b": 3, "a": "x"}) | nn.ParameterDict({"c": None}),
    lambda T, nn: nn.ParameterDict([("b", 1), ("a", 2)]).copy(),
    lambda T, nn: nn.Identity(3, unused=True),
    lambda T, nn: nn.Linear(3, 4, bias=False),
    lambda T, nn: nn.Flatten(0, -2),
    lambda T, nn: nn.Unflatten(1, (2, -1)),
    lambda T, nn: nn.LazyLinear(3),
    lambda T, nn: nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.Identity(), nn.Sequential())),
]


@pytest.mark.parametrize("call", CONTAINERS)
def test_container_texts(call):
    same(lambda T: repr(call(T, T.nn)))


def test_container_protocols():
    def run(T):
        nn = T.nn
        log = []
        s = nn.Sequential(*layers(T, 4))
        log += [len(s), repr(s.pop(1)), repr(s.pop(slice(0, 2))), repr(s)]
        s[0] = nn.Identity()
        s += nn.Sequential(nn.Flatten())
        s *= 2
        del s[1]
        del s[1:]
        log += [repr(s), repr(list(s)), list(s._modules)]
        ml = nn.ModuleList(layers(T, 4))
        ml += [nn.Identity()]
        ml.insert(1, nn.Identity())
        log += [repr(ml.pop(-1)), len(ml)]
        del ml[0]
        del ml[::2]
        ml[0] = nn.Identity()
        log += [repr(ml), list(ml._modules), ml[0] in list(ml)]
        md = nn.ModuleDict({"a": nn.Identity()})
        md["b"] = nn.Flatten()
        md.update({"c": nn.Identity()})
        log += [list(md), list(md.keys()), [repr(v) for v in md.values()], [k for k, _ in md.items()], "a" in md]
        log += [repr(md.pop("a")), len(md)]
        del md["b"]
        md.clear()
        log += [repr(md)]
        pl = nn.ParameterList([T.ones(2), 3])
        pl += [T.zeros(1)]
        pl[0] = T.zeros(3)
        log += [len(pl), [n for n, _ in pl.named_parameters()], [type(x).__name__ for x in pl], pl[-2]]
        pd = nn.ParameterDict({"b": T.ones(1), "a": 2})
        log += [list(pd), pd.get("z", 5), pd.setdefault("z"), pd.popitem(), list(reversed(pd)), "a" in pd]
        log += [[n for n, _ in pd.named_parameters()], pd.pop("a"), list(pd.fromkeys(["x"], 1).items()), len(pd)]
        pd |= {"q": 1}
        log += [sorted(pd.keys()), len(list(pd.values()))]
        pd.clear()
        return [*log, len(pd)]

    same(run)


# ----------------------------------------------------------------------------------------- state and hooks
def versioned(T):
    class Versioned(T.nn.Module):
        _version = 2

        def __init__(self):
            super().__init__()
            self.gamma = T.nn.Parameter(T.ones(1))

        def _load_from_state_dict(
            self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        ):
            if local_metadata.get("version", 1) < 2 and prefix + "scale" in state_dict:
                state_dict[prefix + "gamma"] = state_dict.pop(prefix + "scale")
            super()._load_from_state_dict(
                state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
            )

        def get_extra_state(self):
            return {"epoch": 3}

        def set_extra_state(self, state):
            self.extra = state

    return Versioned()


def test_versions_and_extra_state():
    def run(T):
        m = T.nn.Sequential(versioned(T))
        state = m.state_dict()
        old = OrderedDict([("0.scale", T.full((1,), 7.0)), ("0._extra_state", 5)])
        keys = m.load_state_dict(old)
        value = m[0].gamma.item()
        loose = m.load_state_dict(OrderedDict([("other", T.ones(1))]), strict=False)
        return list(state), state["0._extra_state"], dict(state._metadata), repr(keys), value, m[0].extra, loose[:]

    same(run)


def test_loading():
    def run(T):
        m = block(T)
        weight, bias = m.weight, m.bias
        given = {**m.state_dict(), "weight": T.tensor([3.0, 4.0], dtype=T.float64), "count": T.tensor([5])}
        keys = m.load_state_dict(given)
        log = [keys == ([], []), m.weight is weight, m.weight.tolist(), str(m.weight.dtype), m.count.item()]
        m.load_state_dict({"weight": T.tensor([1.0, 2.0], dtype=T.float64)}, strict=False, assign=True)
        log += [
            m.weight is weight,
            m.bias is bias,
            str(m.weight.dtype),
            type(m.weight).__name__,
            m.weight.requires_grad,
        ]
        state = m.state_dict()
        with T.no_grad():
            m.bias += 1
        log += [state["bias"].tolist(), state["bias"].requires_grad]
        destination = OrderedDict()
        log += [m.state_dict(destination=destination, prefix="a.") is destination, list(destination)]
        with pytest.warns(FutureWarning):
            log += [list(m.state_dict(OrderedDict(), "b."))]
        return log

    same(run)


def test_state_hooks():
    def run(T):
        m = T.nn.Sequential(T.nn.Linear(1, 1), T.nn.Flatten())
        log = []
        m[0].register_state_dict_pre_hook(lambda mod, prefix, keep: log.append(("pre", prefix, keep)))
        m[0].register_state_dict_post_hook(lambda mod, d, prefix, meta: d.pop(prefix + "bias") and None)
        m._register_state_dict_hook(lambda mod, d, prefix, meta: OrderedDict(renamed=d["0.weight"]))
        log.append(list(m.state_dict()))
        m[0].register_load_state_dict_pre_hook(
            lambda mod, d, prefix, meta, strict, missing, unexpected, errors: log.append(
                (type(mod).__name__, prefix, strict)
            )
        )
        m._register_load_state_dict_pre_hook(lambda d, prefix, *rest: d.update({"0.weight": d.pop("renamed")}))
        handle = m.register_load_state_dict_post_hook(lambda mod, keys: keys.missing_keys.clear())
        log.append(repr(m.load_state_dict({"renamed": T.ones(1, 1)})))
        handle.remove()
        with pytest.raises(RuntimeError, match="Missing key"):
            m.load_state_dict({"renamed": T.ones(1, 1)})
        return log

    same(run)


def test_forward_hooks():
    def run(T):
        m = T.nn.Linear(1, 1, bias=False)
        m.weight.data.fill_(2.0)
        log = []
        x = T.ones(1, 1)
        handles = [
            m.register_forward_hook(lambda mod, args, out: log.append(("after", len(args), out.item()))),
            m.register_forward_hook(lambda mod, args, out: out * 10, prepend=True),
            m.register_forward_pre_hook(lambda mod, args: log.append("before")),
            m.register_forward_pre_hook(lambda mod, args: args[0] + 1, prepend=True),
            m.register_forward_pre_hook(lambda mod, args, kwargs: ((), {"input": args[0] * 3}), with_kwargs=True),
            m.register_forward_hook(lambda mod, args, kwargs, out: log.append(sorted(kwargs)), with_kwargs=True),
        ]
        log.append(m(x).item())
        for handle in handles[1:]:
            handle.remove()
        log.append(m(input=x).item())
        with m.register_forward_hook(lambda *a: 7, always_call=True):
            log.append(m(x))
        m.register_forward_hook(lambda mod, args, out: log.append(("always", out)), always_call=True)
        with pytest.raises(Exception):  # noqa: B017  # the two libraries' own
            m("text")
        m.register_forward_pre_hook(lambda mod, args, kwargs: 3, with_kwargs=True)
        with pytest.raises(RuntimeError, match="forward pre-hook must return None or a tuple"):
            m(x)
        return log

    same(run)


Pair = namedtuple("Pair", "a b")


def test_backward_hooks():
    def run(T):
        class Two(T.nn.Module):
            def forward(self, x, y, scale):
                return x * y, x * scale

        def numbers(gradients):
            return [None if g is None else g.tolist() for g in gradients]

        m = Two()
        log = []
        m.register_full_backward_hook(lambda mod, gi, go: log.append(("a", numbers(gi), numbers(go))))
        m.register_full_backward_hook(lambda mod, gi, go: (gi[0] * 10, gi[1], None))
        m.register_full_backward_hook(lambda mod, gi, go: log.append(("first", numbers(gi))), prepend=True)
        m.register_full_backward_pre_hook(lambda mod, go: log.append(("pre", numbers(go))))
        m.register_full_backward_pre_hook(lambda mod, go: (go[0] if go[0] is None else go[0] * 2, go[1]))
        x = T.tensor([2.0], requires_grad=True)
        y = T.tensor([3.0], requires_grad=True)
        out = m(x, y, 5.0)
        log.append(out[0].grad_fn.name() if callable(getattr(out[0].grad_fn, "name", None)) else None)
        (out[0] + out[1]).sum().backward()
        log += [x.grad.tolist(), y.grad.tolist()]
        x.grad = None
        z = T.tensor([4.0])  # an input that needs no gradient
        out = m(x, z, 5.0)
        out[1].sum().backward()
        log += [x.grad.tolist(), z.grad]
        with T.no_grad():
            log.append(m(x, y, 1.0)[0].requires_grad)
        (g,) = T.autograd.grad(m(x, y, 5.0)[0].sum(), x, create_graph=True)
        log.append(g.tolist())
        return log

    same(run)


def test_backward_hooks_without_an_input_that_needs_gradients():
    def run(T):
        m = T.nn.Linear(2, 1)
        m.weight.data.fill_(1.0)
        log = []
        m.register_full_backward_hook(lambda mod, gi, go: log.append((gi, go[0].tolist())))
        out = m(T.ones(1, 2))
        with pytest.warns(UserWarning, match="no inputs require gradients"):
            out.sum().backward()
        return log, m.weight.grad.tolist()

    same(run)


def test_second_derivative_through_hooked_module():
    def run(T):
        class Cube(T.nn.Module):
            def forward(self, x):
                return x * x * x

        m = Cube()
        seen = []
        m.register_full_backward_hook(lambda mod, gi, go: seen.append(gi[0].item()))
        x = T.tensor(2.0, requires_grad=True)
        (first,) = T.autograd.grad(m(x), x, create_graph=True)
        (second,) = T.autograd.grad(first, x)
        return first.item(), second.item(), seen

    same(run)


def test_namedtuple_outputs_pass_hooks():
    def run(T):
        class Named(T.nn.Module):
            def forward(self, x):
                return Pair(x * 2, x * 3)

        m = Named()
        seen = []
        m.register_full_backward_hook(
            lambda mod, gi, go: seen.append([None if g is None else g.item() for g in (*gi, *go)])
        )
        x = T.tensor(1.0, requires_grad=True)
        out = m(x)
        out.b.backward()
        return type(out).__name__, seen, x.grad.item()

    same(run)


# ------------------------------------------------------------------------------------- copies, odd bases
def test_copies_and_cycles():
    class Trainer:
        pass

    def run(T):
        m = net(T)
        m.trainer = Trainer()
        m.trainer.model = m
        m.features.first.register_forward_pre_hook(echo)
        twin = copy.deepcopy(m)
        log = [
            twin.trainer.model is twin,
            twin.shared is twin.features.first,
            twin.tied[0].weight is twin.tied[1].weight,
        ]
        with T.no_grad():
            twin.tied[0].weight += 1
        log.append((twin.tied[0].weight - m.tied[0].weight).mean().item())
        log += [len(twin.features.first._forward_pre_hooks), list(twin.state_dict()), repr(twin) == repr(m)]
        return log

    same(run)


def echo(module, args):
    return None


def test_pickle():
    for T in (torch, tg):
        m = T.nn.Sequential(T.nn.Linear(2, 3), T.nn.Identity(), T.nn.ModuleList([T.nn.Linear(1, 1)])).eval()
        m[0].register_forward_pre_hook(echo)
        twin = pickle.loads(pickle.dumps(m))
        assert repr(twin) == repr(m)
        assert (twin[0].weight == m[0].weight).all()
        assert not twin[1].training
        assert len(twin[0]._forward_pre_hooks) == 1


def test_parameters():
    def run(T):
        data = T.tensor([1.0, 2.0])
        p = T.nn.Parameter(data)
        with T.no_grad():
            p += 1
        log = [
            data.tolist(),
            repr(p),
            str(p),
            p.is_leaf,
            p.requires_grad,
            isinstance(p, T.Tensor),
            type(p.data).__name__,
        ]
        log += [isinstance(data, T.nn.Parameter), type(p * 1).__name__, type(p.detach()).__name__]
        twin = copy.deepcopy(p)
        p.grad = T.ones(2)
        log += [type(twin).__name__, twin.requires_grad, copy.deepcopy(p).grad, twin is p]
        fixed = T.nn.Parameter(T.tensor([1, 2]), requires_grad=False)
        log += [repr(fixed), repr(T.nn.Parameter()), repr(T.nn.Parameter(T.ones(2) * 1, False))]
        p.data = T.ones(3)
        p.grad = None
        (p * p).sum().backward()
        log += [p.grad.tolist(), tuple(p.shape)]
        again = T.nn.Parameter(p)
        log += [again is p, again.requires_grad]
        recorded = T.nn.Parameter(p * 2)
        log += [recorded.is_leaf]
        buffer = T.nn.Buffer(T.ones(2))
        log += [repr(buffer), isinstance(buffer, T.nn.Buffer), isinstance(buffer, T.nn.Parameter), buffer.persistent]
        log += [isinstance(data, T.nn.Buffer)]
        return log

    same(run)


def test_mixins():
    def run(T):
        class Named:
            def __init__(self, name="none", **kwargs):
                super().__init__(**kwargs)
                self.name = name

        class First(Named, T.nn.Module):
            pass

        class Last(T.nn.Module, Named):
            call_super_init = True

        class Silent(T.nn.Module, Named):
            pass

        return [First(name="a").name, Last(name="b").name, hasattr(Silent(), "name"), repr(First("x"))]

    same(run)


def test_lazy_linear():
    def run(T):
        layer = T.nn.LazyLinear(3)
        log = [repr(layer), type(layer.weight).__name__, layer.has_uninitialized_params(), list(layer.state_dict())]
        twin = copy.deepcopy(layer)
        out = layer(T.ones(2, 5))
        log += [
            tuple(out.shape),
            type(layer).__name__,
            repr(layer),
            type(layer.weight).__name__,
            layer.weight.requires_grad,
        ]
        log += [type(layer) is T.nn.Linear, len(layer._forward_pre_hooks), layer.weight.dtype == T.float32]
        twin.load_state_dict(layer.state_dict())
        log += [type(twin).__name__, tuple(twin.weight.shape), type(twin(T.ones(1, 5))).__name__, type(twin).__name__]
        log += [repr(T.nn.Sequential(T.nn.LazyLinear(2, bias=False)).double())]
        wide = T.nn.LazyLinear(2).double()
        log += [str(wide(T.ones(1, 3, dtype=T.float64)).dtype)]
        return log

    same(run)


def test_signatures():
    names = ["Linear", "LazyLinear", "Bilinear", "Flatten", "Unflatten", "Identity", "Sequential", "ModuleList"]
    for name in names:
        theirs = list(inspect.signature(getattr(torch.nn, name).__init__).parameters.values())
        ours = list(inspect.signature(getattr(tg.nn, name).__init__).parameters.values())
        assert [(p.name, p.default, p.kind) for p in ours] == [(p.name, p.default, p.kind) for p in theirs], name
    for name, function in vars(torch.nn.init).items():
        if name.endswith("_") and not name.startswith("_"):
            theirs = inspect.signature(function).parameters.values()
            ours = inspect.signature(getattr(tg.nn.init, name)).parameters.values()
            assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs], name
    methods = [
        "parameters",
        "named_parameters",
        "buffers",
        "named_buffers",
        "children",
        "named_children",
        "modules",
        "named_modules",
        "get_submodule",
        "get_parameter",
        "get_buffer",
        "add_module",
        "register_module",
        "register_parameter",
        "register_buffer",
        "apply",
        "train",
        "eval",
        "requires_grad_",
        "zero_grad",
        "load_state_dict",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "set_submodule",
    ]
    for name in methods:
        theirs = inspect.signature(getattr(torch.nn.Module, name)).parameters.values()
        ours = inspect.signature(getattr(tg.nn.Module, name)).parameters.values()
        assert [(p.name, p.default, p.kind) for p in ours] == [(p.name, p.default, p.kind) for p in theirs], name


def test_gradients_and_zeroing():
    def run(T):
        m = T.nn.Linear(2, 1)
        m.weight.data = T.tensor([[1.0, 2.0]])
        m(T.ones(3, 2)).sum().backward()
        log = [m.weight.grad.tolist()]
        held = m.weight.grad
        m.zero_grad(set_to_none=False)
        log += [held.tolist(), m.weight.grad is held]
        m.zero_grad()
        return [*log, m.weight.grad]

    same(run)


def test_bilinear_and_flatten_values():
    rng = np.random.default_rng(0)
    x, y, w, b = (rng.uniform(-1, 1, s) for s in [(4, 2, 3), (4, 2, 5), (6, 3, 5), (6,)])

    def run(T):
        layer = T.nn.Bilinear(3, 5, 6).double()
        layer.weight.data, layer.bias.data = T.tensor(w), T.tensor(b)
        a = T.tensor(x, requires_grad=True)
        out = layer(a, T.tensor(y))
        (out * out).sum().backward()
        flat = T.nn.Unflatten(1, (2, 3))(T.nn.Flatten()(a))
        return [t.detach().numpy() for t in (out, a.grad, layer.weight.grad, layer.bias.grad, flat)]

    for their, our in zip(run(torch), run(tg), strict=True):
        np.testing.assert_allclose(our, their, rtol=1e-9)
