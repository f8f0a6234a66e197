"""The kernel cache: damaged entries, folders that cannot be used, processes side by side and killed ones."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import warnings

import pytest

from funcgrad.errors import CacheWarning
from funcgrad.runtime import cache

PROGRAM = """
import numpy as np, sys, warnings
warnings.simplefilter("ignore")
import funcgrad as fg
from funcgrad.runtime import cache
x = np.arange(7, dtype=np.float32)
out = np.asarray(fg.jit(lambda x: (x * 3 + 1).sum())(x))
assert out == 70, out
print(cache.stats().compiled, cache.stats().loaded, "numba" in sys.modules)
"""


def process(folder, program=PROGRAM):
    environment = {**os.environ, "FUNCGRAD_CACHE_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(folder, program=PROGRAM):
    """Compiled and loaded kernels of a fresh process, and whether it imported Numba."""
    done = process(folder, program)
    out, err = done.communicate(timeout=120)
    assert done.returncode == 0, err
    compiled, loaded, numba = out.split()
    return int(compiled), int(loaded), numba == "True"


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kernels")
    compiled, _, numba = run(folder)
    assert compiled > 0 and not numba
    return folder


def test_a_second_process_compiles_nothing_and_leaves_numba_alone(filled):
    compiled, loaded, numba = run(filled)
    assert compiled == 0 and loaded > 0 and not numba


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-7],
        lambda b: b"",
        lambda b: b[:100] + b"\xff\x00\xff" + b[103:],
        lambda b: b"nothing of the kind",
    ],
    ids=["truncated", "empty", "changed", "replaced"],
)
def test_a_damaged_object_is_compiled_again(filled, damage):
    objects = sorted(filled.glob("*.o"))
    kernel = min(objects, key=lambda p: p.stat().st_size)
    whole = kernel.read_bytes()
    kernel.write_bytes(damage(whole))
    compiled, _, _ = run(filled)
    assert compiled == 1
    assert run(filled)[0] == 0, "the entry was mended"


def test_the_content_of_another_file_is_not_trusted(filled):
    objects = sorted(filled.glob("*.o"))
    contents = [path.read_bytes() for path in objects]
    assert len(contents) > 1
    for path, content in zip(objects, contents[1:] + contents[:1]):
        path.write_bytes(content)
    assert run(filled)[0] == len(objects)
    assert [path.read_bytes() for path in objects] == contents, "the entries were mended"


def test_a_damaged_object_is_reported(filled, monkeypatch):
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(filled))
    kernel = sorted(filled.glob("*.o"))[0]
    whole = kernel.read_bytes()
    kernel.write_bytes(whole[:-1])
    try:
        with pytest.warns(CacheWarning, match="compiled again"):
            assert cache._read(kernel.name) is None
    finally:
        kernel.write_bytes(whole)
    assert cache._read(kernel.name) is not None


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path):
    in_the_way = tmp_path / "file"
    in_the_way.write_text("not a folder")
    program = PROGRAM.replace('warnings.simplefilter("ignore")', 'warnings.simplefilter("always")')
    done = process(in_the_way / "cache", program)
    out, err = done.communicate(timeout=120)
    assert done.returncode == 0, err
    assert err.count("CacheWarning: ") == 1 and "compiled kernels cannot be kept" in err
    assert int(out.split()[0]) > 0


def test_two_processes_fill_one_folder_at_once(tmp_path):
    both = [process(tmp_path), process(tmp_path)]
    for one in both:
        _, err = one.communicate(timeout=120)
        assert one.returncode == 0, err
    assert run(tmp_path)[0] == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
def test_a_process_killed_while_it_compiles_leaves_nothing_that_is_trusted(tmp_path):
    victim = process(tmp_path)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    (tmp_path / ".writing-left-behind").write_bytes(b"half a kernel")
    run(tmp_path)
    assert run(tmp_path)[0] == 0


def test_contents_and_clear(filled, monkeypatch, tmp_path):
    for path in filled.glob("*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(tmp_path))
    there = cache.contents()
    assert there.kernels > 0 and there.bytes > 0
    assert cache.clear() == there
    assert cache.contents().kernels == 0


def test_warnings_are_given_once(monkeypatch, tmp_path):
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cache._cache, "warned", set())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cache._warn("something")
        cache._warn("something")
    assert len(caught) == 1
