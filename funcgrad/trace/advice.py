"""What to write in place of a Python loop that cannot be traced, in the words of the user's own lines.

Reads the user's source, where Python can find it, and only when an error is made. Never raises.
"""

from __future__ import annotations

import ast
import linecache
import textwrap
from collections.abc import Iterator

from funcgrad.records import record
from funcgrad.source import SourceLine

LONGEST_BODY = 10
"""A loop with more lines than this is not repeated in an error."""


@record
class Loop:
    """A loop of the user's: `while` with its condition, or `for` with its bounds; and what to write instead."""

    keyword: str
    condition: str
    text: str


def shown_line(where: SourceLine | None) -> str:
    """The user's line, with where it is."""
    if where is None:
        return "a condition"
    text = linecache.getline(where.file, where.line).strip()
    return f"`{text}` ({where})" if text else f"the condition at {where}"


def _tree_of(where: SourceLine) -> tuple[str, ast.AST] | None:
    source = "".join(linecache.getlines(where.file))
    try:
        return (source, ast.parse(source)) if source else None
    except (SyntaxError, ValueError, RecursionError):
        return None


def _around(tree: ast.AST, line: int) -> Iterator[ast.AST]:
    """The nodes that have this line in them, from the outermost."""
    for node in ast.iter_child_nodes(tree):
        if not hasattr(node, "lineno"):
            yield from _around(node, line)
        elif node.lineno <= line <= (node.end_lineno or node.lineno):  # type: ignore[attr-defined]
            yield node
            yield from _around(node, line)


def raises_on_purpose(where: SourceLine) -> bool:
    """Whether the statement at this line is `raise` or `assert`."""
    found = _tree_of(where)
    if found is None:
        return False
    statements = [n for n in _around(found[1], where.line) if isinstance(n, ast.stmt)]
    return bool(statements) and isinstance(statements[-1], ast.Raise | ast.Assert)


def instead_of_loop(where: SourceLine | None, inside: bool = False) -> Loop | None:
    """What to write in place of the `while` whose condition, or the `for ... in range` whose bounds, stand at this
    line, or, with `inside`, of the `for ... in range` around it; None where there is none."""
    found = _tree_of(where) if where is not None else None
    if found is None or where is None:
        return None
    source, tree = found
    function: ast.AST = tree
    loop: ast.While | ast.For | None = None
    for node in _around(tree, where.line):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            function, loop = node, None
        elif isinstance(node, ast.While | ast.For):
            asked = node.test if isinstance(node, ast.While) else node.iter
            known = isinstance(node, ast.While) or _range(node) is not None
            if known and _on(asked, where.line) != (inside and isinstance(node, ast.For)):
                loop = node
    if loop is None:
        return None
    names = _carried(loop, function)
    if not names:
        return None
    body = _body(loop, source)
    unpack, pack = ("", names[0]) if len(names) == 1 else (f"{', '.join(names)} = carry", ", ".join(names))
    carry = names[0] if len(names) == 1 else "carry"
    start = names[0] if len(names) == 1 else f"({pack})"

    def function_of(head: str, lines: list[str]) -> list[str]:
        kept = [line for line in (unpack, *lines) if line]
        return [head, *(textwrap.indent(line, "    ") for line in kept)]

    if isinstance(loop, ast.While):
        condition = ast.unparse(loop.test)
        parts = [
            f"in place of `while {condition}:` write",
            *function_of(f"def goes_on({carry}):", [f"return {condition}"]),
            *function_of(f"def step({carry}):", [*body, f"return {pack}"]),
            f"{pack} = funcgrad.lax.while_loop(goes_on, step, {start})",
        ]
        return Loop("while", condition, "\n    ".join(_lines(parts)))
    bounds = [_bound(a) for a in _range(loop) or ()]
    target = ast.unparse(loop.target)
    lower, upper = ("0", bounds[0]) if len(bounds) == 1 else (bounds[0], bounds[1])
    first: list[str] = []
    if len(bounds) == 3:
        first = [f"{target} = {lower} + {target} * {bounds[2]}"]
        lower, upper = "0", f"-(({lower} - {upper}) // {bounds[2]})"
    parts = [
        f"in place of `for {target} in {ast.unparse(loop.iter)}:` write",
        *function_of(f"def step({target}, {carry}):", [*first, *body, f"return {pack}"]),
        f"{pack} = funcgrad.lax.fori_loop({lower}, {upper}, step, {start})",
    ]
    if not inside:
        parts.append(
            "or make the bound a static argument (static_argnums): each of its values is then traced"
        )
    return Loop("for", target, "\n    ".join(_lines(parts)))


def loop_around(where: SourceLine | None) -> str:
    """What to do about the loop around this line of the user's; empty where there is none."""
    instead = instead_of_loop(where, inside=True)
    if instead is not None:
        return f"{instead.text}\n    (a condition in such a body is traced for its two outcomes once)"
    found = _tree_of(where) if where is not None else None
    loop: ast.While | ast.For | None = None
    for node in _around(found[1], where.line) if found is not None and where is not None else ():
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            loop = None
        elif isinstance(node, ast.While | ast.For):
            loop = node
    if isinstance(loop, ast.While):
        return (
            f"write the loop of line {loop.lineno}, `while {ast.unparse(loop.test)}:`, as funcgrad.lax.while_loop("
            "goes_on, step, carry), where goes_on(carry) says whether there is another step (the opposite of the "
            "condition of a break) and step(carry) gives what the body makes of the variables in carry"
        )
    if loop is not None:
        each, over = ast.unparse(loop.target), ast.unparse(loop.iter)
        return (
            f"write the loop of line {loop.lineno}, `for {each} in {over}:`, as funcgrad.lax.scan(step, carry, xs), "
            f"where step(carry, {each}) gives what the body makes of the variables in carry, and an output or None"
        )
    return ""


def _lines(parts: list[str]) -> list[str]:
    return [line for part in parts for line in part.split("\n")]


def _on(node: ast.expr, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or node.lineno)


def _range(loop: ast.For) -> list[ast.expr] | None:
    """The arguments of the `range` that a loop goes over."""
    call = loop.iter
    known = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range"
    return call.args if known and 1 <= len(call.args) <= 3 and not call.keywords else None  # type: ignore[union-attr]


def _bound(node: ast.expr) -> str:
    """An argument of `range` as a bound of `fori_loop`, which takes a traced integer as it is."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "int" and node.args:
        inner = ast.unparse(node.args[0])
        plain = isinstance(node.args[0], ast.Name | ast.Call | ast.Attribute | ast.Subscript)
        return f"{inner}.astype(int)" if plain else f"({inner}).astype(int)"
    return ast.unparse(node)


def _names(nodes: list[ast.stmt] | list[ast.AST], stores: bool) -> dict[str, int]:
    """The names that are assigned to (or else read), each with the first line where it is."""
    found: dict[str, int] = {}
    for node in (n for top in nodes for n in ast.walk(top)):
        if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
            found.setdefault(node.target.id, node.lineno)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) != stores:
            found[node.id] = min(found.get(node.id, node.lineno), node.lineno)
        elif stores and isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
            base = node.value
            if isinstance(base, ast.Name):
                found.setdefault(base.id, node.lineno)
    return found


def _carried(loop: ast.While | ast.For, function: ast.AST) -> list[str]:
    """The names that an iteration assigns and that the next one, or what follows the loop, reads."""
    assigned = _names(loop.body, True)
    read = _names(loop.body, False)
    asked = _names([loop.test], False) if isinstance(loop, ast.While) else {}
    inside = set(ast.walk(loop))
    later = [
        n
        for n in ast.walk(function)
        if isinstance(n, ast.Name) and n not in inside and n.lineno > (loop.end_lineno or loop.lineno)
    ]
    after = {n.id for n in later if isinstance(n.ctx, ast.Load)}
    if isinstance(loop, ast.For):
        assigned = {k: v for k, v in assigned.items() if k not in _names([loop.target], True)}
    return [n for n, line in assigned.items() if n in asked or n in after or read.get(n, line + 1) <= line]


def _body(loop: ast.While | ast.For, source: str) -> list[str]:
    """The lines of a loop's body, or a remark where they cannot be taken over as they are."""
    leaves = any(isinstance(n, ast.Break | ast.Continue | ast.Return | ast.Yield) for n in ast.walk(loop))
    last = loop.body[-1].end_lineno or loop.lineno
    first = loop.body[0].lineno
    lines = source.split("\n")[first - 1 : last]
    if loop.orelse or leaves or len(lines) > LONGEST_BODY or first == loop.lineno:
        return [f"...  # the body of the loop, lines {first} to {last}"]
    return textwrap.dedent("\n".join(lines)).split("\n")
