"""What the pages and documents of a new patient print, from the record of the prediction alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from survfuse.core.event_words import UNKNOWN
from survfuse.core.messages import marked
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import MODALITIES, PATIENT_TABLE
from survfuse.reporting import wording
from survfuse.reporting.language import Language
from survfuse.reporting.new_patients.numbers import Numbers

Record = Mapping[str, Any]
STATES = {  # what pages call a state, and how they show it
    "present": (marked("present"), ""),
    "missing": (marked("missing"), "absent"),
    "unusable": (marked("not usable"), "set-aside"),
    "synthetic": (marked("synthetic"), "synthetic"),
}
NAMED = ("name", "definition")  # of what is predicted; a study's own words stay as they are
MOST = 99  # of anything that a page lists


@dataclass(frozen=True)
class Room:
    """How much the first page of a document has room for; the rest stands on the next ones.

    dense: whether it is set in smaller letters.
    """

    flags: int = MOST
    contributions: int = MOST
    dense: bool = False


EVERYTHING = Room()


def content(record: Record, language: Language, room: Room = EVERYTHING) -> dict[str, Any]:
    """What the templates of one patient print."""
    estimates, reference = record["estimates"], record["reference"]
    flagged = [remark(one, language) for one in record["remarks"] if one["flagged"]]
    return {
        **shared(record, language),
        "study": record["performance"],
        "headline": headline(estimates),
        "at": f"estimates/horizons/{len(estimates['horizons']) - 1}",
        "case": case(estimates),
        "reference": headline(reference["estimates"]) if reference else None,
        "reference_case": case(reference["estimates"]) if reference else None,
        "by_reference": by_months(reference["estimates"]) if reference else {},
        "reference_reads": reads(record, language, record["performance"]["reference"]),
        "without": without(record, language),
        "chips": [chip(one, language) for one in record["inputs"]],
        "flags": flagged,
        "shown_flags": room.flags,
        "remarks": [remark(one, language) for one in record["remarks"] if not one["flagged"]],
        "lacking": lacking(record, language),
        "contributions": contributions(record, language),
        "shown_contributions": room.contributions,
        "dense": room.dense,
        "undivided": undivided(record, language),
        "ranking": ranking(record, Numbers(language)),
        "difference": difference(record),
    }


def shared(record: Record, language: Language) -> dict[str, Any]:
    """What pages of one and of many patients print alike."""
    package = record["package"]
    title = f" ({package['title']})" if package["title"] else ""
    return {
        "record": record,
        "patient": verbatim(record["patient_id"]),
        "package": verbatim(f"{package['name']}{title}"),
        "row_label": verbatim(record["label"]),
        "predicted": {key: language.gettext(record["predicted"][key]) for key in NAMED},
        "happened": happened(record, language),
        "percent": language.short(100 * record["confidence"]),
    }


def verbatim(text: str) -> Markup:
    """Words of a study, which the rules of wording leave alone."""
    return Markup("<span data-verbatim>{}</span>").format(text)


def remark(found: Record, language: Language) -> str:
    """A remark of a record as a sentence."""
    return wording.capitalize_first(language.say(found["message"]))


def happened(record: Record, language: Language) -> Markup:
    """What patients with the event have done; other words of a study are quoted as they are."""
    said = record["predicted"]["happened"]
    if language.in_source or language.knows(said):
        return verbatim(language.gettext(said))
    return quoted(UNKNOWN, said, language)


def quoted(known: str, own: str, language: Language) -> Markup:
    """Words of a study that no catalogue has, after words of the program for the same."""
    said = language.gettext(marked("%(known)s (“%(own)s”)"))
    return verbatim(said % {"known": language.gettext(known), "own": own})


def headline(estimates: Record) -> Record | None:
    """The estimate at the last horizon, if there is any."""
    return estimates["horizons"][-1] if estimates["horizons"] else None


def case(estimates: Record) -> Record | None:
    """The second of two classes, where classes are estimated."""
    return estimates["classes"][1] if len(estimates["classes"]) == 2 else None


def by_months(estimates: Record) -> dict[float, Record]:
    """The estimates by their horizon."""
    return {one["months"]: one for one in estimates["horizons"]}


def noun(name: str, language: Language) -> str:
    """What a modality is called within a sentence."""
    return language.gettext(MODALITIES[name].noun)


def reads(record: Record, language: Language, row: str) -> str:
    """What a row of the study reads, in words."""
    names = record["performance"]["rows"][row]["modalities"]
    if names == [PATIENT_TABLE]:
        return language.gettext(marked("clinical data alone"))
    return language.listed([noun(name, language) for name in names])


def without(record: Record, language: Language) -> list[dict[str, Any]]:
    """The estimates as if a modality were missing, with their places in the record."""
    return [
        {
            "noun": noun(name, language),
            "headline": headline(one),
            "case": case(one),
            "key": f"without_modality/{name}",
        }
        for name, one in record["without_modality"].items()
    ]


def chip(found: Record, language: Language) -> dict[str, Any]:
    """One input, whether it is there, and why not."""
    state, css = STATES[found["state"]]
    code, _, _ = (found["reason"] or "").partition(":")
    known = modality(found["modality"]).faults.get(code)
    reason = language.gettext(known) if known else found["reason"]
    if found["state"] == "synthetic":
        source = noun(MODALITIES[found["modality"]].made_from, language)
        reason = language.gettext(marked("made by the program from: %(source)s")) % {
            "source": source
        }
    return {
        "state": language.gettext(state),
        "css": css,
        "noun": wording.capitalize_first(noun(found["modality"], language)),
        "reason": reason,
        "own": found["reason"] is not None and known is None,
    }


def lacking(record: Record, language: Language) -> list[str]:
    """What the patient has not of their own, in words."""
    states = record["inputs"]
    return [noun(one["modality"], language) for one in states if one["state"] != "present"]


def contributions(record: Record, language: Language) -> list[dict[str, Any]]:
    """Those of modalities, then of their parts, with a key and the width of a bar in percent."""
    if record["contributions"] is None:
        return []
    rows = [
        {
            **one,
            "name": one["part"].replace("_", " ") if "part" in one else noun(own, language),
            "whole": kind == "modalities",
            "key": f"contributions/{kind}/{number}/log_hazard",
        }
        for kind in ("modalities", "parts")
        for number, one in enumerate(record["contributions"][kind])
        for own in [one["modality"]]
    ]
    most = max((abs(one["log_hazard"]) for one in rows), default=0.0) or 1.0
    return [{**one, "width": round(100 * abs(one["log_hazard"]) / most)} for one in rows]


def undivided(record: Record, language: Language) -> list[str]:
    """The modalities that the estimate rests on and of which no contribution is known."""
    found = (record["contributions"] or {"modalities": []})["modalities"]
    known = {one["modality"] for one in found}
    return [
        noun(one["modality"], language)
        for one in record["inputs"]
        if one["state"] in ("present", "synthetic") and one["modality"] not in known
    ]


def ranking(record: Record, numbers: Numbers) -> list[dict[str, Any]]:
    """The ranking metric of the row and of the reference, as the study found it."""
    performance = record["performance"]
    name = performance["ranking"]["name"]
    order = [record["row"], *(one for one in performance["rows"] if one != record["row"])]
    shown = []
    for one in order:
        row, key = performance["rows"][one], f"performance/rows/{one}/metrics/{name}/found"
        found = row["metrics"].get(name, {}).get("found")
        if found and found["value"] is not None:
            shown.append(
                {
                    "label": verbatim(row["label"]),
                    "pairs": numbers.frequency(found["value"], f"{key}/value"),
                    "value": numbers.number(found["value"], f"{key}/value"),
                    "limits": numbers.interval(found, key),
                }
            )
    return shown


def difference(record: Record) -> Record | None:
    """By how much the row ranks better than the reference, where that is known, with its place."""
    found: Sequence[Record] = record["performance"]["comparisons"]
    known = (
        {"few": False, **one, "key": f"performance/comparisons/{number}"}
        for number, one in enumerate(found)
        if one["difference"] is not None
    )
    return next(known, None)
