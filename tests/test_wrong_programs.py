"""A hundred wrong programs that users of JAX, NumPy and PyTorch write, and what they are told; see wrong.py."""

from __future__ import annotations

import functools

import numpy as np
import pytest
from wrong import check, wrong

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.errors import (
    ArgumentError,
    AxisError,
    AxisNameError,
    ConcretizationError,
    DTypeError,
    ImmutableError,
    IndexingError,
    LeakedTracerError,
    NotDifferentiableError,
    ShapeError,
    TreeError,
    UnhashableError,
    UnknownNameError,
)

PROGRAMS = []
V3 = jnp.arange(3.0)
V4 = jnp.arange(4.0)
M23 = jnp.ones((2, 3))
M45 = jnp.ones((4, 5))


wrong = functools.partial(wrong, PROGRAMS)


def test_there_are_a_hundred_programs():
    assert len(PROGRAMS) >= 100


@pytest.mark.parametrize(("program", "cls", "words", "fix"), PROGRAMS)
def test_the_error_says_what_is_wrong_and_how_to_put_it_right(program, cls, words, fix):
    check(program, cls, words, fix)


# --------------------------------------------------------------------------------------------------- shapes
@wrong(ShapeError, "f32[2,3]", "f32[4,5]", "3", "4", fix="transpose")
def matmul_of_sizes_that_differ():
    M23 @ M45  # here


@wrong(ShapeError, "f32[2,3]", "f32[4]", fix="transpose")
def matrix_times_a_longer_vector():
    jnp.dot(M23, V4)  # here


@wrong(ShapeError, "matmul", "f32[]", fix="*")
def matmul_by_a_number():
    jnp.matmul(M23, 2.0)  # here


@wrong(ShapeError, "(3,)", "(4,)", "broadcast", fix="[:, None]")
def addition_of_different_lengths():
    V3 + V4  # here


@wrong(ShapeError, "(3,)", "(2, 1, 4)", "broadcast", fix="[:, None]")
def where_of_shapes_that_do_not_broadcast():
    jnp.where(V3 > 0, jnp.ones((2, 1, 4)), 0)  # here


@wrong(ShapeError, "f32[2,3]", "f32[4,5]", "axis 0", fix="axis")
def concatenate_of_other_widths():
    jnp.concatenate([M23, M45])  # here


@wrong(ShapeError, "f32[3]", "f32[2,3]", fix="[None]")
def concatenate_of_other_ranks():
    jnp.concatenate([V3, M23])  # here


@wrong(ShapeError, "concatenate", "f32[]", fix="[a, b]")
def concatenate_of_two_arguments():
    jnp.concatenate(V3, V4)  # here


@wrong(ArgumentError, "concatenate", "empty", fix="zeros")
def concatenate_of_nothing():
    jnp.concatenate([])  # here


@wrong(ShapeError, "f32[3]", "f32[4]", fix="shape")
def stack_of_different_lengths():
    jnp.stack([V3, V4])  # here


@wrong(ShapeError, "f32[2,3]", "6", "(4, 2)", "8", fix="-1")
def reshape_to_another_size():
    M23.reshape(4, 2)  # here


@wrong(ShapeError, "-1", "f32[2,3]", fix="all lengths but one")
def reshape_with_two_unknown_sizes():
    M23.reshape(-1, -1)  # here


@wrong(ShapeError, "f32[2,3]", "(4, -1)", fix="divide 6")
def reshape_that_does_not_divide():
    jnp.reshape(M23, (4, -1))  # here


@wrong(ShapeError, "f32[3]", "(4, 4)", fix="from 1")
def broadcast_to_another_size():
    jnp.broadcast_to(V3, (4, 4))  # here


@wrong(ShapeError, "'j'", "3", "4", fix="label")
def einsum_of_sizes_that_differ():
    jnp.einsum("ij,jk->ik", M23, M45)  # here


@wrong(ArgumentError, "'ij,jk->ik'", "2", "1", fix="comma")
def einsum_with_an_operand_missing():
    jnp.einsum("ij,jk->ik", M23)  # here


@wrong(ShapeError, "'ijk'", "f32[2,3]", fix="label")
def einsum_of_too_many_axes():
    jnp.einsum("ijk->i", M23)  # here


@wrong(ArgumentError, "'z'", fix="label")
def einsum_of_a_result_that_no_operand_has():
    jnp.einsum("ij->iz", M23)  # here


@wrong(ShapeError, "axis 1", "f32[2,3]", fix="reshape")
def squeeze_of_an_axis_that_is_longer():
    jnp.squeeze(M23, 1)  # here


@wrong(ShapeError, "f32[7]", "3", fix="array_split")
def split_into_unequal_parts():
    jnp.split(jnp.ones(7), 3)  # here


@wrong(ShapeError, "f32[2]", "f32[3]", fix="equal")
def lax_add_of_two_lengths():
    lax.add(jnp.ones(2), V3)  # here


@wrong(ShapeError, "(5,)", "f32[3]", fix="at most")
def dynamic_slice_longer_than_the_array():
    lax.dynamic_slice(V3, (0,), (5,))  # here


@wrong(ShapeError, "f32[2,3]", "axis 1", "9", fix="limit <= length")
def lax_slice_past_the_end():
    lax.slice(M23, (0, 0), (2, 9))  # here


@wrong(ArgumentError, "ragged", fix="same length")
def array_of_a_ragged_list():
    jnp.array([[1, 2], [3]])  # here


@wrong(ArgumentError, "-2", fix="not negative")
def zeros_of_a_negative_shape():
    jnp.zeros((3, -2))  # here


@wrong(ArgumentError, "shape", "2.5", fix="//")
def zeros_of_a_float_shape():
    jnp.zeros(2.5)  # here


# ----------------------------------------------------------------------------------------------------- axes
@wrong(AxisError, "2", "f32[2,3]", fix="-2")
def sum_over_an_axis_that_is_not_there():
    jnp.sum(M23, axis=2)  # here


@wrong(AxisError, "twice", fix="once")
def sum_over_one_axis_twice():
    jnp.sum(M23, axis=(0, -2))  # here


@wrong(AxisError, "(0, 1, 2)", "f32[2,3]", fix="swapaxes")
def transpose_with_too_many_axes():
    jnp.transpose(M23, (0, 1, 2))  # here


@wrong(ArgumentError, "axis", "1.0", "f32[2,3]", fix="integer")
def axis_as_a_float():
    jnp.sum(M23, axis=1.0)  # here


@wrong(AxisError, "axis 3", "f32[3]", fix="from -2 to 1")
def expand_dims_too_far():
    jnp.expand_dims(V3, 3)  # here


@wrong(ArgumentError, "'dim'", "sum", fix="axis=")
def torchs_name_of_the_axis():
    jnp.sum(M23, dim=1)  # here


# --------------------------------------------------------------------------------------------------- dtypes
@wrong(DTypeError, "'hello'", "str", fix="number")
def sine_of_a_string():
    jnp.sin("hello")  # here


@wrong(DTypeError, "str", fix="numpy.array")
def array_of_strings():
    jnp.array(["a", "b"])  # here


@wrong(DTypeError, "None", fix="array")
def sine_of_none():
    jnp.sin(None)  # here


@wrong(DTypeError, "None", "NoneType", fix="array")
def array_plus_none():
    V3 + None  # here


@wrong(DTypeError, "list", "add", fix="array(")
def array_plus_a_list():
    V3 + [1, 2, 3]  # here


@wrong(DTypeError, "list", "sum", fix="array(")
def sum_of_a_list():
    jnp.sum([1.0, 2.0])  # here


@wrong(DTypeError, "'float31'", fix="float32")
def dtype_that_does_not_exist():
    jnp.zeros(3, dtype="float31")  # here


@wrong(DTypeError, "f32[3]", "and", fix="bool")
def and_of_floats():
    V3 & V3  # here


@wrong(DTypeError, "f32[3]", "i32[3]", fix="convert")
def lax_add_of_two_dtypes():
    lax.add(V3, jnp.ones(3, "int32"))  # here


@wrong(DTypeError, "object", fix="float32")
def numpy_array_of_objects():
    jnp.sin(np.array([1, None]))  # here


@wrong(DTypeError, "dict", fix="tree")
def sum_of_a_dictionary():
    jnp.sum({"a": V3})  # here


class TorchTensor:
    """Stands for a tensor that requires a derivative, which torch does not give to NumPy."""

    __module__ = "torch"

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
        )


@wrong(DTypeError, "torch.TorchTensor", "detach", fix="numpy.asarray")
def tensor_of_torch_with_a_derivative():
    jnp.sin(TorchTensor())  # here


@wrong(DTypeError, "f32[3]", "shift_left", fix="i32")
def lax_shift_of_floats():
    lax.shift_left(V3, V3)  # here


# ------------------------------------------------------------------------------------------------- indexing
@wrong(IndexingError, "3 indices", "f32[2,3]", fix="one index for each axis")
def too_many_indices():
    M23[0, 1, 2]  # here


@wrong(IndexingError, "1.0", "float", fix="int")
def index_that_is_a_float():
    V3[1.0]  # here


@wrong(IndexingError, "f32[3]", "f32[4]", fix="astype(int)")
def index_that_is_an_array_of_floats():
    V4[V3]  # here


@wrong(IndexingError, "list", "[0, 2]", fix="array([0, 2])")
def index_that_is_a_list():
    V4[[0, 2]]  # here


@wrong(IndexingError, "'name'", fix="integer")
def index_that_is_a_string():
    V3["name"]  # here


@wrong(IndexingError, "(4,)", "3", fix="mask")
def mask_of_another_length():
    V3[V4 > 1]  # here


@wrong(IndexingError, "slice", "1.5", fix="//")
def slice_with_a_float_bound():
    V4[: 3 / 2]  # here


@wrong(IndexingError, "step", "0", fix="leave the step out")
def slice_with_step_zero():
    V4[::0]  # here


@wrong(IndexingError, "ellipsis", fix="one")
def two_ellipses():
    M23[..., ...]  # here


@wrong(IndexingError, "(2,)", "(3,)", fix="[:, None]")
def index_arrays_that_do_not_broadcast():
    M45[jnp.array([0, 1]), jnp.array([0, 1, 2])]  # here


@wrong(IndexingError, "empty", fix="size")
def first_of_an_empty_array():
    jnp.zeros(0)[0]  # here


@wrong(IndexingError, "(4,)", "(2,)", fix="shape")
def set_of_values_that_do_not_fit():
    V3.at[:2].set(V4)  # here


@wrong(ArgumentError, "'clamp'", "clip", fix="'clip'")
def mode_of_an_index_misspelt():
    V3.at[7].get(mode="clamp")  # here


@wrong(IndexingError, "x.at(7)", "f32[3]", fix="brackets")
def at_without_brackets():
    V3.at(7)  # here


@wrong(ArgumentError, "'out'", fix="clip")
def take_with_an_unknown_mode():
    jnp.take(V3, 7, mode="out")  # here


@wrong(ImmutableError, "f32[3]", "in place", fix=".at[index].set(value)")
def assignment_to_an_element():
    V3[0] = 1.0  # here


@wrong(ImmutableError, "in place", fix=".at[index].set(value)")
def assignment_under_jit():
    @fg.jit
    def f(x):
        x[0] = 1.0  # here
        return x

    f(V3)


@wrong(ImmutableError, "in place", fix="delete")
def deletion_of_an_element():
    del V3[0]  # here


# ------------------------------------------------------------------------------------------- traced values
@wrong(ShapeError, "if x.sum() > 0:", "is True", "f32[3]", "is False", "f32[]", fix="one shape")
def if_of_a_traced_value_with_outcomes_of_two_shapes():
    @fg.jit
    def f(x):
        if x.sum() > 0:  # here
            return x
        return x.sum()

    f(V3)


@wrong(ConcretizationError, "while n", "no end", fix="n = funcgrad.lax.while_loop(goes_on, step, n)")
def while_of_a_traced_value():
    @fg.jit
    def f(n):
        while n:  # here
            n = n - 1
        return n

    f(3)


@wrong(ConcretizationError, "float()", "f32[]", fix="astype")
def float_of_a_traced_value():
    fg.jit(lambda x: float(x))(1.0)  # here


@wrong(ConcretizationError, "int()", fix="static")
def int_of_a_traced_value():
    fg.jit(lambda x: int(x.sum()))(V3)  # here


@wrong(ConcretizationError, "range", "i64[]", fix="fori_loop")
def range_of_a_traced_value():
    fg.jit(lambda n: list(range(n)))(3)  # here


@wrong(ConcretizationError, "shape", fix="static")
def shape_that_is_traced():
    fg.jit(lambda n: jnp.zeros(n))(3)  # here


@wrong(ConcretizationError, "arange", fix="static")
def arange_of_a_traced_length():
    fg.jit(lambda n: jnp.arange(n))(3)  # here


@wrong(ConcretizationError, "NumPy", "f32[3]", fix="funcgrad.numpy.sin")
def numpys_sine_of_a_traced_value():
    fg.jit(lambda x: np.sin(x))(V3)  # here


@wrong(ConcretizationError, "NumPy", fix="funcgrad.numpy")
def numpys_array_of_a_traced_value():
    fg.grad(lambda x: np.asarray(x).sum())(V3)  # here


@wrong(ConcretizationError, "boolean index", "bool[3]", fix="where(mask")
def mask_that_is_traced():
    fg.jit(lambda x: x[x > 0])(V3)  # here


@wrong(ConcretizationError, "slice", fix="dynamic_slice")
def slice_with_a_traced_length():
    fg.jit(lambda x, n: x[:n])(V3, 2)  # here


@wrong(ConcretizationError, ".item()", fix="return")
def item_of_a_traced_value():
    fg.jit(lambda x: x.sum().item())(V3)  # here


@wrong(ConcretizationError, "nonzero", fix="size=")
def nonzero_under_jit():
    fg.jit(lambda x: jnp.nonzero(x))(V3)  # here


@wrong(ConcretizationError, "axis", fix="static")
def axis_that_is_traced():
    fg.jit(lambda x, axis: jnp.sum(x, axis))(V3, 0)  # here


@wrong(ArgumentError, "bool[3]", "3 elements", fix=".any()")
def truth_of_an_array():
    if V3 > 0:  # here
        pass


@wrong(LeakedTracerError, "f32[3]", "returned", fix="return it")
def value_kept_in_a_list():
    kept = []

    @fg.jit
    def f(x):
        kept.append(x * 2)
        return x

    f(V3)
    jnp.sum(kept[0])  # here


@wrong(UnhashableError, "f32[3]", fix="tuple")
def array_as_a_key():
    {V3: 1}  # noqa: B018  # here


# -------------------------------------------------------------------------------------------- derivatives
@wrong(NotDifferentiableError, "f32[3]", "scalar", fix="jacrev")
def grad_of_a_vector():
    fg.grad(lambda x: x * 2)(V3)  # here


@wrong(NotDifferentiableError, "i64[3]", "'x'", fix="astype(float)")
def grad_of_integers():
    fg.grad(lambda x: (x * 2).sum())(jnp.arange(3))  # here


@wrong(NotDifferentiableError, "c64[", fix="holomorphic=True")
def grad_of_a_complex_output():
    fg.grad(lambda x: x * x)(1j)  # here


@wrong(NotDifferentiableError, "c64[]", "real", fix=".real")
def grad_of_a_complex_result():
    fg.grad(lambda x: x * 1j)(1.0)  # here


@wrong(ArgumentError, "argnums", "2", "1", fix="argnums")
def grad_for_an_argument_that_is_not_there():
    fg.grad(lambda x: x, argnums=2)(1.0)  # here


@wrong(ArgumentError, "has_aux=True", "pair", fix="return (output, aux)")
def grad_with_aux_that_is_not_given():
    fg.grad(lambda x: x * 1.0, has_aux=True)(1.0)  # here


@wrong(NotDifferentiableError, "f32[]", "one scalar", fix="has_aux=True")
def grad_of_two_results():
    fg.grad(lambda x: (x, x))(1.0)  # here


@wrong(NotDifferentiableError, "nothing", "forget to return", fix="reduce")
def grad_of_a_function_that_forgets_to_return():
    fg.grad(lambda x: None)(1.0)  # here


@wrong(ArgumentError, "function", "Array", fix="grad(f)(x)")
def grad_of_a_value():
    fg.grad(jnp.sum(V3))  # here


@wrong(ShapeError, "f32[4]", "f32[3]", "tangent", fix="(3,)")
def jvp_with_a_tangent_of_another_shape():
    fg.jvp(jnp.sin, (V3,), (V4,))  # here


@wrong(ArgumentError, "2", "1", "cotangent", fix="argument")
def custom_vjp_with_too_few_cotangents():
    @fg.custom_vjp
    def f(x, y):
        return x * y

    f.defvjp(lambda x, y: (x * y, (x, y)), lambda kept, g: (g * kept[1],))
    fg.grad(f)(2.0, 3.0)  # here


@wrong(ArgumentError, "custom_vjp", "no rules", fix="defvjp(fwd, bwd)")
def custom_vjp_without_rules():
    f = fg.custom_vjp(lambda x: x)
    fg.grad(f)(1.0)  # here


# --------------------------------------------------------------------------------------- jit and vmap
@wrong(UnhashableError, "list", fix="tuple")
def static_argument_that_is_a_list():
    fg.jit(lambda x, n: x.reshape(n), static_argnums=1)(M23, [3, 2])  # here


@wrong(ArgumentError, "static_argnames", "'m'", "n", fix="'n'")
def static_argnames_misspelt():
    fg.jit(lambda x, n: x * n, static_argnames="m")  # here


@wrong(ArgumentError, "static_argnums", "3", fix="from 0 to 1")
def static_argnums_out_of_range():
    fg.jit(lambda x, n: x * n, static_argnums=3)  # here


@wrong(DTypeError, "'relu'", "str", fix="static_arg")
def string_as_an_argument_of_jit():
    fg.jit(lambda x, kind: x)(V3, "relu")  # here


@wrong(ArgumentError, "donated", fix="donate_argnums")
def use_of_a_donated_array():
    x = jnp.arange(1000.0)
    fg.jit(lambda x: x + 1, donate_argnums=0)(x)
    x + 1  # here


@wrong(ShapeError, "f32[3]", "f32[4]", "'y'", fix="in_axes")
def vmap_of_sizes_that_disagree():
    fg.vmap(lambda x, y: x + y)(V3, V4)  # here


@wrong(ArgumentError, "in_axes=(0, 0, 0)", "3", "2", fix="one entry per")
def in_axes_of_another_length():
    fg.vmap(lambda x, y: x + y, in_axes=(0, 0, 0))(V3, V3)  # here


@wrong(AxisError, "axis 1", "f32[3]", fix="-1 to 0")
def in_axes_that_the_array_does_not_have():
    fg.vmap(jnp.sin, in_axes=1)(V3)  # here


@wrong(ArgumentError, "None", "in_axes", fix="axis_size")
def vmap_over_nothing():
    fg.vmap(lambda x: x, in_axes=None)(V3)  # here


@wrong(AxisError, "out_axes", "2", fix="out_axes")
def out_axes_that_the_result_does_not_have():
    fg.vmap(jnp.sin, out_axes=2)(V3)  # here


@wrong(AxisNameError, "'batch'", fix="axis_name")
def psum_outside_of_vmap():
    lax.psum(V3, "batch")  # here


@wrong(ArgumentError, "jit", "list", fix="jit(f)(x)")
def jit_of_a_list():
    fg.jit([1, 2])  # here


# ---------------------------------------------------------------------------------------------- control flow
@wrong(DTypeError, "carry", "f32[]", "i64[]", fix="astype")
def scan_whose_carry_changes_dtype():
    lax.scan(lambda c, x: (c + x, x), jnp.zeros((), int), V3)  # here


@wrong(ShapeError, "carry", "f32[2]", "f32[4]", fix="shape")
def scan_whose_carry_grows():
    lax.scan(lambda c, x: (jnp.concatenate([c, c]), x), jnp.ones(2), V3)  # here


@wrong(ArgumentError, "carry", fix="(carry, y)")
def scan_whose_body_returns_one_value():
    lax.scan(lambda c, x: c + x, 0.0, V3)  # here


@wrong(ShapeError, "xs[0]", "3", "2", fix="one length")
def scan_over_lengths_that_disagree():
    lax.scan(lambda c, x: (c, None), 0.0, (V3, M23))  # here


@wrong(DTypeError, "branches", "f32[]", "i32[]", fix="astype")
def cond_of_two_dtypes():
    lax.cond(True, lambda: 1.0, lambda: jnp.int32(1))  # here


@wrong(ArgumentError, "branches", "structure", fix="same containers")
def cond_of_two_trees():
    lax.cond(True, lambda x: (x, x), lambda x: x, 1.0)  # here


@wrong(ArgumentError, "true_fun", "Array", fix="lambda")
def cond_of_values_in_place_of_functions():
    lax.cond(True, V3, V3)  # here


@wrong(DTypeError, "f32[]", "boolean", fix="x != 0")
def while_loop_whose_condition_is_a_float():
    lax.while_loop(lambda x: x, lambda x: x - 1, 3.0)  # here


@wrong(ShapeError, "bool[3]", fix="all")
def while_loop_whose_condition_is_an_array():
    lax.while_loop(lambda x: x < 3, lambda x: x + 1, V3)  # here


@wrong(ArgumentError, "upper", "f32[]", fix="astype(int)")
def fori_loop_up_to_a_float():
    lax.fori_loop(0, 3.0, lambda i, x: x + i, 0.0)  # here


# ---------------------------------------------------------------------------------------------- random, trees
@wrong(ArgumentError, "key", "i64[]", fix="random.key(seed)")
def seed_in_place_of_a_key():
    fg.random.normal(0, (3,))  # here


@wrong(ArgumentError, "key", "f32[3]", fix="random.key(seed)")
def floats_in_place_of_a_key():
    fg.random.uniform(V3)  # here


@wrong(ArgumentError, "key", "u32[3,2]", fix="vmap")
def several_keys_in_place_of_one():
    fg.random.normal(fg.random.split(fg.random.key(0), 3), (3,))  # here


def test_map_over_trees_that_differ():
    with pytest.raises(fg.tree.TreeError, match=r"missing .'a'., unexpected .'b'.") as info:
        fg.tree.map(lambda x, y: x + y, {"a": 1}, {"b": 1})
    assert "fix: give both dicts the same keys" in str(info.value)


# ---------------------------------------------------------------------------------------------- trees, arguments
@wrong(TreeError, "function", "dict", fix="the function comes first")
def tree_map_with_its_arguments_swapped():
    fg.tree.map({"a": 1}, lambda x: x)  # here


@wrong(ArgumentError, "(carry, x)", "takes (c)", fix="function of (carry, x)")
def scan_with_a_body_of_one_argument():
    lax.scan(lambda c: (c, c), 0.0, V3)  # here


@wrong(ArgumentError, "(i, carry)", "takes (x)", fix="function of (i, carry)")
def loop_without_its_counter():
    lax.fori_loop(0, 3, lambda x: x, 0.0)  # here


@wrong(ArgumentError, "false_fun", "0 arguments", "takes (x)", fix="function of ()")
def branch_that_wants_an_operand():
    lax.cond(True, lambda: 1.0, lambda x: x)  # here


@wrong(ArgumentError, "random.normal", "key", fix="random.key(0)")
def random_numbers_without_a_key():
    fg.random.normal((3, 4))  # here


@wrong(DTypeError, "0.0 is not a dtype", fix="by name")
def bounds_in_the_place_of_the_dtype():
    fg.random.uniform(fg.random.key(0), (3,), 0.0, 1.0)  # here


@wrong(ShapeError, "arange takes numbers", "f32[2,3]", fix="arange(len(x))")
def range_over_an_array():
    jnp.arange(M23)  # here


@wrong(ShapeError, "convolution", "f32[2,3]", fix="x[None, None]")
def convolution_of_a_bare_image():
    lax.conv(M23, M23, (1, 1), "SAME")  # here


# ---------------------------------------------------------------------------------------------- names
@wrong(UnknownNameError, "'consine'", fix="funcgrad.numpy.cos")
def name_misspelt_in_numpy():
    jnp.consine  # noqa: B018  # here


@wrong(UnknownNameError, "'sacn'", fix="scan")
def name_misspelt_in_lax():
    lax.sacn  # noqa: B018  # here


@wrong(UnknownNameError, "'gard'", fix="grad")
def name_misspelt_in_funcgrad():
    fg.gard  # noqa: B018  # here


@wrong(UnknownNameError, "'relus'", fix="relu")
def name_misspelt_in_nn():
    fg.nn.relus  # noqa: B018  # here


@wrong(UnknownNameError, "'tree_map'", fix="funcgrad.tree.map")
def the_old_name_of_tree_map():
    fg.tree_map(lambda x: x, V3)  # here


@wrong(UnknownNameError, "'append'", "f32[3]", fix="append(x, values)")
def append_as_to_a_list():
    V3.append(4)  # here


@wrong(UnknownNameError, "'unsqueeze'", "f32[3]", fix="expand_dims")
def torchs_method():
    V3.unsqueeze(0)  # here


def test_foreign_names_stay_out_of_sight():
    assert not hasattr(V3, "numpy") and not hasattr(V3, "detach")
    assert "unsqueeze" not in dir(V3) and "reshape" in dir(V3)
    assert not hasattr(fg, "consine") and not hasattr(jnp, "_private")
