"""Sparse Jacobians and Hessians as `scipy.sparse` matrices: pattern, colouring, compressed products, and recovery.

What is specific to trees and arguments is in `api.py`; this module knows flat functions and one matrix. The derivative
is linearised at the point; its pattern comes from the linear graph (transforms/dependence.py), and what is computed
together from a colouring of that (coloring.py). Both are remembered by the structure of the graph, so that the next
point costs the products only.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy.sparse

from funcgrad import coloring
from funcgrad.array import Array
from funcgrad.errors import ConcretizationError
from funcgrad.ir.graph import Graph
from funcgrad.ir.hash import graph_hash
from funcgrad.ir.primitive import AxisSize
from funcgrad.prims.calls import jit_p
from funcgrad.records import entity
from funcgrad.trace.core import bind, type_of
from funcgrad.trace.graph_trace import has_tracers
from funcgrad.transforms.dependence import dependence, identity, is_given, known, nothing
from funcgrad.transforms.partial import LinearMap, linearize
from funcgrad.transforms.transpose import transpose_graph
from funcgrad.transforms.vmap import batch_graph

FORWARD, REVERSE, SYMMETRIC = "forward", "reverse", "symmetric"
REMEMBERED = 64
"""How many plans are kept."""


@entity
class Plan:
    """How a matrix of a certain pattern is computed: `seeds` go through `graph`, once for each of `colors` colours,
    and the entries of the matrix (csr, of `columns` and `pointers`) are at `places` in what comes out. `parts` are the
    sizes of that, and whether it comes out at all or is zero."""

    graph: Graph
    constants: tuple[Any, ...]
    seeds: tuple[Any, ...]
    colors: int
    places: np.ndarray
    columns: np.ndarray
    pointers: np.ndarray
    parts: tuple[tuple[int, bool], ...]


_plans: OrderedDict[Any, Plan] = OrderedDict()
_indices: dict[Any, tuple[int, ...]] = {}
"""For each structure of a graph the constants whose values say where entries are."""


def sparse_jacobian(
    function: Callable[..., Sequence[Any]], leaves: Sequence[Any], mode: str, words: str
) -> tuple[list[Any], Any]:
    """The outputs of `function` (flat values to flat values) at `leaves`, and its Jacobian: a csr_matrix with a row
    for each element of all outputs, and a column for each of all inputs.

    `words` name the transform in errors. SYMMETRIC is for gradients.
    """
    outs, linear = linearize(function, leaves)
    if has_tracers([*leaves, *linear.closed.constants]):
        raise ConcretizationError(
            f"{words} gives scipy.sparse matrices, which hold numbers, and its arguments are traced here",
            hint="call it outside of jit, grad and vmap; the function that it differentiates may be jitted: "
            "jacfwd(jit(f), sparse=True)",
        )
    plan = _plan(linear, mode, [type_of(x).size for x in leaves], [type_of(x).size for x in outs])
    shape = len(plan.pointers) - 1, sum(type_of(x).size for x in leaves)
    return outs, scipy.sparse.csr_matrix((_entries(plan, linear), plan.columns, plan.pointers), shape)


def _entries(plan: Plan, linear: LinearMap) -> np.ndarray:
    """The entries of the matrix in the order of its pattern."""
    dtype = np.result_type(*[t.dtype for t in plan.graph.out_types] or [np.float32])
    if dtype.itemsize == 2:  # scipy.sparse has no matrices of these
        dtype = np.dtype(np.float32)
    if not plan.colors:
        return np.zeros(0, dtype)
    operands = [*plan.constants, *linear.closed.constants, *plan.seeds]
    found = iter(bind(jit_p, *operands, graph=plan.graph, name="sparse"))
    products = [np.asarray(next(found)) if z else np.zeros((plan.colors, n), dtype) for n, z in plan.parts]
    products = [p.reshape(plan.colors, -1) for p in products]
    together = products[0] if len(products) == 1 else np.concatenate(products, 1)
    return together.reshape(-1)[plan.places].astype(dtype, copy=False)


# ------------------------------------------------------------------------------------------------- plans
def _plan(linear: LinearMap, mode: str, in_sizes: Sequence[int], out_sizes: Sequence[int]) -> Plan:
    graph, constants = linear.closed.graph, linear.closed.constants
    flags = (linear.in_nonzero, linear.out_nonzero, tuple(in_sizes), tuple(out_sizes))
    try:
        structure = (graph_hash(graph), mode, flags)
    except TypeError:  # a parameter is code
        return _made(graph, list(map(known, constants)), mode, *flags)
    indices = _indices.get(structure)
    key = None if indices is None else (structure, *(_digest(constants[k]) for k in indices))
    if key in _plans:
        _plans.move_to_end(key)
        return _plans[key]
    given = list(map(known, constants))
    plan = _made(graph, given, mode, *flags)
    asked = tuple([k for k, g in enumerate(given) if g.asked])
    if len(_indices) >= 16 * REMEMBERED:
        _indices.clear()
    _indices[structure] = asked
    _plans[(structure, *(_digest(constants[k]) for k in asked))] = plan
    if len(_plans) > REMEMBERED:
        _plans.popitem(last=False)
    return plan


def _digest(constant: Any) -> Any:
    """What says whether two values are the same."""
    return hashlib.sha256(np.ascontiguousarray(constant).tobytes()).digest()


def _made(
    graph: Graph,
    given: Sequence[Any],
    mode: str,
    in_nonzero: Sequence[bool],
    out_nonzero: Sequence[bool],
    in_sizes: Sequence[int],
    out_sizes: Sequence[int],
) -> Plan:
    pattern = _pattern(graph, given, in_nonzero, out_nonzero, in_sizes, out_sizes)
    if mode == SYMMETRIC:
        pattern = (pattern + pattern.T).tocsr()
        pattern.sort_indices()
        colors = coloring.color_symmetric(pattern)
    else:
        colors = coloring.color_columns(pattern.T.tocsr() if mode == REVERSE else pattern)
    count = int(colors.max(initial=-1)) + 1 if pattern.nnz else 0
    held, moving = len(given), [v.type for v in graph.inputs[len(given) :]]
    if mode == REVERSE:
        rows, columns, places = coloring.recovery(pattern.T.tocsr(), colors)
        places = places[np.lexsort((rows, columns))]
        linear = (*[False] * held, *[True] * len(moving))
        pulled = transpose_graph(graph, linear, (True,) * len(graph.outputs))
        inner, extra, found = pulled.graph, pulled.constants, iter(pulled.flags)
        parts = [(n, z and next(found)) for n, z in zip(in_sizes, in_nonzero)]
        seeds = _seeds(colors, count, graph.out_types, out_nonzero, out_sizes)
    else:
        places = coloring.recovery(pattern, colors, mode == SYMMETRIC)[2]
        inner, extra = graph, ()
        parts = list(zip(out_sizes, out_nonzero))
        seeds = _seeds(colors, count, moving, in_nonzero, in_sizes)
    batched = (*[False] * (len(extra) + held), *[True] * len(seeds))
    derived = batch_graph(inner, AxisSize(max(count, 1)), batched, True)
    constants = (*derived.constants, *extra)
    return Plan(derived.graph, constants, seeds, count, places, pattern.indices, pattern.indptr, tuple(parts))


def _pattern(
    graph: Graph,
    given: Sequence[Any],
    in_nonzero: Sequence[bool],
    out_nonzero: Sequence[bool],
    in_sizes: Sequence[int],
    out_sizes: Sequence[int],
) -> Any:
    """The pattern of a derivative: a row for each element of all outputs, a column for each of all inputs. Its linear
    graph, whose first inputs are given, has those inputs and outputs that are not zero."""
    eye = identity(sum(in_sizes))
    starts = np.cumsum([0, *in_sizes])
    operands = [*given, *(eye[a : a + n] for a, n, z in zip(starts, in_sizes, in_nonzero) if z)]
    found = iter(dependence(graph, operands))
    parts = []
    for n, nonzero in zip(out_sizes, out_nonzero):
        x = next(found) if nonzero else None
        parts.append(nothing(n, eye.shape[1]) if x is None or is_given(x) else x)
    pattern = scipy.sparse.vstack(parts, format="csr") if parts else nothing(0, eye.shape[1])
    pattern.sort_indices()
    return pattern


def _seeds(
    colors: np.ndarray, count: int, types: Sequence[Any], chosen: Sequence[bool], sizes: Sequence[int]
) -> tuple[Array, ...]:
    """For each colour the sum of the unit vectors of that colour, cut into arrays of these types: one for each of the
    `sizes` that is chosen."""
    seeds, start, own_types = [], 0, iter(types)
    for n, c in zip(sizes, chosen):
        if c:
            t = next(own_types)
            seed = colors[start : start + n] == np.arange(count)[:, None]
            seeds.append(Array(seed.astype(t.tangent().dtype).reshape((count, *t.shape))))
        start += n
    return tuple(seeds)
