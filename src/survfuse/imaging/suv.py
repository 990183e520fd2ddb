"""Standardised uptake values of PET from the tags of DICOM, where those allow it.

SUV by body weight is activity per volume over injected activity per body weight, the injected
activity decayed to the time that the images are decayed to (QIBA FDG-PET/CT profile 1.13).
"""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pydicom import Dataset

WEIGHT_KG = (2.0, 400.0)
LONGEST = timedelta(hours=12)  # from injection to scan


def suv_factor(first: Dataset, times: list[str]) -> tuple[float | None, str]:
    """What to multiply Bq/ml with to get SUV (g/ml), or None and why not.

    `first` is any slice of a series, `times` the acquisition times of all slices (HHMMSS).
    """
    if str(first.get("Units", "")) != "BQML":
        return None, f"units are {first.get('Units', 'not told')}, not Bq/ml"
    weight = number(first.get("PatientWeight"))
    doses = first.get("RadiopharmaceuticalInformationSequence") or []
    dose: Dataset | Mapping[str, Any] = doses[0] if doses else {}
    activity = number(dose.get("RadionuclideTotalDose"))
    half_life_s = number(dose.get("RadionuclideHalfLife"))
    if weight is None or not WEIGHT_KG[0] <= weight <= WEIGHT_KG[1]:
        return None, "the body weight is missing or implausible"
    if not activity or not half_life_s or activity < 0 or half_life_s < 0:
        return None, "the injected dose or its half-life is missing"
    correction = str(first.get("DecayCorrection", ""))
    if correction == "ADMIN":  # images are decayed to the injection already
        return 1000 * weight / activity, ""
    if correction != "START":
        return None, f"decay correction is {correction or 'not told'}, neither START nor ADMIN"
    waited = seconds_waited(first, dose, times)
    if waited is None:
        return None, "the times of injection and scan are missing or implausible"
    return 1000 * weight / (activity * math.exp(-math.log(2) * waited / half_life_s)), ""


def seconds_waited(
    first: Dataset, dose: Dataset | Mapping[str, Any], times: list[str]
) -> float | None:
    """Seconds from injection to the start of the scan, over midnight if need be.

    The start is the series time, or the earliest acquisition where the series time is later
    (series that were made again by post-processing); which is earlier is told from the injection
    on, for times after midnight look early.
    """
    scanned = [moment(text) for text in (str(first.get("SeriesTime", "")), *times)]
    known = [time for time in scanned if time is not None]
    injected = moment(str(dose.get("RadiopharmaceuticalStartTime", "")))
    if injected is None:
        injected = moment(str(dose.get("RadiopharmaceuticalStartDateTime", ""))[8:])
    if injected is None or not known:
        return None
    waited = min((time - injected) % timedelta(days=1) for time in known)
    return waited.total_seconds() if waited <= LONGEST else None


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
