"""More wrong programs, of loops, derivatives, batches, trees and rules, and what they are told; see wrong.py."""

from __future__ import annotations

import dataclasses
import functools

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
    IndexingError,
    NotDifferentiableError,
    ShapeError,
    TreeError,
    UnhashableError,
    UnknownNameError,
)

PROGRAMS = []
wrong = functools.partial(wrong, PROGRAMS)
V3 = jnp.arange(3.0)
M = jnp.ones((4, 5))
KEY = fg.random.key(0)


@pytest.mark.parametrize(("program", "cls", "words", "fix"), PROGRAMS)
def test_the_error_says_what_is_wrong_and_how_to_put_it_right(program, cls, words, fix):
    check(program, cls, words, fix)


@wrong(ArgumentError, "pair (carry, y)", fix="return (carry, None)")
def scan_body_returns_one_value():
    lax.scan(lambda c, x: c + x, 0.0, V3)  # here


@wrong(ArgumentError, "pair", "3 values", fix="return (carry, y)")
def scan_body_returns_three():
    lax.scan(lambda c, x: (c, x, c), 0.0, V3)  # here


@wrong(ShapeError, "(3,)", "(4,)", fix="one length")
def scan_xs_lengths_differ():
    lax.scan(lambda c, x: (c, x[0]), 0.0, (V3, jnp.ones(4)))  # here


@wrong(ShapeError, "xs[0] is a scalar", fix="numpy.array(xs)")
def scan_over_python_numbers():
    lax.scan(lambda c, x: (c + x, None), 0.0, [1.0, 2.0, 3.0])  # here


@wrong(ShapeError, "f32[1]", "f32[2]", fix="shape (2,)")
def scan_carry_shape_grows():
    lax.scan(lambda c, x: (jnp.append(c, x), None), jnp.zeros(1), V3)  # here


@wrong(ArgumentError, "expected tuple, got list", fix="same containers")
def scan_carry_tuple_becomes_list():
    lax.scan(lambda c, x: ([c[0], c[1]], None), (0.0, 1.0), V3)  # here


@wrong(ArgumentError, "missing ['b']", fix="same keys")
def scan_carry_dict_loses_key():
    lax.scan(lambda c, x: ({"a": c["a"]}, None), {"a": 0.0, "b": 1.0}, V3)  # here


@wrong(ShapeError, "bool[3]", fix=".any()")
def while_cond_gives_vector():
    lax.while_loop(lambda x: x < 3, lambda x: x + 1, V3)  # here


@wrong(ArgumentError, "(carry)", "(i, x)", fix="function of (carry)")
def while_cond_takes_two_args():
    lax.while_loop(lambda i, x: i < 3, lambda i, x: (i + 1, x), (0, V3))  # here


@wrong(ArgumentError, "(i, carry)", "takes (x)", fix="(i, carry)")
def fori_body_one_argument():
    lax.fori_loop(0, 3, lambda x: x + 1, 0.0)  # here


@wrong(ArgumentError, "integer", "f32[]", fix="int(n)")
def fori_float_bounds():
    lax.fori_loop(0.5, 3, lambda i, x: x + 1, 0.0)  # here


@wrong(ShapeError, "true_fun", "f32[3]", "false_fun", "f32[2]", fix="one shape")
def cond_branches_of_other_shapes():
    lax.cond(True, lambda x: x, lambda x: x[:2], V3)  # here


@wrong(ArgumentError, "true_fun", "(*, *)", "false_fun", fix="same containers")
def cond_branches_other_tree():
    lax.cond(V3[0] > 0, lambda x: (x, x), lambda x: x, V3)  # here


@wrong(ShapeError, "bool[3]", fix=".any()")
def cond_with_a_vector_predicate():
    lax.cond(V3 > 1, lambda x: x, lambda x: -x, V3)  # here


@wrong(ArgumentError, "function, got Array", fix="lambda: value")
def cond_given_values_not_functions():
    lax.cond(True, V3, -V3)  # here


@wrong(ArgumentError, "integer", "f32[]", fix="astype(int)")
def switch_on_float():
    lax.switch(1.0, [jnp.sin, jnp.cos], 1.0)  # here


@wrong(NotDifferentiableError, "f32[], f32[3]", fix="has_aux=True")
def grad_of_loss_and_aux_without_has_aux():
    fg.grad(lambda p: (jnp.sum(p), p))(V3)  # here


@wrong(ArgumentError, "pair (output, aux)", fix="leave has_aux out")
def grad_has_aux_but_one_output():
    fg.value_and_grad(lambda p: jnp.sum(p), has_aux=True)(V3)  # here


@wrong(ArgumentError, "argnums=1", "1 positional", fix="by position")
def grad_argnums_out_of_range():
    fg.grad(lambda p: p.sum(), argnums=1)(V3)  # here


@wrong(DTypeError, "['name']", "'layer'", fix="close over it")
def grad_given_list_of_strings():
    fg.grad(lambda p: p["w"].sum())({"w": V3, "name": "layer"})  # here


@wrong(ArgumentError, "0 positional", fix="by position")
def grad_called_with_kwargs_only():
    fg.grad(lambda x: x**2)(x=3.0)  # here


@wrong(ArgumentError, "1 entries", "2 positional", fix="one entry")
def vmap_in_axes_list_wrong_length():
    fg.vmap(lambda a, b: a + b, in_axes=(0,))(V3, V3)  # here


@wrong(ArgumentError, "missing ['v']", "unexpected ['w']", fix="same structure")
def vmap_in_axes_dict_wrong_key():
    fg.vmap(lambda p: p["w"], in_axes=({"v": 0},))({"w": V3})  # here


@wrong(AxisError, "axis 2", fix="from -1 to 0")
def vmap_out_axes_too_big():
    fg.vmap(lambda a: a, out_axes=2)(V3)  # here


@wrong(AxisNameError, "'batch'", "none is in scope", fix="axis_name='batch'")
def psum_outside_of_vmap():
    lax.psum(V3, "batch")  # here


@wrong(AxisNameError, "'bath'", "'batch'", fix="axis_name")
def psum_wrong_axis_name():
    fg.vmap(lambda x: lax.psum(x, "bath"), axis_name="batch")(V3)  # here


@wrong(DTypeError, "'mode'", "'a'", fix="static_argnames")
def jit_string_argument():
    fg.jit(lambda x, mode: x if mode == "a" else -x)(V3, "a")  # here


class Layer:
    def __init__(self):
        self.weights = [jnp.ones(2)]


@wrong(DTypeError, "'layer'", "type Layer", fix="funcgrad.tree_util.register_pytree_node_class(Layer)")
def an_object_with_arrays_as_argument():
    fg.grad(lambda layer: layer.weights[0].sum())(Layer())  # here


@wrong(DTypeError, "'s'", "State", fix="register_dataclass(State)")
def jit_dataclass_argument():
    @dataclasses.dataclass
    class State:
        x: object

    fg.jit(lambda s: s.x)(State(V3))  # here


@wrong(ArgumentError, "'m'", "x, n", fix="'n'")
def jit_static_argname_typo():
    fg.jit(lambda x, n=2: x * n, static_argnames="m")(V3)  # here


@wrong(ConcretizationError, "unique", "f32[3]", fix="size=")
def jit_unique():
    fg.jit(jnp.unique)(V3)  # here


@wrong(UnhashableError, "i64[]", fix="lax.switch")
def jit_dict_key():
    fg.jit(lambda i: {0: 1.0, 1: 2.0}[i])(1)  # here


@wrong(ConcretizationError, "i64[]", fix="x[i]")
def jit_list_index():
    fg.jit(lambda i: [1, 2, 3][i])(1)  # here


@wrong(ArgumentError, "random.normal", "i64[]", fix="random.key(seed)")
def random_key_is_int():
    fg.random.normal(0, (3,))  # here


@wrong(DTypeError, "(3,) is not a dtype", fix="shape as one tuple")
def random_numpy_style():
    fg.random.normal(0.0, 1.0, (3,))  # here


@wrong(ArgumentError, "u32[3,2]", fix="vmap over keys")
def random_split_of_batch():
    fg.random.normal(fg.random.split(KEY, 3), (2,))  # here


@wrong(ArgumentError, "axis 2", "f32[3,4]", fix="-2 to 1")
def random_categorical_of_probabilities_wrong_axis():
    fg.random.categorical(KEY, jnp.ones((3, 4)), axis=2)  # here


@wrong(ArgumentError, "5 elements", "f32[4]", fix="each element")
def random_choice_p_wrong_length():
    fg.random.choice(KEY, 5, (2,), p=jnp.ones(4) / 4)  # here


@wrong(TreeError, "got dict", fix="function comes first")
def tree_map_arguments_swapped():
    fg.tree.map({"a": 1}, lambda x: x)  # here


@wrong(TreeError, "it has 3, got 2", fix="one leaf")
def tree_unflatten_too_few():
    fg.tree.unflatten(fg.tree.structure([1, 2, 3]), [1, 2])  # here


@wrong(ArgumentError, "is no array", fix=".add(values)")
def at_without_method():
    V3.at[0] + 1  # here


@wrong(UnknownNameError, "'ad'", fix="did you mean add")
def at_method_typo():
    V3.at[0].ad(1.0)  # here


@wrong(IndexingError, "(3,)", "(2,)", "f32[3]", fix="that shape")
def at_set_wrong_shape():
    V3.at[:2].set(jnp.ones(3))  # here


@wrong(IndexingError, "1.0", "f32[3]", fix="integer")
def index_with_float():
    V3[1.0]  # here


@wrong(IndexingError, "'a'", "f32[3]", fix="integer")
def index_with_string():
    V3["a"]  # here


@wrong(ShapeError, "'j'", "5 and 4", fix="labels")
def einsum_wrong_letters():
    jnp.einsum("ij,jk->ik", M, M)  # here


@wrong(ArgumentError, "3.0", "f32[3]", fix="integers")
def max_of_two():
    jnp.max(V3, 3.0)  # here


@wrong(ArgumentError, "one argument or three", fix="where(condition, x, y)")
def where_two_args():
    jnp.where(V3 > 1, V3)  # here


@wrong(ArgumentError, "bool[3]", fix="& and |")
def and_instead_of_ampersand():
    bool((V3 > 0) and (V3 < 2))  # here


@wrong(ArgumentError, "(3, 1)", "f32[3]", fix="x.reshape(3, 1)")
def torch_view():
    V3.view(3, 1)  # here


@wrong(ArgumentError, "'dim'", fix="axis")
def softmax_dim():
    fg.nn.softmax(V3, dim=-1)  # here


@wrong(ArgumentError, "'num_classes'", fix="one_hot(x, num_classes")
def one_hot_no_classes():
    fg.nn.one_hot(jnp.arange(3))  # here


@wrong(ArgumentError, "(2)", "1 entries", fix="None stands for zero")
def custom_vjp_bwd_too_few():
    f = fg.custom_vjp(lambda x, y: x * y)
    f.defvjp(lambda x, y: (x * y, (x, y)), lambda r, g: (g * r[1],))
    fg.grad(f)(1.0, 2.0)  # here


@wrong(ArgumentError, "(output, residuals)", fix="return f(x), residuals")
def custom_vjp_fwd_no_residuals():
    f = fg.custom_vjp(lambda x: x * 2)
    f.defvjp(lambda x: x * 2, lambda r, g: (g,))
    fg.grad(f)(1.0)  # here


@wrong(ArgumentError, "(output, tangent)", fix="return f(x), df * t")
def custom_jvp_returns_tangent_only():
    f = fg.custom_jvp(lambda x: x * 2)
    f.defjvp(lambda p, t: t[0] * 2)
    fg.grad(f)(1.0)  # here


@wrong(ShapeError, "f32[]", "f32[3]", fix="sum over")
def custom_vjp_bwd_wrong_shape():
    f = fg.custom_vjp(lambda x: (x * 2).sum())
    f.defvjp(lambda x: ((x * 2).sum(), None), lambda r, g: (g * 2,))
    fg.grad(f)(V3)  # here


@wrong(ShapeError, "f32[2]", "f32[3]", fix="(3,)")
def jvp_tangent_shape():
    fg.jvp(jnp.sin, (V3,), (jnp.ones(2),))  # here


@wrong(ArgumentError, "got Array", fix="jvp(f, (x,), (t,))")
def jvp_not_tuples():
    fg.jvp(jnp.sin, V3, V3)  # here


@wrong(ArgumentError, "'a'", fix="same containers")
def vjp_called_with_wrong_tree():
    _, f = fg.vjp(lambda x: {"a": x}, V3)
    f(V3)  # here


@wrong(TreeError, "missing ['b']", fix="correct the lists")
def register_dataclass_missing_field():
    @dataclasses.dataclass
    class S:
        a: object
        b: object

    fg.tree_util.register_dataclass(S, data_fields=["a"], meta_fields=[])  # here


@wrong(ShapeError, "3 channels", "takes 1", fix="NHWC")
def conv_channel_mismatch():
    lax.conv_general_dilated(jnp.ones((1, 3, 8, 8)), jnp.ones((4, 1, 3, 3)), (1, 1), "SAME")  # here


@wrong(ShapeError, "(5,)", "f32[3]", fix="at most the length")
def dynamic_slice_sizes_too_large():
    lax.dynamic_slice(V3, (0,), (5,))  # here


@wrong(ArgumentError, "num_segments", fix="num_segments=n")
def segment_sum_no_num_under_jit():
    fg.jit(lambda x, i: fg.ops.segment_sum(x, i))(V3, jnp.array([0, 1, 1]))  # here


@wrong(ConcretizationError, "bincount", "i64[3]", fix="outside of jit")
def bincount_under_jit():
    fg.jit(jnp.bincount)(jnp.array([0, 1, 1]))  # here


@wrong(ConcretizationError, "i64[3]", fix="total_repeat_length")
def repeat_under_jit():
    fg.jit(lambda x, r: jnp.repeat(x, r))(V3, jnp.array([1, 2, 1]))  # here


@wrong(ArgumentError, "policy is a str", fix="checkpoint_policies")
def checkpoint_policy_name():
    fg.checkpoint(jnp.sin, policy="dots_saveable")(V3)  # here


@wrong(UnknownNameError, "'jax_enable_x46'", fix="jax_enable_x64")
def config_typo():
    fg.config.update("jax_enable_x46", True)  # here


@wrong(ArgumentError, "'tpu'", fix="'cpu'")
def devices_gpu():
    fg.devices("tpu")  # here


@wrong(ArgumentError, "target", "(1, 1)", fix="(source, target)")
def ppermute_dup():
    fg.vmap(lambda x: lax.ppermute(x, "i", [(0, 1), (1, 1)]), axis_name="i")(V3)  # here
