"""How items are dealt to batches, the units of work of the slide and the image stage."""

from __future__ import annotations

from survfuse.core.errors import UserInputError


def items_of(batch: int, batches: int) -> slice:
    """Which items, in a fixed order, belong to batch number `batch` (from 0) of `batches`.

    Raises UserInputError where there is no such batch.
    """
    if not 0 <= batch < batches:
        raise UserInputError(
            f"--batch {batch} --batches {batches}: there is no such batch; count from 0, up to one "
            "less than there are batches"
        )
    return slice(batch, None, batches)
