"""`TreeDef`, and the walks that take a tree apart: all, up to a prefix, with paths.

`flatten` runs on every compiled call, so it is written for speed: containers whose items are all leaves are
recognised by one set test in C, and the `TreeDef`s of tuples, lists, NamedTuples and dicts with string keys
are shared, so that comparing two of them is usually an `is`. Knows no function on trees but these walks.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Any

from funcgrad.errors import TreeError, UnhashableError
from funcgrad.tree.registry import (
    DICT,
    KINDS,
    LEAF_TYPES,
    NONE,
    TABLE_LIMIT,
    DictKey,
    KeyPath,
    Kind,
    keystr,
    kind_of,
)

IsLeaf = Callable[[Any], bool] | None

# Definitions of wider nodes are built anew instead of being kept for sharing.
_WIDTH_LIMIT = 1_000


class TreeDef:
    """The structure of a tree: everything but its leaves. Immutable, hashable, comparable, picklable.

    `num_leaves` and `num_nodes` (leaves included) are attributes. Printed, a leaf is `*`.
    """

    __slots__ = (
        "__weakref__",
        "_children",
        "_flat",
        "_hash",
        "_kind",
        "_meta",
        "_shared",
        "num_leaves",
        "num_nodes",
    )

    def __init__(self, kind: Kind | None, meta: Any, children: tuple[TreeDef, ...], shared: bool = True):
        self._kind = kind
        self._meta = meta
        self._children = children
        self._hash: int | None = None
        self._shared = shared and all(child._shared for child in children)
        self._flat = kind is not None and all(child is LEAF for child in children)
        self.num_leaves: int = 1 if kind is None else sum(child.num_leaves for child in children)
        self.num_nodes: int = 1 + sum(child.num_nodes for child in children)

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree of this structure with these leaves; raises `TreeError` for a wrong number of leaves."""
        if not isinstance(leaves, (list, tuple)):
            leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            few = "few" if len(leaves) < self.num_leaves else "many"
            raise TreeError(
                f"too {few} leaves for {_short(self)}: it has {self.num_leaves}, got {len(leaves)}",
                hint="pass one leaf for each * of the structure, in the order that flatten gives",
            )
        kind = self._kind
        if kind is None:
            return leaves[0]
        if self._flat:
            return kind.unflatten(self._meta, tuple(leaves))
        return _build(self, iter(leaves))

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """The subtrees of `tree` at the leaves of this structure, which must be a prefix of it."""
        return flatten_up_to(self, tree, "flatten_up_to: the tree")

    def children(self) -> list[TreeDef]:
        """The structures one level down."""
        return list(self._children)

    def node_data(self) -> tuple[type, Any] | None:
        """`(node type, metadata)` of the outermost node; None for a leaf."""
        if self._kind is None:
            return None
        return self._kind.type, list(self._meta) if self._kind is DICT else self._meta

    def compose(self, inner: TreeDef) -> TreeDef:
        """This structure with `inner` in the place of each leaf."""
        if self._kind is None:
            return inner
        return _node(self._kind, self._meta, [child.compose(inner) for child in self._children])

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if not isinstance(other, TreeDef):
            return NotImplemented
        return _same(self, other)

    def __hash__(self) -> int:
        if self._hash is None:
            try:
                self._hash = hash((self._kind and self._kind.type, self._meta, self._children))
            except TypeError as error:
                if self._kind is None or _hashable(self._meta):
                    raise
                if _holds_arrays(self._meta):
                    raise UnhashableError(
                        f"the metadata of {self._kind.type.__qualname__} holds arrays, which cannot be hashed: "
                        f"{getattr(error, 'what', error)}",
                        hint="make arrays children (data fields); metadata is compared when a function is compiled",
                    ) from None
                self._meta = _copied(self._meta)  # what is a key must not change when the user's dict does
                self._hash = hash((self._kind.type, self._children))
        return self._hash

    def __repr__(self) -> str:
        return f"PyTreeDef({_show(self)})"

    def __reduce__(self) -> Any:
        if self._kind is None:
            return _leaf, ()
        return _restore, (self._kind.type, self._meta, self._children)


PyTreeDef = TreeDef
LEAF = TreeDef(None, None, ())
NONE_DEF = TreeDef(NONE, None, ())


def _leaf() -> TreeDef:
    return LEAF


def _restore(type_: type, meta: Any, children: tuple[TreeDef, ...]) -> TreeDef:
    kind = kind_of(type_)
    if kind is None:
        raise TreeError(
            f"a structure names {type_.__qualname__}, which is not a node type here",
            hint="import the module that registers it before loading",
        )
    return _node(kind, meta, children)


def _same(a: TreeDef, b: TreeDef) -> bool:
    if a is b:
        return True
    if a._kind is not b._kind or a.num_nodes != b.num_nodes or len(a._children) != len(b._children):
        return False
    if a._hash is not None and b._hash is not None and a._hash != b._hash:
        return False
    return bool(a._meta == b._meta) and all(map(_same, a._children, b._children))


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _holds_arrays(meta: Any) -> bool:
    """Whether arrays, which have no truth when they are compared, are in metadata."""
    if isinstance(meta, dict):
        meta = list(meta.values())
    return any(map(_holds_arrays, meta)) if isinstance(meta, list | tuple) else hasattr(meta, "__array__")


def _copied(meta: Any) -> Any:
    """Metadata with dicts, lists and sets of its own."""
    if meta.__class__ is dict:
        return {key: _copied(value) for key, value in meta.items()}
    if meta.__class__ in (list, tuple):
        return meta.__class__(map(_copied, meta))
    return set(meta) if meta.__class__ is set else meta


def _show(treedef: TreeDef) -> str:
    if treedef._kind is None:
        return "*"
    return treedef._kind.show(treedef._meta, [_show(child) for child in treedef._children])


def _short(treedef: TreeDef, limit: int = 400) -> str:
    text = repr(treedef)
    return text if len(text) <= limit else f"{text[:limit]}... ({treedef.num_leaves} leaves)"


def _build(treedef: TreeDef, leaves: Iterator[Any]) -> Any:
    kind: Any = treedef._kind
    if treedef._flat:
        if kind is DICT:
            # zip asks the keys first, so it takes no leaf too many
            return dict(zip(treedef._meta, leaves))
        return kind.unflatten(treedef._meta, tuple(islice(leaves, treedef.num_leaves)))
    children = [next(leaves) if child is LEAF else _build(child, leaves) for child in treedef._children]
    return kind.unflatten(treedef._meta, tuple(children))


# ------------------------------------------------------------------------------------- shared definitions
#
# A definition is shared only where its metadata leaves no doubt that equal means the same: equal metadata may
# still differ (1 and True, 2 and 2.0), so a registered class, a dict whose keys are not all strings, and what
# contains one, get a definition of their own. A table that holds a definition keeps its children alive, so
# the ids of children are a sound key.


class _Entry:
    """What is known of dicts with one sequence of string keys: sorted keys, shared definitions.

    `keys` are sorted; `values(node)` gives the values in that order. An entry for another order of insertion
    takes its definitions from the one of the sorted order.
    """

    __slots__ = ("by_children", "flat", "keys", "values")

    def __init__(self, keys: tuple[str, ...], canonical: _Entry | None = None):
        self.keys: tuple[Hashable, ...] = keys
        # an entry of another order has two keys or more, so that itemgetter gives a tuple
        self.values: Callable[[dict], Any] = itemgetter(*keys) if canonical else dict.values
        self.flat: TreeDef = canonical.flat if canonical else TreeDef(DICT, keys, (LEAF,) * len(keys))
        self.by_children: dict[tuple[int, ...], TreeDef] = canonical.by_children if canonical else {}


_DICT_ENTRIES: dict[tuple[Hashable, ...], _Entry] = {}


def _node(kind: Kind, meta: Any, children: Sequence[TreeDef]) -> TreeDef:
    if kind.plain:
        return plain_node(kind, children)
    if kind is NONE:
        return NONE_DEF
    if kind is DICT:
        entry = _DICT_ENTRIES.get(meta) or _entry(meta)
        if entry is not None:
            return _dict_node(entry, children)
    return TreeDef(kind, meta, tuple(children), shared=False)


def _plain_flat(kind: Kind, width: int) -> TreeDef:
    treedef = kind.by_width.get(width)
    if treedef is None:
        treedef = TreeDef(kind, None, (LEAF,) * width)
        if width <= _WIDTH_LIMIT:
            kind.by_width[width] = treedef
    return treedef


def plain_node(kind: Kind, children: Sequence[TreeDef]) -> TreeDef:
    ids = tuple(map(id, children))
    treedef = kind.by_children.get(ids)
    if treedef is None:
        treedef = TreeDef(kind, None, tuple(children))
        if treedef._flat:
            return _plain_flat(kind, len(children))
        _share(kind.by_children, ids, treedef)
    return treedef


def _dict_node(entry: _Entry, children: Sequence[TreeDef]) -> TreeDef:
    ids = tuple(map(id, children))
    treedef = entry.by_children.get(ids)
    if treedef is None:
        treedef = TreeDef(DICT, entry.keys, tuple(children))
        if treedef._flat:
            return entry.flat
        _share(entry.by_children, ids, treedef)
    return treedef


def _share(table: dict[tuple[int, ...], TreeDef], ids: tuple[int, ...], treedef: TreeDef) -> None:
    if treedef._shared and len(ids) <= _WIDTH_LIMIT:
        if len(table) >= TABLE_LIMIT:
            table.clear()
        table[ids] = treedef


def _entry(keys: tuple[Hashable, ...]) -> _Entry | None:
    """The entry of dicts with these keys in this order, made when all keys are strings; None otherwise."""
    if not all(type(key) is str for key in keys):
        return None
    in_order = tuple(sorted(keys))  # type: ignore[type-var]
    if len(_DICT_ENTRIES) >= TABLE_LIMIT:
        _DICT_ENTRIES.clear()
    canonical = _DICT_ENTRIES.get(in_order)
    if canonical is None:
        canonical = _DICT_ENTRIES[in_order] = _Entry(in_order)
    if in_order != keys:
        _DICT_ENTRIES[keys] = canonical = _Entry(in_order, canonical)
    return canonical


# --------------------------------------------------------------------------------------------- flatten


def flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeDef]:
    """Take a tree apart: `flatten((1, {"a": 2}))` is `([1, 2], PyTreeDef((*, {'a': *})))`.

    `is_leaf(node)` true stops there and makes the node a leaf; `is_leaf=lambda x: x is None` keeps Nones.
    """
    out: list[Any] = []
    if is_leaf is None:
        return out, _flatten(tree, out)
    return out, _flatten_until(tree, is_leaf, out)


# Methods are bound once, and loops are no comprehensions (a call each, before Python 3.12): both show here.
_only_leaves = LEAF_TYPES.issuperset
_known_entry = _DICT_ENTRIES.get


def _flatten(tree: Any, out: list[Any]) -> TreeDef:
    type_ = type(tree)
    if type_ is dict:
        keys = tuple(tree)
        entry = _known_entry(keys) or _entry(keys)
        if entry is not None:
            values = entry.values(tree)
            if _only_leaves(map(type, values)):
                out += values
                return entry.flat
            children = []
            for value in values:
                children.append(_flatten(value, out))
            return entry.by_children.get(tuple(map(id, children))) or _dict_node(entry, children)
    if type_ in LEAF_TYPES:
        out.append(tree)
        return LEAF
    kind = KINDS.get(type_) or kind_of(type_)
    if kind is None:
        out.append(tree)
        return LEAF
    if kind.plain:
        if _only_leaves(map(type, tree)):
            out += tree
            width = len(tree)
            return kind.by_width.get(width) or _plain_flat(kind, width)
        children = []
        for item in tree:
            children.append(_flatten(item, out))
        return kind.by_children.get(tuple(map(id, children))) or plain_node(kind, children)
    items, meta = kind.flatten(tree)
    return _node(kind, meta, [_flatten(item, out) for item in items])


def _flatten_until(tree: Any, is_leaf: Callable[[Any], bool], out: list[Any]) -> TreeDef:
    kind = None if is_leaf(tree) else kind_of(type(tree))
    if kind is None:
        out.append(tree)
        return LEAF
    children, meta = kind.flatten(tree)
    return _node(kind, meta, [_flatten_until(child, is_leaf, out) for child in children])


def flatten_paths(
    tree: Any, path: KeyPath, stop: Callable[..., bool] | None, out: list[tuple[KeyPath, Any]]
) -> TreeDef:
    kind = None if stop is not None and stop(path, tree) else kind_of(type(tree))
    if kind is None:
        out.append((path, tree))
        return LEAF
    meta = kind.flatten(tree)[1]
    return _node(
        kind, meta, [flatten_paths(child, (*path, key), stop, out) for key, child in kind.pairs(tree)]
    )


# ------------------------------------------------------------------------ structures that must agree


def flatten_up_to(treedef: TreeDef, tree: Any, who: str) -> list[Any]:
    if treedef is LEAF:
        return [tree]
    if treedef._shared:
        out, other = flatten(tree)
        if other is treedef:
            return out
    out = []
    if not _up_to(treedef, tree, out):
        raise _mismatch(treedef, tree, who)
    return out


def _up_to(treedef: TreeDef, tree: Any, out: list[Any]) -> bool:
    """Append the subtrees at the leaves of `treedef`; False where `treedef` is no prefix of `tree`."""
    kind = treedef._kind
    if kind is None:
        out.append(tree)
        return True
    if kind_of(type(tree)) is not kind:
        return False
    if kind is DICT:
        # by key: dicts of one set of unsortable keys agree whatever the order of insertion
        keys = treedef._meta
        if len(tree) != len(keys) or not all(key in tree for key in keys):
            return False
        children: Any = [tree[key] for key in keys]
    else:
        children, meta = kind.flatten(tree)
        children = tuple(children)
        if len(children) != len(treedef._children) or meta != treedef._meta:
            return False
    return all(_up_to(child, subtree, out) for child, subtree in zip(treedef._children, children))


def _mismatch(treedef: TreeDef, tree: Any, who: str) -> TreeError:
    path, reason, fix = _first_difference(treedef, tree, ())
    at = f" at {keystr(path)}" if path else ""
    return TreeError(
        f"{who} does not have the structure that is asked{at}: {reason}\n"
        f"  expected: {_short(treedef)}\n"
        f"  got:      {_short(flatten(tree)[1])}",
        hint=fix,
    )


def _first_difference(treedef: TreeDef, tree: Any, path: KeyPath) -> tuple[KeyPath, str, str]:
    """Where, why, and what to do; called only when there is a difference."""
    kind: Any = treedef._kind
    found = kind_of(type(tree))
    expected, got = kind.type.__qualname__, type(tree).__qualname__
    if found is not kind:
        if kind is NONE or found is NONE:
            fix = (
                "None is a node without leaves; give None in the same places, "
                "or is_leaf=lambda x: x is None to make it a leaf"
            )
        else:
            fix = f"use {expected} there in both trees, or a leaf in the first tree to match any subtree"
        return path, f"expected {expected}, got {got}", fix
    children, meta = kind.flatten(tree)
    children = tuple(children)
    if kind is DICT and set(meta) != set(treedef._meta):
        missing = [key for key in treedef._meta if key not in tree]
        extra = [key for key in meta if key not in treedef._meta]
        parts = [f"missing {missing}"] if missing else []
        parts += [f"unexpected {extra}"] if extra else []
        return path, f"dict keys differ: {', '.join(parts)}", "give both dicts the same keys"
    if len(children) != len(treedef._children):
        reason = f"expected {expected} of length {len(treedef._children)}, got length {len(children)}"
        return path, reason, "give both the same length"
    if kind is not DICT and meta != treedef._meta:
        reason = f"the metadata of {expected} differ: expected {treedef._meta!r}, got {meta!r}"
        return path, reason, "make the static fields (or keys) of both equal"
    pairs = dict(kind.pairs(tree)) if kind is DICT else None
    items = [(DictKey(key), pairs[DictKey(key)]) for key in treedef._meta] if pairs else kind.pairs(tree)
    for child, (key, subtree) in zip(treedef._children, items):
        if not _up_to(child, subtree, []):
            return _first_difference(child, subtree, (*path, key))
    raise AssertionError("the trees agree")
