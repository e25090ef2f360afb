"""SimpleConvNet in other libraries, each as its users would write it for speed.

A peer is a module of this folder: what it is called on the command line, what must be installed, and

    step(parameters, images, labels, threads) -> Step

where ``parameters`` are arrays under PyTorch's names ("0.weight" (30,1,5,5), "0.bias", "4.weight" (100,4320), ...),
``images`` is (N,1,28,28) and ``labels`` a list of (N,), taken in turn. The step trains with Adam, learning rate 1e-3.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from typing import Any

# the name on the command line, the module to install, and what the tables call it
PEERS = {
    "book": ("numpy", "the book's NumPy classes"),
    "jax": ("jax", "JAX, jitted"),
    "mygrad": ("mygrad", "MyGrad"),
    "autograd": ("autograd", "autograd"),
    "dezero": ("dezero", "DeZero"),
}
SHAPES = {
    "0.weight": (30, 1, 5, 5),
    "0.bias": (30,),
    "4.weight": (100, 4320),
    "4.bias": (100,),
    "6.weight": (10, 100),
    "6.bias": (10,),
}


def installed(peer: str) -> bool:
    """Whether the peer can be run."""
    return importlib.util.find_spec(PEERS[peer][0]) is not None


def version(peer: str) -> str:
    """The version of the peer's library, or of NumPy for the book's classes."""
    return importlib.metadata.version(PEERS[peer][0])


def load(peer: str) -> Any:
    """The peer's module."""
    return importlib.import_module(f"benchmarks.peers.{peer}")
