"""fg.kernel with CUDA C: what is checked, what `lower` prints, and what it computes, emulated by g++ on the CPU."""

from __future__ import annotations

import ctypes
import importlib
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, KernelError
from funcgrad.lower.gpu.emit import c_type
from funcgrad.lower.lowered import UserStep

HEADERS = Path(importlib.import_module("funcgrad.kernels.gpu").__file__ or "").parent
NVCC = shutil.which("nvcc")
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
RNG = np.random.default_rng(0)

DIFFUSE = """
template <class T>
__device__ T flow(fg::Array<const T, 2> u, int64 i, int64 j, T here) {
    const bool inside = i >= 0 && i < u.shape[0] && j >= 0 && j < u.shape[1];
    return inside ? u(i, j) - here : T(0);
}

// one step of the heat equation, diffuse(wrong, in, a comment)
template <class T>
__device__ void diffuse(fg::Array<const T, 2> u, T k, fg::Array<T, 2> out) {
    for (int64 at = fg::thread(); at < u.size(); at += fg::threads()) {
        const int64 i = at / u.shape[1], j = at % u.shape[1];
        const T here = u[at];
        const T rows = flow(u, i - 1, j, here) + flow(u, i + 1, j, here);
        const T columns = flow(u, i, j - 1, here) + flow(u, i, j + 1, here);
        out[at] = here + k * (rows + columns);
    }
}
"""


def diffuse_python(u, k, out):
    for i in range(u.shape[0]):
        for j in range(u.shape[1]):
            flow = 0.0
            if i > 0:
                flow += u[i - 1, j] - u[i, j]
            if i < u.shape[0] - 1:
                flow += u[i + 1, j] - u[i, j]
            if j > 0:
                flow += u[i, j - 1] - u[i, j]
            if j < u.shape[1] - 1:
                flow += u[i, j + 1] - u[i, j]
            out[i, j] = u[i, j] + k * flow


diffuse_python.__name__ = "diffuse"
BOTH = fg.kernel(diffuse_python, out_shape=lambda u, k: u, cuda=DIFFUSE)
ALONE = fg.kernel("diffuse", out_shape=lambda u, k: u, cuda=DIFFUSE)

NORMS = """
// block 0 of each example sums, in shared memory
__device__ void norms(fg::Array<const float, 1> x, fg::Array<const bool, 1> use, fg::Array<float, 1> total,
                      fg::Array<int32, 1> count) {
    __shared__ float sums[64];
    __shared__ int32 counts[64];
    if (blockIdx.x != 0) return;
    sums[threadIdx.x] = 0;
    counts[threadIdx.x] = 0;
    for (int64 i = threadIdx.x; i < x.size(); i += blockDim.x)
        if (use[i]) {
            sums[threadIdx.x] += x[i] * x[i];
            counts[threadIdx.x] += 1;
        }
    __syncthreads();
    if (threadIdx.x == 0)
        for (unsigned k = 1; k < blockDim.x; ++k) {
            sums[0] += sums[k];
            counts[0] += counts[k];
        }
    if (threadIdx.x == 0) {
        total[0] = sums[0];
        count[0] = counts[0];
    }
}
"""
NORMS_KERNEL = fg.kernel(
    "norms",
    out_shape=(fg.ShapeDtypeStruct((), "float32"), fg.ShapeDtypeStruct((), "int32")),
    cuda=NORMS,
)


def user_step(f, *args):
    """The call of the user's kernel in f, and its CUDA C."""
    lowered = fg.jit(f).lower(*args)
    (step,) = [s for s in lowered.executable.placement.steps if isinstance(s, UserStep)]
    return step, lowered.cuda_sources[-1]


def emulated(folder, f, *args, grid=(3, 2), threads=32, seed=0):
    """What f, which is nothing but a call of the user's kernel on its arguments, gives when its CUDA C runs."""
    step, text = user_step(f, *args)
    arrays = [np.ascontiguousarray(a) for a in args]
    outs = [np.full(v.type.shape, 77, v.type.dtype) for v in step.outputs]
    levels = step.definition.levels
    integers = [size for size, _ in levels]
    scalars = [a.value for a in step.inputs if hasattr(a, "value")]
    inputs = [t for t, a in zip(step.in_types, step.inputs) if not hasattr(a, "value")]
    flags = [[f[k] for _, f in levels] for k, a in enumerate(step.inputs) if not hasattr(a, "value")]
    types = [*inputs, *(v.type for v in step.outputs)]
    for type, batched in zip(types, [*flags, *([True] * len(levels) for _ in outs)]):
        integers += type.shape[sum(batched) :]
    given = [f"({c_type(t.dtype)}*)buffers[{k}]" for k, t in enumerate(types)]
    given += [f"integers[{k}]" for k in range(len(integers))]
    given += [f"{c_type(s.dtype)}({s})" for s in scalars]
    name = f"{step.definition.cuda.name}_kernel"
    source, library = folder / "kernel.cpp", folder / f"kernel{seed}.so"
    source.write_text(
        f'#include "emulate.h"\n{text}\n'
        'extern "C" void run(unsigned x, unsigned y, unsigned threads, unsigned seed, long long extent, '
        "void** buffers, long long* integers) {\n"
        f"    emulate::launch(Dim{{x, y, 1}}, threads, seed, [=] {{ {name}({', '.join(['0', 'extent', *given])}); }});"
        "\n}\n"
    )
    command = ["g++", "-std=c++17", "-O0", "-w", "-shared", "-fPIC", f"-I{HEADERS}", source, "-o", library]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:4000]
    places = [a.ctypes.data for a in (*arrays, *outs)]
    ctypes.CDLL(str(library)).run(
        *grid,
        threads,
        seed,
        ctypes.c_longlong(math.prod(size for size, _ in levels)),
        (ctypes.c_void_p * len(places))(*places),
        (ctypes.c_longlong * (len(integers) + 1))(*integers),
    )
    return outs


@needs_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cuda_c_computes_what_numba_does(tmp_path, dtype):
    u, k = RNG.standard_normal((7, 9)).astype(dtype), np.asarray(0.1, dtype)
    for seed, grid in enumerate([(1, 1), (4, 1), (2, 3)]):
        (found,) = emulated(tmp_path, ALONE, u, k, grid=grid, seed=seed)
        np.testing.assert_allclose(found, BOTH(u, k), rtol=1e-5, atol=1e-6)
    (found,) = emulated(tmp_path, lambda u: BOTH(u, u.dtype.type(0.25)), u, seed=3)
    np.testing.assert_allclose(found, BOTH(u, np.asarray(0.25, dtype)), rtol=1e-5, atol=1e-6)


@needs_compiler
def test_cuda_c_goes_through_batches(tmp_path):
    u, k = RNG.standard_normal((5, 6, 4)), RNG.uniform(size=5)
    (found,) = emulated(tmp_path, fg.vmap(ALONE), u, k, seed=0)
    np.testing.assert_allclose(found, fg.vmap(BOTH)(u, k))
    (found,) = emulated(tmp_path, fg.vmap(ALONE, (None, 0)), u[0], k, seed=1)
    np.testing.assert_allclose(found, fg.vmap(BOTH, (None, 0))(u[0], k))
    both = lambda f: fg.vmap(fg.vmap(f, (None, 0)), (0, None))  # noqa: E731
    (found,) = emulated(tmp_path, both(ALONE), u, k, grid=(2, 7), seed=2)
    np.testing.assert_allclose(found, both(BOTH)(u, k))


@needs_compiler
def test_shared_memory_booleans_and_results_without_axes(tmp_path):
    x, use = RNG.standard_normal((6, 100)).astype("float32"), RNG.uniform(size=(6, 100)) < 0.5
    total, count = emulated(tmp_path, fg.vmap(NORMS_KERNEL), x, use, grid=(2, 3), threads=64)
    np.testing.assert_allclose(total, (x**2 * use).sum(1), rtol=1e-5)
    np.testing.assert_array_equal(count, use.sum(1))


@pytest.mark.skipif(NVCC is None, reason="there is no nvcc")
def test_nvcc_compiles_it(tmp_path):
    u, k = np.ones((3, 7, 9)), np.ones(3)
    x = np.ones(5, "float32")
    texts = [user_step(fg.vmap(ALONE), u, k)[1], user_step(NORMS_KERNEL, x, x > 0)[1]]
    source = tmp_path / "kernels.cu"
    source.write_text("\n".join(texts))
    command = [NVCC, "-arch=sm_90", "-cubin", f"-I{HEADERS}", source, "-o", tmp_path / "kernels.cubin"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_forms_are_printed_and_the_cpu_runs_one():
    u, k = np.ones((3, 4)), 0.1
    text = str(fg.jit(BOTH).lower(u, k))
    assert "the user's kernel diffuse: Numba" in text
    assert "the user's kernel diffuse: CUDA C" in text
    assert 'extern "C" __global__ void diffuse_kernel(' in text
    np.testing.assert_allclose(fg.jit(BOTH)(u, k), u)
    (source,) = fg.jit(fg.kernel(diffuse_python, out_shape=lambda u, k: u)).lower(u, k).cuda_sources
    assert source == "// not printed: the kernel diffuse was given without CUDA C\n"


def test_a_kernel_in_cuda_c_only_is_printed_and_differentiated_but_not_run():
    f = fg.kernel("diffuse", out_shape=lambda u, k: u, cuda=DIFFUSE)
    f.defvjp(lambda u, k: (f(u, k), (u, k)), lambda r, ct: (f(ct, r[1]), jnp.sum(ct * r[0])))
    u = np.ones((3, 4))
    text = str(fg.jit(fg.grad(lambda u: (f(u, 0.1) ** 2).sum())).lower(u))
    assert text.count("the user's kernel diffuse (") == 2
    assert "the user's kernel diffuse: Numba" not in text
    for call in (f, fg.jit(f), fg.vmap(f, (0, None)), fg.grad(lambda u, k: f(u, k).sum())):
        with pytest.raises(
            KernelError, match="diffuse is written in CUDA C only, and this program runs on the CPU"
        ):
            call(u, 0.1)
    assert fg.eval_shape(f, u, 0.1).shape == (3, 4)


ONE = "__device__ void {}(fg::Array<const float, 1> x, fg::Array<float, 1> out) {{}}"


@pytest.mark.parametrize(
    "make, error, words",
    [
        (lambda: fg.kernel("f", out_shape=None), ArgumentError, "whose text is not there"),
        (lambda: fg.kernel("f", out_shape=None, cuda=3), ArgumentError, "cuda is the text of CUDA C"),
        (lambda: fg.kernel("f", out_shape=None, cuda="// void f(x)"), KernelError, "no __device__ function"),
        (lambda: fg.kernel("f", out_shape=None, cuda=ONE.format("g")), KernelError, "no __device__ function"),
        (
            lambda: fg.kernel("a b", out_shape=None, cuda=ONE.format("a")),
            KernelError,
            "cannot be called 'a b'",
        ),
        (
            lambda: fg.kernel("f", out_shape=None, cuda='extern "C" __global__ void f(float* x) {}'),
            KernelError,
            "f is a __global__ function",
        ),
        (
            lambda: fg.kernel(diffuse_python, out_shape=None, cuda=ONE.format("diffuse")),
            ArgumentError,
            "3 arguments in Python and 2 in CUDA C",
        ),
        (
            lambda: fg.jit(fg.kernel("f", out_shape=lambda x, y: x, cuda=ONE.format("f"))).lower(X, X),
            ArgumentError,
            "called with 2 operands and 1 results",
        ),
    ],
)
def test_what_is_wrong_with_it_is_said(make, error, words):
    with pytest.raises(error, match=words) as raised:
        make()
    assert raised.value.hint
    assert "test_cuda_kernels.py" in str(raised.value)


X = np.ones(3, "float32")


def test_dtypes_without_cuda_c_say_so():
    f = fg.kernel(lambda x, out: None, out_shape=lambda x: x)
    lowered = fg.jit(fg.kernel("f", out_shape=lambda x: x, cuda=ONE.format("f"))).lower(X.astype("complex64"))
    assert lowered.cuda_sources == ["// not printed: complex numbers have no CUDA C yet (c64)\n"]
    assert "without CUDA C" in fg.jit(f).lower(X).cuda_sources[0]
