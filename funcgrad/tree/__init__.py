"""Trees of arrays: nested containers taken apart into leaves and a `TreeDef`, and put together again.

What is a node: `tuple`, `list`, `dict`, `OrderedDict`, `defaultdict`, any `NamedTuple` class, `None` (a node
without leaves), and registered classes. Everything else is a leaf, other subclasses of those containers
included. The leaves of a dict come in the order of its sorted keys; where the keys do not compare with each
other (1 and "a"), in the order of insertion.

Never looks at what a leaf is, and imports nothing of funcgrad. `registry.py` says what is a node,
`treedef.py` takes trees apart, `functions.py` holds the rest.
"""

from funcgrad.errors import TreeError
from funcgrad.tree.functions import (
    all,
    all_leaves,
    broadcast,
    broadcast_prefix,
    flatten_one_level,
    flatten_with_path,
    is_tree_node,
    leaves,
    leaves_with_path,
    map,
    map_with_path,
    reduce,
    reduce_associative,
    structure,
    transpose,
    treedef_children,
    treedef_is_leaf,
    treedef_tuple,
    unflatten,
)
from funcgrad.tree.registry import (
    DictKey,
    FlattenedIndexKey,
    GetAttrKey,
    SequenceKey,
    keystr,
    register_dataclass,
    register_pytree_node,
    register_pytree_node_class,
    register_pytree_with_keys,
    register_pytree_with_keys_class,
    register_static,
    static,
)
from funcgrad.tree.treedef import TreeDef, flatten

PyTreeDef = TreeDef

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
