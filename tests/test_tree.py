"""The tree library: what is a node, structures, the functions, key paths, registration, and bad input."""

from __future__ import annotations

import copy
import dataclasses
import operator
import pickle
import sys
from collections import OrderedDict, defaultdict, deque, namedtuple
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pytest

from funcgrad import tree, tree_util
from funcgrad.tree import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey, TreeError


class Point(NamedTuple):
    x: Any
    y: Any


Pair = namedtuple("Pair", "first second")


class Named(tuple):
    """A plain subclass of tuple: a leaf."""


@tree.register_pytree_node_class
class Box:
    def __init__(self, value, tag="box"):
        self.value, self.tag = value, tag

    def tree_flatten(self):
        return (self.value,), self.tag

    @classmethod
    def tree_unflatten(cls, tag, children):
        return cls(*children, tag)

    def __eq__(self, other):
        return isinstance(other, Box) and (self.value, self.tag) == (other.value, other.tag)


@tree.register_dataclass
@dataclasses.dataclass
class Layer:
    weight: Any
    bias: Any
    width: int = tree.static(default=1)


# (tree, leaves, printed structure, number of nodes, printed paths), as jax.tree_util gives them
TREES = [
    (1, [1], "PyTreeDef(*)", 1, [""]),
    (None, [], "PyTreeDef(None)", 1, []),
    ((), [], "PyTreeDef(())", 1, []),
    ([], [], "PyTreeDef([])", 1, []),
    ({}, [], "PyTreeDef({})", 1, []),
    ((1,), [1], "PyTreeDef((*,))", 2, ["[0]"]),
    ([1, 2], [1, 2], "PyTreeDef([*, *])", 3, ["[0]", "[1]"]),
    ((1, {"a": 2}), [1, 2], "PyTreeDef((*, {'a': *}))", 4, ["[0]", "[1]['a']"]),
    ({"b": 1, "a": [2]}, [2, 1], "PyTreeDef({'a': [*], 'b': *})", 4, ["['a'][0]", "['b']"]),
    ({2: "x", 1: None}, ["x"], "PyTreeDef({1: None, 2: *})", 3, ["[2]"]),
    (Point(1, [2]), [1, 2], "PyTreeDef(CustomNode(namedtuple[Point], [*, [*]]))", 4, [".x", ".y[0]"]),
    (
        OrderedDict(b=1, a=2),
        [1, 2],
        "PyTreeDef(CustomNode(OrderedDict[('b', 'a')], [*, *]))",
        3,
        ["['b']", "['a']"],
    ),
    (
        defaultdict(int, b=1, a=2),
        [2, 1],
        "PyTreeDef(CustomNode(defaultdict[(<class 'int'>, ('a', 'b'))], [*, *]))",
        3,
        ["['a']", "['b']"],
    ),
    (
        Box((1, 2)),
        [1, 2],
        "PyTreeDef(CustomNode(Box[box], [(*, *)]))",
        4,
        [f"[<flat index 0>][{i}]" for i in (0, 1)],
    ),
    (Layer(1, 2, 3), [1, 2], "PyTreeDef(CustomNode(Layer[(3,)], [*, *]))", 3, [".weight", ".bias"]),
    (
        {"a": (Point(None, 1), {}), "b": [Layer({"k": 2}, ())]},
        [1, 2],
        "PyTreeDef({'a': (CustomNode(namedtuple[Point], [None, *]), {}), "
        "'b': [CustomNode(Layer[(1,)], [{'k': *}, ()])]})",
        11,
        ["['a'][0].y", "['b'][0].weight['k']"],
    ),
]


@pytest.mark.parametrize(("value", "items", "printed", "nodes", "paths"), TREES)
def test_flatten_gives_leaves_and_structure_and_unflatten_undoes_it(value, items, printed, nodes, paths):
    flat, treedef = tree.flatten(value)
    assert flat == items
    assert repr(treedef) == printed
    assert (treedef.num_leaves, treedef.num_nodes) == (len(items), nodes)
    rebuilt = treedef.unflatten(flat)
    assert rebuilt == value
    assert type(rebuilt) is type(value)
    assert tree.flatten_with_path(value)[1] == treedef
    assert [tree.keystr(path) for path, _ in tree.leaves_with_path(value)] == paths


@pytest.mark.parametrize("value", [case[0] for case in TREES])
def test_structures_are_values(value):
    treedef = tree.structure(value)
    again = tree.structure(copy.deepcopy(value))
    assert treedef == again
    assert hash(treedef) == hash(again)
    for copied in (pickle.loads(pickle.dumps(treedef)), copy.deepcopy(treedef), copy.copy(treedef)):
        assert copied == treedef
        assert hash(copied) == hash(treedef)
        assert copied.unflatten(tree.leaves(value)) == value
    others = [tree.structure(case[0]) for case in TREES]
    assert sum(treedef == other for other in others) == 1


def test_structures_of_plain_containers_are_shared():
    def value():
        return ({"b": [1, Point(2, 3)], "a": ()}, [4, None])

    assert tree.structure(value()) is tree.structure(value())
    assert tree.structure({"a": 1, "b": 2}) is tree.structure({"b": 2, "a": 1})
    assert pickle.loads(pickle.dumps(tree.structure(value()))) is tree.structure(value())


def test_equal_metadata_of_different_types_comes_back_as_it_was():
    for first, second in [(1, True), (2, 2.0)]:
        for width in (first, second):
            layer = tree.map(lambda x: x, (Layer(0, 0, width),))[0]
            assert type(layer.width) is type(width)
            assert type(next(iter(tree.map(lambda x: x, {width: 0})))) is type(width)


def test_the_shared_tables_may_be_emptied():
    before = tree.structure({"a": (1, [2])})
    entries = [tree.structure({f"k{i}": (1, [2])}) for i in range(20_000)]
    assert len(set(entries)) == 20_000
    assert tree.structure({"a": (1, [2])}) == before
    assert tree.structure({"k0": (1, [2])}) == entries[0]


def test_other_subclasses_are_leaves():
    for leaf in (Named((1, 2)), deque([1]), {1, 2}, "text", slice(1)):
        assert tree.leaves([leaf]) == [leaf]
        assert not tree.is_tree_node(leaf)
    assert tree.all_leaves([1, "a", Named()])
    assert not tree.all_leaves([1, ()])
    assert tree.all_leaves([1, None], is_leaf=lambda x: x is None)


def test_a_class_may_be_registered_after_it_was_a_leaf():
    class Late:
        def __init__(self, value):
            self.value = value

    assert len(tree.leaves([Late((1, 2))])) == 1
    tree.register_pytree_node(Late, lambda late: ((late.value,), None), lambda _, children: Late(*children))
    assert tree.leaves([Late((1, 2))]) == [1, 2]


def test_a_namedtuple_class_may_be_registered_its_own_way():
    Scaled = namedtuple("Scaled", "value unit")
    assert tree.leaves(Scaled(1, "m")) == [1, "m"]
    tree.register_pytree_node(Scaled, lambda s: ((s.value,), s.unit), lambda unit, c: Scaled(*c, unit))
    assert tree.leaves(Scaled(1, "m")) == [1]
    assert tree.map(lambda x: x + 1, [Scaled(1, "m")]) == [Scaled(2, "m")]


def test_keys_that_do_not_compare_come_by_insertion():
    value = {1: "one", "a": "letter", (): "empty"}
    assert tree.leaves(value) == ["one", "letter", "empty"]
    assert tree.map(lambda x, y: (x, y), {1: 1, "a": 2}, {"a": 3, 1: 4}) == {1: (1, 4), "a": (2, 3)}


def test_is_leaf_stops_the_walk():
    value = {"a": (1, None), "b": [2, (3,)]}
    assert tree.leaves(value, is_leaf=lambda x: isinstance(x, tuple)) == [(1, None), 2, (3,)]
    assert tree.leaves(value, is_leaf=lambda x: x is None) == [1, None, 2, 3]
    assert (
        repr(tree.structure(value, is_leaf=lambda x: x is None)) == "PyTreeDef({'a': (*, *), 'b': [*, (*,)]})"
    )
    assert tree.structure(value, is_leaf=lambda _: False) == tree.structure(value)
    paths = tree.leaves_with_path(value, is_leaf=lambda path, _: len(path) == 1, is_leaf_takes_path=True)
    assert [tree.keystr(path) for path, _ in paths] == ["['a']", "['b']"]


def test_map_takes_trees_of_which_the_first_is_a_prefix():
    assert tree.map(operator.add, (1, {"a": 2}), (3, {"a": 4})) == (4, {"a": 6})
    assert tree.map(lambda x, y: (x, y), [1, 2], [{"a": 3}, (4,)]) == [(1, {"a": 3}), (2, (4,))]
    assert tree.map(lambda x: None, (1, None)) == (None, None)
    layer = tree.map(operator.add, Layer(1, 2), Layer(3, 4))
    assert layer == Layer(4, 6)
    with_none = tree.map(lambda x, y: (x, y), [None, 1], [2, None], is_leaf=lambda x: x is None)
    assert with_none == [(None, 2), (1, None)]


def test_map_with_path_gives_the_path():
    got = tree.map_with_path(lambda path, x, y: f"{tree.keystr(path)}={x + y}", {"a": [1]}, {"a": [2]})
    assert got == {"a": ["['a'][0]=3"]}


def test_reduce_and_all():
    value = {"a": [1, 2], "b": 3}
    assert tree.reduce(operator.add, value) == 6
    assert tree.reduce(operator.sub, value, 10) == 4
    assert tree.reduce(lambda n, _: n + 1, value, 0, is_leaf=lambda x: isinstance(x, list)) == 2
    assert tree.reduce(operator.add, (), None) is None
    assert tree.reduce_associative(operator.add, ["a", "b", ["c", "d"], "e"]) == "abcde"
    assert tree.reduce_associative(operator.add, (), identity=0) == 0
    assert tree.all({"a": True, "b": [1]})
    assert not tree.all([True, 0])
    assert tree.all(None)


def test_transpose_turns_inside_out():
    outer, inner = tree.structure([0, 0]), tree.structure({"a": 0, "b": 0})
    value = [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert tree.transpose(outer, inner, value) == {"a": [1, 3], "b": [2, 4]}
    assert tree.transpose(outer, None, value) == {"a": [1, 3], "b": [2, 4]}


def test_broadcast_repeats_a_prefix():
    full = ([1, 2], {"a": (3, None)})
    assert tree.broadcast((0, "x"), full) == ([0, 0], {"a": ("x", None)})
    assert tree.broadcast_prefix(7, full) == [7, 7, 7]
    assert tree.broadcast_prefix((0, None), full, is_leaf=lambda x: x is None) == [0, 0, None]
    assert tree.broadcast_prefix(None, None) == []
    assert tree.broadcast_prefix((0, [1, 2]), ((), [3, 4])) == [1, 2]


def test_structures_compose_and_come_apart():
    treedef = tree.structure({"a": (1, 2), "b": None})
    assert treedef.node_data() == (dict, ["a", "b"])
    assert treedef.children() == [tree.structure((1, 2)), tree.structure(None)]
    assert tree.structure(1).node_data() is None
    assert tree.structure(Layer(1, 2, 5)).node_data() == (Layer, (5,))
    composed = treedef.compose(tree.structure([1, 2]))
    assert composed == tree.structure({"a": ([1, 2], [3, 4]), "b": None})
    assert treedef.flatten_up_to({"a": ([1], {2: 3}), "b": None}) == [[1], {2: 3}]
    assert tree.treedef_tuple([treedef, tree.structure(1)]) == tree.structure(({"a": (1, 2), "b": None}, 1))
    assert tree.treedef_is_leaf(tree.structure(1))
    assert not tree.treedef_is_leaf(treedef)
    assert tree.flatten_one_level({"b": (1, 2), "a": 3}) == ([3, (1, 2)], ("a", "b"))
    assert tree.flatten_one_level(3) is None


def test_key_paths_print():
    path = (DictKey("a"), SequenceKey(1), GetAttrKey("x"), FlattenedIndexKey(0))
    assert tree.keystr(path) == "['a'][1].x[<flat index 0>]"
    assert tree.keystr(path, simple=True, separator="/") == "a/1/x/0"
    assert len({DictKey(1), SequenceKey(1), FlattenedIndexKey(1), DictKey(1)}) == 3
    assert tree.leaves_with_path(Box([5])) == [((FlattenedIndexKey(0), SequenceKey(0)), 5)]


def test_register_with_keys():
    class Keyed:
        def __init__(self, a, b):
            self.a, self.b = a, b

    tree.register_pytree_with_keys(
        Keyed,
        lambda k: (((GetAttrKey("a"), k.a), (GetAttrKey("b"), k.b)), None),
        lambda _, children: Keyed(*children),
    )
    assert tree.leaves(Keyed(1, [2])) == [1, 2]
    assert [tree.keystr(path) for path, _ in tree.leaves_with_path(Keyed(1, [2]))] == [".a", ".b[0]"]

    @tree.register_pytree_with_keys_class
    class KeyedClass:
        def __init__(self, a):
            self.a = a

        def tree_flatten_with_keys(self):
            return ((GetAttrKey("a"), self.a),), None

        @classmethod
        def tree_unflatten(cls, _, children):
            return cls(*children)

    assert [tree.keystr(path) for path, _ in tree.leaves_with_path([KeyedClass(1)])] == ["[0].a"]
    assert tree.map(lambda x: x + 1, KeyedClass(1)).a == 2


def test_static_objects_have_no_leaves():
    @tree.register_static
    @dataclasses.dataclass(frozen=True)
    class Config:
        size: int

    assert tree.leaves([Config(1), 2]) == [2]
    assert tree.map(lambda x: x + 1, [Config(1), 2]) == [Config(1), 3]
    assert tree.structure(Config(1)) == tree.structure(Config(1))
    assert tree.structure(Config(1)) != tree.structure(Config(2))
    assert hash(tree.structure(Config(1))) == hash(tree.structure(Config(1)))


def test_register_dataclass_takes_fields_in_each_form():
    @partial(tree.register_dataclass, data_fields=["a"], meta_fields=["b"])
    @dataclasses.dataclass
    class ByPartial:
        a: Any
        b: int

    @tree.register_dataclass(data_fields=["a"], meta_fields=[], drop_fields=["cache"])
    @dataclasses.dataclass
    class Dropping:
        a: Any
        cache: Any = None

    class NoDataclass:
        def __init__(self, a):
            self.a = a

    tree.register_dataclass(NoDataclass, data_fields=["a"], meta_fields=[])
    assert tree.leaves(ByPartial([1, 2], 3)) == [1, 2]
    assert tree.map(lambda x: -x, Dropping(1, cache="seen")) == Dropping(-1, None)
    assert tree.map(lambda x: -x, NoDataclass(1)).a == -1


def test_partial_is_a_node():
    add = tree_util.Partial(operator.add, 1)
    assert add(2) == 3
    assert tree.leaves(add) == [1]
    assert tree.map(lambda x: x + 10, add)(2) == 13
    assert tree.structure(add) == tree.structure(tree_util.Partial(operator.add, 5))
    assert repr(tree.structure(tree_util.Partial(print, 1, a=2))) == (
        "PyTreeDef(CustomNode(Partial[<built-in function print>], [(*,), {'a': *}]))"
    )
    inner = partial(pow, 2)
    outer = tree_util.Partial(inner, 3)
    assert outer() == 8
    assert tree.leaves(outer) == [3]
    assert tree.structure(outer) == tree.structure(tree_util.Partial(inner, 4))
    assert pickle.loads(pickle.dumps(outer))() == 8


def test_tree_util_has_the_long_names():
    assert tree_util.tree_map is tree.map
    assert tree_util.tree_flatten is tree.flatten
    assert tree_util.PyTreeDef is tree.TreeDef
    for module in (tree, tree_util):
        assert all(hasattr(module, name) for name in module.__all__)


# ---------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ((1, {"a": 2}), (1, {"b": 2}), ["at [1]:", "missing ['a']", "unexpected ['b']", "same keys"]),
        ((1, (2, 3)), (1, (2,)), ["at [1]:", "tuple of length 2", "length 1"]),
        ({"k": [1]}, {"k": (1,)}, ["at ['k']:", "expected list, got tuple"]),
        ([1, None], [1, 2], ["at [1]:", "expected NoneType, got int", "is_leaf=lambda x: x is None"]),
        ([1, (2,)], [1, None], ["at [1]:", "expected tuple, got NoneType", "is_leaf=lambda x: x is None"]),
        (Point(1, (2,)), Point(1, 3), ["at .y:", "expected tuple, got int"]),
        (Point(1, 2), Pair(1, 2), ["expected Point, got Pair"]),
        (Layer(1, 2, 3), Layer(1, 2, 4), ["metadata of Layer differ", "(3,)", "(4,)", "static fields"]),
        (OrderedDict(a=1, b=2), OrderedDict(b=1, a=2), ["metadata of OrderedDict differ"]),
        ({"a": 1}, 2, ["expected dict, got int", "PyTreeDef({'a': *})", "PyTreeDef(*)"]),
    ],
)
def test_a_mismatch_names_the_path_both_structures_and_the_fix(first, second, words):
    with pytest.raises(TreeError) as caught:
        tree.map(lambda x, y: x, first, second)
    text = str(caught.value)
    for word in ["tree.map: tree number 2", "expected: PyTreeDef", "got:      PyTreeDef", "fix: ", *words]:
        assert word in text
    with pytest.raises(TreeError, match="broadcast_prefix"):
        tree.broadcast_prefix(first, second)
    with pytest.raises(TreeError, match="flatten_up_to"):
        tree.structure(first).flatten_up_to(second)


@pytest.mark.parametrize(("count", "word"), [(1, "too few"), (3, "too many")])
def test_a_wrong_number_of_leaves(count, word):
    treedef = tree.structure({"a": 1, "b": 2})
    with pytest.raises(TreeError, match=rf"{word} leaves .*it has 2, got {count}"):
        treedef.unflatten(range(count))


@pytest.mark.parametrize("held", [np.ones(2), [np.ones(2)], {"a": (1, np.ones(2))}])
def test_arrays_in_metadata_are_named(held):
    with pytest.raises(TypeError, match="metadata of Layer holds arrays, which cannot be hashed"):
        hash(tree.structure((Layer(1, 2, held),)))


def test_metadata_without_a_hash_is_compared():
    class Held:  # equal where it holds the same, and so without a hash
        def __init__(self, number):
            self.number = number

        def __eq__(self, other):
            return self.number == other.number

    for same, other in (([3], [4]), ({"a": [1]}, {"a": [2]}), ({1}, {2}), (Held(1), Held(2))):
        a, b, c = [tree.structure((Layer(1, 2, m),)) for m in (same, copy.copy(same), other)]
        assert a == b != c and hash(a) == hash(b)
        assert {a: "a", c: "c"}[b] == "a"
    settings = {"a": [1]}
    key = {tree.structure(Layer(1, 2, settings)): "before"}
    settings["a"].append(2)
    assert tree.structure(Layer(1, 2, settings)) not in key
    assert tree.structure(Layer(1, 2, {"a": [1]})) in key


def test_bad_registrations():
    with pytest.raises(TreeError, match="already a node type"):
        tree.register_pytree_node(Box, lambda box: ((), None), lambda *_: None)
    with pytest.raises(TreeError, match="already a node type"):
        tree.register_static(list)
    with pytest.raises(TreeError, match="only a class"):
        tree.register_pytree_node(Box(1), lambda box: ((), None), lambda *_: None)

    class Bad:
        pass

    with pytest.raises(TreeError, match="not a dataclass"):
        tree.register_dataclass(Bad)
    with pytest.raises(TreeError, match="give both data_fields and meta_fields"):
        tree.register_dataclass(Bad, data_fields=["a"])
    data = dataclasses.make_dataclass("data", ["a", "b"])
    with pytest.raises(TreeError, match=r"missing \['b'\], unknown \['c'\], in both \['a'\]"):
        tree.register_dataclass(data, data_fields=["a", "c"], meta_fields=["a"])
    tree.register_pytree_node(Bad, lambda bad: [1, 2], lambda *_: None)
    with pytest.raises(TreeError, match=r"must return \(children, aux_data\), got list"):
        tree.flatten(Bad())


def test_a_structure_of_a_class_that_is_not_registered_here_does_not_load(monkeypatch):
    data = pickle.dumps(tree.structure(Box(1)))
    monkeypatch.setattr(sys.modules[__name__], "Box", type("Box", (), {}))
    with pytest.raises(TreeError, match="not a node type here"):
        pickle.loads(data)


def test_other_bad_input():
    with pytest.raises(TreeError, match="no leaves"):
        tree.transpose(tree.structure([]), None, [])
    with pytest.raises(TreeError, match="subtree 1"):
        tree.transpose(tree.structure([0, 0]), None, [(1, 2), (1,)])
    with pytest.raises(TreeError, match="without leaves"):
        tree.reduce_associative(operator.add, ())
    with pytest.raises(TypeError):
        tree.reduce(operator.add, ())
