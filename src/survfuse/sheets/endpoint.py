"""From the columns of the patient sheet to follow-up time in months and event indicator."""

from __future__ import annotations

import math
import re

import pandas as pd

from survfuse.config.cohort import MONTHS_PER, Endpoint
from survfuse.sheets.problems import Note, Problem, counted
from survfuse.sheets.text_table import Sheet, as_number, cells_of

LONGEST_MONTHS = 1200.0  # a century of follow-up is a wrong unit, not a patient
FIRST_DAY_MONTHS = 0.5 * MONTHS_PER["days"]  # half a day, for an event at time 0
# Columns that say in their name that they hold the opposite of an event.
REVERSED = re.compile(r"censor|(^|_)(alive|living)($|_)", re.IGNORECASE)

Fault = tuple[str, str]  # what is wrong, and the remedy


def follow_up_columns(endpoint: Endpoint) -> tuple[str, str]:
    """The columns of the patient sheet that hold the follow-up."""
    return endpoint.interval or (endpoint.time, endpoint.event)


def parse_follow_up(sheet: Sheet, endpoint: Endpoint) -> tuple[pd.DataFrame, list[Problem]]:
    """Follow-up by spreadsheet row, and the problems of its columns.

    Returns a frame indexed like the sheet with `time_months` (float, NaN where there is a problem)
    and `event` (1 = observed, 0 = censored; -1 where there is a problem).
    """
    if endpoint.interval is not None:
        return parse_intervals(sheet, endpoint.interval, endpoint.time_unit)
    events, wrong = parse_events(sheet, endpoint)
    months, problems = parse_times(sheet, endpoint.time, endpoint.time_unit, events)
    outcomes = pd.DataFrame({"time_months": months, "event": events}, index=sheet.rows.index)
    return outcomes, problems + wrong


def parse_events(sheet: Sheet, endpoint: Endpoint) -> tuple[list[int], list[Problem]]:
    """1, 0 or -1 (problem) per row: numbers are compared as numbers, words without case."""
    codes = {canonical(endpoint.censored_value): 0, canonical(endpoint.event_value): 1}
    wrong = None
    if len(codes) < 2:
        wrong = ("event_value", "is the same as censored_value", "use two different values")
    elif any(canonical(value) in codes for value in endpoint.competing_values):
        wrong = ("competing_values", "lists event_value or censored_value", "list other values")
    elif REVERSED.search(endpoint.event) and "event_value" not in endpoint.model_fields_set:
        fault = f"is {endpoint.event_value}, but the column {endpoint.event} is named as if that "
        fault += "meant censored"
        remedy = "set event_value: 0 and censored_value: 1, or set event_value: 1 if it is right"
        wrong = ("event_value", fault, remedy)
    if wrong:
        key, fault, remedy = wrong
        where = f"cohort.endpoint.{key}"
        return [-1] * len(sheet.rows), [Problem("configuration", None, where, None, fault, remedy)]
    codes |= {canonical(value): 0 for value in endpoint.competing_values}
    spelling = f"write {endpoint.event_value} (event) or {endpoint.censored_value} (censored)"
    events, problems = [], []
    for row, text in cells_of(sheet, endpoint.event):
        events.append(codes.get(canonical(text), -1))
        if events[-1] < 0:
            fault = "is neither event nor censored" if text else "is empty"
            remedy = f"{spelling}, or set cohort.endpoint"
            if text and as_number(text) is not None:
                remedy += "; a competing event: name it in cohort.endpoint.competing_values"
            problems.append(sheet.problem(row, endpoint.event, fault, remedy, text))
    return events, problems


def canonical(value: int | str) -> float | str:
    """The value as a number where it is one, else as a word without case: 1 = "1" = "1.0"."""
    text = str(value).strip()
    parsed = as_number(text)
    return text.casefold() if parsed is None else parsed


def parse_times(
    sheet: Sheet, column: str, unit: str, events: list[int]
) -> tuple[list[float], list[Problem]]:
    """Months per row, NaN where the cell is not a plausible positive time.

    An event at time 0 is one of the first day. Only who is censored then has no follow-up.
    """
    months, problems = [], []
    for (row, text), event in zip(cells_of(sheet, column), events, strict=True):
        time, fault = parse_time(text, unit, zero_allowed=event != 0)
        months.append(FIRST_DAY_MONTHS if time == 0 else time)
        if fault:
            problems.append(sheet.problem(row, column, *fault, text))
    return months, problems


def parse_time(text: str, unit: str, zero_allowed: bool = False) -> tuple[float, Fault | None]:
    """A plausible time in months, or NaN and what is wrong with the text."""
    time = as_number(text)
    spelling = f"write the time in {unit}, with a point as decimal mark"
    if time is None:
        return math.nan, ("is not a number" if text else "is empty", spelling)
    months = time * MONTHS_PER[unit]
    if not math.isfinite(months):
        return math.nan, ("is not finite", spelling)
    if months < 0:
        return math.nan, ("is negative", "check the order of the two dates")
    if months == 0 and not zero_allowed:
        remedy = "a patient censored at 0: remove patients without follow-up; events are kept"
        return math.nan, ("is not positive", remedy)
    if months > LONGEST_MONTHS:
        remedy = f"correct it, or set cohort.endpoint.time_unit (now {unit})"
        return math.nan, (f"is {months / 12:.0f} years", remedy)
    return months, None


def notes_of_endpoint(sheet: Sheet, endpoint: Endpoint) -> list[Note]:
    """Notes of events at time 0 and of competing events, of columns that the sheet has."""
    if endpoint.interval is not None or not {endpoint.time, endpoint.event} <= {*sheet.rows}:
        return []
    found = []
    codes = [canonical(text) for text in sheet.rows[endpoint.event]]
    times = [as_number(text) for text in sheet.rows[endpoint.time]]
    event = canonical(endpoint.event_value)
    if at_once := sum(t == 0 and code == event for t, code in zip(times, codes, strict=True)):
        sentence = "Events at time 0 count as after half a day."
        remedy = "write the time, where it is known; do not remove the earliest events"
        found.append(Note(str(sheet.path), sentence, counted(at_once, "patient"), remedy))
    competing = {canonical(value) for value in endpoint.competing_values}
    if competing and (number := sum(code in competing for code in codes)):
        sentence = (
            "Competing events count as censored at their time. Models estimate the "
            "cause-specific hazard; survival probabilities are those that would hold without the "
            "competing events, so that 1 minus them overstates the risk that patients really have."
        )
        remedy = "see docs/explanation/methods.md; for the risk itself, make the endpoint composite"
        found.append(Note(str(sheet.path), sentence, counted(number, "patient"), remedy))
    return found


def parse_intervals(
    sheet: Sheet, columns: tuple[str, str], unit: str
) -> tuple[pd.DataFrame, list[Problem]]:
    """Outcomes of interval-censored events: midpoint of lower and upper, or censored at lower.

    The lower column is the last time known free of the event, the upper the first time known with
    it (empty = censored). Lower may be 0 only where an event follows.
    """
    lower_column, upper_column = columns
    months, events, problems = [], [], []
    uppers = sheet.rows[upper_column].tolist()
    for (row, lower_text), upper_text in zip(cells_of(sheet, lower_column), uppers, strict=True):
        observed = bool(upper_text)
        lower, fault = parse_time(lower_text, unit, zero_allowed=observed)
        if fault:
            problems.append(sheet.problem(row, lower_column, *fault, lower_text))
        upper, fault = parse_time(upper_text, unit) if observed else (lower, None)
        if upper < lower:
            fault = (f"is before {lower_column}", "swap or correct the two times")
        if fault:
            problems.append(sheet.problem(row, upper_column, *fault, upper_text))
        months.append((lower + upper) / 2)
        events.append(int(observed))
    outcomes = pd.DataFrame({"time_months": months, "event": events}, index=sheet.rows.index)
    return outcomes, problems
