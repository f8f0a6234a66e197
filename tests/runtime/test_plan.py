"""Plans on disk: a second process runs without lowering, with the same results; what must not be kept is not."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax
from funcgrad.config import config
from funcgrad.runtime import cache, plan

PROGRAM = """
import sys
import numpy as np
import funcgrad as fg
import funcgrad.numpy as jnp
from funcgrad import lax

x = np.linspace(0.1, 0.9, 90_000, dtype=np.float32).reshape(300, 300)

def halved(x):
    return lax.while_loop(lambda v: jnp.sum(v) > 1.0, lambda v: v * 0.5, x).sum()

outs = [
    fg.jit(lambda x: jnp.sort(jnp.tanh(x @ x.T) @ x)[:2])(x),
    fg.jit(lambda x: jnp.linalg.cholesky(x @ x.T + 300 * jnp.eye(300)))(x),
    fg.jit(fg.grad(halved))(x[0]),
    *fg.jit(lambda x: (x, 3.0, x.reshape(-1), x + 1, x + 1))(x[:2]),
    fg.jit(lambda x: lax.scan(lambda c, y: (jnp.sin(c @ x) + y, c.sum()), x[0], x)[1])(x),
    fg.jit(lambda x: x * 2, donate_argnums=0)(jnp.asarray(x) + 1),
]
total = [float(np.abs(np.asarray(o)).sum(dtype=np.float64)) for o in outs]
print(total, "funcgrad.lower.to_loops" in sys.modules, sep=";")
"""


def run(folder, program=PROGRAM, **environment):
    environment = {**os.environ, "FUNCGRAD_CACHE_DIR": str(folder), "FUNCGRAD_VERIFY": "0", **environment}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().split(";")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    total, lowered = run(folder)
    assert lowered == "True" and list(folder.glob("*.plan"))
    return folder, total


def test_a_second_process_lowers_nothing(filled):
    folder, total = filled
    assert run(folder) == [total, "False"]


def test_another_number_of_threads_is_another_plan(filled):
    folder, total = filled
    assert run(folder, FUNCGRAD_NUM_THREADS="3") == [total, "True"]


def test_verifying_goes_the_whole_way(filled):
    folder, total = filled
    assert run(folder, FUNCGRAD_VERIFY="1") == [total, "True"]


@pytest.mark.parametrize("suffix", [".plan", ".o"])
@pytest.mark.parametrize("damage", [lambda p: p.unlink(), lambda p: p.write_bytes(p.read_bytes()[:-3])])
@pytest.mark.filterwarnings("ignore::funcgrad.errors.CacheWarning")
def test_what_is_gone_or_damaged_is_made_again(filled, damage, suffix):
    folder, total = filled
    for path in folder.glob(f"*{suffix}"):
        damage(path)
    assert run(folder) == [total, "True"]
    assert run(folder) == [total, "False"]


def test_prune_and_clear_know_plans(tmp_path, monkeypatch):
    run(tmp_path)
    monkeypatch.setenv("FUNCGRAD_CACHE_DIR", str(tmp_path))
    assert {p for e in cache.entries() for p in e.files} == set(tmp_path.iterdir())
    cache.prune(max_bytes=0)
    assert not list(tmp_path.iterdir())


def key_of(f, *args, donated=(), cores=2):
    with config.using(verify=False):
        return plan.key_of(fg.make_graph(f)(*args).graph, donated, cores)


def test_keys():
    x, y = np.ones(3, np.float32), np.ones(4, np.float32)
    key = key_of(lambda x: jnp.sin(x) * 2, x)
    assert key == key_of(lambda z: 2 * jnp.sin(z) if False else jnp.sin(z) * 2, x)
    others = [
        key_of(lambda x: jnp.sin(x) * 2, y),
        key_of(lambda x: jnp.sin(x) * 3, x),
        key_of(lambda x: jnp.cos(x) * 2, x),
        key_of(lambda x: jnp.sin(x) * 2, x, donated=(0,)),
        key_of(lambda x: jnp.sin(x) * 2, x, cores=3),
        key_of(lambda x: lax.fori_loop(0, 3, lambda i, c: c * 2, x), x),
        key_of(lambda x: lax.fori_loop(0, 3, lambda i, c: c * 3, x), x),
    ]
    assert len({key, *others}) == 8 and None not in others
    with config.using(verify=True):
        assert plan.key_of(fg.make_graph(jnp.sin)(x).graph, (), 2) is None


def test_a_graph_with_a_python_function_has_no_plan():
    def called(x):
        return fg.pure_callback(lambda v: v + 1, fg.ShapeDtypeStruct((3,), np.float32), x)

    assert key_of(called, np.ones(3, np.float32)) is None


def test_all_stages_can_be_seen_of_what_was_planned_before(filled):
    folder, _ = filled
    program = PROGRAM.partition("outs = [")[0]
    program += "f = fg.jit(lambda x: jnp.tanh(x @ x).sum(0))\nf(x)\ntext = str(f.lower(x))\n"
    program += "import hashlib; print(hashlib.md5(text.encode()).hexdigest(), 'vm.tanh' in text, sep=';')"
    first = run(folder, program)
    assert first[1] == "True" and run(folder, program) == first
