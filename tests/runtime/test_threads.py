"""The pool of threads: what it computes does not depend on how many there are, nor on who calls; where they may run."""

import os
import sys
import threading
import time

import numpy as np
import pytest

import funcgrad as fg
import funcgrad.numpy as jnp

RNG = np.random.default_rng(0)
X = RNG.standard_normal((700, 600), np.float32)

WORK = {
    "elementwise": lambda x: jnp.exp(-x * x) + jnp.tanh(x),
    "sum": lambda x: (x * x).sum(),
    "sum_of_columns": lambda x: jnp.exp(x).sum(0),
    "softmax": lambda x: fg.nn.softmax(x, axis=-1),
    "gradient": fg.grad(lambda x: fg.nn.logsumexp(x, axis=1).sum() + (x**3).mean()),
    "product": lambda x: x.T @ x,
    "batched_product": lambda x: x.reshape(7, 100, 600) @ x.reshape(7, 600, 100),
    "cumsum": lambda x: x.ravel().cumsum(),
    "loop": lambda x: fg.lax.fori_loop(0, 5, lambda i, y: y * 0.9 + jnp.sin(y), x),
    "normal": lambda x: fg.random.normal(fg.random.PRNGKey(3), x.shape) + x,
    "transpose": lambda x: (x.T * 2).reshape(600, 50, 14).transpose(0, 2, 1),
    "segment_sum": lambda x: fg.ops.segment_sum(x.ravel(), SEGMENTS, num_segments=99),
    "associative_scan": lambda x: fg.lax.associative_scan(lambda a, b: a * 0.5 + b, x.ravel()),
    "convolutions": fg.grad(lambda x: (convolved(x, "NCHW") ** 2).sum()),
    "convolutions_channels_last": fg.grad(lambda x: (convolved(x, "NHWC") ** 2).sum()),
}
SEGMENTS = RNG.integers(0, 99, X.size)


def convolved(x, layout):
    """A convolution of 20 images with a kernel that is a part of them."""
    x = x.reshape(20, 21, 25, 40) / 10
    w = x[0, :18, :24, :4].reshape(48, 4, 3, 3)
    x = x[..., :4] if layout == "NHWC" else x[..., :4].transpose(0, 3, 1, 2)
    return fg.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=(layout, "OIHW", layout))


@pytest.fixture
def threads():
    before = fg.get_num_threads()
    yield fg.set_num_threads
    fg.set_num_threads(before)


@pytest.mark.parametrize("name", WORK)
def test_results_do_not_depend_on_the_number_of_threads(name, threads):
    results = []
    for count in (1, 2, 3):
        threads(count)
        f = fg.jit(lambda x: WORK[name](x))  # another function, which is lowered for this number
        results += [np.asarray(f(X)) for _ in range(3)]
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


def test_several_python_threads_may_call_at_once(threads):
    threads(3)
    f = fg.jit(lambda x, k: jnp.exp(-x * x).sum(0) + k)
    expected = np.asarray(f(X, 0.0))
    wrong = []

    def call(k):
        for _ in range(20):
            if not np.array_equal(f(X, float(k)), expected + np.float32(k)):
                wrong.append(k)

    callers = [threading.Thread(target=call, args=(k,)) for k in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == []


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps threads off a core")
def test_threads_that_were_kept_off_the_callers_core_may_run_on_any_again(threads):
    threads(3)
    f = fg.jit(WORK["elementwise"])
    f(X)
    workers = [t.native_id for t in threading.enumerate() if t.name.startswith("funcgrad-")][-2:]
    assert len(workers) == 2
    everywhere = os.sched_getaffinity(0)
    for _ in range(3):
        time.sleep(0.02)  # they fall asleep
        f(X)  # wakes them
    patience = time.monotonic() + 10
    while any(os.sched_getaffinity(w) != everywhere for w in workers) and time.monotonic() < patience:
        f(X)
    assert [os.sched_getaffinity(w) for w in workers] == [everywhere] * 2


def test_a_number_of_threads_below_one_is_refused():
    with pytest.raises(fg.errors.ArgumentError, match="at least 1, got 0"):
        fg.set_num_threads(0)
