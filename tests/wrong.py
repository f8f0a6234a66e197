"""Wrong programs, and what a test asks of their errors.

Each raises its class of error at the user's line (the one marked `# here`), says the words that let a newcomer
see what is wrong, says how to put it right, and shows no frame of funcgrad.
"""

from __future__ import annotations

import inspect

import pytest
from frames import shown


def wrong(programs, cls, *words, fix):
    """Put a program among `programs`: its error has these words, and `fix` in its hint."""

    def mark(program):
        programs.append(pytest.param(program, cls, words, fix, id=program.__name__))
        return program

    return mark


def check(program, cls, words, fix):
    """Run a program and look at its error."""
    with pytest.raises(cls) as info:
        program()
    error = info.value
    assert type(error) is cls
    for word in words:
        assert word in error.what, f"{word!r} is missing:\n{error}"
    assert error.hint and fix in error.hint, f"{fix!r} is missing:\n{error}"
    lines, start = inspect.getsourcelines(program)
    file = inspect.getsourcefile(program)
    (here,) = [start + i for i, line in enumerate(lines) if "# here" in line]
    assert error.where is not None and (error.where.file, error.where.line) == (file, here), str(error)
    assert f"{file}:{here}" in str(error)
    frames = [frame for frame in shown(error) if frame.filename != __file__]
    assert {frame.filename for frame in frames} == {file}, "\n".join(map(str, frames))
