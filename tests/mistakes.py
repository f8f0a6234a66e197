"""Programs that are wrong, and the check that what their users are told is of help."""

from __future__ import annotations

import inspect

import pytest
from frames import shown


class Mistakes(list):
    """Wrong programs as parameters of a test, collected by `@mistakes.wrong(...)`."""

    def wrong(self, cls, *words, fix):
        """Mark a program whose error has these words, and `fix` in its hint."""

        def mark(program):
            self.append(pytest.param(program, cls, words, fix, id=program.__name__))
            return program

        return mark


def check(program, cls, words, fix):
    """`program` raises `cls` at its line marked `# here`, with these words and this fix, and shows no other file."""
    file = inspect.getfile(program)
    with pytest.raises(cls) as info:
        program()
    error = info.value
    assert type(error) is cls
    for word in words:
        assert word in error.what, f"{word!r} is missing:\n{error}"
    assert error.hint and fix in error.hint, f"{fix!r} is missing:\n{error}"
    lines, start = inspect.getsourcelines(program)
    (here,) = [start + i for i, line in enumerate(lines) if "# here" in line]
    assert error.where is not None and (error.where.file, error.where.line) == (file, here), str(error)
    assert f"{file}:{here}" in str(error)
    frames = shown(error)
    assert {frame.filename for frame in frames} - {__file__} == {file}, "\n".join(map(str, frames))
