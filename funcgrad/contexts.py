"""Context managers for a stretch of a program, under JAX's names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from funcgrad.config import config
from funcgrad.ir.primitive import Primitive
from funcgrad.trace.core import EAGER, Trace, Tracer, current, state


@contextmanager
def named_scope(name: str) -> Iterator[None]:
    """A name for a part of a function, also usable as a decorator; without effect for now."""
    yield


@contextmanager
def disable_jit(disable: bool = True) -> Iterator[None]:
    """Inside, functions under `jit` run operation by operation, to print in them and step through them."""
    with config.using(disable_jit=disable):
        yield


def checking_leaks(check: bool = True) -> AbstractContextManager[None]:
    """Inside, raise LeakedTracerError where a traced value lives on after the function that was traced has returned,
    kept in a global, an attribute or a list. Slow; for looking for the mistake.

    >>> import funcgrad as fg
    >>> with fg.checking_leaks():
    ...     y = fg.jit(lambda x: x * 2)(1.0)
    """
    return config.using(check_tracer_leaks=check)


def log_compiles(new_val: bool = True) -> AbstractContextManager[None]:
    """Inside, log each function under `jit` that is traced and compiled, and the types of its arguments (logger
    "funcgrad"). `config.update("log_compiles", True)` sets it for good.

    >>> import funcgrad as fg
    >>> with fg.log_compiles():
    ...     y = fg.jit(lambda x: x * 2)(1.0)
    """
    return config.using(log_compiles=new_val)


def explain_cache_misses(new_val: bool = True) -> AbstractContextManager[None]:
    """Inside, log in words why a function under `jit` is traced again (see `debug.why_recompiled`)."""
    return config.using(explain_recompiles=new_val)


def enable_checks(new_val: bool = True) -> AbstractContextManager[None]:
    """Inside, every graph is verified after every transform and pass: slow, to look for mistakes of funcgrad."""
    return config.using(verify=new_val)


def check_tracer_leaks(new_val: bool = True) -> AbstractContextManager[None]:
    """`checking_leaks` under JAX's other name."""
    return checking_leaks(new_val)


def ensure_compile_time_eval() -> AbstractContextManager[object]:
    """Inside, what does not depend on traced values is computed at once, also while a function is traced.

    >>> import funcgrad as fg
    >>> @fg.jit
    ... def f(x):
    ...     with fg.ensure_compile_time_eval():
    ...         size = int(fg.numpy.arange(4).sum())  # a number, also inside jit
    ...     return x + size
    >>> f(1.0)
    Array(7., dtype=float32, weak_type=True)
    """
    return current(state.trace if state.trace.eager else _AtOnce(state.trace))


class _AtOnce(Trace):
    """Computes at once what no traced value goes into, and hands everything else to the trace that is underway."""

    def __init__(self, parent: Trace):
        self.parent = parent

    def _way(self, operands: Sequence[Any]) -> current:
        return current(self.parent if any(isinstance(x, Tracer) for x in operands) else EAGER)

    def apply(self, primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> Any:
        with self._way(operands):
            return state.trace.apply(primitive, operands, params)

    def call_custom_jvp(self, call: Any, operands: Sequence[Any]) -> Any:
        with self._way(operands):
            return state.trace.call_custom_jvp(call, operands)

    def call_custom_vjp(self, call: Any, operands: Sequence[Any]) -> Any:
        with self._way(operands):
            return state.trace.call_custom_vjp(call, operands)


def enable_x64(new_val: bool = True) -> AbstractContextManager[None]:
    """Inside, Python floats and newly made arrays of floats are float64 (float32 where `new_val` is false).

    float64 arrays stay float64 in any case; `config.update("jax_enable_x64", True)` sets it for good.

    >>> import funcgrad as fg
    >>> with fg.enable_x64():
    ...     fg.numpy.ones(2).dtype
    dtype('float64')
    """
    return config.using(default_float="float64" if new_val else "float32")


@contextmanager
def default_matmul_precision(precision: Any) -> Iterator[None]:
    """Accepted for JAX's sake: matrix products always have the full precision of their dtype."""
    yield


def named_call(fun: Callable[..., Any], *, name: str | None = None) -> Callable[..., Any]:
    """`fun`, in a `named_scope`."""
    return named_scope(name or getattr(fun, "__name__", "call"))(fun)
