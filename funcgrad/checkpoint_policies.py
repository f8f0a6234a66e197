"""What `checkpoint` may keep: functions of an equation that say whether its outputs are saved.

A policy is called as `policy(primitive, *in_types, **params)`; any function of this form is one. Names are those of
`jax.checkpoint_policies`. What JAX moves to another memory is saved here: there is one memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from funcgrad.ir.primitive import Primitive

Policy = Callable[..., bool]


def everything_saveable(primitive: Primitive, *in_types: Any, **params: Any) -> bool:
    """Everything may be saved, as without `checkpoint`."""
    return True


def nothing_saveable(primitive: Primitive, *in_types: Any, **params: Any) -> bool:
    """Nothing but the arguments is saved, as without a policy."""
    return False


def dots_saveable(primitive: Primitive, *in_types: Any, **params: Any) -> bool:
    """Results of matrix products are saved, all else is computed again."""
    return primitive.name == "dot_general"


def dots_with_no_batch_dims_saveable(primitive: Primitive, *in_types: Any, **params: Any) -> bool:
    """Results of matrix products without batch dimensions are saved: those with weights, mostly."""
    return primitive.name == "dot_general" and not any(params["dimension_numbers"][1])


checkpoint_dots = dots_saveable
checkpoint_dots_with_no_batch_dims = dots_with_no_batch_dims_saveable


def offload_dot_with_no_batch_dims(offload_src: str = "device", offload_dst: str = "pinned_host") -> Policy:
    """`dots_with_no_batch_dims_saveable`."""
    return dots_with_no_batch_dims_saveable


def _name(primitive: Primitive, params: dict[str, Any]) -> str | None:
    return params["name"] if primitive.name == "checkpoint_name" else None


def save_only_these_names(*names: str) -> Policy:
    """Values that `ad_checkpoint.checkpoint_name` gave one of `names` are saved.

    >>> import funcgrad as fg
    >>> from funcgrad.ad_checkpoint import checkpoint_name
    >>> f = lambda x: fg.numpy.sin(checkpoint_name(fg.numpy.exp(x), "e"))
    >>> policy = fg.checkpoint_policies.save_only_these_names("e")
    >>> fg.ad_checkpoint.print_saved_residuals(fg.checkpoint(f, policy=policy), fg.numpy.ones(3))
    f32[3] from argument 'x' of <lambda>
    f32[3] named 'e'
    24 bytes
    a compiled gradient works in 0 bytes, without checkpoint in 0 bytes
    """
    wanted = frozenset(names)

    def policy(primitive: Primitive, *in_types: Any, **params: Any) -> bool:
        return _name(primitive, params) in wanted

    return policy


def save_any_names_but_these(*names_not_to_save: str) -> Policy:
    """Named values are saved but for those of these names."""
    unwanted = frozenset(names_not_to_save)

    def policy(primitive: Primitive, *in_types: Any, **params: Any) -> bool:
        name = _name(primitive, params)
        return name is not None and name not in unwanted

    return policy


def save_anything_except_these_names(*names_not_to_save: str) -> Policy:
    """Everything may be saved but values of these names."""
    unwanted = frozenset(names_not_to_save)

    def policy(primitive: Primitive, *in_types: Any, **params: Any) -> bool:
        return _name(primitive, params) not in unwanted

    return policy


def save_from_both_policies(policy_1: Policy, policy_2: Policy) -> Policy:
    """What either policy saves is saved."""

    def policy(primitive: Primitive, *in_types: Any, **params: Any) -> bool:
        return bool(policy_1(primitive, *in_types, **params) or policy_2(primitive, *in_types, **params))

    return policy


def save_and_offload_only_these_names(
    *,
    names_which_can_be_saved: Sequence[str],
    names_which_can_be_offloaded: Sequence[str],
    offload_src: str = "device",
    offload_dst: str = "pinned_host",
) -> Policy:
    """Values of all these names are saved."""
    return save_only_these_names(*names_which_can_be_saved, *names_which_can_be_offloaded)
