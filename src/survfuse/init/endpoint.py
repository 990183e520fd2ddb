"""Which columns hold the outcome, in what unit and coding, as far as names and values show."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from survfuse.core.errors import UserInputError
from survfuse.init.columns import Column

# Words in the names of columns that hold an outcome, or what is known only with it.
OUTCOME_WORDS = {
    *("time", "event", "death", "dead", "died", "deceased", "alive", "vital", "survival"),
    *("survived", "follow", "followup", "fu", "futime", "censor", "censored", "censoring"),
    *("censorship", "progression", "progressed", "recurrence", "recurred", "relapse", "relapsed"),
    *("os", "pfs", "dfs", "dss", "pfi", "dfi", "rfs", "efs", "ttp", "outcome", "conversion"),
    *("converted", "converter", "dod", "date", "lastcontact", "contact", "train"),
}
ENDPOINTS = {
    "os": ("overall survival", "death from any cause"),
    "pfs": ("progression-free survival", "progression or death"),
    "pfi": ("progression-free interval", "progression"),
    "dfs": ("disease-free survival", "recurrence or death"),
    "dfi": ("disease-free interval", "recurrence"),
    "dss": ("disease-specific survival", "death from the disease"),
    "rfs": ("recurrence-free survival", "recurrence or death"),
    "efs": ("event-free survival", "the event"),
}
MEANINGS = {  # words that tell which endpoint a column is of
    **{"death": "os", "dead": "os", "died": "os", "deceased": "os", "vital": "os", "alive": "os"},
    **{"overall": "os", "progression": "pfs", "progressed": "pfs", "recurrence": "rfs"},
    **{"relapse": "rfs", "recurred": "rfs", **{name: name for name in ENDPOINTS}},
}
UNITS = {"month": "months", "months": "months", "mo": "months", "day": "days", "days": "days"}
UNITS |= {"year": "years", "years": "years", "yr": "years", "yrs": "years"}
OBSERVED = {"dead", "deceased", "died", "death", "event", "yes", "true", "progressed", "relapsed"}
OBSERVED |= {"recurred", "recurrence", "converted", "y", "t", "progression", "relapse", "demented"}
CENSORED = {
    "alive",
    "living",
    "censored",
    "no",
    "false",
    "n",
    "f",
    "stable",
    "none",
    "disease free",
}
CENSORED |= {"diseasefree", "lost", "event free", "not converted", "nonconverted"}
LONGEST_YEARS, LONGEST_MONTHS = 40, 400  # larger numbers than these are of the next smaller unit
LEAST_SCORE = 2


@dataclass(frozen=True)
class Endpoint:
    """The columns of a follow-up and their meaning; `notes`: what was guessed, for people."""

    name: str
    definition: str
    time: str
    unit: str
    event: str
    event_value: str
    censored_value: str
    notes: tuple[str, ...]


def is_outcome(column: Column) -> bool:
    """Whether the name of a column says that it holds an outcome, or is known only with it."""
    named = column.tokens & OUTCOME_WORDS or column.name.lower() == "status"
    return bool(named) or {"days", "to"} <= column.tokens


def find_endpoint(
    columns: Sequence[Column],
    time: str | None = None,
    event: str | None = None,
    event_value: str | None = None,
) -> Endpoint | None:
    """The follow-up that columns hold, those named by the person first; None where there is none.

    Raises UserInputError where a named column is not there, or which of its two values means the
    event cannot be told.
    """
    times = {column.name: score_of_time(column) for column in columns}
    events = {column.name: score_of_event(column) for column in columns}
    by_name = {column.name: column for column in columns}
    for named, option in ((time, "--time"), (event, "--event")):
        if named is not None and named not in by_name:
            raise UserInputError(f"{option} {named}: the patient sheet has no such column")
    scored = [
        (times[one] + events[other] + agreement(by_name[one], by_name[other]), one, other)
        for one in ([time] if time else times)
        for other in ([event] if event else events)
        if one != other
        and (time or times[one] >= LEAST_SCORE)
        and (event or events[other] >= LEAST_SCORE)
    ]
    if not scored:
        return None
    _, best_time, best_event = max(scored, key=lambda pair: pair[0])
    return described(by_name[best_time], by_name[best_event], event_value, sorted(scored)[:-1])


def described(
    time: Column, event: Column, event_value: str | None, others: Sequence[tuple[float, str, str]]
) -> Endpoint:
    """The endpoint of two columns."""
    unit, why_unit = unit_of(time)
    observed, censored, why_event = coding_of(event, event_value)
    meaning = meanings(event) or meanings(time)
    name, what = ENDPOINTS.get(next(iter(sorted(meaning)), ""), ("survival", "the event"))
    notes = [f"time: column {time.name}, {why_unit}", f"event: column {event.name}, {why_event}"]
    if "other_cause" in event.name.lower():
        notes.append("the event may be one of several competing ones")
    rest = {one for _, one, other in others if other == event.name} - {time.name}
    rest |= {other for _, one, other in others if one == time.name} - {event.name}
    if rest:
        notes.append(f"columns that could be meant instead: {', '.join(sorted(rest))}")
    return Endpoint(
        name, f"time from diagnosis to {what}", time.name, unit, event.name, observed, censored,
        tuple(notes),
    )  # fmt: skip


def score_of_time(column: Column) -> float:
    """How much a column looks like a follow-up time; below LEAST_SCORE it does not."""
    numbers, words = column.numbers, column.tokens
    if numbers is None or min(numbers) < 0 or len(set(numbers)) < 3:
        return 0.0
    score = 3.0 * bool(words & {"time", "survival", "futime", "duration", "fu"})
    score += 2.0 * bool(words & {"follow", "followup", "os", "overall"})
    score += 1.0 * bool(words & UNITS.keys()) + 1.0 * bool(words & MEANINGS.keys())
    score += 2.0 * (words <= UNITS.keys())
    score -= 10.0 * bool(words & {"age", "birth", "status", "start", "to"})
    if {"follow", "to"} <= words or {"followup", "to"} <= words:
        score += 10.0  # days_to_last_follow_up
    return score - 5.0 * (1 - len(column.filled) / len(column.cells))


def score_of_event(column: Column) -> float:
    """How much a column looks like an event indicator; below LEAST_SCORE it does not."""
    words, distinct = column.tokens, {text.lower() for text in column.distinct}
    if len(distinct) != 2:
        return 0.0
    score = 3.0 * bool(words & (OUTCOME_WORDS - {"time", "date", "os", "train", "contact"}))
    score += 2.0 * (column.name.lower() == "status") + 2.0 * bool(words & ENDPOINTS.keys())
    score += 1.0 * ("status" in words) + 1.0 * (words == {"event"})
    words_of_values = {spoken(text) for text in distinct}
    score += 2.0 * bool(words_of_values & {"dead", "deceased", "alive", "living", "censored"})
    if column.numbers is None and not words_of_values & (OBSERVED | CENSORED):
        score -= 2.0
    return score - 5.0 * (1 - len(column.filled) / len(column.cells))


def meanings(column: Column) -> set[str]:
    """The endpoints that the name of a column tells of."""
    return {MEANINGS[word] for word in column.tokens & MEANINGS.keys()}


def agreement(time: Column, event: Column) -> float:
    """Whether two columns tell of the same endpoint."""
    one, other = meanings(time), meanings(event)
    return 0.0 if not (one and other) else (2.0 if one & other else -4.0)


def unit_of(time: Column) -> tuple[str, str]:
    """The unit of a follow-up time, and why."""
    numbers = time.numbers or [0.0]
    median, longest = statistics.median(numbers), max(numbers)
    span = f"median {median:.4g}, longest {longest:.4g}"
    for word in sorted(time.tokens & UNITS.keys()):
        return UNITS[word], f"in {UNITS[word]} by its name ({span})"
    if longest > LONGEST_MONTHS:
        return (
            "days",
            f"taken for days, since the longest would be {longest / 12:.0f} years of months",
        )
    fractions = any(not number.is_integer() for number in numbers)
    if longest <= LONGEST_YEARS and fractions and median < 8:
        return "years", f"taken for years by its size ({span}); months, if follow-up was that short"
    return "months", f"taken for months by its size ({span})"


def spoken(text: str) -> str:
    """The word of a value such as 1:DECEASED or Not-Converted."""
    return re.sub(r"[_-]", " ", re.sub(r"^[01]\s*[:=-]\s*", "", text.strip().lower())).strip()


def coding_of(event: Column, event_value: str | None = None) -> tuple[str, str, str]:
    """The value of an observed event, that of a censored one, and why.

    Raises UserInputError where neither name nor values tell.
    """
    values = event.distinct
    if event_value is not None:
        if event_value not in values:
            raise UserInputError(f"--event-value {event_value}: no cell of {event.name} says so")
        rest = [value for value in values if value != event_value]
        if len(rest) != 1:
            raise UserInputError(
                f"column {event.name} has {len(values)} values, an event indicator two; make one "
                "of them, e.g. by counting other events as censored at their time"
            )
        return event_value, rest[0], "as you said"
    if len(values) == 2:
        for observed, censored in (values, values[::-1]):
            if spoken(observed) in OBSERVED and spoken(censored) not in OBSERVED:
                return backwards(event, observed, censored, f"{observed} means observed")
            if spoken(censored) in CENSORED and spoken(observed) not in CENSORED:
                return backwards(event, observed, censored, f"{censored} means censored")
        numbers = sorted(values, key=lambda text: float(text) if event.numbers else 0)
        if event.numbers and set(event.numbers) in ({0.0, 1.0}, {1.0, 2.0}):
            low, high = numbers
            return backwards(event, high, low, f"{high} means observed")
    raise UserInputError(
        f"column {event.name}: which value means that the event was observed cannot be told from "
        f"{', '.join(values[:5])}; say --event-value VALUE"
    )


def backwards(event: Column, observed: str, censored: str, why: str) -> tuple[str, str, str]:
    """The coding, turned where the name of the column asks for the opposite of an event."""
    opposite = event.tokens & {"alive", "censor", "censored", "censoring", "censorship", "survived"}
    is_word = spoken(observed) in OBSERVED - {"yes", "true", "y", "t"}
    if opposite and not is_word:
        why = f"whose name says the opposite of an event, so that {censored} means observed"
        return censored, observed, why
    return observed, censored, why
