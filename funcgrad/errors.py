"""Every error and warning that funcgrad raises on purpose. Owns their classes and how a message is laid out.

A message has up to four parts: what went wrong, where in the user's code, the types involved, and what to
do. Each class also derives from the built-in exception that NumPy or JAX users would expect to catch.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from funcgrad.source import SourceLine, hide_internal_frames, user_line

F = TypeVar("F", bound=Callable[..., Any])


class FuncgradError(Exception):
    """Base of all errors of funcgrad.

    `where` is the user's line; it is looked up on the stack when it is not given. `hint` says what to do.
    """

    def __init__(self, what: str, *, where: SourceLine | None = None, hint: str | None = None):
        self.what = what
        self.where = where if where is not None else user_line(2)
        self.hint = hint
        lines = [what]
        if self.where is not None:
            lines.append(f"  at {self.where}")
        if hint:
            lines.append(f"  fix: {hint}")
        super().__init__("\n".join(lines))

    def __reduce__(self):
        return (_rebuild, (type(self), self.what, self.where, self.hint))


def _rebuild(
    cls: type[FuncgradError], what: str, where: SourceLine | None, hint: str | None
) -> FuncgradError:
    return cls(what, where=where, hint=hint)


class ShapeError(FuncgradError, TypeError, ValueError):
    """Shapes do not fit together."""


class DTypeError(FuncgradError, TypeError):
    """A dtype that the operation does not take, or dtypes that do not fit together."""


class AxisError(FuncgradError, ValueError, IndexError):
    """An axis that the array does not have, or that is named twice."""


class ArgumentError(FuncgradError, TypeError, ValueError):
    """A wrong argument of a transform or function: argnums, in_axes, statics, tree structure."""


class TreeError(FuncgradError, ValueError):
    """Trees whose structures do not fit together, or a class that cannot be a node."""


class ConcretizationError(FuncgradError, TypeError):
    """A traced value was used where Python needs its value now (bool, int, index, NumPy array)."""


class LeakedTracerError(FuncgradError, RuntimeError):
    """A traced value was used after the function that was being traced had returned."""


class ImmutableError(FuncgradError, TypeError):
    """An array was asked to change in place."""


class UnhashableError(FuncgradError, TypeError):
    """An array was hashed, or a static argument cannot be hashed."""


class IndexingError(FuncgradError, IndexError, TypeError):
    """An index that the array cannot take."""


class NotDifferentiableError(FuncgradError, TypeError, NotImplementedError):
    """A derivative was asked of something that has none."""


class KernelError(FuncgradError, TypeError):
    """A function of the user's cannot become part of a kernel, or failed there."""


class UnknownNameError(FuncgradError, AttributeError):
    """A name that a module or an array of funcgrad does not have."""


class AxisNameError(FuncgradError, NameError):
    """A collective named an axis that no surrounding vmap declares."""


class NonFiniteError(FuncgradError, FloatingPointError):
    """An operation gave a NaN or an infinity while `debug.nans` or `debug.infs` looks for them."""


class CheckError(FuncgradError, ValueError):
    """A `checkify.check` failed, or a check that checkify makes by itself."""


class KeyReuseError(FuncgradError, ValueError):
    """A random key was used twice while `debug.key_reuse` looks for that."""


class GraphError(FuncgradError, ValueError):
    """A graph that is not well formed (a bug in funcgrad or in a hand-written graph)."""


class PrimitiveError(FuncgradError, TypeError):
    """A primitive's record is incomplete or contradicts itself."""


# JAX's names of these
ConcretizationTypeError = ConcretizationError
TracerBoolConversionError = ConcretizationError
TracerArrayConversionError = ConcretizationError
TracerIntegerConversionError = ConcretizationError
NonConcreteBooleanIndexError = IndexingError
UnexpectedTracerError = LeakedTracerError
JAXTypeError = DTypeError
JAXIndexError = IndexingError
InconclusiveDimensionOperation = ShapeError


class FuncgradWarning(UserWarning):
    """Base of all warnings of funcgrad."""


class CacheWarning(FuncgradWarning):
    """The kernel cache cannot be used as asked; work goes on without it."""


class Held:
    """What stands for the array that it holds at the time (see refs.py) in the arguments of public functions."""

    __slots__ = ()

    def read(self) -> Any:
        raise NotImplementedError


Arguments = tuple[tuple[Any, ...], dict[str, Any]]


def with_arrays(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments | None:
    """The arguments with arrays in place of what holds them, a `Held` or an object with JAX's `__jax_array__`; None
    where nothing does."""
    found = False

    def read(value: Any) -> Any:
        nonlocal found
        if isinstance(value, Held):
            found = True
            return value.read()
        if value.__class__ in (list, tuple):
            return value.__class__(map(read, value))
        if value.__class__ is dict:
            return {k: read(v) for k, v in value.items()}
        if hasattr(value.__class__, "__jax_array__"):
            found = True
            return value.__jax_array__()
        return value

    again = tuple(map(read, args)), {k: read(v) for k, v in kwargs.items()}
    return again if found else None


def boundary(function: F) -> F:
    """Mark a public function: an error that leaves it shows the user's frames, not funcgrad's own.

    Arguments that do not fit its signature raise ArgumentError, with the signature. A `Held` among them, which no
    function takes for an array, is an array when the function is called again.
    """

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if isinstance(error, DTypeError) and (again := with_arrays(args, kwargs)) is not None:
                return wrapper(*again[0], **again[1])
            if type(error) is TypeError and (misfit := _signature_misfit(wrapper, error, args, kwargs)):
                try:
                    raise misfit from None
                except ArgumentError:
                    misfit.__traceback__ = None
                    raise
            # raising again does not put this frame back
            hide_internal_frames(error)
            raise

    return wrapper  # type: ignore[return-value]


def _signature_misfit(
    function: Callable[..., Any], error: TypeError, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> ArgumentError | None:
    """The error of arguments that `function` does not take; None where the TypeError arose further in."""
    if error.__traceback__ is None or error.__traceback__.tb_next is not None:
        return None
    try:
        signature = inspect.signature(function)
        signature.bind(*args, **kwargs)
    except TypeError:
        parameters = [p.replace(annotation=p.empty) for p in signature.parameters.values()]
        shown = signature.replace(parameters=parameters, return_annotation=signature.empty)
        what = f"{function.__name__}() {str(error).partition('() ')[2]}"
        return ArgumentError(what, hint=f"call it as {function.__name__}{shown}")
    except ValueError:
        pass
    return None
