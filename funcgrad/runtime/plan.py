"""The plan of a graph: what running it takes, as data that other processes can use, and where it is kept.

A plan lies beside the kernels in the cache folder, as `<key>.plan`. The key is the hash of the graph after the
passes, and of all that decides what is made of it: funcgrad's code, the versions of Python and NumPy, the number of
threads, the operands that are donated, and what decides the code of kernels. A graph that holds Python functions, or
primitives of somebody else, has no key and is planned in every process.
"""

from __future__ import annotations

import array
import ctypes
import functools
import hashlib
import os
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from funcgrad.config import config
from funcgrad.ir.graph import Graph
from funcgrad.ir.hash import graph_hash
from funcgrad.ir.types import ArrayType
from funcgrad.kernels.cpu import blas, program
from funcgrad.records import record
from funcgrad.runtime import cache
from funcgrad.version import __version__


@record
class Plan:
    """How to run a graph.

    Attributes:
        words: the program, in which kernels are numbers and `symbols` stand for addresses; empty for none.
        kernels: the keys of the kernels in the cache.
        symbols: names of what the program needs the addresses of.
        calls: for each library call the primitive's name, its parameters, its operands (values or types), and the
            types of its results.
        user_calls: the names of the user's kernels among the kernels, which may fail.
        taped: whether a kernel keeps a tape, for which there may be no memory.
        loops: whether loops go over the results again and again.
        missing: the names of the user's kernels that have no form for this device: the program lacks their calls.
        buffers: the types of the buffers that are made for results.
        results: for each result the number of its buffer, -1 - k for operand k, or its value.
        donated: buffers that are the memory of operands.
        work: predicted nanoseconds.
    """

    words: bytes
    kernels: tuple[str, ...]
    symbols: tuple[str, ...]
    calls: tuple[tuple[Any, ...], ...]
    user_calls: tuple[str, ...]
    missing: tuple[str, ...]
    taped: bool
    loops: bool
    frame_size: int
    arena_slot: int
    arena_size: int
    buffers: tuple[ArrayType, ...]
    results: tuple[Any, ...]
    donated: dict[int, int]
    work: float

    def program(self, kernels: Sequence[int], symbol: Callable[[str], int]) -> array.array | None:
        """The program with the addresses of kernels and symbols."""
        if not self.words:
            return None
        words = array.array("q", self.words)
        program.link(words, kernels, {program.symbol(name): symbol(name) for name in self.symbols})
        return words


def address(name: str) -> int:
    """Where the function is for which a symbol stands."""
    kind, _, which = name.partition(" ")
    if kind == "gemm":
        return blas.gemm_address(which)
    if which == "threads":
        functions = blas.thread_functions()
        assert functions is not None
        return functions[kind == "set"]
    return ctypes.cast(getattr(ctypes.CDLL(None), name), ctypes.c_void_p).value or 0


def key_of(graph: Graph, donated: tuple[int, ...], cores: int) -> str | None:
    """The key of a graph's plan; None where it has none, or where every graph is to be verified on its way."""
    stamp = _code()
    if stamp is None or config.verify or not all(map(_is_own, set(_primitives(graph)))):
        return None
    try:
        structure = graph_hash(graph)
    except TypeError:
        return None
    digest = hashlib.sha256(cache.fingerprint() + stamp)
    digest.update(repr((structure, donated, cores)).encode())
    return digest.hexdigest()


def _primitives(graph: Graph) -> Iterator[Any]:
    for equation in graph.equations:
        yield equation.primitive
        for inner in equation.subgraphs():
            yield from _primitives(inner)


def _is_own(primitive: Any) -> bool:
    """Whether a primitive is one of funcgrad's, whose code is part of the key."""
    return all(
        f is None or f.__module__.startswith("funcgrad.") for f in (primitive.lower, primitive.evaluate)
    )


@functools.cache
def _code() -> bytes | None:
    """Stands for funcgrad's code and what runs it: the names, sizes and times of its files; None where it is not in
    files."""
    root = Path(__file__).parents[1]
    if not root.is_dir():
        return None
    digest = hashlib.sha256(repr((__version__, sys.version, np.__version__)).encode())
    folders = [str(root)]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if entry.is_dir():
                    if entry.name != "__pycache__":
                        folders.append(entry.path)
                elif entry.name.endswith(".py"):
                    stat = entry.stat()
                    digest.update(f"{entry.path} {stat.st_size} {stat.st_mtime_ns}".encode())
    return digest.digest()


def load(key: str) -> Plan | None:
    """The plan of this key, if it is there."""
    data = cache.read_plan(key)
    if data is None:
        return None
    try:
        plan = Plan(**pickle.loads(data))
    except Exception:  # written by another version of something
        return None
    if "get threads" in plan.symbols and blas.thread_functions() is None:
        return None
    return plan


def save(key: str, plan: Plan) -> None:
    """Keep a plan."""
    fields = {name: getattr(plan, name) for name in Plan.__annotations__}
    try:
        data = pickle.dumps(fields, protocol=5)
    except Exception:  # parameters that cannot be written down
        return
    cache.write_plan(key, data)
