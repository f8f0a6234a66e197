"""The derivatives, for functions of trees: composition of the transforms, and checks of arguments.

Names, argument order and meaning are JAX's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad import dtypes, tree
from funcgrad.array import ShapeDtypeStruct
from funcgrad.errors import (
    ArgumentError,
    DTypeError,
    NotDifferentiableError,
    ShapeError,
    boundary,
)
from funcgrad.flat import (
    FlatFunction,
    check_operands,
    check_results,
    describe_argument,
    name_of,
    normalize_argnums,
    split_aux,
)
from funcgrad.ir.graph import ClosedGraph
from funcgrad.ir.primitive import Zero
from funcgrad.trace import ops
from funcgrad.trace.core import as_array, eager, is_operand, no_leaks, type_of
from funcgrad.trace.graph_trace import evaluate_graph, trace_to_graph
from funcgrad.transforms.jvp import JvpTracer, push_forward
from funcgrad.transforms.partial import LinearMap
from funcgrad.transforms.partial import linearize as linearize_flat
from funcgrad.transforms.tape import Tape
from funcgrad.transforms.transpose import pull_back_closed

F = Callable[..., Any]


def require_function(function: Any, transform: str) -> None:
    if not callable(function):
        raise ArgumentError(
            f"{transform} takes a function, got {type(function).__name__}",
            hint=f"write {transform}(f)(x), not {transform}(f(x))",
        )


def partial_on(fun: F, argnums: Any, args: tuple[Any, ...], kwargs: dict[str, Any]):
    """`fun` as a function of the arguments at `argnums`, those arguments, and their positions."""
    positions = normalize_argnums(fun, argnums, len(args), "argnums")

    def of_moving(*values: Any) -> Any:
        full = list(args)
        for p, v in zip(positions, values):
            full[p] = v
        return fun(*full, **kwargs)

    of_moving.__name__ = name_of(fun)
    return of_moving, tuple([args[p] for p in positions]), positions


# Reverse mode.
class _LinearFunction:
    """A linear function between trees: a tree of its residuals, so that traced functions take and return it."""

    def __init__(
        self,
        linear: LinearMap,
        in_tree: Any,
        in_types: Sequence[Any],
        out_tree: Any,
        out_types: Sequence[Any],
    ):
        self._linear = linear
        self._in_tree = in_tree
        self._in_types = in_types
        self._out_tree = out_tree
        self._out_types = out_types

    def _flattened(self) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        linear, types = self._linear, (tuple(self._in_types), tuple(self._out_types))
        flags = linear.in_nonzero, linear.out_nonzero
        return tuple(linear.closed.constants), (
            linear.closed.graph,
            flags,
            self._in_tree,
            self._out_tree,
            *types,
        )

    @classmethod
    def _unflattened(cls, fixed: tuple[Any, ...], residuals: Sequence[Any]) -> _LinearFunction:
        graph, flags, in_tree, out_tree, in_types, out_types = fixed
        linear = LinearMap(ClosedGraph(graph, tuple(residuals)), *flags)
        return cls(linear, in_tree, in_types, out_tree, out_types)


class Pullback(_LinearFunction):
    """The function from cotangents of outputs to cotangents of inputs that `vjp` gives. It may be called again
    and again, and inside other transforms."""

    @boundary
    def __call__(self, cotangents: Any) -> Any:
        cts, ct_tree = tree.flatten(cotangents)
        if ct_tree != self._out_tree:
            raise ArgumentError(
                f"the cotangent has structure {ct_tree}, and the function's output has {self._out_tree}",
                hint="pass one cotangent for each output, in the same containers",
            )
        cts = [_fitted(ct, t, "cotangent", "output") for ct, t in zip(cts, self._out_types)]
        return self._in_tree.unflatten(self.flat(cts))

    def flat(self, cotangents: Sequence[Any]) -> list[Any]:
        """Cotangents of the flat inputs; of integer inputs zeros of dtype float0."""
        linear = self._linear
        given = [ct for ct, nz in zip(cotangents, linear.out_nonzero) if nz]
        pulled = iter(pull_back_closed(linear.closed, given))
        found = [
            next(pulled) if nz else Zero(t.tangent()) for t, nz in zip(self._in_types, linear.in_nonzero)
        ]
        return [as_array(ops.materialize(c)) for c in found]


class Pushforward(_LinearFunction):
    """The function from tangents of inputs to tangents of outputs that `linearize` gives."""

    @boundary
    def __call__(self, *tangents: Any) -> Any:
        given, given_tree = tree.flatten(tangents)
        if given_tree != self._in_tree:
            raise ArgumentError(
                f"the tangents have structure {given_tree}, and the primals of linearize had {self._in_tree}"
            )
        linear = self._linear
        given = [_fitted(x, t, "tangent", "primal") for x, t in zip(given, self._in_types)]
        moving = [x for x, nz in zip(given, linear.in_nonzero) if nz]
        pushed = iter(evaluate_graph(linear.closed.graph, [*linear.closed.constants, *moving]))
        outs = [
            next(pushed) if nz else ops.zeros(t.tangent())
            for nz, t in zip(linear.out_nonzero, self._out_types)
        ]
        return self._out_tree.unflatten(map(as_array, outs))


for _kind in (Pullback, Pushforward):
    tree.register_pytree_node(_kind, _kind._flattened, _kind._unflattened)


def _fitted(value: Any, primal: Any, what: str, of: str) -> Any:
    """`value` as a tangent or cotangent of something of type `primal`; raises where it cannot be one."""
    t, expected = type_of(value), primal.tangent()
    if t.shape != expected.shape:
        raise ShapeError(
            f"the {what} has type {t}, and the {of} that it belongs to has {primal}; shapes differ",
            hint=f"a {what} has the shape of its {of}: {primal.shape}",
        )
    if expected.dtype == dtypes.float0 and what == "cotangent" and not dtypes.is_inexact(t.dtype):
        return ops.zeros(expected)  # integers have no other; JAX takes any too
    if t.dtype != expected.dtype:
        if expected.dtype == dtypes.float0:
            hint = f"the {of} is {primal}: its {what} is numpy.zeros(shape, funcgrad.dtypes.float0)"
        else:
            hint = f"use x.astype({expected.dtype.name!r})"
        if not (t.weak and dtypes.can_take(expected.dtype, t.dtype)):
            raise DTypeError(
                f"the {what} has type {t}, and the {of} that it belongs to needs {expected}", hint=hint
            )
        return ops.convert(value, expected.dtype, expected.weak)
    return value


def _linearized(fun: F, primals: tuple[Any, ...], has_aux: bool, transform: str):
    leaves, in_tree = tree.flatten((primals, {}))
    if not all(map(is_operand, leaves)):
        check_operands(fun, primals, {}, transform)
    flat = FlatFunction(fun, in_tree, has_aux)
    outs, linear = linearize_flat(flat, leaves)
    return outs, linear, flat, leaves


@boundary
@no_leaks
def vjp(fun: F, *primals: Any, has_aux: bool = False) -> Any:
    """The value of `fun(*primals)` and its pullback: from cotangents of the output to cotangents of `primals`.

    Args:
        fun: a function of trees of arrays.
        primals: where to differentiate. Integer leaves have cotangents of dtype float0.
        has_aux: `fun` returns (output, aux), and aux comes back as a third result, not differentiated.

    >>> import funcgrad as fg
    >>> y, pull = fg.vjp(fg.numpy.sin, 0.0)
    >>> pull(1.0)
    (Array(1., dtype=float32, weak_type=True),)
    """
    require_function(fun, "vjp")
    outs, linear, flat, leaves = _linearized(fun, primals, has_aux, "vjp")
    types = [type_of(x) for x in leaves]
    pullback = Pullback(linear, tree.structure(primals), types, flat.out_tree, [type_of(o) for o in outs])
    value = flat.out_tree.unflatten(map(as_array, outs))
    return (value, pullback, plain_aux(flat.aux)) if has_aux else (value, pullback)


def plain_aux(aux: Any) -> Any:
    """Auxiliary output without this transform's tracers: primal values only."""
    return tree.map(
        lambda x: as_array(x.primal) if x.__class__ is JvpTracer and not x.made_by.alive else x, aux
    )


@boundary
def value_and_grad(
    fun: F,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> F:
    """The function that gives `fun`'s value and its gradient, in one pass each way.

    Args:
        fun: a function with a scalar output (of shape ()). The gradient in a complex argument x + iy is
            du/dx - i du/dy, so that descent follows its conjugate.
        argnums: the positional argument, or arguments, to differentiate; with a tuple the gradients come as
            a tuple. An argument may be any tree of arrays.
        has_aux: `fun` returns (output, aux); the result is then ((value, aux), gradient).
        holomorphic: `fun` is holomorphic, from complex arguments to a complex output.
        allow_int: accept integer arguments, whose gradient is zeros of dtype float0.

    Raises:
        NotDifferentiableError: an integer argument, or an output that is no scalar.

    >>> import funcgrad as fg
    >>> fg.value_and_grad(lambda x: x**2)(3.0)
    (Array(9., dtype=float32, weak_type=True), Array(6., dtype=float32, weak_type=True))
    """
    require_function(fun, "grad")
    single = hasattr(argnums, "__index__")

    @functools.wraps(fun)
    @boundary
    @no_leaks
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        of_moving, moving, positions = partial_on(fun, argnums, args, kwargs)
        leaves, in_tree = tree.flatten((moving, {}))
        if not all(map(is_operand, leaves)):
            check_operands(fun, args, {}, "grad", positions)
        types = [type_of(x) for x in leaves]
        for t in types:
            _check_grad_input(fun, args, positions, moving, t, holomorphic, allow_int)
        flat = FlatFunction(of_moving, in_tree, has_aux)
        pull: Callable[[Sequence[Any]], list[Any]]
        if eager():
            tape = Tape()
            outs, pull = tape.run(flat, leaves), tape.pull
        else:
            outs, linear = linearize_flat(flat, leaves)
            pull = Pullback(linear, tree.structure(moving), types, flat.out_tree, ()).flat
        value = _check_grad_output(fun, outs, flat, holomorphic)
        _, one = ops.same_dtype(value, 1)
        gradients = tree.unflatten(
            tree.structure(moving), [as_array(ops.materialize(c)) for c in pull([one])]
        )
        value = flat.out_tree.unflatten([as_array(value)])
        if has_aux:
            value = (value, plain_aux(flat.aux))
        return value, gradients[0] if single else gradients

    value_and_gradient.__name__ = f"value_and_grad_{name_of(fun)}"
    return value_and_gradient


def _check_grad_input(
    fun: F, args: Any, positions: Any, moving: Any, t: Any, holomorphic: bool, allow_int: bool
) -> None:
    if (dtypes.is_float(t.dtype) and not holomorphic) or (allow_int and not dtypes.is_inexact(t.dtype)):
        return
    if dtypes.is_complex(t.dtype):
        return
    for p, value in zip(positions, moving):  # find the leaf, to name it
        for path, leaf in tree.leaves_with_path(value):
            if type_of(leaf) == t:
                place = describe_argument(fun, args, p) + tree.keystr(path)
                if holomorphic:
                    raise DTypeError(f"grad(holomorphic=True) needs complex arguments; {place} is {t}")
                raise NotDifferentiableError(
                    f"grad needs arguments of a float dtype; {place} is {t}, and integers have no derivative",
                    hint="pass 3.0 instead of 3, or x.astype(float); argnums chooses other arguments; allow_int=True "
                    "gives zeros of dtype float0",
                )


def _check_grad_output(fun: F, outs: Sequence[Any], flat: FlatFunction, holomorphic: bool) -> Any:
    name = name_of(fun)
    if len(outs) != 1 or type_of(outs[0]).shape != ():
        got = ", ".join(str(type_of(o)) for o in outs) or "nothing (did it forget to return?)"
        raise NotDifferentiableError(
            f"grad needs a function with one scalar output; {name} returned {got}",
            hint="reduce it, for example with .sum() or .mean(); use has_aux=True for further outputs, or jacrev or "
            "vjp for outputs that are not scalars",
        )
    t = type_of(outs[0])
    if holomorphic and not dtypes.is_complex(t.dtype):
        raise DTypeError(f"grad(holomorphic=True) needs a complex output; {name} returned {t}")
    if not holomorphic and not dtypes.is_float(t.dtype):
        raise NotDifferentiableError(
            f"grad needs a real float output; {name} returned {t}",
            hint="take .real, or abs, of a complex output, or say holomorphic=True; make an integer output float",
        )
    return outs[0]


@boundary
def grad(
    fun: F,
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> F:
    """The gradient of a scalar function; arguments as for `value_and_grad`. With has_aux, (gradient, aux).

    >>> import funcgrad as fg
    >>> fg.grad(fg.numpy.tanh)(0.0)
    Array(1., dtype=float32, weak_type=True)
    """
    both = value_and_grad(fun, argnums, has_aux, holomorphic, allow_int)

    @functools.wraps(fun)
    @boundary
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, gradients = both(*args, **kwargs)
        return (gradients, value[1]) if has_aux else gradients

    gradient.__name__ = f"grad_{name_of(fun)}"
    return gradient


# Forward mode.
@boundary
@no_leaks
def jvp(fun: F, primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False) -> Any:
    """The value of `fun(*primals)` and its directional derivative along `tangents`.

    `primals` and `tangents` are tuples or lists of the same structure, shapes and dtypes. With has_aux `fun`
    returns (output, aux), and the result is (value, tangent, aux).

    >>> import funcgrad as fg
    >>> fg.jvp(fg.numpy.sin, (0.0,), (2.0,))
    (Array(0., dtype=float32, weak_type=True), Array(2., dtype=float32, weak_type=True))
    """
    require_function(fun, "jvp")
    for what, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, tuple | list):
            raise ArgumentError(
                f"{what} of jvp has to be a tuple or a list of arguments, got {type(given).__name__}",
                hint=f"write jvp(f, (x,), (t,)): {what} has one entry per argument",
            )
    leaves, in_tree = tree.flatten((tuple(primals), {}))
    tangent_leaves, tangent_tree = tree.flatten((tuple(tangents), {}))
    if in_tree != tangent_tree:
        raise ArgumentError(
            f"primals and tangents of jvp differ in structure: {tree.structure(tuple(primals))} and "
            f"{tree.structure(tuple(tangents))}",
            hint="give one tangent for each primal, in the same containers: jvp(f, (x, y), (tx, ty))",
        )
    check_operands(fun, tuple(primals), {}, "jvp")
    check_operands(fun, tuple(tangents), {}, "jvp")
    pushed = []
    for primal, tangent in zip(leaves, tangent_leaves):
        t = type_of(primal)
        tangent = _fitted(tangent, t, "tangent", "primal")
        pushed.append(tangent if dtypes.is_inexact(t.dtype) else Zero(t.tangent()))
    flat = FlatFunction(fun, in_tree, has_aux)
    outs, out_tangents = push_forward(flat, leaves, pushed)
    value = flat.out_tree.unflatten(map(as_array, outs))
    tangent = flat.out_tree.unflatten([as_array(ops.materialize(t)) for t in out_tangents])
    return (value, tangent, plain_aux(flat.aux)) if has_aux else (value, tangent)


@boundary
@no_leaks
def linearize(fun: F, *primals: Any, has_aux: bool = False) -> Any:
    """The value of `fun(*primals)` and the linear function from tangents of `primals` to those of the output.

    The primal part is computed once; calling the linear function again costs the tangent part only.

    >>> import funcgrad as fg
    >>> y, f_jvp = fg.linearize(fg.numpy.sin, 0.0)
    >>> f_jvp(3.0)
    Array(3., dtype=float32, weak_type=True)
    """
    require_function(fun, "linearize")
    outs, linear, flat, leaves = _linearized(fun, primals, has_aux, "linearize")
    types, out_types = ([type_of(x) for x in values] for values in (leaves, outs))
    push = Pushforward(linear, tree.structure(primals), types, flat.out_tree, out_types)
    value = flat.out_tree.unflatten(map(as_array, outs))
    return (value, push, plain_aux(flat.aux)) if has_aux else (value, push)


@boundary
def linear_transpose(fun: F, *primals: Any) -> F:
    """The transpose of a linear function: from cotangents of its output to cotangents of its inputs.

    `primals` give types only: arrays or ShapeDtypeStructs. Raises NotDifferentiableError where `fun` is not
    linear in them, DTypeError where they are integers.

    >>> import funcgrad as fg
    >>> fg.linear_transpose(lambda x: 2 * x, 1.0)(5.0)
    (Array(10., dtype=float32, weak_type=True),)
    """
    require_function(fun, "linear_transpose")
    leaves, in_tree = tree.flatten((primals, {}))
    check_operands(fun, primals, {}, "linear_transpose")
    types = [type_of(x) for x in leaves]
    for t in types:
        if not dtypes.is_inexact(t.dtype):
            raise DTypeError(
                f"linear_transpose of {name_of(fun)} at {t}: only floats and complex numbers have cotangents",
                hint="convert the argument with .astype(float), or close over it",
            )
    flat = FlatFunction(fun, in_tree)
    closed = trace_to_graph(flat, types, name_of(fun))

    @boundary
    def transposed(cotangents: Any) -> Any:
        cts, ct_tree = tree.flatten(cotangents)
        if ct_tree != flat.out_tree:
            raise ArgumentError(
                f"the cotangent has structure {ct_tree}, and the function's output has {flat.out_tree}"
            )
        cts = [_fitted(ct, t, "cotangent", "output") for ct, t in zip(cts, closed.out_types)]
        pulled = pull_back_closed(closed, cts)
        return tree.structure(primals).unflatten([as_array(ops.materialize(c)) for c in pulled])

    return transposed


# Types and graphs.
@boundary
def eval_shape(fun: F, *args: Any, **kwargs: Any) -> Any:
    """The shapes and dtypes of `fun(*args, **kwargs)` without computing it: a tree of ShapeDtypeStructs.

    Arguments may be arrays or ShapeDtypeStructs.
    """
    closed, flat = closed_graph(fun, args, kwargs, "eval_shape")
    return flat.out_tree.unflatten([ShapeDtypeStruct.of(t) for t in closed.out_types])


def closed_graph(fun: F, args: tuple[Any, ...], kwargs: dict[str, Any], transform: str):
    """`fun` traced at the types of these arguments, and what knows the structure of its results."""
    require_function(fun, transform)
    leaves, in_tree = tree.flatten((args, kwargs))
    check_operands(fun, args, kwargs, transform)
    flat = FlatFunction(fun, in_tree)
    return trace_to_graph(flat, [type_of(x) for x in leaves], name_of(fun)), flat


@boundary
def make_graph(fun: F, static_argnums: int | Sequence[int] = (), return_shape: bool = False) -> F:
    """The function that gives `fun`'s graph for given arguments; print it to read it.

    With return_shape also a tree of ShapeDtypeStructs of the output. JAX's name is `make_jaxpr`.

    >>> import funcgrad as fg
    >>> print(fg.make_graph(lambda x: x + 1)(2.0))  # doctest: +SKIP
    """
    require_function(fun, "make_graph")

    @functools.wraps(fun)
    @boundary
    def graph_of(*args: Any, **kwargs: Any) -> Any:
        statics = normalize_argnums(fun, static_argnums, len(args), "static_argnums")

        def of_dynamic(*values: Any, **named: Any) -> Any:
            rest = iter(values)
            return fun(*[args[i] if i in statics else next(rest) for i in range(len(args))], **named)

        of_dynamic.__name__ = name_of(fun)
        dynamic = tuple([a for i, a in enumerate(args) if i not in statics])
        closed, flat = closed_graph(of_dynamic, dynamic, kwargs, "make_graph")
        if not return_shape:
            return closed
        return closed, flat.out_tree.unflatten([ShapeDtypeStruct.of(t) for t in closed.out_types])

    return graph_of


make_jaxpr = make_graph


def stop_gradient(x: Any) -> Any:
    """`x` as a constant to derivatives, for each leaf of a tree.

    >>> import funcgrad as fg
    >>> fg.grad(lambda x: x * fg.lax.stop_gradient(x))(3.0)
    Array(3., dtype=float32, weak_type=True)
    """

    def stop(leaf: Any) -> Any:
        if not dtypes.is_inexact(type_of(leaf).dtype):
            return leaf
        return ops.apply("stop_gradient", leaf)

    return tree.map(stop, x)


def block_until_ready(x: Any) -> Any:
    """`x` itself, when its arrays are computed. On the CPU they are when they are returned."""
    return x


__all__ = [
    "ClosedGraph",
    "Pullback",
    "block_until_ready",
    "check_results",
    "eval_shape",
    "grad",
    "jvp",
    "linear_transpose",
    "linearize",
    "make_graph",
    "make_jaxpr",
    "split_aux",
    "stop_gradient",
    "value_and_grad",
    "vjp",
]
