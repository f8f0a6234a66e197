"""`record`: frozen data classes that cost little to define.

The standard library's `dataclass(frozen=True)` takes about a millisecond a class on import, and funcgrad has
many small ones. `record` writes all methods of a class in one go, when the first is called. It has what funcgrad
uses: positional and keyword arguments, defaults, inheritance, equality, hash, repr, pickling; `replaced` gives a
changed copy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: Any) -> Any:
        return lambda function: function


def _refuse(self: Any, name: str, value: Any = None) -> None:
    raise AttributeError(f"a {type(self).__name__} does not change")


@dataclass_transform(frozen_default=True)
def record(cls: type[T]) -> type[T]:
    """Make a class with annotated fields a frozen record. Methods that the class defines itself stay."""
    own = cls.__dict__
    for name in _METHODS:
        if name not in own or own[name] is None:  # a class with __eq__ has None for a __hash__
            setattr(cls, name, _to_be_written(cls, name))
    cls.__setattr__ = cls.__delattr__ = _refuse  # type: ignore[method-assign,assignment]
    return cls


@dataclass_transform(frozen_default=True, eq_default=False)
def entity(cls: type[T]) -> type[T]:
    """A record that is equal to itself only."""
    cls.__eq__, cls.__hash__ = object.__eq__, object.__hash__  # type: ignore[method-assign,assignment]
    return record(cls)


_METHODS = ("__init__", "__eq__", "__hash__", "__repr__")


def _to_be_written(cls: type, name: str) -> Any:
    """A method that writes all methods of its class when it is first called, itself among them."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if cls.__dict__[name] is method:
            _write(cls)
        return cls.__dict__[name](self, *args, **kwargs)

    method.is_to_be_written = True  # type: ignore[attr-defined]
    return method


def _write(cls: type) -> None:
    line = cls.__mro__[-2::-1]  # from the first ancestor below `object`
    names = list(dict.fromkeys(n for base in line for n in getattr(base, "__annotations__", ())))
    defaults = {n: base.__dict__[n] for base in line for n in names if n in base.__dict__}
    arguments = ", ".join(f"{n}=defaults[{n!r}]" if n in defaults else n for n in names)
    values = f"({', '.join(f'self.{n}' for n in names)}{',' if len(names) == 1 else ''})"
    same = " and ".join(["other.__class__ is self.__class__", *(f"self.{n} == other.{n}" for n in names)])
    shown = ", ".join(f"{n}={{self.{n}!r}}" for n in names)
    lines = [f"def __init__(self, {arguments}):", "    fields = self.__dict__"]
    lines += [f"    fields[{n!r}] = {n}" for n in names]
    lines += ["def __eq__(self, other):", f"    return self is other or ({same})"]
    lines += ["def __hash__(self):", f"    return hash({values})"]
    lines += ["def __repr__(self):", f"    return f'{cls.__qualname__}({shown})'"]
    methods: dict[str, Any] = {}
    exec("\n".join(lines), {"defaults": defaults}, methods)
    for name, method in methods.items():
        if hasattr(cls.__dict__[name], "is_to_be_written"):
            setattr(cls, name, method)


def replaced(instance: T, **changes: Any) -> T:
    """A record like `instance` with some fields changed."""
    return type(instance)(**{**instance.__dict__, **changes})
