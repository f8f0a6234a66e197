"""What JAX's programs ask for around functions: pmap on one device, logs of compiling, traces of time, dtypes."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

import funcgrad as fg
from funcgrad.errors import ArgumentError, ShapeError, UnknownNameError


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pmap_is_vmap_over_one_example(dtype):
    x = np.arange(3, dtype=dtype)[None]
    f = fg.pmap(lambda x, y: fg.lax.psum(x * y, "i") + fg.lax.axis_index("i"), "i", in_axes=(0, None))
    out = f(x, 2.0)
    assert out.dtype == dtype
    np.testing.assert_array_equal(out, 2 * x)
    np.testing.assert_array_equal(fg.grad(lambda x: f(x, 3.0).sum())(x), [[3, 3, 3]])
    np.testing.assert_array_equal(fg.vmap(f, (0, None))(np.stack([x, x]), 2.0)[1], 2 * x)


def test_arguments_of_pmap():
    x = np.arange(3.0)[None]
    power = fg.pmap(lambda x, n, *, by: x**n * by, static_broadcasted_argnums=1)
    np.testing.assert_array_equal(power(x, 2, by=2 * np.ones(1)), 2 * x**2)
    last = fg.pmap(lambda t: {"a": t["a"] + 1}, in_axes=1, out_axes=0)({"a": x.T})
    np.testing.assert_array_equal(last["a"], x + 1)
    with pytest.raises(ShapeError, match="needs 3 devices"):
        fg.pmap(lambda x: x)(x[0])
    with pytest.raises(ShapeError, match="there is 1"):
        fg.pmap(lambda x: x, axis_size=4)
    with pytest.raises(ArgumentError, match="devices"):
        fg.pmap(lambda x: x, devices=["cpu", "cpu"])


def test_clear_caches_forgets_every_function():
    calls = []
    f = fg.jit(lambda x: calls.append(1) or x + 1)
    f(1.0), f(1.0)
    assert len(calls) == 1
    fg.clear_caches()
    assert not f.signatures
    assert float(f(1.0)) == 2 and len(calls) == 2


def test_compiling_is_logged(caplog):
    def double(x):
        return x * 2

    with caplog.at_level(logging.WARNING, "funcgrad"):
        with fg.log_compiles():
            f = fg.jit(double)
            f(np.ones(3)), f(np.ones(3))
            f(np.ones(4, np.float32))
        fg.jit(lambda x: x)(1.0)
        assert [r.message for r in caplog.records] == [
            "Compiling double for f64[3].",
            "Compiling double for f32[4].",
        ]
        caplog.clear()
        with fg.explain_cache_misses():
            f(np.ones(5))
        assert "changed shape" in caplog.records[0].message
    with fg.enable_checks():
        assert fg.config.verify
    with fg.check_tracer_leaks():
        assert fg.config.check_tracer_leaks


def test_traces_of_time(tmp_path):
    profiler = fg.profiler

    @profiler.annotate_function
    def named(x):
        return x + 1

    def double(x):
        return x * 2

    with profiler.trace(tmp_path / "folder"):
        for i in range(2):
            with profiler.StepTraceAnnotation("train", step_num=i):
                named(1)
                fg.jit(double)(np.ones(3))
    with profiler.TraceAnnotation("nothing records this"):
        pass
    events = json.loads((tmp_path / "folder" / "funcgrad.trace.json").read_text())["traceEvents"]
    assert [e["name"] for e in events] == ["named", "traced double", "train"] * 2
    inner, _, outer = events[:3]
    assert outer["ts"] <= inner["ts"] and inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"]
    assert [e["args"]["step_num"] for e in events if e["name"] == "train"] == [0, 1]
    assert events[1]["args"]["types"] == "f64[3]"
    profiler.start_trace(tmp_path)
    with pytest.raises(ArgumentError, match="runs already"):
        profiler.start_trace(tmp_path)
    profiler.stop_trace()
    with pytest.raises(ArgumentError, match="no trace runs"):
        profiler.stop_trace()
    with pytest.raises(UnknownNameError, match="no server"):
        profiler.start_server(9999)


def test_dtypes_and_keys():
    dtypes = fg.dtypes
    assert dtypes.result_type(1.0, np.int32(1)) == np.float32
    assert dtypes.result_type(np.float64, np.zeros(2, np.float32)) == np.float64
    assert dtypes.result_type(1, 2.0, return_weak_type_flag=True) == (np.dtype(np.float32), True)
    assert dtypes.result_type(np.int8(1), 2, return_weak_type_flag=True) == (np.dtype(np.int8), False)
    assert dtypes.result_type(fg.numpy.asarray(1.0), np.float16) == np.float16
    assert [dtypes.itemsize_bits(d) for d in ("bfloat16", np.complex64, bool)] == [16, 64, 8]
    assert [dtypes.scalar_type_of(x) for x in (True, np.int8(1), np.ones(1), 1j)] == [
        bool,
        int,
        float,
        complex,
    ]
    assert fg.random.key_dtype() == fg.random.key(0).dtype
    assert fg.dlpack.is_supported_dtype(np.int32) and not fg.dlpack.is_supported_dtype("V3")


def test_processes_and_versions(capsys):
    assert fg.process_indices() == [0] and fg.host_id() == 0 and fg.host_count() == 1
    fg.print_environment_info()
    assert f"funcgrad: {fg.__version__}" in capsys.readouterr().out
