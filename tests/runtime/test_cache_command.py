"""`funcgrad cache`: shows, prunes by age and by size, clears; and what counts as use."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from funcgrad.__main__ import main
from funcgrad.runtime import cache

DAY = 86400


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Three kernels of 1000 bytes with a source each, used 0, 10 and 40 days ago, and a file of somebody else."""
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(tmp_path))
    for key, days in (("aa", 0), ("bb", 10), ("cc", 40)):
        for suffix, size in ((".o", 900), (".py", 100)):
            path = tmp_path / (key + suffix)
            path.write_bytes(b"x" * size)
            os.utime(path, (time.time() - days * DAY - 5,) * 2)
    (tmp_path / "notes.txt").write_text("mine")
    return tmp_path


def keys(folder):
    return sorted({p.stem for p in folder.glob("*") if p.suffix in (".o", ".py")})


def test_show_says_how_many_how_large_how_old_and_where(folder, capsys):
    for arguments in (["cache"], ["cache", "show"]):
        assert main(arguments) == 0
        out = capsys.readouterr().out
        assert "3 kernels, 3.0 kB" in out and str(folder) in out
        assert "the oldest 40 days ago, the newest just now" in out


def test_an_empty_or_missing_folder_is_no_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(tmp_path / "none"))
    for arguments in (["cache"], ["cache", "prune", "--max-size", "1MB"], ["cache", "clear"]):
        assert main(arguments) == 0
    assert "0 kernels, 0 bytes" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, left",
    [
        (["--unused-for", "30d"], ["aa", "bb"]),
        (["--unused-for", "1w"], ["aa"]),
        (["--max-size", "2kB"], ["aa", "bb"]),
        (["--max-size", "1500"], ["aa"]),
        (["--max-size", "1.5K", "--unused-for", "100d"], ["aa"]),
        (["--max-size", "1GB", "--unused-for", "1000h"], ["aa", "bb", "cc"]),
    ],
)
def test_prune_removes_the_longest_unused(folder, arguments, left, capsys):
    assert main(["cache", "prune", *arguments]) == 0
    assert keys(folder) == left
    assert f"removed {3 - len(left)} kernels" in capsys.readouterr().out
    assert (folder / "notes.txt").exists()


def test_prune_removes_what_a_killed_process_left_behind(folder):
    for name, age in ((".writing-old", DAY), (".writing-new", 0)):
        (folder / name).write_bytes(b"half")
        os.utime(folder / name, (time.time() - age,) * 2)
    cache.prune(unused_for=1000 * DAY)
    assert not (folder / ".writing-old").exists() and (folder / ".writing-new").exists()


def test_clear_removes_kernels_only(folder, capsys):
    assert main(["cache", "clear"]) == 0
    assert keys(folder) == [] and (folder / "notes.txt").exists()
    assert "removed 3 kernels, 3.0 kB" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["prune"], "--unused-for 30d"),
        (["prune", "--unused-for", "soon"], "'soon' is not understood"),
        (["prune", "--unused-for", "-3d"], "argument --unused-for"),
        (["prune", "--max-size", "12 parsecs"], "is not understood"),
        (["polish"], "invalid choice"),
    ],
)
def test_what_is_not_understood_is_said(folder, arguments, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["cache", *arguments])
    assert stopped.value.code == 2
    assert words in capsys.readouterr().err
    assert keys(folder) == ["aa", "bb", "cc"]


def test_loading_a_kernel_counts_as_use(tmp_path, monkeypatch):
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(tmp_path))
    path = tmp_path / "kk.o"
    path.write_bytes(cache._checked("kk.o", b"code"))
    os.utime(path, (time.time() - 40 * DAY,) * 2)
    assert cache._read("kk.o") == b"code"
    assert time.time() - cache.entries()[0].used < DAY


def test_python_dash_m(folder):
    done = subprocess.run(
        [sys.executable, "-m", "funcgrad", "cache"], capture_output=True, text=True, check=True
    )
    assert "3 kernels" in done.stdout
