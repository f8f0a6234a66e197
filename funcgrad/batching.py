"""`vmap` for functions of trees: checks and spreads `in_axes` and `out_axes`, then batches."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import tree
from funcgrad.errors import ArgumentError, AxisError, ShapeError, TreeError, boundary
from funcgrad.flat import FlatFunction, bytes_of, check_operands, describe_argument, name_of
from funcgrad.ir.graph import ClosedGraph, Graph
from funcgrad.ir.hash import graph_hash
from funcgrad.ir.primitive import BRANCHING, AxisSize
from funcgrad.ir.types import array_type
from funcgrad.prims.calls import jit_p
from funcgrad.prims.control_scan import scan_p
from funcgrad.runtime.executable import arena_bytes
from funcgrad.trace import ops
from funcgrad.trace.core import as_array, bind, is_operand, type_of
from funcgrad.trace.graph_trace import trace_to_graph
from funcgrad.transforms.vmap import batch, move_batch_axis

F = Callable[..., Any]


@boundary
def vmap(
    fun: F,
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Any = None,
    axis_size: int | None = None,
    spmd_axis_name: Any = None,
    *,
    chunk_size: int | None = None,
    memory_budget: int | str | None = None,
    branching: str = "auto",
) -> F:
    """The function that applies `fun` to each example of a batch, all at once.

    Args:
        fun: a function of one example.
        in_axes: for each positional argument the axis that runs over examples: an int (negative ones count
            from the end), None for an argument shared by all, or a tree of these that is a prefix of the
            argument's. Keyword arguments are batched over axis 0.
        out_axes: where the batch axis goes in the outputs; None for outputs that do not depend on it.
        axis_name: a name for the batch axis, for collectives such as `lax.psum`.
        axis_size: the length of the batch axis, needed where no argument is batched.
        spmd_axis_name: accepted for JAX's sake; without effect here.
        chunk_size: so many examples at once, one chunk after the other in a loop, for less memory; not with
            collectives over `axis_name`.
        memory_budget: as many examples at once as work in so many bytes ("100MB" or a number) besides the arguments
            and the results, by the plan of the compiled program, which it becomes without `jit` too. Inside of `jit`
            that is what it needs alone.
        branching: how `cond`, `switch`, `while_loop` and Python's `if` run where each example has a condition of its
            own. 'each': one example after the other in a native loop, with its own branch and its own number of
            iterations only. 'select': all examples together go through every branch that any of
            them takes, and through as many iterations as the longest of them, and each keeps its own results. 'auto':
            'each' where a kernel can hold all numbers of one example, where there are only loops over many
            elements, and where there are effects; else 'select', as for matrix products.
            What was chosen, and why, is in the text of `jit(...).lower(...)`.

    Raises:
        ShapeError: batch axes of different lengths.
        AxisError: an axis that an argument or output does not have.
        ArgumentError: `in_axes` that do not fit the arguments; a budget in which not even one example fits.

    >>> import funcgrad as fg
    >>> fg.vmap(lambda a, b: a * b, in_axes=(0, None))(fg.numpy.arange(3.0), 2.0)
    Array([0., 2., 4.], dtype=float32)
    """
    if not callable(fun):
        raise ArgumentError(
            f"vmap takes a function, got {type(fun).__name__}", hint="write vmap(f)(x), not vmap(f(x))"
        )
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    for what, axes in (("in_axes", in_axes), ("out_axes", out_axes)):
        wrong = [a for a in tree.leaves(axes) if isinstance(a, bool) or not isinstance(a, int)]
        if wrong:
            raise ArgumentError(
                f"{what} of vmap holds ints and None, got {wrong[0]!r} in {axes!r}",
                hint="0 maps over the leading axis, None shares the argument",
            )

    if chunk_size is not None and (
        isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1
    ):
        raise ArgumentError(f"vmap: chunk_size has to be an int of at least 1, got {chunk_size!r}")
    if chunk_size is not None and memory_budget is not None:
        raise ArgumentError(
            "vmap takes a chunk_size or a memory_budget, not both", hint="leave one of the two out"
        )
    if axis_name is not None and (chunk_size is not None or memory_budget is not None):
        raise ArgumentError(
            f"vmap: with {'memory_budget' if chunk_size is None else 'chunk_size'} the examples are not all there at "
            "once, so axis_name has no meaning",
            hint="leave one of the two out",
        )
    if branching not in BRANCHING:
        raise ArgumentError(f"vmap: branching is one of {', '.join(map(repr, BRANCHING))}, got {branching!r}")
    budgeted = None
    if memory_budget is not None:
        budgeted = _Budgeted(bytes_of(memory_budget, "vmap", "memory_budget"), name_of(fun))

    @functools.wraps(fun)
    @boundary
    def batched(*args: Any, **kwargs: Any) -> Any:
        if isinstance(in_axes, tuple) and len(in_axes) != len(args):
            raise ArgumentError(
                f"in_axes={in_axes} has {len(in_axes)} entries, and {name_of(fun)} was called with {len(args)} "
                "positional arguments",
                hint="give one entry per positional argument; keyword arguments are always batched over axis 0",
            )
        leaves, in_tree = tree.flatten((args, kwargs))
        axes = _spread((in_axes, 0), (args, kwargs), "in_axes", fun)
        arrays = list(map(is_operand, leaves))
        if any(a is not None for a, is_array in zip(axes, arrays) if not is_array):
            check_operands(fun, args, kwargs, "vmap")
        axes = _normalize(axes, leaves, lambda i: _place(fun, args, kwargs, i))
        length = _batch_size(fun, args, kwargs, leaves, axes, axis_size)
        size = AxisSize(length, axis_name, branching)
        flat = FlatFunction(fun, in_tree)
        if not all(arrays):  # what is no array is there for each example as it is
            flat = _holding(flat, [None if is_array else leaf for leaf, is_array in zip(leaves, arrays)])
            leaves, axes = ([x for x, is_array in zip(xs, arrays) if is_array] for xs in (leaves, axes))
        if budgeted is not None:
            outs = budgeted(flat, leaves, axes, size)
        elif chunk_size is None or chunk_size >= size:
            outs = batch(flat, leaves, axes, size)
        else:
            outs = _in_chunks(flat, leaves, axes, size, chunk_size)
        result = flat.out_tree.unflatten([o for o, _ in outs])
        targets = _spread(out_axes, result, "out_axes", fun)
        return flat.out_tree.unflatten(
            [_place_output(fun, v, a, t, size) for (v, a), t in zip(outs, targets)]
        )

    batched.__name__ = f"vmap_{name_of(fun)}"
    return batched


def _holding(flat: FlatFunction, held: Sequence[Any]) -> FlatFunction:
    """The same function of those leaves alone that `held` has None for; it has the others."""

    @functools.wraps(flat.function)
    def function(*given: Any) -> Any:
        leaves = iter(given)
        args, kwargs = flat.in_tree.unflatten([next(leaves) if x is None else x for x in held])
        return flat.function(*args, **kwargs)

    return FlatFunction(function, tree.structure((tuple([0 for x in held if x is None]), {})))


def _in_chunks(
    flat: FlatFunction, leaves: Sequence[Any], axes: Sequence[int | None], size: AxisSize, chunk: int
) -> list[tuple[Any, int | None]]:
    """What `batch` gives, computed by a loop over chunks of examples, and the rest of them apart."""
    moved = [x if a is None else ops.moveaxis(x, a, 0) for x, a in zip(leaves, axes)]
    flags = [a is not None for a in axes]
    shared = [x for x, f in zip(moved, flags) if not f]
    xs = [x for x, f in zip(moved, flags) if f]
    full = size // chunk * chunk

    def run(shared: Sequence[Any], rows: Sequence[Any], count: int) -> list[Any]:
        sources = iter(shared), iter(rows)
        values = [next(sources[f]) for f in flags]
        outs = batch(flat, values, [0 if f else None for f in flags], AxisSize(count, None, size.branching))
        return [move_batch_axis(o, a, 0, count) for o, a in outs]

    grouped = []
    for x in xs:
        rows = ops.slice_in_dim(x, 0, full)
        grouped.append(ops.reshape(rows, (full // chunk, chunk, *type_of(x).shape[1:])))
    types = [*map(type_of, shared)]
    types += [array_type(t.shape[1:], t.dtype, t.weak) for t in map(type_of, grouped)]
    held = len(shared)
    closed = trace_to_graph(lambda *v: run(v[:held], v[held:], chunk), types, name_of(flat.function))
    outs = bind(
        scan_p,
        *closed.constants,
        *shared,
        *grouped,
        graph=closed.graph,
        consts=len(closed.constants) + held,
        carry=0,
        length=full // chunk,
        reverse=False,
    )
    outs = [ops.reshape(o, (full, *type_of(o).shape[2:])) for o in outs]
    if full < size:
        rest = run(shared, [ops.slice_in_dim(x, full, size) for x in xs], size - full)
        outs = [ops.concatenate([o, r], 0) for o, r in zip(outs, rest)]
    return [(o, 0) for o in outs]


class _Budgeted:
    """A batched function as a compiled program that works in `limit` bytes. What was found is kept by types."""

    def __init__(self, limit: int, name: str):
        self.limit, self.name = limit, name
        self.chunks: dict[Any, int] = {}
        self.graphs: dict[str, Graph] = {}

    def __call__(
        self, flat: FlatFunction, leaves: Sequence[Any], axes: Sequence[int | None], size: AxisSize
    ) -> list[tuple[Any, int | None]]:
        types = tuple(map(type_of, leaves))
        key = (types, tuple(axes), size, flat.in_tree)
        chunk = self.chunks.get(key)
        if chunk is None:
            closed, out_axes, chunk = self.chosen(flat, types, axes, size)
            self.chunks[key] = chunk
        else:
            closed, out_axes = self.program(flat, types, axes, size, chunk)
        try:
            graph = self.graphs.setdefault(graph_hash(closed.graph), closed.graph)
        except TypeError:  # a parameter is code
            graph = closed.graph
        return list(zip(bind(jit_p, *closed.constants, *leaves, graph=graph, name=self.name), out_axes))

    def program(
        self, flat: FlatFunction, types: Sequence[Any], axes: Sequence[int | None], size: AxisSize, chunk: int
    ) -> tuple[ClosedGraph, list[int | None]]:
        """The batched function in chunks as a graph, and the batch axes of its outputs."""
        out_axes: list[int | None] = []

        def run(*values: Any) -> list[Any]:
            if chunk >= size:
                outs = batch(flat, values, axes, size)
            else:
                outs = _in_chunks(flat, values, axes, size, chunk)
            out_axes[:] = [a for _, a in outs]
            return [o for o, _ in outs]

        return trace_to_graph(run, types, self.name), out_axes

    def chosen(
        self, flat: FlatFunction, types: Sequence[Any], axes: Sequence[int | None], size: AxisSize
    ) -> tuple[ClosedGraph, list[int | None], int]:
        """A program within the limit and its chunk: found by interpolation, since memory grows about evenly with the
        chunk. A chunk that leaves no rest is preferred."""

        def at(chunk: int) -> tuple[int, Any]:
            closed, out_axes = self.program(flat, types, axes, size, chunk)
            return arena_bytes(closed.graph), (closed, out_axes, chunk)

        most, found = at(size)
        if most <= self.limit or size < 2:
            least = most
        else:
            least, found = at(1)
        if least > self.limit:
            raise ArgumentError(
                f"vmap: the memory_budget is {self.limit} bytes, and {self.name} works in {least} for one example",
                hint="give it more, or make the function itself need less, for example by lax.scan or checkpoint",
            )
        low, high = found[2], size
        for _ in range(6):
            if high - low < 2 or least > 0.9 * self.limit:
                break
            guess = low + int((self.limit - least) / max(most - least, 1) * (high - low))
            guess = min(max(guess, low + 1), high - 1)
            guess = next((c for c in range(guess, max(low, guess * 2 // 3), -1) if size % c == 0), guess)
            need, program = at(guess)
            if need <= self.limit:
                low, least, found = guess, need, program
            else:
                high, most = guess, need
        return found


def _spread(axes: Any, full: Any, what: str, fun: F) -> list[int | None]:
    """One axis for each leaf of `full`, from a prefix tree of axes."""
    try:
        return tree.broadcast_prefix(axes, full, is_leaf=lambda x: x is None)
    except ValueError as error:
        given = axes[0] if what == "in_axes" else axes
        raise ArgumentError(
            f"{what}={given!r} does not fit the {'arguments' if what == 'in_axes' else 'result'} of "
            f"{name_of(fun)}: {error.what if isinstance(error, TreeError) else error}",
            hint="use an int, None, or containers of the same structure down to where they stop",
        ) from None


def _normalize(axes: Sequence[int | None], leaves: Sequence[Any], place: Callable[[int], str]):
    normal: list[int | None] = []
    for i, (axis, leaf) in enumerate(zip(axes, leaves)):
        if axis is not None:
            ndim = type_of(leaf).ndim
            if not -ndim <= axis < ndim:
                raise AxisError(
                    f"vmap was asked to map over axis {axis} of {place(i)}, which is {type_of(leaf)}",
                    hint="use None in in_axes for an argument that is not batched"
                    if ndim == 0
                    else f"its axes are {-ndim} to {ndim - 1}",
                )
            axis %= ndim
        normal.append(axis)
    return normal


def _place(fun: F, args: Any, kwargs: Any, position: int) -> str:
    """The words for the leaf at a flat position."""
    path, _ = tree.leaves_with_path((args, kwargs))[position]
    if path[0].idx == 1:
        return f"keyword argument {path[1].key!r} of {name_of(fun)}{tree.keystr(path[2:])}"
    return describe_argument(fun, args, path[1].idx) + tree.keystr(path[2:])


def _batch_size(
    fun: F, args: Any, kwargs: Any, leaves: Sequence[Any], axes: Sequence[int | None], given: int | None
) -> int:
    sizes = [(i, type_of(x).shape[a]) for i, (x, a) in enumerate(zip(leaves, axes)) if a is not None]
    if not sizes and given is None:
        raise ArgumentError(
            f"vmap of {name_of(fun)} has no batched argument: every entry of in_axes is None"
            if leaves
            else f"vmap of {name_of(fun)} was called without arrays",
            hint="map over at least one argument, or give axis_size",
        )
    size = sizes[0][1] if given is None else given
    if any(s != size for _, s in sizes):
        words = "; ".join(
            f"{_place(fun, args, kwargs, i)} is {type_of(leaves[i])}, axis {axes[i]} of length {s}"
            for i, s in sizes[:8]
        )
        asked = f" and axis_size={given}" if given is not None else ""
        raise ShapeError(
            f"vmap needs batch axes of one length{asked}, got: {words}",
            hint="use in_axes to say which axis of each argument is the batch, or None for one that is shared",
        )
    return size


def _place_output(fun: F, value: Any, axis: int | None, target: int | None, size: int) -> Any:
    if target is None:
        if axis is not None:
            raise ArgumentError(
                f"out_axes is None for an output of {name_of(fun)} that depends on the batch: {type_of(value)}",
                hint="use out_axes=0, or reduce over the batch",
            )
        return as_array(value)
    ndim = type_of(value).ndim + (axis is None)
    if not -ndim <= target < ndim:
        raise AxisError(
            f"out_axes puts the batch at axis {target}, and the output of {name_of(fun)} has {ndim} axes with it",
            hint=f"give out_axes from {-ndim} to {ndim - 1}",
        )
    return as_array(move_batch_axis(value, axis, target % ndim, size))
