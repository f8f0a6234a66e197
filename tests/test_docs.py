"""The Python examples in the documentation run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S))
    if page.name != "errors.md"
]


@pytest.mark.parametrize("source", BLOCKS)
def test_example_runs(source):
    exec(compile(source, "<documentation>", "exec"), {"__name__": "documentation"})
