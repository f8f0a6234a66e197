"""The functions on trees that users call: `map`, `reduce`, `transpose`, `broadcast` and relatives.

Composition of the walks in `treedef.py`; knows nothing of node types.
"""

from __future__ import annotations

import builtins
import functools
from collections.abc import Callable, Iterable
from typing import Any

from funcgrad.errors import TreeError, boundary
from funcgrad.tree.registry import TUPLE, KeyPath, kind_of
from funcgrad.tree.treedef import LEAF, IsLeaf, TreeDef, flatten, flatten_paths, flatten_up_to, plain_node

# this module defines `map` and `all` for its users
_map = builtins.map
_all = builtins.all


@boundary
def unflatten(treedef: TreeDef, leaves: Iterable[Any]) -> Any:
    """Put a tree together: the inverse of `flatten`."""
    return treedef.unflatten(leaves)


def leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves of a tree, in order."""
    return flatten(tree, is_leaf)[0]


def structure(tree: Any, is_leaf: IsLeaf = None) -> TreeDef:
    """The structure of a tree."""
    return flatten(tree, is_leaf)[1]


def all_leaves(iterable: Iterable[Any], is_leaf: IsLeaf = None) -> bool:
    """Whether each item is a leaf."""
    if is_leaf is None:
        return _all(kind_of(type(item)) is None for item in iterable)
    return _all(structure(item, is_leaf) is LEAF for item in iterable)


def is_tree_node(value: Any) -> bool:
    """Whether `value` is a node (of whatever children), not a leaf."""
    return kind_of(type(value)) is not None


def flatten_one_level(tree: Any) -> tuple[list[Any], Any] | None:
    """`(children, metadata)` of a node, None for a leaf."""
    kind = kind_of(type(tree))
    if kind is None:
        return None
    children, meta = kind.flatten(tree)
    return list(children), meta


def treedef_is_leaf(treedef: TreeDef) -> bool:
    """Whether a structure is that of one leaf."""
    return treedef is LEAF


def treedef_children(treedef: TreeDef) -> list[TreeDef]:
    """The structures one level down."""
    return treedef.children()


def treedef_tuple(treedefs: Iterable[TreeDef]) -> TreeDef:
    """The structure of a tuple of trees."""
    return plain_node(TUPLE, list(treedefs))


@boundary
def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None) -> Any:
    """Apply `f` to each leaf: `map(add, (1, 2), (3, 4))` is `(4, 6)`.

    The structure of `tree` must be a prefix of that of each further tree; `f` gets their subtrees at the
    leaves of `tree`. Raises `TreeError` with the path where they differ.
    """
    if not callable(f):
        raise TreeError(
            f"tree.map: the first argument has to be a function, got {type(f).__name__}",
            hint="write tree.map(f, tree): the function comes first",
        )
    items, treedef = flatten(tree, is_leaf)
    others = [
        flatten_up_to(treedef, other, f"tree.map: tree number {i}") for i, other in enumerate(rest, start=2)
    ]
    return treedef.unflatten(list(_map(f, items, *others)))


_MISSING: Any = object()


def reduce(
    function: Callable[[Any, Any], Any], tree: Any, initializer: Any = _MISSING, is_leaf: IsLeaf = None
) -> Any:
    """Fold the leaves from the left: `reduce(add, {"a": 1, "b": 2}, 10)` is 13."""
    if initializer is _MISSING:
        return functools.reduce(function, leaves(tree, is_leaf))
    return functools.reduce(function, leaves(tree, is_leaf), initializer)


@boundary
def reduce_associative(
    operation: Callable[[Any, Any], Any], tree: Any, *, identity: Any = _MISSING, is_leaf: IsLeaf = None
) -> Any:
    """Combine the leaves pairwise, as a balanced tree; `operation` must be associative."""
    items = leaves(tree, is_leaf)
    if not items:
        if identity is _MISSING:
            raise TreeError("reduce_associative: a tree without leaves", hint="give identity=")
        return identity
    while len(items) > 1:
        pairs = [operation(a, b) for a, b in zip(items[::2], items[1::2])]
        items = [*pairs, items[-1]] if len(items) % 2 else pairs
    return items[0]


def all(tree: Any, *, is_leaf: IsLeaf = None) -> bool:
    """Whether every leaf is true."""
    return _all(leaves(tree, is_leaf))


@boundary
def transpose(outer_treedef: TreeDef, inner_treedef: TreeDef | None, pytree_to_transpose: Any) -> Any:
    """Turn a tree of trees inside out: from `outer` of `inner` to `inner` of `outer`.

    `transpose(structure([0, 0]), structure({"a": 0}), [{"a": 1}, {"a": 2}])` is `{"a": [1, 2]}`.
    `inner_treedef=None` takes it from the first subtree.
    """
    subtrees = flatten_up_to(outer_treedef, pytree_to_transpose, "tree.transpose: the tree")
    if inner_treedef is None and subtrees:
        inner_treedef = structure(subtrees[0])
    if inner_treedef is None or not subtrees or inner_treedef.num_leaves == 0:
        raise TreeError("tree.transpose: a structure has no leaves", hint="both need at least one leaf")
    columns = [
        flatten_up_to(inner_treedef, subtree, f"tree.transpose: subtree {i}")
        for i, subtree in enumerate(subtrees)
    ]
    return inner_treedef.unflatten([outer_treedef.unflatten(row) for row in zip(*columns)])


@boundary
def broadcast_prefix(prefix_tree: Any, full_tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """Each leaf of `prefix_tree`, as often as `full_tree` has leaves below it.

    `broadcast_prefix((0, None), ([x, y], z), is_leaf=lambda x: x is None)` is `[0, 0, None]`.
    """
    items, treedef = flatten(prefix_tree, is_leaf)
    out: list[Any] = []
    for item, subtree in zip(items, flatten_up_to(treedef, full_tree, "broadcast_prefix: the full tree")):
        out.extend([item] * structure(subtree).num_leaves)
    return out


@boundary
def broadcast(prefix_tree: Any, full_tree: Any, is_leaf: IsLeaf = None) -> Any:
    """The leaves of `prefix_tree`, repeated into the structure of `full_tree`."""
    return structure(full_tree).unflatten(broadcast_prefix(prefix_tree, full_tree, is_leaf))


def flatten_with_path(
    tree: Any, is_leaf: Callable[..., bool] | None = None, is_leaf_takes_path: bool = False
) -> tuple[list[tuple[KeyPath, Any]], TreeDef]:
    """Like `flatten`, each leaf with the path of keys that leads to it.

    With `is_leaf_takes_path`, it is called as `is_leaf(path, node)`.
    """
    if is_leaf is None:
        stop = None
    elif is_leaf_takes_path:
        stop = is_leaf
    else:
        stop = lambda _, node: is_leaf(node)  # noqa: E731
    out: list[tuple[KeyPath, Any]] = []
    return out, flatten_paths(tree, (), stop, out)


def leaves_with_path(
    tree: Any, is_leaf: Callable[..., bool] | None = None, is_leaf_takes_path: bool = False
) -> list[tuple[KeyPath, Any]]:
    """The leaves of a tree, each with its path."""
    return flatten_with_path(tree, is_leaf, is_leaf_takes_path)[0]


@boundary
def map_with_path(
    f: Callable[..., Any],
    tree: Any,
    *rest: Any,
    is_leaf: Callable[..., bool] | None = None,
    is_leaf_takes_path: bool = False,
) -> Any:
    """Like `map`, but `f(path, leaf, ...)` gets the path too."""
    pairs, treedef = flatten_with_path(tree, is_leaf, is_leaf_takes_path)
    others = [
        flatten_up_to(treedef, other, f"tree.map_with_path: tree number {i}")
        for i, other in enumerate(rest, start=2)
    ]
    paths, items = [path for path, _ in pairs], [item for _, item in pairs]
    return treedef.unflatten(list(_map(f, paths, items, *others)))
