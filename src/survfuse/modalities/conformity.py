"""Whether the inputs of new patients are what the models of a finished study were fitted on.

A package keeps a `Reference` of each modality of the study; the modality itself compares the
inputs of new patients with it, brings them into the form that its models read, and remarks on what
is unusual. What cannot be read at all is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd

from survfuse.core.errors import UserInputError
from survfuse.core.messages import Message

LEAST_SHARE, MOST_SHARE = 0.01, 0.99  # of the study's patients: the usual range of a value

Kept = TypeVar("Kept")


@dataclass(frozen=True)
class Reference:
    """What a package keeps of a modality of the study: of all its patients together, of none alone.

    described: JSON. arrays: named, for safetensors.
    """

    described: Any
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Remark:
    """What is to be said of the inputs of one new patient, or of all of them (None).

    flagged: whether the estimate is less to be trusted for it. modality: which it is about, as
    whoever asks the modality knows.
    """

    message: Message
    patient_id: str | None = None
    flagged: bool = True
    modality: str = ""


@dataclass(frozen=True)
class Conformed(Generic[Kept]):
    """The inputs of new patients in the form that the models read, with what is unusual of them."""

    store: Kept
    remarks: Sequence[Remark] = ()


def usual_range(values: np.ndarray) -> tuple[float, float]:
    """Between which 98 of 100 of the values (n,) lie; NaN is left out, of which not all may be."""
    low, high = np.nanquantile(values, [LEAST_SHARE, MOST_SHARE])
    return float(low), float(high)


def outside_usual(what: str, value: float, low: float, high: float) -> Message:
    """That a value is unusual."""
    return Message(
        "%(what)s is %(value)s; of 100 patients of the study 98 had %(low)s to %(high)s, so that "
        "the models are extrapolating.",
        {"what": what, "value": value, "low": low, "high": high},
    )


def require_width(what: str, found: int, fitted: int) -> None:
    """Raise UserInputError where `what` is of another width than a model was fitted on."""
    if found != fitted:
        raise UserInputError(
            f"there are {found} {what}, but the model was fitted on {fitted}; give it what it was "
            "fitted on, or train it again"
        )


def same_columns(frame: pd.DataFrame, wanted: Sequence[str], what: str) -> Conformed[pd.DataFrame]:
    """A table of features with the columns of the study, NaN where they are missing.

    Raises UserInputError where none of them is there.
    """
    absent = [name for name in wanted if name not in frame]
    if len(absent) == len(wanted):
        raise UserInputError(
            f"the table of {what} has none of the features of the study, such as {absent[0]}; "
            "compute the same features"
        )
    message = Message(
        "%(absent)s of %(wanted)s %(what)s features are missing; they count as the median of the "
        "study.",
        {"absent": len(absent), "wanted": len(wanted), "what": what},
    )
    remarks = [Remark(message)] if absent else []
    return Conformed(frame.reindex(columns=list(wanted)), remarks)
