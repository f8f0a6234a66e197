"""The package as a whole: version, public names, what importing it costs, what installing it leaves."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import pytest

import funcgrad

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

# what `import funcgrad` may not pull in: slow to import, or optional
HEAVY = {
    "numba",
    "llvmlite",
    "scipy.linalg",
    "cupy",
    "matplotlib",
    "tqdm",
    "jax",
    "torch",
    "sklearn",
    "mpi4py",
}


def test_the_version_is_the_installed_one():
    assert re.fullmatch(r"\d+\.\d+\.\d+(\.dev\d+|rc\d+)?", funcgrad.__version__)
    assert importlib.metadata.version("funcgrad") == funcgrad.__version__


def test_public_names_exist_and_are_listed_once():
    assert [name for name in funcgrad.__all__ if not hasattr(funcgrad, name)] == []
    assert len(set(funcgrad.__all__)) == len(funcgrad.__all__)


def test_importing_is_light():
    script = (
        "import sys, numpy, ml_dtypes; before = set(sys.modules); import funcgrad; "
        "print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    added = run.stdout.split()
    assert "funcgrad.version" in added
    assert sorted(HEAVY.intersection(added)) == []
    others = [name for name in added if not name.startswith("funcgrad")]
    assert len(others) <= 60, others


def test_every_folder_with_code_is_shipped():
    found = {"funcgrad"}
    for folder, package in (("funcgrad", "funcgrad"), ("kernels", "funcgrad.kernels")):
        for init in (ROOT / folder).rglob("__init__.py"):
            found.add(".".join((package, *init.parent.relative_to(ROOT / folder).parts)))
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found
    loose = [path for path in (ROOT / "funcgrad").rglob("*.py") if not (path.parent / "__init__.py").exists()]
    assert loose == []


def test_installing_leaves_one_top_level_package():
    # a checkout's own egg-info, which lists sources, is not an installation
    installed = [d for d in importlib.metadata.distributions(name="funcgrad") if d.read_text("RECORD")]
    assert installed, "run the tests after `python -m pip install .`, in place or not"
    ours = re.compile(r"funcgrad|funcgrad-[\w.]+\.dist-info|__editable__.*funcgrad.*|__pycache__")
    for distribution in installed:
        files = distribution.files or []
        top = {file.parts[0] for file in files if file.parts[0] != ".."}
        assert [name for name in top if not ours.fullmatch(name)] == []
        # outside it, beside Python itself: the commands
        commands = {file.stem for file in files if file.parts[0] == ".."}
        assert commands <= set(PROJECT["project"]["scripts"])


@pytest.mark.parametrize("cwd", [ROOT, None])
def test_kernels_import_from_the_checkout_and_from_elsewhere(cwd, tmp_path):
    script = "import funcgrad.kernels.cpu, funcgrad.kernels.gpu"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=cwd or tmp_path)


def test_the_readme_opens_with_the_two_commands():
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M | re.S)
    job, tests = (block.strip() for block in blocks[:2])
    assert "\n" not in job + tests
    assert ".[demo]" in job
    assert ".[test]" in tests
    assert tests.endswith("python -m pytest")
    script = re.search(r"python (docs/\S+\.py)", job)
    assert script, job


def test_links_in_the_docs_lead_somewhere():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
