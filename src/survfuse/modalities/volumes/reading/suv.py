"""Standardised uptake values of PET from the tags of DICOM, where those allow it.

SUV by body weight is activity per volume over injected activity per body weight, the injected
activity decayed to the time that the images are decayed to (QIBA FDG-PET/CT profile 1.13). No value
of a tag that tells of a day is repeated in a message.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

WEIGHT_KG = (2.0, 400.0)
DOSE_BQ = (1e6, 1e10)  # of one injection into a human
HALF_LIFE_S = (60.0, 1e6)  # rubidium-82: 75 s; zirconium-89: 282,000 s
MOST_HALF_LIVES = 10  # from injection to scan; after them a thousandth is left
LONGEST = timedelta(hours=12)  # from injection to scan
DAY, SAME_TIME = timedelta(days=1), timedelta(minutes=1)
DOSE = "RadiopharmaceuticalInformationSequence"
TAGS = (
    *("Units", "SUVType", "DecayCorrection", "PatientWeight", DOSE),
    *("SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime"),
    *("RadionuclideTotalDose", "RadionuclideHalfLife"),
    *("RadiopharmaceuticalStartTime", "RadiopharmaceuticalStartDateTime"),
)


def uptake(slices: Sequence[Dataset]) -> tuple[float, str, str]:
    """What to multiply the stored values of a series with, their unit then, and what to say.

    The unit is SUV, Bq/ml, or empty where it is another one or not known.
    """
    for name in ("Units", "DecayCorrection"):
        if len({text(tags, name) for tags in slices}) > 1:
            return 1.0, "", f"no SUV: slices differ in {name}"
    units = text(slices[0], "Units")
    if units == "GML":  # SUV already
        kind = text(slices[0], "SUVType") or "BW"
        if kind == "BW":
            return 1.0, "SUV", ""
        return 1.0, "", f"no SUV by body weight: the stored values are SUV by {kind[:16]}"
    factor, why = suv_factor(slices)
    if factor is not None:
        return factor, "SUV", ""
    return 1.0, "Bq/ml" if units == "BQML" else "", f"no SUV: {why}"


def suv_factor(slices: Sequence[Dataset]) -> tuple[float | None, str]:
    """What to multiply Bq/ml with to get SUV (g/ml), or None and why not."""
    first = slices[0]
    if text(first, "Units") != "BQML":
        return None, f"units are {text(first, 'Units')[:16] or 'not told'}, not Bq/ml"
    weight = number(first.get("PatientWeight"))
    doses = first.get(DOSE) or []
    dose: Dataset | Mapping[str, Any] = doses[0] if doses else {}
    activity = number(dose.get("RadionuclideTotalDose"))
    half_life_s = number(dose.get("RadionuclideHalfLife"))
    if weight is None or not WEIGHT_KG[0] <= weight <= WEIGHT_KG[1]:
        return None, "the body weight is missing or implausible"
    if not activity or not half_life_s:
        return None, "the injected dose or its half-life is missing"
    if not DOSE_BQ[0] <= activity <= DOSE_BQ[1]:
        return None, "the injected dose is implausible in Bq (is it in MBq?)"
    if not HALF_LIFE_S[0] <= half_life_s <= HALF_LIFE_S[1]:
        return None, "the half-life is implausible in seconds"
    correction = text(first, "DecayCorrection")
    if correction == "ADMIN":  # images are decayed to the injection already
        return 1000 * weight / activity, ""
    if correction != "START":
        return None, f"decay correction is {correction[:16] or 'not told'}, neither START nor ADMIN"
    waited, why = seconds_waited(slices, dose)
    if waited is None:
        return None, why
    if waited > MOST_HALF_LIVES * half_life_s:
        return None, "hardly any of the dose was left at the scan (is the half-life in seconds?)"
    return 1000 * weight / (activity * math.exp(-math.log(2) * waited / half_life_s)), ""


def seconds_waited(
    slices: Sequence[Dataset], dose: Dataset | Mapping[str, Any]
) -> tuple[float | None, str]:
    """Seconds from injection to the start of the scan, or None and why not.

    The start is the series time, or the earliest acquisition where the series time is later
    (series that were made again by post-processing). Days count where they are told of both; else
    the scan is taken to begin within a day of the injection, over midnight if need be.
    """
    whole = text(dose, "RadiopharmaceuticalStartDateTime")
    clocks = moment(text(dose, "RadiopharmaceuticalStartTime")), moment(whole[8:])
    told = [clock for clock in clocks if clock is not None]
    if not told:
        return None, "the times of injection and scan are missing or implausible"
    if abs(told[0] - told[-1]) > SAME_TIME:
        return None, "the tags give two times of injection"
    day = day_of(whole[:8])
    waits = []
    for tags, kind in [(slices[0], "Series"), *((tags, "Acquisition") for tags in slices)]:
        clock = moment(text(tags, f"{kind}Time"))
        if clock is None:
            continue
        days = (day_of(text(tags, f"{name}Date")) for name in (kind, "Acquisition", "Series"))
        scanned = next((found for found in days if found is not None), None)
        if day is None or scanned is None:
            waits.append((clock - told[0]) % DAY)
        else:
            waits.append(clock - told[0] + (scanned - day))
    if not waits:
        return None, "the times of injection and scan are missing or implausible"
    later = [wait for wait in waits if wait >= timedelta(0)]
    if not later:
        return None, "by their times the scan began before the injection"
    if min(later) > LONGEST:
        return None, f"more than {LONGEST.seconds // 3600} hours lie between injection and scan"
    return min(later).total_seconds(), ""


def text(tags: Dataset | Mapping[str, Any], name: str) -> str:
    """A tag as text, empty where it is absent."""
    value = tags.get(name)
    return "" if value is None else str(value).strip()


def day_of(written: str) -> date | None:
    """A DICOM date (YYYYMMDD), or None."""
    try:
        return datetime.strptime(written, "%Y%m%d").date()
    except ValueError:
        return None


def moment(text: str) -> datetime | None:
    """A DICOM time (HHMMSS, with or without fraction) on an arbitrary day."""
    try:
        return datetime.strptime(text.split(".")[0][:6], "%H%M%S")
    except ValueError:
        return None


def number(value: object) -> float | None:
    """A tag as a finite number, or None."""
    try:
        found = float(str(value))
    except ValueError:
        return None
    return found if math.isfinite(found) else None
