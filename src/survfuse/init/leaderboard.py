"""The rows of the leaderboard, and the numbers that suit a cohort of a size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FEWEST_WITH_SLIDES = 20  # patients; with fewer no model of slides alone can be fitted and tested
EDGES_MONTHS = (3.0, 6.0, 12.0, 24.0, 36.0, 60.0, 96.0, 120.0)
HORIZONS_MONTHS = (6.0, 12.0, 24.0, 36.0, 60.0, 120.0)
MOST_HORIZONS = 3
FEWEST_AT_RISK = 10
FEWEST_EVENTS = 5  # before the first horizon
MODALITY_OF = {"genes": "omics", "slides": "slides", "MRI": "mri", "PET": "pet"}
INNER_AND_TRAIN = 0.64  # of all patients: four of five folds, and of these the part that is fitted


@dataclass(frozen=True)
class Inputs:
    """What a cohort has: numbers of patients with each modality, whether there are sites.

    `clinical`: whether any column is a covariate.
    """

    patients: int
    clinical: bool = True
    site: bool = False
    slides: int = 0
    omics: int = 0
    mri: int = 0
    pet: int = 0


@dataclass(frozen=True)
class Row:
    """A row of the leaderboard as the file shows it."""

    name: str
    kind: str
    options: str = ""
    permuted: bool = False
    why: str = ""


def listed(names: Sequence[str]) -> str:
    """A list as YAML writes it in a line."""
    return f"[{', '.join(names)}]"


def single_rows(has: Inputs) -> list[Row]:
    """The networks that read one modality each, of those that enough patients have."""
    rows = []
    if has.omics:
        rows.append(Row("snn", "snn", why="genes alone"))
    if has.slides >= FEWEST_WITH_SLIDES:
        rows.append(Row("abmil", "abmil", why="slides alone"))
    if has.mri:
        rows.append(Row("mri_cnn", "mri_cnn", why="MRI alone"))
    return rows


def survival_rows(has: Inputs) -> tuple[list[Row], str]:
    """The rows of a survival run that its inputs can feed, and the one that patient pages show."""
    rows = [Row("site_only", "site_only", why="what the centre alone tells")] if has.site else []
    rows.append(clinical_row("clinical_cox", has))
    single = single_rows(has)
    reads = ["clinical"] * has.clinical + ["omics"] * bool(has.omics) + ["mri"] * bool(has.mri)
    kind = "rsf" if reads == ["clinical"] else "coxnet"
    if reads:
        rows.append(Row(kind, kind, f"modalities: {listed(reads)}"))
    rows += single
    main = "clinical_cox" if has.clinical else single[0].name
    blocks = [name for name, there in (("slides", has.slides), ("genes", has.omics)) if there]
    options = ""
    if has.pet and has.mri and not blocks:
        main = "itcfn"
        rows.append(Row(main, main, why=f"{together('MRI', 'PET', has)} in one network"))
    elif len(blocks) + has.clinical > 1:
        main = "survfuse"
        stacked = ["clinical"] * has.clinical + ["omics"] * bool(has.omics)
        stacked += ["slides"] * bool(has.slides)
        options = f"modalities: {listed(stacked)}"
        rows.append(Row(main, main, options, why=f"{all_of(blocks, has)}, stacked"))
    parts = [row.name for row in single] + ["clinical_cox"] * has.clinical
    if len(parts) > 1:
        rows.append(Row("late_fusion", "late_fusion", f"parts: {listed(parts)}"))
        main = main if main in ("survfuse", "itcfn") else "late_fusion"
    control = main if main == "survfuse" else (single[0].name if single else "clinical_cox")
    rows.append(control_row(control, options))
    return rows, main


def diagnosis_rows(has: Inputs) -> tuple[list[Row], str]:
    """The rows of a diagnosis that its inputs can feed, and the one that patient pages show."""
    rows = [Row("site_only", "site_only", why="what the centre alone tells")] if has.site else []
    rows.append(clinical_row("logistic", has))
    single = single_rows(has)
    if has.mri:
        measures = f"modalities: {listed(['clinical'] * has.clinical + ['mri'])}"
        name = "clinical_volumes" if has.clinical else "volumes"
        why = "with measures of the MRI" if has.clinical else "measures of the MRI alone"
        rows.append(Row(name, "logistic", measures, why=why))
    rows += single
    main = "logistic" if has.clinical else single[0].name
    there = {"genes": has.omics, "slides": has.slides, "MRI": has.mri, "PET": has.pet}
    blocks = [name for name, patients in there.items() if patients]
    options = ""
    if has.pet and has.mri:
        main = "itcfn"
        rows.append(Row(main, main, why=f"{together('MRI', 'PET', has)} in one network"))
    if blocks != ["MRI"] and len(blocks) + has.clinical > 1:  # of that, see clinical_volumes
        stacked = [MODALITY_OF[name] for name in blocks]
        options = f"modalities: {listed(['clinical'] * has.clinical + stacked)}"
        rows.append(Row("survfuse", "survfuse", options, why=f"{all_of(blocks, has)}, stacked"))
        main = main if main == "itcfn" else "survfuse"
    parts = ["logistic"] * has.clinical + [row.name for row in single]
    if len(parts) > 1:
        rows.append(Row("late_fusion", "late_fusion", f"parts: {listed(parts)}"))
        main = main if main in ("itcfn", "survfuse") else "late_fusion"
    if main == "survfuse":
        rows.append(control_row(main, options))
    else:
        rows.append(control_row("logistic" if has.clinical else single[0].name))
    return rows, main


def clinical_row(kind: str, has: Inputs) -> Row:
    """The clinical model, which stands in the file also where no column feeds it yet."""
    missing = "" if has.clinical else "; left out until there are covariates"
    return Row(kind, kind, why=f"mandatory: what all others are compared with{missing}")


def all_of(blocks: list[str], has: Inputs) -> str:
    """Several modalities as a list in words, the clinical variables last."""
    named = [*blocks, "clinical variables"] if has.clinical else blocks
    return f"{', '.join(named[:-1])} and {named[-1]}"


def together(one: str, other: str, has: Inputs) -> str:
    """Two modalities, and the clinical variables where there are some."""
    return f"{one}, {other} and clinical variables" if has.clinical else f"{one} and {other}"


def control_row(kind: str, options: str = "") -> Row:
    """The same model on outcomes that were shuffled, which must find nothing."""
    why = "mandatory: on shuffled outcomes"
    return Row(f"{kind}_permuted", kind, options, permuted=True, why=why)


def folds_for(rarer: int) -> int:
    """Outer folds for a number of events, or of patients of the rarest class."""
    return 5 if rarer >= 50 else 4 if rarer >= 32 else 3 if rarer >= 18 else 2


def events_per_bin(events: int) -> int:
    """Training events that a time bin needs at least, so that small cohorts keep a few bins."""
    return max(2, min(10, int(events * INNER_AND_TRAIN) // 6))


def bins_for(event_months: Sequence[float]) -> list[float]:
    """Edges of time bins before the last event; the open bin follows."""
    edges = [edge for edge in EDGES_MONTHS[1:6] if edge < max(event_months)]
    if len(edges) > 1:
        return edges
    middle = sorted(event_months)[len(event_months) // 2]
    return [max(0.1, round(middle, 1))]


def horizons_for(months: Sequence[float], observed: Sequence[bool]) -> list[float]:
    """Times at which enough patients are still followed, and before which enough events were."""

    def supported(horizon: float) -> bool:
        at_risk = sum(time >= horizon for time in months)
        before = sum(time < horizon for time, event in zip(months, observed, strict=True) if event)
        return at_risk >= max(FEWEST_AT_RISK, len(months) // 10) and before >= FEWEST_EVENTS

    found = [horizon for horizon in HORIZONS_MONTHS if supported(horizon)]
    return found[-MOST_HORIZONS:] or [max(0.1, round(sorted(months)[len(months) // 2], 1))]


def per_job(items: int, most: int) -> int:
    """Items of a job, so that a small cohort makes about eight jobs."""
    return max(1, min(most, -(-items // 8)))
