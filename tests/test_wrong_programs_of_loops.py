"""Wrong programs of users who port a training loop, a sampler or a solver, and what they are told; see wrong.py."""

from __future__ import annotations

import dataclasses
import functools
import math
from functools import partial
from typing import NamedTuple

import numpy as np
import pytest
import scipy.special
from wrong import check, wrong

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax, nn, random
from funcgrad.errors import (
    ArgumentError,
    AxisError,
    AxisNameError,
    ConcretizationError,
    DTypeError,
    ImmutableError,
    IndexingError,
    NotDifferentiableError,
    ShapeError,
    TreeError,
    UnhashableError,
    UnknownNameError,
)
from funcgrad.experimental.ode import odeint
from funcgrad.flatten_util import ravel_pytree
from funcgrad.scipy.optimize import minimize

PROGRAMS = []
wrong = functools.partial(wrong, PROGRAMS)
KEY = random.key(0)
V3 = jnp.arange(3.0)
M23 = jnp.ones((2, 3))


@wrong(ArgumentError, "'n'", "'s'", fix="return the same containers with the same keys and")
def scan_carry_gains_a_key():
    def step(c, x):
        c = {**c, "n": x}
        return c, x

    lax.scan(step, {"s": 0.0}, V3)  # here


@wrong(ArgumentError, "PyTreeDef(None)", fix="return the same containers with the same keys and")
def fori_body_returns_none():
    def body(i, c):
        c = c + i

    lax.fori_loop(0, 3, body, 1.0)  # here


@wrong(IndexingError, "f32[4]", "i64[]", fix="convert it with .astype(int)")
def fori_body_wrong_order():
    lax.fori_loop(0, 3, lambda c, i: c.at[i].add(1.0), jnp.zeros(4))  # here


@wrong(ArgumentError, "PyTreeDef((*,))", fix="return the same containers with the same keys and")
def while_body_returns_tuple():
    lax.while_loop(lambda c: c[0] < 3, lambda c: (c[0] + 1,), (0, 1.0))  # here


@wrong(ArgumentError, "true_fun is called with 1 arguments", fix="write it as a function of (operands[0])")
def cond_operand_missing():
    lax.cond(True, lambda x, y: x + y, lambda x, y: x - y, 1.0)  # here


@wrong(ArgumentError, "f32[]", fix="for a boolean use lax.cond")
def switch_index_float():
    lax.switch(1.0, [lambda: 1.0, lambda: 2.0])  # here


@wrong(ArgumentError, "there are no branches", fix="give at least one function")
def switch_without_branches():
    lax.switch(0, [])  # here


@wrong(ShapeError, "f32[4]", "f32[3]", fix="a cotangent has the shape of its output")
def vjp_cotangent_shape():
    _, f = fg.vjp(lambda x: x * 2, V3)
    f(jnp.ones(4))  # here


@wrong(ArgumentError, "the cotangent has structure", fix="pass one cotangent")
def vjp_cotangent_tree():
    _, f = fg.vjp(lambda x: (x * 2, x.sum()), V3)
    f(jnp.ones(3))  # here


@wrong(DTypeError, "i64[3]", "f32[3]", fix="use x.astype('float32')")
def vjp_cotangent_dtype():
    _, f = fg.vjp(lambda x: x * 2, V3)
    f(jnp.ones(3, int))  # here


@wrong(ArgumentError, "primals of jvp has to be a tuple or a", fix="write jvp(f, (x,), (t,))")
def jvp_tangent_not_tuple():
    fg.jvp(jnp.sin, V3, V3)  # here


@wrong(ArgumentError, "PyTreeDef((*, *)) and PyTreeDef((*,))", fix="give one tangent")
def jvp_tangent_number_of():
    fg.jvp(lambda x, y: x * y, (V3, V3), (V3,))  # here


@wrong(ArgumentError, "'w'", fix="count the positional arguments from 0")
def grad_argnums_string():
    fg.grad(lambda w, x: (w * x).sum(), argnums="w")(V3, V3)  # here


@wrong(ArgumentError, "it was called with 0 positional", fix="argnums counts positional arguments from 0")
def grad_keyword_argument():
    fg.grad(lambda w, x: (w * x).sum())(w=V3, x=V3)  # here


@wrong(ArgumentError, "(2)", fix="return (ct,)")
def custom_vjp_bwd_not_tuple():
    @fg.custom_vjp
    def f(x, y):
        return x * y

    f.defvjp(lambda x, y: (x * y, (x, y)), lambda r, g: g * r[0])
    fg.grad(lambda x: f(x, V3).sum())(V3)  # here


@wrong(
    ArgumentError, "the backward rule is called with 3", fix="write it as a function of (nondiff argument 0"
)
def custom_vjp_nondiff_order():
    @partial(fg.custom_vjp, nondiff_argnums=(0,))
    def f(n, x):
        return x * n

    f.defvjp(lambda n, x: (x * n, None), lambda r, g: (g,))  # here
    fg.grad(lambda x: f(2, x).sum())(V3)


@wrong(DTypeError, "'self'", fix="close over it, or mark it static")
def jit_method_without_static_self():
    class A:
        def __init__(self):
            self.n = 2

        @fg.jit
        def f(self, x):
            return x * self.n

    A().f(V3)  # here


@wrong(TreeError, "'b'", "'c'", fix="correct the lists, or name a field that has a")
def register_dataclass_wrong_field():
    @dataclasses.dataclass
    class C:
        a: int
        b: int

    fg.tree_util.register_dataclass(C, data_fields=["a"], meta_fields=["c"])  # here


@wrong(UnhashableError, "f32[3]", fix="make arrays children (data fields)")
def meta_field_array():
    @partial(fg.tree_util.register_dataclass, data_fields=["a"], meta_fields=["b"])
    @dataclasses.dataclass
    class C:
        a: object
        b: object

    fg.jit(lambda c: c.a)(C(V3, V3))  # here


@wrong(TreeError, "'a'", "'b'", fix="pass one leaf")
def unflatten_wrong_number():
    l, td = fg.tree.flatten({"a": 1, "b": 2})
    fg.tree.unflatten(td, l + [3])  # here


@wrong(ArgumentError, "'num_classes'", fix="call it as one_hot(x, num_classes, *, dtype=None")
def one_hot_without_classes():
    nn.one_hot(jnp.array([0, 1]))  # here


@wrong(AxisError, "axis 1 of an array with 1 axes", fix="its axes are -1 to 0")
def softmax_wrong_axis():
    nn.softmax(V3, axis=1)  # here


@wrong(ShapeError, "(4,)", "(2,)", "f32[2,3]", fix="for n draws from each")
def categorical_probs_shape():
    random.categorical(KEY, jnp.zeros((2, 3)), shape=(4,))  # here


@wrong(ArgumentError, "choice of 10 out of 5 elements without", fix="use replace=True, or draw fewer")
def choice_replace_false_too_many():
    random.choice(KEY, 5, (10,), replace=False)  # here


@wrong(ArgumentError, "(5,)", "f32[4]", fix="give one probability")
def choice_p_length():
    random.choice(KEY, 5, (2,), p=jnp.ones(4) / 4)  # here


@wrong(ArgumentError, "'minval'", "'maxval'", fix="call it as randint(key, shape, minval, maxval")
def randint_no_bounds():
    random.randint(KEY, (3,))  # here


@wrong(ShapeError, "Array([0, 0], dtype=uint32) is not a", fix="pass a tuple of ints")
def normal_shape_int_tuple_swapped():
    random.normal((3,), KEY)  # here


@wrong(ArgumentError, "'low'", fix="call it as uniform(key, shape=(), dtype=None")
def uniform_keyword():
    random.uniform(KEY, (3,), low=0, high=1)  # here


@wrong(UnknownNameError, "'funcgrad.numpy'", "'random'", fix="write funcgrad.random")
def numpy_seeded():
    jnp.random.normal(size=3)  # here


@wrong(ImmutableError, "f32[3]", fix="write x = x.at[index].set(value), which gives a")
def inplace_add():
    x = jnp.zeros(3)
    x[0] += 1  # here


@wrong(ArgumentError, "'inplace'", fix="call it as sort(a, axis=-1, *, kind=None")
def numpy_inplace_sort():
    x = jnp.array([3.0, 1.0, 2.0])
    x.sort(inplace=True)  # here


@wrong(ArgumentError, "'values'", fix="call it as set(self, values, *")
def at_set_no_value():
    V3.at[0].set()  # here


@wrong(IndexingError, "f32[2]", "f32[3]", fix="convert it with .astype(int)")
def at_index_float_array():
    V3.at[jnp.array([0.0, 1.0])].set(1.0)  # here


@wrong(IndexingError, "(2,)", "(3,)", "f32[3,2]", fix="give values of that shape, or a number")
def at_add_shape():
    jnp.zeros((3, 2)).at[:, 0].add(jnp.ones(2))  # here


@wrong(ShapeError, "f32[2,3]", "i64[2]", fix="give the positions as many axes, of length 1")
def take_along_axis_rank():
    jnp.take_along_axis(M23, jnp.array([0, 1]), axis=1)  # here


@wrong(ShapeError, "f32[3]", "i64[2]", fix="segment_ids is a vector as long as the first axis")
def segment_sum_lengths():
    fg.ops.segment_sum(V3, jnp.array([0, 1]), num_segments=2)  # here


@wrong(ArgumentError, "the shape depends on it", fix="pass num_segments=n")
def segment_sum_traced_num():
    fg.jit(lambda x, i: fg.ops.segment_sum(x, i))(V3, jnp.array([0, 1, 1]))  # here


@wrong(ConcretizationError, "f32[3]", fix="give size=, or call it outside of jit")
def unique_in_jit():
    fg.jit(jnp.unique)(V3)  # here


@wrong(ArgumentError, "f32[2,3]", fix="give one start")
def dynamic_slice_indices_count():
    lax.dynamic_slice(M23, (0,), (1, 1))  # here


@wrong(DTypeError, "f32[4]", "i64[2]", fix="convert one with lax.convert_element_type, or use")
def dynamic_update_slice_dtype():
    lax.dynamic_update_slice(jnp.zeros(4), jnp.ones(2, int), (0,))  # here


@wrong(ShapeError, "(5,)", "f32[4]", fix="each size is at most the length of its axis")
def dynamic_update_slice_too_big():
    lax.dynamic_update_slice(jnp.zeros(4), jnp.ones(5), (0,))  # here


@wrong(ArgumentError, "f32[3]", fix="k lies between 0 and that length")
def top_k_too_many():
    lax.top_k(V3, 5)  # here


@wrong(ShapeError, "f32[1,3,8,8]", "f32[4,2,3,3]", fix="compare the layouts")
def conv_channels_mismatch():
    lax.conv_general_dilated(jnp.ones((1, 3, 8, 8)), jnp.ones((4, 2, 3, 3)), (1, 1), "SAME")  # here


@wrong(ArgumentError, "'SAME'", "'SAME_LOWER'", "'VALID'", fix="write padding='SAME',")
def conv_padding_typo():
    lax.conv_general_dilated(jnp.ones((1, 3, 8, 8)), jnp.ones((4, 3, 3, 3)), (1, 1), "same_")  # here


@wrong(ArgumentError, "'NHWC'", "'HWIO'", "'NHCW1'", fix="three texts of that length, such as ('NHWC'")
def conv_dim_numbers_wrong():
    image, kernel = jnp.ones((1, 8, 8, 3)), jnp.ones((3, 3, 3, 4))
    layout = ("NHWC", "HWIO", "NHCW1")
    lax.conv_general_dilated(image, kernel, (1, 1), "SAME", dimension_numbers=layout)  # here


@wrong(ShapeError, "f32[4,4]", "(2,)", fix="one")
def reduce_window_dims():
    lax.reduce_window(jnp.ones((4, 4)), -jnp.inf, lax.max, (2,), (2,), "VALID")  # here


@wrong(ShapeError, "f32[2,3]", fix="reshape it, or check")
def cholesky_of_rect():
    jnp.linalg.cholesky(M23)  # here


@wrong(ShapeError, "f32[3,3]", "f32[4,1]", fix="b has as many rows, or is a vector of that length")
def solve_shapes():
    jnp.linalg.solve(jnp.eye(3), jnp.ones(4))  # here


@wrong(ShapeError, "f32[3]", fix="reshape it, or check")
def inv_of_vector():
    jnp.linalg.inv(V3)  # here


@wrong(AxisError, "c64[]", fix="give the array that axis, or name another")
def fft_of_scalar():
    jnp.fft.fft(1.0)  # here


@wrong(ArgumentError, "'w'", "'b'", fix="use an int, None, or containers of the same")
def vmap_in_axes_dict_missing():
    fg.vmap(lambda p, x: p["w"] * x, in_axes=({"w": 0, "b": None}, 0))({"w": V3}, V3)  # here


@wrong(AxisError, "'y'", "f32[]", fix="use None in in_axes")
def vmap_scalar_arg():
    fg.vmap(lambda x, y: x * y)(V3, 2.0)  # here


@wrong(DTypeError, "'loss'", fix="return arrays only (None is allowed as an empty")
def vmap_returns_string():
    fg.vmap(lambda x: (x, "loss"))(V3)  # here


@wrong(DTypeError, "<lambda> returned", fix="return arrays only (None is allowed as an empty")
def jit_returns_object():
    class R:
        pass

    fg.jit(lambda x: R())(V3)  # here


@wrong(
    UnhashableError,
    "static argument 1 of <lambda> has to be",
    fix="make it a tuple or a frozen dataclass, or pass",
)
def static_array_arg():
    fg.jit(lambda x, n: x, static_argnums=1)(V3, V3)  # here


@wrong(ConcretizationError, "i64[]", fix="index with funcgrad arrays (x[i] works with a")
def static_kwarg_traced_shape():
    f = fg.jit(lambda x, n: x.reshape(n, -1))  # here
    f(jnp.ones(6), 2)


@wrong(ConcretizationError, "bool[3]", fix="use the function of the same name in")
def np_where_on_tracer():
    fg.jit(lambda x: np.where(x > 0, x, 0))(V3)  # here


@wrong(ConcretizationError, "f32[]", fix="the functions of math are in funcgrad.numpy too")
def math_exp_on_tracer():
    fg.jit(lambda x: math.exp(x))(1.0)  # here


@wrong(ConcretizationError, "f32[3]", fix="use the function of the same name in")
def scipy_on_tracer():
    fg.jit(lambda x: scipy.special.erf(x))(V3)  # here


@wrong(ShapeError, "(2,)", "(3,)", fix="declare the shape that the function returns")
def pure_callback_wrong_shape():
    result = fg.ShapeDtypeStruct((3,), jnp.float32)
    fg.jit(lambda x: fg.pure_callback(lambda a: np.asarray(a)[:2], result, x))(V3)  # here


@wrong(DTypeError, "the callback <lambda> returned dtype", fix="convert it in the callback")
def pure_callback_wrong_dtype():
    result = fg.ShapeDtypeStruct((3,), jnp.float32)
    fg.jit(lambda x: fg.pure_callback(lambda a: np.asarray(a, np.float64), result, x))(V3)  # here


@wrong(
    NotDifferentiableError, "the Python function sin cannot be", fix="give the function that calls it a rule"
)
def pure_callback_grad():
    fg.grad(lambda x: fg.pure_callback(np.sin, fg.ShapeDtypeStruct((3,), jnp.float32), x).sum())(V3)  # here


@wrong(AxisNameError, "'batch'", "'i'", fix="write vmap(f, axis_name='batch')")
def psum_wrong_name():
    fg.vmap(lambda x: lax.psum(x, "batch"), axis_name="i")(V3)  # here


@wrong(ArgumentError, "fn has to be a function, got Array", fix="pass the function itself, not its result")
def associative_scan_not_fn():
    lax.associative_scan(jnp.ones(3), V3)  # here


@wrong(ShapeError, "'f32[1]'", fix="it is called with many elements at once, along")
def associative_scan_wrong_struct():
    lax.associative_scan(lambda a, b: a[0] + b[0], (V3, V3))  # here


@wrong(
    ArgumentError,
    "checkpoint takes a function, got Array",
    fix="write checkpoint(f)(x), not checkpoint(f(x))",
)
def checkpoint_of_value():
    fg.checkpoint(V3)  # here


@wrong(ArgumentError, "'gpu'", fix="the devices are")
def device_put_gpu():
    fg.device_put(V3, fg.devices("gpu")[0])  # here


@wrong(ShapeError, "f32[2,3]", fix="call it as interp(x, xp, fp)")
def interp_not_1d():
    jnp.interp(1.0, M23, M23)  # here


@wrong(ArgumentError, "num is an integer, got 10.0", fix="num counts the points")
def linspace_num_float():
    jnp.linspace(0, 1, 10.0)  # here


@wrong(ShapeError, "bool[2]", "f32[2,3]", fix="axes are matched from the last")
def mean_where_shape():
    jnp.mean(M23, where=jnp.array([True, False]))  # here


@wrong(ArgumentError, "pad widths are not negative, got (1, -1)", fix="cut with a slice")
def pad_negative():
    jnp.pad(V3, (1, -1))  # here


@wrong(ArgumentError, "(1, 1)", "f32[2,3]", fix="give (before, after)")
def pad_widths_rank():
    jnp.pad(M23, ((1, 1), (1, 1), (1, 1)))  # here


@wrong(ShapeError, "f32[2,3,4]", "f32[5,4,3]", "(2,)", fix="the last two axes are multiplied, those before")
def tile_and_matmul_batch():
    jnp.ones((2, 3, 4)) @ jnp.ones((5, 4, 3))  # here


@wrong(ShapeError, "f32[2,3]", "(1,)", "(0,)", fix="they have to be equal")
def tensordot_axes():
    jnp.tensordot(M23, M23, axes=1)  # here


@wrong(ArgumentError, "(0, 1)", "f32[2,3]", fix="reshape first, so that these axes are one")
def argmax_two_axes():
    jnp.argmax(M23, axis=(0, 1))  # here


@wrong(DTypeError, "bool[3]", fix="it takes i8, i16, i32, i64, u8, u16, u32, u64")
def bool_minus():
    (V3 > 1) - (V3 > 2)  # here


@wrong(DTypeError, "bool[3]", fix="it takes i8, i16, i32, i64, u8, u16, u32, u64")
def neg_bool():
    _ = -(V3 > 1)  # here


@wrong(ArgumentError, "f32[]", fix="put the arrays into one list")
def stack_scalar():
    jnp.stack(V3[0])  # here


@wrong(AxisError, "'d'", "'a'", "f32[]", fix="use None in in_axes")
def for_over_dict_vmap():
    fg.vmap(lambda d: d["a"])([{"a": 1.0}, {"a": 2.0}])  # here


@wrong(ShapeError, "f32[3]", "f32[2]", fix="let carry.b start with shape (2,), or let")
def namedtuple_replace_wrong():
    class S(NamedTuple):
        a: object
        b: object

    lax.scan(lambda c, x: (c._replace(b=c.b[:2]), x), S(V3, V3), V3)  # here


@wrong(ShapeError, "f32[5]", fix="give a vector like that of ravel_pytree")
def ravel_pytree_wrong_size():
    _, u = ravel_pytree({"a": V3})
    u(jnp.ones(5))  # here


@wrong(ArgumentError, "f is called with 1 arguments, (one", fix="write it as a function of (one slice of xs)")
def lax_map_two_args():
    lax.map(lambda x, y: x + y, (V3, V3))  # here


@wrong(ShapeError, "f32[4]", fix="core axes of one name have one length")
def vectorize_signature():
    jnp.vectorize(lambda a, b: a @ b, signature="(n),(n)->()")(V3, jnp.ones(4))  # here


@wrong(ShapeError, "f32[2]", "f32[3]", fix="a tangent has the shape of its primal")
def linearize_wrong_tangent():
    _, f = fg.linearize(jnp.sin, V3)
    f(jnp.ones(2))  # here


@wrong(ShapeError, "f32[2,3]", fix="for one head x[")
def dot_product_attention_rank():
    nn.dot_product_attention(M23, M23, M23)  # here


@wrong(ArgumentError, "(3,)", fix="initializers that scale by fan-in need at least")
def initializer_shape():
    nn.initializers.glorot_normal()(KEY, (3,))  # here


@wrong(ShapeError, "f32[3]", "f32[2]", "(3,)", fix="axes are matched from the last")
def logsumexp_weights():
    nn.logsumexp(V3, b=jnp.ones(2))  # here


@wrong(ShapeError, "f32[3]", "f32[2,2]", fix="a covariance is a square matrix as long as the")
def multivariate_normal_cov():
    random.multivariate_normal(KEY, jnp.zeros(3), jnp.eye(2))  # here


@wrong(DTypeError, "(3, 4)", fix="convert it with funcgrad.numpy.array(...)")
def permutation_tuple():
    random.permutation(KEY, (3, 4))  # here


@wrong(TreeError, "'w'", fix="use dict there in both trees, or a leaf in the")
def optimizer_tree_prefix():
    fg.tree.map(lambda p, m: p * m, {"w": V3}, (V3,))  # here


@wrong(DTypeError, "i64[]", fix="see holomorphic, or use .astype(float)")
def jacrev_int():
    fg.jacrev(lambda x: x**2)(3)  # here


@wrong(ArgumentError, "'Adam'", fix='use method="BFGS"')
def minimize_method():
    minimize(lambda x: (x**2).sum(), V3, method="Adam")  # here


@wrong(
    ArgumentError, "func is called with 3 arguments, (y, t", fix="write it as a function of (y, t, args[0])"
)
def odeint_order():
    odeint(lambda t, y: -y, V3, jnp.linspace(0, 1, 3), 1.0)  # here


@pytest.mark.parametrize(("program", "cls", "words", "fix"), PROGRAMS)
def test_the_error_says_what_is_wrong_and_how_to_put_it_right(program, cls, words, fix):
    check(program, cls, words, fix)
