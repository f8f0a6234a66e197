"""Rare corrections inside vectorized loops.

A polynomial is right for all arguments but the huge ones. A branch to the C library in the loop would stop
LLVM's vectorizer; computing both would be slow. So the choice is a call of a small function that carries
the name of its own vector variant ("vector-function-abi-variant"), of the machine's full width: the
vectorizer calls the variant, which asks once whether any of its elements is huge, and goes to the C library
only then.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from .lanes import F32, I32, VECTOR_BYTES, Lane


def where_large(x: Lane, value: Lane, bound: float, library: str) -> Lane:
    """`value`, or the C library's function of x where |x| > bound."""
    name = f"funcgrad_{library}_{'f32' if x.type == F32 else 'f64'}"
    function = x.builder.module.globals.get(name) or _define(x.builder.module, x.type, name, bound, library)
    return Lane(x.builder, x.builder.call(function, [x.value, value.value]))


def _define(module: ir.Module, kind: Any, name: str, bound: float, library: str) -> ir.Function:
    symbol = library + ("f" if kind == F32 else "")
    called = module.globals.get(symbol) or ir.Function(module, ir.FunctionType(kind, [kind]), symbol)
    scalar = _function(module, ir.FunctionType(kind, [kind, kind]), name)
    _leave_alone(scalar)
    builder = ir.IRBuilder(scalar.append_basic_block())
    builder.ret(_corrected(builder, *scalar.args, bound, called))
    each = _element_wise(module, name, kind, bound, called)
    width = VECTOR_BYTES // (4 if kind == F32 else 8)
    variant = _variant(module, name, each, width, bound)
    _attribute(scalar, f'"vector-function-abi-variant"="_ZGV_LLVM_N{width}vv_{name}({variant.name})"')
    _keep(module, [scalar, variant])
    return scalar


def _function(module: ir.Module, signature: ir.FunctionType, name: str, memory: str = "none") -> ir.Function:
    """A new internal function that always returns and touches no memory but what is named."""
    function = ir.Function(module, signature, name)
    function.linkage = "internal"
    for attribute in ("nounwind", "willreturn", f"memory({memory})"):
        _attribute(function, attribute)
    return function


def _attribute(function: ir.Function, text: str) -> None:
    """llvmlite knows no attributes with values; but its set of attributes is printed as it is."""
    set.add(function.attributes, text)


def _leave_alone(function: ir.Function) -> None:
    """Seldom run: optimizing it would cost more time than it saves."""
    function.attributes.add("noinline")
    function.attributes.add("optnone")


def _corrected(builder: ir.IRBuilder, x: Any, value: Any, bound: float, called: ir.Function) -> Any:
    """`value`, or the library's function of x where |x| > bound, by a branch."""
    start = builder.block
    with builder.if_then((Lane(builder, x).abs() > bound).value, likely=False):
        slow = builder.block
        from_library = builder.call(called, [x])
    chosen = builder.phi(x.type)
    chosen.add_incoming(value, start)
    chosen.add_incoming(from_library, slow)
    return chosen


def _element_wise(module: ir.Module, name: str, kind: Any, bound: float, called: ir.Function) -> ir.Function:
    """The correction of `count` elements in memory, out of line."""
    pointer = kind.as_pointer()
    signature = ir.FunctionType(ir.VoidType(), [pointer, pointer, I32])
    function = _function(module, signature, f"{name}_each", "argmem: readwrite")
    _leave_alone(function)
    xs, values, count = function.args
    start, body, end = (function.append_basic_block(block) for block in ("start", "body", "end"))
    ir.IRBuilder(start).branch(body)
    builder = ir.IRBuilder(body)
    k = builder.phi(I32)
    place = builder.gep(values, [k])
    x, value = builder.load(builder.gep(xs, [k])), builder.load(place)
    builder.store(_corrected(builder, x, value, bound, called), place)
    following = builder.add(k, I32(1))
    k.add_incoming(I32(0), start)
    k.add_incoming(following, builder.block)
    builder.cbranch(builder.icmp_unsigned("<", following, count), body, end)
    ir.IRBuilder(end).ret_void()
    return function


def _variant(module: ir.Module, name: str, each: ir.Function, width: int, bound: float) -> ir.Function:
    """The function on vectors: element by element, but only if one of them is large."""
    element = each.args[0].type.pointee
    kind = ir.VectorType(element, width)
    function = _function(module, ir.FunctionType(kind, [kind, kind]), f"{name}_x{width}")
    x, value = function.args
    start, slow, end = (function.append_basic_block(block) for block in ("start", "slow", "end"))

    builder = ir.IRBuilder(start)
    places = [builder.alloca(kind) for _ in range(2)]
    for place in places:
        place.align = 8  # the stack need not be aligned for vectors
    fabs = f"llvm.fabs.v{width}{'f32' if element == F32 else 'f64'}"
    magnitude = module.globals.get(fabs) or ir.Function(module, ir.FunctionType(kind, [kind]), fabs)
    large = builder.fcmp_ordered(">", builder.call(magnitude, [x]), ir.Constant(kind, [bound] * width))
    mask = builder.bitcast(large, ir.IntType(width))
    builder.cbranch(builder.icmp_unsigned("!=", mask, mask.type(0)), slow, end).set_weights([1, 2000])

    builder = ir.IRBuilder(slow)
    for place, vector in zip(places, (x, value), strict=True):
        builder.store(vector, place, align=8)
    pointers = [builder.bitcast(place, element.as_pointer()) for place in places]
    builder.call(each, [*pointers, I32(width)])
    result = builder.load(places[1], align=8)
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
