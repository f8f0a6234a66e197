"""`custom_jvp` and `custom_vjp` for functions of trees, and what is made of them: what users decorate with. The
machinery is in prims/custom.py."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from funcgrad import dtypes, tree
from funcgrad.errors import ArgumentError, DTypeError, NotDifferentiableError, ShapeError, TreeError, boundary
from funcgrad.flat import FlatFunction, check_function, check_operands, name_of
from funcgrad.ir.graph import Graph
from funcgrad.ir.primitive import Zero
from funcgrad.ir.types import ArrayType
from funcgrad.prims.custom import CustomJvp, CustomVjp
from funcgrad.records import entity
from funcgrad.trace import ops
from funcgrad.trace.core import Tracer, named_type, state, type_of
from funcgrad.trace.graph_trace import evaluate_graph, trace_to_graph

F = Callable[..., Any]


class _Custom:
    """What both decorators share: resolving arguments and separating those that are not differentiated."""

    def __init__(self, fun: F, nondiff_argnums: Sequence[int] = (), nondiff_argnames: Sequence[str] = ()):
        if not callable(fun):
            raise ArgumentError(f"{type(self).__name__} takes a function, got {type(fun).__name__}")
        functools.update_wrapper(self, fun)
        self.fun = fun
        self._name = name_of(fun)
        self._nondiff = tuple(nondiff_argnums)
        if nondiff_argnames:
            names = list(inspect.signature(fun).parameters)
            self._nondiff += tuple(names.index(n) for n in nondiff_argnames)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __getattr__(self, name: str) -> Any:
        """What the function itself has, such as the `def_vmap` of a function under `custom_vmap`."""
        if name.startswith("_") or name == "fun":
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return getattr(self.fun, name)

    def _resolve(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments by position, defaults filled in."""
        if not kwargs:
            try:
                bound = inspect.signature(self.fun).bind(*args)
            except ValueError:
                return args
        else:
            bound = inspect.signature(self.fun).bind(*args, **kwargs)
        if bound.kwargs:
            raise ArgumentError(
                f"{self._name} has a derivative rule of its own and takes keyword-only arguments "
                f"({', '.join(bound.kwargs)}), which its rule could not receive",
                hint="make them positional",
            )
        bound.apply_defaults()
        return bound.args

    def _prepare(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Prepared:
        args = self._resolve(args, kwargs)
        return _Prepared(self, args, tuple([n % len(args) for n in self._nondiff]))


class _Prepared:
    """A call of a function with a rule, whose operands are of the structure `in_tree` of (given, dynamic).

    `given` are what is traced among the arguments that are not differentiated, whose other leaves stay with the call;
    `dynamic` are the other arguments.
    """

    def __init__(self, custom: _Custom, args: tuple[Any, ...], nondiff: tuple[int, ...]):
        self._nondiff = nondiff
        self._held, self._held_tree = tree.flatten(tuple([args[n] for n in nondiff]))
        self._traced = [isinstance(x, Tracer) for x in self._held]
        given = tuple([x for x, t in zip(self._held, self._traced) if t])
        dynamic = tuple([a for i, a in enumerate(args) if i not in nondiff])
        check_operands(custom.fun, dynamic, {}, type(custom).__name__)
        self._leaves, self._in_tree = tree.flatten(((given, dynamic), {}))
        self._held = [None if t else x for x, t in zip(self._held, self._traced)]
        self.given = len(given)
        self.dynamic_tree = tree.structure(dynamic)

        def function(given: tuple[Any, ...], dynamic: tuple[Any, ...]) -> Any:
            return custom.fun(*self.arguments(given, dynamic))

        function.__name__ = custom._name
        self.function = FlatFunction(function, self._in_tree)

    def take(self) -> list[Any]:
        """The operands. They are not kept: rules hold this call, and traced values must not outlive their function."""
        leaves, self._leaves = self._leaves, []
        return leaves

    def split(self, values: Sequence[Any]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """What stands for `given` and for `dynamic`."""
        return self._in_tree.unflatten(values)[0]

    def fixed(self, given: Sequence[Any]) -> tuple[Any, ...]:
        """The arguments that are not differentiated."""
        rest = iter(given)
        return self._held_tree.unflatten([next(rest) if t else x for x, t in zip(self._held, self._traced)])

    def arguments(self, given: Sequence[Any], dynamic: Sequence[Any]) -> list[Any]:
        """All arguments, in their order."""
        fixed, rest = dict(zip(self._nondiff, self.fixed(given))), iter(dynamic)
        count = len(fixed) + len(dynamic)
        return [fixed[i] if i in fixed else next(rest) for i in range(count)]


class SymbolicZero:
    """A tangent or cotangent that is known to be zero: what rules with `symbolic_zeros` see of arguments and results
    that are not involved. It has a shape and a dtype and no elements."""

    __slots__ = ("aval",)

    def __init__(self, aval: ArrayType):
        self.aval = aval

    type = property(lambda self: self.aval)
    shape = property(lambda self: self.aval.shape)
    dtype = property(lambda self: self.aval.dtype)
    ndim = property(lambda self: self.aval.ndim)
    size = property(lambda self: self.aval.size)

    def __repr__(self) -> str:
        return f"SymbolicZero({self.aval})"


def zero_from_primal(val: Any, symbolic_zeros: bool = False) -> Any:
    """The zero tangent of a value: a SymbolicZero, or an array of zeros.

    >>> import funcgrad as fg
    >>> fg.custom_derivatives.zero_from_primal(fg.numpy.ones(2), symbolic_zeros=True)
    SymbolicZero(f32[2])
    """
    tangent = type_of(val).tangent()
    return SymbolicZero(tangent) if symbolic_zeros else ops.zeros(tangent)


class CustomVJPPrimal(NamedTuple):
    """What the forward rule of a custom_vjp with `symbolic_zeros` gets in place of each leaf `value`; `perturbed` says
    whether it is involved in differentiation."""

    value: Any
    perturbed: bool


def custom_vjp_primal_tree_values(tree_of_primals: Any) -> Any:
    """The values of a tree of CustomVJPPrimals.

    >>> import funcgrad as fg
    >>> one = fg.custom_derivatives.CustomVJPPrimal(2.0, True)
    >>> fg.custom_derivatives.custom_vjp_primal_tree_values({"a": one})
    {'a': 2.0}
    """
    return tree.map(lambda p: p.value, tree_of_primals, is_leaf=lambda x: isinstance(x, CustomVJPPrimal))


def _shown(values: Sequence[Any]) -> list[Any]:
    """Tangents as a rule with `symbolic_zeros` sees them."""
    return [SymbolicZero(v.type) if v.__class__ is Zero else v for v in values]


class custom_jvp(_Custom):
    """A function with a forward derivative rule of its own.

    The rule `jvp(*nondiff, primals, tangents)` gives (output, output tangent). It is used for every
    derivative, of any order and mode; the tangent has to be linear in `tangents`. With `defjvp(rule,
    symbolic_zeros=True)` a tangent that is known to be zero is a `custom_derivatives.SymbolicZero`, and the rule may
    return such.

    >>> import funcgrad as fg
    >>> @fg.custom_jvp
    ... def f(x):
    ...     return fg.numpy.sin(x)
    >>> @f.defjvp
    ... def f_jvp(primals, tangents):
    ...     (x,), (t,) = primals, tangents
    ...     return f(x), fg.numpy.cos(x) * t
    >>> fg.grad(f)(0.0)
    Array(1., dtype=float32, weak_type=True)
    """

    _rule: F | None = None
    _symbolic = False

    def defjvp(self, jvp: F, symbolic_zeros: bool = False) -> F:
        """Give the rule; usable as a decorator."""
        self._rule, self._symbolic = jvp, bool(symbolic_zeros)
        return jvp

    def defjvps(self, *jvps: F | None) -> None:
        """Give one rule per argument, `rule(tangent, output, *primals)`; None where the derivative is zero."""

        def rule(primals: Any, tangents: Any) -> Any:
            out = self(*primals)
            total = ops.zeros(type_of(out).tangent())
            for one, t in zip(jvps, tangents):
                if one is not None:
                    total = ops.add(total, one(t, out, *primals))
            return out, total

        self._rule, self._symbolic = rule, False

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._rule is None:
            raise ArgumentError(
                f"custom_jvp function {self._name} has no rule yet",
                hint=f"define one with @{self._name}.defjvp",
            )
        prepared = self._prepare(args, kwargs)
        flat = prepared.function
        leaves = [_still(x) if k < prepared.given else x for k, x in enumerate(prepared.take())]
        rule_tree: list[Any] = []

        def rule(primals: Sequence[Any], tangents: Sequence[Any]) -> tuple[list[Any], list[Any]]:
            given, dynamic = prepared.split(primals)
            moved = prepared.split(_shown(tangents))[1]
            result = self._rule(*prepared.fixed(given), dynamic, moved)  # type: ignore[misc]
            if not isinstance(result, tuple | list) or len(result) != 2:
                raise ArgumentError(
                    f"the jvp rule of {self._name} has to return (output, tangent), got {named_type(result)}",
                    hint="return a pair, the output and its change along the tangents: return f(x), df * t",
                )
            outs, out_tree = tree.flatten(result[0])
            _check_same_output(self._name, flat, out_tree, "jvp")
            out_tangents, tangent_tree = tree.flatten(result[1])
            if out_tree != tangent_tree:
                raise ArgumentError(
                    f"the jvp rule of {self._name} returned an output of structure {out_tree} and a tangent of "
                    f"structure {tangent_tree}"
                )
            rule_tree[:] = [out_tree]
            return outs, [_rule_tangent(self._name, o, t) for o, t in zip(outs, out_tangents)]

        call = CustomJvp(flat, rule, self._name, self._symbolic, (self.fun, self._rule))
        outs = state.trace.call_custom_jvp(call, leaves)
        return (flat.out_tree if hasattr(flat, "out_tree") else rule_tree[0]).unflatten(outs)


def _still(value: Any) -> Any:
    """A value that is not differentiated, as a constant."""
    moves = dtypes.is_inexact(type_of(value).dtype)
    return ops.apply("stop_gradient", value) if moves else value


def _check_same_output(name: str, flat: FlatFunction, out_tree: Any, which: str) -> None:
    """Raise where a rule's output has another structure than the function's, as far as that one is known."""
    known = getattr(flat, "out_tree", out_tree)
    if known != out_tree:
        raise ArgumentError(
            f"the {which} rule of {name} returned an output of structure {out_tree}, and {name} itself one of "
            f"structure {known}",
            hint="the rule's output is the function's own",
        )


def _rule_tangent(name: str, out: Any, tangent: Any) -> Any:
    """A rule's tangent, checked against its output."""
    expected = type_of(out).tangent()
    if expected.dtype == dtypes.float0 or isinstance(tangent, SymbolicZero):
        return Zero(expected)
    t = type_of(tangent)
    if t.shape != expected.shape:
        raise ShapeError(
            f"the jvp rule of {name} returned a tangent of type {t} for an output of type {type_of(out)}",
            hint="output and tangent have one shape and dtype",
        )
    if t.dtype != expected.dtype:
        if not t.weak:
            raise DTypeError(
                f"the jvp rule of {name} returned a tangent of type {t} for an output of type {type_of(out)}",
                hint="output and tangent have one shape and dtype",
            )
        return ops.convert(tangent, expected.dtype)
    return tangent


class custom_vjp(_Custom):
    """A function with a reverse derivative rule of its own.

    `defvjp(fwd, bwd)`: `fwd(*args)` gives (output, residuals); `bwd(*nondiff, residuals, cotangent)` gives a
    tuple with one cotangent per differentiable argument (None for zero). Forward mode uses the transpose of `bwd`, and
    second derivatives differentiate both rules.

    With `symbolic_zeros` each leaf of `fwd`'s differentiable arguments is a
    `custom_derivatives.CustomVJPPrimal(value, perturbed)`, and a cotangent that is known to be zero is a
    `custom_derivatives.SymbolicZero`. With `optimize_remat`, where `checkpoint` leaves out the residuals, the function
    itself runs in the place of `fwd`; `fwd` is then traced like a function under `jit`.

    >>> import funcgrad as fg
    >>> @fg.custom_vjp
    ... def clip_gradient(x):
    ...     return x
    >>> clip_gradient.defvjp(lambda x: (x, None), lambda _, g: (fg.numpy.clip(g, -1, 1),))
    >>> fg.grad(lambda x: 3 * clip_gradient(x))(1.0)
    Array(1., dtype=float32, weak_type=True)
    """

    _rules: tuple[F, F] | None = None
    _symbolic = _apart = False

    @boundary
    def defvjp(self, fwd: F, bwd: F, symbolic_zeros: bool = False, optimize_remat: bool = False) -> None:
        """Give the two rules."""
        fixed = [f"nondiff argument {n}" for n in self._nondiff]
        check_function(
            f"custom_vjp of {self._name}", "the backward rule", bwd, [*fixed, "residuals", "cotangent"]
        )
        self._rules, self._symbolic, self._apart = (fwd, bwd), bool(symbolic_zeros), bool(optimize_remat)

    @boundary
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._rules is None:
            raise ArgumentError(
                f"custom_vjp function {self._name} has no rules yet",
                hint=f"define them with {self._name}.defvjp(fwd, bwd)",
            )
        fwd, bwd = self._rules
        prepared = self._prepare(args, kwargs)
        flat, count = prepared.function, prepared.given
        leaves = prepared.take()
        types = [type_of(x) for x in leaves]
        trees: dict[str, Any] = {}

        def forward(values: Sequence[Any], perturbed: Sequence[bool]) -> tuple[list[Any], list[Any]]:
            given, dynamic = prepared.split(values)
            if any(perturbed[:count]):
                raise NotDifferentiableError(
                    f"an argument of {self._name} that is among its nondiff_argnums is being differentiated",
                    hint="take it out of nondiff_argnums and give its cotangent in the backward rule (None for zero), "
                    "or pass stop_gradient of it",
                )
            if self._symbolic:
                dynamic = prepared.split(list(map(CustomVJPPrimal, values, perturbed)))[1]
            result = fwd(*prepared.arguments(given, dynamic))
            if not isinstance(result, tuple | list) or len(result) != 2:
                raise ArgumentError(
                    f"the forward rule of {self._name} has to return (output, residuals), got {named_type(result)}",
                    hint="return a pair: return f(x), residuals for the backward rule (None for nothing)",
                )
            outs, trees["out"] = tree.flatten(result[0])
            _check_same_output(self._name, flat, trees["out"], "forward")
            residuals, trees["residuals"] = tree.flatten(result[1])
            return outs, [*given, *residuals]

        def backward(residuals: Sequence[Any], cotangents: Sequence[Any]) -> list[Any]:
            held = trees["residuals"].unflatten(residuals[count:])
            fixed = prepared.fixed(residuals[:count])
            result = bwd(*fixed, held, trees["out"].unflatten(_shown(cotangents)))
            still = [Zero(t.tangent()) for t in types[:count]]
            return still + self._input_cotangents(result, prepared.dynamic_tree, types[count:])

        call = CustomVjp(
            flat, forward, backward, self._name, self._symbolic, self._apart, (self.fun, fwd, bwd)
        )
        outs = state.trace.call_custom_vjp(call, leaves)
        return (flat.out_tree if hasattr(flat, "out_tree") else trees["out"]).unflatten(outs)

    def _input_cotangents(self, result: Any, in_tree: Any, types: Sequence[Any]) -> list[Any]:
        """The flat cotangents from what the backward rule returned, checked against the inputs."""
        count = len(in_tree.children())
        if not isinstance(result, tuple | list) or len(result) != count:
            got = f"{len(result)} entries" if isinstance(result, tuple | list) else named_type(result)
            raise ArgumentError(
                f"the backward rule of {self._name} has to return a tuple with one cotangent per differentiable "
                f"argument ({count}), got {got}",
                hint="return (ct,) for one argument; None stands for zero",
            )
        flat: list[Any] = []
        start = 0
        for child, given in zip(in_tree.children(), result):
            own = types[start : start + child.num_leaves]
            start += child.num_leaves
            if given is None or isinstance(given, SymbolicZero):
                flat += [Zero(t.tangent()) for t in own]
                continue
            leaves, structure = tree.flatten(given, is_leaf=lambda x: x is None)
            if any(leaf is None for leaf in leaves):
                leaves, structure = self._zeros_spelled(leaves, structure, child)
            if structure.num_leaves != child.num_leaves:
                raise ArgumentError(
                    f"the backward rule of {self._name} returned a cotangent of structure {structure} for an argument "
                    f"of structure {child}"
                )
            flat += [self._cotangent(ct, t) for ct, t in zip(leaves, own)]
        return flat

    def _zeros_spelled(self, leaves: list[Any], structure: Any, child: Any) -> tuple[list[Any], Any]:
        """Cotangents with None, for zeros, at each leaf of a subtree of the argument for which None stands."""
        argument = child.unflatten(range(child.num_leaves))
        try:
            subtrees = structure.flatten_up_to(argument)
        except TreeError:
            return leaves, structure
        spelled: list[Any] = []
        for leaf, subtree in zip(leaves, subtrees):
            spelled += [None] * len(tree.leaves(subtree)) if leaf is None else [leaf]
        return spelled, child

    def _cotangent(self, cotangent: Any, primal: Any) -> Any:
        expected = primal.tangent()
        if cotangent is None or isinstance(cotangent, SymbolicZero) or expected.dtype == dtypes.float0:
            return Zero(expected)
        t = type_of(cotangent)
        if t.shape != expected.shape:
            raise ShapeError(
                f"the backward rule of {self._name} returned a cotangent of type {t} for an argument of type {primal}",
                hint="an argument and its cotangent have one shape; sum over what was broadcast",
            )
        return ops.convert(cotangent, expected.dtype) if t.dtype != expected.dtype else cotangent


@entity
class _Pullback:
    """A reverse rule as residuals: a graph, and the constants that it closes over."""

    graph: Graph
    tree: tree.TreeDef
    constants: tuple[Any, ...]


tree.register_pytree_node(
    _Pullback,
    lambda p: (p.constants, (p.graph, p.tree)),
    lambda aux, children: _Pullback(*aux, tuple(children)),
)


def custom_gradient(fun: F) -> F:
    """A function with a reverse rule of its own, where one function gives both: `fun(*args)` returns (output,
    rule), and `rule(cotangent)` the cotangents of the arguments, a tuple of them where there are several.

    What `rule` closes over of the computation is kept for the backward pass.

    >>> import funcgrad as fg
    >>> @fg.custom_gradient
    ... def f(x):
    ...     return x**2, lambda g: (g * x,)
    >>> float(fg.grad(f)(3.0))
    3.0
    """
    if not callable(fun):
        raise ArgumentError(f"custom_gradient takes a function, got {type(fun).__name__}")

    def parts(args: Any) -> tuple[Any, F]:
        result = fun(*args)
        if not isinstance(result, tuple | list) or len(result) != 2 or not callable(result[1]):
            raise ArgumentError(
                f"the function {name_of(fun)} under custom_gradient has to return (output, rule)",
                hint="return y, lambda cotangent: (cotangent of each argument, ...)",
            )
        return result[0], result[1]

    @custom_vjp
    @functools.wraps(fun)
    def wrapped(*args: Any) -> Any:
        return parts(args)[0]

    found: dict[str, Any] = {}

    def forward(*args: Any) -> tuple[Any, Any]:
        out, rule = parts(args)
        leaves, out_tree = tree.flatten(out)

        def flat_rule(*cotangents: Any) -> list[Any]:
            result = rule(out_tree.unflatten(cotangents))
            if len(args) == 1 and not (isinstance(result, tuple | list) and len(result) == 1):
                result = (result,)
            flat, found["tree"] = tree.flatten(tuple(result))
            return flat

        closed = trace_to_graph(flat_rule, [type_of(x).tangent() for x in leaves], f"{name_of(fun)}.rule")
        return out, _Pullback(closed.graph, found["tree"], closed.constants)

    def backward(pullback: _Pullback, cotangent: Any) -> Any:
        values = [*pullback.constants, *tree.leaves(cotangent)]
        return pullback.tree.unflatten(evaluate_graph(pullback.graph, values))

    wrapped.defvjp(forward, backward)
    return wrapped


@boundary
def closure_convert(fun: F, *example_args: Any) -> tuple[F, list[Any]]:
    """`fun` as a function that closes over nothing that is being differentiated, and what it closed over.

    Gives (converted, values) with `converted(*args, *values) == fun(*args)`, for arguments of the types of
    `example_args`. The values are the traced floats that `fun` refers to; other values stay in it.

    >>> import funcgrad as fg
    >>> def solve(y):
    ...     f, values = fg.closure_convert(lambda x: x * y, 1.0)
    ...     return f(2.0, *values)
    >>> float(fg.grad(solve)(3.0))
    2.0
    """
    leaves, in_tree = tree.flatten((example_args, {}))
    flat = FlatFunction(fun, in_tree)
    closed = trace_to_graph(flat, [type_of(x) for x in leaves], name_of(fun))
    moving = [isinstance(c, Tracer) and dtypes.is_inexact(type_of(c).dtype) for c in closed.constants]
    kept = [None if m else c for c, m in zip(closed.constants, moving)]
    values = [c for c, m in zip(closed.constants, moving) if m]

    def converted(*args: Any) -> Any:
        count = len(args) - len(values)
        given, found = tree.flatten((args[:count], {}))
        if found != in_tree:
            raise ArgumentError(
                f"closure_convert of {name_of(fun)} was traced for arguments of structure {in_tree}, and is called "
                f"with {found}",
                hint="call it with arguments like the example's, and then the values that closure_convert gave",
            )
        hoisted = iter(args[count:])
        constants = [next(hoisted) if m else k for k, m in zip(kept, moving)]
        return flat.out_tree.unflatten(evaluate_graph(closed.graph, [*constants, *given]))

    return converted, values
