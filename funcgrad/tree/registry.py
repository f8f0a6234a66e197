"""What is a node: key types, how each node type is taken apart and put together, and registration.

Owns the table of node types and the set of types that are known to be leaves. Never makes a structure.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from funcgrad.errors import TreeError, boundary

if TYPE_CHECKING:
    from funcgrad.tree.treedef import TreeDef

C = TypeVar("C", bound=type)
KeyPath = tuple[Any, ...]

# Tables that only save time are emptied when they reach this length.
TABLE_LIMIT = 10_000


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
        return separator.join(map(str, keys))
    return separator.join(map(_bare, keys))


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


class Kind:
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


KINDS: dict[type, Kind] = {}
LEAF_TYPES: set[type] = set()


def sorted_keys(node: dict) -> tuple[Hashable, ...]:
    try:
        return tuple(sorted(node))
    except TypeError:
        return tuple(node)


def kind_of(type_: type) -> Kind | None:
    """The kind of a node type, None for a leaf type; remembers what it finds."""
    kind = KINDS.get(type_)
    if kind is not None or type_ in LEAF_TYPES:
        return kind
    if issubclass(type_, tuple) and hasattr(type_, "_fields"):
        kind = KINDS[type_] = _namedtuple_kind(type_)
        return kind
    if len(LEAF_TYPES) >= TABLE_LIMIT:
        LEAF_TYPES.clear()
    LEAF_TYPES.add(type_)
    return None


def _add_kind(kind: Kind) -> None:
    if not isinstance(kind.type, type):
        raise TreeError(
            f"only a class can be a node type, not {kind.type!r}",
            hint="pass the class itself, not an instance",
        )
    known = KINDS.get(kind.type)
    if known is not None and (kind.type in (tuple, list) or not known.plain):
        raise TreeError(
            f"{kind.type.__qualname__} is already a node type",
            hint="register each class once (a notebook cell that is run again must define the class again)",
        )
    KINDS[kind.type] = kind
    LEAF_TYPES.discard(kind.type)


def _flatten_plain(node: Any) -> tuple[Any, None]:
    return node, None


def _namedtuple_kind(type_: Any) -> Kind:
    return Kind(
        type_,
        _flatten_plain,
        lambda _, children: type_(*children),
        lambda node: [(GetAttrKey(name), child) for name, child in zip(type_._fields, node)],
        lambda _, children: f"CustomNode(namedtuple[{type_.__name__}], [{', '.join(children)}])",
        plain=True,
    )


@boundary
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

    def flatten_checked(node: Any) -> tuple[Any, Any]:
        result = flatten_func(node)
        if type(result) is not tuple or len(result) != 2:
            raise TreeError(
                f"the flatten function of {nodetype.__qualname__} must return (children, aux_data), "
                f"got {type(result).__name__}",
                hint="return a pair, the first of which is a tuple of children",
            )
        return result

    if flatten_with_keys_func is None:
        pairs = None
    else:
        pairs = lambda node: list(flatten_with_keys_func(node)[0])  # noqa: E731
    _add_kind(Kind(nodetype, flatten_checked, unflatten_func, pairs))


@boundary
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


@boundary
def register_pytree_node_class(cls: C) -> C:
    """Class decorator: the class has `tree_flatten()` and a class method `tree_unflatten(aux, children)`."""
    node: Any = cls
    register_pytree_node(cls, lambda x: x.tree_flatten(), node.tree_unflatten)
    return cls


@boundary
def register_pytree_with_keys_class(cls: C) -> C:
    """Class decorator: the class has `tree_flatten_with_keys`, `tree_unflatten`, perhaps `tree_flatten`."""
    node: Any = cls
    flatten_func = (lambda x: x.tree_flatten()) if hasattr(cls, "tree_flatten") else None
    register_pytree_with_keys(cls, lambda x: x.tree_flatten_with_keys(), node.tree_unflatten, flatten_func)
    return cls


@boundary
def register_static(cls: C) -> C:
    """Make the instances of `cls` nodes without leaves: the whole object is metadata, compared by `==`."""
    register_pytree_node(cls, lambda node: ((), node), lambda node, _: node)
    return cls


def static(**kwargs: Any) -> Any:
    """A dataclass field that `register_dataclass` takes as metadata: `size: int = static(default=3)`."""
    metadata = dict(kwargs.pop("metadata", None) or {})
    return dataclasses.field(metadata={**metadata, "static": True}, **kwargs)


@boundary
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
    fields: Any = getattr(nodetype, "__dataclass_fields__", None)
    if fields is None:
        if data is None or meta is None:
            raise TreeError(
                f"{nodetype.__qualname__} is not a dataclass",
                hint="decorate it with @dataclasses.dataclass first, or give data_fields and meta_fields",
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
            f"register_dataclass({nodetype.__qualname__}): data_fields and meta_fields must name each field "
            f"of __init__ once; missing {sorted(missing)}, unknown {sorted(extra)}, in both {sorted(twice)}",
            hint="correct the lists, or name a field that has a default in drop_fields",
        )
    return tuple(data), tuple(meta)


# -------------------------------------------------------------------------------------- built-in kinds


def _flatten_dict(node: dict) -> tuple[list[Any], tuple[Hashable, ...]]:
    keys = sorted_keys(node)
    return [node[key] for key in keys], keys


def _numbered_pairs(node: Any) -> list[tuple[Any, Any]]:
    return [(SequenceKey(i), child) for i, child in enumerate(node)]


def _show_tuple(_: None, children: list[str]) -> str:
    return f"({children[0]},)" if len(children) == 1 else f"({', '.join(children)})"


def _show_dict(keys: tuple[Hashable, ...], children: list[str]) -> str:
    return "{" + ", ".join(f"{key!r}: {child}" for key, child in zip(keys, children)) + "}"


TUPLE = Kind(tuple, _flatten_plain, lambda _, children: children, _numbered_pairs, _show_tuple, plain=True)
_LIST = Kind(
    list,
    _flatten_plain,
    lambda _, children: list(children),
    _numbered_pairs,
    lambda _, children: f"[{', '.join(children)}]",
    plain=True,
)
DICT = Kind(
    dict,
    _flatten_dict,
    lambda keys, children: dict(zip(keys, children)),
    lambda node: [(DictKey(key), node[key]) for key in sorted_keys(node)],
    _show_dict,
)
_ORDERED_DICT = Kind(
    OrderedDict,
    lambda node: (tuple(node.values()), tuple(node)),
    lambda keys, children: OrderedDict(zip(keys, children)),
    lambda node: [(DictKey(key), child) for key, child in node.items()],
)
_DEFAULT_DICT = Kind(
    defaultdict,
    lambda node: (_flatten_dict(node)[0], (node.default_factory, sorted_keys(node))),
    lambda meta, children: defaultdict(meta[0], zip(meta[1], children)),
    DICT.pairs,
)
NONE = Kind(type(None), lambda _: ((), None), lambda _, __: None, show=lambda _, __: "None")

KINDS.update((kind.type, kind) for kind in (TUPLE, _LIST, DICT, _ORDERED_DICT, _DEFAULT_DICT, NONE))
