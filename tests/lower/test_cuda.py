"""The CUDA C of kernels: its text for a few functions, and its results without a GPU, where g++ runs each
kernel against kernels/gpu/emulate.h under several schedules of the threads.

`FUNCGRAD_REWRITE_GOLDEN=1 pytest tests/lower/test_cuda.py` writes the golden files anew.
"""

from __future__ import annotations

import ctypes
import difflib
import importlib
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import programs as P
import pytest
import stand_in
from test_samples import LOWERED, graph_of

import funcgrad
from funcgrad import api, batching, dtypes
from funcgrad.lower.gpu.emit import BY_BLOCK, NotPrintable, emit, mapping
from funcgrad.lower.lowered import CopyStep, GemmStep, KernelStep
from funcgrad.lower.to_loops import lower
from funcgrad.trace import ops

GOLDEN = Path(__file__).parent.parent / "golden"
HEADERS = Path(importlib.import_module("funcgrad.kernels.gpu").__file__ or "").parent
SEEDS = (0, 1, 2)
NVCC = shutil.which("nvcc")
needs_compiler = pytest.mark.skipif(
    shutil.which("g++") is None, reason="there is no g++ to emulate CUDA with"
)

x, w = P.draw(40, 50), P.draw(40, 50, seed=1)


def f16(f):
    """`f` in float16, from and to float32 arrays' values."""
    return lambda *args: f(*(ops.convert(a, np.dtype(np.float16)) for a in args))


def bf16(f):
    return lambda *args: f(*(ops.convert(a, dtypes.bfloat16) for a in args))


def large(*shape):
    return np.random.default_rng(3).integers(-(2**31), 2**31, shape).astype(np.int32)


def sum_of(axes):
    return lambda x: P.total(x, axes)


def reduced(kind, axes):
    return lambda x: ops.apply(f"reduce_{kind}", x, axes=axes)


def collatz(n):
    step = lambda s: (ops.select(ops.eq(ops.rem(s[0], 2), 0), ops.div(s[0], 2), 3 * s[0] + 1), s[1] + 1)  # noqa: E731
    return funcgrad.lax.while_loop(lambda s: s[0] > 1, step, (n, np.int32(0)))[1]


GOLDEN_CASES = {
    "multiply_add": (P.multiply_add, (x, w)),
    "softmax": (P.softmax, (x,)),
    "layernorm": (P.layernorm, (x, P.draw(50), P.draw(50))),
    "sum_axis_0": (sum_of((0,)), (x,)),
    "broadcast": (lambda x, b: ops.mul(x, P.columns(b, x)), (x, P.draw(50))),
}
CASES = {
    **GOLDEN_CASES,
    "softmax_gradient": (api.grad(lambda x: P.total(ops.mul(P.softmax(x), w))), (x,)),
    "layernorm_gradient": (
        api.grad(lambda x, g, b: P.total(ops.mul(P.layernorm(x, g, b), w))),
        (x, P.draw(50), P.draw(50)),
    ),
    "logsumexp": (P.logsumexp, (P.draw(7, 300),)),
    "logsumexp_gradient": (api.grad(lambda x: P.total(P.logsumexp(x))), (x,)),
    "sum_large": (P.total, (P.draw(400, 500),)),
    "sum_axis_1": (sum_of((1,)), (x,)),
    "sum_middle": (sum_of((1,)), (P.draw(3, 20, 30),)),
    "sum_outer": (sum_of((0, 2)), (P.draw(12, 20, 30),)),
    "max_of_integers": (reduced("max", (1,)), (large(9, 70),)),
    "sum_of_integers": (reduced("sum", (0, 1)), (large(9, 70),)),
    "any": (lambda x: ops.apply("reduce_or", ops.lt(x, np.float32(-2.5)), axes=(1,)), (x,)),
    "f16_softmax": (f16(P.softmax), (x,)),
    "bf16_sum": (bf16(sum_of((0,))), (x,)),
    "black_scholes": (P.black_scholes, tuple(np.abs(P.draw(100, seed=k)) + np.float32(0.1) for k in range(5))),
    "while_of_each_lane": (batching.vmap(collatz), (np.arange(1, 301, dtype=np.int32),)),
    "transpose": (lambda x: ops.transpose(x, (1, 0)), (P.draw(130, 70),)),
    "concatenate": (lambda x, w: ops.concatenate([x, w], 1), (x, w)),
}  # fmt: skip


# --------------------------------------------------------------------------------------------- compilation


def c_type(dtype):
    stored = stand_in.storage_dtype(dtype)
    return {"float32": "float", "float64": "double"}.get(stored.name, stored.name)


def wrapper(name, kernel):
    """A C function that launches `kernel` on pointers to all of its arguments."""
    args = [f"({c_type(b.dtype)}*)buffers[{k}]" for k, b in enumerate(kernel.buffers)]
    args += [f"integers[{k}]" for k in range(len(kernel.integers))]
    args += [f"*({c_type(s.dtype)}*)scalars[{k}]" for k, s in enumerate(kernel.scalars)]
    return (
        f'extern "C" void run_{name}(unsigned blocks, unsigned threads, unsigned seed, long long extent, '
        "void** buffers, long long* integers, void** scalars) {\n"
        "    emulate::launch(Dim{blocks, 1, 1}, threads, seed, "
        f"[=] {{ {name}({', '.join(['0', 'extent', *args])}); }});\n}}\n"
    )


def compiled(kernels, folder, drop_barrier=None):
    """The library of all `kernels` (name to kernel). `drop_barrier`: which barrier of the header to leave
    out."""
    header = (HEADERS / "funcgrad.cuh").read_text()
    if drop_barrier is not None:
        parts = header.split("__syncthreads();")
        joints = ["" if k == drop_barrier else "__syncthreads();" for k in range(len(parts) - 1)]
        header = "".join(a + b for a, b in zip(parts, [*joints, ""]))
    (folder / "funcgrad.cuh").write_text(header)
    text = ['#include "emulate.h"\n']
    for name, kernel in kernels.items():
        text += [emit(kernel, name), wrapper(name, kernel)]
    source, library = folder / "kernels.cpp", folder / "kernels.so"
    source.write_text("\n".join(text))
    command = ["g++", "-std=c++17", "-O0", "-ffp-contract=off", "-fwrapv", "-w", "-shared", "-fPIC"]
    where = [f"-I{folder}", f"-I{HEADERS}"]
    done = subprocess.run([*command, *where, source, "-o", library], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    return ctypes.CDLL(str(library))


def names_of(lowered, known):
    """The kernels of `lowered` that are not `known` yet get names there."""
    for step in lowered.steps:
        if isinstance(step, KernelStep) and step.kernel not in known:
            emit(step.kernel)
            known[step.kernel] = f"kernel{len(known)}"


def run(library, names, lowered, inputs, seed):
    """The outputs of `lowered`, its kernels emulated: a few blocks of 32 or 64 threads."""
    memory = {}

    def flat(var):
        if var not in memory:
            dtype = stand_in.storage_dtype(var.type.dtype)
            memory[var] = np.frombuffer(b"\x7f" * (var.type.size * dtype.itemsize), dtype).copy()
        return memory[var]

    for var, array in zip(lowered.graph.inputs, inputs):
        stored = stand_in.storage_dtype(var.type.dtype)
        memory[var] = np.ascontiguousarray(array).reshape(-1).view(stored).copy()
    for step in lowered.steps:
        if isinstance(step, CopyStep):
            flat(step.target)[:] = flat(step.source)
        elif isinstance(step, GemmStep):
            stand_in._product(step, flat)
        else:
            assert isinstance(step, KernelStep)
            arrays = [flat(v.value) for v in step.views]
            starts = [a.ctypes.data + v.offset * a.itemsize for a, v in zip(arrays, step.views)]
            scalars = [np.asarray(s).reshape(1) for s in step.scalars]
            places = (ctypes.c_void_p * (len(scalars) + 1))(*(s.ctypes.data for s in scalars))
            getattr(library, f"run_{names[step.kernel]}")(
                2 + seed, 32 << (seed % 2), seed, ctypes.c_longlong(step.extent),
                (ctypes.c_void_p * len(starts))(*starts),
                (ctypes.c_longlong * (len(step.integers) + 1))(*step.integers), places,
            )  # fmt: skip
    outs = []
    for atom in lowered.outputs:
        if hasattr(atom, "value"):
            outs.append(np.asarray(atom.value))
        else:
            outs.append(flat(lowered.storage(atom)).view(atom.type.dtype).reshape(atom.type.shape))
    return outs


def assert_alike(got, want, label):
    if dtypes.is_inexact(want.dtype):
        tolerance = 2e-2 if want.dtype.itemsize == 2 else 3e-5
        wide = np.complex128 if want.dtype.kind == "c" else np.float64
        got, want = got.astype(wide), want.astype(wide)
        np.testing.assert_allclose(got, want, tolerance, tolerance, err_msg=label)
    else:
        np.testing.assert_array_equal(got, want, err_msg=label)


# --------------------------------------------------------------------------------------------------- tests


def golden_text(name):
    graph, _ = P.graph_of(*CASES[name][:1], *CASES[name][1])
    steps = [s for s in lower(graph).steps if isinstance(s, KernelStep)]
    return "\n".join(emit(s.kernel, f"{name}_{k}") for k, s in enumerate(steps))


@pytest.mark.parametrize("name", GOLDEN_CASES)
def test_golden(name):
    path = GOLDEN / f"{name}.cu"
    text = golden_text(name)
    if os.environ.get("FUNCGRAD_REWRITE_GOLDEN"):
        path.write_text(text)
    stored = path.read_text() if path.exists() else ""
    diff = difflib.unified_diff(stored.splitlines(), text.splitlines(), str(path), "now", lineterm="")
    assert stored == text, "\n".join(diff)


@pytest.mark.skipif(NVCC is None, reason="there is no nvcc")
def test_golden_compiles_with_nvcc(tmp_path):
    source = tmp_path / "golden.cu"
    source.write_text("\n".join(golden_text(name) for name in GOLDEN_CASES))
    command = [NVCC, "-arch=sm_90", "-cubin", f"-I{HEADERS}", source, "-o", tmp_path / "golden.cubin"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_rows_are_reduced_by_blocks():
    for name in ("softmax", "layernorm", "sum_axis_1"):
        graph, _ = P.graph_of(CASES[name][0], *CASES[name][1])
        kernels = [s.kernel for s in lower(graph).steps if isinstance(s, KernelStep)]
        assert [mapping(k) for k in kernels] == [BY_BLOCK], name
        assert "fg::block_reduce" in emit(kernels[0])


@needs_compiler
def test_functions_run_as_they_evaluate(tmp_path):
    lowereds, names = {}, {}
    for name, (function, args) in CASES.items():
        graph, operands = P.graph_of(function, *args)
        lowereds[name] = lower(graph), operands
        names_of(lowereds[name][0], names)
    library = compiled({n: k for k, n in names.items()}, tmp_path)
    for name, (lowered, operands) in lowereds.items():
        expected = stand_in.evaluate(lowered.graph, operands)
        for seed in SEEDS:
            for got, want in zip(run(library, names, lowered, operands, seed), expected, strict=True):
                assert got.dtype == want.dtype
                assert_alike(got, want, f"{name}, seed {seed}")


REFUSED = ("complex numbers", "the operation digamma", "a tape that grows")


@needs_compiler
def test_samples_run_as_they_evaluate(tmp_path):
    """Every sample of every primitive; those that are refused are listed."""
    lowereds, names = [], {}
    for primitive in LOWERED:
        rng = np.random.default_rng(0)
        for sample in primitive.samples():
            arrays = [np.asarray(o(rng) if callable(o) else o) for o in sample.operands]
            graph = graph_of(primitive, arrays, sample.params)
            lowered = lower(graph)
            steps = (KernelStep, CopyStep, GemmStep)
            if not all(isinstance(s, steps) for s in lowered.steps):
                continue
            try:
                names_of(lowered, names)
            except NotPrintable as error:
                assert str(error).startswith(REFUSED), error
                continue
            lowereds.append((f"{primitive.name} {sample}", lowered, arrays))
    assert len(lowereds) > 100
    library = compiled({n: k for k, n in names.items()}, tmp_path)
    for label, lowered, arrays in lowereds:
        with np.errstate(all="ignore"):
            expected = stand_in.evaluate(lowered.graph, arrays)
        for got, want in zip(run(library, names, lowered, arrays, 1), expected, strict=True):
            assert_alike(got, want, label)


@needs_compiler
@pytest.mark.parametrize("barrier", (None, 0, 1, 2))
def test_a_missing_barrier_shows(barrier, tmp_path):
    graph, operands = P.graph_of(P.layernorm, P.draw(40, 300), P.draw(300), P.draw(300))
    lowered, names = lower(graph), {}
    names_of(lowered, names)
    library = compiled({n: k for k, n in names.items()}, tmp_path, drop_barrier=barrier)
    (want,) = stand_in.evaluate(graph, operands)
    wrong = []
    for seed in range(1, 12, 2):
        (got,) = run(library, names, lowered, operands, seed)
        wrong.append(not np.allclose(got, want, 1e-4, 1e-4))
    assert any(wrong) == (barrier is not None)


def test_stages_of_a_function_have_their_cuda_sources():
    (source,) = funcgrad.jit(P.softmax).lower(x).cuda_sources
    assert "fg::block_reduce<fg::By_max>" in source
    (refused,) = funcgrad.jit(ops.exp).lower(x.astype(np.complex64)).cuda_sources
    assert refused == "// not printed: complex numbers have no CUDA C yet (c64)\n"
