"""Settings: each one exists here once, with its default, its environment variable and what it does.

A setting is read as an attribute (`config.verify`), set by `config.update(name, value)`, and set for a
while by `with config.using(name=value)`. JAX's names are understood where they mean the same.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from funcgrad.errors import UnknownNameError, boundary
from funcgrad.names import closest


class Setting(NamedTuple):
    """One setting: its default, the check that turns a given value into a stored one, and its meaning."""

    default: Any
    parse: Any
    meaning: str
    traced: bool = True  # whether what is traced depends on it


def _flag(value: Any) -> bool:
    if isinstance(value, str):
        return value.strip().lower() not in ("", "0", "false", "no", "off")
    return bool(value)


def _one_of(*dtypes: str):
    def parse(value: Any) -> np.dtype:
        dtype = np.dtype(value)
        if dtype.name not in dtypes:
            raise ValueError(f"expected one of {', '.join(dtypes)}, got {value!r}")
        return dtype

    return parse


def _ways(value: Any) -> int:
    if isinstance(value, bool):
        return DEFAULT_WAYS if value else 0
    number = int(value)
    if number < 0:
        raise ValueError(f"expected a number of ways, 0 for none, got {value!r}")
    return number


DEFAULT_WAYS = 64

SETTINGS: dict[str, Setting] = {
    "default_float": Setting(
        np.dtype(np.float32), _one_of("float32", "float64"), "dtype of Python floats and of float creation"
    ),
    "default_int": Setting(
        np.dtype(np.int64), _one_of("int32", "int64"), "dtype of Python ints and of integer creation"
    ),
    "verify": Setting(False, _flag, "verify each graph after every transform and pass"),
    "disable_jit": Setting(False, _flag, "run functions under jit eagerly, operation by operation"),
    "debug_nans": Setting(False, _flag, "raise where an operation gives a NaN", traced=False),
    "debug_infs": Setting(False, _flag, "raise where an operation gives an infinity", traced=False),
    "debug_key_reuse": Setting(False, _flag, "raise where a random key is used twice"),
    "explain_recompiles": Setting(
        False, _flag, "log, in words, why a function under jit is traced again", traced=False
    ),
    "log_compiles": Setting(
        False, _flag, "log each function under jit that is traced and compiled, and for what", traced=False
    ),
    "check_tracer_leaks": Setting(False, _flag, "raise where a traced value outlives its function"),
    "python_branches": Setting(
        DEFAULT_WAYS,
        _ways,
        "the most ways through a function that are traced where Python conditions ask for traced values; 0: none",
    ),
}

_JAX_NAMES = {
    "jax_disable_jit": "disable_jit",
    "jax_enable_checks": "verify",
    "jax_debug_nans": "debug_nans",
    "jax_debug_infs": "debug_infs",
    "jax_debug_key_reuse": "debug_key_reuse",
    "jax_explain_cache_misses": "explain_recompiles",
    "jax_log_compiles": "log_compiles",
    "jax_check_tracer_leaks": "check_tracer_leaks",
}

_SETTLED: dict[str, tuple[Any, ...] | None] = {
    "jax_platforms": ("cpu", "", None),
    "jax_platform_name": ("cpu", "", None),
    "jax_num_cpu_devices": (1, -1),
    "jax_default_device": (None,),
    "jax_default_prng_impl": ("threefry2x32",),
    "jax_threefry_partitionable": (True,),
    "jax_numpy_rank_promotion": ("allow",),
    "jax_numpy_dtype_promotion": ("standard",),
    "jax_default_matmul_precision": None,
    "jax_compilation_cache_dir": None,
    "jax_enable_compilation_cache": None,
    "jax_persistent_cache_min_compile_time_secs": None,
    "jax_persistent_cache_min_entry_size_bytes": None,
    "jax_persistent_cache_enable_xla_caches": None,
    "jax_traceback_filtering": None,
}
"""Settings of JAX that programs make and that nothing here depends on: the values that are true anyway, None for any.
Matrix products have their full precision, compiled kernels are kept on disk, and tracebacks are filtered."""


class Config:
    """The settings of this process; see `SETTINGS` for the list."""

    default_float: np.dtype
    default_int: np.dtype
    verify: bool
    disable_jit: bool
    debug_nans: bool
    debug_infs: bool
    debug_key_reuse: bool
    explain_recompiles: bool
    log_compiles: bool
    check_tracer_leaks: bool
    python_branches: int

    def __init__(self) -> None:
        for name, setting in SETTINGS.items():
            given = os.environ.get("FUNCGRAD_" + name.upper())
            object.__setattr__(self, name, setting.default if given is None else setting.parse(given))
        object.__setattr__(self, "_seen", {})
        object.__setattr__(self, "_watchers", [])
        self._count()

    @boundary
    def update(self, name: str, value: Any) -> None:
        """Set one setting; ValueError for a wrong value. `jax_enable_x64` sets the default float dtype.
        Settings of JAX that mean nothing here are accepted."""
        if name in ("jax_enable_x64", "enable_x64"):
            name, value = "default_float", "float64" if _flag(value) else "float32"
        if name in _SETTLED:
            _check_settled(name, value)
            return
        name = _JAX_NAMES.get(name, name)
        if name not in SETTINGS:
            raise UnknownNameError(f"funcgrad has no setting {name!r}", hint=_closest_setting(name))
        try:
            parsed = SETTINGS[name].parse(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"setting {name!r} cannot be {value!r}: {error}") from None
        object.__setattr__(self, name, parsed)
        self._count()
        for watcher in self._watchers:
            watcher()

    def read(self, name: str) -> Any:
        """The value of one setting, by its name here or in JAX."""
        return getattr(self, name)

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` now and whenever a setting has changed."""
        self._watchers.append(watcher)
        watcher()

    def _count(self) -> None:
        """Bring `generation` up to date."""
        values = tuple([getattr(self, name) for name, setting in SETTINGS.items() if setting.traced])
        object.__setattr__(self, "generation", self._seen.setdefault(values, len(self._seen)))

    def __setattr__(self, name: str, value: Any) -> None:
        self.update(name, value)

    def __getattr__(self, name: str) -> Any:
        """What JAX's names of settings are worth here."""
        if name in ("jax_enable_x64", "enable_x64", "x64_enabled"):
            return self.default_float == np.float64
        if name in _JAX_NAMES:
            return getattr(self, _JAX_NAMES[name])
        if name in _SETTLED:
            return (_SETTLED[name] or (None,))[0]
        raise UnknownNameError(f"funcgrad has no setting {name!r}", hint=_closest_setting(name))

    @contextmanager
    def using(self, **settings: Any) -> Iterator[None]:
        """Set settings inside a `with` block and put the old values back after it."""
        before = {name: getattr(self, name) for name in settings}
        try:
            for name, value in settings.items():
                self.update(name, value)
            yield
        finally:
            for name, value in before.items():
                self.update(name, value)

    generation: int
    """Stands for the values of all settings on which traces depend: what was traced under others is of no use now,
    and of use again when they come back."""

    _seen: dict[tuple[Any, ...], int]
    _watchers: list[Callable[[], None]]


def _closest_setting(name: str) -> str | None:
    return closest(name, [*SETTINGS, "jax_enable_x64", *_JAX_NAMES])


def _check_settled(name: str, value: Any) -> None:
    accepted = _SETTLED[name]
    if accepted is not None and value not in accepted:
        raise ValueError(
            f"setting {name!r} cannot be {value!r}: funcgrad has {accepted[0]!r} only; leave the line "
            f"out if the program does not depend on it"
        )


config = Config()
