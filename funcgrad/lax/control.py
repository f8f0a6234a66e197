"""Control flow under the names of `jax.lax`: loops and choices that can be traced, differentiated and batched.

Owns the checks of what users pass and the form in which it reaches the primitives; the loops themselves are
those of prims/control_*.py.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes, tree
from funcgrad.ad_checkpoint import remat
from funcgrad.config import config
from funcgrad.errors import ArgumentError, DTypeError, ShapeError, boundary
from funcgrad.flat import check_function, name_of
from funcgrad.ir.types import array_type
from funcgrad.lax.binding import bind_cond, bind_scan, bind_while
from funcgrad.lax.bodies import (
    Carry,
    Noting,
    operands_of,
    trace_body,
    trace_branches,
)
from funcgrad.lax.budgets import Loop, levels_of, said, within
from funcgrad.lending import (
    cond_carries,
    fori_loop_carries,
    scan_carries,
    switch_carries,
    while_loop_carries,
)
from funcgrad.numpy.promotion import cast, result_dtype
from funcgrad.prims.control_choice import noted
from funcgrad.prims.control_graphs import joined
from funcgrad.prims.control_pull import record_bytes
from funcgrad.prims.control_scan import stacked_bytes
from funcgrad.prims.control_slots import LoopBudget
from funcgrad.records import record
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, data_of, is_operand, named_type, state, type_of
from funcgrad.trace.graph_trace import trace_to_graph
from funcgrad.tree import keystr

F = Callable[..., Any]


@scan_carries
@boundary
def scan(
    f: F,
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
    _split_transpose: bool = False,
    *,
    checkpoint: int | str | Sequence[int] | None = None,
) -> tuple[Any, Any]:
    """Run `carry, y = f(carry, x)` over the slices of `xs` along their leading axis; gives (carry, ys).

    The loop is compiled as one native loop, whatever its length, and differentiates in both modes.

    Args:
        f: a function of the carry and one slice that gives a pair: the new carry, of the same types, and any
            tree of arrays (or None) to be stacked.
        init: the first carry.
        xs: a tree of arrays with equal leading axes; None for a loop without them.
        length: the number of steps, needed where `xs` is None.
        reverse: whether to go from the last slice to the first; `ys` stay in the order of `xs`.
        unroll, _split_transpose: accepted for JAX's sake; without effect here.
        checkpoint: how many steps at a time the backward pass has the intermediate values of, at the cost of one more
            forward pass; a tuple nests such blocks; "200MB" chooses them so that they stay within so many bytes, with
            the fewest forward passes. See `while_loop`. `jit(...).lower(...)` says the memory.

    Raises:
        ArgumentError: a budget that does not suffice; `f` does not return a pair, or a carry of another structure.
        ShapeError, DTypeError: `f` returns a carry of other types; leading axes of different lengths.

    >>> import funcgrad as fg
    >>> fg.lax.scan(lambda c, x: (c + x, c), 0.0, fg.numpy.arange(3.0))[0]
    Array(3., dtype=float32)
    """
    check_function("scan", "f", f, ("carry", "x"))
    if not isinstance(unroll, int) or unroll < 0:
        raise ArgumentError(
            f"scan: unroll has to be a bool or an int of at least 0, got {unroll!r:.80}", hint="leave it out"
        )
    x_leaves, x_tree = operands_of("scan", f, xs)
    length = _scan_length(xs, length)
    carry = Carry("scan", "carry", init, f)
    if config.disable_jit and length:
        return _python_scan(f, init, xs, length, reverse)
    if checkpoint is not None and length:
        return _blocks_of_scan(f, carry, xs, length, bool(reverse), checkpoint)
    return _scan(f, carry, x_leaves, x_tree, length, bool(reverse))


def _traced_step(f: F, carry: Carry, x_leaves: Sequence[Any], x_tree: Any) -> tuple[Any, Any]:
    """One step of a scan as a graph, and the function that knows the structure of what it stacks."""
    count = len(carry.leaves)

    def step(*leaves: Any) -> tuple[list[Any], tree.TreeDef]:
        result = f(carry.tree.unflatten(leaves[:count]), x_tree.unflatten(leaves[count:]))
        new, y = _pair(f, result)
        ys, y_tree = operands_of("scan", f, y)
        return [*carry.fit(f, new), *ys], y_tree

    slices = [array_type(t.shape[1:], t.dtype, t.weak) for t in map(type_of, x_leaves)]
    body = Noting(step)
    return trace_body(carry, f, body, slices), body


def _scan(
    f: F, carry: Carry, x_leaves: Sequence[Any], x_tree: Any, length: int, reverse: bool, words: str = ""
) -> tuple[Any, Any]:
    closed, body = _traced_step(f, carry, x_leaves, x_tree)
    count = len(carry.leaves)
    with noted(words):
        outs = bind_scan(closed, carry.initial(), x_leaves, length, reverse)
    return carry.tree.unflatten(outs[:count]), body.out_tree.unflatten(outs[count:])


def _blocks_of_scan(
    f: F, carry: Carry, xs: Any, length: int, reverse: bool, sizes: int | str | Sequence[int]
) -> tuple[Any, Any]:
    """The scan over blocks of steps, whose inside the backward pass computes again."""
    x_leaves, x_tree = tree.flatten(xs)
    closed, _ = _traced_step(f, carry, x_leaves, x_tree)
    kept = sum(t.nbytes for t in carry.types)
    each = stacked_bytes(closed.graph, len(closed.constants), len(carry.leaves))
    loop = Loop("scan", each, kept, length, exact=True)
    if isinstance(sizes, str):
        levels, _, words = within(loop, sizes)
    else:
        levels = levels_of("scan", sizes)
        words = said(loop, levels)

    def run(init: Any, xs: Any, length: int, levels: tuple[int, ...]) -> tuple[Any, Any]:
        size = math.prod(levels)
        if not levels or size >= length:
            if levels and len(levels) > 1:
                return run(init, xs, length, levels[:-1])
            leaves, structure = tree.flatten(xs)
            return _scan(f, Carry("scan", "carry", init, f), leaves, structure, length, reverse, words)
        block = remat(lambda carry, rows: run(carry, rows, size, levels[:-1]))
        rest = length % size
        whole = slice(rest, length) if reverse else slice(0, length - rest)
        other = slice(0, rest) if reverse else slice(length - rest, length)
        rows = tree.map(lambda x: ops.slice_in_dim(x, whole.start, whole.stop), xs)
        split = lambda x: ops.reshape(x, (length // size, size, *type_of(x).shape[1:]))  # noqa: E731
        leaves, structure = tree.flatten(tree.map(split, rows))
        out, ys = _scan(
            block, Carry("scan", "carry", init, f), leaves, structure, length // size, reverse, words
        )
        ys = tree.map(lambda y: ops.reshape(y, (length - rest, *type_of(y).shape[2:])), ys)
        if rest:
            rows = tree.map(lambda x: ops.slice_in_dim(x, other.start, other.stop), xs)
            out, ends = remat(lambda carry, rows: run(carry, rows, rest, levels[:-1]))(out, rows)
            order = (lambda a, b: [b, a]) if reverse else (lambda a, b: [a, b])
            ys = tree.map(lambda a, b: ops.concatenate(order(a, b), 0), ys, ends)
        return out, ys

    return run(carry.tree.unflatten(carry.initial()), xs, length, levels)


def _pair(f: F, result: Any) -> tuple[Any, Any]:
    if not isinstance(result, tuple | list) or len(result) != 2:
        found = f"{len(result)} values" if isinstance(result, tuple | list) else named_type(result)
        raise ArgumentError(
            f"scan: {name_of(f)} has to return a pair (carry, y), and returned {found}",
            hint="return (carry, y); where there is nothing to stack, return (carry, None)",
        )
    return result[0], result[1]


def _scan_length(xs: Any, length: int | None) -> int:
    """The number of steps, on which the leading axes of `xs` and `length` have to agree."""
    if length is not None:
        try:
            length = operator.index(length)
        except TypeError:
            raise ArgumentError(
                f"scan: length has to be a Python int, got {length!r}",
                hint="with a traced number of steps use lax.fori_loop or lax.while_loop",
            ) from None
        if length < 0:
            raise ArgumentError(f"scan: length is {length}")
    found: list[tuple[str, int]] = [] if length is None else [("length", length)]
    for path, leaf in tree.leaves_with_path(xs):
        shape = type_of(leaf).shape
        if not shape:
            raise ShapeError(
                f"scan: xs{keystr(path)} is a scalar, and scan goes over the leading axis of xs",
                hint="make a list of numbers an array: funcgrad.numpy.array(xs); what does not change with the step "
                "goes in a closure or in the carry",
            )
        found.append((f"xs{keystr(path)}, of shape {shape},", shape[0]))
    if not found:
        raise ArgumentError("scan: without xs the number of steps is not known", hint="give length=")
    if any(n != found[0][1] for _, n in found):
        words = "; ".join(f"{name} has {n}" for name, n in found[:8])
        raise ShapeError(
            f"scan: the numbers of steps differ: {words}",
            hint="all xs have one length along their first axis, and length= is that length",
        )
    return found[0][1]


def _python_scan(f: F, init: Any, xs: Any, length: int, reverse: bool) -> tuple[Any, Any]:
    """The loop in Python, step by step, for debugging."""
    carry, ys = init, []
    for i in reversed(range(length)) if reverse else range(length):
        carry, y = _pair(f, f(carry, tree.map(lambda x, i=i: _row(x, i), xs)))
        ys.append(y)
    if reverse:
        ys.reverse()
    return carry, tree.map(lambda *rows: _stack(rows), *ys)


def _row(x: Any, i: int) -> Any:
    shape = type_of(x).shape
    return ops.reshape(ops.slice_in_dim(x, i, i + 1), shape[1:])


def _stack(rows: Sequence[Any]) -> Any:
    return ops.concatenate([ops.expand_dims(r, (0,)) for r in rows], 0)


@while_loop_carries
@boundary
def while_loop(
    cond_fun: F, body_fun: F, init_val: Any, *, checkpoint: int | str | Sequence[int] | None = None
) -> Any:
    """Run `val = body_fun(val)` as long as `cond_fun(val)` holds.

    Under `vmap` it runs until the last example is done, and leaves those that are done as they are. It
    differentiates in both modes: the backward pass runs the loop again, and keeps what each iteration computes in
    memory that grows with their number (MemoryError where there is none left).

    With `checkpoint=n` the backward pass keeps what the iterations of one block of `n` compute, and of the other blocks
    only the value at their start, for one more forward pass: for N iterations memory of N/n values and n iterations
    instead of N. With a tuple, `(n, m)`, blocks of `n` blocks of `m` iterations, and so on. With
    `checkpoint="200MB"` what is kept stays within so many bytes, whatever the number of iterations: by the binomial
    schedule of recursive checkpointing (Griewank and Walther, "Algorithm 799: revolve", 2000), which runs the loop as
    often again as these bytes ask for (ArgumentError where not even a few iterations fit). `jit(...).lower(...)` says
    what was chosen and the bytes that it needs.

    >>> import funcgrad as fg
    >>> fg.lax.while_loop(lambda n: n < 100, lambda n: n * 3, 1)
    Array(243, dtype=int64, weak_type=True)
    """
    check_function("while_loop", "cond_fun", cond_fun, ("carry",))
    check_function("while_loop", "body_fun", body_fun, ("carry",))
    carry = Carry("while_loop", "val", init_val, body_fun)
    step, plan = body_fun, _EVERYTHING
    if checkpoint is not None:

        def step(value: Any) -> Any:
            new = body_fun(value)
            if tree.structure(new) != carry.tree:
                carry.fit(body_fun, new)
            return new

        step, plan = _in_blocks("while_loop", checkpoint, cond_fun, step, body_fun, init_val, None)
    return _while("while_loop", cond_fun, step, body_fun, init_val, plan)


@record
class _Memory:
    """What the backward pass of a loop may keep, where that is not all, and what `lower` says of that."""

    budget: LoopBudget | None = None
    words: str = ""


_EVERYTHING = _Memory()


def _in_blocks(
    what: str,
    sizes: int | str | Sequence[int],
    cond_fun: F,
    body_fun: F,
    user: F,
    init: Any,
    steps: int | None,
) -> tuple[F, _Memory]:
    """Up to so many iterations as one, whose inside the backward pass computes again; or, for a number of bytes that
    this does not suit, the body as it is, and what its loop has to know."""
    if config.disable_jit and state.trace.eager:
        return body_fun, _EVERYTHING
    levels = () if isinstance(sizes, str) else levels_of(what, sizes)
    carry = Carry(what, "val", init, user)
    body = trace_body(carry, user, lambda *v: carry.fit(user, body_fun(carry.tree.unflatten(v))), ())
    kept = sum(t.nbytes for t in carry.types)
    loop = Loop(what, record_bytes(body.graph, len(body.constants)), kept, steps)
    if isinstance(sizes, str):
        levels, budget, words = within(loop, sizes)
        if not levels:
            return body_fun, _Memory(budget, words)
    else:
        words = said(loop, levels)
    for count in reversed(levels):
        body_fun = _block(what, count, cond_fun, body_fun, user, words)
    return body_fun, _EVERYTHING


def _block(what: str, count: int, cond_fun: F, body_fun: F, user: F, words: str) -> F:
    def going(value: Any) -> Any:
        return ops.and_(ops.lt(value[0], count), cond_fun(value[1]))

    def step(value: Any) -> Any:
        return ops.add(value[0], 1), body_fun(value[1])

    def block(value: Any) -> Any:
        return _while(what, going, step, user, (0, value), _Memory(None, words))[1]

    return remat(block)


def _while(what: str, cond_fun: F, body_fun: F, user: F, init: Any, memory: _Memory = _EVERYTHING) -> Any:
    """A while loop whose errors speak of the function `user`."""
    carry = Carry(what, "val", init, user)
    if config.disable_jit and state.trace.eager:
        value = init
        while cond_fun(value):
            value = body_fun(value)
        return value
    unflatten = carry.tree.unflatten
    body = trace_body(carry, user, lambda *leaves: carry.fit(user, body_fun(unflatten(leaves))), ())

    def asked(*leaves: Any) -> list[Any]:
        result = cond_fun(unflatten(leaves))
        _check_predicate(what, f"what {name_of(cond_fun)} returns", result)
        return [result]

    cond = trace_to_graph(asked, carry.types, name_of(cond_fun))
    with noted(memory.words):
        return unflatten(bind_while(cond, body, carry.initial(), memory.budget))


def _check_predicate(what: str, role: str, value: Any) -> None:
    if not is_operand(value):
        raise ArgumentError(
            f"{what}: {role} has to be a boolean scalar, got {type(value).__name__}: {value!r:.80}"
        )
    t = type_of(value)
    if t.shape:
        raise ShapeError(
            f"{what}: {role} has to be a scalar, got {t}",
            hint="reduce it with .any() or .all(); for a choice per element use numpy.where",
        )
    if not dtypes.is_bool(t.dtype):
        raise DTypeError(f"{what}: {role} has to be boolean, got {t}", hint="compare it, as in x != 0")


@fori_loop_carries
@boundary
def fori_loop(
    lower: Any,
    upper: Any,
    body_fun: F,
    init_val: Any,
    *,
    unroll: int | bool | None = None,
    checkpoint: int | str | Sequence[int] | None = None,
) -> Any:
    """Run `val = body_fun(i, val)` for i from `lower` in steps of 1 while it is below `upper`. The bounds are integers,
    or both floats, as i is then.

    With bounds that are Python ints (or arrays at hand) this is a `scan`, and differentiates in both modes; with
    traced bounds, or `checkpoint`, it is a `while_loop`, which does too, and whose `checkpoint` it has.

    >>> import funcgrad as fg
    >>> fg.lax.fori_loop(0, 5, lambda i, total: total + i, 0)
    Array(10, dtype=int64, weak_type=True)
    """
    check_function("fori_loop", "body_fun", body_fun, ("i", "carry"))
    floats = all(is_operand(b) and dtypes.is_float(type_of(b).dtype) for b in (lower, upper))
    for name, bound in (("lower", lower), ("upper", upper)):
        if (
            not is_operand(bound)
            or type_of(bound).shape
            or not (floats or dtypes.is_integer(type_of(bound).dtype))
        ):
            found = str(type_of(bound)) if is_operand(bound) else repr(bound)
            raise ArgumentError(
                f"fori_loop: {name} has to be an integer scalar, got {found}",
                hint="give an integer, for example int(n) or n.astype(int)",
            )
    dtype, weak = result_dtype(type_of(lower), type_of(upper))
    if isinstance(lower, Tracer) or isinstance(upper, Tracer) or checkpoint is not None:
        start, stop = cast(lower, dtype, weak), cast(upper, dtype, weak)
        carry = Carry("fori_loop", "val", init_val, body_fun)

        def step(value: Any) -> Any:
            i, stop, inner = value
            new = body_fun(i, inner)
            if tree.structure(new) != carry.tree:
                carry.fit(body_fun, new)
            return ops.add(i, 1), stop, new

        def going(value: Any) -> Any:
            return ops.lt(value[0], value[1])

        plan = _EVERYTHING
        if checkpoint is not None:
            known = not (isinstance(lower, Tracer) or isinstance(upper, Tracer))
            steps = _steps(lower, upper) if known else None
            init = (start, stop, init_val)
            step, plan = _in_blocks("fori_loop", checkpoint, going, step, body_fun, init, steps)
        return _while("fori_loop", going, step, body_fun, (start, stop, init_val), plan)[2]
    first, steps = np.asarray(data_of(lower), dtype).item(), _steps(lower, upper)
    start = first if weak else dtype.type(first)
    carry = Carry("fori_loop", "val", init_val, body_fun)
    if config.disable_jit:
        value = init_val
        for k in range(steps):
            value = body_fun(first + k, value)
        return value
    number = type_of(start)

    def body(*leaves: Any) -> list[Any]:
        result = body_fun(leaves[-1], carry.tree.unflatten(leaves[:-1]))
        return [*carry.fit(body_fun, result), ops.add(leaves[-1], 1)]

    closed = trace_body(carry, body_fun, body, [number])
    outs = bind_scan(closed, [*carry.initial(), start], [], steps, False)
    return carry.tree.unflatten(outs[:-1])


def _steps(lower: Any, upper: Any) -> int:
    """How many steps of 1 there are from `lower` to `upper`, which are at hand."""
    first, last = (np.asarray(data_of(bound)).item() for bound in (lower, upper))
    return max(math.ceil(last - first), 0)


_MISSING = object()


@cond_carries
@boundary
def cond(
    pred: Any, true_fun: Any, false_fun: Any, *operands: Any, operand: Any = _MISSING, linear: Any = None
) -> Any:
    """`true_fun(*operands)` where `pred` holds, else `false_fun(*operands)`; only one of them runs.

    Both may close over arrays, and return the same types. A `pred` that is a number holds unless it is 0. Under a
    `vmap` that batches `pred`, both run and each example takes its own result.

    >>> import funcgrad as fg
    >>> fg.lax.cond(True, lambda x: x + 1, lambda x: x - 1, 2.0)
    Array(3., dtype=float32, weak_type=True)
    """
    if not callable(true_fun) and len(operands) == 2 and callable(false_fun) and callable(operands[1]):
        # JAX's older form: cond(pred, true_operand, true_fun, false_operand, false_fun)
        both = (true_fun, operands[0])
        first, second = false_fun, operands[1]
        return cond(pred, lambda a, b: first(a), lambda a, b: second(b), *both)
    if operand is not _MISSING:
        if operands:
            raise ArgumentError("cond: give operands by position or as operand=, not both")
        operands = (operand,)
    takes = [f"operands[{i}]" for i in range(len(operands))]
    check_function("cond", "true_fun", true_fun, takes)
    check_function("cond", "false_fun", false_fun, takes)
    if is_operand(pred) and not type_of(pred).shape and not dtypes.is_bool(type_of(pred).dtype):
        pred = ops.ne(pred, 0) if isinstance(pred, Tracer) else bool(data_of(pred) != 0)
    _check_predicate("cond", "pred", pred)
    if config.disable_jit and not isinstance(pred, Tracer):
        return true_fun(*operands) if pred else false_fun(*operands)
    return _choose("cond", ops.convert(pred, dtypes.int32), (false_fun, true_fun), operands)


@switch_carries
@boundary
def switch(index: Any, branches: Sequence[F], *operands: Any, operand: Any = _MISSING) -> Any:
    """`branches[index](*operands)`, where `index` is limited to the branches that there are.

    >>> import funcgrad as fg
    >>> fg.lax.switch(1, [lambda x: x, lambda x: x * 2], 3.0)
    Array(6., dtype=float32, weak_type=True)
    """
    branches = tuple(branches)
    for number, branch in enumerate(branches):
        check_function("switch", f"branches[{number}]", branch)
    if not branches:
        raise ArgumentError("switch: there are no branches", hint="give at least one function")
    if operand is not _MISSING:
        if operands:
            raise ArgumentError("switch: give operands by position or as operand=, not both")
        operands = (operand,)
    if not is_operand(index) or type_of(index).shape or not dtypes.is_integer(type_of(index).dtype):
        found = str(type_of(index)) if is_operand(index) else repr(index)
        raise ArgumentError(
            f"switch: index has to be an integer scalar, got {found}",
            hint="make it an integer: i.astype(int); for a boolean use lax.cond, for a choice per element lax.select_n",
        )
    last = len(branches) - 1
    if not isinstance(index, Tracer):
        index = np.int32(min(max(int(data_of(index)), 0), last))
        if config.disable_jit:
            return branches[int(index)](*operands)
    elif type_of(index).dtype != dtypes.int32:
        index = ops.convert(ops.min_(ops.max_(index, 0), last), dtypes.int32)
    return _choose("switch", index, branches, operands)


def _choose(what: str, index: Any, branches: Sequence[F], operands: tuple[Any, ...]) -> Any:
    leaves, in_tree = operands_of(what, branches[0], operands)
    closed, out_tree = trace_branches(what, branches, in_tree, [type_of(x) for x in leaves])
    graphs, constants = joined([(c.graph, c.constants) for c in closed])
    return out_tree.unflatten(bind_cond(index, graphs, [*constants, *leaves]))


__all__ = ["cond", "fori_loop", "scan", "switch", "while_loop"]


@boundary
def platform_dependent(*args: Any, default: F | None = None, **per_platform: F) -> Any:
    """What the function for the platform that runs gives for `args`: `cpu` or, where there is none, `default`.

    >>> import funcgrad as fg
    >>> fg.lax.platform_dependent(2.0, cpu=lambda x: x + 1, cuda=lambda x: x - 1)
    3.0
    """
    chosen = per_platform.get("cpu", default)
    if chosen is None:
        raise ArgumentError(
            f"platform_dependent has functions for {sorted(per_platform)}, and the platform is 'cpu'",
            hint="pass cpu=... or default=...",
        )
    check_function("platform_dependent", "cpu" if "cpu" in per_platform else "default", chosen)
    return chosen(*args)
