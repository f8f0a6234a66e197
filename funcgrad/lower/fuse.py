"""Which roots may share one kernel: legality only. Whether it pays is asked of heuristics.py.

Roots are taken in topological order; each joins a group that exists, or founds one. A group stays convex: no
value leaves it and comes back. That is checked with one bitset per group, of the groups that must run before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from funcgrad.ir import expr as E
from funcgrad.ir.graph import Var
from funcgrad.lower import heuristics
from funcgrad.lower.roots import MAP, OPAQUE, REDUCE, Root

ELEMENTWISE, ROWS, COLUMNS, CHUNKS = "elementwise", "rows", "columns", "chunks"


class Group:
    """Roots that are computed in one kernel, over one domain.

    `shape` is elementwise (all roots over the whole domain), rows (some reduce over `reduced`, which has the
    innermost axis; others may live on the kept axes alone), columns (reductions whose innermost axis is
    kept),
    chunks (partial results of a full reduction) or opaque.
    """

    def __init__(self, number: int, root: Root):
        self.number = number
        self.roots = [root]
        self.on_rows: set[Root] = set()
        self.domain = root.domain
        self.reduced = root.reduced
        self.shape = shape_of(root)
        self.operations = root.operations
        self.reads: dict[tuple[Var, E.Index], None] = dict.fromkeys(root.reads)

    @property
    def kept(self) -> tuple[int, ...]:
        return tuple(k for k in range(len(self.domain)) if k not in self.reduced)

    @property
    def row_domain(self) -> tuple[int, ...]:
        return tuple(self.domain[k] for k in self.kept)

    @property
    def chunk(self) -> int:
        return next((r.chunk for r in self.roots if r.chunk), 0)

    def translate(self, index: E.Index) -> E.Index:
        """An Index over the kept axes as one over the domain."""
        return E.map_index(index, {k: E.axis(axis) for k, axis in enumerate(self.kept)})

    def address(self, root: Root) -> E.Index:
        """Where over this domain the element of `root` is stored."""
        return self.translate(root.store_address) if root in self.on_rows else root.store_address


def shape_of(root: Root) -> str:
    if root.kind == OPAQUE:
        return OPAQUE
    if root.kind == MAP or not root.reduced:
        return ROWS if root.kind == REDUCE else ELEMENTWISE
    if root.chunk and len(root.reduced) == len(root.domain):
        return CHUNKS
    if len(root.domain) - 1 in root.reduced or root.reduce_kind.startswith("arg"):
        return ROWS
    return COLUMNS


class Fusion:
    """The groups of `roots`, in an order in which they can run, and the reasons why they are not fewer."""

    def __init__(self, roots: Sequence[Root]):
        self.groups: dict[int, Group] = {}
        self.before: dict[int, int] = {}
        self.group_of: dict[Var, Group] = {}
        self.root_of: dict[Var, Root] = {}
        self.reasons: dict[str, None] = {}
        self._readers: dict[Var, list[Group]] = {}
        self._number: dict[Root, int] = {}
        self._last_effect: list[Group] = []
        for number, root in enumerate(roots):
            self._place(number, root)

    # --------------------------------------------------------------------------------------- placing

    def _place(self, number: int, root: Root) -> None:
        self._number[root] = number
        producers = list(
            {id(g): g for var, _ in root.reads if (g := self.group_of.get(var)) is not None}.values()
        )
        home = None
        if root.kind != OPAQUE:
            for group in self._candidates(root, producers):
                why = self._refusal(group, root, producers)
                if why is None:
                    home = group
                    break
                if group in producers and why:
                    self.reasons[f"{root.name} apart from {_describe(group)}: {why}"] = None
        else:
            self._explain_opaque(root, producers)
        if home is None:
            home = Group(number, root)
            self.groups[number] = home
            self.before[number] = 0
        else:
            self._join(home, root)
        self._depend(home, [*producers, *self._last_effect] if root.effect else producers)
        if root.effect:
            self._last_effect = [home]
        for var in root.outputs or (root.var,):
            self.group_of[var] = home
            self.root_of[var] = root
        for var, _ in root.reads:
            self._readers.setdefault(var, []).append(home)
        for producer in producers if home.shape != OPAQUE else ():
            home, other = self.group_of[root.var], self.groups.get(producer.number)  # merging makes new ones
            if other is not None and other is not home:
                self._merge(other, home)

    def _candidates(self, root: Root, producers: list[Group]) -> Iterable[Group]:
        """Groups that compute what the root reads, latest first, then groups that read what it reads."""
        seen: set[int] = set()
        siblings = [g for var, _ in root.reads for g in reversed(self._readers.get(var, ())[-4:])]
        for group in (*sorted(producers, key=lambda g: -g.number), *siblings):
            if group.number not in seen and group.number in self.groups and group.shape != OPAQUE:
                seen.add(group.number)
                yield group

    def _explain_opaque(self, root: Root, producers: list[Group]) -> None:
        for group in producers:
            if group.shape != OPAQUE and isinstance(root.definition, E.Dot):
                self.reasons[f"{root.name} apart from {_describe(group)}: {heuristics.GEMM_STAYS_APART}"] = (
                    None
                )

    # -------------------------------------------------------------------------------------- legality

    def _refusal(self, group: Group, root: Root, producers: Sequence[Group]) -> str | None:
        """Why `root` cannot join `group`; None where it can."""
        cycle = self._would_cycle(group, producers)
        if cycle:
            return "a value would leave the kernel and come back to it"
        level = self._level(group, root)
        if level not in ("element", "row"):
            return level
        return self._unready_read(group, root, level == "row") or self._unprofitable(group, root)

    def _would_cycle(self, group: Group, producers: Sequence[Group]) -> bool:
        mine = 1 << group.number
        return any(p is not group and self.before[p.number] & mine for p in producers)

    def _level(self, group: Group, root: Root) -> str:
        """'element' or 'row', where in the group's nest the root would be computed; else why nowhere."""
        if root.domain == group.domain:
            shape = shape_of(root)
            if shape == ELEMENTWISE or group.shape == ELEMENTWISE:
                return "element"
            if shape != group.shape:
                return "they reduce along different directions"
            if root.reduced != group.reduced or root.chunk != group.chunk:
                return "they reduce over different axes"
            return "element"
        if group.shape == ROWS and root.kind == MAP and root.domain == group.row_domain:
            return "row"
        return f"they iterate over {_extents(root.domain)} and {_extents(group.domain)}"

    def _unready_read(self, group: Group, root: Root, on_row: bool) -> str | None:
        """A read of a value of this group that is not there yet when the root needs it."""
        for var, address in root.reads:
            if self.group_of.get(var) is not group:
                continue
            if on_row:
                address = group.translate(address)
            source = self.root_of[var]
            if address != group.address(source):
                return f"it reads elements of {source.name} other than its own"
            if source.kind == REDUCE and group.shape != ROWS:
                return f"the reduction {source.name} is complete only when the whole nest has run"
            if on_row and source.kind == MAP and source not in group.on_rows:
                return f"it reads single elements of {source.name}, from outside the loop over rows"
        return None

    def _unprofitable(self, group: Group, root: Root) -> str | None:
        if group.operations + root.operations > heuristics.MAX_OPERATIONS:
            return f"more than {heuristics.MAX_OPERATIONS} operations in one kernel"
        buffers = {*group.reads, *root.reads}
        if len(buffers) + len(group.roots) + 1 > heuristics.MAX_BUFFERS:
            return f"more than {heuristics.MAX_BUFFERS} buffers in one kernel"
        shapes = (group.shape, shape_of(root))
        narrow = bool(group.domain) and group.domain[-1] < heuristics.MIN_COLUMNS_TO_FUSE
        if COLUMNS in shapes and ELEMENTWISE in shapes and narrow:
            return f"a column reduction over only {group.domain[-1]} columns"
        return None

    # ---------------------------------------------------------------------------------------- groups

    def _join(self, group: Group, root: Root) -> None:
        on_row = root.domain != group.domain
        if on_row:
            group.on_rows.add(root)
        elif group.shape == ELEMENTWISE and root.reduced:
            group.shape, group.reduced = shape_of(root), root.reduced
        group.roots.append(root)
        group.operations += root.operations
        group.reads.update(dict.fromkeys(root.reads))

    def _depend(self, group: Group, producers: Iterable[Group]) -> None:
        added = 0
        for producer in producers:
            if producer is not group:
                added |= 1 << producer.number | self.before[producer.number]
        if added & ~self.before[group.number]:
            self.before[group.number] |= added
            mine = 1 << group.number
            for number, before in self.before.items():
                if before & mine:
                    self.before[number] = before | self.before[group.number]

    def _merge(self, first: Group, second: Group) -> None:
        """Makes one group of two, where a root has just joined the second that reads from the first too."""
        if first.shape == OPAQUE or first.domain != second.domain:
            return
        for a, b in ((first, second), (second, first)):
            mine = 1 << a.number
            after = sum(1 << n for n, before in self.before.items() if before & mine and n != b.number)
            if after & self.before[b.number]:
                return
        roots = sorted((*first.roots, *second.roots), key=lambda r: self._number[r])
        trial = Group(first.number, roots[0])
        saved = {var: g for var, g in self.group_of.items() if g is first or g is second}
        for root in roots:
            level = self._level(trial, root)
            legal = level in ("element", "row") and not self._unready_read(trial, root, level == "row")
            if root is not roots[0] and (not legal or self._unprofitable(trial, root)):
                self.group_of.update(saved)
                return
            if root is not roots[0]:
                self._join(trial, root)
            self.group_of[root.var] = trial
        self._replace(first, second, trial)

    def _replace(self, first: Group, second: Group, merged: Group) -> None:
        self.groups[merged.number] = merged
        del self.groups[second.number]
        gone, mine = 1 << second.number, 1 << merged.number
        before = (self.before.pop(second.number) | self.before[first.number]) & ~gone & ~mine
        self.before[merged.number] = before
        for number, bits in self.before.items():
            if bits & (gone | mine):
                self.before[number] = (bits & ~gone) | mine | before
        for readers in self._readers.values():
            for k, group in enumerate(readers):
                if group is first or group is second:
                    readers[k] = merged

    # ----------------------------------------------------------------------------------------- order

    def ordered(self) -> list[Group]:
        """The groups in an order in which they can run: the earliest founded first among those that are
        ready."""
        remaining = dict(sorted(self.groups.items()))
        order: list[Group] = []
        done = 0
        while remaining:
            number = next(n for n in remaining if not self.before[n] & ~done)
            order.append(remaining.pop(number))
            done |= 1 << number
        return order


def _describe(group: Group) -> str:
    names = list(dict.fromkeys(r.name for r in group.roots))
    return "+".join(names[:4]) + ("+..." if len(names) > 4 else "")


def _extents(domain: Sequence[int]) -> str:
    return "x".join(map(str, domain)) or "one element"
