"""The examples in docstrings run, and print what they say."""

from __future__ import annotations

import doctest
import importlib
import inspect
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in (ROOT / "funcgrad").rglob("*.py")
    if path.stem != "__main__" and ">>>" in path.read_text(encoding="utf-8")
)


class WithWrapped(doctest.DocTestFinder):
    """Finds the examples of decorated functions too, and only those of the module itself."""

    def _from_module(self, module, object):
        home = getattr(object, "__module__", module.__name__)  # or the face that it says it is from
        return home == module.__name__ or module.__name__.startswith(f"{home}.")


@pytest.mark.parametrize("face", ["funcgrad.numpy", "funcgrad.numpy.fft", "funcgrad.lax"])
def test_the_examples_of_functions_that_functions_make_run(face):
    module = importlib.import_module(face)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    parser = doctest.DocTestParser()
    for name, function in vars(module).items():
        made = getattr(inspect.unwrap(function), "__code__", None) if callable(function) else None
        if made is not None and made.co_flags & inspect.CO_NESTED and function.__doc__:
            runner.run(parser.get_doctest(function.__doc__, {}, name, None, None), out=sys.stderr.write)
    assert runner.tries and not runner.failures


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name):
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for example in WithWrapped(exclude_empty=True).find(module, name, module):
        runner.run(example, out=sys.stderr.write)
    assert runner.tries and not runner.failures
