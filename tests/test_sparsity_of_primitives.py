"""Every primitive's sparsity pattern, on its own samples: no entry of the Jacobian is ever left out."""

from __future__ import annotations

import numpy as np
import pytest

import funcgrad as fg
from funcgrad import dtypes
from funcgrad.errors import FuncgradError
from funcgrad.ir.primitive import PRIMITIVES
from funcgrad.trace.core import bind


def differentiable(primitive):
    if primitive.jvp is None or primitive.collective is not None or primitive.effect:
        return []
    found = []
    for sample in primitive.samples():
        wanted = range(len(sample.operands)) if sample.differentiable is None else sample.differentiable
        rng = np.random.default_rng(0)
        operands = [x(rng) if callable(x) else x for x in sample.operands]
        live = [k for k in wanted if np.asarray(operands[k]).dtype in (np.float32, np.float64)]
        if live and sum(np.asarray(x).size for x in operands) < 400:
            found.append((sample, operands, live))
    return found[:4]


@pytest.mark.parametrize("name", [n for n, p in PRIMITIVES.items() if differentiable(p)])
def test_no_entry_is_left_out(name):
    primitive = PRIMITIVES[name]
    for sample, operands, live in differentiable(primitive):

        def f(*values, sample=sample, operands=operands, live=live):
            full = list(operands)
            for k, v in zip(live, values):
                full[k] = v
            outs = bind(primitive, *full, **sample.params)
            outs = outs if primitive.multiple_results else [outs]
            return [o for o in outs if dtypes.is_float(o.dtype)]

        values = [operands[k] for k in live]
        argnums = tuple(range(len(live)))
        try:
            dense = fg.jacfwd(f, argnums)(*values)
        except FuncgradError:
            continue
        for transform in (fg.jacfwd, fg.jacrev):
            for rows, expected in zip(transform(f, argnums, sparse=True)(*values), dense):
                for got, want in zip(rows, expected):
                    want = np.asarray(want).reshape(got.shape)
                    np.testing.assert_allclose(got.toarray(), want, rtol=2e-3, atol=1e-4)
