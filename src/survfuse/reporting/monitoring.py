"""The page of periods of new patients beside the study, made of the record of `monitor`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from survfuse.core.files import write_text
from survfuse.modalities.registry import MODALITIES
from survfuse.reporting import wording
from survfuse.reporting.render import WordingError, render

Record = Mapping[str, Any]
KINDS = {  # what a comparison of each kind is about, before its name
    "availability": "patients with",
    "unusual": "flagged as unlike the study:",
    "agreement": "flagged as not going together:",
    "covariate": "distribution of",
}


def write_monitoring_page(record: Record, path: Path) -> None:
    """Write the page. Raises WordingError where it breaks the rules of wording."""
    html = render("monitoring.html.j2", {"record": record, "periods": periods(record)})
    if faults := wording.lint(html, ()):
        raise WordingError(
            f"{path.name}: the page says what no page may say, so it is not written; please report "
            f"this as a defect: {'; '.join(faults)}"
        )
    write_text(path, html)


def periods(record: Record) -> list[dict[str, Any]]:
    """Each period with its comparisons, those with an alarm first."""
    return [
        {
            **period,
            "rows": [
                row_of(one)
                for one in sorted(period["comparisons"], key=lambda one: one["adjusted_p"])
            ],
            "alarms": sum(one["alarm"] for one in period["comparisons"]),
            "differs": [one for one in period["observed"] if not holds_one(one["ratio"])],
        }
        for period in record["periods"]
    ]


def row_of(one: Record) -> dict[str, Any]:
    """A comparison in words."""
    return {**one, "about": f"{KINDS[one['kind']]} {noun_of(one)}"}


def noun_of(one: Record) -> str:
    """What a comparison is about, within a sentence."""
    if one["kind"] == "covariate":
        return str(one["name"])
    return " and ".join(MODALITIES[name].noun for name in one["name"].split("+"))


def holds_one(ratio: Record) -> bool:
    """Whether as many had the event as were expected, as far as the interval tells."""
    return ratio["low"] is None or ratio["high"] is None or ratio["low"] <= 1 <= ratio["high"]
