"""The kernel cache: source text in, the address of native code out.

A kernel is known by the hash of its source and of everything that decides what comes out of it (the compiler's
version, the hand-written kernels, the processor). In the cache folder it is two files: `<hash>.py`, the source,
to read and to step through; `<hash>.o`, the object code behind a checksum. Plans (see plan.py) lie beside them.
An object whose checksum is wrong is compiled anew; files appear by an atomic rename, so a process that dies while
it writes, or two that write at once, leave nothing half done. Where the folder cannot be used, one warning is
given and code stays in memory.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import linecache
import os
import platform
import re
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from funcgrad.errors import CacheWarning, KernelError
from funcgrad.kernels.cpu import abi, loader
from funcgrad.records import record

_MAGIC = b"funcgrad object 2\n"
_DRIVER = "driver"
_WRITING = ".writing-"
"""How the name of a file begins that is not whole yet."""
_ABANDONED = 3600
"""Seconds after which nobody writes such a file any more."""
_DAY = 86400


class Stats:
    """What the cache has done in this process: kernels compiled, and found in the folder."""

    def __init__(self) -> None:
        self.compiled = 0
        self.loaded = 0


class _Cache:
    def __init__(self) -> None:
        self.stats = Stats()
        self.addresses: dict[str, int] = {}
        self.objects: dict[str, bytes] = {}
        self.driver: bytes | None = None
        self.lock = threading.RLock()
        self.warned: set[str] = set()


_cache = _Cache()


def stats() -> Stats:
    """Counts and times of this process."""
    return _cache.stats


def folder() -> Path:
    """The cache folder: `FUNCGRAD_CACHE_DIR`, or `funcgrad` in the platform's folder for user caches."""
    given = os.environ.get("FUNCGRAD_CACHE_DIR")
    if given:
        return Path(given).expanduser()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return base / "funcgrad"


@functools.cache
def fingerprint() -> bytes:
    """The hash of everything but its source that decides a kernel's code."""
    import llvmlite.binding as llvm

    digest = hashlib.sha256()
    features = llvm.get_host_cpu_features().flatten()
    machine = (platform.machine(), sys.platform, llvm.get_host_cpu_name(), features)
    digest.update(repr((abi.VERSION, *machine, *map(_version_of, ("numba", "llvmlite")))).encode())
    for path in sorted(Path(abi.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.digest()


def _version_of(package: str) -> str:
    """The version of an installed package, by the name of its metadata folder where that is plain to see."""
    spec = importlib.util.find_spec(package)
    if spec is not None and spec.origin is not None:
        found = list(Path(spec.origin).parent.parent.glob(f"{package}-*.dist-info"))
        if len(found) == 1:
            return found[0].name
    from importlib.metadata import version  # rarely needed, and slow to import

    return version(package)


def key_of(source: str) -> str:
    """The name under which a kernel of this source is kept."""
    return hashlib.sha256(fingerprint() + source.encode()).hexdigest()


def load_kernels(sources: Sequence[str]) -> list[int]:
    """The addresses of the entry points of the kernels with these sources. Those that are not there yet are compiled,
    side by side."""
    keys = list(map(key_of, sources))
    with _cache.lock:
        missing: dict[str, str | None] = {}
        for key, source in zip(keys, sources):
            if key not in _cache.addresses and key not in missing:
                code = _find(key)
                if code is None:
                    missing[key] = source
                else:
                    _cache.addresses[key] = _load(code, abi.ENTRY)
        if missing and not _driver():
            missing[key_of(_DRIVER)] = None  # the last: LLVM has enough to do while it is lowered
        for key, code in _compile(missing):
            if missing[key] is None:
                _cache.driver = code
            else:
                _cache.addresses[key] = _load(code, abi.ENTRY)
        return [_cache.addresses[key] for key in keys]


def load_known(keys: Sequence[str]) -> list[int] | None:
    """The addresses of the kernels with these keys; None where one is not in the cache."""
    with _cache.lock:
        for key in keys:
            if key not in _cache.addresses:
                code = _find(key)
                if code is None:
                    return None
                _cache.addresses[key] = _load(code, abi.ENTRY)
        return [_cache.addresses[key] for key in keys]


def read_plan(key: str) -> bytes | None:
    """The plan of this key from the folder (see plan.py)."""
    return _read(f"{key}.plan")


def write_plan(key: str, data: bytes) -> None:
    """Keep a plan in the folder."""
    _keep(f"{key}.plan", data)


@functools.cache
def load_driver() -> tuple[int, int]:
    """The addresses of the native driver's `enter` and `work`."""
    with _cache.lock:
        code = _driver()
        if code is None:
            [(_, code)] = _compile({key_of(_DRIVER): None})
        return _load(code, "funcgrad_enter"), _load(code, "funcgrad_work")


def _driver() -> bytes | None:
    """The driver's code, if it is there; remembered."""
    if _cache.driver is None:
        _cache.driver = _find(key_of(_DRIVER))
    return _cache.driver


def _load(code: bytes, symbol: str) -> int:
    return loader.load(code, symbol)


def _find(key: str) -> bytes | None:
    """The object code of this key from memory or from the folder."""
    code = _cache.objects.get(key) or _read(f"{key}.o")
    _cache.stats.loaded += code is not None
    return code


def _compile(missing: Mapping[str, str | None]) -> Iterator[tuple[str, bytes]]:
    """Compile and keep the kernels with these sources; None stands for the driver."""
    if not missing:
        return
    from funcgrad.kernels.cpu import compiling  # not needed where everything is there

    def lowering(key: str, source: str | None) -> Callable[[], list[str]]:
        if source is None:
            return compiling.lower_driver
        return lambda: compiling.lower_kernel(_kernel(key, source))

    objects = compiling.compile_all([lowering(key, source) for key, source in missing.items()])
    for (key, source), code in zip(missing.items(), _typed(objects)):
        if source is not None:
            _write(f"{key}.py", source.encode())
        if not _keep(f"{key}.o", code):
            _cache.objects[key] = code
        _cache.stats.compiled += 1
        yield key, code


def _typed(objects: Iterator[bytes]) -> Iterator[bytes]:
    """The objects; KernelError where a user's function does not compile."""
    from funcgrad.kernels.cpu.frontend import UserCodeError

    try:
        yield from objects
    except UserCodeError as error:
        raise KernelError(
            f"Numba does not compile {_words(str(error))}",
            hint="write it with arithmetic, comparisons, if, loops, math.*, and what of NumPy Numba supports; "
            "this error's __cause__ is Numba's whole message",
        ) from error


def _words(message: str) -> str:
    """What one of Numba's messages says of a user's function: which one, why, and in which of its lines."""
    function = re.search(r"<function (\w+) at", message)
    inner = message.partition("TypingError: ")[2] or message
    lines = [line.strip() for line in inner.splitlines() if line.strip()]
    said = [line for line in lines if "nopython mode" not in line][:2] or [message]
    why = f"{said[0]} {said[1]}" if said[0].endswith("signature:") else said[0]
    line = re.search(r'File "<user>", line (\d+)', message)
    place = f" (line {line[1]} of it)" if line else ""
    return f"{f'the function {function[1]}' if function else 'a function'} of yours: {why}{place}"


def _kernel(key: str, source: str) -> abi.Kernel:
    """Run a kernel's source as a module, whose file is the one in the cache folder."""
    module = types.ModuleType(f"funcgrad_kernel_{key[:16]}")
    module.__file__ = path = str(folder() / f"{key}.py")
    linecache.cache[path] = len(source), None, source.splitlines(True), path
    exec(compile(source, module.__file__, "exec"), module.__dict__)
    return module.kernel


def _checked(name: str, data: bytes) -> bytes:
    """Data behind a checksum of itself and of the file's name: the content of another file is no more trusted than a
    damaged one."""
    return _MAGIC + hashlib.sha256(name.encode() + b"\n" + data).digest() + data


def _keep(name: str, data: bytes) -> bool:
    """Put data behind its checksum into the folder; gives whether it is there."""
    return _write(name, _checked(name, data))


def _read(name: str) -> bytes | None:
    """What is behind the checksum of a file in the folder; None where there is none, or where it is damaged."""
    path = folder() / name
    try:
        with path.open("rb") as file:
            data = file.read()
            used = os.fstat(file.fileno()).st_mtime
    except (FileNotFoundError, NotADirectoryError):  # what cannot be written either is said when it is
        return None
    except OSError as error:
        _warn(f"the kernel cache cannot be read: {error.strerror}")
        return None
    head = len(_MAGIC) + 32
    code = data[head:]
    if data != _checked(name, code):
        _warn(f"a damaged file in the cache is compiled again: {path}")
        return None
    if time.time() - used > _DAY:  # prune goes by it
        with contextlib.suppress(OSError):
            os.utime(path)
    return code


def _write(name: str, data: bytes) -> bool:
    """Put a file into the folder, whole or not at all; gives whether it is there."""
    import tempfile  # slow to import, and not needed to read

    target = folder() / name
    temporary = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=_WRITING)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(temporary, target)
        return True
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        _warn(f"compiled kernels cannot be kept, and will be compiled in every process: {error.strerror}")
        return False


def _warn(what: str) -> None:
    if what not in _cache.warned:
        _cache.warned.add(what)
        warnings.warn(CacheWarning(f"{what} (folder: {folder()})"), stacklevel=2)


@record
class Contents:
    """What the folder holds."""

    folder: Path
    kernels: int
    bytes: int


@record
class Entry:
    """A kernel, or a plan, in the folder: its files, their bytes, and when it was last used (to a day), in seconds of
    the epoch."""

    key: str
    files: tuple[Path, ...]
    bytes: int
    used: float


def entries() -> list[Entry]:
    """The kernels and plans in the folder, the one that was used longest ago first."""
    found: dict[str, list[Path]] = {}
    for path in folder().glob("*") if folder().is_dir() else ():
        if path.suffix in (".py", ".o", ".plan") and not path.name.startswith(_WRITING):
            found.setdefault(path.stem, []).append(path)
    made = []
    for key, files in found.items():
        stats = [s for s in map(_stat, files) if s is not None]  # another process may remove them
        if stats:
            size, used = sum(s.st_size for s in stats), max(s.st_mtime for s in stats)
            made.append(Entry(key, tuple(sorted(files)), size, used))
    return sorted(made, key=lambda e: (e.used, e.key))


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def contents() -> Contents:
    """The number and size of what is in the folder."""
    return _contents(entries())


def _contents(of: Sequence[Entry]) -> Contents:
    return Contents(
        folder(), sum(any(f.suffix == ".o" for f in e.files) for e in of), sum(e.bytes for e in of)
    )


def prune(unused_for: float | None = None, max_bytes: int | None = None) -> Contents:
    """Remove kernels that were not used for so many seconds, and those unused for longest until the rest fits into
    `max_bytes`; gives what was removed. What a process has loaded stays loaded; what it misses later it compiles
    again."""
    there, now = entries(), time.time()
    left = sum(e.bytes for e in there)
    removed = []
    for entry in there:
        if (unused_for is not None and now - entry.used > unused_for) or (
            max_bytes is not None and left > max_bytes
        ):
            removed.append(entry)
            left -= entry.bytes
    _remove(removed)
    for path in folder().glob(f"{_WRITING}*") if folder().is_dir() else ():
        stat = _stat(path)
        if stat is not None and now - stat.st_mtime > _ABANDONED:
            path.unlink(missing_ok=True)
    return _contents(removed)


def clear() -> Contents:
    """Remove every kernel from the folder; gives what there was."""
    there = entries()
    _remove(there)
    for path in folder().glob(f"{_WRITING}*") if folder().is_dir() else ():
        path.unlink(missing_ok=True)
    return _contents(there)


def _remove(of: Sequence[Entry]) -> None:
    for entry in of:
        for path in entry.files:
            path.unlink(missing_ok=True)
