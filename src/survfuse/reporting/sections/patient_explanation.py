"""What moved one patient's estimate, in the units of a reader.

Attributions are given in standard deviations of the predicted risk in the test fold; the effect of
a whole modality in percentile ranks of the predicted risk in the test fold. Neither depends on the
scale of the risk, which means nothing outside one model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from survfuse.artifacts.explanations import FoldExplanation, find_patient
from survfuse.evaluation.contribution import percentile_ranks, permutation_effect
from survfuse.modalities.registry import MODALITIES
from survfuse.reporting.sections.explanations import agreement_in_words, is_stable
from survfuse.reporting.stored_attention import TILES
from survfuse.reporting.wording import decimal

MOST_PARTS = 5
LEAST_SHOWN = 0.005  # standard deviations; less would be printed as 0.00
LARGEST_GAP = 0.05  # standard deviations
# The modality with the most parts first.
PARTS = {name: entry.part for name, entry in reversed(MODALITIES.items()) if entry.part}


@dataclass(frozen=True)
class PartRow:
    """A gene group or covariate and what it does to this patient's estimate."""

    name: str
    number: int  # its index among the stored names
    deviations: float  # standard deviations; positive raises the estimated risk
    bar_percent: float  # 100 for the largest of the page
    agree: str | None  # "3 of 3" members of the ensemble give it this direction


@dataclass(frozen=True)
class Direction:
    """The parts of one modality that moved the estimate one way."""

    word: str  # "raised" or "lowered"
    rows: list[PartRow]  # strongest first, MOST_PARTS at most
    count: int  # of all such parts


@dataclass(frozen=True)
class PartTable:
    """What the parts of one modality do to this patient's estimate."""

    modality: str
    noun: str  # of one part
    total: int  # parts that the model reads
    directions: list[Direction]  # only those in which a part moved the estimate


@dataclass(frozen=True)
class ModalityRow:
    """The effect of a whole modality on the rank of this patient."""

    name: str
    modality: str
    moved: float  # percentile ranks by which another patient's modality moves this patient, mean
    raised: float  # percentile ranks of the patient above those with the modality of others, mean
    bar_percent: float


@dataclass(frozen=True)
class PatientExplanation:
    """What the patient page prints.

    tables: of the modalities that the patient has. modalities: strongest first. gap: standard
    deviations of the estimate that the attributions do not account for. tile_agreement: of the
    members' attention in this patient, None if unknown.
    """

    tables: list[PartTable]
    modalities: list[ModalityRow]
    gap: float
    tile_agreement: float | None
    members: int


def explain(explanations: Sequence[FoldExplanation], patient_id: str) -> PatientExplanation | None:
    """What moved one patient's estimate; None if nothing of it is known."""
    found = find_patient(explanations, patient_id)
    if found is None:
        return None
    one, row = found
    tables = [
        part_table(one, row, modality)
        for modality in PARTS
        if modality in one.names and np.isfinite(one.attribution[modality][row]).any()
    ]
    modalities = modality_rows(one, row)
    if not tables and not modalities:
        return None
    agreement = float(one.attention_agreement.get(TILES, np.full(row + 1, np.nan))[row])
    return PatientExplanation(
        tables=tables,
        modalities=modalities,
        gap=float(one.gap[row]) / deviation(one),
        tile_agreement=agreement if np.isfinite(agreement) else None,
        members=one.members,
    )


def part_sentences(found: PatientExplanation, stability: Mapping[str, dict[str, Any]]) -> list[str]:
    """What a reader of the bars has to know: what they leave out, and whether they hold.

    `stability` is that of the model over the folds; what is not known of it is not stated.
    """
    remarks = []
    if found.tables and abs(found.gap) > LARGEST_GAP:
        remarks.append(
            f"The parts do not add up: {decimal(abs(found.gap))} standard deviations of the "
            "difference from the average training patient are left over."
        )
    for table in found.tables:
        if is_stable(stability, table.modality) is False:
            remarks.append(
                f"The models of different folds rank the {table.noun}s in hardly the same order "
                f"(mean rank "
                f"correlation {decimal(stability[table.modality]['spearman'])}, chance 0): models "
                f"trained on other patients might order them differently."
            )
    return remarks


def tile_sentence(found: PatientExplanation) -> str | None:
    """How far the members of the ensemble attend to the same tiles; None if that is not known."""
    agreement = found.tile_agreement
    if agreement is None:
        return None
    return (
        f"The {found.members} models, trained from different seeds, rank the tiles of this patient "
        f"by attention {agreement_in_words(agreement)} (mean rank correlation "
        f"{decimal(agreement)}, chance 0)."
    )


def deviation(explanation: FoldExplanation) -> float:
    """Standard deviation of the risk in the test fold; 1 where all risks are equal."""
    return float(explanation.risk.std()) or 1.0


def part_table(explanation: FoldExplanation, row: int, modality: str) -> PartTable:
    """The parts of a modality that matter most in one patient, in each direction."""
    values = explanation.attribution[modality][row] / deviation(explanation)
    shares = explanation.same_sign[modality][row]
    every = np.concatenate([v[row] for v in explanation.attribution.values()])
    largest = np.nanmax(np.abs(every), initial=0.0) / deviation(explanation) or 1.0
    rows = [
        PartRow(
            name=explanation.names[modality][part].replace("_", " "),
            number=int(part),
            deviations=float(values[part]),
            bar_percent=round(100 * abs(float(values[part])) / largest, 2),
            agree=members_agreeing(float(shares[part]), explanation.members),
        )
        for part in np.argsort(-np.abs(values), kind="stable")
        if abs(values[part]) >= LEAST_SHOWN
    ]
    raising = [part for part in rows if part.deviations > 0]
    lowering = [part for part in rows if part.deviations < 0]
    directions = [
        Direction(word, found[:MOST_PARTS], len(found))
        for word, found in (("raised", raising), ("lowered", lowering))
        if found
    ]
    return PartTable(modality, PARTS[modality], len(values), directions)


def members_agreeing(share: float, members: int) -> str | None:
    """`2 of 3`; None for a single network, which agrees with itself."""
    return f"{round(share * members)} of {members}" if np.isfinite(share) else None


def modality_rows(explanation: FoldExplanation, row: int) -> list[ModalityRow]:
    """The modalities that the patient has, by how far they move the patient."""
    if len(explanation.patient_ids) < 2:
        return []
    own = percentile_ranks(explanation.risk, explanation.risk)
    found = []
    for modality, permuted in explanation.permuted.items():
        effect = permutation_effect(own, percentile_ranks(permuted, explanation.risk))
        if np.isfinite(effect.moved[row]):
            found.append((modality, float(effect.moved[row]), float(effect.raised[row])))
    largest = max((moved for _, moved, _ in found), default=0.0) or 1.0
    found.sort(key=lambda entry: -entry[1])
    return [
        ModalityRow(
            MODALITIES[modality].label, modality, moved, raised, round(100 * moved / largest, 2)
        )
        for modality, moved, raised in found
    ]
