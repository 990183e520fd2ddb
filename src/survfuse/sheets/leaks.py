"""Finding inputs that hold the outcome: copies of time, event or class in whatever disguise.

An honest predictor is associated with the outcome; a copy agrees with it nearly without exception.
The thresholds lie so far above what predictors reach that only copies meet them, and every
agreement must also be one that chance hardly gives among as many columns as are looked at: in a
cohort of ten patients one of 20,000 genes does put all of them into the order of their times.

Follow-up among the censored alone is not compared: where all are followed to one day, it is the
date of diagnosis, which is an honest covariate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from survfuse.artifacts.outcome_columns import columns_of
from survfuse.sheets.text_table import as_number

LEAST_ROWS = 8  # with fewer filled cells a column is not checked
LEAST_RANKED = 12  # with fewer the same order is no evidence
LINEAR = 0.9999  # |Pearson| with the time: the time in another unit
NEAR = 0.98  # |rank correlation| with the time, or |phi| with the event: a copy with noise
AMONG_EVENTS = 0.9  # a near copy among all patients must hold for those with an event as well
LEAST_EVENTS = 5  # to ask that of
CHANCE = 0.03  # expected number of columns that agree as well by chance
FILLED_CHANCE = 1e-4  # likewise, of being filled for one class alone
FEW_VALUES = 12  # distinct values of a column that may be a finer coding of the event
BLOCK = 1024  # columns at a time

Numbers = NDArray[np.float64]


def leaks_of_numbers(values: NDArray[np.floating], outcomes: pd.DataFrame) -> dict[int, str]:
    """How columns of numbers give the outcome away: a clause by the position of the column.

    values: (n, p), NaN = missing. outcomes: n rows in the same order with the outcome columns of a
    task, none with a problem; it says which of them are classes, and which are in an order, such as
    the time (`OutcomeColumns`). A clause continues a sentence whose
    subject is the column, e.g. "is the event column under another name". Honest columns are left
    out. 20,000 columns of 500 patients take a few seconds.
    """
    found: dict[int, str] = {}
    for start in range(0, values.shape[1], BLOCK):
        block = values[:, start : start + BLOCK].astype(np.float64)
        block[~np.isfinite(block)] = np.nan
        clauses = leaks_of_block(block, outcomes, values.shape[1])
        found |= {start + column: clause for column, clause in clauses.items()}
    return found


def leak_of_cells(cells: Sequence[str], outcomes: pd.DataFrame) -> str | None:
    """How a column of text ("" = missing) gives the outcome away, or None.

    As `leaks_of_numbers`. Numbers and dates are compared with the time, any words with the event.
    """
    numbers, known = as_numbers(cells), np.array([text != "" for text in cells], dtype=bool)
    codes = np.where(known, pd.factorize(np.array(cells, dtype=object))[0], np.nan)
    is_number = not np.isnan(numbers[known]).any()
    clause = class_leaks((numbers if is_number else codes)[:, None], outcomes, 1).get(0)
    if clause is None and is_number:
        clause = time_leaks(numbers[:, None], outcomes, 1).get(0)
    return clause


def as_numbers(cells: Sequence[str]) -> Numbers:
    """Cells as numbers (n,), dates as their day; NaN where a cell is neither."""
    numbers = [as_number(text) for text in cells]
    if not any(number is not None for number in numbers):
        numbers = [day_of(text) for text in cells]
    values = np.array([math.nan if number is None else number for number in numbers])
    values[~np.isfinite(values)] = np.nan
    return values


def day_of(text: str) -> float | None:
    """The day of an ISO date (2019-05-31) as a number, or None."""
    try:
        return float(date.fromisoformat(text).toordinal())
    except ValueError:
        return None


def leaks_of_block(block: Numbers, outcomes: pd.DataFrame, tried: int) -> dict[int, str]:
    """`leaks_of_numbers` of some of `tried` columns."""
    of_classes = class_leaks(block, outcomes, tried)
    return time_leaks(block, outcomes, tried) | of_classes


def class_leaks(block: Numbers, outcomes: pd.DataFrame, tried: int) -> dict[int, str]:
    """Columns that give away the event or the class."""
    found: dict[int, str] = {}
    for name in columns_of(outcomes).classes:
        if name not in outcomes:
            continue
        labels = outcomes[name].to_numpy()
        for column in np.flatnonzero(may_tell_classes(block)).tolist():
            if clause := class_leak(block[:, column], labels, name, tried):
                found[column] = clause
    return found


def may_tell_classes(block: Numbers) -> NDArray[np.bool_]:
    """Columns that are worth comparing with classes: with empty cells, or with few values."""
    filled = np.isfinite(block)
    ordered = np.sort(block, axis=0)
    distinct = 1 + (np.diff(ordered, axis=0) > 0).sum(axis=0)
    enough = filled.sum(axis=0) >= LEAST_ROWS
    return enough & (~filled.all(axis=0) | ((distinct > 1) & (distinct <= FEW_VALUES)))


def class_leak(values: Numbers, labels: NDArray[np.int64], name: str, tried: int) -> str | None:
    """How one column (n,) gives away classes (n,), or None."""
    filled = np.isfinite(values)
    if clause := filled_leak(filled, labels, name, tried):
        return clause
    values, labels = values[filled], labels[filled]
    levels, level = np.unique(values, return_inverse=True)
    classes, label = np.unique(labels, return_inverse=True)
    if len(classes) < 2 or len(levels) < 2 or len(levels) > FEW_VALUES:
        return None
    counts = np.zeros((len(levels), len(classes)))
    np.add.at(counts, (level, label), 1)
    pure = ((counts > 0).sum(axis=1) == 1).all()
    rare = log_arrangements(counts.sum(axis=0))
    if pure and len(levels) == len(classes) and likely_copies(len(levels), rare, tried) < CHANCE:
        return f"is the {name} column under another name"
    if pure and name == "event" and likely_copies(len(levels), rare, tried) < CHANCE:
        return f"decides the {name} column: each of its values belongs to one value of it"
    if counts.shape == (2, 2):
        disagree = int(min(np.trace(counts), len(values) - np.trace(counts)))
        if abs(np.corrcoef(level, label)[0, 1]) >= NEAR and disagree:
            return f"agrees with the {name} column in all but {disagree} of {len(values)} patients"
    return None


def filled_leak(
    filled: NDArray[np.bool_], labels: NDArray[np.int64], name: str, tried: int
) -> str | None:
    """How the empty cells of a column give away classes, or None."""
    if filled.all():
        return None
    n, n_filled = len(filled), int(filled.sum())
    for value in np.unique(labels):
        members = labels == value
        n_members = int(members.sum())
        if (members == filled).all() or (members == ~filled).all():
            if likely_copies(2, log_choose(n, n_members), tried) < CHANCE:
                return f"is filled in exactly where the {name} column has one of its values"
        elif not filled[~members].any():
            chance = log_choose(n_members, n_filled) - log_choose(n, n_filled)
            if tried * math.exp(chance) < FILLED_CHANCE:
                return f"is filled in only where the {name} column has one of its values"
    return None


def likely_copies(levels: int, log_ways: float, tried: int) -> float:
    """How many of `tried` columns are expected to fall into classes without exception by chance.

    `levels` can be assigned to two classes in 2^levels ways, of exp(log_ways) arrangements.
    """
    return tried * math.exp(min(levels * math.log(2) - log_ways, 50.0))


def log_arrangements(counts: Numbers) -> float:
    """Logarithm of the number of ways to give the classes, of these sizes, to patients."""
    sizes = [math.lgamma(count + 1) for count in counts.tolist()]
    return math.lgamma(float(counts.sum()) + 1) - sum(sizes)


def log_choose(n: int, k: int) -> float:
    """Logarithm of the binomial coefficient."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


def times_of(outcomes: pd.DataFrame) -> tuple[Numbers, NDArray[np.bool_], str] | None:
    """The times (n,), or what else is in an order, where they are exact (n,), and their name.

    None where the outcome has no such column.
    """
    columns = columns_of(outcomes)
    if columns.ordered not in outcomes:
        return None
    exact = np.ones(len(outcomes), dtype=bool)
    if columns.observed in outcomes:
        exact = outcomes[columns.observed].to_numpy() > 0
    time = outcomes[columns.ordered].to_numpy(dtype=float)
    return time, exact, columns.ordered.removesuffix("_months")


def time_leaks(block: Numbers, outcomes: pd.DataFrame, tried: int) -> dict[int, str]:
    """Columns that are the time, a monotone function of it, or nearly one."""
    if (times := times_of(outcomes)) is None:
        return {}
    time, event, name = times
    n_filled, n_events = (np.isfinite(part).sum(axis=0) for part in (block, block[event]))
    filled = np.where(np.isfinite(block), time[:, None], np.nan)
    linear = correlation(block, filled)
    ranked = rank_correlation(block, filled)
    ranked_events = rank_correlation(block[event], filled[event])
    found: dict[int, str] = {}
    for column in np.flatnonzero(n_filled >= LEAST_ROWS).tolist():
        values, known = block[:, column], np.isfinite(block[:, column])
        of_events = known & event
        exact, near = abs(ranked[column]), abs(ranked_events[column])
        if abs(linear[column]) > LINEAR:
            found[column] = f"is the {name} column under another name or in another unit"
        elif exact > AMONG_EVENTS and is_monotone(values[known], time[known], tried):
            found[column] = f"is the {name} column in another scale: it rises or falls with it"
        elif near > AMONG_EVENTS and is_monotone(values[of_events], time[of_events], tried):
            found[column] = f"is the {name} column in another scale where there was an event"
        elif near >= NEAR and n_events[column] >= LEAST_RANKED:
            found[column] = almost(name, "of patients with an event", ranked_events[column])
        elif (
            exact >= NEAR
            and n_filled[column] >= LEAST_RANKED
            and (n_events[column] < LEAST_EVENTS or near >= AMONG_EVENTS)
        ):
            found[column] = almost(name, "of patients", ranked[column])
    return found


def almost(name: str, whose: str, rho: float) -> str:
    """The clause of a near copy of the time."""
    return f"is almost the {name} column {whose} (rank correlation {rho:.3f})"


def correlation(values: Numbers, others: Numbers) -> Numbers:
    """Pearson correlation (p,) of columns with columns, both (n, p) with the same cells filled."""
    with np.errstate(all="ignore"):  # constants and overflows give NaN: no correlation
        counts = np.isfinite(values).sum(axis=0)
        x, y = (part - np.nansum(part, axis=0) / counts for part in (values, others))
        scale = np.sqrt(np.nansum(x * x, axis=0) * np.nansum(y * y, axis=0))
        return np.asarray(np.nansum(x * y, axis=0) / scale)


def rank_correlation(values: Numbers, others: Numbers) -> Numbers:
    """Spearman correlation (p,), ties at their mean rank; NaN for constants."""
    return correlation(*(pd.DataFrame(part).rank().to_numpy() for part in (values, others)))


def is_monotone(values: Numbers, time: Numbers, tried: int) -> bool:
    """Whether values (n,) never fall, or never rise, with the time, and not by chance.

    Chance puts values, with ties, into either order 2 times in the number of their arrangements.
    """
    if len(values) < LEAST_RANKED:
        return False
    counts = np.unique(values, return_counts=True)[1].astype(float)
    if likely_copies(1, log_arrangements(counts), tried) >= CHANCE:
        return False
    for sign in (1, -1):
        order = np.lexsort((sign * values, time))  # ties in the time: in the order that fits
        if (np.diff(sign * values[order]) >= 0).all():
            return True
    return False
