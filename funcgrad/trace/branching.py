"""Python conditions on traced values: what the runs of a function for each outcome are made into.

A traced function that asks `if` of a value that is not known runs once for each way through it (graph_trace.py
does that). This module owns what comes of the runs: a tree of equations that divides at each condition becomes one
list of equations, in which a `cond` chooses between what differs and what all outcomes end with stands once. It also
owns the limit on the number of ways, and the words of the errors.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.config import config
from funcgrad.errors import ArgumentError, ConcretizationError, DTypeError, FuncgradError, ShapeError
from funcgrad.ir.effects import has_effect
from funcgrad.ir.graph import Atom, Equation, Graph, Literal, Var
from funcgrad.ir.hash import same_structure
from funcgrad.ir.primitive import PRIMITIVES
from funcgrad.ir.types import ArrayType, array_type
from funcgrad.records import entity, record, replaced
from funcgrad.source import SourceLine, is_internal
from funcgrad.trace.advice import instead_of_loop, loop_around, raises_on_purpose, shown_line


@record
class Decision:
    """A condition on a path through a function, and its outcome there. `position` and `constants` say how many
    equations and values from outside the path had before it."""

    condition: Var
    outcome: bool
    position: int
    constants: int
    source: SourceLine | None

    def __str__(self) -> str:
        return f"{shown_line(self.source)} is {self.outcome}"


@entity
class Leaf:
    """The end of a path: its last equations, what the function returned, and how it came here."""

    equations: list[Equation]
    outputs: list[Atom]
    structure: Any
    decisions: Sequence[Decision]


@entity
class Fork:
    """Equations up to a condition, and what follows for each outcome."""

    equations: list[Equation]
    decision: Decision
    on_true: Leaf | Fork
    on_false: Leaf | Fork


Line = tuple[list[Equation], list[Atom]]
"""Equations, and the atoms that they are there for."""


def too_many_ways(decisions: Sequence[Decision], source: SourceLine | None) -> ConcretizationError:
    """The error of a function with more ways through it than the setting `python_branches` allows."""
    limit = config.python_branches
    loop = instead_of_loop(source)
    if loop is not None and loop.keyword == "while":
        return ConcretizationError(
            f"the Python condition `while {loop.condition}` is on a traced value, which inside jit or vmap is not "
            f"known, so that the loop has no end: it was traced {len(decisions)} times (the setting python_branches "
            f"is {limit})",
            where=source,
            hint=loop.text,
        )
    asked = Counter(d.source for d in decisions)
    lines = "".join(
        f"\n  {shown_line(line)}" + (f", {count} times" if count > 1 else "")
        for line, count in asked.most_common(5)
    )
    (often, count), *_ = asked.most_common(1)
    around = loop_around(often) if count > 1 else ""
    fix = (
        "put such a condition, with what it decides, into a function of its own under @funcgrad.jit, where its two "
        "outcomes are traced once; or use funcgrad.numpy.where or funcgrad.lax.cond for it"
    )
    fix = f"{around}; or {fix}" if around else fix
    return ConcretizationError(
        f"the Python conditions on traced values give more than {limit} ways through the function, and each would "
        f"be traced (the setting python_branches is {limit}):{lines}",
        where=source,
        hint=f"{fix}; or allow more ways: funcgrad.config.update('python_branches', {4 * limit})",
    )


def not_the_same(decision: Decision) -> ConcretizationError:
    """The error of a function that does something else when it runs again."""
    return ConcretizationError(
        f"the function was run again for the outcome of {decision}, and did something else before it came there",
        where=decision.source,
        hint="a function with a Python condition on a traced value runs once for each outcome, so it may not depend "
        "on what an earlier run has left behind (a counter, a list, a file); or choose with funcgrad.lax.cond",
    )


def explain_raised(error: Exception, decisions: Sequence[Decision]) -> None:
    """Raise ConcretizationError where the user's program raised `error`, on purpose, on one way through it."""
    if isinstance(error, FuncgradError):
        return
    step, where = error.__traceback__, None
    while step is not None:
        code = step.tb_frame.f_code
        if not is_internal(code):
            where = SourceLine(code.co_filename, step.tb_lineno, code.co_name)
        step = step.tb_next
    if where is not None and raises_on_purpose(where):
        raise ConcretizationError(
            f"{type(error).__name__} is raised where {decisions[-1]}; every outcome of a condition on a traced value "
            "is traced, and compiled code cannot raise",
            where=where,
            hint="use funcgrad.checkify.check(condition, message), or check before the call; what it says: "
            f"{str(error)[:200]}",
        ) from error


def leaves_of(node: Leaf | Fork) -> Iterator[Leaf]:
    """The ends of all paths, those where the conditions hold first."""
    if isinstance(node, Leaf):
        yield node
    else:
        yield from leaves_of(node.on_true)
        yield from leaves_of(node.on_false)


def _between(a: Leaf, b: Leaf) -> tuple[str, str]:
    """Words for the outcomes that lead to one leaf and to the other."""
    for first, second in zip(a.decisions, b.decisions):
        if first.outcome != second.outcome:
            return f"where {first}", f"where {second}"
    return "at first", "then"


def _computed_at(leaf: Leaf, position: int) -> str:
    atom = leaf.outputs[position]
    for equation in leaf.equations:
        if atom in equation.outputs and equation.source:
            return f", computed at {equation.source}"
    return ""


def agree(leaves: Sequence[Leaf], name: str) -> list[ArrayType]:
    """The types in which the function returns on every path; raises where the paths do not agree on them."""
    first = leaves[0]
    for leaf in leaves[1:]:
        if leaf.structure != first.structure or len(leaf.outputs) != len(first.outputs):
            here, there = _between(first, leaf)
            what = [
                str(end.structure) if end.structure is not None else f"{len(end.outputs)} values"
                for end in (first, leaf)
            ]
            raise ArgumentError(
                f"{name} returns another structure for each outcome of a Python condition on a traced value\n"
                f"  {here} it returns {what[0]}\n  {there} it returns {what[1]}",
                where=_parting(first, leaf),
                hint="return the same containers on every way through the function; a None often comes from a way "
                "that has no return",
            )
    wanted = []
    for k in range(len(first.outputs)):
        types = [leaf.outputs[k].type for leaf in leaves]
        for (a, t), (b, u) in itertools.combinations(zip(leaves, types), 2):
            if t.shape != u.shape or (t.dtype != u.dtype and not t.weak and not u.weak):
                _refuse(name, a, b, k)
        dtype, _ = dtypes.promote(*[(t.dtype, t.weak) for t in types])
        for leaf, t in zip(leaves, types):
            if t.dtype != dtype and not t.weak:  # a number of a higher kind stands beside it
                _refuse(
                    name, leaf, next(x for x, u in zip(leaves, types) if u.weak and u.dtype != t.dtype), k
                )
        wanted.append(array_type(types[0].shape, dtype, all(t.weak for t in types)))
    return wanted


def _parting(a: Leaf, b: Leaf) -> SourceLine | None:
    for first, second in zip(a.decisions, b.decisions):
        if first.outcome != second.outcome:
            return first.source
    return None


def _refuse(name: str, a: Leaf, b: Leaf, k: int) -> None:
    (here, there), types = _between(a, b), (a.outputs[k].type, b.outputs[k].type)
    which = f" as output {k}" if len(a.outputs) > 1 else ""
    same_shape = types[0].shape == types[1].shape
    raise (DTypeError if same_shape else ShapeError)(
        f"{name} returns another type for each outcome of a Python condition on a traced value\n"
        f"  {here} it returns {types[0]}{which}{_computed_at(a, k)}\n"
        f"  {there} it returns {types[1]}{which}{_computed_at(b, k)}",
        where=_parting(a, b),
        hint=f"convert one of them: .astype({types[0].dtype.name!r})"
        if same_shape
        else "return one shape on every way through the function: broadcast or pad",
    )


def settle(node: Leaf | Fork, wanted: Sequence[ArrayType]) -> None:
    """Let every path end with outputs of the types `wanted`."""
    for leaf in leaves_of(node):
        for k, t in enumerate(wanted):
            atom = leaf.outputs[k]
            if atom.type != t:
                var = Var(t)
                params = {"new_dtype": t.dtype, "weak_type": t.weak}
                convert = PRIMITIVES["convert_element_type"]
                source = leaf.decisions[-1].source
                leaf.equations.append(Equation(convert, (atom,), (var,), params, source))
                leaf.outputs[k] = var


class _Joiner:
    """Makes a tree of the function `name` into one list of equations, with a `cond` for each condition."""

    def __init__(self, name: str):
        self.name = name
        self.lines: dict[Leaf | Fork, Line] = {}

    def line(self, node: Leaf | Fork) -> Line:
        """The equations of a part of the tree, and what it returns."""
        found = self.lines.get(node)
        if found is None:
            if isinstance(node, Leaf):
                found = node.equations, node.outputs
            else:
                equations, outputs = _chosen(
                    node.decision, self.line(node.on_true), self.line(node.on_false), self.name
                )
                found = [*node.equations, *equations], outputs
            self.lines[node] = found
        return found

    def simple(self, node: Leaf | Fork) -> Leaf | Fork:
        """The tree with one condition for `a and b`, and for `a or b`, where it has two with an outcome in common."""
        if isinstance(node, Leaf):
            return node
        node = replaced(node, on_true=self.simple(node.on_true), on_false=self.simple(node.on_false))
        for inner, other, kind in ((node.on_true, node.on_false, "and"), (node.on_false, node.on_true, "or")):
            if isinstance(inner, Leaf):
                continue
            common, rest = inner.on_false, inner.on_true
            if kind == "or":
                common, rest = rest, common
            asked = inner.equations
            made = {v for e in asked for v in e.outputs}
            if (
                not any(
                    has_effect(e) or any(dtypes.is_inexact(v.type.dtype) for v in e.outputs) for e in asked
                )
                and not made.intersection(_read(self.line(rest)))
                and _alike(self.line(common), self.line(other))
            ):
                both = Var(inner.decision.condition.type)
                conditions = (node.decision.condition, inner.decision.condition)
                join = Equation(PRIMITIVES[kind], conditions, (both,), {}, inner.decision.source)
                decision = replaced(node.decision, condition=both)
                found = (rest, other) if kind == "and" else (other, rest)
                return Fork([*node.equations, *asked, join], decision, *found)
        return node


def _read(line: Line) -> set[Atom]:
    return {a for e in line[0] for a in e.inputs} | set(line[1])


def _alike(a: Line, b: Line) -> bool:
    """Whether two lists of equations do the same."""
    if len(a[0]) != len(b[0]) or len(a[1]) != len(b[1]) or _shared_end(a, b) != len(a[0]):
        return False
    made = {v for e in a[0] for v in e.outputs}
    pairs = [*zip(a[1], b[1]), *(p for e, f in zip(a[0], b[0]) for p in zip(e.inputs, f.inputs))]
    return all(x in made or _same_atom(x, y) for x, y in pairs)


def in_line(node: Leaf | Fork, name: str) -> Line:
    """The tree as one list of equations, and what it returns."""
    joiner = _Joiner(name)
    return joiner.line(joiner.simple(node))


def _chosen(decision: Decision, on_true: Line, on_false: Line, name: str) -> Line:
    """Equations that give what `on_true` or `on_false` does: a choice, and then what both end with."""
    shared = _shared_end(on_true, on_false)
    first = on_true[0][: len(on_true[0]) - shared]
    second = on_false[0][: len(on_false[0]) - shared]
    ends = list(zip(on_true[0][len(first) :], on_false[0][len(second) :]))
    after = {v for equation, _ in ends for v in equation.outputs}
    chosen: dict[tuple[Any, Any], tuple[Atom, Atom, Var]] = {}

    def merged(a: Atom, b: Atom) -> Atom:
        if a in after or _same_atom(a, b):
            return a
        key = (_key(a), _key(b))
        if key not in chosen:
            chosen[key] = (a, b, Var(a.type))
        return chosen[key][2]

    end = [
        Equation(
            a.primitive, [merged(x, y) for x, y in zip(a.inputs, b.inputs)], a.outputs, a.params, a.source
        )
        for a, b in ends
    ]
    outputs = [merged(a, b) for a, b in zip(on_true[1], on_false[1])]
    pairs = list(chosen.values())
    return [*_choice(decision, first, second, pairs, name), *end], outputs


def _choice(
    decision: Decision,
    first: list[Equation],
    second: list[Equation],
    pairs: Sequence[tuple[Atom, Atom, Var]],
    name: str,
) -> list[Equation]:
    """Equations that define the third of each of `pairs`: as its first, after the equations `first`, where the
    condition holds, else as its second, after the others."""
    if not any(map(has_effect, (*first, *second))):
        if not pairs:
            return []
        if not first and not second:
            select = PRIMITIVES["select_n"]
            return [
                Equation(select, (decision.condition, b, a), (v,), {}, decision.source) for a, b, v in pairs
            ]
    index = Var(array_type((), dtypes.int32))
    convert = PRIMITIVES["convert_element_type"]
    params = {"new_dtype": np.dtype(np.int32), "weak_type": False}
    given: dict[Var, None] = {}
    for equations, side in ((first, 0), (second, 1)):
        made = {v for e in equations for v in e.outputs}
        used = [a for e in equations for a in e.inputs] + [p[side] for p in pairs]
        given.update(dict.fromkeys(a for a in used if isinstance(a, Var) and a not in made))
    branches = (
        _branch(second, [b for _, b, _ in pairs], list(given), f"{name}.else"),
        _branch(first, [a for a, _, _ in pairs], list(given), f"{name}.if"),
    )
    return [
        Equation(convert, (decision.condition,), (index,), params, decision.source),
        Equation(
            PRIMITIVES["cond"],
            (index, *given),
            [v for _, _, v in pairs],
            {"branches": branches},
            decision.source,
        ),
    ]


def _branch(equations: list[Equation], outputs: list[Atom], given: list[Var], name: str) -> Graph:
    fresh: dict[Atom, Atom] = {v: Var(v.type) for v in given}
    inner = [
        Equation(e.primitive, [fresh.get(a, a) for a in e.inputs], e.outputs, e.params, e.source)
        for e in equations
    ]
    return Graph(tuple(fresh.values()), tuple(inner), tuple([fresh.get(a, a) for a in outputs]), name)  # type: ignore[arg-type]


def _shared_end(on_true: Line, on_false: Line) -> int:
    """How many equations at the end of both do the same, with what the rest defines put in for each other."""
    partner: dict[Atom, Any] = {}  # of variables and literals that have to stand for each other, both ways
    pairs: list[tuple[Atom, Atom]] = list(zip(on_true[1], on_false[1]))
    shared = 0
    for a, b in zip(reversed(on_true[0]), reversed(on_false[0])):
        same = (
            a.primitive is b.primitive
            and len(a.inputs) == len(b.inputs)
            and all(x.type == y.type for x, y in zip((*a.inputs, *a.outputs), (*b.inputs, *b.outputs)))
            and same_params(a.params, b.params)
        )
        if not same:
            break
        for x, y in pairs:
            for one, other in ((x, y), (y, x)):
                if isinstance(one, Var):
                    partner.setdefault(one, set()).add(_key(other))
        pairs = list(zip(a.inputs, b.inputs))
        crossed = any(
            partner.get(x, {_key(y)}) != {_key(y)} or partner.get(y, {_key(x)}) != {_key(x)}
            for x, y in zip(a.outputs, b.outputs)
        )
        if crossed:
            break
        shared += 1
    return shared


def _key(atom: Atom) -> Any:
    return atom.key() if isinstance(atom, Literal) else atom


def _same_atom(a: Atom, b: Atom) -> bool:
    return a is b or _key(a) == _key(b)


def same_operands(a: Sequence[Atom], b: Sequence[Atom]) -> bool:
    """Whether two equations read the same variables and literals."""
    return len(a) == len(b) and all(map(_same_atom, a, b))


def same_params(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two equations have the same parameters, as far as one can tell."""
    return a.keys() == b.keys() and all(_same_param(v, b[k]) for k, v in a.items())


def _same_param(a: Any, b: Any) -> bool:
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(_same_param, a, b))
    try:
        if isinstance(a, Graph):
            return same_structure(a, b)
        return bool(a == b)
    except (TypeError, ValueError):  # code as a parameter, or arrays: not the same as far as one can tell
        return False


def rerun_all(
    first: Any,
    outcome: tuple[list[Atom], Any],
    again: Callable[[Any, int], tuple[Any, tuple[list[Atom], Any]]],
) -> Leaf | Fork:
    """The tree of all paths. `first` is the run that took every condition as true, as far as it came; `again(run,
    depth)` runs the function for the other outcome of a run's condition of that number."""

    def after(run: Any, found: tuple[list[Atom], Any], depth: int) -> Leaf | Fork:
        start = run.decisions[depth - 1].position if depth else 0
        if depth == len(run.decisions):
            return Leaf(run.equations[start:], *found, run.decisions)
        decision = run.decisions[depth]
        on_true = after(run, found, depth + 1)
        return Fork(
            run.equations[start : decision.position], decision, on_true, after(*again(run, depth), depth + 1)
        )

    return after(first, outcome, 0)
