"""Scaled dot-product attention, under the name of `jax.nn`, written with ordinary operations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from funcgrad import dtypes
from funcgrad import numpy as fnp
from funcgrad.array import Array
from funcgrad.errors import ArgumentError, DTypeError, ShapeError, boundary
from funcgrad.nn.functions import softmax
from funcgrad.promotion import check_arrays

_HIDDEN = -0.7
"""Times the largest number: the logit of a hidden pair, to which a bias can still be added."""


@boundary
def dot_product_attention(
    query: Any,
    key: Any,
    value: Any,
    bias: Any = None,
    mask: Any = None,
    *,
    scale: float | None = None,
    is_causal: bool = False,
    query_seq_lengths: Any = None,
    key_value_seq_lengths: Any = None,
    local_window_size: int | tuple[int, int] | None = None,
    implementation: str | None = None,
) -> Array:
    """softmax(query key^T * scale + bias) value, for each batch element and head.

    Logits and weights are computed in float32 where the operands are 16-bit floats.

    Args:
        query: (B, T, N, H), or (T, N, H) without a batch: T positions, N heads, H features.
        key, value: (B, S, K, H), or (S, K, H). K divides N: neighbouring query heads share a key head.
        bias: added to the logits; broadcasts to (B, N, T, S).
        mask: boolean, broadcasts to (B, N, T, S); a query does not see the keys where it is False.
        scale: 1 / sqrt(H) where it is None.
        is_causal: query t sees the keys 0 to t.
        query_seq_lengths: (B,) integers; results from that position on are zero.
        key_value_seq_lengths: (B,) integers; no query sees the keys from that position on.
        local_window_size: (left, right), or one number for both: query t sees the keys t - left to t + right.
        implementation: accepted for JAX's sake; without effect here.

    Returns: an array like `query`, in its dtype.

    Raises ShapeError or DTypeError for operands that do not fit together.

    Vaswani et al., "Attention is all you need", 2017.

    >>> import funcgrad as fg
    >>> x = fg.numpy.ones((2, 5, 3, 4))
    >>> fg.nn.dot_product_attention(x, x, x, is_causal=True).shape
    (2, 5, 3, 4)
    """
    types = check_arrays("nn.dot_product_attention", query, key, value)
    _check(*types)
    if types[0].ndim == 3:
        per_batch = [
            x if x is None else fnp.reshape(x, (1,)) for x in (query_seq_lengths, key_value_seq_lengths)
        ]
        batched = [fnp.asarray(x)[None] for x in (query, key, value)]
        return dot_product_attention(
            *batched,
            bias,
            mask,
            scale=scale,
            is_causal=is_causal,
            query_seq_lengths=per_batch[0],
            key_value_seq_lengths=per_batch[1],
            local_window_size=local_window_size,
        )[0]
    query_length, heads, features = types[0].shape[1:]
    key_length, key_heads = types[1].shape[1:3]
    if key_heads != heads:
        key, value = (fnp.repeat(x, heads // key_heads, axis=2) for x in (key, value))
    compute = dtypes.compute_dtype(types[0].dtype)
    logits = fnp.einsum("btnh,bsnh->bnts", fnp.astype(query, compute), fnp.astype(key, compute))
    logits = logits * (features**-0.5 if scale is None else scale)
    if bias is not None:
        logits = logits + fnp.astype(bias, compute)
    seen = _seen(query_length, key_length, is_causal, local_window_size)
    if mask is not None:
        if check_arrays("nn.dot_product_attention", mask)[0].dtype != dtypes.bool_:
            raise DTypeError(
                f"the mask of attention is boolean, got {mask.dtype}", hint="add numbers by bias="
            )
        seen.append(mask)
    if key_value_seq_lengths is not None:
        lengths = fnp.asarray(key_value_seq_lengths)
        seen.append((fnp.arange(key_length) < lengths[:, None])[:, None, None, :])
    for condition in seen:
        logits = fnp.where(condition, logits, _HIDDEN * float(dtypes.finfo(compute).max))
    weights = fnp.astype(softmax(logits, axis=-1), types[0].dtype)
    result = fnp.einsum("bnts,bsnh->btnh", weights, value)
    if query_seq_lengths is not None:
        lengths = fnp.asarray(query_seq_lengths)
        result = fnp.where((fnp.arange(query_length) < lengths[:, None])[:, :, None, None], result, 0)
    return result


def _check(query: Any, key: Any, value: Any) -> None:
    what = f"dot_product_attention of query {query}, key {key} and value {value}"
    if not dtypes.is_float(query.dtype) or not query.dtype == key.dtype == value.dtype:
        raise DTypeError(f"{what}: they have one float dtype", hint="convert them with astype")
    ranks = {query.ndim, key.ndim, value.ndim}
    if ranks not in ({3}, {4}):
        raise ShapeError(
            f"{what}: each has the axes (batch, position, head, feature), or all but the batch",
            hint="for one head x[:, None, :], or reshape(..., heads, -1)",
        )
    if key.shape != value.shape:
        raise ShapeError(f"{what}: key and value have one shape")
    if query.shape[:-3] != key.shape[:-3] or query.shape[-1] != key.shape[-1]:
        raise ShapeError(f"{what}: batch and features are those of the query")
    if not key.shape[-2] or query.shape[-2] % key.shape[-2]:
        raise ShapeError(f"{what}: the number of key heads divides the number of query heads")


def _seen(rows: int, columns: int, is_causal: bool, window: Any) -> list[Any]:
    """The conditions under which a query sees a key, by their positions."""
    conditions = []
    row, column = fnp.arange(rows)[:, None], fnp.arange(columns)[None, :]
    if is_causal:
        conditions.append(column <= row)
    if window is not None:
        left, right = window if isinstance(window, Sequence) else (window, window)
        if left < 0 or right < 0:
            raise ArgumentError(f"local_window_size has no negative numbers, got {window}")
        conditions.append((column >= row - left) & (column <= row + right))
    return conditions
