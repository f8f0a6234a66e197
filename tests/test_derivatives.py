"""grad, vjp, jvp, linearize, Jacobians: what they accept, what they give, and how they nest."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.errors import ArgumentError, DTypeError, FuncgradError, NotDifferentiableError, ShapeError


def close(actual, expected, tolerance=1e-5):
    """Equal trees: same structure, shapes, and numbers up to rounding."""
    assert fg.tree.structure(actual) == fg.tree.structure(expected)
    for a, e in zip(fg.tree.leaves(actual), fg.tree.leaves(expected)):
        np.testing.assert_allclose(np.asarray(a), np.asarray(e), rtol=tolerance, atol=tolerance)


class Pair(NamedTuple):
    left: object
    right: object


def wavy(x):
    return jnp.sum(jnp.sin(x) * jnp.tanh(x))


def wavy_gradient(x):
    return np.cos(x) * np.tanh(x) + np.sin(x) * (1 - np.tanh(x) ** 2)


X = np.array([0.3, -1.2, 2.0], np.float32)
TRANSFORMS = {"plain": lambda f: f, "jit": fg.jit, "checkpoint": fg.checkpoint}
MODES = {"forward": fg.jacfwd, "reverse": fg.jacrev}


# ------------------------------------------------------------------------------------------------- grad
def product(a, b, c=3.0):
    return a * a * b * c


@pytest.mark.parametrize(
    ("argnums", "expected"),
    [
        (0, 2 * 2.0 * 5 * 3),
        (1, 4.0 * 3),
        (-1, 4.0 * 3),
        (-2, 60.0),
        ((0,), (60.0,)),
        ((0, 1), (60.0, 12.0)),
        ((1, 0), (12.0, 60.0)),
        ([1, 0], (12.0, 60.0)),
        ((-1, 0), (12.0, 60.0)),
        (np.int64(1), 12.0),
        ((), ()),
    ],
)
def test_argnums_choose_arguments(argnums, expected):
    close(fg.grad(product, argnums=argnums)(2.0, 5.0), expected)
    value, gradient = fg.value_and_grad(product, argnums=argnums)(2.0, 5.0)
    close((value, gradient), (60.0, expected))
    close(fg.jit(fg.grad(product, argnums=argnums))(2.0, 5.0), expected)


@pytest.mark.parametrize("argnums", [2, -3, (0, 0), (0, -2), "a", 1.5, (0, "a"), None])
def test_argnums_that_do_not_fit_are_refused(argnums):
    with pytest.raises(ArgumentError, match="argnums"):
        fg.grad(product, argnums=argnums)(2.0, 5.0)


def test_keyword_arguments_are_passed_and_not_differentiated():
    close(fg.grad(product)(2.0, 5.0, c=10.0), 200.0)
    close(fg.grad(product)(2.0, b=5.0), 60.0)

    def scaled(x, *, mode, table):
        return x * table[mode]

    close(fg.grad(scaled)(2.0, mode="a", table={"a": 7.0}), 7.0)


def test_gradients_have_the_structure_of_the_argument():
    params = {"w": [X, 2.0], "n": None, "pair": Pair(X + 1, (3.0,))}

    def loss(p):
        return jnp.sum(p["w"][0]) * p["w"][1] + jnp.sum(p["pair"].left ** 2) * p["pair"].right[0]

    expected = {
        "w": [np.full(3, 2.0), X.sum()],
        "n": None,
        "pair": Pair(6 * (X + 1), (np.sum((X + 1) ** 2),)),
    }
    close(fg.grad(loss)(params), expected)
    close(fg.jit(fg.grad(loss))(params), expected)


@pytest.mark.parametrize("tree", [None, (), {}, [None, {}]])
def test_an_empty_tree_has_an_empty_gradient(tree):
    assert fg.grad(lambda t, x: x, argnums=0)(tree, 1.0) == tree


def test_has_aux_gives_data_back_undifferentiated():
    def f(x):
        return x * x, {"twice": 2 * x, "x": x, "name": "f", "none": None, "count": 3}

    gradient, aux = fg.grad(f, has_aux=True)(3.0)
    close(gradient, 6.0)
    assert (float(aux["twice"]), aux["name"], aux["none"], aux["count"]) == (6.0, "f", None, 3)
    assert isinstance(aux["x"], fg.Array)
    (value, aux), gradient = fg.value_and_grad(f, has_aux=True)(3.0)
    close((value, gradient, aux["twice"]), (9.0, 6.0, 6.0))
    value, pullback, aux = fg.vjp(f, 3.0, has_aux=True)
    close((value, pullback(1.0), aux["x"]), (9.0, (6.0,), 3.0))
    value, tangent, aux = fg.jvp(f, (3.0,), (1.0,), has_aux=True)
    close((value, tangent, aux["twice"]), (9.0, 6.0, 6.0))
    value, linear, aux = fg.linearize(f, 3.0, has_aux=True)
    close((value, linear(2.0), aux["x"]), (9.0, 12.0, 3.0))


def test_aux_of_an_inner_gradient_is_differentiated_by_the_outer():
    def outer(x):
        gradient, aux = fg.grad(lambda y: (y**3, y**2), has_aux=True)(x)
        return gradient + aux

    close(fg.grad(outer)(2.0), 6 * 2.0 + 2 * 2.0)


def test_aux_under_jit_and_jacobians():
    def f(x):
        return jnp.sin(x), x * 2

    jacobian, aux = fg.jacfwd(f, has_aux=True)(X)
    close((jacobian, aux), (np.diag(np.cos(X)), X * 2))
    jacobian, aux = fg.jacrev(f, has_aux=True)(X)
    close((jacobian, aux), (np.diag(np.cos(X)), X * 2))
    hessian, aux = fg.hessian(lambda x: (jnp.sum(x**3), x), has_aux=True)(X)
    close((hessian, aux), (np.diag(6 * X), X))
    gradient, aux = fg.jit(fg.grad(lambda x: (jnp.sum(x**2), x), has_aux=True))(X)
    close((gradient, aux), (2 * X, X))


@pytest.mark.parametrize("result", [lambda x: x, lambda x: (x,), lambda x: (x, x, x), lambda x: [x, x]])
def test_has_aux_needs_a_pair(result):
    with pytest.raises(ArgumentError, match="has_aux"):
        fg.grad(result, has_aux=True)(1.0)


def test_holomorphic_gradients_are_complex_derivatives():
    z = np.complex64(1 + 2j)
    close(fg.grad(lambda z: z * z * z, holomorphic=True)(z), 3 * z * z)
    close(fg.grad(jnp.exp, holomorphic=True)(z), np.exp(z))
    close(fg.jacfwd(lambda z: z * z, holomorphic=True)(z), 2 * z)
    close(fg.jacrev(lambda z: z * z, holomorphic=True)(z), 2 * z)
    with pytest.raises(DTypeError, match="holomorphic"):
        fg.grad(lambda x: x, holomorphic=True)(1.0)
    with pytest.raises(DTypeError, match="complex output"):
        fg.grad(lambda z: z.real, holomorphic=True)(z)
    with pytest.raises(NotDifferentiableError, match="complex output"):
        fg.grad(lambda z: z * z)(z)
    with pytest.raises(NotDifferentiableError, match="complex output"):
        fg.grad(lambda x: x * 1j)(1.0)


def test_a_real_function_through_complex_numbers():
    close(fg.grad(lambda x: jnp.abs(x * (3 + 4j)))(2.0), 5.0)
    close(fg.grad(lambda x: ((x + 1j) * (x - 1j)).real)(2.0), 4.0)


def test_real_functions_of_complex_arguments():
    z = np.array([1 + 2j, -0.5 + 0.3j], np.complex64)
    for f, gradient in (
        (lambda z: jnp.sum(jnp.abs(z) ** 2), 2 * z.conj()),
        (lambda z: jnp.sum((z * z).real), 2 * z),
        (lambda z: jnp.sum(z.imag), np.full(2, -1j)),
    ):
        close(fg.grad(f)(z), gradient)
        close(fg.jit(fg.grad(f))(z), gradient)
        close(fg.jacrev(f)(z), gradient)
    close(fg.jacrev(lambda z: jnp.abs(z) ** 2)(z), np.diag(2 * z.conj()))


def test_integers_have_float0_gradients_when_allowed():
    n = np.arange(3)
    gradient = fg.grad(lambda n, x: jnp.sum(n * x), argnums=(0, 1), allow_int=True)(n, X)
    assert gradient[0].dtype == fg.dtypes.float0 and gradient[0].shape == (3,)
    close(gradient[1], n.astype(np.float32))
    with pytest.raises(NotDifferentiableError, match=r"argument 'n' .* i64\[3\]"):
        fg.grad(lambda n, x: jnp.sum(n * x))(n, X)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: fg.grad(lambda x: x)(X), r"one scalar output.*f32\[3\]"),
        (lambda: fg.grad(lambda x: (x, x))(1.0), "one scalar output"),
        (lambda: fg.grad(lambda x: None)(1.0), "forget to return"),
        (lambda: fg.grad(lambda x: x > 0)(1.0), "real float output"),
        (lambda: fg.grad(lambda x: x)(3), "integers have no derivative"),
        (lambda: fg.grad(lambda p: p["b"])({"a": 1.0, "b": True}), r"\['b'\] is bool"),
        (lambda: fg.grad(lambda x: x)("text"), "argument 'x'"),
        (lambda: fg.grad(lambda s, x: x, argnums=1)("text", "more"), "argument 'x'"),
        (lambda: fg.grad(lambda x: "text")(1.0), "<lambda> returned 'text'"),
        (lambda: fg.grad(3.0), "grad takes a function"),
        (lambda: fg.vjp(3.0, 1.0), "vjp takes a function"),
        (lambda: fg.jacfwd(lambda x: x)(3), "real float"),
        (lambda: fg.jacrev(lambda x: x)(3), "real float"),
    ],
)
def test_what_has_no_gradient_is_refused_in_words(make, words):
    with pytest.raises(FuncgradError, match=words):
        make()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_gradients_have_the_dtype_of_the_argument(dtype):
    x = jnp.asarray([1.0, 2.0], dtype)
    assert fg.grad(wavy)(x).dtype == x.dtype
    assert fg.jit(fg.grad(wavy))(x).dtype == x.dtype
    assert fg.jvp(wavy, (x,), (x,))[1].dtype == x.dtype


def test_gradients_of_mixed_dtypes_go_back_to_each_argument():
    a, b = jnp.asarray(X, "float32"), jnp.asarray(X, "float64")
    ga, gb = fg.grad(lambda a, b: jnp.sum(a * b), argnums=(0, 1))(a, b)
    assert (ga.dtype, gb.dtype) == (np.float32, np.float64)


def test_a_constant_function_has_zero_gradient():
    close(fg.grad(lambda x: 3.0)(1.0), 0.0)
    close(fg.grad(lambda x: jnp.sum(jnp.zeros(3)))(X), np.zeros(3))
    close(fg.jacfwd(lambda x: jnp.ones(2))(X), np.zeros((2, 3)))
    close(fg.jacrev(lambda x: jnp.ones(2))(X), np.zeros((2, 3)))
    close(fg.jvp(lambda x: 3.0, (1.0,), (1.0,)), (3.0, 0.0))
    close(fg.linearize(lambda x: 3.0, 1.0)[1](1.0), 0.0)


def test_the_same_argument_used_twice_gets_the_sum():
    close(fg.grad(lambda x: x + x + x)(1.0), 3.0)
    close(fg.grad(lambda x: x)(1.0), 1.0)
    close(fg.vjp(lambda x: (x, x), 1.0)[1]((2.0, 3.0)), (5.0,))


def test_grad_keeps_the_name_and_docstring_of_the_function():
    def model(x):
        """A model."""
        return x

    assert "model" in fg.grad(model).__name__
    assert fg.grad(model).__doc__ == "A model."
    close(fg.grad(functools.partial(product, b=2.0))(3.0), 36.0)


# ---------------------------------------------------------------------------------------- values in hand
def test_python_control_flow_on_values_works_under_grad(capsys):
    def f(x):
        if x > 0:
            y = jnp.sin(x)
        else:
            y = -x * 2
        while y < 10:
            y = y * 3
        for _ in range(int(x) + 2):
            y = y + x
        print(f"{y:.3f}", float(y), y.item())
        assert y.tolist() == float(y)
        return y * math.floor(x) if x > 100 else y

    x = 0.5
    close(fg.grad(f)(x), 27 * np.cos(x) + 2)
    close(fg.grad(f)(-3.0), -6.0)
    close(fg.grad(fg.grad(f))(x), -27 * np.sin(x))
    shown = capsys.readouterr().out.splitlines()[0].split()
    assert shown[0] == f"{float(shown[1]):.3f}" and shown[1] == shown[2]


def test_control_flow_on_array_elements_works_under_grad():
    def f(x):
        total = 0.0
        for i in range(len(x)):
            if x[i] > 0:
                total = total + x[i] ** 2
        for row in x:
            total = total + row
        return total

    close(fg.grad(f)(X), np.where(X > 0, 2 * X, 0) + 1)
    assert bool(fg.jvp(lambda x: x if x.sum() else -x, (X,), (X,))[1].any())


def test_an_int_in_hand_indexes_a_list():
    layers = [lambda x: x * 2, lambda x: x * 3]
    close(fg.grad(lambda x, i: layers[i](x))(1.0, jnp.asarray(1)), 3.0)
    close(fg.grad(lambda x: layers[int(x)](x))(1.0), 3.0)


# -------------------------------------------------------------------------------------- vjp, jvp, linearize
def test_vjp_gives_value_and_a_pullback_that_can_be_called_again():
    value, pullback = fg.vjp(lambda x, y: (x * y, jnp.sin(y)), X, 2 * X)
    close(value, (X * 2 * X, np.sin(2 * X)))
    for scale in (1.0, 3.0):
        ct = (np.full(3, scale, np.float32), X)
        close(pullback(ct), (scale * 2 * X, scale * X + np.cos(2 * X) * X))
    batched = fg.vmap(lambda ct: pullback((ct, ct)))(np.eye(3, dtype=np.float32))
    assert batched[0].shape == (3, 3)


def test_pullbacks_refuse_cotangents_that_do_not_fit():
    _, pullback = fg.vjp(lambda x: (x, x), X)
    with pytest.raises(ArgumentError, match="structure"):
        pullback(X)
    with pytest.raises(ShapeError, match=r"f32\[3\]"):
        pullback((X, X[:2]))
    with pytest.raises(DTypeError, match="astype"):
        pullback((X, X.astype(np.float16)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_python_number_as_cotangent_or_tangent_takes_the_dtype_that_is_needed(dtype):
    x = dtype(2.0)
    for ct in (1.0, 1):
        (got,) = fg.vjp(lambda x: -x, x)[1](ct)
        assert got.dtype == dtype and float(got) == -1
        _, tangent = fg.jvp(lambda x: -x, (x,), (ct,))
        assert tangent.dtype == dtype and float(tangent) == -1
        assert fg.linearize(lambda x: -x, x)[1](ct).dtype == dtype


def test_integer_outputs_and_inputs_of_vjp_and_jvp_have_float0_partners():
    _, pullback = fg.vjp(lambda x, n: (x * n, n), 2.0, 3)
    gx, gn = pullback((1.0, np.zeros((), fg.dtypes.float0)))
    close(gx, 3.0)
    assert gn.dtype == fg.dtypes.float0
    _value, tangent = fg.jvp(lambda x, n: (x * n, n), (2.0, 3), (1.0, np.zeros((), fg.dtypes.float0)))
    close(tangent[0], 3.0)
    assert tangent[1].dtype == fg.dtypes.float0
    with pytest.raises(DTypeError, match="float0"):
        fg.jvp(lambda n: n, (3,), (1,))


def test_jvp_is_the_directional_derivative_on_trees():
    primals = ({"a": X, "b": 2.0},)
    tangents = ({"a": X * 0 + 1, "b": 3.0},)
    value, tangent = fg.jvp(lambda p: [p["a"] * p["b"], p["b"]], primals, tangents)
    close(value, [X * 2, 2.0])
    close(tangent, [2.0 + 3 * X, 3.0])
    value, tangent = fg.jvp(lambda x: x, [X], [X])
    close(tangent, X)


@pytest.mark.parametrize(
    ("primals", "tangents", "words"),
    [
        (1.0, (1.0,), "tuple or a list"),
        ((1.0,), 1.0, "tuple or a list"),
        ((1.0,), (1.0, 2.0), "structure"),
        ((1.0,), ({"a": 1.0},), "structure"),
        ((X,), (X[:2],), "shapes differ"),
        ((X,), (X.astype(np.float16),), "astype"),
        (("text",), (1.0,), "text"),
    ],
)
def test_jvp_refuses_tangents_that_do_not_fit(primals, tangents, words):
    with pytest.raises(FuncgradError, match=words):
        fg.jvp(lambda x: x, primals, tangents)


def test_linearize_runs_the_function_once():
    calls = []

    def f(x, y):
        calls.append(1)
        return jnp.sin(x) * y, {"s": jnp.sum(x)}

    value, linear = fg.linearize(f, X, 2.0)
    close(value, (np.sin(X) * 2, {"s": X.sum()}))
    for t in (1.0, -2.0):
        expected = fg.jvp(f, (X, 2.0), (t * X, t))[1]
        close(linear(t * X, t), expected)
    assert len(calls) == 3
    close(fg.vmap(linear, in_axes=(0, None))(np.eye(3, dtype=np.float32), 0.0)[0], np.diag(2 * np.cos(X)))
    close(fg.jit(linear)(X, 1.0), linear(X, 1.0))
    with pytest.raises(ArgumentError, match="structure"):
        linear(X)
    with pytest.raises(ShapeError):
        linear(X[:2], 1.0)


def test_linear_transpose_is_the_adjoint():
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    transposed = fg.linear_transpose(lambda x: matrix @ x, fg.ShapeDtypeStruct((3,), np.float32))
    close(transposed(np.ones(2, np.float32)), (matrix.T @ np.ones(2),))
    close(fg.linear_transpose(lambda x, y: (x + y, 2 * y), X, X)((X, X)), (X, 3 * X))
    with pytest.raises(NotDifferentiableError):
        fg.linear_transpose(lambda x: jnp.sin(x), X)(X)


# ------------------------------------------------------------------------------------------------ Jacobians
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wrap", TRANSFORMS)
def test_jacobians_have_the_layout_output_then_input(mode, wrap):
    jac, w = MODES[mode], TRANSFORMS[wrap]

    def f(p, y):
        return {"m": jnp.outer(p["x"], y), "s": jnp.sum(p["x"]) * p["k"]}

    p, y = {"x": X, "k": np.float32(2.0)}, np.array([1.0, 5.0], np.float32)
    got = w(jac(w(f), argnums=(0, 1)))(p, y)
    eye3, eye2 = np.eye(3), np.eye(2)
    expected = {
        "m": (
            {"x": np.einsum("ik,j->ijk", eye3, y), "k": np.zeros((3, 2))},
            np.einsum("i,jk->ijk", X, eye2),
        ),
        "s": ({"x": np.full(3, 2.0), "k": X.sum()}, np.zeros(2)),
    }
    close(got, expected)
    close(w(jac(w(f)))(p, y), {k: v[0] for k, v in expected.items()})
    close(w(jac(w(f), argnums=-1))(p, y), {k: v[1] for k, v in expected.items()})


def test_jacobians_of_dtypes_and_scalars():
    for jac in MODES.values():
        close(jac(lambda x: x**2)(3.0), 6.0)
        assert jac(jnp.sin)(np.float64(1.0)).dtype == np.float64
        assert jac(jnp.sin)(np.zeros((2, 0, 3), np.float32)).shape == (2, 0, 3, 2, 0, 3)
    assert fg.jacobian is fg.jacrev


@pytest.mark.parametrize("inner", MODES)
@pytest.mark.parametrize("outer", MODES)
@pytest.mark.parametrize("wrap", TRANSFORMS)
def test_second_derivatives_agree_in_every_order_of_modes(inner, outer, wrap):
    w = TRANSFORMS[wrap]
    got = w(MODES[outer](w(MODES[inner](w(wavy)))))(X)
    x = X.astype(np.float64)
    t = np.tanh(x)
    expected = -np.sin(x) * t + 2 * np.cos(x) * (1 - t**2) - 2 * np.sin(x) * t * (1 - t**2)
    close(got, np.diag(expected), 1e-4)


def test_hessians_of_trees_and_argnums():
    def f(p, y):
        return p["a"] ** 2 * y + jnp.sum(p["b"] * p["a"])

    p = {"a": 2.0, "b": X}
    got = fg.hessian(f, argnums=(0, 1))(p, 3.0)
    zeros, ones = np.zeros(3), np.ones(3)
    by_p = {"a": ({"a": 6.0, "b": ones}, 4.0), "b": ({"a": ones, "b": np.zeros((3, 3))}, zeros)}
    close(got, (by_p, ({"a": 4.0, "b": zeros}, 0.0)))


# --------------------------------------------------------------------------------------- nesting, confusion
@pytest.mark.parametrize("depth", range(1, 6))
@pytest.mark.parametrize("wrap", TRANSFORMS)
def test_derivatives_nest(depth, wrap):
    f, expected = jnp.sin, [np.sin, np.cos, lambda x: -np.sin(x), lambda x: -np.cos(x)][depth % 4]
    for _ in range(depth):
        f = fg.grad(TRANSFORMS[wrap](f))
    close(f(0.7), expected(0.7))


def derivative(f, mode):
    if mode == "forward":
        return lambda x: fg.jvp(f, (x,), (1.0,))[1]
    if mode == "reverse":
        return fg.grad(f)
    if mode == "linear":
        return lambda x: fg.linearize(f, x)[1](1.0)
    return lambda x: fg.vjp(f, x)[1](1.0)[0]


KINDS = ["forward", "reverse", "linear", "pullback"]


@pytest.mark.parametrize("inner", KINDS)
@pytest.mark.parametrize("outer", KINDS)
@pytest.mark.parametrize("wrap", TRANSFORMS)
def test_perturbations_of_nested_derivatives_are_not_confused(inner, outer, wrap):
    w = TRANSFORMS[wrap]
    # d/dx (x * d/dy (x + y)) = 1, where confusing the two perturbations gives 2
    close(derivative(w(lambda x: x * derivative(w(lambda y: x + y), inner)(1.0)), outer)(1.0), 1.0)
    # d/dx (x * d/dy (x * y)) = 2 x
    close(derivative(w(lambda x: x * derivative(w(lambda y: x * y), inner)(2.0)), outer)(3.0), 6.0)
    # d/dx of d/dy (x**2 * y**3) at y = x is 3 x**2 * 2 x + ... = 12 x**3
    close(derivative(w(lambda x: derivative(w(lambda y: x**2 * y**3), inner)(x)), outer)(2.0), 96.0)
    # three variables, each of its own derivative
    close(
        derivative(
            lambda x: derivative(lambda y: derivative(lambda z: x * y * z, inner)(x), inner)(x), outer
        )(3.0),
        1.0,
    )


def test_a_gradient_is_stopped_only_where_it_is_said():
    close(fg.grad(lambda x: x * fg.lax.stop_gradient(x))(3.0), 3.0)
    close(fg.grad(lambda x: fg.grad(lambda y: fg.lax.stop_gradient(y) * y * x)(x))(3.0), 3.0)
    tree = fg.lax.stop_gradient({"a": X, "n": 3, "none": None})
    assert tree["n"] == 3 and tree["none"] is None


@pytest.mark.parametrize("outer", ["jit", "vmap", "checkpoint", "grad"])
@pytest.mark.parametrize("inner", ["jit", "vmap", "checkpoint", "grad"])
@pytest.mark.parametrize("innermost", ["jit", "vmap", "checkpoint"])
def test_transforms_nest_in_every_order(outer, inner, innermost):
    wrappers = {
        "jit": fg.jit,
        "checkpoint": fg.checkpoint,
        "vmap": fg.vmap,
        "grad": lambda f: fg.grad(lambda x: jnp.sum(f(x))),
    }
    names = (innermost, inner, outer)

    def f(x):
        return jnp.sin(x) * x**2

    for name in names:
        f = wrappers[name](f)
    x = (
        np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 4)
        if names.count("vmap") < 3
        else np.ones((2, 2, 2), np.float32)
    )
    d = x.astype(np.float64)
    derivatives = [
        np.sin(d) * d**2,
        np.cos(d) * d**2 + 2 * d * np.sin(d),
        -np.sin(d) * d**2 + 4 * d * np.cos(d) + 2 * np.sin(d),
    ]
    close(f(x), derivatives[names.count("grad")], 1e-5)


def test_closures_over_tracers_of_every_outer_transform():
    def f(scale):
        inner = fg.jit(lambda x: x * scale)
        return jnp.sum(fg.vmap(lambda v: inner(v) * scale)(X)) + fg.grad(lambda y: inner(y) ** 2)(2.0)

    expected = 2 * 3.0 * X.sum() + 8 * 3.0
    close(fg.grad(f)(3.0), expected, 1e-4)
    close(fg.jit(fg.grad(f))(3.0), expected, 1e-4)
    close(fg.grad(fg.jit(f))(3.0), expected, 1e-4)
    close(fg.vmap(fg.grad(f))(np.array([3.0, 3.0], np.float32)), np.full(2, expected), 1e-4)
    close(fg.jvp(fg.checkpoint(f), (3.0,), (1.0,))[1], expected, 1e-4)


def test_a_tracer_that_is_only_closed_over_is_differentiated():
    close(fg.grad(lambda x: fg.vmap(lambda i: x * i)(X).sum())(2.0), X.sum())
    close(fg.grad(lambda x: fg.vmap(lambda i: x, axis_size=4, in_axes=None)(1.0).sum())(2.0), 4.0)
    close(fg.grad(lambda x: fg.jit(lambda: x * x)())(2.0), 4.0)


# --------------------------------------------------------------------- JAX's cookbook, in funcgrad's words
def test_logistic_regression_of_the_cookbook():
    def sigmoid(x):
        return 0.5 * (jnp.tanh(x / 2) + 1)

    inputs = jnp.array([[0.52, 1.12, 0.77], [0.88, -1.08, 0.15], [0.52, 0.06, -1.30], [0.74, -2.49, 1.39]])
    targets = jnp.array([True, True, False, True])

    def loss(w, b):
        p = sigmoid(jnp.dot(inputs, w) + b)
        return -jnp.sum(jnp.log(p * targets + (1 - p) * (1 - targets)))

    w, b = jnp.array([0.1, -0.3, 0.5]), jnp.asarray(0.2, jnp.float32)
    _value, (gw, gb) = fg.value_and_grad(loss, (0, 1))(w, b)
    step = 1e-2
    close(gb, (loss(w, b + step) - loss(w, b - step)) / (2 * step), 1e-3)
    unit = jnp.array([0.0, 1.0, 0.0])
    close(gw[1], (loss(w + step * unit, b) - loss(w - step * unit, b)) / (2 * step), 1e-3)

    def hvp(f, x, v):
        return fg.grad(lambda x: jnp.vdot(fg.grad(f)(x), v))(x)

    def hvp_forward_over_reverse(f, primals, tangents):
        return fg.jvp(fg.grad(f), primals, tangents)[1]

    def f(w):
        return loss(w, b)

    full = fg.hessian(f)(w) @ unit
    close(hvp(f, w, unit), full, 1e-4)
    close(hvp_forward_over_reverse(f, (w,), (unit,)), full, 1e-4)

    def vmap_mjp(f, x, m):
        _, pullback = fg.vjp(f, x)
        return fg.vmap(pullback)(m)[0]

    def predict(w):
        return sigmoid(inputs @ w + b)

    m = jnp.ones((2, 4))
    close(vmap_mjp(predict, w, m), m @ fg.jacrev(predict)(w), 1e-4)


def test_check_grads_has_the_module_that_jax_has_it_in():
    from funcgrad.test_util import check_grads

    check_grads(jnp.sin, (jnp.array([0.5, 1.0]),), order=2, modes=("fwd", "rev"))
    with pytest.raises(AssertionError):
        check_grads(lambda x: fg.lax.stop_gradient(x) * x, (jnp.array(2.0),), order=1)


def test_pullbacks_and_linear_functions_are_trees_of_their_residuals():
    def f(x):
        return jnp.sum(x**3), {"y": jnp.sin(x)}

    cotangent, x = (np.float32(2), {"y": np.ones(3, np.float32)}), X
    expected = fg.vjp(f, x)[1](cotangent)[0]
    for _ in range(2):  # the second time from the cache
        _, pullback = fg.jit(lambda x: fg.vjp(f, x))(x)
        close(pullback(cotangent)[0], expected)
    close(fg.jit(lambda pull, ct: pull(ct))(pullback, cotangent)[0], expected)
    _, rows = fg.vmap(lambda x: fg.vjp(f, x))(np.stack([x, 2 * x]))
    close(fg.vmap(lambda pull: pull(cotangent)[0])(rows)[0], expected)
    assert all(isinstance(leaf, fg.Array) for leaf in fg.tree.leaves(pullback))

    _, push = fg.jit(lambda x: fg.linearize(f, x))(x)
    close(push(x)[1]["y"], np.cos(x) * x)

    def through(x):
        _, pull = fg.jit(lambda x: fg.vjp(f, x))(x)
        return jnp.sum(pull(cotangent)[0])

    close(fg.grad(through)(x), 12 * x - np.sin(x))
