"""Small relatives of well-known networks, for layers that the table's networks don't have; ``T`` is either library.

Without dropout, so that both compute the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _lambda(T: Any, function: Callable[..., Any], *parts: Any) -> Any:
    """A module that gives ``function(x, *parts)``, in which the parts are modules."""

    class Lambda(T.nn.Module):  # type: ignore[misc]  # of whichever library
        def __init__(self) -> None:
            super().__init__()
            self.parts = T.nn.ModuleList(parts)

        def forward(self, x: Any) -> Any:
            return function(x, *self.parts)

    return Lambda()


def _head(T: Any, channels: int) -> list[Any]:
    return [T.nn.AdaptiveAvgPool2d(1), T.nn.Flatten(), T.nn.Linear(channels, 10)]


def alexnet(T: Any) -> Any:
    """AlexNet (Krizhevsky et al. 2012) at half its size, on (N,3,127,127)."""
    nn = T.nn
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 256, 3, padding=1), nn.ReLU(), nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Flatten(), nn.Linear(256 * 9, 1024), nn.ReLU(), nn.Linear(1024, 10),
    )  # fmt: skip


def squeezenet(T: Any) -> Any:
    """Fire modules (Iandola et al. 2016) with max pooling in ceil mode, on (N,3,96,96)."""
    nn, relu = T.nn, T.nn.functional.relu

    def fire(before: int, squeezed: int, after: int) -> Any:
        def forward(x: Any, squeeze: Any, narrow: Any, wide: Any) -> Any:
            x = relu(squeeze(x))
            return T.cat([relu(narrow(x)), relu(wide(x))], 1)

        parts = nn.Conv2d(squeezed, after, 1), nn.Conv2d(squeezed, after, 3, padding=1)
        return _lambda(T, forward, nn.Conv2d(before, squeezed, 1), *parts)

    def pool() -> Any:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    layers = [nn.Conv2d(3, 64, 3, stride=2), nn.ReLU(), pool(), fire(64, 16, 64), fire(128, 16, 64), pool()]
    return nn.Sequential(*layers, fire(128, 32, 128), nn.Conv2d(256, 10, 1), nn.ReLU(), *_head(T, 10)[:2])


def densenet(T: Any) -> Any:
    """Two dense blocks (Huang et al. 2016) of growth 12, on (N,3,32,32)."""
    nn = T.nn

    def layer(channels: int) -> Any:
        return _lambda(T, lambda x, new: T.cat([x, new(x)], 1), nn.Sequential(
            nn.BatchNorm2d(channels), nn.ReLU(), nn.Conv2d(channels, 48, 1, bias=False),
            nn.BatchNorm2d(48), nn.ReLU(), nn.Conv2d(48, 12, 3, padding=1, bias=False),
        ))  # fmt: skip

    blocks = [nn.Sequential(*(layer(c + 12 * i) for i in range(4))) for c in (24, 36)]
    between = [nn.Conv2d(72, 36, 1), nn.AvgPool2d(2)]
    return nn.Sequential(nn.Conv2d(3, 24, 3, padding=1), blocks[0], *between, blocks[1], *_head(T, 84))


def resnext(T: Any) -> Any:
    """Blocks with convolutions of 32 groups (Xie et al. 2016), on (N,3,32,32)."""
    nn = T.nn

    def block() -> Any:
        def conv(kernel: int, groups: int) -> list[Any]:
            return [nn.Conv2d(128, 128, kernel, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(128)]

        branch = nn.Sequential(*conv(1, 1), nn.ReLU(), *conv(3, 32), nn.ReLU(), *conv(1, 1))
        return _lambda(T, lambda x, branch: T.nn.functional.relu(x + branch(x)), branch)

    stem = [nn.Conv2d(3, 128, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*stem, block(), block(), nn.MaxPool2d(2), block(), *_head(T, 128))


def shufflenet(T: Any) -> Any:
    """Units of split, depthwise convolution, cat and shuffle (Ma et al. 2018), on (N,3,32,32)."""
    nn = T.nn

    def unit() -> Any:
        def forward(x: Any, branch: Any) -> Any:
            kept, changed = x.chunk(2, 1)
            out = T.cat([kept, branch(changed)], 1)
            n, c, h, w = out.shape
            return out.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)

        return _lambda(T, forward, nn.Sequential(
            nn.Conv2d(32, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1, groups=32, bias=False), nn.BatchNorm2d(32),
            nn.Conv2d(32, 32, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        ))  # fmt: skip

    stem = [nn.Conv2d(3, 64, 3, stride=2, padding=1), nn.ReLU()]
    return nn.Sequential(*stem, unit(), unit(), unit(), nn.MaxPool2d(2), unit(), *_head(T, 64))


def mobilenet_v3(T: Any) -> Any:
    """Inverted residuals with squeeze and excitation, and hardswish (Howard et al. 2019), on (N,3,64,64)."""
    nn = T.nn

    def excite(c: int) -> Any:
        gates = nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, c // 4, 1), nn.ReLU(), nn.Conv2d(c // 4, c, 1), nn.Hardsigmoid()
        return _lambda(T, lambda x, gates: x * gates(x), nn.Sequential(*gates))

    def block(before: int, wide: int, after: int, kernel: int, stride: int) -> Any:
        own = nn.Conv2d(wide, wide, kernel, stride, padding=kernel // 2, groups=wide, bias=False)
        branch = nn.Sequential(
            nn.Conv2d(before, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.Hardswish(),
            own, nn.BatchNorm2d(wide), nn.Hardswish(), excite(wide),
            nn.Conv2d(wide, after, 1, bias=False), nn.BatchNorm2d(after),
        )  # fmt: skip
        return branch if stride > 1 or before != after else _lambda(T, lambda x, branch: x + branch(x), branch)

    stem = [nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), nn.Hardswish()]
    blocks = [block(16, 64, 24, 3, 2), block(24, 72, 24, 3, 1), block(24, 96, 40, 5, 2), block(40, 120, 40, 5, 1)]
    return nn.Sequential(*stem, *blocks, *_head(T, 40))


def convnext(T: Any) -> Any:
    """Depthwise 7x7, layer norm and GELU (Liu et al. 2022), on (N,3,64,64)."""
    nn = T.nn

    def norm(channels: int) -> Any:
        return _lambda(T, lambda x, norm: norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2), nn.LayerNorm(channels))

    def block(c: int) -> Any:
        def forward(x: Any, own: Any, mix: Any) -> Any:
            return x + mix(own(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

        mix = nn.Sequential(nn.LayerNorm(c), nn.Linear(c, 4 * c), nn.GELU(), nn.Linear(4 * c, c))
        return _lambda(T, forward, nn.Conv2d(c, c, 7, padding=3, groups=c), mix)

    layers = [nn.Conv2d(3, 48, 4, stride=4), norm(48), block(48), block(48), norm(48), nn.Conv2d(48, 96, 2, stride=2)]
    return nn.Sequential(*layers, block(96), block(96), *_head(T, 96))


def unet(T: Any) -> Any:
    """A U-Net (Ronneberger et al. 2015) with group norm and transposed convolutions, on (N,3,64,64)."""
    nn = T.nn

    def double(before: int, after: int) -> Any:
        first = [nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(8, after), nn.ReLU()]
        return nn.Sequential(*first, nn.Conv2d(after, after, 3, padding=1), nn.GroupNorm(8, after), nn.ReLU())

    def level(inside: Any, before: int, after: int) -> Any:
        def forward(x: Any, down: Any, inside: Any, up: Any, out: Any) -> Any:
            kept = down(x)
            return out(T.cat([up(inside(T.nn.functional.max_pool2d(kept, 2))), kept], 1))

        up = nn.ConvTranspose2d(2 * after, after, 2, stride=2)
        return _lambda(T, forward, double(before, after), inside, up, double(2 * after, after))

    return nn.Sequential(level(level(double(64, 128), 32, 64), 3, 32), nn.Conv2d(32, 10, 1), *_head(T, 10)[:2])


def discriminator(T: Any) -> Any:
    """DCGAN's discriminator (Radford et al. 2015): strided 4x4 convolutions and leaky relu, on (N,3,32,32)."""
    nn = T.nn
    layers, channels = [nn.Conv2d(3, 64, 4, 2, 1), nn.LeakyReLU(0.2)], 64
    for width in (128, 256):
        layers += [nn.Conv2d(channels, width, 4, 2, 1), nn.BatchNorm2d(width), nn.LeakyReLU(0.2)]
        channels = width
    return nn.Sequential(*layers, nn.Conv2d(channels, 10, 4), nn.Flatten())
