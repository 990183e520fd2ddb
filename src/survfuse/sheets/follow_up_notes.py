"""What is unusual about follow-up times and events as they were read."""

from __future__ import annotations

import pandas as pd

from survfuse.config.cohort import MONTHS_PER, CohortConfig
from survfuse.sheets.endpoint import notes_of_endpoint
from survfuse.sheets.problems import Note
from survfuse.sheets.text_table import Sheet

LONG_MEDIAN, LONG_LAST = 240.0, 600.0  # months; more looks like days taken for months or years
SHORT_DAYS = (90.0, 400.0)  # median and last day; less looks like months taken for days
SHORT_LAST = 15.0  # months; less looks like years taken for months
LEAST_PATIENTS = 10
MANY_EVENTS = 0.98  # share of the patients


def notes_of_outcomes(sheet: Sheet, outcomes: pd.DataFrame, config: CohortConfig) -> list[Note]:
    """Notes of the columns of the follow-up, and of the times and events that were read there."""
    return [
        *notes_of_endpoint(sheet, config.endpoint),
        *notes_of_follow_up(sheet, outcomes, config),
    ]


def notes_of_follow_up(sheet: Sheet, outcomes: pd.DataFrame, config: CohortConfig) -> list[Note]:
    """Notes of times that suggest another unit, and of events that nearly nobody or everybody has.

    `outcomes` has `time_months` and `event` of the rows without a problem.
    """
    if len(outcomes) < LEAST_PATIENTS:
        return []
    found = []
    unit = config.endpoint.time_unit
    if other := other_unit(outcomes["time_months"], unit):
        median, last = outcomes["time_months"].median(), outcomes["time_months"].max()
        sentence = (
            f"The median of the follow-up times is {spoken(median)} and the longest "
            f"{spoken(last)}, read as {unit}; is their unit {other}?"
        )
        remedy = f"if so, set cohort.endpoint.time_unit to {other} (now {unit})"
        found.append(Note(str(sheet.path), sentence, None, remedy))
    share = float(outcomes["event"].mean())
    if share > MANY_EVENTS:
        code = config.endpoint.event_value
        sentence = f"Nearly everybody had the event; is {code} the code of an event?"
        remedy = "see cohort.endpoint.event_value and censored_value"
        found.append(Note(str(sheet.path), sentence, None, remedy))
    return found


def other_unit(months: pd.Series[float], unit: str) -> str | None:
    """The unit that times more probably have than the one they were read in, or None."""
    median, last = float(months.median()), float(months.max())
    if unit != "days" and (median > LONG_MEDIAN or last > LONG_LAST):
        return "months" if unit == "years" else "days"
    if unit == "days":
        in_days = (median / MONTHS_PER["days"], last / MONTHS_PER["days"])
        return "months" if in_days[0] < SHORT_DAYS[0] and in_days[1] < SHORT_DAYS[1] else None
    return "years" if unit == "months" and last < SHORT_LAST else None


def spoken(months: float) -> str:
    """A time in words, in years where there are some."""
    return f"{months / 12:.0f} years" if months >= 24 else f"{months:.1f} months"
