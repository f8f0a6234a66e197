"""funcgrad: pure functions of arrays, traced, transformed and compiled."""

# ruff: noqa: E402, F401

import os

from funcgrad.version import __version__

# Run from a checkout, Python finds this folder before an installed copy; kernels/ then lies beside it.
_here = os.path.dirname(__file__)
if not os.path.isdir(os.path.join(_here, "kernels")):
    __path__.append(os.path.dirname(_here))

# prims makes every primitive, numpy.methods the operators of arrays
from funcgrad import (
    checkify,
    custom_batching,
    custom_derivatives,
    debug,
    dtypes,
    errors,
    flatten_util,
    lax,
    nn,
    numpy,
    ops,
    prims,
    random,
    scipy,
    tree,
    tree_util,
)
from funcgrad.api import (
    block_until_ready,
    checkpoint,
    eval_shape,
    grad,
    hessian,
    jacfwd,
    jacobian,
    jacrev,
    jvp,
    linear_transpose,
    linearize,
    make_graph,
    make_jaxpr,
    remat,
    value_and_grad,
    vjp,
    vmap,
)
from funcgrad.array import Array, ShapeDtypeStruct
from funcgrad.callbacks import effects_barrier, io_callback, pure_callback
from funcgrad.config import config
from funcgrad.contexts import (
    checking_leaks,
    disable_jit,
    ensure_compile_time_eval,
    named_call,
    named_scope,
)
from funcgrad.custom_rules import closure_convert, custom_gradient, custom_jvp, custom_vjp
from funcgrad.debug import infs as debug_infs
from funcgrad.debug import key_reuse as debug_key_reuse
from funcgrad.debug import nans as debug_nans
from funcgrad.devices import (
    default_backend,
    device_count,
    device_get,
    device_put,
    devices,
    local_device_count,
    local_devices,
)
from funcgrad.jit import jit
from funcgrad.names import unknown_names as _unknown_names
from funcgrad.numpy import methods as _methods
from funcgrad.user_kernels import elementwise, kernel

__getattr__ = _unknown_names(
    __name__,
    {
        "cross_entropy": "it from funcgrad.nn.log_softmax and funcgrad.nn.one_hot",
        "pmap": "vmap, or jit: one process drives one device",
        "tensor": "funcgrad.numpy.array",
        "tree_map": "funcgrad.tree.map",
        "tree_leaves": "funcgrad.tree.leaves",
        "tree_flatten": "funcgrad.tree.flatten",
        "tree_unflatten": "funcgrad.tree.unflatten",
        "tree_structure": "funcgrad.tree.structure",
        "no_grad": "funcgrad.lax.stop_gradient(x): derivatives are taken only where grad asks for them",
    },
)

__all__ = [
    "Array",
    "ShapeDtypeStruct",
    "__version__",
    "block_until_ready",
    "checkify",
    "checking_leaks",
    "checkpoint",
    "closure_convert",
    "config",
    "custom_batching",
    "custom_derivatives",
    "custom_gradient",
    "custom_jvp",
    "custom_vjp",
    "debug",
    "debug_infs",
    "debug_key_reuse",
    "debug_nans",
    "default_backend",
    "device_count",
    "device_get",
    "device_put",
    "devices",
    "disable_jit",
    "dtypes",
    "effects_barrier",
    "elementwise",
    "ensure_compile_time_eval",
    "errors",
    "eval_shape",
    "flatten_util",
    "grad",
    "hessian",
    "io_callback",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "kernel",
    "lax",
    "linear_transpose",
    "linearize",
    "local_device_count",
    "local_devices",
    "make_graph",
    "make_jaxpr",
    "named_call",
    "named_scope",
    "nn",
    "numpy",
    "ops",
    "pure_callback",
    "random",
    "remat",
    "scipy",
    "tree",
    "tree_util",
    "value_and_grad",
    "vjp",
    "vmap",
]
