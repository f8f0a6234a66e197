"""The text of a graph parses back to an equal graph."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.errors import GraphError
from funcgrad.ir.hash import graph_hash, same_structure
from funcgrad.ir.text import format_graph, parse_graph, var_names

X = np.linspace(0.1, 1.0, 6, dtype=np.float32).reshape(2, 3)
PROGRAMS = {
    "arithmetic": lambda x: fnp.sin(x) * 2 + x**3,
    "gradient of jit": fg.grad(fg.jit(lambda x: fnp.sum(fnp.tanh(x) @ x.T))),
    "checkpoint": fg.grad(fg.checkpoint(lambda x: fnp.sum(fnp.exp(x)))),
    "vmap": fg.vmap(lambda row: row[::-1].cumsum() if hasattr(row, "cumsum") else row[::-1]),
    "gather and scatter": lambda x: x.at[np.array([1, 0])].add(x[:, np.array([2, 0, 1])]),
    "complex literals": lambda x: (
        (x + np.complex64(complex(-0.0, 2.0))) * np.complex64(complex(np.inf, np.nan))
    ),
    "special literals": lambda x: fnp.where(x > np.inf, -0.0, fnp.maximum(x, -np.inf)),
    "bfloat16": lambda x: x.astype("bfloat16") * 2,
    "scan": lambda x: fg.lax.scan(lambda c, row: (c + row, c * row), x[0], x),
    "more variables than letters": lambda x: sum((fnp.sin(x * k) for k in range(300)), x),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_parsing_gives_an_equal_graph(name):
    graph = fg.make_graph(PROGRAMS[name])(X).graph
    text = format_graph(graph)
    again = parse_graph(text)
    assert same_structure(graph, again)
    assert format_graph(again, sources=False) == format_graph(graph, sources=False)


def test_names_of_variables_are_no_words_of_the_text():
    supply = var_names()
    names = {next(supply) for _ in range(20_000)}
    assert len(names) == 20_000
    assert not names & {"in", "let", "inf", "nan"}


def test_the_hash_sees_edges_parameters_and_the_sign_of_zero():
    def hashed(f):
        return graph_hash(fg.make_graph(f)(X, X).graph)

    base = hashed(lambda x, y: fnp.sin(x) - y)
    assert base == hashed(lambda a, b: fnp.sin(a) - b)
    assert base != hashed(lambda x, y: y - fnp.sin(x))
    assert hashed(lambda x, y: x.sum(0)) != hashed(lambda x, y: x.sum(1))
    assert hashed(lambda x, y: x + 0.0) != hashed(lambda x, y: x + -0.0)


@pytest.mark.parametrize(
    "text",
    ["", "{ lambda f ; a:f32[]. let", "{ lambda f ; . let in (a,) }", "{ lambda f ; a:f99[]. let in (a,) }"],
)
def test_other_text_is_refused(text):
    with pytest.raises(GraphError):
        parse_graph(text)
