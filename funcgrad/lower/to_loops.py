"""From a graph to steps: finds the roots, groups them, and schedules each group as one kernel.

The graph has no calls of other graphs left (passes inline them); the sub-graphs of control flow are lowered in
the same way (regions.py). The result names values; memory and the
program that runs the steps are made from it elsewhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from funcgrad.ir import expr as E
from funcgrad.ir.graph import Graph, Var
from funcgrad.lower import heuristics, loopir
from funcgrad.lower.fuse import OPAQUE, Fusion, Group
from funcgrad.lower.hoist import hoist
from funcgrad.lower.loop_kernels import loop_kernel
from funcgrad.lower.lowered import (
    CopyStep,
    ExternStep,
    GemmStep,
    KernelStep,
    Lowered,
    RoutineStep,
    Step,
    UserStep,
    View,
    has_effect,
)
from funcgrad.lower.regions import region_step
from funcgrad.lower.roots import Root, Roots
from funcgrad.lower.schedule import Scheduler, scatter_step
from funcgrad.lower.target import CPU, Target
from funcgrad.lower.unrolled import NotUnrolled
from funcgrad.records import replaced


def lower(graph: Graph, target: Target = CPU, copies: Collection[Var] = ()) -> Lowered:
    """The steps that compute `graph` on `target`. Outputs among `copies` get memory of their own even where they
    are mere rearrangements of other values."""
    graph = hoist(graph)
    roots = Roots(graph, copies)
    for _ in range(heuristics.ROUNDS):
        fusion = Fusion(roots.build())
        shared = _recomputed(roots, fusion)
        if not shared:
            break
        for var in shared:
            roots.store(var)
    else:
        fusion = Fusion(roots.build())
    return _Lowering(graph, roots, fusion, target).result()


def _recomputed(roots: Roots, fusion: Fusion) -> list[Var]:
    """Values that more than one kernel would compute: at a cost (the last of each chain), or from many arrays."""
    users: dict[Var, set[int]] = {}
    for group in fusion.groups.values():
        for root in group.roots:
            for var in root.expanded:
                users.setdefault(var, set()).add(group.number)
    costly = {
        var
        for var, found in users.items()
        if len(found) > 1
        and roots.cost.get(var, 0) > heuristics.RECOMPUTE_SHARED
        and var not in roots.aliases
    }
    inner = {atom for var in costly for atom in roots.maps[var][1] if isinstance(atom, Var)}
    last = {var for var in costly if var not in inner}
    return [*last, *_gathered(roots, [v for v in users if len(users[v]) > 1 and v not in last], last)]


def _gathered(roots: Roots, shared: Collection[Var], stored: Collection[Var]) -> Iterator[Var]:
    """Those of the shared values whose elements need elements of too many arrays of their size; what is chosen counts
    as one array from there on, so that of a long sum every few terms are stored."""
    shared, stored = set(shared), set(stored)
    arrays: dict[Var, set[Var]] = {}
    for var in roots.maps:
        if roots.is_root(var) or var in stored:
            arrays[var] = {var}
            continue
        found: set[Var] = set()
        for atom in roots.maps[var][1]:
            if isinstance(atom, Var) and atom.type.size >= var.type.size:
                found |= arrays.get(atom, {atom})
        if var in shared and len(found) >= heuristics.RECOMPUTE_ARRAYS and var not in roots.aliases:
            stored.add(var)
            found = {var}
            yield var
        arrays[var] = found


class _Lowering:
    def __init__(self, graph: Graph, roots: Roots, fusion: Fusion, target: Target):
        self.graph, self.roots, self.fusion, self.target = graph, roots, fusion, target
        self.reasons: list[str] = []
        self._position = {id(e): k for k, e in enumerate(graph.equations)}
        self.needed = {self._storage(a) for a in graph.outputs if isinstance(a, Var)}
        for group in fusion.groups.values():
            for root in group.roots:
                self.needed.update(v for v, _ in root.reads if fusion.group_of.get(v) is not group)

    def _storage(self, var: Var) -> Var:
        while var in self.roots.aliases:
            var = self.roots.aliases[var]
        return var

    def result(self) -> Lowered:
        steps: list[Step] = []
        for group in self.fusion.ordered():
            if group.shape == OPAQUE:
                steps.extend(self._opaque(group.roots[0]))
            else:
                steps.append(self._kernel(group))
        steps = [s for s in steps if has_effect(s) or any(v.type.size for v in s.writes)]
        written = {var for step in steps for var in step.writes}
        temporaries = tuple(v for v in self.roots.temporaries if v in written)
        reasons = tuple(dict.fromkeys((*self.roots.reasons, *self.fusion.reasons, *self.reasons)))
        return Lowered(self.graph, tuple(steps), self.graph.outputs, self.roots.aliases, temporaries, reasons)

    def _kernel(self, group: Group) -> KernelStep:
        scheduler = Scheduler(group, self.roots.definition, self.needed.__contains__)
        step = scheduler.step(*self._origin(group.roots))
        loopir.verify(step.kernel)
        return step

    def _origin(self, roots: list[Root]) -> tuple[str, tuple[str, ...]]:
        """The primitives that a kernel implements, and the user's lines that they came from."""
        equations = {id(r.equation): r.equation for r in roots if r.equation is not None}
        for root in roots:
            for var in root.expanded:
                equation = self.roots.equation.get(var)
                if equation is not None:
                    equations[id(equation)] = equation
        ordered = [equations[k] for k in sorted(equations, key=lambda k: self._position.get(k, -1))]
        lines = dict.fromkeys(str(e.source) for e in ordered if e.source is not None)
        return "+".join(e.primitive.name for e in ordered), tuple(lines)

    def _opaque(self, root: Root) -> list[Step]:
        label, sources = root.name, self._origin([root])[1]
        if isinstance(root.definition, E.Dot):
            step = self.roots.gemm_steps[root.var]
            return [replaced(step, lhs=self._view(step.lhs), rhs=self._view(step.rhs), sources=sources)]
        if isinstance(root.definition, E.Scatter):
            base = root.inputs[root.definition.operand]
            step = scatter_step(root, self.roots.definition, label, sources)
            loopir.verify(step.kernel)
            if isinstance(base, Var):
                return [CopyStep(root.var, self._storage(base), sources=sources), step]
            return [step]
        assert isinstance(root.definition, E.Extern)
        inputs = tuple(self._storage(a) if isinstance(a, Var) else a for a in root.inputs)
        if isinstance(root.definition, E.Region):
            try:
                region = root.definition, root.inputs, root.outputs
                return [loop_kernel(*region, self._storage, self.target, label, sources)]
            except NotUnrolled as why:
                self.reasons.append(f"{label} is not one kernel: {why}")
            body = lambda graph, copies: lower(graph, self.target, copies)  # noqa: E731
            step, reasons = region_step(root.definition, inputs, root.outputs, body, label, sources)
            self.reasons.extend(reasons)
            return [step]
        extern = root.definition
        in_memory = tuple([a for a in inputs if isinstance(a, Var)])
        if isinstance(extern, E.Routine) and len(in_memory) == len(inputs):
            buffers = (*root.outputs, *map(Var, extern.scratch))
            settings = extern.settings
            return [RoutineStep(extern.routine, settings, in_memory, buffers, label, sources, extern.flops)]
        types = tuple(a.type for a in root.inputs)
        if isinstance(extern, E.UserCall):
            return [UserStep(extern, inputs, types, root.outputs, extern.name, sources)]
        return [
            ExternStep(
                extern.name, extern.attributes, inputs, types, root.outputs, label, sources, root.effect
            )
        ]

    def _view(self, view: View) -> View:
        return View(self._storage(view.value), view.offset)


__all__ = ["GemmStep", "lower"]
