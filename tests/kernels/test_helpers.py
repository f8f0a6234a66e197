"""Kernels that are compiled by helper processes: the same objects, and no harm where helpers fail."""

from __future__ import annotations

import sys

import pytest
from funcgrad.kernels.cpu import abi, codegen, compiling, helpers
from native import defined


def jobs(count):
    head = "def kernel(lo, hi, x, y):\n    for i in range(lo, hi):\n"
    kernels = [
        abi.kernel(buffers=("f64", "f64"))(defined(f"{head}        y[i] = vm.exp(x[i]) * {k}.0\n"))
        for k in range(count)
    ]
    return [lambda k=k: compiling.lower_kernel(k) for k in kernels]


@pytest.fixture
def four_cores(monkeypatch):
    monkeypatch.setattr(helpers, "default_threads", lambda: 4)


def test_helpers_make_the_same_objects(four_cores, monkeypatch):
    started = []
    start = helpers._start
    monkeypatch.setattr(helpers, "_start", lambda: started.append(start()) or started[-1])
    kernels = jobs(12)
    assert helpers.generate_all(kernels) == [codegen.generate(lower()) for lower in kernels]
    assert len(started) == 3 and all(p.returncode is not None for p in started)


@pytest.mark.parametrize("executable", ["/usr/sbin/uwsgi", "", None, "/nowhere/python3"])
def test_without_helpers(four_cores, monkeypatch, executable):
    monkeypatch.setattr(sys, "executable", executable)
    kernels = jobs(4)
    assert helpers.generate_all(kernels) == [codegen.generate(lower()) for lower in kernels]


@pytest.mark.parametrize(
    "program", ["raise SystemExit(3)", "print('no object'); import time; time.sleep(60)"]
)
def test_helpers_that_fail(four_cores, monkeypatch, program):
    popen = helpers.subprocess.Popen
    monkeypatch.setattr(helpers.subprocess, "Popen", lambda a, **k: popen([a[0], "-c", program], **k))
    kernels = jobs(4)
    assert helpers.generate_all(kernels) == [codegen.generate(lower()) for lower in kernels]


def test_an_error_while_lowering_leaves_no_thread(four_cores):
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        helpers.generate_all([*jobs(6), broken, *jobs(2)])
    assert not [t for t in helpers.threading.enumerate() if t.name == "funcgrad-llvm"]
