"""Rare corrections inside vectorized loops.

A polynomial is right for all arguments but the huge ones. A branch to the C library in the loop would stop LLVM's
vectorizer; computing both would be slow. So the choice is a call of a small function that carries the names of its
own vector variants ("vector-function-abi-variant"): the vectorizer calls the variant of its width, which asks once
whether any of its elements is huge, and goes to the C library only then.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .lanes import F32, I32, Lane

_WIDTHS = (2, 4, 8, 16)
_PURE = ("nounwind", "willreturn", "memory(none)")


def where_large(x: Lane, value: Lane, bound: float, library: str) -> Lane:
    """`value`, or the C library's function of x where |x| > bound."""
    name = f"funcgrad_{library}_{'f32' if x.type == F32 else 'f64'}"
    function = x.builder.module.globals.get(name) or _define(x.builder.module, x.type, name, bound, library)
    return Lane(x.builder, x.builder.call(function, [x.value, value.value]))


def _define(module: ir.Module, kind: Any, name: str, bound: float, library: str) -> ir.Function:
    symbol = library + ("f" if kind == F32 else "")
    called = module.globals.get(symbol) or ir.Function(module, ir.FunctionType(kind, [kind]), symbol)
    scalar = _function(module, kind, name)
    scalar.attributes.add("noinline")
    builder = ir.IRBuilder(scalar.append_basic_block())
    x, value = scalar.args
    with builder.if_then((Lane(builder, x).abs() > bound).value, likely=False):
        builder.ret(builder.call(called, [x]))
    builder.ret(value)

    variants = [_variant(module, scalar, width, bound) for width in _WIDTHS]
    mapping = ",".join(f"_ZGV_LLVM_N{w}vv_{name}({v.name})" for w, v in zip(_WIDTHS, variants, strict=True))
    # llvmlite knows no attributes with values; its set of attributes is printed as it is.
    set.add(scalar.attributes, f'"vector-function-abi-variant"="{mapping}"')
    _keep(module, [scalar, *variants])
    return scalar


def _function(module: ir.Module, kind: Any, name: str) -> ir.Function:
    """A new internal function of two operands, free of side effects."""
    function = ir.Function(module, ir.FunctionType(kind, [kind, kind]), name)
    function.linkage = "internal"
    for attribute in _PURE:
        set.add(function.attributes, attribute)
    return function


def _variant(module: ir.Module, scalar: ir.Function, width: int, bound: float) -> ir.Function:
    """The scalar function on vectors: element by element, but only if one of them is large."""
    element = scalar.args[0].type
    kind = ir.VectorType(element, width)
    function = _function(module, kind, f"{scalar.name}_x{width}")
    x, value = function.args
    start, slow, end = (function.append_basic_block(name) for name in ("start", "slow", "end"))

    builder = ir.IRBuilder(start)
    fabs = f"llvm.fabs.v{width}{'f32' if element == F32 else 'f64'}"
    magnitude = module.globals.get(fabs) or ir.Function(module, ir.FunctionType(kind, [kind]), fabs)
    large = builder.fcmp_ordered(">", builder.call(magnitude, [x]), ir.Constant(kind, [bound] * width))
    mask = builder.bitcast(large, ir.IntType(width))
    builder.cbranch(builder.icmp_unsigned("!=", mask, mask.type(0)), slow, end).set_weights([1, 2000])

    builder = ir.IRBuilder(slow)
    result = value
    for k in range(width):
        at = ir.Constant(I32, k)
        of_element = builder.call(scalar, [builder.extract_element(v, at) for v in (x, value)])
        result = builder.insert_element(result, of_element, at)
    builder.branch(end)

    builder = ir.IRBuilder(end)
    chosen = builder.phi(kind)
    chosen.add_incoming(value, start)
    chosen.add_incoming(result, slow)
    builder.ret(chosen)
    return function


def _keep(module: ir.Module, functions: list[ir.Function]) -> None:
    """Keep functions until the vectorizer has run: nothing calls the variants before."""
    name = "llvm.compiler.used"
    pointer = ir.IntType(8).as_pointer()
    kept = module.globals.get(name)
    entries = [] if kept is None else list(kept.initializer.constant)
    entries += [function.bitcast(pointer) for function in functions]
    kind = ir.ArrayType(pointer, len(entries))
    if kept is None:
        kept = ir.GlobalVariable(module, kind, name)
        kept.linkage, kept.section = "appending", "llvm.metadata"
    kept.value_type, kept.type = kind, kind.as_pointer()
    kept.initializer = ir.Constant(kind, entries)
