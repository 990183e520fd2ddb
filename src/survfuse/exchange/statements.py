"""What a record of a prediction states in numbers, the same for every form of exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID, uuid5

Record = Mapping[str, Any]
LEAST = 0.01  # percent
OURS = UUID("8c9f3f0e-5a0b-5d0e-9d53-0d2f6d1d6a52")  # under which all identifiers are derived


@dataclass(frozen=True)
class Statement:
    """A probability in percent, with its interval.

    code: short and stable, of one statement within a record. outcome: what is probable. months:
    within which, None of what is so today. interval: what `low_percent` and `high_percent` are.
    """

    code: str
    outcome: str
    months: float | None
    percent: float
    low_percent: float
    high_percent: float
    interval: str

    @property
    def within(self) -> str:
        """The outcome with its horizon."""
        return (
            self.outcome if self.months is None else f"{self.outcome} within {self.months:g} months"
        )


def statements(record: Record, estimates: Record) -> list[Statement]:
    """Those of `estimates`, which are of the row that predicts or of the reference."""
    level = f"{100 * record['confidence']:g} % interval of the mean of such patients"
    happened = record["predicted"]["happened"]
    found = [
        Statement(
            code=f"risk-{one['months']:g}",
            outcome=happened,
            months=one["months"],
            percent=percent(one["risk"]),
            low_percent=percent(one["low"]),
            high_percent=percent(one["high"]),
            interval=level,
        )
        for one in estimates["horizons"]
    ]
    found += [
        Statement(
            code=f"class-{number}",
            outcome=one["name"],
            months=None,
            percent=percent(one["probability"]),
            low_percent=percent(one["lowest_of_models"]),
            high_percent=percent(one["highest_of_models"]),
            interval="range of the models",
        )
        for number, one in enumerate(estimates["classes"])
    ]
    return found


def percent(probability: float) -> float:
    """In percent, to two decimals; what is neither 0 nor 1 is not rounded to either."""
    rounded = round(100 * probability, 2)
    return min(max(rounded, LEAST), 100 - LEAST) if 0 < probability < 1 else rounded


def method(record: Record, label: str) -> str:
    """What estimated."""
    package = record["package"]
    return f"{label}, package {package['name']} of survfuse {package['survfuse']}"


def notes(record: Record) -> list[str]:
    """What whoever reads a number must read too, the use first."""
    package = record["package"]
    found = [record["use"]]
    if package["simulated"]:
        found.append("The models were fitted on simulated patients.")
    if package["untrained"]:
        found.append("Slides were embedded by a network that was not trained.")
    flagged = [one["sentence"] for one in record["remarks"] if one["flagged"]]
    found += [f"Flagged: {sentence}" for sentence in flagged]
    found += [one["sentence"] for one in record["remarks"] if not one["flagged"]]
    lacking = [f"{one['name']}: {one['state']}" for one in record["inputs"] if lacks(one)]
    return [*found, *([f"Inputs: {'; '.join(lacking)}."] if lacking else [])]


def lacks(one: Record) -> bool:
    """Whether an input is not the patient's own."""
    return bool(one["state"] != "present")


def stable_uuid(record: Record, what: str) -> UUID:
    """Of a part of an export: the same for the same package, patient and date."""
    of = (record["package"]["sha256"], record["patient_id"], record["predicted_on"], what)
    return uuid5(OURS, "\n".join(of))


def predicted_on(record: Record) -> date:
    """The day of the prediction."""
    return date.fromisoformat(record["predicted_on"])
