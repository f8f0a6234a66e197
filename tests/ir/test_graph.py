"""Graphs as values: what the verifier refuses, that text reads back, what the hash tells apart."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad.dtypes import ALL, bfloat16, complex64, float32, float64, int32
from funcgrad.errors import GraphError, PrimitiveError
from funcgrad.ir.graph import Equation, Graph, Literal, Var
from funcgrad.ir.hash import graph_hash, same_structure
from funcgrad.ir.primitive import PRIMITIVES
from funcgrad.ir.text import format_graph, parse_graph, var_names
from funcgrad.ir.types import array_type
from funcgrad.ir.verify import verify
from funcgrad.passes import pipeline

V3, S = array_type((3,), float32), array_type((), float32)
ADD, MUL, SIN, SUM, NEG = (PRIMITIVES[n] for n in ("add", "mul", "sin", "reduce_sum", "neg"))


def eq(primitive, inputs, outputs, **params):
    return Equation(primitive, inputs, outputs, params)


# --------------------------------------------------------------------------------------------- the verifier
def bad_graphs():
    a, b, c, s = Var(V3), Var(V3), Var(V3), Var(S)
    inner_bad = Graph((a,), (), (b,))
    jit = PRIMITIVES["jit"]
    return {
        "read before defined": (Graph((a,), (eq(SIN, [b], [c]),), (c,)), "before it is defined"),
        "read by itself": (Graph((a,), (eq(ADD, [a, c], [c]),), (c,)), "before it is defined"),
        "defined later": (Graph((a,), (eq(SIN, [b], [c]), eq(SIN, [a], [b])), (c,)), "before it is defined"),
        "output undefined": (Graph((a,), (), (b,)), "output of type f32\\[3\\] is never defined"),
        "defined twice": (Graph((a,), (eq(SIN, [a], [b]), eq(SIN, [a], [b])), (b,)), "second time"),
        "input twice": (Graph((a, a), (), (a,)), "second time"),
        "input redefined": (Graph((a,), (eq(SIN, [a], [a]),), (a,)), "second time"),
        "wrong shape": (Graph((a,), (eq(SIN, [a], [s]),), (s,)), "type rule gives"),
        "wrong dtype": (
            Graph((a,), (eq(SIN, [a], [d := Var(array_type((3,), float64))]),), (d,)),
            "type rule gives",
        ),
        "too few outputs": (Graph((a,), (eq(SIN, [a], []),), ()), "outputs are"),
        "too many outputs": (Graph((a,), (eq(SIN, [a], [b, c]),), (b,)), "outputs are"),
        "operands that do not fit": (
            Graph((a, d2 := Var(array_type((4,), float32))), (eq(ADD, [a, d2], [b]),), (b,)),
            "equation 0, add",
        ),
        "a bad axis": (Graph((a,), (eq(SUM, [a], [s], axes=(1,)),), (s,)), "equation 0, reduce_sum"),
        "a literal with a shape": (
            Graph((a,), (eq(ADD, [a, literal_with_shape()], [b]),), (b,)),
            "literal that is not a scalar",
        ),
        "a bad subgraph": (
            Graph((c,), (eq(jit, [c], [b], graph=inner_bad, name="f"),), (b,)),
            "never defined",
        ),
    }


def literal_with_shape():
    literal = Literal(0.0, S)
    literal.type = V3
    return literal


@pytest.mark.parametrize("name", bad_graphs())
def test_the_verifier_refuses(name):
    graph, words = bad_graphs()[name]
    with pytest.raises(GraphError, match=words):
        verify(graph)


def test_the_verifier_runs_after_every_pass_when_asked():
    a, s = Var(V3), Var(S)
    bad = Graph((a,), (eq(SIN, [a], [s]),), (s,))
    with fg.config.using(verify=True), pytest.raises(GraphError):
        pipeline.run(bad)


# ------------------------------------------------------------------------------------------- text and hash
def programs():
    x, m = np.ones(3, np.float32), np.ones((2, 3), np.float32)

    def mlp(p, x):
        return jnp.sum(jnp.tanh(x @ p["w"]) @ p["v"])

    params = {"w": np.ones((3, 4), np.float32), "v": np.ones(4, np.float32)}

    def many(x):
        return sum([jnp.sin(x) for _ in range(400)], x)

    return {
        "nothing": (lambda: (), ()),
        "identity": (lambda x: x, (x,)),
        "a constant output": (lambda: (1.0, 2, True, 3j), ()),
        "weak scalars": (lambda a, b: a * b, (2.0, 3)),
        "elementwise": (lambda x: jnp.sin(x) * 2 + x / 3 - 1e-20, (x,)),
        "special literals": (
            lambda x: (x * np.float32("inf"), x * -np.inf, x + np.float32("nan"), x * -0.0, x + 1e30),
            (x,),
        ),
        "complex literals": (
            lambda x: (x * 1j, x * (1 + 2j), x * (-1 - 2j), x * complex(-0.0, -0.0), x * complex(0, -1)),
            (x.astype(np.complex64),),
        ),
        "integer literals": (lambda x: (x + 127, x + (-128), x % 7, -x), (np.ones(3, np.int8),)),
        "big integers": (lambda x: x + (2**62 + 1), (np.ones(3, np.int64),)),
        "booleans": (lambda x: (x > 0) & True | jnp.isnan(x), (x,)),
        "shapes": (
            lambda m: (m.T, m.reshape(3, 2), m[:, 1:], m[::-1], jnp.pad(m, 1), jnp.concatenate([m, m])),
            (m,),
        ),
        "indexing": (
            lambda m, i: (
                m[i],
                m[np.array([0, 1]), np.array([1, 2])],
                m.at[i].add(1.0),
                jnp.take(m, i, axis=1),
            ),
            (m, 1),
        ),
        "reductions": (lambda m: (m.sum(0), m.max(), m.argmin(1), m.prod(), (m > 0).all()), (m,)),
        "products": (lambda m, x: (m @ x, m.T @ m, jnp.einsum("ij,kj->ik", m, m)), (m, x)),
        "conversions": (lambda x: [x.astype(d) for d in ("int32", "bfloat16", "float64", "bool")], (x,)),
        "jit": (lambda x: fg.jit(lambda y: fg.jit(jnp.sin)(y) * y)(x) + 1, (x,)),
        "closures": (lambda x: x * jnp.asarray([1.0, 2.0, 3.0]), (x,)),
        "gradient": (fg.grad(mlp), (params, m)),
        "jitted gradient": (fg.grad(fg.jit(mlp)), (params, m)),
        "checkpoint": (fg.grad(fg.checkpoint(mlp)), (params, m)),
        "hessian": (fg.hessian(lambda x: jnp.sum(jnp.exp(x) * x)), (x,)),
        "vmap": (fg.vmap(fg.grad(fg.jit(lambda x: jnp.sum(x**3)))), (m,)),
        "softmax": (lambda m: fg.nn.softmax(m), (m,)),
        "more variables than letters": (many, (x,)),
        "names": (functools_partial_name(), (x,)),
    }


def functools_partial_name():
    def in_(x):
        return x

    in_.__name__ = "1 in let"
    return in_


@pytest.mark.parametrize("name", programs())
@pytest.mark.parametrize("sources", [False, True])
def test_text_reads_back_as_the_same_graph(name, sources):
    function, args = programs()[name]
    graph = fg.make_graph(function)(*args).graph
    text = format_graph(graph, sources)
    again = parse_graph(text)
    verify(again)
    assert graph_hash(again) == graph_hash(graph)
    assert format_graph(again, False) == format_graph(graph, False)
    assert same_structure(again, graph)
    optimized = pipeline.run(graph)
    assert graph_hash(parse_graph(format_graph(optimized))) == graph_hash(optimized)


def test_the_text_of_a_small_graph():
    graph = fg.make_graph(lambda x: jnp.sum(x * 2.0))(np.ones(8, np.float32))
    assert format_graph(graph, sources=False) == (
        "{ lambda _lambda_ ; a:f32[8]. let\n"
        "    b:f32[8] = mul a 2.0:f32[]\n"
        "    c:f32[] = reduce_sum[axes=(0,)] b\n"
        "  in (c,) }"
    )
    assert "test_graph.py:" in format_graph(graph)


def test_variables_never_have_the_name_of_a_word():
    supply = var_names()
    names = [next(supply) for _ in range(30000)]
    assert len(set(names)) == len(names)
    assert not {"in", "let", "lambda", "inf", "nan", "True", "False", "None"} & set(names)


@pytest.mark.parametrize("dtype", ALL, ids=str)
def test_literals_of_every_dtype_read_back(dtype):
    numbers = [0, 1] if dtype.kind == "b" else [0, 1, 3, 100]
    values = [dtype.type(n) for n in numbers]
    if dtype.kind in "fc" or dtype == bfloat16:
        values += [dtype.type(v) for v in (-0.0, 0.1, 1e-3, float("inf"), float("-inf"), float("nan"), 3.0e4)]
    if dtype.kind == "c":
        values += [
            dtype.type(complex(a, b)) for a in (0.0, -0.0, 1.5, np.inf) for b in (0.0, -0.0, -2.5, -np.inf)
        ]
    if dtype.kind in "iu":
        values += [np.iinfo(dtype).max, np.iinfo(dtype).min]
    t = array_type((), dtype)
    graph = Graph((), (), tuple(Literal(v, t) for v in values))
    again = parse_graph(format_graph(graph))
    for a, b in zip(graph.outputs, again.outputs):
        assert a.key() == b.key(), (a, b)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "{ lambda f ; a:f32[3]. let in (a,) } x",
        "{ lambda f ; a:f33[3]. let in (a,) }",
        "{ lambda f ; a:f32[3]. let in (b,) }",
        "{ lambda f ; a:f32[3]. let b:f32[3] = sin c in (b,) }",
        "{ lambda f ; a:f32[x]. let in (a,) }",
        "{ lambda f ; a:f32[3]. let b:f32[3] = sin[k=<fn>] a in (b,) }",
        "{ lambda f ; a:f32[3]. let b:f32[3] = sin[k=word] a in (b,) }",
        "{ lambda f ; a:f32[3]. let b:f32[3] = sin a in (b, }",
        "$",
        "{ lambda f ; a:f32[3]. let b:f32[3] = ",
    ],
)
def test_text_that_is_no_graph_is_refused(text):
    with pytest.raises(GraphError):
        parse_graph(text)


def test_an_unknown_primitive_is_named():
    with pytest.raises((GraphError, PrimitiveError), match="frobnicate"):
        parse_graph("{ lambda f ; a:f32[3]. let b:f32[3] = frobnicate a in (b,) }")


def make(equations, outputs, inputs="a:f32[3] b:f32[3]"):
    return parse_graph(f"{{ lambda f ; {inputs}. let {equations} in ({outputs},) }}")


BASE = make("c:f32[3] = mul a b d:f32[3] = sin c e:f32[] = reduce_sum[axes=(0,)] d", "e")


@pytest.mark.parametrize(
    "other",
    [
        make("c:f32[3] = mul b a d:f32[3] = sin c e:f32[] = reduce_sum[axes=(0,)] d", "e"),
        make("c:f32[3] = mul a a d:f32[3] = sin c e:f32[] = reduce_sum[axes=(0,)] d", "e"),
        make("c:f32[3] = mul a b d:f32[3] = sin b e:f32[] = reduce_sum[axes=(0,)] d", "e"),
        make("c:f32[3] = mul a b d:f32[3] = sin c e:f32[] = reduce_sum[axes=(0,)] c", "e"),
        make("c:f32[3] = mul a b d:f32[3] = cos c e:f32[] = reduce_sum[axes=(0,)] d", "e"),
        make("c:f32[3] = mul a b d:f32[3] = sin c e:f32[] = reduce_max[axes=(0,)] d", "e"),
        make("c:f32[3] = mul a b d:f32[3] = sin c e:f32[3] = reduce_sum[axes=()] d", "e"),
        make("c:f32[3] = mul a b d:f32[3] = sin c e:f32[] = reduce_sum[axes=(0,)] d", "d"),
        make("c:f32[3] = mul a b d:f32[3] = sin c e:f32[] = reduce_sum[axes=(0,)] d", "e, e"),
        make(
            "c:f32[4] = mul a b d:f32[4] = sin c e:f32[] = reduce_sum[axes=(0,)] d", "e", "a:f32[4] b:f32[4]"
        ),
        make(
            "c:f64[3] = mul a b d:f64[3] = sin c e:f64[] = reduce_sum[axes=(0,)] d", "e", "a:f64[3] b:f64[3]"
        ),
        make(
            "c:f32[3] = mul a b d:f32[3] = sin c e:f32[] = reduce_sum[axes=(0,)] d",
            "e",
            "a:f32[3] b:f32[3] z:f32[]",
        ),
    ],
)
def test_the_hash_sees_edges_operations_params_types_and_outputs(other):
    assert graph_hash(other) != graph_hash(BASE)
    assert not same_structure(other, BASE)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("0.0:f32[]", "-0.0:f32[]"),
        ("1.0:f32[]", "1.0:f32[]~"),
        ("1.0:f32[]", "2.0:f32[]"),
        ("nan:f32[]", "inf:f32[]"),
    ],
)
def test_the_hash_sees_literals_by_their_bits(one, two):
    assert graph_hash(make(f"c:f32[3] = mul a {one}", "c")) != graph_hash(
        make(f"c:f32[3] = mul a {two}", "c")
    )
    assert graph_hash(make(f"c:f32[3] = mul a {one}", "c")) == graph_hash(
        make(f"q:f32[3] = mul a {one}", "q")
    )


def test_the_hash_does_not_see_names_and_sources():
    one = fg.make_graph(lambda x: jnp.sin(x) * 2)(np.ones(3, np.float32)).graph

    def another(y):
        return jnp.sin(y) * 2

    two = fg.make_graph(another)(np.zeros(3, np.float32)).graph
    assert graph_hash(one) == graph_hash(two)
    assert str(one) != str(two)


def test_the_hash_is_the_same_in_another_process():
    script = (
        "import funcgrad as fg, numpy as np, funcgrad.numpy as jnp; from funcgrad.ir.hash import graph_hash;"
        "print(graph_hash(fg.make_graph(fg.grad(lambda m: jnp.sum(m.sum(0)**2)))(np.ones((2, 3), np.float32)).graph))"
    )
    here = fg.make_graph(fg.grad(lambda m: jnp.sum(m.sum(0) ** 2)))(np.ones((2, 3), np.float32)).graph
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == graph_hash(here)


def test_graphs_are_pickled_with_their_structure():
    graph = fg.make_graph(fg.grad(lambda x: jnp.sum(fg.jit(jnp.sin)(x))))(np.ones(3, np.float32)).graph
    assert same_structure(pickle.loads(pickle.dumps(graph)), graph)


def test_code_as_a_parameter_has_no_hash():
    f = fg.custom_jvp(jnp.sin)
    f.defjvps(lambda t, out, x: t)
    with pytest.raises(TypeError, match="has no hash"):
        graph_hash(fg.make_graph(f)(1.0).graph)


def test_types_print_and_compare():
    cases = [
        ((8, 3), float32, False, "f32[8,3]"),
        ((), int32, True, "i32[]~"),
        ((0,), complex64, False, "c64[0]"),
    ]
    for shape, dtype, weak, text in cases:
        t = array_type(shape, dtype, weak)
        assert (
            str(t) == text
            and t == array_type(shape, dtype, weak)
            and hash(t) == hash(array_type(shape, dtype, weak))
        )
        assert pickle.loads(pickle.dumps(t)) == t
        with pytest.raises(AttributeError):
            t.shape = ()
    assert V3 != S and V3 != "f32[3]" and array_type((), float32, True) != S
    assert array_type((), float32, True).matches(S)


def test_atoms_have_the_names_of_jax():
    closed = fg.make_jaxpr(lambda x: x * 2.0 + 1.0)(1.0)
    (mul, add) = closed.eqns
    assert mul.invars[0].aval == closed.jaxpr.invars[0].aval and add.outvars[0].aval.shape == ()
    assert [float(e.invars[1].val) for e in (mul, add)] == [2.0, 1.0]
