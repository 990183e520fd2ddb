"""How much of the brain a volume shows: what lies in its field of view, and in the grid."""

from __future__ import annotations

from typing import Any

from survfuse.modalities.volumes.faults import CutOff
from survfuse.modalities.volumes.grid import within
from survfuse.modalities.volumes.placement import Anchor
from survfuse.modalities.volumes.volume import inverse

NOTED_SHARE = 0.98  # of the brain; less is told in the manifest
LEAST_SHARE = 0.8  # less sets the volume aside


def check_coverage(placed: Anchor, anchor: Anchor | None, known: dict[str, Any]) -> None:
    """Record the shares of the brain in the volume's field of view and in the grid.

    The brain is that of the visit, where it was found, else the volume's own, of which nothing
    can lie beyond its own field of view. Raises CutOff below LEAST_SHARE.
    """
    owner = placed if anchor is None or anchor.brain.whole_head else anchor
    if owner.brain.whole_head:  # the share of a head says nothing of the brain
        return
    to_grid = inverse(owner.native_from_grid)
    ways = {
        "brain_in_view": (placed.volume.grid, placed.native_from_grid @ to_grid),
        "brain_in_grid": (placed.grid, to_grid),
    }
    for name, (grid, matrix) in ways.items():
        inside = within(owner.mask, owner.volume.grid, grid, matrix)
        known[name] = round(float(inside.sum() / owner.mask.sum()), 4)
    view, in_grid = known["brain_in_view"], known["brain_in_grid"]
    if view < LEAST_SHARE:
        raise CutOff(
            f"the field of view holds {view:.0%} of the brain; look at the picture, then leave the "
            "volume out, or give its transform in the column registration"
        )
    if in_grid < LEAST_SHARE:
        raise CutOff(
            f"the grid holds {in_grid:.0%} of the brain; raise imaging.shape, or correct the mask "
            "or the transform of the volume"
        )
    told = [
        f"{share:.0%} of the brain lies in {place}"
        for share, place in ((view, "the field of view"), (in_grid, "the grid"))
        if share < NOTED_SHARE
    ]
    known["reason"] = "; ".join(filter(None, [known["reason"], *told]))
