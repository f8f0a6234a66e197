"""Scalar expressions as a graph of shared nodes, and the substitution of definitions into each other.

Equal expressions become one `Node`, so what is used twice is computed once. Arithmetic on 16-bit floats
becomes arithmetic on float32 here: such values are converted where they are loaded and where they are stored.
Knows nothing of loops.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from funcgrad import dtypes
from funcgrad.ir import expr as E
from funcgrad.ir.graph import Atom, Literal, Var
from funcgrad.lower import heuristics

LOAD, CONST, ARGUMENT, OP = "load", "const", "argument", "op"
OF_INDEX, GUARD, ROW, HELD = "of_index", "guard", "row", "held"


class Node:
    """One scalar value. `kind` says which of the other fields mean something.

    load: `var` at `address` (an Index over the domain's axes). const: `value`. argument: a scalar `value`
    that is passed at run time. op: `code` on `args`. of_index: `address` as a scalar. guard: `bounds`, and
    args (inside, outside). row: the reduced value of root `var`, known once for each row. held: what a variable
    of control flow holds (unrolled.py); each such node is only itself. `children` are the nodes that it needs:
    arguments, and scalars within its indices.
    """

    __slots__ = ("address", "args", "bounds", "children", "code", "dtype", "kind", "value", "var")

    def __init__(
        self,
        kind: str,
        dtype: np.dtype,
        args: tuple[Node, ...] = (),
        code: str | E.ScalarFunction = "",
        var: Var | None = None,
        address: E.Index | None = None,
        value: Any = None,
        bounds: tuple[tuple[E.Index, int, int], ...] = (),
    ):
        self.kind, self.dtype, self.args, self.code = kind, dtype, args, code
        self.var, self.address, self.value, self.bounds = var, address, value, bounds
        self.children = args if address is None and not bounds else self._children()

    def _children(self) -> tuple[Node, ...]:
        found = list(self.args)
        for index in (*(b[0] for b in self.bounds), *(() if self.address is None else (self.address,))):
            found.extend(index_nodes(index))
        return tuple(found)


def is_half(dtype: np.dtype) -> bool:
    return dtype.itemsize == 2 and dtypes.is_float(dtype)


def compute_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype in which values of `dtype` are computed with."""
    return np.dtype(np.float32) if is_half(dtype) else dtype


Stop = Callable[[Var, tuple[E.Index, ...]], "Node | None"]


class Expander:
    """Makes nodes over one domain.

    `definition(var)` gives (expr, inputs) of a variable that may be substituted, or None; `stop(var, index)`
    is asked first and may give another node for it (a row's reduced value). A variable is substituted at no more
    different indices than `often(var)` says; where more are needed it is loaded, and is in `spread` afterwards.
    `nodes` are those that other expanders have made, to be shared.
    """

    def __init__(
        self,
        domain: Sequence[int],
        definition: Callable[[Var], tuple[E.Expr, tuple[Atom, ...]] | None],
        stop: Stop = lambda var, index: None,
        often: Callable[[Var], float] = lambda var: math.inf,
        nodes: dict[Any, Node] | None = None,
    ):
        self.domain = domain
        self.definition = definition
        self.stop = stop
        self.often = often
        self.expanded: set[Var] = set()
        self.spread: set[Var] = set()
        self._times: Counter[Var] = Counter()
        self._nodes: dict[Any, Node] = {} if nodes is None else nodes
        self._values: dict[Any, Node] = {}

    def value(self, atom: Atom, index: tuple[E.Index, ...]) -> Node:
        """The node of element `index` of `atom`."""
        if isinstance(atom, Literal):
            return self.literal(atom.value, atom.type.dtype)
        key = (atom, index)
        found = self._values.get(key)
        if found is None:
            found = self._values[key] = self._value(atom, index)
        return found

    def _value(self, var: Var, index: tuple[E.Index, ...]) -> Node:
        stopped = self.stop(var, index)
        if stopped is not None:
            return stopped
        definition = self.definition(var)
        if definition is None:
            return self.load(var, index)
        self._times[var] += 1
        if self._times[var] > self.often(var):
            self.spread.add(var)
            return self.load(var, index)
        self.expanded.add(var)
        expr, inputs = definition
        return self.expr(expr, inputs, dict(enumerate(index)))

    def expr(self, expr: E.Expr, inputs: tuple[Atom, ...], axes: dict[int, E.Index]) -> Node:
        """The node of `expr`, whose operands are `inputs` and whose axes are the given indices of the
        domain."""
        if isinstance(expr, E.Read):
            index = tuple([self.index(ix, inputs, axes) for ix in expr.index])
            return self.value(inputs[expr.operand], index)
        if isinstance(expr, E.Const):
            return self.literal(expr.value, expr.dtype)
        if isinstance(expr, E.FromIndex):
            index = self.index(expr.index, inputs, axes)
            if not index.terms:
                return self.literal(index.constant, expr.dtype)
            return self.node(OF_INDEX, compute_dtype(expr.dtype), address=index)
        if isinstance(expr, E.Guard):
            return self._guard(expr, inputs, axes)
        args = tuple([self.expr(a, inputs, axes) for a in expr.args])
        return self.op(expr.code, args, expr.dtype)

    def index(self, index: E.Index, inputs: tuple[Atom, ...], axes: dict[int, E.Index]) -> E.Index:
        terms = index.terms
        if not terms:
            return index
        if len(terms) == 1 and index.constant == 0:
            atom, c = terms[0]
            if c == 1 and isinstance(atom, E.Axis):
                return axes[atom.number]
        scalar = lambda e: _as_index(e if isinstance(e, Node) else self.expr(e, inputs, axes))  # noqa: E731
        return E.simplify(E.map_index(index, axes, scalar), self.domain)

    def _guard(self, expr: E.Guard, inputs: tuple[Atom, ...], axes: dict[int, E.Index]) -> Node:
        bounds = []
        for index, low, high in expr.bounds:
            index = self.index(index, inputs, axes)
            least, most = E.index_range(index, self.domain)
            if most < low or least >= high:
                return self.expr(expr.outside, inputs, axes)
            if least < low or most >= high:
                bounds.append((index, low, high))
        inside = self.expr(expr.inside, inputs, axes)
        if not bounds:
            return inside
        outside = self.expr(expr.outside, inputs, axes)
        return self.node(GUARD, inside.dtype, (inside, outside), bounds=tuple(bounds))

    def load(self, var: Var, index: tuple[E.Index, ...]) -> Node:
        """The element of `var` in memory, as a value to compute with."""
        address = E.simplify(flat_address(index, var.type.shape), self.domain)
        return self.widen(self.node(LOAD, var.type.dtype, var=var, address=address))

    def widen(self, node: Node) -> Node:
        if is_half(node.dtype):
            return self.node(OP, np.dtype(np.float32), (node,), code="convert")
        return node

    def literal(self, value: Any, dtype: np.dtype) -> Node:
        """A constant: in the kernel's text where it is a special number, else passed at run time."""
        wide = compute_dtype(dtype)
        value = wide.type(dtype.type(value))
        if heuristics.literal_in_text(value, wide):
            return self.node(CONST, wide, value=value)
        if wide.kind == "c":  # an argument is one machine word, so a complex number is passed as two
            real = np.dtype(value.real.dtype)
            return self.node(
                OP, wide, (self.literal(value.real, real), self.literal(value.imag, real)), code="complex"
            )
        return self.node(ARGUMENT, wide, value=value)

    def op(self, code: str | E.ScalarFunction, args: tuple[Node, ...], dtype: np.dtype) -> Node:
        if code == "convert":
            if args[0].dtype == dtype:
                return args[0]
            return self.widen(self.node(OP, dtype, args, code=code))
        if code == "bitcast":
            (source,) = args
            if dtype.itemsize == 2 and source.dtype.itemsize == 4:  # the bits of the 16-bit float itself
                assert source.kind == OP and source.code == "convert", (
                    "a 16-bit float is widened by a convert"
                )
                source = source.args[0]
            return self.widen(self.node(OP, dtype, (source,), code=code))
        if code in ("div", "rem") and dtype.kind in "iu" and args[1].kind == ARGUMENT:  # far cheaper if known
            args = (args[0], self.node(CONST, args[1].dtype, value=args[1].value))
        if code in ("mul", "div") and args[1].kind == CONST and args[1].value == 1:
            return args[0]
        if code == "mul" and args[0].kind == CONST and args[0].value == 1:
            return args[1]
        return self.node(OP, compute_dtype(dtype), args, code=code)

    def stored(self, node: Node, dtype: np.dtype) -> Node:
        """`node` as it is stored in an array of `dtype`."""
        if node.dtype == dtype:
            return node
        if node.kind == OP and node.code == "convert" and node.args[0].dtype == dtype:
            return node.args[0]
        return self.node(OP, dtype, (node,), code="convert")

    def node(
        self,
        kind: str,
        dtype: np.dtype,
        args: tuple[Node, ...] = (),
        code: str | E.ScalarFunction = "",
        var: Var | None = None,
        address: E.Index | None = None,
        value: Any = None,
        bounds: tuple[tuple[E.Index, int, int], ...] = (),
    ) -> Node:
        bits = value.tobytes() if value is not None else None
        key = (kind, dtype, args, code, var, address, bits, bounds)
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = Node(kind, dtype, args, code, var, address, value, bounds)
        return found


def _as_index(node: Node) -> Any:
    """An integer scalar inside an index: the number or the index that it is, where it is one."""
    if node.kind in (CONST, ARGUMENT):
        return E.Const(node.value, node.dtype)
    if node.kind == OF_INDEX and node.address is not None:
        return E.FromIndex(node.address, node.dtype)
    return node


def flat_address(index: Sequence[E.Index], shape: Sequence[int]) -> E.Index:
    """The row-major position of `index` in an array of `shape`."""
    return _flat_address(tuple(index), tuple(shape))


@functools.lru_cache(maxsize=4096)
def _flat_address(index: tuple[E.Index, ...], shape: tuple[int, ...]) -> E.Index:
    constant, terms, stride = 0, [], 1
    for ix, extent in zip(reversed(index), reversed(shape)):
        constant += ix.constant * stride
        terms.extend((atom, c * stride) for atom, c in ix.terms)
        stride *= extent
    return E.linear(constant, terms)


def index_nodes(index: E.Index) -> list[Node]:
    found: list[Any] = []
    for atom, _ in index.terms:
        if isinstance(atom, E.FromScalar):
            found.append(atom.expr)
        elif not isinstance(atom, E.Axis):
            found.extend(index_nodes(atom.index))
    return found


def index_axes(index: E.Index) -> set[int]:
    """The axes on which `index` itself depends (not by way of scalars)."""
    found: set[int] = set()
    for atom, _ in index.terms:
        if isinstance(atom, E.Axis):
            found.add(atom.number)
        elif not isinstance(atom, E.FromScalar):
            found |= index_axes(atom.index)
    return found


def walk(roots: Sequence[Node]) -> list[Node]:
    """Every node under `roots`, each once, operands first."""
    order: list[Node] = []
    seen: set[Node] = set()
    stack: list[Node | None] = [*reversed(roots)]
    while stack:
        node = stack.pop()
        if node is None:  # the one below has its operands
            order.append(stack.pop())  # type: ignore[arg-type]
        elif node not in seen:
            seen.add(node)
            if node.children:
                stack += (node, None, *reversed(node.children))
            else:
                order.append(node)
    return order
