"""How a body of control flow writes to a `Ref` from outside: the loop carries what the Ref holds.

The functions of lax/control.py are marked by the decorators of this module. Where a body writes to a Ref that the
function around the loop has made, the loop starts again with what the Ref holds as a part of its carry (or, for
branches, of their operands and results): inside the body the Ref is lent to the body's trace, and after the loop it
holds what the last step has left in it.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.errors import boundary
from funcgrad.trace.core import Trace, state

F = Callable[..., Any]


class Lendable:
    """What a Ref is to a loan: the array that it holds, the trace that may write to it (None: no one may), and whether
    nobody else has seen the memory of the array."""

    __slots__ = ("_own", "_trace", "_value")
    _value: Any
    _trace: Trace | None
    _own: bool

    def held(self) -> tuple[Any, Trace | None]:
        """The array, of which somebody else knows from now on, and the trace that may write."""
        self._own = False
        return self._value, self._trace

    def hold(self, value: Any, trace: Trace | None) -> None:
        """Hold another array, for another trace."""
        self._value, self._trace, self._own = value, trace, False

    def made_in(self, trace: Trace | None) -> bool:
        """Whether what is made in `trace` may be written to it."""
        mine = self._trace
        return mine is trace or (mine is not None and trace is not None and mine.eager and trace.eager)


class Written(BaseException):
    """A body writes to a Ref that its loop does not carry yet."""

    def __init__(self, ref: Lendable, loan: Loan):
        self.ref = ref
        self.loan = loan


class Loan:
    """The Refs that one call of a loop or a choice carries. `trace` is the one that it is called in."""

    def __init__(self) -> None:
        self.trace = state.trace
        self.refs: list[Lendable] = []

    def values(self) -> list[Any]:
        return [ref.held()[0] for ref in self.refs]

    def take(self, values: Sequence[Any]) -> None:
        """Let the Refs hold these arrays."""
        for ref, value in zip(self.refs, values):
            ref.hold(value, ref.held()[1])

    def lend(
        self, values: Sequence[Any], call: Callable[[], Any], writes: bool = True
    ) -> tuple[Any, list[Any]]:
        """What `call` gives while the Refs hold `values`, and what they hold then."""
        before = [ref.held() for ref in self.refs]
        try:
            for ref, value in zip(self.refs, values):
                ref.hold(value, state.trace if writes else None)
            return call(), self.values()
        finally:
            for ref, (value, trace) in zip(self.refs, before):
                ref.hold(value, trace)


class _Loans(threading.local):
    def __init__(self) -> None:
        self.stack: list[Loan] = []


_loans = _Loans()


def borrow(ref: Lendable) -> None:
    """Let the loop around a write to `ref` start again and carry it, where there is such a loop."""
    for loan in reversed(_loans.stack):
        if ref.made_in(loan.trace):
            raise Written(ref, loan)


def _carrying(change: Callable[[Loan, F, dict[str, Any]], Any]) -> Callable[[F], F]:
    """A decorator: `change(loan, function, arguments)` calls the function where there are Refs to carry."""

    def decorate(function: F) -> F:
        signature = inspect.signature(function)

        @boundary
        @functools.wraps(function)
        def carrying(*args: Any, **kwargs: Any) -> Any:
            loan = Loan()
            _loans.stack.append(loan)
            try:
                while True:
                    try:
                        if not loan.refs:
                            return function(*args, **kwargs)
                        bound = signature.bind(*args, **kwargs)
                        bound.apply_defaults()
                        return change(loan, function, bound.arguments)
                    except Written as written:
                        if written.loan is not loan:
                            raise
                        loan.refs.append(written.ref)
            finally:
                _loans.stack.pop()

        return carrying

    return decorate


def _body(loan: Loan, function: F, position: int) -> F:
    """`function`, whose argument number `position` is a carry, of a carry with what the Refs hold."""

    @functools.wraps(function)
    def body(*args: Any) -> Any:
        carry, held = args[position]
        inner = (*args[:position], carry, *args[position + 1 :])
        return loan.lend(held, lambda: function(*inner))

    return body


@_carrying
def scan_carries(loan: Loan, scan: F, given: dict[str, Any]) -> Any:
    f = _body(loan, given["f"], 0)

    @functools.wraps(given["f"])
    def step(carry: Any, x: Any) -> Any:
        result, held = f(carry, x)
        if not isinstance(result, tuple | list) or len(result) != 2:
            return result
        return (result[0], held), result[1]

    (carry, held), ys = scan(**{**given, "f": step, "init": (given["init"], loan.values())})
    loan.take(held)
    return carry, ys


@_carrying
def fori_loop_carries(loan: Loan, fori_loop: F, given: dict[str, Any]) -> Any:
    body = _body(loan, given["body_fun"], 1)
    start = (given["init_val"], loan.values())
    result, held = fori_loop(**{**given, "body_fun": body, "init_val": start})
    loan.take(held)
    return result


@_carrying
def while_loop_carries(loan: Loan, while_loop: F, given: dict[str, Any]) -> Any:
    cond_fun = given["cond_fun"]

    @functools.wraps(cond_fun)
    def asked(carry: Any) -> Any:
        return loan.lend(carry[1], lambda: cond_fun(carry[0]), writes=False)[0]

    body = _body(loan, given["body_fun"], 0)
    start = (given["init_val"], loan.values())
    result, held = while_loop(**{**given, "cond_fun": asked, "body_fun": body, "init_val": start})
    loan.take(held)
    return result


def _branch(loan: Loan, function: F) -> F:
    @functools.wraps(function)
    def branch(held: Any, *operands: Any) -> Any:
        return loan.lend(held, lambda: function(*operands))

    return branch


@_carrying
def cond_carries(loan: Loan, cond: F, given: dict[str, Any]) -> Any:
    branches = [_branch(loan, given[name]) for name in ("true_fun", "false_fun")]
    result, held = cond(given["pred"], *branches, loan.values(), *_operands(cond, given))
    loan.take(held)
    return result


@_carrying
def switch_carries(loan: Loan, switch: F, given: dict[str, Any]) -> Any:
    branches = [_branch(loan, branch) for branch in given["branches"]]
    result, held = switch(given["index"], branches, loan.values(), *_operands(switch, given))
    loan.take(held)
    return result


def _operands(function: F, given: dict[str, Any]) -> tuple[Any, ...]:
    """The operands of a choice, which may come as the keyword `operand`."""
    nothing = inspect.signature(function).parameters["operand"].default
    return given["operands"] if given["operand"] is nothing else (given["operand"],)
