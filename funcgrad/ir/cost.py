"""What scalar operations cost, in additions: the one table of it, for whoever weighs computing against memory."""

from __future__ import annotations

from funcgrad.ir import expr as E

_CHEAP = {
    "add": 1, "sub": 1, "mul": 1, "neg": 1,
    "max": 1, "min": 1, "abs": 1, "select": 1, "convert": 1, "and": 1, "or": 1,
    "xor": 1, "not": 1, "eq": 1, "ne": 1, "lt": 1, "le": 1, "gt": 1,
    "ge": 1, "sign": 2, "square": 1, "bitcast": 1,
    "floor": 1, "ceil": 1, "round": 1, "shift_left": 1, "shift_right_arithmetic": 1, "shift_right_logical": 1,
    "real": 0, "imag": 0, "conj": 1, "complex": 0, "is_finite": 1, "div": 5, "rem": 10, "sqrt": 5, "rsqrt": 6,
    "clamp": 2, "population_count": 2, "clz": 2,
}  # fmt: skip
_TRANSCENDENTAL = 15
_DEEP = {"pow": 40, "lgamma": 80, "digamma": 80, "erf_inv": 40, "cbrt": 25, "atan2": 30,
    "threefry2x32_32": 100,
         "threefry2x32_64": 100}  # fmt: skip


def operation_cost(code: str | E.ScalarFunction) -> int:
    """Cost of a scalar operation, in additions."""
    if isinstance(code, E.ScalarFunction):
        return code.cost
    return _CHEAP.get(code, _DEEP.get(code, _TRANSCENDENTAL))


def expression_cost(expr: E.Expr) -> int:
    """Cost of the operations of an expression, in additions; what it reads is not counted."""
    if isinstance(expr, E.Op):
        return operation_cost(expr.code) + sum(map(expression_cost, expr.args))
    if isinstance(expr, E.Guard):
        return 1 + expression_cost(expr.inside) + expression_cost(expr.outside)
    return 0
