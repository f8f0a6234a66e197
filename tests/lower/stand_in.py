"""Runs lowered graphs in plain Python, kernel by kernel, with every access checked against its buffer."""

from __future__ import annotations

import itertools
import sys
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
from funcgrad.kernels.cpu import abi, routines

import funcgrad.prims  # noqa: F401
from funcgrad import dtypes
from funcgrad.ir.graph import Graph, Literal, Var
from funcgrad.ir.primitive import PRIMITIVES
from funcgrad.lower.cpu.emit import emit
from funcgrad.lower.lowered import CopyStep, GemmStep, KernelStep, Lowered, RoutineStep


class Pointer:
    """A pointer `offset` elements into a flat array; every access must be inside of it."""

    def __init__(self, array: np.ndarray, offset: int):
        self.array, self.offset = array, offset

    def _place(self, index: int) -> int:
        place = int(index) + self.offset
        assert 0 <= place < self.array.size, f"element {place} of {self.array.size}"
        return place

    def __getitem__(self, index: int) -> Any:
        return self.array[self._place(index)]

    def __setitem__(self, index: int, value: Any) -> None:
        held = np.asarray(value)
        assert held.dtype == self.array.dtype, f"{held.dtype} is stored in {self.array.dtype}"
        self.array[self._place(index)] = value


def vector_math() -> types.ModuleType:
    """Stands in for funcgrad.kernels.cpu.vmath, with NumPy."""
    vm = types.ModuleType("vmath")
    plain = (
        "exp exp2 expm1 log log1p tanh sin cos tan sinh cosh sqrt cbrt floor ceil sign square maximum minimum"
    )
    for name in plain.split():
        setattr(vm, name, getattr(np, name))
    table: dict[str, Callable[..., Any]] = {
        "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh,
        "atanh": np.arctanh, "atan2": np.arctan2, "abs": np.abs, "pow": np.power, "conj": np.conj,
        "logistic": lambda x: type(x)(1) / (type(x)(1) + np.exp(-x)),
        "rsqrt": lambda x: type(x)(1) / np.sqrt(x),
        "erf": scipy.special.erf, "erfc": scipy.special.erfc, "lgamma": scipy.special.gammaln, "rem": np.fmod,
        "select": lambda p, a, b: a if p else b, "is_finite": np.isfinite, "round_even": np.round,
        "div": lambda a, b: PRIMITIVES["div"].evaluate(np, a, b)[()],
        "f16_to_f32": lambda b: np.float32(np.uint16(b).view(np.float16)),
        "f32_to_f16": lambda x: np.float16(x).view(np.uint16),
        "bf16_to_f32": lambda b: (np.uint32(b) << np.uint32(16)).view(np.float32),
        "f32_to_bf16": lambda x: np.asarray(x).astype(dtypes.bfloat16).view(np.uint16)[()],
        "round_away": lambda x: type(x)(np.copysign(np.floor(np.abs(x) + type(x)(0.5)), x)),
        "clamp": lambda low, x, high: np.minimum(np.maximum(x, low), high),
    }  # fmt: skip
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        dtype = np.dtype(name)
        table[f"to_{dtypes.name(dtype)}"] = lambda x, dtype=dtype: ops_evaluate(
            "convert_element_type", x, dtype
        )
        table[f"bitcast_{dtypes.name(dtype)}"] = lambda x, dtype=dtype: np.asarray(x).view(dtype)[()]
    for name in ("float32", "float64"):
        table[f"bitcast_{dtypes.name(np.dtype(name))}"] = lambda x, name=name: np.asarray(x).view(name)[()]
    table["bitcast_f16"] = table["bitcast_bf16"] = table[
        "bitcast_u16"
    ]  # 16-bit floats are stored as their bits
    shifts = ("shift_left", "shift_right_arithmetic", "shift_right_logical")
    for name in (*shifts, "nextafter", "population_count", "clz", "erf_inv", "digamma", "complex"):
        table[name] = lambda *args, name=name: PRIMITIVES[name].evaluate(np, *args)
    for name, function in table.items():
        setattr(vm, name, function)
    return vm


def vectors() -> types.ModuleType:
    """Stands in for funcgrad.kernels.cpu.vectors, with NumPy: a vector is an array."""
    vec = types.ModuleType("vectors")

    def load(pointer: Pointer, at: int, count: int) -> np.ndarray:
        return np.array([pointer[at + k] for k in range(count)])

    def store(pointer: Pointer, at: int, vector: np.ndarray) -> None:
        for k, element in enumerate(vector):
            pointer[at + k] = element

    def transpose(x: Pointer, start: int, x_stride: int, y: Pointer, to: int, y_stride: int) -> None:
        for r, c in itertools.product(range(16), range(16)):
            y[to + c * y_stride + r] = x[start + r * x_stride + c]

    for count in (2, 4, 8, 16):
        setattr(vec, f"load{count}", lambda pointer, at, count=count: load(pointer, at, count))
        setattr(vec, f"spread{count}", lambda x, count=count: np.full(count, x))
    vec.store, vec.fma = store, lambda x, y, z: x * y + z
    vec.scratch = lambda pointer: Pointer(np.zeros(256, pointer.array.dtype), 0)
    vec.transpose = transpose
    return vec


def ops_evaluate(name: str, x: Any, dtype: np.dtype) -> Any:
    return np.asarray(PRIMITIVES[name].evaluate(np, x, new_dtype=dtype, weak_type=False))[()]


def compile_in_python(source: str) -> Callable[..., None]:
    package = sys.modules["funcgrad.kernels.cpu"]
    with pytest.MonkeyPatch.context() as patch:
        for short, module in (("vmath", vector_math()), ("vectors", vectors())):
            patch.setitem(sys.modules, f"funcgrad.kernels.cpu.{short}", module)
            patch.setattr(package, short, module, raising=False)
        scope: dict[str, Any] = {"range": lambda *bounds: map(np.int64, range(*map(int, bounds)))}
        exec(compile(source, "<kernel>", "exec"), scope)
        return scope["kernel"]


def storage_dtype(dtype: np.dtype) -> np.dtype:
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(np.uint16) if dtypes.name(dtype) in ("f16", "bf16") else dtype


def run(lowered: Lowered, inputs: list[np.ndarray], parts: int = 1) -> list[np.ndarray]:
    """The outputs; each kernel's parallel range is run in `parts` parts, last part first."""
    memory: dict[Var, np.ndarray] = {}
    for var, array in zip(lowered.graph.inputs, inputs):
        memory[var] = np.ascontiguousarray(array).reshape(-1).view(storage_dtype(var.type.dtype)).copy()

    def flat(var: Var) -> np.ndarray:
        if var not in memory:
            dtype = storage_dtype(var.type.dtype)
            memory[var] = np.frombuffer(b"\x7f" * (var.type.size * dtype.itemsize), dtype).copy()
        return memory[var]

    for step in lowered.steps:
        for var in step.reads:
            assert var in memory or any(s is step or var in s.writes for s in lowered.steps), (
                "read before written"
            )
        if isinstance(step, KernelStep):
            kernel = compile_in_python(emit(step.kernel))
            pointers = [Pointer(flat(v.value), v.offset) for v in step.views]
            bounds = [step.extent * k // parts for k in range(parts + 1)] if step.extent != 1 else [0, 1]
            assert isinstance(kernel, abi.Kernel)
            parts_of = list(itertools.pairwise(bounds))[::-1]
            before = [p.array.copy() for p in pointers]
            with np.errstate(all="ignore"):
                for low, high in parts_of:
                    kernel(low, high, *pointers, *step.integers, *step.scalars)
                for read, written in step.inplace:
                    shared = Pointer(before[read].view(pointers[written].array.dtype).copy(), 0)
                    again = [Pointer(b.copy(), p.offset) for b, p in zip(before, pointers)]
                    again[read] = Pointer(shared.array.view(before[read].dtype), 0)
                    again[written] = shared
                    for low, high in parts_of:
                        kernel(low, high, *again, *step.integers, *step.scalars)
                    np.testing.assert_array_equal(shared.array, pointers[written].array, "not in place")
        elif isinstance(step, CopyStep):
            flat(step.target)[:] = flat(step.source)
        elif isinstance(step, GemmStep):
            _product(step, flat)
        elif isinstance(step, RoutineStep):
            _routine(step, flat, parts)
        else:
            primitive = PRIMITIVES[step.name]
            given = [
                a.value if isinstance(a, Literal) else flat(a).view(t.dtype).reshape(t.shape)
                for a, t in zip(step.inputs, step.in_types)
            ]
            results = primitive.evaluate(np, *given, **dict(step.attributes))
            for var, out in zip(step.outputs, results if primitive.multiple_results else [results]):
                flat(var).view(var.type.dtype)[:] = np.asarray(out).reshape(-1)
    outs = []
    for atom in lowered.outputs:
        if isinstance(atom, Literal):
            outs.append(np.asarray(atom.value))
        else:
            data = flat(lowered.storage(atom))
            outs.append(data.view(atom.type.dtype).reshape(atom.type.shape))
    return outs


def _routine(step: RoutineStep, flat: Callable[[Var], np.ndarray], parts: int) -> None:
    values = (*step.inputs, *step.outputs)
    pointers = [Pointer(flat(v), 0) for v in values]
    buffers = [dtypes.name(v.type.dtype) for v in values]
    for source, extent, _, integers in routines.calls(step.routine, buffers, step.settings):
        kernel = compile_in_python(source)
        bounds = [extent * k // parts for k in range(parts + 1)]
        with np.errstate(all="ignore"):
            for low, high in list(itertools.pairwise(bounds))[::-1]:
                kernel(low, high, *pointers, *integers)


def _product(step: GemmStep, flat: Callable[[Var], np.ndarray]) -> None:
    def matrices(view: Any, strides: tuple[int, int], batch: tuple[int, ...], rows: int, columns: int) -> Any:
        array = flat(view.value)[view.offset :]
        item = array.itemsize
        where = tuple(s * item for s in (*batch, *strides))
        return np.lib.stride_tricks.as_strided(array, (*step.batch, rows, columns), where)

    lhs = matrices(step.lhs, step.lhs_strides, step.lhs_batch_strides, step.m, step.k)
    rhs = matrices(step.rhs, step.rhs_strides, step.rhs_batch_strides, step.k, step.n)
    out = matrices(step.out, step.out_strides, step.out_batch_strides, step.m, step.n)
    out[...] = lhs @ rhs


def evaluate(graph: Graph, inputs: list[np.ndarray]) -> list[np.ndarray]:
    """The oracle: each equation by its primitive's NumPy evaluation."""
    values: dict[Any, Any] = dict(zip(graph.inputs, inputs))
    for equation in graph.equations:
        args = [a.value if isinstance(a, Literal) else values[a] for a in equation.inputs]
        outs = equation.primitive.evaluate(np, *args, **equation.params)
        outs = outs if equation.primitive.multiple_results else [outs]
        values.update(zip(equation.outputs, outs))
    return [np.asarray(a.value if isinstance(a, Literal) else values[a]) for a in graph.outputs]
