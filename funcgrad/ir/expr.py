"""The language in which primitives say what they compute: one scalar expression per output element.

Two kinds of terms, both immutable, hashable and neutral (no backend, no loop order, no memory):

* integer **index expressions** (`Index`): linear combinations of output axes, of floor divisions, remainders
  and clamps of such, and of scalars that are read from operands;
* **scalar expressions** (`Expr`): reads of operands at index expressions, constants, scalar operations, and
  guards, whose guarded branch is evaluated only where an index is within bounds.

A primitive's rule `lower(in_types, out_types, **params)` gives a definition made of them: `Map`, `Reduce`,
`Dot`, `Scatter`, `Extern`, `Routine`, `UserCall` or `Region`. Fusion is substitution of these. Sizes appear as plain
integers; the lowering turns them into run-time arguments of kernels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from funcgrad.ir.types import ArrayType
from funcgrad.records import record

# ---------------------------------------------------------------------------------------------- indices


@record
class Axis:
    """The `number`-th axis of the definition: output axes first, then reduced (or update) axes."""

    number: int


@record
class FloorDiv:
    index: Index
    by: int


@record
class Mod:
    index: Index
    by: int


@record
class Clamp:
    """`index` limited to `low..high`, both included."""

    index: Index
    low: int
    high: int


@record
class FromScalar:
    """The value of an integer scalar expression as an index; it is not checked against bounds. `expr` is an
    Expr, or what another level of the compiler has in its place."""

    expr: Any


IndexAtom = Axis | FloorDiv | Mod | Clamp | FromScalar


@record
class Index:
    """`constant + sum(coefficient * atom)`, normalised: no atom twice, no zero coefficient, axes first."""

    constant: int
    terms: tuple[tuple[IndexAtom, int], ...] = ()

    def __hash__(self) -> int:
        found = self.__dict__.get("_hash")
        if found is None:
            found = hash((self.constant, self.terms))
            object.__setattr__(self, "_hash", found)
        return found

    def __add__(self, other: Index | int) -> Index:
        other = as_index(other)
        if not self.terms and self.constant == 0:
            return other
        return linear(self.constant + other.constant, self.terms + other.terms)

    __radd__ = __add__

    def __neg__(self) -> Index:
        return self * -1

    def __sub__(self, other: Index | int) -> Index:
        return self + as_index(other) * -1

    def __rsub__(self, other: int) -> Index:
        return as_index(other) - self

    def __mul__(self, factor: int) -> Index:
        return linear(self.constant * factor, ((atom, c * factor) for atom, c in self.terms))

    __rmul__ = __mul__

    def __floordiv__(self, by: int) -> Index:
        if by == 1:
            return self
        if self.constant % by == 0 and all(c % by == 0 for _, c in self.terms):
            return Index(self.constant // by, tuple((a, c // by) for a, c in self.terms))
        return Index(0, ((FloorDiv(self, by), 1),))

    def __mod__(self, by: int) -> Index:
        if by == 1 or (self.constant % by == 0 and all(c % by == 0 for _, c in self.terms)):
            return Index(0)
        if not self.terms:
            return Index(self.constant % by)
        return Index(0, ((Mod(self, by), 1),))

    def clamp(self, low: int, high: int) -> Index:
        if not self.terms:
            return Index(min(max(self.constant, low), high))
        return Index(0, ((Clamp(self, low, high), 1),))

    def coefficient(self, number: int) -> int:
        """The coefficient of `Axis(number)`."""
        return next((c for atom, c in self.terms if isinstance(atom, Axis) and atom.number == number), 0)

    @property
    def is_affine(self) -> bool:
        for atom, _ in self.terms:  # noqa: SIM110 - asked very often
            if not isinstance(atom, Axis):
                return False
        return True


def linear(constant: int, terms: Iterable[tuple[IndexAtom, int]]) -> Index:
    """The normalised Index of these terms. `d*c*(x//d) + c*(x%d)` becomes `c*x`."""
    sums: dict[IndexAtom, int] = {}
    divided = False
    for atom, c in terms:
        sums[atom] = sums.get(atom, 0) + c
        divided = divided or isinstance(atom, Mod)
    for atom, c in list(sums.items()) if divided else ():
        if isinstance(atom, Mod) and c and atom in sums:
            quotient = FloorDiv(atom.index, atom.by)
            if sums.get(quotient, 0) == c * atom.by:
                del sums[atom], sums[quotient]
                return Index(constant, tuple(sums.items())) + atom.index * c
    ordered = [item for item in sums.items() if item[1]]
    if len(ordered) < 2:
        return Index(constant, tuple(ordered))
    ordered.sort(key=lambda item: (0, item[0].number) if isinstance(item[0], Axis) else (1, 0))
    return Index(constant, tuple(ordered))


def as_index(value: Index | int) -> Index:
    return value if isinstance(value, Index) else Index(int(value))


@functools.cache
def axis(number: int) -> Index:
    """The index that is the output's axis `number`."""
    return Index(0, ((Axis(number), 1),))


@functools.cache
def axes(count: int, start: int = 0) -> tuple[Index, ...]:
    """The indices `axis(start) ... axis(start + count - 1)`."""
    return tuple(axis(start + k) for k in range(count))


def from_scalar(expr: Expr) -> Index:
    """The index that is the value of the integer expression `expr`."""
    if isinstance(expr, Const):
        return Index(int(expr.value))
    if isinstance(expr, FromIndex):
        return expr.index
    return Index(0, ((FromScalar(expr), 1),))


def reshape_indices(
    indices: Sequence[Index], shape: Sequence[int], new_shape: Sequence[int]
) -> tuple[Index, ...]:
    """Where the element at `indices` of an array of `shape` is in its row-major reshape to `new_shape`.

    Runs of dimensions with equal products are matched one by one, so that a division appears only where
    dimensions really are split and regrouped.
    """
    if 0 in shape:
        return tuple(Index(0) for _ in new_shape)
    result: list[Index] = []
    i = j = 0
    while i < len(shape) or j < len(new_shape):
        if j < len(new_shape) and new_shape[j] == 1 and (i >= len(shape) or shape[i] != 1):
            result.append(Index(0))
            j += 1
            continue
        if i < len(shape) and shape[i] == 1 and (j >= len(new_shape) or new_shape[j] != 1):
            i += 1
            continue
        size, new_size = shape[i], new_shape[j]
        first_i, first_j = i, j
        i, j = i + 1, j + 1
        while size != new_size:
            if size < new_size:
                size *= shape[i]
                i += 1
            else:
                new_size *= new_shape[j]
                j += 1
        flat = Index(0)
        for index, extent in zip(indices[first_i:i], shape[first_i:i]):
            flat = flat * extent + index
        if j - first_j == 1:
            result.append(flat)
            continue
        below = new_size
        for position, extent in enumerate(new_shape[first_j:j]):
            below //= extent
            part = flat // below
            result.append(part if position == 0 else Index(0) if extent == 1 else part % extent)
    return tuple(result)


# ------------------------------------------------------------------------------------------ expressions


@record
class Read:
    """The element of operand number `operand` at `index` (one Index per dimension)."""

    operand: int
    index: tuple[Index, ...]


@record
class Const:
    """A scalar constant; equal where dtype and bits are equal."""

    value: Any
    dtype: np.dtype

    def _key(self) -> tuple[Any, ...]:
        return (self.dtype, self.dtype.type(self.value).tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())


@record
class FromIndex:
    """The value of an index as a scalar (iota)."""

    index: Index
    dtype: np.dtype


@record
class ScalarFunction:
    """A function of numbers that a user has written: `text` defines `name` (ir/user_functions.py). `cost` is a guess of
    what a call costs, in additions; `python` is what it was made of. Where it gives a tuple, `part` is the position of
    the number that is meant. The name tells functions apart."""

    name: str
    text: str
    cost: int
    python: Any
    part: int | None = None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ScalarFunction) and (self.name, self.part) == (other.name, other.part)

    def __hash__(self) -> int:
        return hash((self.name, self.part))

    def __str__(self) -> str:
        return self.name if self.part is None else f"{self.name}[{self.part}]"


@record
class Op:
    """A scalar operation. `code` is one of JAX's lax names, or a user's function; `dtype` is the result's."""

    code: str | ScalarFunction
    args: tuple[Expr, ...]
    dtype: np.dtype


@record
class Guard:
    """`inside` where `low <= index < high` for every one of `bounds`, else `outside`.

    `inside` is evaluated only where the bounds hold, so its reads may lie outside the operand elsewhere.
    """

    bounds: tuple[tuple[Index, int, int], ...]
    inside: Expr
    outside: Expr


Expr = Read | Const | FromIndex | Op | Guard


def const(value: Any, dtype: Any) -> Const:
    return Const(value, np.dtype(dtype))


def op(code: str, *args: Expr, dtype: Any) -> Op:
    return Op(code, tuple(args), np.dtype(dtype))


def select(predicate: Expr, on_true: Expr, on_false: Expr, dtype: Any) -> Op:
    return Op("select", (predicate, on_true, on_false), np.dtype(dtype))


def convert(value: Expr, dtype: Any) -> Op:
    return Op("convert", (value,), np.dtype(dtype))


def integer_pow(x: Expr, exponent: int, dtype: Any) -> Expr:
    """`x ** exponent` by repeated squaring."""
    dtype = np.dtype(dtype)
    if exponent == 0:
        return Const(1, dtype)
    power, result, n = x, None, abs(exponent)
    while n:
        if n & 1:
            result = power if result is None else Op("mul", (result, power), dtype)
        n >>= 1
        if n:
            power = Op("mul", (power, power), dtype)
    assert result is not None
    return result if exponent > 0 else Op("div", (Const(1, dtype), result), dtype)


# ------------------------------------------------------------------------------------------ definitions


@record
class Map:
    """Each output element is `expr` at the output's axes."""

    expr: Expr


REDUCE_KINDS = ("add", "mul", "max", "min", "and", "or", "argmax", "argmin")


@record
class Reduce:
    """Each output element reduces `expr` over `extents`: the reduced axes are numbered after the output axes.

    argmax and argmin give the position, in row-major order of the reduced axes, of the first extreme
    element (the first NaN where there is one). 16-bit floats are accumulated in float32.
    """

    kind: str
    extents: tuple[int, ...]
    expr: Expr


@record
class Dot:
    """A contraction of operands 0 and 1, as lax.dot_general; output axes: batch, lhs free, rhs free."""

    lhs_contracting: tuple[int, ...]
    rhs_contracting: tuple[int, ...]
    lhs_batch: tuple[int, ...] = ()
    rhs_batch: tuple[int, ...] = ()


@record
class Scatter:
    """A copy of operand `operand` in which, for each update position, the element at `target` is updated.

    Here axes 0, 1, ... are those of the updates (`extents`), not of the output. `target` has an Index per
    output dimension; an update is dropped where one of `bounds` does not hold. `kind` is set, add, mul, min
    or max. Updates are applied in row-major order, so repeated targets are deterministic. The `independent` leading
    axes lead to different elements each.
    """

    kind: str
    operand: int
    extents: tuple[int, ...]
    target: tuple[Index, ...]
    value: Expr
    bounds: tuple[tuple[Index, int, int], ...] = ()
    independent: int = 0


@record
class Extern:
    """A named routine on whole, contiguous operands; `attributes` are hashable and say the rest."""

    name: str
    attributes: tuple[tuple[str, Any], ...] = ()


@record
class Routine(Extern):
    """What hand-written kernels do: `routine` is one of `kernels/cpu/routines.py`, which says what the `settings`
    are, and `flops` how many operations of floating-point numbers that is. `scratch` are buffers after the results that
    it works in. As an `Extern` it says the same."""

    routine: str = ""
    settings: tuple[int | str, ...] = ()
    flops: float = 0.0
    scratch: tuple[ArrayType, ...] = ()


@record
class Region(Extern):
    """Control flow: `name` says which, `graphs` are its sub-graphs, `attributes` the rest. `inlined` are the
    positions of operands that, where they are literals, become literals inside the graphs."""

    graphs: tuple[Any, ...] = ()
    inlined: tuple[int, ...] = ()


@record
class ArrayFunction:
    """A function of arrays that a user has written, as ScalarFunction is one of numbers."""

    name: str
    text: str


@record
class CudaFunction:
    """A `__device__` function of CUDA C: the text that defines it, and how many parameters it has."""

    name: str
    text: str
    arity: int


@record
class UserCall(Extern):
    """A user's function of the operands and then of the outputs, which it writes. `levels` are batch axes in front of
    them, the outermost first: the size, and which of the operands have it (the outputs have all); the function is
    called for each element of the batch. There is a form for the CPU, or one for the GPU, or both."""

    function: ArrayFunction | None = None
    cuda: CudaFunction | None = None
    levels: tuple[tuple[int, tuple[bool, ...]], ...] = ()


Definition = Map | Reduce | Dot | Scatter | Extern
LowerRule = Callable[..., Any]


def read_all(operand: int, type: ArrayType, out_ndim: int) -> Read:
    """An elementwise operand: at the output's axes, or, for a 0-d operand, at its only element."""
    return Read(operand, axes(out_ndim) if type.ndim else ())


def elementwise(code: str) -> LowerRule:
    """The rule of an operation on operands of one shape (or 0-d), `code` on their elements."""

    def lower(in_types: Sequence[ArrayType], out_types: Any, **params: Any) -> Map:
        out = one_type(out_types)
        args = tuple(read_all(k, t, out.ndim) for k, t in enumerate(in_types))
        return Map(Op(code, args, out.dtype))

    return lower


def one_type(out_types: Any) -> ArrayType:
    """The output's type, whether a rule was given it alone or in a sequence of one."""
    return out_types if isinstance(out_types, ArrayType) else out_types[0]


# ----------------------------------------------------------------------------------------- substitution


def map_index(
    index: Index, new_axes: Mapping[int, Index], scalar: Callable[[Any], Any] = lambda expr: expr
) -> Index:
    """`index` with axis k replaced by `new_axes[k]` (kept where absent); `scalar` rewrites inner scalars."""
    total = Index(index.constant)
    for atom, c in index.terms:
        if isinstance(atom, Axis):
            found = new_axes.get(atom.number)
            part = axis(atom.number) if found is None else found
        elif isinstance(atom, FloorDiv):
            part = map_index(atom.index, new_axes, scalar) // atom.by
        elif isinstance(atom, Mod):
            part = map_index(atom.index, new_axes, scalar) % atom.by
        elif isinstance(atom, Clamp):
            part = map_index(atom.index, new_axes, scalar).clamp(atom.low, atom.high)
        else:
            part = from_scalar(scalar(atom.expr))
        total = total + (part if c == 1 else part * c)
    return total


def substitute_axes(expr: Expr, axes: dict[int, Index]) -> Expr:
    """`expr` with axis k replaced by `axes[k]` (kept where absent)."""
    inner: Callable[[Expr], Expr] = lambda e: substitute_axes(e, axes)  # noqa: E731
    index: Callable[[Index], Index] = lambda ix: map_index(ix, axes, inner)  # noqa: E731
    if isinstance(expr, Read):
        return Read(expr.operand, tuple(map(index, expr.index)))
    if isinstance(expr, Op):
        return Op(expr.code, tuple(map(inner, expr.args)), expr.dtype)
    if isinstance(expr, FromIndex):
        return FromIndex(index(expr.index), expr.dtype)
    if isinstance(expr, Guard):
        bounds = tuple((index(ix), low, high) for ix, low, high in expr.bounds)
        return Guard(bounds, inner(expr.inside), inner(expr.outside))
    return expr


def index_range(index: Index, extents: Sequence[int]) -> tuple[float, float]:
    """Bounds, both included, of `index` when axis k runs over `range(extents[k])`."""
    low = high = float(index.constant)
    for atom, c in index.terms:
        a, b = _atom_range(atom, extents)
        low, high = low + min(a * c, b * c), high + max(a * c, b * c)
    return low, high


def _atom_range(atom: IndexAtom, extents: Sequence[int]) -> tuple[float, float]:
    if isinstance(atom, Axis):
        return 0.0, float(max(extents[atom.number] - 1, 0))
    if isinstance(atom, FloorDiv):
        low, high = index_range(atom.index, extents)
        return low // atom.by, high // atom.by
    if isinstance(atom, Mod):
        return 0.0, float(atom.by - 1)
    if isinstance(atom, Clamp):
        return float(atom.low), float(atom.high)
    return -math.inf, math.inf


def simplify(index: Index, extents: Sequence[int]) -> Index:
    """`index` without divisions, remainders and clamps that the extents of the axes make needless."""
    if index.is_affine:
        if all(extents[a.number] != 1 for a, _ in index.terms):  # type: ignore[union-attr]
            return index
        return Index(index.constant, tuple((a, c) for a, c in index.terms if extents[a.number] != 1))  # type: ignore[union-attr]
    total = Index(index.constant)
    for atom, c in index.terms:
        total = total + _simplify_atom(atom, extents) * c
    return total


def _simplify_atom(atom: IndexAtom, extents: Sequence[int]) -> Index:
    if isinstance(atom, Axis):
        return Index(0) if extents[atom.number] == 1 else Index(0, ((atom, 1),))
    if isinstance(atom, FromScalar):
        return Index(0, ((atom, 1),))
    inner = simplify(atom.index, extents)
    low, high = index_range(inner, extents)
    if isinstance(atom, Clamp):
        if low >= atom.low and high <= atom.high:
            return inner
        return inner.clamp(atom.low, atom.high)
    by = atom.by
    multiple = Index(
        inner.constant - inner.constant % by, tuple((a, c) for a, c in inner.terms if c % by == 0)
    )
    rest = inner - multiple
    rest_low, rest_high = index_range(rest, extents)
    small = rest_low >= 0 and rest_high < by
    if isinstance(atom, FloorDiv):
        return multiple // by if small else inner // by
    return rest if small else rest % by
