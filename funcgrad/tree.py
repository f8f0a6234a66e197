"""Trees of arrays: nested containers taken apart into leaves and a `TreeDef`, and put together again.

Owns the registry of node types, `TreeDef`, key paths, and every function of `funcgrad.tree` and
`funcgrad.tree_util`. It never looks at what a leaf is and imports nothing of funcgrad.

What is a node: `tuple`, `list`, `dict`, `OrderedDict`, `defaultdict`, any `NamedTuple` class, `None` (a node
without leaves), and registered classes. Everything else is a leaf, subclasses of those containers included.
The leaves of a dict come in the order of its sorted keys; where the keys do not compare with each other (1
and "a"), in the order of insertion.

`flatten` runs on every compiled call, so it is written for speed: containers whose items are all leaves are
recognised by one C-level set test, and the `TreeDef`s of tuples, lists, NamedTuples and dicts with string
keys are shared, so that comparing two of them is usually an `is`.
"""

from __future__ import annotations

import builtins
import dataclasses
import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Any, TypeVar

__all__ = [
    "DictKey",
    "FlattenedIndexKey",
    "GetAttrKey",
    "PyTreeDef",
    "SequenceKey",
    "TreeDef",
    "TreeError",
    "all",
    "all_leaves",
    "broadcast",
    "broadcast_prefix",
    "flatten",
    "flatten_one_level",
    "flatten_with_path",
    "is_tree_node",
    "keystr",
    "leaves",
    "leaves_with_path",
    "map",
    "map_with_path",
    "reduce",
    "reduce_associative",
    "register_dataclass",
    "register_pytree_node",
    "register_pytree_node_class",
    "register_pytree_with_keys",
    "register_pytree_with_keys_class",
    "register_static",
    "static",
    "structure",
    "transpose",
    "treedef_children",
    "treedef_is_leaf",
    "treedef_tuple",
    "unflatten",
]

C = TypeVar("C", bound=type)
IsLeaf = Callable[[Any], bool] | None
KeyPath = tuple[Any, ...]

# this module defines `map` and `all` for its users
_map = builtins.map
_all = builtins.all

# Beyond these, definitions are built anew instead of being kept for sharing.
_SHARED_DEFS = 10_000
_SHARED_WIDTH = 1_000


class TreeError(ValueError):
    """Trees whose structures do not fit together, or a class that cannot be a node."""


# ---------------------------------------------------------------------------------------------- key paths


@dataclasses.dataclass(frozen=True, slots=True)
class SequenceKey:
    """Position in a tuple or list."""

    idx: int

    def __str__(self) -> str:
        return f"[{self.idx}]"


@dataclasses.dataclass(frozen=True, slots=True)
class DictKey:
    """Key of a dict."""

    key: Hashable

    def __str__(self) -> str:
        return f"[{self.key!r}]"


@dataclasses.dataclass(frozen=True, slots=True)
class GetAttrKey:
    """Attribute of a NamedTuple or a registered class."""

    name: str

    def __str__(self) -> str:
        return f".{self.name}"


@dataclasses.dataclass(frozen=True, slots=True)
class FlattenedIndexKey:
    """Position among the children of a registered class that does not name its children."""

    key: int

    def __str__(self) -> str:
        return f"[<flat index {self.key}>]"


def keystr(keys: KeyPath, *, simple: bool = False, separator: str = "") -> str:
    """Print a key path.

    `keystr((DictKey("a"), SequenceKey(1)))` is `"['a'][1]"`; with `simple=True, separator="/"` it is `"a/1"`.
    """
    if not simple:
        return separator.join(_map(str, keys))
    return separator.join(_map(_bare, keys))


def _bare(key: Any) -> str:
    match key:
        case (
            SequenceKey(idx=value)
            | DictKey(key=value)
            | GetAttrKey(name=value)
            | FlattenedIndexKey(key=value)
        ):
            return str(value)
    return str(key)


# ----------------------------------------------------------------------------------------------- registry


class _Kind:
    """How one node type is taken apart and put together.

    `flatten(node) -> (children, meta)`; `unflatten(meta, children) -> node`; `pairs(node)` gives each child
    with its key; `show(meta, children)` prints. A `plain` kind is a tuple, list or NamedTuple: it has no
    metadata and is its own iterable of children; `by_width` and `by_children` hold its shared definitions.
    """

    __slots__ = ("by_children", "by_width", "flatten", "pairs", "plain", "show", "type", "unflatten")

    def __init__(
        self,
        type: type,
        flatten: Callable[[Any], tuple[Any, Any]],
        unflatten: Callable[[Any, Any], Any],
        pairs: Callable[[Any], list[tuple[Any, Any]]] | None = None,
        show: Callable[[Any, list[str]], str] | None = None,
        plain: bool = False,
    ):
        self.type = type
        self.flatten = flatten
        self.unflatten = unflatten
        self.pairs = pairs or self._numbered
        self.show = show or self._named
        self.plain = plain
        self.by_width: dict[int, TreeDef] = {}
        self.by_children: dict[tuple[int, ...], TreeDef] = {}

    def _numbered(self, node: Any) -> list[tuple[Any, Any]]:
        return [(FlattenedIndexKey(i), child) for i, child in enumerate(self.flatten(node)[0])]

    def _named(self, meta: Any, children: list[str]) -> str:
        return f"CustomNode({self.type.__name__}[{meta}], [{', '.join(children)}])"


class _Keys:
    """What is known of dicts with one sequence of string keys: sorted keys, shared definitions.

    `keys` are sorted; `values(node)` gives the values in that order. An entry for another order of insertion
    takes its definitions from the one of the sorted order.
    """

    __slots__ = ("by_children", "flat", "keys", "values")

    def __init__(self, keys: tuple[str, ...], canonical: _Keys | None = None):
        self.keys: tuple[Hashable, ...] = keys
        # an entry of another order has two keys or more, so that itemgetter gives a tuple
        self.values: Callable[[dict], Any] = itemgetter(*keys) if canonical else dict.values
        self.flat: TreeDef = canonical.flat if canonical else TreeDef(_DICT, keys, (_LEAF,) * len(keys))
        self.by_children: dict[tuple[int, ...], TreeDef] = canonical.by_children if canonical else {}


_KINDS: dict[type, _Kind] = {}
_LEAF_TYPES: set[type] = set()
_DICT_KEYS: dict[tuple[Hashable, ...], _Keys] = {}


def _sorted_keys(node: dict) -> tuple[Hashable, ...]:
    try:
        return tuple(sorted(node))
    except TypeError:
        return tuple(node)


def _kind_of(type_: type) -> _Kind | None:
    """The kind of a node type, None for a leaf type; remembers what it finds."""
    kind = _KINDS.get(type_)
    if kind is not None or type_ in _LEAF_TYPES:
        return kind
    if issubclass(type_, tuple) and hasattr(type_, "_fields"):
        kind = _KINDS[type_] = _namedtuple_kind(type_)
        return kind
    if len(_LEAF_TYPES) >= _SHARED_DEFS:
        _LEAF_TYPES.clear()
    _LEAF_TYPES.add(type_)
    return None


def _add_kind(kind: _Kind) -> None:
    if not isinstance(kind.type, type):
        raise TreeError(
            f"only a class can be a node type, not {kind.type!r}\n  fix: pass the class itself, not an instance"
        )
    known = _KINDS.get(kind.type)
    if known is not None and (kind.type in (tuple, list) or not known.plain):
        raise TreeError(
            f"{kind.type.__qualname__} is already a node type\n"
            "  fix: register each class once (a notebook cell that is run again must define the class again)"
        )
    _KINDS[kind.type] = kind
    _LEAF_TYPES.discard(kind.type)


def _flatten_plain(node: Any) -> tuple[Any, None]:
    return node, None


def _namedtuple_kind(type_: Any) -> _Kind:
    return _Kind(
        type_,
        _flatten_plain,
        lambda _, children: type_(*children),
        lambda node: [(GetAttrKey(name), child) for name, child in zip(type_._fields, node)],
        lambda _, children: f"CustomNode(namedtuple[{type_.__name__}], [{', '.join(children)}])",
        plain=True,
    )


def register_pytree_node(
    nodetype: type,
    flatten_func: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten_func: Callable[[Any, Any], Any],
    flatten_with_keys_func: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]] | None = None,
) -> None:
    """Make `nodetype` a node.

    `flatten_func(node)` gives `(children, aux_data)`; `unflatten_func(aux_data, children)` gives the node
    back. `aux_data` must be hashable and comparable for the node to be an argument of a compiled function.
    `flatten_with_keys_func(node)` gives `((key, child), ...), aux_data` for key paths. Raises `TreeError`
    when the class is a node already.
    """
    pairs = None
    if flatten_with_keys_func is not None:

        def pairs(node: Any) -> list[tuple[Any, Any]]:
            return list(flatten_with_keys_func(node)[0])

    def flatten_checked(node: Any) -> tuple[Any, Any]:
        result = flatten_func(node)
        if type(result) is not tuple or len(result) != 2:
            raise TreeError(
                f"the flatten function of {nodetype.__qualname__} must return (children, aux_data), "
                f"got {type(result).__name__}\n  fix: return a pair, the first of which is a tuple of children"
            )
        return result

    _add_kind(_Kind(nodetype, flatten_checked, unflatten_func, pairs))


def register_pytree_with_keys(
    nodetype: type,
    flatten_with_keys: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]],
    unflatten_func: Callable[[Any, Any], Any],
    flatten_func: Callable[[Any], tuple[Iterable[Any], Any]] | None = None,
) -> None:
    """Like `register_pytree_node`, from a function that gives each child with its key."""

    def without_keys(node: Any) -> tuple[Any, Any]:
        pairs, meta = flatten_with_keys(node)
        return tuple(child for _, child in pairs), meta

    register_pytree_node(nodetype, flatten_func or without_keys, unflatten_func, flatten_with_keys)


def register_pytree_node_class(cls: C) -> C:
    """Class decorator: the class has `tree_flatten(self)` and the class method `tree_unflatten(aux, children)`."""
    node: Any = cls
    register_pytree_node(cls, lambda x: x.tree_flatten(), node.tree_unflatten)
    return cls


def register_pytree_with_keys_class(cls: C) -> C:
    """Class decorator: the class has `tree_flatten_with_keys`, `tree_unflatten`, perhaps `tree_flatten`."""
    node: Any = cls
    flatten_func = (lambda x: x.tree_flatten()) if hasattr(cls, "tree_flatten") else None
    register_pytree_with_keys(cls, lambda x: x.tree_flatten_with_keys(), node.tree_unflatten, flatten_func)
    return cls


def register_static(cls: C) -> C:
    """Make the instances of `cls` nodes without leaves: the whole object is metadata, compared by `==`."""
    register_pytree_node(cls, lambda node: ((), node), lambda node, _: node)
    return cls


def static(**kwargs: Any) -> Any:
    """A dataclass field that `register_dataclass` takes as metadata: `size: int = static(default=3)`."""
    metadata = dict(kwargs.pop("metadata", None) or {})
    return dataclasses.field(metadata={**metadata, "static": True}, **kwargs)


def register_dataclass(
    nodetype: Any = None,
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] | None = None,
    drop_fields: Sequence[str] = (),
) -> Any:
    """Make a dataclass (or a class like one) a node.

    `data_fields` are children; `meta_fields` are metadata and must be hashable and comparable; `drop_fields`
    are left out and must have defaults. For a dataclass, both may be omitted: then fields made by `static()`
    (or `field(metadata={"static": True})`) are metadata and the rest are children. Also a decorator:
    `@register_dataclass`, or `@register_dataclass(meta_fields=[...], data_fields=[...])`.
    """
    if nodetype is None:
        return functools.partial(
            register_dataclass, data_fields=data_fields, meta_fields=meta_fields, drop_fields=drop_fields
        )
    data, meta = _dataclass_fields(nodetype, data_fields, meta_fields, drop_fields)

    def flatten_func(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple([getattr(node, name) for name in data]), tuple([getattr(node, name) for name in meta])

    def unflatten_func(aux: tuple[Any, ...], children: Any) -> Any:
        return nodetype(**dict(zip(meta, aux)), **dict(zip(data, children)))

    def with_keys(node: Any) -> tuple[list[tuple[Any, Any]], Any]:
        children, aux = flatten_func(node)
        return [(GetAttrKey(name), child) for name, child in zip(data, children)], aux

    register_pytree_node(nodetype, flatten_func, unflatten_func, with_keys)
    return nodetype


def _dataclass_fields(
    nodetype: Any,
    data: Sequence[str] | None,
    meta: Sequence[str] | None,
    drop: Sequence[str],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if (data is None) != (meta is None):
        raise TreeError(
            f"register_dataclass({nodetype.__qualname__}): give both data_fields and meta_fields, or neither"
        )
    if not dataclasses.is_dataclass(nodetype):
        if data is None or meta is None:
            raise TreeError(
                f"{nodetype.__qualname__} is not a dataclass\n"
                "  fix: decorate it with @dataclasses.dataclass first, or give data_fields and meta_fields"
            )
        return tuple(data), tuple(meta)
    fields = [field for field in dataclasses.fields(nodetype) if field.init and field.name not in drop]
    if data is None or meta is None:
        meta = [field.name for field in fields if field.metadata.get("static", False)]
        data = [field.name for field in fields if field.name not in meta]
    names = {field.name for field in fields}
    missing, extra = names - {*data, *meta}, {*data, *meta} - names
    twice = set(data) & set(meta)
    if missing or extra or twice:
        raise TreeError(
            f"register_dataclass({nodetype.__qualname__}): data_fields and meta_fields must name each field of "
            f"__init__ once; missing {sorted(missing)}, unknown {sorted(extra)}, in both {sorted(twice)}\n"
            "  fix: correct the lists, or name a field that has a default in drop_fields"
        )
    return tuple(data), tuple(meta)


# ------------------------------------------------------------------------------------------------ TreeDef


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

    def __init__(self, kind: _Kind | None, meta: Any, children: tuple[TreeDef, ...], shared: bool = True):
        self._kind = kind
        self._meta = meta
        self._children = children
        self._hash: int | None = None
        self._shared = shared and _all(child._shared for child in children)
        self._flat = kind is not None and _all(child is _LEAF for child in children)
        self.num_leaves: int = 1 if kind is None else sum(child.num_leaves for child in children)
        self.num_nodes: int = 1 + sum(child.num_nodes for child in children)

    def unflatten(self, leaves: Iterable[Any]) -> Any:
        """The tree of this structure with these leaves; raises `TreeError` for a wrong number of leaves."""
        if not isinstance(leaves, (list, tuple)):
            leaves = list(leaves)
        if len(leaves) != self.num_leaves:
            few = "few" if len(leaves) < self.num_leaves else "many"
            raise TreeError(
                f"too {few} leaves for {_short(self)}: it has {self.num_leaves}, got {len(leaves)}\n"
                "  fix: pass one leaf for each * of the structure, in the order that flatten gives"
            )
        kind = self._kind
        if kind is None:
            return leaves[0]
        if self._flat:
            return kind.unflatten(self._meta, tuple(leaves))
        return _build(self, iter(leaves))

    def flatten_up_to(self, tree: Any) -> list[Any]:
        """The subtrees of `tree` at the leaves of this structure, which must be a prefix of it."""
        return _flatten_up_to(self, tree, "flatten_up_to: the tree")

    def children(self) -> list[TreeDef]:
        """The structures one level down."""
        return list(self._children)

    def node_data(self) -> tuple[type, Any] | None:
        """`(node type, metadata)` of the outermost node; None for a leaf."""
        if self._kind is None:
            return None
        return self._kind.type, list(self._meta) if self._kind is _DICT else self._meta

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
                raise TypeError(
                    f"the metadata of {self._kind.type.__qualname__} cannot be hashed: {error}\n"
                    "  fix: make arrays and lists children (data fields); metadata is compared and hashed "
                    "when a function is compiled"
                ) from None
        return self._hash

    def __repr__(self) -> str:
        return f"PyTreeDef({_show(self)})"

    def __reduce__(self) -> Any:
        if self._kind is None:
            return _leaf, ()
        return _restore, (self._kind.type, self._meta, self._children)


PyTreeDef = TreeDef
_LEAF = TreeDef(None, None, ())


def _leaf() -> TreeDef:
    return _LEAF


def _restore(type_: type, meta: Any, children: tuple[TreeDef, ...]) -> TreeDef:
    kind = _kind_of(type_)
    if kind is None:
        raise TreeError(
            f"a structure names {type_.__qualname__}, which is not a node type here\n"
            "  fix: import the module that registers it before loading"
        )
    return _node(kind, meta, children)


def _same(a: TreeDef, b: TreeDef) -> bool:
    if a is b:
        return True
    if a._kind is not b._kind or a.num_nodes != b.num_nodes or len(a._children) != len(b._children):
        return False
    if a._hash is not None and b._hash is not None and a._hash != b._hash:
        return False
    return bool(a._meta == b._meta) and _all(_map(_same, a._children, b._children))


def _hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _show(treedef: TreeDef) -> str:
    if treedef._kind is None:
        return "*"
    return treedef._kind.show(treedef._meta, [_show(child) for child in treedef._children])


def _short(treedef: TreeDef, limit: int = 400) -> str:
    text = repr(treedef)
    return text if len(text) <= limit else f"{text[:limit]}... ({treedef.num_leaves} leaves)"


def _build(treedef: TreeDef, leaves: Iterator[Any]) -> Any:
    children = [next(leaves) if child is _LEAF else _build(child, leaves) for child in treedef._children]
    kind: Any = treedef._kind
    return kind.unflatten(treedef._meta, tuple(children))


# ---------------------------------------------------------------------------------------- built-in kinds


def _flatten_dict(node: dict) -> tuple[list[Any], tuple[Hashable, ...]]:
    keys = _sorted_keys(node)
    return [node[key] for key in keys], keys


def _numbered_pairs(node: Any) -> list[tuple[Any, Any]]:
    return [(SequenceKey(i), child) for i, child in enumerate(node)]


def _show_tuple(_: None, children: list[str]) -> str:
    return f"({children[0]},)" if len(children) == 1 else f"({', '.join(children)})"


def _show_dict(keys: tuple[Hashable, ...], children: list[str]) -> str:
    return "{" + ", ".join(f"{key!r}: {child}" for key, child in zip(keys, children)) + "}"


_TUPLE = _Kind(tuple, _flatten_plain, lambda _, children: children, _numbered_pairs, _show_tuple, plain=True)
_LIST = _Kind(
    list,
    _flatten_plain,
    lambda _, children: list(children),
    _numbered_pairs,
    lambda _, children: f"[{', '.join(children)}]",
    plain=True,
)
_DICT = _Kind(
    dict,
    _flatten_dict,
    lambda keys, children: dict(zip(keys, children)),
    lambda node: [(DictKey(key), node[key]) for key in _sorted_keys(node)],
    _show_dict,
)
_ORDERED_DICT = _Kind(
    OrderedDict,
    lambda node: (tuple(node.values()), tuple(node)),
    lambda keys, children: OrderedDict(zip(keys, children)),
    lambda node: [(DictKey(key), child) for key, child in node.items()],
)
_DEFAULT_DICT = _Kind(
    defaultdict,
    lambda node: (_flatten_dict(node)[0], (node.default_factory, _sorted_keys(node))),
    lambda meta, children: defaultdict(meta[0], zip(meta[1], children)),
    _DICT.pairs,
)
_NONE_KIND = _Kind(type(None), lambda _: ((), None), lambda _, __: None, show=lambda _, __: "None")
_NONE = TreeDef(_NONE_KIND, None, ())
_KINDS.update((kind.type, kind) for kind in (_TUPLE, _LIST, _DICT, _ORDERED_DICT, _DEFAULT_DICT, _NONE_KIND))


# ------------------------------------------------------------------------------------- shared definitions
#
# A definition is shared only where its metadata leaves no doubt that equal means the same: equal metadata may
# still differ (1 and True, 2 and 2.0), so a registered class, a dict whose keys are not all strings, and what
# contains one, get a definition of their own. A table that holds a definition keeps its children alive, so
# the ids of children are a sound key.


def _node(kind: _Kind, meta: Any, children: Sequence[TreeDef]) -> TreeDef:
    if kind.plain:
        return _plain_node(kind, children)
    if kind is _NONE_KIND:
        return _NONE
    if kind is _DICT:
        entry = _DICT_KEYS.get(meta) or _keys_entry(meta)
        if entry is not None:
            return _dict_node(entry, children)
    return TreeDef(kind, meta, tuple(children), shared=False)


def _plain_flat(kind: _Kind, width: int) -> TreeDef:
    treedef = kind.by_width.get(width)
    if treedef is None:
        treedef = TreeDef(kind, None, (_LEAF,) * width)
        if width <= _SHARED_WIDTH:
            kind.by_width[width] = treedef
    return treedef


def _plain_node(kind: _Kind, children: Sequence[TreeDef]) -> TreeDef:
    ids = tuple(_map(id, children))
    treedef = kind.by_children.get(ids)
    if treedef is None:
        treedef = TreeDef(kind, None, tuple(children))
        if treedef._flat:
            return _plain_flat(kind, len(children))
        _share(kind.by_children, ids, treedef)
    return treedef


def _dict_node(entry: _Keys, children: Sequence[TreeDef]) -> TreeDef:
    ids = tuple(_map(id, children))
    treedef = entry.by_children.get(ids)
    if treedef is None:
        treedef = TreeDef(_DICT, entry.keys, tuple(children))
        if treedef._flat:
            return entry.flat
        _share(entry.by_children, ids, treedef)
    return treedef


def _share(table: dict[tuple[int, ...], TreeDef], ids: tuple[int, ...], treedef: TreeDef) -> None:
    if treedef._shared and len(ids) <= _SHARED_WIDTH:
        if len(table) >= _SHARED_DEFS:
            table.clear()
        table[ids] = treedef


def _keys_entry(keys: tuple[Hashable, ...]) -> _Keys | None:
    """The entry of dicts with these keys in this order, made when all keys are strings; None otherwise."""
    if not _all(type(key) is str for key in keys):
        return None
    in_order = tuple(sorted(keys))  # type: ignore[type-var]
    if len(_DICT_KEYS) >= _SHARED_DEFS:
        _DICT_KEYS.clear()
    canonical = _DICT_KEYS.get(in_order)
    if canonical is None:
        canonical = _DICT_KEYS[in_order] = _Keys(in_order)
    if in_order != keys:
        _DICT_KEYS[keys] = canonical = _Keys(in_order, canonical)
    return canonical


# ------------------------------------------------------------------------------------------------ flatten


def flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], TreeDef]:
    """Take a tree apart: `flatten((1, {"a": 2}))` is `([1, 2], PyTreeDef((*, {'a': *})))`.

    `is_leaf(node)` true stops there and makes the node a leaf; `is_leaf=lambda x: x is None` keeps Nones.
    """
    out: list[Any] = []
    if is_leaf is None:
        return out, _flatten(tree, out)
    return out, _flatten_until(tree, is_leaf, out)


def _flatten(tree: Any, out: list[Any]) -> TreeDef:
    type_ = type(tree)
    if type_ in _LEAF_TYPES:
        out.append(tree)
        return _LEAF
    kind = _KINDS.get(type_)
    if kind is _DICT:
        keys = tuple(tree)
        entry = _DICT_KEYS.get(keys) or _keys_entry(keys)
        if entry is not None:
            values = entry.values(tree)
            if _LEAF_TYPES.issuperset(_map(type, values)):
                out.extend(values)
                return entry.flat
            return _dict_node(entry, [_flatten(child, out) for child in values])
    if kind is None:
        kind = _kind_of(type_)
        if kind is None:
            out.append(tree)
            return _LEAF
    if kind.plain:
        if _LEAF_TYPES.issuperset(_map(type, tree)):
            out.extend(tree)
            width = len(tree)
            return kind.by_width.get(width) or _plain_flat(kind, width)
        return _plain_node(kind, [_flatten(child, out) for child in tree])
    children, meta = kind.flatten(tree)
    return _node(kind, meta, [_flatten(child, out) for child in children])


def _flatten_until(tree: Any, is_leaf: Callable[[Any], bool], out: list[Any]) -> TreeDef:
    kind = None if is_leaf(tree) else _kind_of(type(tree))
    if kind is None:
        out.append(tree)
        return _LEAF
    children, meta = kind.flatten(tree)
    return _node(kind, meta, [_flatten_until(child, is_leaf, out) for child in children])


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
        return _all(_kind_of(type(item)) is None for item in iterable)
    return _all(structure(item, is_leaf) is _LEAF for item in iterable)


def is_tree_node(value: Any) -> bool:
    """Whether `value` is a node (of whatever children), not a leaf."""
    return _kind_of(type(value)) is not None


def flatten_one_level(tree: Any) -> tuple[list[Any], Any] | None:
    """`(children, metadata)` of a node, None for a leaf."""
    kind = _kind_of(type(tree))
    if kind is None:
        return None
    children, meta = kind.flatten(tree)
    return list(children), meta


def treedef_is_leaf(treedef: TreeDef) -> bool:
    """Whether a structure is that of one leaf."""
    return treedef is _LEAF


def treedef_children(treedef: TreeDef) -> list[TreeDef]:
    """The structures one level down."""
    return treedef.children()


def treedef_tuple(treedefs: Iterable[TreeDef]) -> TreeDef:
    """The structure of a tuple of trees."""
    return _plain_node(_TUPLE, list(treedefs))


# ------------------------------------------------------------------------------- structures that must agree


def _flatten_up_to(treedef: TreeDef, tree: Any, who: str) -> list[Any]:
    if treedef is _LEAF:
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
    if _kind_of(type(tree)) is not kind:
        return False
    if kind is _DICT:
        # by key: dicts of one set of unsortable keys agree whatever the order of insertion
        keys = treedef._meta
        if len(tree) != len(keys) or not _all(key in tree for key in keys):
            return False
        children: Any = [tree[key] for key in keys]
    else:
        children, meta = kind.flatten(tree)
        children = tuple(children)
        if len(children) != len(treedef._children) or not meta == treedef._meta:
            return False
    return _all(_up_to(child, subtree, out) for child, subtree in zip(treedef._children, children))


def _mismatch(treedef: TreeDef, tree: Any, who: str) -> TreeError:
    path, reason, fix = _first_difference(treedef, tree, ())
    at = f" at {keystr(path)}" if path else ""
    return TreeError(
        f"{who} does not have the structure that is asked{at}: {reason}\n"
        f"  expected: {_short(treedef)}\n"
        f"  got:      {_short(structure(tree))}\n"
        f"  fix: {fix}"
    )


def _first_difference(treedef: TreeDef, tree: Any, path: KeyPath) -> tuple[KeyPath, str, str]:
    """Where, why, and what to do; called only when there is a difference."""
    kind: Any = treedef._kind
    found = _kind_of(type(tree))
    expected, got = kind.type.__qualname__, type(tree).__qualname__
    if found is not kind:
        if kind is _NONE_KIND or found is _NONE_KIND:
            fix = (
                "None is a node without leaves; give None in the same places, "
                "or is_leaf=lambda x: x is None to make it a leaf"
            )
        else:
            fix = f"use {expected} there in both trees, or a leaf in the first tree to match any subtree"
        return path, f"expected {expected}, got {got}", fix
    children, meta = kind.flatten(tree)
    children = tuple(children)
    if kind is _DICT and set(meta) != set(treedef._meta):
        missing = [key for key in treedef._meta if key not in tree]
        extra = [key for key in meta if key not in treedef._meta]
        parts = [f"missing {missing}"] if missing else []
        parts += [f"unexpected {extra}"] if extra else []
        return path, f"dict keys differ: {', '.join(parts)}", "give both dicts the same keys"
    if len(children) != len(treedef._children):
        reason = f"expected {expected} of length {len(treedef._children)}, got length {len(children)}"
        return path, reason, "give both the same length"
    if kind is not _DICT and not meta == treedef._meta:
        reason = f"the metadata of {expected} differ: expected {treedef._meta!r}, got {meta!r}"
        return path, reason, "make the static fields (or keys) of both equal"
    pairs = dict(kind.pairs(tree)) if kind is _DICT else None
    items = [(DictKey(key), pairs[DictKey(key)]) for key in treedef._meta] if pairs else kind.pairs(tree)
    for child, (key, subtree) in zip(treedef._children, items):
        if not _up_to(child, subtree, []):
            return _first_difference(child, subtree, (*path, key))
    raise AssertionError("the trees agree")


# --------------------------------------------------------------------------------------- map, reduce, ...


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None) -> Any:
    """Apply `f` to each leaf: `map(add, (1, 2), (3, 4))` is `(4, 6)`.

    The structure of `tree` must be a prefix of that of each further tree; `f` gets their subtrees at the
    leaves of `tree`. Raises `TreeError` with the path where they differ.
    """
    items, treedef = flatten(tree, is_leaf)
    others = [
        _flatten_up_to(treedef, other, f"tree.map: tree number {i}") for i, other in enumerate(rest, start=2)
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


def reduce_associative(
    operation: Callable[[Any, Any], Any], tree: Any, *, identity: Any = _MISSING, is_leaf: IsLeaf = None
) -> Any:
    """Combine the leaves pairwise, as a balanced tree; `operation` must be associative."""
    items = leaves(tree, is_leaf)
    if not items:
        if identity is _MISSING:
            raise TreeError("reduce_associative: a tree without leaves\n  fix: give identity=")
        return identity
    while len(items) > 1:
        pairs = [operation(a, b) for a, b in zip(items[::2], items[1::2])]
        items = [*pairs, items[-1]] if len(items) % 2 else pairs
    return items[0]


def all(tree: Any, *, is_leaf: IsLeaf = None) -> bool:
    """Whether every leaf is true."""
    return _all(leaves(tree, is_leaf))


def transpose(outer_treedef: TreeDef, inner_treedef: TreeDef | None, pytree_to_transpose: Any) -> Any:
    """Turn a tree of trees inside out: from `outer` of `inner` to `inner` of `outer`.

    `transpose(structure([0, 0]), structure({"a": 0}), [{"a": 1}, {"a": 2}])` is `{"a": [1, 2]}`.
    `inner_treedef=None` takes it from the first subtree.
    """
    subtrees = _flatten_up_to(outer_treedef, pytree_to_transpose, "tree.transpose: the tree")
    if inner_treedef is None and subtrees:
        inner_treedef = structure(subtrees[0])
    if inner_treedef is None or not subtrees or inner_treedef.num_leaves == 0:
        raise TreeError("tree.transpose: a structure has no leaves\n  fix: both need at least one leaf")
    columns = [
        _flatten_up_to(inner_treedef, subtree, f"tree.transpose: subtree {i}")
        for i, subtree in enumerate(subtrees)
    ]
    return inner_treedef.unflatten([outer_treedef.unflatten(row) for row in zip(*columns)])


def broadcast_prefix(prefix_tree: Any, full_tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """Each leaf of `prefix_tree`, as often as `full_tree` has leaves below it.

    `broadcast_prefix((0, None), ([x, y], z), is_leaf=lambda x: x is None)` is `[0, 0, None]`.
    """
    items, treedef = flatten(prefix_tree, is_leaf)
    out: list[Any] = []
    for item, subtree in zip(items, _flatten_up_to(treedef, full_tree, "broadcast_prefix: the full tree")):
        out.extend([item] * structure(subtree).num_leaves)
    return out


def broadcast(prefix_tree: Any, full_tree: Any, is_leaf: IsLeaf = None) -> Any:
    """The leaves of `prefix_tree`, repeated into the structure of `full_tree`."""
    return structure(full_tree).unflatten(broadcast_prefix(prefix_tree, full_tree, is_leaf))


# ---------------------------------------------------------------------------------------------- with paths


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
    return out, _flatten_path(tree, (), stop, out)


def _flatten_path(
    tree: Any, path: KeyPath, stop: Callable[..., bool] | None, out: list[tuple[KeyPath, Any]]
) -> TreeDef:
    kind = None if stop is not None and stop(path, tree) else _kind_of(type(tree))
    if kind is None:
        out.append((path, tree))
        return _LEAF
    meta = kind.flatten(tree)[1]
    return _node(
        kind, meta, [_flatten_path(child, (*path, key), stop, out) for key, child in kind.pairs(tree)]
    )


def leaves_with_path(
    tree: Any, is_leaf: Callable[..., bool] | None = None, is_leaf_takes_path: bool = False
) -> list[tuple[KeyPath, Any]]:
    """The leaves of a tree, each with its path."""
    return flatten_with_path(tree, is_leaf, is_leaf_takes_path)[0]


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
        _flatten_up_to(treedef, other, f"tree.map_with_path: tree number {i}")
        for i, other in enumerate(rest, start=2)
    ]
    paths, items = [path for path, _ in pairs], [item for _, item in pairs]
    return treedef.unflatten(list(_map(f, paths, items, *others)))
