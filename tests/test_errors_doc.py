"""The catalogue of errors, docs/errors.md: complete, its wrong programs raise what it says, its right ones run."""

from __future__ import annotations

import inspect
import re
import warnings
from pathlib import Path

import pytest

from funcgrad import errors
from funcgrad.tree import TreeError

PAGE = (Path(__file__).parent.parent / "docs" / "errors.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
BASES = (errors.FuncgradError, errors.FuncgradWarning)
CLASSES = {
    c.__name__: c
    for c in vars(errors).values()
    if inspect.isclass(c) and issubclass(c, BASES) and c not in BASES
} | {"TreeError": TreeError}


def blocks(section, kind):
    return re.findall(rf"^```{kind}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


def run(source):
    exec(compile(source, "<documentation>", "exec"), {"__name__": "documentation"})


def test_every_class_has_its_section():
    assert set(SECTIONS) == set(CLASSES)


@pytest.mark.parametrize("name", SECTIONS)
def test_the_wrong_program_raises_what_the_page_says(name, monkeypatch, tmp_path):
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(tmp_path))  # an example changes it
    cls = CLASSES[name]
    wrong, (said,) = blocks(SECTIONS[name], "python")[0], blocks(SECTIONS[name], "text")
    with warnings.catch_warnings():
        warnings.simplefilter("error", errors.FuncgradWarning)
        with pytest.raises(cls) as info:
            run(wrong)
    assert type(info.value) is cls
    shape = ".*".join(map(re.escape, said.strip().split("...")))
    assert re.fullmatch(shape, f"{name}: {info.value}"), f"{info.value}\n--- the page says\n{said}"


@pytest.mark.parametrize("name", [n for n in SECTIONS if n != "CacheWarning"])
def test_the_right_program_runs(name):
    run(blocks(SECTIONS[name], "python")[-1])


@pytest.mark.parametrize("name", SECTIONS)
def test_the_page_names_the_builtin_classes(name):
    builtin = [b for b in CLASSES[name].__mro__ if b.__module__ == "builtins"]
    direct = [b for b in CLASSES[name].__bases__ if b in builtin]
    for b in direct:
        assert f"`{b.__name__}`" in SECTIONS[name]
