"""Whether the numbers of a gene matrix are on a scale that models can use.

Everything here is noted, not corrected: nothing but `check_transform` stops a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from survfuse.config.omics import OmicsConfig, Transform
from survfuse.modalities.omics.sheet import OmicsSheet, type_of_columns
from survfuse.sheets.problems import Note, Problem

WHOLE_SHARE = 0.999  # of the values of a table of counts
LEAST_COUNT = 100  # the largest value of counts; mutations and copy numbers stay below
FEW_NEGATIVE = 0.01  # share of the values; more are copy numbers or scores
LINEAR_FROM = 1000  # no logarithm is that large
SKEWED = 20  # largest value over the median, of abundances that are no logarithms
LARGEST_LOG2 = 32
CODES = (-9, -99, -999, -9999, -99999)  # that stand for missing in published tables
TENFOLD = 1.0  # gap, in powers of ten, between patients on one scale and on another
LEAST_GENES = 100  # to compare the scales of patients
SAMPLED_COLUMNS = 2000  # for quantiles


@dataclass(frozen=True)
class Part:
    """The columns of one data type. values: (n, g) float32, NaN = not measured, any measured."""

    whose: str  # continues "values of the gene matrix"
    transform: Transform
    values: NDArray[np.float32]
    lowest: float
    highest: float

    def sample(self) -> NDArray[np.float32]:
        """Values of at most 2,000 columns, evenly spaced."""
        return self.values[:, :: 1 + self.values.shape[1] // SAMPLED_COLUMNS]


def parts(sheet: OmicsSheet, config: OmicsConfig) -> Iterator[Part]:
    """The data types of a matrix, without those that nobody was measured for."""
    kinds = np.array([kind or "" for kind in type_of_columns(sheet.columns, config.suffixes)])
    for kind in config.suffixes:
        of_kind = kinds == kind
        values = sheet.values if of_kind.all() else sheet.values[:, of_kind]
        measured = ~np.isnan(values)
        if measured.any():
            whose = f" of the data type {kind}" if len(config.suffixes) > 1 else ""
            lowest = float(values.min(where=measured, initial=np.inf))
            highest = float(values.max(where=measured, initial=-np.inf))
            yield Part(whose, config.transform_of(kind), values, lowest, highest)


def check_transform(sheet: OmicsSheet, config: OmicsConfig) -> list[Problem]:
    """The problem of negative values whose logarithm is to be taken."""
    transformed = [
        position
        for position, kind in enumerate(type_of_columns(sheet.columns, config.suffixes))
        if config.transform_of(kind) != "none"
    ]
    for position in transformed:
        negative = np.flatnonzero(sheet.values[:, position] < 0)
        if negative.size:
            value = f"{sheet.values[negative[0], position]:g}"
            fault = "is negative, omics.transform takes logarithms of counts or abundances"
            remedy = "unset omics.transform if the values are logarithms or scores already"
            return [sheet.ids.problem(None, sheet.columns[position], fault, remedy, value)]
    return []


def scale_notes(sheet: OmicsSheet, config: OmicsConfig) -> list[Note]:
    """Counts, abundances that are no logarithms, codes for missing, patients on another scale."""
    found = []
    for part in parts(sheet, config):
        for finding in (note_of_scale(part), note_of_codes(part), note_of_mixture(part)):
            if finding:
                sentence, example, remedy = finding
                found.append(Note(str(sheet.ids.path), sentence, example, remedy))
    return found


Finding = tuple[str, str | None, str]  # sentence, example, remedy


def note_of_scale(part: Part) -> Finding | None:
    """What the range of the values says about their scale."""
    values = f"values of the gene matrix{part.whose}"
    if part.transform != "none":
        if part.highest <= LARGEST_LOG2 and whole_share(part) < WHOLE_SHARE:
            sentence = (
                f"The {values} look like logarithms already (none is above {part.highest:.3g}); "
                f"omics.transform {part.transform} takes the logarithm again."
            )
            return sentence, None, "unset omics.transform if they are logarithms"
        return None
    advice = "set omics.transform: log2_cpm"
    if part.highest >= LEAST_COUNT and whole_share(part) >= WHOLE_SHARE:
        negative = int(np.count_nonzero(part.values < 0))
        if negative > FEW_NEGATIVE * part.values.size:
            return None
        sentence = f"All {values} are whole numbers up to {part.highest:,.0f}: raw counts?"
        if negative:
            sentence += f" Counts are never negative, {negative} of these are."
        sentence += " Models expect a logarithmic scale."
        return sentence, None, f"{advice}, or give log2(TPM + 1) or the like"
    if part.lowest < 0 or part.highest <= LINEAR_FROM:
        return None
    median = float(np.nanmedian(part.sample()))
    if part.highest <= SKEWED * median:
        return None
    sentence = (
        f"The {values} reach {part.highest:,.0f} with a median of {median:.3g}: TPM, FPKM or "
        "intensities that are no logarithms? Models expect a logarithmic scale."
    )
    return sentence, None, "set omics.transform: log2_plus_1 (log2_cpm for counts)"


def whole_share(part: Part) -> float:
    """Share of whole numbers among the measured values."""
    whole = sum(int(np.count_nonzero(row == np.floor(row))) for row in part.values)
    return whole / int(np.count_nonzero(~np.isnan(part.values)))


def note_of_codes(part: Part) -> Finding | None:
    """A code for missing: the one negative value of a table, or an extreme one that is repeated."""
    if part.lowest not in CODES:
        return None
    count = int(np.count_nonzero(part.values == part.lowest))
    others = np.count_nonzero(part.values < 0) - count
    if others and (count < 3 or part.lowest > -99):
        return None
    sentence = (
        f"The value {part.lowest:.0f} appears {count} times in the gene matrix{part.whose} and is "
        "read as a measurement: a code for missing?"
    )
    return sentence, None, "leave cells without a measurement empty"


def note_of_mixture(part: Part) -> Finding | None:
    """Patients whose values are of another order of magnitude than those of the others."""
    sample = np.abs(part.sample())
    if sample.shape[1] < LEAST_GENES or part.lowest < 0 or len(sample) < 4:
        return None
    measured = (~np.isnan(sample)).sum(axis=1) >= LEAST_GENES
    if measured.sum() < 4:
        return None
    upper = np.nanquantile(sample[measured], 0.9, axis=1)
    largest = np.nanmax(sample[measured], axis=1)
    for level, name in ((upper, "90th percentile"), (largest, "largest value")):
        ordered = np.sort(np.log10(level[level > 0]))
        gaps = np.diff(ordered)
        if gaps.size == 0 or gaps.max() < TENFOLD:
            continue
        low = int(gaps.argmax()) + 1
        below, above = (10 ** np.median(group) for group in (ordered[:low], ordered[low:]))
        sentence = (
            f"Patients differ in the scale of the gene matrix{part.whose}: the {name} is about "
            f"{below:.3g} in some and {above:,.3g} in others. Some may be logarithms."
        )
        return (
            sentence,
            f"{low} and {len(ordered) - low} patients",
            "bring all patients to one scale",
        )
    return None
