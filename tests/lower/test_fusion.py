"""What is fused into how many kernels, and that the kernels compute it."""

from __future__ import annotations

import functools

import numpy as np
import programs as P
import pytest
import stand_in

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import api, dtypes, lax, nn
from funcgrad.lower import heuristics
from funcgrad.lower.cpu.emit import emit
from funcgrad.lower.lowered import GemmStep, KernelStep
from funcgrad.lower.to_loops import lower
from funcgrad.trace import ops

draw, total = P.draw, P.total


def check(function, *args, kernels=None, tolerance=2e-5):
    """Lowers `function`, compares with the oracle for one and for three threads, and gives the steps."""
    graph, operands = P.graph_of(function, *args)
    lowered = lower(graph)
    expected = stand_in.evaluate(graph, operands)
    results = [stand_in.run(lowered, operands, parts) for parts in (1, 3)]
    for got, again, want in zip(*results, expected):
        assert got.dtype == want.dtype and got.shape == want.shape
        np.testing.assert_allclose(got, want, tolerance, tolerance)
        np.testing.assert_array_equal(got, again, err_msg="the result depends on how the work is split")
    if kernels is not None:
        found = [s.label for s in lowered.steps if isinstance(s, KernelStep)]
        assert len(found) == kernels, found
    return lowered


SHAPES = [(5, 13), (1, 7), (7, 1), (1, 1), (16, 64), (3, 0), (0, 4)]


@pytest.mark.parametrize("shape", SHAPES)
def test_softmax_is_one_kernel(shape):
    if shape[1]:
        check(P.softmax, draw(*shape), kernels=1 if 0 not in shape else 0)


@pytest.mark.parametrize("shape", SHAPES[:5])
def test_logsumexp_is_one_kernel(shape):
    check(P.logsumexp, draw(*shape), kernels=1)


@pytest.mark.parametrize("shape", [(5, 13), (16, 64), (3, 2)])
def test_layernorm_is_one_kernel_and_its_gradient_two(shape):
    x, gain, bias, w = draw(*shape), draw(shape[1]), draw(shape[1]), draw(*shape, seed=1)
    check(P.layernorm, x, gain, bias, kernels=1)
    loss = lambda x, g, b: total(ops.mul(P.layernorm(x, g, b), w))  # noqa: E731
    check(api.grad(loss, (0, 1, 2)), x, gain, bias, kernels=2, tolerance=1e-3)


def test_gradient_of_softmax_is_one_kernel():
    x, w = draw(5, 13), draw(5, 13, seed=1)
    check(api.grad(lambda x: total(ops.mul(P.softmax(x), w))), x, kernels=1)


def test_a_value_and_its_gradients_are_one_traversal():
    args = [np.abs(draw(50, seed=k)) + P.f32(0.5) for k in range(5)]
    lowered = check(api.grad(lambda *a: total(P.black_scholes(*a)), tuple(range(5))), *args, kernels=1)
    assert len(lowered.steps[0].writes) == 5


def test_expensive_elements_wait_in_the_output_between_passes():
    graph, _ = P.graph_of(P.softmax, draw(5, 13))
    source = emit(lower(graph).steps[0].kernel)
    assert source.count("vm.exp") == 1


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("kind", ["reduce_sum", "reduce_max", "reduce_prod"])
def test_reductions_along_any_axes(axes, kind):
    for shape in [(4, 5, 6), (1, 5, 1), (11, 3, 12)]:
        check(lambda x: ops.apply(kind, ops.mul(x, x), axes=axes), draw(*shape), kernels=1)


@pytest.mark.parametrize("axes", [(0,), (0, 1), (0, 2), (0, 1, 2)])
def test_large_reductions_combine_partial_results(axes, monkeypatch):
    monkeypatch.setattr(heuristics, "CHUNK", 16)
    monkeypatch.setattr(heuristics, "COLUMN_CHUNK", 16)
    for shape in [(31, 2, 3), (64, 1, 5), (40, 4, 1)]:
        check(lambda x: total(ops.exp(x), axes), draw(*shape))
    check(lambda x: total(ops.transpose(x, (1, 0))), draw(29, 13), kernels=2)


@pytest.mark.parametrize("columns", [2, 8, 9, 16, 33, 127, 128, 129])
def test_few_columns_are_a_constant_of_the_kernel(columns):
    """Their loop is whole vectors then: one over 16 channels, of a number that is not known, took 20 times as long."""

    def moments(x):
        mean = total(x, (0,))
        return mean, total(ops.mul(ops.exp(x), P.columns(mean, x)), (0,))

    lowered = check(moments, draw(50, columns), kernels=2)
    known = columns <= heuristics.NARROW_COLUMNS
    for step in lowered.steps:
        assert (f"in 0..{columns}:" in str(step.kernel)) == known


def test_few_elements_beside_a_row_are_a_constant_of_the_kernel():
    def shifted(x, bias):
        return ops.exp(ops.add(x, ops.broadcast_in_dim(bias, x.shape, (1,))))

    for width, known in [(16, True), (17, False)]:
        (step,) = check(shifted, draw(40, width), draw(width), kernels=1).steps
        assert (f"in 0..{width}:" in str(step.kernel)) == known
    (step,) = check(lambda x: total(x, (1,)), draw(40, 16), kernels=1).steps
    assert "in 0..n1:" in str(step.kernel)  # a sum along it unrolls into scalars where its length is known


def test_what_reads_a_column_reduction_comes_after_it():
    check(lambda x: ops.sub(x, P.columns(total(x, (0,)), x)), draw(9, 20), kernels=2)
    check(lambda x: ops.div(x, ops.broadcast_in_dim(total(x), x.shape, ())), draw(9, 20), kernels=1)


def test_elements_and_column_sums_share_a_traversal():
    def both(x, y):
        z = ops.mul(x, y)
        return z, total(z, (0,)), total(ops.mul(z, z), (0,))

    check(both, draw(9, 20), draw(9, 20, seed=1), kernels=1)


def test_a_value_used_at_other_places_is_not_in_the_same_kernel():
    def twice(x):
        y = ops.exp(x)
        return y, ops.add(y, ops.rev(y, (0,)))

    check(twice, draw(9), kernels=2)


def test_diamond_that_leaves_a_kernel_and_comes_back():
    def diamond(x):
        a = ops.exp(x)
        b = P.matmul(a, a)
        return ops.add(a, b), a

    lowered = check(diamond, draw(12, 12), kernels=2)
    assert sum(isinstance(s, GemmStep) for s in lowered.steps) == 1


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
def test_transposes_in_tiles(order, monkeypatch):
    monkeypatch.setattr(heuristics, "TILE", (4, 3))
    monkeypatch.setattr(heuristics, "LEAST_TILED", 4)
    check(lambda x: ops.transpose(x, order), draw(5, 9, 11), kernels=1)
    check(lambda x: ops.add(ops.transpose(ops.exp(x), order), P.f32(3)), draw(5, 9, 11), kernels=1)


def test_windows_that_do_not_overlap_are_one_kernel():
    """Each element is read once, so that nothing is computed twice where it is not stored."""

    def pooled(x, start, combine, window):
        return lax.reduce_window(nn.relu(x), start, combine, (1, *window, 1), (1, *window, 1), "VALID")

    for start, combine, window in ((-np.inf, lax.max, (2, 2)), (0.0, lax.add, (3, 3))):
        check(lambda x, a=(start, combine, window): pooled(x, *a), draw(2, 6, 6, 5), kernels=1)


def test_shapes_and_slices_cost_no_kernel_of_their_own():
    def shuffle(x, y):
        z = ops.reshape(ops.transpose(x, (1, 0)), (6, 2, 4))
        z = ops.rev(z, (1,))
        z = ops.concatenate([z, ops.reshape(y, (6, 1, 4))], 1)
        return ops.slice_(ops.exp(z), (1, 0, 0), (6, 3, 4), (2, 1, 3))

    check(shuffle, draw(8, 6), draw(24), kernels=1)


def test_a_reshape_is_the_same_memory():
    lowered = check(lambda x: ops.reshape(ops.exp(x), (3, 8)), draw(4, 6), kernels=1)
    assert len(lowered.steps) == 1


@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)])
def test_products_read_transposed_operands_without_copies(transposed):
    a, b = draw(20, 30), draw(30, 25)
    if transposed[0]:
        a = np.ascontiguousarray(a.T)
    if transposed[1]:
        b = np.ascontiguousarray(b.T)

    def product(a, b):
        a = ops.transpose(a, (1, 0)) if transposed[0] else a
        b = ops.transpose(b, (1, 0)) if transposed[1] else b
        return P.matmul(a, b)

    lowered = check(product, a, b, kernels=0)
    assert [type(s) for s in lowered.steps] == [GemmStep]


def test_batched_products_and_small_contractions():
    numbers = (((2,), (1,)), ((0,), (0,)))
    batched = lambda a, b: ops.apply(  # noqa: E731
        "dot_general", a, b, dimension_numbers=numbers, preferred_element_type=None
    )
    check(batched, draw(3, 5, 12), draw(3, 12, 7), kernels=0)
    check(batched, draw(3, 5, 4), draw(3, 4, 7), kernels=1)
    numbers = (((3,), (3,)), ((0, 2), (0, 2)))
    heads = lambda a, b: ops.apply(  # noqa: E731
        "dot_general", a, b, dimension_numbers=numbers, preferred_element_type=None
    )
    check(heads, draw(2, 5, 3, 16), draw(2, 6, 3, 16), kernels=0)


def test_pairs_are_never_stored():
    def forces(x):
        n = x.shape[0]
        d = ops.sub(ops.broadcast_in_dim(x, (n, n), (0,)), ops.broadcast_in_dim(x, (n, n), (1,)))
        return total(ops.div(d, ops.add(ops.mul(d, d), P.f32(0.1))), (1,))

    lowered = check(forces, draw(20), kernels=1)
    assert not lowered.temporaries


def test_reasons_are_given_in_words():
    graph, _ = P.graph_of(P.dense_relu, draw(16, 32), draw(32, 8), draw(8))
    lowered = lower(graph)
    assert [type(s) for s in lowered.steps] == [GemmStep, KernelStep]
    graph, _ = P.graph_of(lambda x: ops.sub(x, P.columns(total(x, (0,)), x)), draw(9, 20))
    assert any("reduce" in r for r in lower(graph).reasons), lower(graph).reasons


@pytest.mark.parametrize("program", ["softmax", "layernorm", "loss", "columns", "transpose"])
def test_kernels_do_not_depend_on_sizes(program):
    def sources(n, m):
        x, g, w = draw(n, m), draw(m), draw(n, m)
        function, args = {
            "softmax": (P.softmax, (x,)),
            "layernorm": (P.layernorm, (x, g, g)),
            "loss": (api.grad(lambda x: total(ops.mul(P.softmax(x), w))), (x,)),
            "columns": (lambda x: total(ops.exp(x), (0,)), (x,)),
            "transpose": (lambda x: ops.transpose(ops.exp(x), (1, 0)), (x,)),
        }[program]
        graph, _ = P.graph_of(function, *args)
        return [emit(s.kernel) for s in lower(graph).steps if isinstance(s, KernelStep)]

    first = sources(40, 150)
    assert first
    assert first == sources(33, 150) == sources(64, 164)
    if program != "layernorm":
        assert first == sources(50, 200)


def test_the_transpose_of_a_product_is_a_product():
    lowered = check(lambda a, b: ops.transpose(P.matmul(a, b), (1, 0)), draw(20, 30), draw(30, 25), kernels=0)
    assert [type(s) for s in lowered.steps] == [GemmStep]


@pytest.mark.parametrize("layers", [4, 9])
def test_equal_layers_of_a_residual_stream_share_their_kernels(layers):
    """What earlier layers have added is stored every few terms, so that no kernel gathers all of it."""

    def stream(x, y, weights):
        for k in range(layers):
            x = ops.add(x, P.matmul(P.softmax(x), weights))
            x = ops.add(x, y) if k == 0 else x
        return x

    lowered = check(stream, draw(16, 32), draw(16, 32), draw(32, 32), tolerance=2e-4)
    texts = {emit(s.kernel) for s in lowered.steps if isinstance(s, KernelStep)}
    assert len(texts) <= 5


def test_a_product_as_loops_does_not_compute_its_operands_again_for_each_column():
    x, w = draw(40, 4), draw(4, 32, seed=1)
    assert heuristics.contraction_as_loops(40, 32, 4, x.dtype) is not None
    lowered = check(lambda x, w: P.matmul(ops.exp(ops.sin(x)), w), x, w, kernels=2)
    assert "sin" not in str(lowered.steps[1].kernel)
    check(lambda x, w: P.matmul(ops.neg(x), w), x, w, kernels=1)


@pytest.mark.parametrize("dtype", [dtypes.bfloat16, dtypes.float16])
def test_products_of_16_bit_floats_are_blas_calls_in_float32(dtype):
    a, b = draw(2, 20, 30).astype(dtype), draw(2, 30, 25).astype(dtype)
    numbers = (((2,), (1,)), ((0,), (0,)))
    for wanted in (None, np.dtype(np.float32)):
        product = functools.partial(ops.dot_general, dimension_numbers=numbers, preferred_element_type=wanted)
        lowered = check(product, a, b, tolerance=1e-2)
        (step,) = [s for s in lowered.steps if isinstance(s, GemmStep)]
        assert step.dtype == np.float32
    swapped = check(
        lambda a, b: ops.transpose(ops.dot_general(a, b, numbers), (0, 2, 1)), a, b, tolerance=1e-2
    )
    assert sum(isinstance(s, GemmStep) for s in swapped.steps) == 1


@pytest.mark.parametrize(
    ("dtype", "k", "wide"),
    [
        ("int8", 1024, "float32"),
        ("int8", 1025, "float64"),
        ("uint8", 64, "float32"),
        ("uint16", 99, "float64"),
    ],
)
@pytest.mark.parametrize("out", [None, np.int32, np.int64])
def test_products_of_narrow_integers_are_blas_calls_in_a_float_that_holds_their_sums(dtype, k, wide, out):
    limits = np.iinfo(dtype)
    a, b = np.random.default_rng(k).integers(limits.min, limits.max + 1, (2, 20, k)).astype(dtype)
    a[0], b[0] = limits.min, limits.min
    a[1], b[1] = limits.max, limits.max
    numbers = (((1,), (1,)), ((), ()))
    lowered = check(lambda a, b: ops.dot_general(a, b, numbers, out and np.dtype(out)), a, b, tolerance=0)
    (step,) = [s for s in lowered.steps if isinstance(s, GemmStep)]
    assert step.dtype == np.dtype(wide)


@pytest.mark.parametrize("taken", [True, False])
def test_a_reshape_that_a_branch_and_a_product_read_is_one_value(taken):
    def f(x, taken):
        matrix = x.reshape(32, 32)
        columns = fg.lax.cond(taken, lambda m: m[:, :8], lambda m: jnp.linalg.qr(m)[0][:, :8], matrix)
        return columns.T @ matrix

    x = jnp.asarray(np.random.default_rng(0).standard_normal((32, 4, 8)), jnp.float32)
    np.testing.assert_allclose(fg.jit(f)(x, taken), f(x, taken), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("step", [lambda x: x * 0.99 + 0.01, nn.softplus, lambda x: jnp.roll(x, 1, 0) * 0.9])
@pytest.mark.parametrize("last", [lambda x: x.sum(0), lambda x: x.max(), lambda x: x @ x.T])
def test_long_chains_before_what_reads_all_of_them(step, last):
    def f(x):
        for _ in range(250):
            x = step(x)
        return last(x)

    x = jnp.asarray(np.random.default_rng(0).standard_normal((12, 10)), jnp.float32)
    np.testing.assert_allclose(fg.jit(f)(x), f(x), rtol=1e-4)
