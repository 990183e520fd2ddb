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
    estimates, reference = record["estimates"], record["reference"]
    return render(
        "new_patient.html.j2",
        {
            "record": record,
            "headline": headline(estimates),
            "case": case(estimates),
            "reference": headline(reference["estimates"]) if reference else None,
            "reference_case": case(reference["estimates"]) if reference else None,
            "by_reference": by_months(reference["estimates"]) if reference else {},
            "without": [
                {
                    "modality": name,
                    "noun": noun_of(record, name),
                    "headline": headline(one),
                    "case": case(one),
                }
                for name, one in record["without_modality"].items()
            ],
            "chips": [(*STATES[one["state"]], one) for one in record["inputs"]],
            "flags": [one["sentence"] for one in record["remarks"] if one["flagged"]],
            "remarks": [one["sentence"] for one in record["remarks"] if not one["flagged"]],
            "lacking": lacking(record),
            "contributions": contributions(record),
            "undivided": undivided(record),
            "ranking": ranking(record),
            "difference": next(iter(record["performance"]["comparisons"]), None),
            "level": f"{100 * record['confidence']:g} %",
        },
    )


def index_of(records: Sequence[Record], names: Mapping[str, str]) -> str:
    """The list of all patients as HTML; `names`: of the files of their pages."""
    rows = [
        {
            "patient_id": record["patient_id"],
            "page": names[record["patient_id"]],
            "headline": headline(record["estimates"]),
            "case": case(record["estimates"]),
            "lacking": lacking(record),
            "flags": sum(one["flagged"] for one in record["remarks"]),
        }
        for record in records
    ]
    first = records[0]
    context = {"rows": rows, "record": first, "level": f"{100 * first['confidence']:g} %"}
    return render("new_patients.html.j2", context)


def headline(estimates: Record) -> Record | None:
    """The estimate at the last horizon, if there is any."""
    return estimates["horizons"][-1] if estimates["horizons"] else None


def case(estimates: Record) -> Record | None:
    """The second of two classes, where classes are estimated."""
    return estimates["classes"][1] if len(estimates["classes"]) == 2 else None


def by_months(estimates: Record) -> dict[float, Record]:
    """The estimates by their horizon."""
    return {one["months"]: one for one in estimates["horizons"]}


def lacking(record: Record) -> list[str]:
    """What the patient has not of their own, in words."""
    states = record["inputs"]
    return [wording.within_sentence(one["name"]) for one in states if one["state"] != "present"]


def noun_of(record: Record, modality: str) -> str:
    """What a modality is called within a sentence."""
    found = next(one["name"] for one in record["inputs"] if one["modality"] == modality)
    return wording.within_sentence(str(found))


def contributions(record: Record) -> list[dict[str, Any]]:
    """Those of modalities, then of their parts, with a key and the width of a bar in percent."""
    if record["contributions"] is None:
        return []
    rows = [
        {
            **one,
            "name": one["part"].replace("_", " ") if "part" in one else noun_of(record, own),
            "whole": kind == "modalities",
            "key": f"contributions/{kind}/{number}/log_hazard",
        }
        for kind in ("modalities", "parts")
        for number, one in enumerate(record["contributions"][kind])
        for own in [one["modality"]]
    ]
    most = max((abs(one["log_hazard"]) for one in rows), default=0.0) or 1.0
    return [{**one, "width": round(100 * abs(one["log_hazard"]) / most)} for one in rows]


def undivided(record: Record) -> list[str]:
    """The modalities that the estimate rests on and of which no contribution is known."""
    found = (record["contributions"] or {"modalities": []})["modalities"]
    known = {one["modality"] for one in found}
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
        {
            "label": row["label"],
            "key": f"performance/rows/{one}/metrics/{name}/found",
            "found": row["metrics"][name]["found"],
        }
        for one in order
        if name in (row := performance["rows"][one])["metrics"]
    ]
