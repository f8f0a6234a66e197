"""funcgrad: pure functions of arrays, traced, transformed and compiled."""

# ruff: noqa: E402, F401

import importlib as _importlib
import os
from typing import Any as _Any

from funcgrad.version import __version__

# Run from a checkout, Python finds this folder before an installed copy; kernels/ then lies beside it.
_here = os.path.dirname(__file__)
if not os.path.isdir(os.path.join(_here, "kernels")):
    __path__.append(os.path.dirname(_here))

# prims makes every primitive, numpy.methods the operators of arrays
from funcgrad import (
    ad_checkpoint,
    checkify,
    checkpoint_policies,
    core,
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
    sharding,
    tree,
    tree_util,
)
from funcgrad.ad_checkpoint import checkpoint, remat
from funcgrad.api import (
    block_until_ready,
    eval_shape,
    grad,
    jvp,
    linear_transpose,
    linearize,
    make_graph,
    make_jaxpr,
    value_and_grad,
    vjp,
)
from funcgrad.array import Array, Device, ShapeDtypeStruct
from funcgrad.batching import vmap
from funcgrad.callbacks import effects_barrier, io_callback, pure_callback
from funcgrad.config import config
from funcgrad.contexts import (
    check_tracer_leaks,
    checking_leaks,
    default_matmul_precision,
    disable_jit,
    enable_checks,
    enable_x64,
    ensure_compile_time_eval,
    explain_cache_misses,
    log_compiles,
    named_call,
    named_scope,
)
from funcgrad.custom_rules import closure_convert, custom_gradient, custom_jvp, custom_vjp
from funcgrad.debug import infs as debug_infs
from funcgrad.debug import key_reuse as debug_key_reuse
from funcgrad.debug import nans as debug_nans
from funcgrad.devices import (
    default_backend,
    default_device,
    device_count,
    device_get,
    device_put,
    devices,
    host_count,
    host_id,
    host_ids,
    local_device_count,
    local_devices,
    print_environment_info,
    process_count,
    process_index,
    process_indices,
)
from funcgrad.dtypes import float0
from funcgrad.jacobians import hessian, jacfwd, jacobian, jacrev
from funcgrad.jit import clear_caches, jit
from funcgrad.names import unknown_names as _unknown_names
from funcgrad.numpy import methods as _methods
from funcgrad.numpy.indices import ds
from funcgrad.pmap import pmap
from funcgrad.refs import Ref, freeze, new_ref
from funcgrad.runtime.device import get_num_threads, set_num_threads
from funcgrad.sharding import NamedSharding, P, make_mesh, shard_map
from funcgrad.trace.core import type_of as typeof
from funcgrad.user_kernels import elementwise, kernel

_unknown = _unknown_names(
    __name__,
    {
        "cross_entropy": "it from funcgrad.nn.log_softmax and funcgrad.nn.one_hot",
        "tensor": "funcgrad.numpy.array",
        "tree_map": "funcgrad.tree.map",
        "tree_leaves": "funcgrad.tree.leaves",
        "tree_flatten": "funcgrad.tree.flatten",
        "tree_unflatten": "funcgrad.tree.unflatten",
        "tree_structure": "funcgrad.tree.structure",
        "no_grad": "funcgrad.lax.stop_gradient(x): derivatives are taken only where grad asks for them",
    },
)

_RARE = ("dlpack", "example_libraries", "experimental", "image", "profiler", "scipy", "stages", "typing")
"""Modules that are imported when they are first used."""


@errors.boundary
def __getattr__(name: str) -> _Any:
    return _importlib.import_module(f"{__name__}.{name}") if name in _RARE else _unknown(name)


__all__ = [
    "Array",
    "Device",
    "NamedSharding",
    "P",
    "Ref",
    "ShapeDtypeStruct",
    "__version__",
    "ad_checkpoint",
    "block_until_ready",
    "checkify",
    "checking_leaks",
    "checkpoint",
    "checkpoint_policies",
    "closure_convert",
    "config",
    "core",
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
    "default_device",
    "default_matmul_precision",
    "device_count",
    "device_get",
    "device_put",
    "ds",
    "devices",
    "disable_jit",
    "dtypes",
    "effects_barrier",
    "enable_x64",
    "elementwise",
    "ensure_compile_time_eval",
    "errors",
    "eval_shape",
    "flatten_util",
    "float0",
    "freeze",
    "get_num_threads",
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
    "make_mesh",
    "named_call",
    "named_scope",
    "new_ref",
    "nn",
    "numpy",
    "ops",
    "process_count",
    "process_index",
    "pure_callback",
    "random",
    "remat",
    "set_num_threads",
    "shard_map",
    "sharding",
    "tree",
    "tree_util",
    "typeof",
    "value_and_grad",
    "vjp",
    "check_tracer_leaks",
    "enable_checks",
    "explain_cache_misses",
    "log_compiles",
    "host_count",
    "host_id",
    "host_ids",
    "print_environment_info",
    "process_indices",
    "clear_caches",
    "pmap",
    "vmap",
    *_RARE,
]
