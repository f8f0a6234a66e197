"""The layer rule, checked on the source: who may import whom, lazy imports included.

Imports go down or stay in their layer, never in a circle; `kernels/` imports nothing of funcgrad; optional
packages are imported only inside functions; no file is longer than a reader can hold. `TYPE_CHECKING` blocks
do not run and do not count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent

# from the bottom up; the modules of one tuple may import each other
LAYERS: list[tuple[str, ...]] = [
    ("version",),
    ("records",),
    ("source",),
    ("errors",),
    ("names",),
    ("config",),
    ("dtypes",),
    ("tree",),
    ("ir",),
    ("array",),
    ("trace",),
    # a call's rules transform its own sub-graph; transforms know primitives only by their records
    ("transforms",),
    ("prims",),
    ("passes",),
    ("lower",),
    ("runtime",),
    ("coloring",),
    (
        "api",
        "batching",
        "custom_rules",
        "flat",
        "jacobians",
        "jit",
        "sparse_derivatives",
    ),  # the public transforms, on trees
    ("faces",),  # numpy, lax, nn, random, tree_util ...: whatever is not named here
    ("testing", "test_util"),
    ("__init__",),
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
OPTIONAL = {"cupy", "mpi4py", "matplotlib", "tqdm", "jax", "torch"}
LONGEST = 800


class Import(NamedTuple):
    """One imported module name as it is written in full, where, and whether it runs at import."""

    module: str
    line: int
    at_import: bool


class Module(NamedTuple):
    name: str
    path: Path
    is_package: bool
    imports: tuple[Import, ...]


def read_modules(root: Path) -> dict[str, Module]:
    """Every module below `root/funcgrad` and `root/kernels` (which is `funcgrad.kernels`), by dotted name."""
    paths: dict[str, Path] = {}
    for folder, package in (("kernels", "funcgrad.kernels"), ("funcgrad", "funcgrad")):
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            paths[".".join((package, *parts)).removesuffix(".__init__")] = path
    modules = {}
    for name, path in paths.items():
        is_package = path.name == "__init__.py"
        package = name if is_package else name.rpartition(".")[0]
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        imports = tuple(walk_imports(tree, package, set(paths), at_import=True))
        modules[name] = Module(name, path, is_package, imports)
    return modules


def walk_imports(node: ast.AST, package: str, known: set[str], at_import: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for statement in child.orelse:
                yield from walk_imports(ast.Module([statement], []), package, known, at_import)
            continue
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, at_import)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                above = package.split(".")[: len(package.split(".")) - child.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in child.names:
                full = f"{base}.{alias.name}"
                yield Import(full if full in known else base, child.lineno, at_import)
        elif isinstance(child, ast.Call):
            called = ast.unparse(child.func).rpartition(".")[2]
            if called in ("import_module", "__import__") and child.args:
                name = child.args[0]
                if isinstance(name, ast.Constant) and isinstance(name.value, str):
                    yield Import(name.value, child.lineno, at_import)
        lazy = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        yield from walk_imports(child, package, known, at_import and not lazy)


def layer_of(module: str) -> str | None:
    """The layer of a module of funcgrad; None of any other module and of the kernels."""
    parts = module.split(".")
    if parts[0] != "funcgrad" or parts[1:2] == ["kernels"]:
        return None
    if len(parts) == 1:
        return "__init__"
    return parts[1] if parts[1] in RANK else "faces"


def violations(root: Path) -> list[str]:
    """Every breach of the layer rule, one line each, with file and line number."""
    modules = read_modules(root)
    found: list[str] = []
    for module in modules.values():
        shown = module.path.relative_to(root).as_posix()
        layer = layer_of(module.name)
        for target, line, at_import in module.imports:
            where = f"{shown}:{line}"
            if target.split(".")[0] in OPTIONAL and at_import:
                found.append(f"{where}: optional package {target} is imported outside a function")
            below = layer_of(target)
            if below is None:
                continue
            if layer is None:
                found.append(f"{where}: kernels import {target}; they import nothing of funcgrad")
            elif RANK[below] > RANK[layer]:
                found.append(f"{where}: {layer} imports {target}, which is above it ({below})")
    found += [f"import cycle: {' -> '.join(cycle)}" for cycle in cycles(modules)]
    for path in sorted([*(module.path for module in modules.values()), *(root / "tests").rglob("*.py")]):
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines > LONGEST:
            found.append(f"{path.relative_to(root).as_posix()}: {lines} lines, more than {LONGEST}; split it")
    return list(dict.fromkeys(found))


def cycles(modules: dict[str, Module]) -> list[list[str]]:
    """One cycle for each strongly connected group of modules."""
    graph = {
        name: sorted({target for target, _, _ in module.imports if target in modules and target != name})
        for name, module in modules.items()
    }
    finished: set[str] = set()
    found: list[list[str]] = []

    def visit(name: str, path: list[str]) -> None:
        if name in path:
            found.append([*path[path.index(name) :], name])
            return
        if name in finished:
            return
        for target in graph[name]:
            visit(target, [*path, name])
        finished.add(name)

    for name in graph:
        visit(name, [])
    return found


def test_the_source_keeps_the_layer_rule():
    found = violations(ROOT)
    assert not found, "\n".join(found)


def test_the_whole_source_is_read():
    modules = read_modules(ROOT)
    assert {"funcgrad", "funcgrad.ir.graph", "funcgrad.kernels", "funcgrad.tree.treedef"} <= set(modules)
    assert sum(len(module.imports) for module in modules.values()) > 50


# ------------------------------------------------------------------------------------ the checker, on fakes

CASES = {
    "up": ({"funcgrad/ir/graph.py": "from funcgrad.prims import add"}, "ir imports funcgrad.prims"),
    "up, lazily": ({"funcgrad/ir/graph.py": "def f():\n    import funcgrad.api"}, "graph.py:2: ir imports"),
    "up, in a method of a class": (
        {"funcgrad/errors.py": "class A:\n    def f(self):\n        from funcgrad import dtypes"},
        "errors imports funcgrad.dtypes",
    ),
    "up, relative": ({"funcgrad/ir/graph.py": "from ..trace import core"}, "ir imports funcgrad.trace.core"),
    "up, relative to a package": (
        {"funcgrad/ir/__init__.py": "from .. import api"},
        "ir imports funcgrad.api",
    ),
    "up, by name": (
        {"funcgrad/ir/graph.py": "from importlib import import_module\nimport_module('funcgrad.api')"},
        "graph.py:2: ir imports funcgrad.api",
    ),
    "the package itself": (
        {"funcgrad/prims/a.py": "from funcgrad import jit"},
        "prims imports funcgrad, which is above it",
    ),
    "a face from below": ({"funcgrad/api.py": "import funcgrad.numpy"}, "api imports funcgrad.numpy"),
    "testing from a face": ({"funcgrad/optim.py": "from funcgrad import testing"}, "faces imports"),
    "cycle": (
        {"funcgrad/ir/a.py": "from funcgrad.ir import b", "funcgrad/ir/b.py": "import funcgrad.ir.a"},
        "import cycle: funcgrad.ir.a -> funcgrad.ir.b -> funcgrad.ir.a",
    ),
    "lazy cycle of three": (
        {
            "funcgrad/nn/a.py": "from funcgrad.nn import b",
            "funcgrad/nn/b.py": "def f():\n    from funcgrad.nn.c import x",
            "funcgrad/nn/c.py": "from . import a",
        },
        "import cycle: funcgrad.nn.a -> funcgrad.nn.b -> funcgrad.nn.c -> funcgrad.nn.a",
    ),
    "optional package": ({"funcgrad/lower/gpu/emit.py": "import cupy.cuda"}, "optional package cupy.cuda"),
    "optional package, tried": (
        {"funcgrad/nn/plot.py": "try:\n    from tqdm import tqdm\nexcept ImportError:\n    tqdm = None"},
        "plot.py:2: optional package tqdm",
    ),
    "kernels": (
        {"kernels/cpu/math.py": "def f():\n    from funcgrad import dtypes"},
        "kernels import funcgrad",
    ),
    "kernels, relative": (
        {"kernels/cpu/math.py": "from ...errors import FuncgradError"},
        "kernels import funcgrad.errors",
    ),
    "too long": ({"kernels/cpu/math.py": "x = 1\n" * 801}, "kernels/cpu/math.py: 801 lines"),
    "too long a test": ({"tests/test_x.py": "x = 1\n" * 801}, "tests/test_x.py: 801 lines"),
}

GOOD = {
    "down, lazily, and across": {
        "funcgrad/api.py": "from funcgrad import tree\nfrom funcgrad.ir.graph import Graph\nimport numpy",
        "funcgrad/numpy/a.py": "from funcgrad import lax\nimport funcgrad.api",
        "funcgrad/__init__.py": "from funcgrad.api import jit\nfrom funcgrad import numpy",
        "funcgrad/ir/__init__.py": "from funcgrad.ir.graph import Graph",
    },
    "only for type checkers": {
        "funcgrad/ir/graph.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import funcgrad.api"
    },
    "optional package in a function": {"funcgrad/lower/gpu/emit.py": "def f():\n    import cupy"},
    "kernels from the lowering, and from each other": {
        "funcgrad/lower/cpu/emit.py": "from funcgrad.kernels.cpu import math",
        "kernels/cpu/sort.py": "from funcgrad.kernels.cpu import math\nfrom . import math as m\nimport numba",
    },
    "as long as allowed": {"kernels/cpu/math.py": "x = 1\n" * 800},
}


@pytest.fixture
def fake_tree(tmp_path):
    """A function that writes a small tree with the given files in it and returns its root."""

    def write(files: dict[str, str]) -> Path:
        every = ["funcgrad/__init__.py", "kernels/__init__.py", "kernels/cpu/__init__.py"]
        every += [f"funcgrad/{name}/__init__.py" for name in ("ir", "trace", "prims", "lower", "nn", "numpy")]
        every += [f"funcgrad/{name}.py" for name in ("errors", "dtypes", "tree", "api", "lax", "testing")]
        every += ["funcgrad/ir/graph.py", "funcgrad/trace/core.py", "kernels/cpu/math.py"]
        for name, text in {**dict.fromkeys(every, ""), **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize("name", CASES)
def test_a_breach_is_found(fake_tree, name):
    files, message = CASES[name]
    found = violations(fake_tree(files))
    assert len(found) == 1, found
    assert message in found[0]


@pytest.mark.parametrize("name", GOOD)
def test_what_is_allowed_passes(fake_tree, name):
    assert violations(fake_tree(GOOD[name])) == []
