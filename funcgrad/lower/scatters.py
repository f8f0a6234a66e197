"""Scatters of many updates in pieces, each applied to elements of its own, so that threads can share them; and in
streams, so that an update of the element that was updated just before is not waited for.

How many there are depends on sizes alone, so no result depends on the number of threads.
"""

from __future__ import annotations

from funcgrad.ir import expr as E


def in_pieces(scatter: E.Scatter, pieces: int, streams: int) -> E.Scatter:
    """The same updates, over (pieces, length, streams, ...) in place of their leading axis: step r of stream s of
    piece p is update number (p * streams + s) * length + r. Where there are several pieces, each updates its own
    copy, along a new leading axis of the output."""
    (count, *rest), axis = scatter.extents, E.axis
    length = -(-count // (pieces * streams))
    lead = (pieces, length, streams)
    number = (axis(0) * streams + axis(2)) * length + axis(1)
    whole = pieces * streams * length == count
    read = number if whole else number.clamp(0, count - 1)  # the last piece may have fewer
    axes = {0: read, **{k: axis(k + 2) for k in range(1, len(rest) + 1)}}

    def moved(index: E.Index) -> E.Index:
        return E.map_index(index, axes, lambda e: E.substitute_axes(e, axes))

    bounds = tuple([(moved(ix), low, high) for ix, low, high in scatter.bounds])
    if not whole:
        bounds = ((number, 0, count), *bounds)
    target = tuple([moved(ix) for ix in scatter.target])
    return E.Scatter(
        scatter.kind,
        scatter.operand,
        (*lead, *rest),
        (axis(0), *target) if pieces > 1 else target,
        E.substitute_axes(scatter.value, axes),
        bounds,
        independent=int(pieces > 1),
    )
