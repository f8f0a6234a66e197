"""Bits read as another dtype by `x.view`, against NumPy."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad import dtypes
from funcgrad.errors import DTypeError, ShapeError


@pytest.mark.parametrize("have", dtypes.ALL, ids=dtypes.name)
def test_views_of_every_dtype(have):
    rng = np.random.default_rng(0)
    for shape in [(), (2, 3), (2, 16), (0,), (4, 0, 16)]:
        size = int(np.prod(shape)) * have.itemsize
        x = rng.integers(0, 2 if have.kind == "b" else 100, size).astype(np.uint8).view(have).reshape(shape)
        for wanted in dtypes.ALL:
            try:
                answer = x.view(wanted)
            except (ValueError, TypeError):
                with pytest.raises(ShapeError, match="view"):
                    fnp.asarray(x).view(wanted)
                continue
            if wanted.kind == "b":
                answer = x.view(np.uint8) != 0
            result = fnp.asarray(x).view(wanted)
            assert result.dtype == wanted and result.shape == answer.shape
            assert np.asarray(result).tobytes() == answer.tobytes()


@pytest.mark.parametrize(
    ("have", "wanted"),
    [
        ("float32", "int8"),
        ("uint8", "float64"),
        ("complex64", "float64"),
        ("float32", "complex64"),
        ("f2", "u1"),
    ],
)
def test_compiled_views(have, wanted):
    x = np.arange(1, 33).astype(np.uint8).view(have).reshape(2, -1)
    result = fg.jit(lambda x: x.view(wanted))(x)
    assert np.asarray(result).tobytes() == x.tobytes() and result.dtype == wanted


def test_complex_numbers_are_no_bits_for_lax():
    with pytest.raises(DTypeError, match=r"x.view\(dtype\)"):
        fg.lax.bitcast_convert_type(np.ones(2, np.complex64), np.float64)
