"""funcgrad: pure functions of arrays, traced, transformed and compiled."""

import os

from funcgrad.version import __version__

# Run from a checkout, Python finds this folder before an installed copy; kernels/ then lies beside it.
_here = os.path.dirname(__file__)
if not os.path.isdir(os.path.join(_here, "kernels")):
    __path__.append(os.path.dirname(_here))

from funcgrad import prims  # noqa: E402, F401  (makes every primitive)
from funcgrad import numpy, lax, nn, random, scipy  # noqa: E402, I001
from funcgrad import dtypes, errors, flatten_util, tree, tree_util  # noqa: E402
from funcgrad.api import (  # noqa: E402
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
from funcgrad.array import Array, ShapeDtypeStruct  # noqa: E402
from funcgrad.config import config  # noqa: E402
from funcgrad.contexts import disable_jit, ensure_compile_time_eval, named_scope  # noqa: E402
from funcgrad.custom_rules import custom_jvp, custom_vjp  # noqa: E402
from funcgrad.devices import (  # noqa: E402
    default_backend,
    device_count,
    device_get,
    device_put,
    devices,
    local_device_count,
    local_devices,
)
from funcgrad.jit import jit  # noqa: E402
from funcgrad.numpy import methods as _methods  # noqa: E402, F401  (the operators of arrays)

__all__ = [
    "Array",
    "ShapeDtypeStruct",
    "__version__",
    "block_until_ready",
    "checkpoint",
    "config",
    "custom_jvp",
    "custom_vjp",
    "default_backend",
    "device_count",
    "device_get",
    "device_put",
    "devices",
    "disable_jit",
    "dtypes",
    "ensure_compile_time_eval",
    "errors",
    "eval_shape",
    "flatten_util",
    "grad",
    "hessian",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "lax",
    "linear_transpose",
    "linearize",
    "local_device_count",
    "local_devices",
    "make_graph",
    "make_jaxpr",
    "named_scope",
    "nn",
    "numpy",
    "random",
    "remat",
    "scipy",
    "tree",
    "tree_util",
    "value_and_grad",
    "vjp",
    "vmap",
]
