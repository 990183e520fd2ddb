"""The pages of new patients, each made of the record of the prediction and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from survfuse.core.files import write_text
from survfuse.reporting import wording
from survfuse.reporting.render import WordingError, render

Record = Mapping[str, Any]
STATES = {  # what pages call a state, and how they show it
    "present": ("present", ""),
    "missing": ("missing", "absent"),
    "unusable": ("not usable", "set-aside"),
    "synthetic": ("synthetic", "synthetic"),
}


def write_pages(records: Sequence[Record], pages: Mapping[str, Path], index: Path) -> None:
    """Write a page of each patient to `pages` (by id), and the list of all to `index`.

    Raises WordingError, before anything is written, where a page breaks the rules of wording.
    """
    made = {pages[record["patient_id"]]: page_of(record) for record in records}
    made[index] = index_of(records, {who: path.name for who, path in pages.items()})
    for path, html in made.items():
        own = [record["label"] for record in records]
        if faults := wording.lint(html, own):
            raise WordingError(
                f"{path.name}: the page says what no page may say, so it is not written; please "
                f"report this as a defect: {'; '.join(faults)}"
            )
    for path, html in made.items():
        write_text(path, html)


def page_of(record: Record) -> str:
    """The page of one patient as HTML."""
    horizons = record["estimates"]["horizons"]
    classes = record["estimates"]["classes"]
    last = horizons[-1] if horizons else None
    case = classes[1] if len(classes) == 2 else None
    filled = last["risk"] if last else case["probability"] if case else None
    return render(
        "new_patient.html.j2",
        {
            "record": record,
            "headline": last,
            "case": case,
            "filled": None if filled is None else round(100 * filled),
            "beside": same_horizon(record["beside"], last),
            "other_horizons": by_months(record["beside"]),
            "without": [
                (wording.within_sentence(noun_of(record, name)), same_horizon(one, last))
                for name, one in in_estimates(record["without"]).items()
            ],
            "chips": [(*STATES[one["state"]], one) for one in record["inputs"]],
            "flags": [one["sentence"] for one in record["remarks"] if one["flagged"]],
            "remarks": [one["sentence"] for one in record["remarks"] if not one["flagged"]],
            "lacking": [
                wording.within_sentence(one["name"])
                for one in record["inputs"]
                if one["state"] != "present"
            ],
            "moved": moved(record),
            "undivided": undivided(record),
            "ranking": ranking(record),
            "difference": next(iter(record["performance"]["comparisons"]), None),
            "level": f"{100 * record['confidence']:g} %",
        },
    )


def index_of(records: Sequence[Record], names: Mapping[str, str]) -> str:
    """The list of all patients as HTML."""
    rows = []
    for record in records:
        horizons, classes = record["estimates"]["horizons"], record["estimates"]["classes"]
        rows.append(
            {
                "patient_id": record["patient_id"],
                "page": names[record["patient_id"]],
                "last": horizons[-1] if horizons else None,
                "case": classes[1] if len(classes) == 2 else None,
                "lacking": [
                    wording.within_sentence(one["name"])
                    for one in record["inputs"]
                    if one["state"] != "present"
                ],
                "flags": sum(one["flagged"] for one in record["remarks"]),
            }
        )
    first = records[0]
    context = {"rows": rows, "record": first, "level": f"{100 * first['confidence']:g} %"}
    return render("new_patients.html.j2", context)


def in_estimates(without: Mapping[str, Any]) -> dict[str, Any]:
    """The estimates without a modality, as those of a row beside."""
    return {name: {"estimates": one} for name, one in without.items()}


def same_horizon(beside: Record | None, last: Record | None) -> Record | None:
    """The estimate of a row at the horizon of the headline, if it has one."""
    return by_months(beside).get(last["months"]) if last else None


def by_months(beside: Record | None) -> dict[float, Record]:
    """The estimates of a row by their horizon."""
    return {one["months"]: one for one in beside["estimates"]["horizons"]} if beside else {}


def noun_of(record: Record, modality: str) -> str:
    """What a modality is called."""
    found = next(one["name"] for one in record["inputs"] if one["modality"] == modality)
    return str(found)


def moved(record: Record) -> list[dict[str, Any]]:
    """What moved the estimate: modalities, then parts, with the width of their bars in percent."""
    if record["moved"] is None:
        return []
    rows = [
        {**one, "name": noun_of(record, one["modality"]), "whole": True}
        for one in record["moved"]["modalities"]
    ]
    rows += [
        {**one, "name": one["part"].replace("_", " "), "whole": False}
        for one in record["moved"]["parts"]
    ]
    most = max((abs(one["log_hazard"]) for one in rows), default=0.0) or 1.0
    return [{**one, "width": round(100 * abs(one["log_hazard"]) / most)} for one in rows]


def undivided(record: Record) -> list[str]:
    """The modalities that the estimate rests on and of which no contribution is known."""
    known = {one["modality"] for one in (record["moved"] or {"modalities": []})["modalities"]}
    return [
        wording.within_sentence(one["name"])
        for one in record["inputs"]
        if one["state"] in ("present", "synthetic") and one["modality"] not in known
    ]


def ranking(record: Record) -> list[dict[str, Any]]:
    """The ranking metric of the row and of the reference, as the study found it."""
    performance = record["performance"]
    name = performance["ranking"]["name"]
    order = [record["row"], *(one for one in performance["rows"] if one != record["row"])]
    return [
        {"label": row["label"], "row": one, "found": row["metrics"][name]["found"]}
        for one in order
        if name in (row := performance["rows"][one])["metrics"]
    ]
