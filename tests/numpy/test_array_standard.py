"""What the Array API standard asks for beyond NumPy's and JAX's habits: inspection, devices, named results."""

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as fnp
from funcgrad.errors import ArgumentError, FuncgradError


def test_the_namespace_tells_its_defaults_and_dtypes():
    info = fnp.array([1.0]).__array_namespace__().__array_namespace_info__()
    defaults = info.default_dtypes(device=info.default_device())
    assert defaults["real floating"] == fnp.zeros(2).dtype
    assert defaults["complex floating"] == fnp.array(1j).dtype
    assert defaults["integral"] == fnp.arange(2).dtype
    assert defaults["indexing"] == fnp.argmax(fnp.ones(2)).dtype
    assert set(info.dtypes(kind="real floating")) == {"float32", "float64"}
    assert set(info.dtypes(kind=("bool", "unsigned integer"))) == {
        "bool",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
    }
    assert info.dtypes()["int8"] == fnp.int8
    assert info.devices() == (fnp.ones(1).device,)
    assert info.capabilities()["boolean indexing"]
    with pytest.raises(ArgumentError, match="abacus"):
        info.dtypes(device="abacus")


@pytest.mark.parametrize(
    "make",
    [
        lambda d: fnp.zeros(2, device=d),
        lambda d: fnp.ones(2, device=d),
        lambda d: fnp.empty(2, device=d),
        lambda d: fnp.full(2, 3, device=d),
        lambda d: fnp.zeros_like(fnp.ones(2), device=d),
        lambda d: fnp.ones_like(fnp.ones(2), device=d),
        lambda d: fnp.empty_like(fnp.ones(2), device=d),
        lambda d: fnp.full_like(fnp.ones(2), 3, device=d),
        lambda d: fnp.arange(2, device=d),
        lambda d: fnp.linspace(0, 1, 2, device=d),
        lambda d: fnp.eye(2, device=d),
        lambda d: fnp.array([1, 2], device=d),
        lambda d: fnp.asarray([1, 2], device=d),
        lambda d: fnp.astype(fnp.ones(2), fnp.int8, device=d),
    ],
)
def test_creation_takes_a_device_and_refuses_unknown_ones(make):
    assert make("cpu").device == "cpu"
    assert make(None).shape[0] == 2
    with pytest.raises(FuncgradError, match="no device 'abacus'"):
        make("abacus")


def test_asarray_without_a_copy():
    x = fnp.ones(3)
    assert fnp.asarray(x, copy=False) is x or fnp.asarray(x, copy=False).unsafe_buffer_pointer() == (
        x.unsafe_buffer_pointer()
    )
    with pytest.raises(ValueError, match="without a copy"):
        fnp.asarray([1, 2], copy=False)
    with pytest.raises(ValueError, match="without a copy"):
        fnp.asarray(x, dtype=fnp.int8, copy=False)


def test_unique_results_have_names_and_keep_each_nan():
    x = fnp.array([[2.0, np.nan], [2.0, np.nan]])
    result = fnp.unique_all(x)
    assert result.values.shape == result.indices.shape == result.counts.shape == (3,)
    assert result.counts.tolist() == [2, 1, 1]
    assert result.inverse_indices.shape == x.shape
    assert fnp.unique_counts(x).counts.tolist() == [2, 1, 1]
    assert fnp.unique_inverse(x).inverse_indices.shape == x.shape
    assert fnp.unique_values(x).shape == (3,)
    assert fnp.unique(x).shape == (2,)


def test_grids_and_broadcasts_are_tuples():
    assert isinstance(fnp.meshgrid(fnp.ones(2), fnp.ones(3)), tuple)
    assert isinstance(fnp.broadcast_arrays(fnp.ones(2), 1.0), tuple)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "float32"])
def test_running_sums_of_the_standard_widen_small_integers(dtype):
    x = fnp.ones(3, dtype)
    assert fnp.cumulative_sum(x).dtype == fnp.sum(x).dtype
    assert fnp.cumulative_prod(x, include_initial=True).dtype == fnp.prod(x).dtype
    assert fnp.cumulative_sum(x, dtype=fnp.int16).dtype == fnp.int16


def test_trace_takes_a_dtype_and_any_offset():
    x = fnp.array([[100, 2], [3, 100]], dtype=fnp.uint8)
    assert fnp.trace(x).item() == 200
    assert fnp.trace(x).dtype == fnp.uint64
    assert fnp.trace(x, dtype=fnp.float32).dtype == fnp.float32
    assert fnp.trace(x > 2).item() == 2
    for offset in (-9, -2, 2, 9):
        assert fnp.trace(x, offset=offset).item() == 0
        assert fnp.diagonal(x, offset=offset).shape == (0,)
    np.testing.assert_array_equal(fg.grad(lambda a: fnp.trace(a, 1))(fnp.ones((2, 2))), [[0, 1], [0, 0]])


def test_vecdot_sums_over_axes_of_one_length_only():
    assert fnp.vecdot(fnp.ones((2, 3)), fnp.ones(3)).shape == (2,)
    with pytest.raises(FuncgradError, match="differ in length"):
        fnp.vecdot(fnp.ones((2, 3)), fnp.ones(1))
    with pytest.raises(FuncgradError, match="differ in length"):
        fnp.linalg.vecdot(fnp.ones((2, 3)), fnp.ones((1, 3)), axis=-2)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3)])
@pytest.mark.parametrize("wrap", [bool, np.asarray, fnp.array])
@pytest.mark.parametrize("truth", [True, False])
def test_a_truth_value_as_an_index(shape, wrap, truth):
    x = np.arange(float(np.prod(shape))).reshape(shape)
    np.testing.assert_array_equal(fnp.array(x)[wrap(truth)], x[truth])
    changed = x.copy()
    changed[truth] = 9
    np.testing.assert_array_equal(fnp.array(x).at[wrap(truth)].set(9), changed)


@pytest.mark.parametrize(
    "index", [(0, True), (..., True), (slice(None), True), (True, slice(None), 0), (True, 0), (None, True)]
)
def test_a_truth_value_among_other_indices(index):
    x = np.arange(6.0).reshape(2, 3)
    np.testing.assert_array_equal(fnp.array(x)[index], x[index])
    changed = x.copy()
    changed[index] = 9
    np.testing.assert_array_equal(fnp.array(x).at[index].set(9), changed)


def test_expm1_of_infinite_complex_numbers():
    x = fnp.array([complex(np.inf, 0), complex(-np.inf, np.inf), complex(np.nan, 0), complex(1e-5, 0)])
    got = np.asarray(fnp.expm1(x))
    np.testing.assert_array_equal(got[:3], [complex(np.inf, 0), -1 + 0j, complex(np.nan, 0)])
    np.testing.assert_allclose(got[3], np.expm1(1e-5), rtol=1e-6)


@pytest.mark.parametrize("version", [None, (0, 5), (1, 0)])
@pytest.mark.parametrize("copy", [None, True, False])
def test_dlpack_in_each_protocol_from_writeable_and_read_only_memory(version, copy):
    data = np.arange(3.0)
    data.flags.writeable = False
    for x in (fnp.arange(3.0), fnp.from_dlpack(np.arange(3.0)), fg.array.Array(data)):
        assert x.__dlpack__(max_version=version, copy=copy) is not None


def test_dlpack_round_trip_keeps_the_values():
    x = fnp.arange(3.0)
    np.testing.assert_array_equal(np.from_dlpack(x), [0, 1, 2])
    assert not np.from_dlpack(x).flags.writeable


def test_a_remainder_of_zero_has_the_sign_of_the_divisor():
    x = np.array([0.0, -0.0, 0.0, -0.0, 4.0, -4.0, 0.0, -0.0])
    y = np.array([1.0, 1.0, -1.0, -1.0, -2.0, 2.0, np.inf, -np.inf])
    wanted = np.remainder(x, y)
    for remainder in (fnp.remainder, fg.jit(fnp.remainder)):
        have = np.asarray(remainder(x, y))
        np.testing.assert_array_equal(have, wanted)
        np.testing.assert_array_equal(np.signbit(have), np.signbit(wanted))
    np.testing.assert_array_equal(fg.grad(lambda x: fnp.remainder(x, -2.0).sum())(x), np.ones(8))


@pytest.mark.parametrize("shape", [(0, 1, 1), (3, 0, 2, 2)])
def test_factors_of_no_matrices(shape):
    empty = fnp.zeros(shape)
    for result in (fnp.linalg.slogdet(empty), fg.jit(fnp.linalg.slogdet)(empty)):
        assert [x.shape for x in result] == [shape[:-2]] * 2
    assert [x.shape for x in fg.lax.linalg.lu(empty)] == [shape, shape[:-1], shape[:-1]]
