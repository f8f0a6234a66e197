"""Functions against NumPy: values, and dtypes by funcgrad's promotion; eagerly, under jit and under vmap."""

import pickle

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp

F = np.array([[-1.5, 0.0, 2.25], [3.0, -0.5, 1.0]], np.float32)
G = np.array([[2.0, 1.5, -3.0], [0.5, 4.0, 2.0]], np.float32)
P = np.abs(F) + 0.1
I = np.array([[7, -7, 0], [12, 5, -9]])
J = np.array([[3, 3, 2], [8, -2, 4]])
B = F > 0
C = (F + 1j * G).astype(np.complex64)

UNARY = {
    "absolute negative square sign sin cos tanh exp expm1 arctan floor ceil trunc rint isnan isfinite isinf "
    "signbit deg2rad rad2deg sinc cbrt fabs nan_to_num round": [F],
    "log log2 log10 log1p sqrt reciprocal": [P],
    "real imag conj angle isreal iscomplex": [F, C],
    "logical_not": [F, I, B],
    "absolute": [B],
    "rint": [C],
    "invert bitwise_count": [I],
    "sum prod max min mean var std all any argmax argmin ptp count_nonzero nansum nanmean nanmax nanstd": [F],
    "ravel transpose flip fliplr flipud rot90 squeeze tril triu diagonal trace diag atleast_3d": [F],
}
BINARY = {
    "add subtract multiply divide maximum minimum arctan2 hypot logaddexp heaviside copysign fmax fmin "
    "floor_divide remainder fmod equal less greater_equal nextafter": [(F, G)],
    "floor_divide remainder bitwise_and bitwise_or bitwise_xor gcd lcm": [(I, J)],
    "left_shift right_shift ldexp": [(np.abs(I), np.abs(J))],
    "power float_power": [(P, G)],
    "logical_and logical_or logical_xor": [(F, G), (B, ~B)],
    "isclose allclose array_equal array_equiv": [(F, F), (F, G)],
    "matmul dot": [(F, G.T)],
    "inner vdot outer kron cross tensordot": [(F, G)],
    "vecdot": [(F, G)],
}


def cases(table):
    return [(name, x) for names, inputs in table.items() for name in names.split() for x in inputs]


def same(result, expected):
    expected = np.asarray(expected)
    assert result.shape == expected.shape
    assert result.dtype.kind == expected.dtype.kind
    np.testing.assert_allclose(np.asarray(result), expected, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["log2", "log10", "sign", "exp", "exp2", "sinh", "cosh"])
def test_complex_numbers_with_infinities_and_zeros(name):
    parts = [0.0, -0.0, 1.0, -2.0, 1000.0, np.inf, -np.inf]
    x = np.array([complex(a, b) for a in parts for b in parts])
    if name in ("sinh", "cosh"):  # C leaves the rest to the library
        x = x[np.isfinite(x)]
    with np.errstate(all="ignore"):
        function, expected = getattr(fnp, name), getattr(np, name)(x)
    for result in (function(x), fg.jit(function)(x)):
        np.testing.assert_allclose(np.real(result), expected.real, rtol=1e-12)
        np.testing.assert_allclose(np.imag(result), expected.imag, rtol=1e-12)


def test_expm1_of_a_large_complex_number_without_imaginary_part():
    for function in (fnp.expm1, fg.jit(fnp.expm1)):
        assert complex(function(np.complex128(1000))) == complex(np.inf, 0)


@pytest.mark.parametrize(("name", "x"), cases(UNARY))
def test_unary(name, x):
    function, expected = getattr(fnp, name), getattr(np, name)(x)
    same(function(fnp.array(x)), expected)
    same(function(x), expected)
    same(fg.jit(function)(x), expected)
    same(fg.vmap(function)(np.stack([x, x]))[1], expected)


@pytest.mark.parametrize(("name", "pair"), cases(BINARY))
def test_binary(name, pair):
    function = getattr(fnp, name)
    reference = {"tensordot": np.tensordot}.get(name) or getattr(np, name)
    expected = reference(*pair) if name not in ("ldexp",) else np.ldexp(*pair).astype(np.float32)
    same(function(*map(fnp.array, pair)), expected)
    same(fg.jit(function)(*pair), expected)
    same(fg.vmap(function)(*[np.stack([x, x]) for x in pair])[1], expected)


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("ii", [(3, 3)]),
        ("ii->i", [(3, 3)]),
        ("ijk->kji", [(2, 3, 4)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("...ij,...j", [(2, 3, 4), (4,)]),
        ("i,j,k->ijk", [(2,), (3,), (4,)]),
        ("ij,jk,kl->il", [(2, 3), (3, 4), (4, 2)]),
        ("ij->", [(2, 3)]),
        ("abc,cd", [(2, 3, 4), (4, 5)]),
    ],
)
def test_einsum(text, shapes):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype(np.float32) for s in shapes]
    same(fnp.einsum(text, *arrays), np.einsum(text, *arrays))
    same(fg.jit(lambda *a: fnp.einsum(text, *a))(*arrays), np.einsum(text, *arrays))


MATMUL = [
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((3,), (3, 2)),
    ((3,), (5, 3, 2)),
    ((2, 3), (5, 3, 4)),
    ((5, 2, 3), (3, 4)),
]
MATMUL += [((5, 1, 2, 3), (4, 3, 2)), ((2, 3), (5, 6, 3, 4))]


@pytest.mark.parametrize(("left", "right"), MATMUL)
def test_matmul(left, right):
    x, y = np.ones(left, np.float32), np.arange(np.prod(right), dtype=np.float32).reshape(right)
    same(fnp.matmul(fnp.array(x), fnp.array(y)), x @ y)
    same(fg.jit(lambda a, b: a @ b)(x, y), x @ y)


CALLS = [
    ("sum", (F,), {"axis": 1}),
    ("sum", (F,), {"axis": (0, -1), "keepdims": True}),
    ("mean", (F,), {"axis": 0, "where": B | (G > 0)}),
    ("var", (F,), {"axis": 1, "ddof": 1}),
    ("max", (F,), {"axis": -1, "initial": 1.0}),
    ("average", (F,), {"axis": 1, "weights": np.array([1, 2, 3], np.float32)}),
    ("reshape", (F, (3, -1)), {}),
    ("reshape", (F, (3, 2)), {"order": "F"}),
    ("moveaxis", (F, 0, 1), {}),
    ("expand_dims", (F, (0, 2)), {}),
    ("broadcast_to", (F, (4, 2, 3)), {}),
    ("concatenate", ([F, G],), {"axis": 1}),
    ("stack", ([F, G],), {"axis": -1}),
    ("tile", (F, (2, 2)), {}),
    ("repeat", (F, 2), {"axis": 1}),
    ("roll", (F, 1), {"axis": 1}),
    ("rot90", (F, 3), {}),
    ("pad", (F, ((1, 2), (0, 1))), {}),
    ("pad", (F, 1), {"mode": "reflect"}),
    ("where", (B, F, G), {}),
    ("clip", (F, -1.0, 1.0), {}),
    ("round", (F, 1), {}),
    ("delete", (F, 1), {"axis": 1}),
    ("insert", (F, 1, 9.0), {"axis": 1}),
    ("compress", (np.array([True, False, True]), F), {"axis": 1}),
    ("linspace", (0.0, 1.0, 5), {}),
    ("arange", (2, 9, 3), {}),
    ("eye", (3, 4, 1), {}),
    ("flatnonzero", (F,), {}),
    ("argwhere", (F,), {}),
    ("diag", (np.array([1.0, 2.0], np.float32), -1), {}),
    ("power", (F, 3), {}),
]


@pytest.mark.parametrize(("name", "arguments", "options"), CALLS)
def test_calls(name, arguments, options):
    expected = getattr(np, name)(*arguments, **options)
    same(getattr(fnp, name)(*arguments, **options), expected)


WRONG = {
    "axis": lambda: fnp.sum(F, axis=2),
    "float axis": lambda: fnp.sum(F, axis=0.5),
    "list": lambda: fnp.sin([1.0]),
    "matmul": lambda: fnp.matmul(F, G),
    "concatenate": lambda: fnp.concatenate([F, np.ones((3, 3))], 1),
    "reshape": lambda: fnp.reshape(F, (4, 2)),
    "broadcast": lambda: fnp.add(fnp.array(F), np.ones(4, np.float32)),
    "bits of floats": lambda: fnp.bitwise_and(F, G),
    "einsum": lambda: fnp.einsum("ij,jk", F, G),
    "empty max": lambda: fnp.max(np.zeros((0, 2))),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_our_own(name):
    with pytest.raises(fg.errors.FuncgradError):
        WRONG[name]()


def test_names():
    missing = [name for name in fnp.__all__ if not hasattr(fnp, name)]
    assert not missing
    assert fnp.array([1]).__array_namespace__() is fnp


def test_dtype_names_convert_traced_values_and_equal_dtypes():
    x = fnp.arange(3)
    for run in (fg.jit, fg.vmap, lambda f: f):
        assert run(fnp.float16)(x).dtype == fnp.float16 == np.float16
    assert fg.grad(lambda x: fnp.float32(x) ** 2)(3.0) == 6.0
    assert fnp.bfloat16(1.0).dtype == np.dtype(fnp.bfloat16) == fnp.bfloat16 != fnp.float16
    assert fnp.issubdtype(fnp.float32, fnp.floating) and np.zeros(2, fnp.int8).dtype == np.int8
    assert {fnp.float32: 1}[np.float32] == 1 and pickle.loads(pickle.dumps(fnp.float32)) is fnp.float32
    assert isinstance(np.float32(1), fnp.float32) and not isinstance(1.0, fnp.float32)
