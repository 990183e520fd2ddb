"""A small cohort with every file that the reports read, drawn from a fixed seed.

The survival curves and concordances are computed from the simulated outcomes; the remaining
metrics only have the right shape, because the reports print and never compute them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import tifffile
from lifelines import KaplanMeierFitter
from lifelines.utils import concordance_index

from slides_fixture import tile_corners
from survfuse.config import Config
from survfuse.evaluation.explained import summarise
from survfuse.evaluation.explanations import FoldExplanation, write_explanations
from survfuse.evaluation.study import read_study
from survfuse.files import sha256_file, write_json
from survfuse.manifest import OK, QUARANTINED
from survfuse.reporting.inputs import ReportInputs
from survfuse.slides.overview import write_overview
from survfuse.slides.reader import Slide
from survfuse.slides.store import SlideFacts, SlideStatus, write_coords, write_manifest
from survfuse.slides.tiles import cut_tiles
from survfuse.slides.tissue import find_tissue

HORIZONS = (12.0, 24.0, 36.0)
SLIDE_PX0 = (2048, 1536)
TILE_PX0 = 64
MODELS = {
    "site_only": ("Site only", "site", "site_only", ["clinical"], 0.1),
    "clinical_cox": ("Clinical Cox", "clinical", "clinical_cox", ["clinical"], 0.9),
    "cmta": ("CMTA", "fusion", "cmta", ["slides", "omics"], 1.6),
    "late_fusion": ("Late fusion", "late", "late_fusion", ["slides", "omics", "clinical"], 1.3),
    "snn": ("SNN (genes)", "unimodal", "snn", ["omics"], 0.8),
    "abmil": ("ABMIL (slides)", "unimodal", "abmil", ["slides"], 0.6),
    "cmta_permuted": ("cmta_permuted", "control", "cmta", ["slides", "omics"], 0.0),
}
GROUPS = [f"HALLMARK_GROUP_{number:02d}" for number in range(1, 21)] + [
    "HALLMARK_EPITHELIAL_MESENCHYMAL_TRANSITION",
    "HALLMARK_REACTIVE_OXYGEN_SPECIES_PATHWAY",
    "HALLMARK_HYPOXIA",
    "TUMOR_SUPPRESSOR_GENES",
]


@dataclass(frozen=True)
class Fixture:
    """A written cohort: its configuration, the paths the reports read, and the ids by situation."""

    config: Config
    inputs: ReportInputs
    complete: str = "P001"
    without_slides: str = "P003"
    without_omics: str = "P004"
    quarantined: str = "P005"


def configuration(output: Path, **changes: Any) -> Config:
    """The configuration that belongs to the fixture; `changes` replace whole sections."""
    values: dict[str, Any] = {
        "name": "fixture",
        "output": str(output),
        "cohort": {
            "patients": "patients.tsv",
            "slides": "slides.tsv",
            "omics": "omics.csv",
            "site": "centre",
            "covariates": {
                "age": {"type": "continuous"},
                "stage": {"type": "ordinal", "levels": ["I", "II", "III", "IV"]},
                "sex": {"type": "categorical"},
            },
        },
        "slides": {"untrained": True},
        "models": [
            {"name": name, "kind": kind, "permute_outcomes": role == "control"}
            for name, (_, role, kind, _, _) in MODELS.items()
        ],
        "report": {"title": "Bladder cancer: slides and gene expression", "patients": ["P001"]},
    }
    return Config.model_validate(values | changes)


def write_fixture(output: Path, patients: int = 80, image: Path | None = None) -> Fixture:
    """Write all files under `output`; `image` replaces the drawn slide image by a real one."""
    rng = np.random.default_rng(5)
    config = configuration(output)
    ids = [f"P{number:03d}" for number in range(1, patients + 1)]
    latent = rng.normal(size=patients)
    true_time = 28 * np.exp(-0.9 * latent) * rng.weibull(1.3, patients)
    censored_at = rng.uniform(6, 70, patients)
    outcomes = pd.DataFrame(
        {
            "patient_id": ids,
            "time_months": np.minimum(true_time, censored_at).round(2),
            "event": (true_time <= censored_at).astype(int),
        }
    )
    write_table(outcomes, output / "cohort" / "outcomes.tsv")
    clinical = draw_clinical(ids, latent, rng)
    write_table(clinical, output / "cohort" / "clinical.tsv")
    splits = pd.DataFrame(
        {"patient_id": ids, "repeat": 0, "fold": rng.permutation(np.arange(patients) % 5)}
    )
    write_table(splits, output / "splits" / "splits.tsv")
    slides = write_slides(output, ids, image)
    write_omics(output / "omics" / "omics.npz", ids, rng)
    risks = {
        name: strength * latent + rng.normal(size=patients)
        for name, (*_, strength) in MODELS.items()
    }
    for name, risk in risks.items():
        write_predictions(output / "predictions", name, splits, risk, config, rng)
    write_attention(output / "predictions" / "cmta.attention.h5", slides, rng)
    explained = draw_explanations(splits, risks["cmta"], GROUPS, ())
    write_explanations(output / "predictions" / "cmta.explain.h5", explained)
    write_json(
        output / "cohort" / "cohort.json", cohort_summary(outcomes, clinical, slides, config)
    )
    study = read_study(output / "cohort" / "outcomes.tsv", output / "splits" / "splits.tsv")
    write_json(
        output / "evaluation" / "evaluation.json",
        evaluation(outcomes, splits, risks, output / "splits" / "splits.tsv", rng)
        | {"explained": {"cmta": summarise(study, explained, 0.95)}},
    )
    for fold in range(5):
        write_json(
            output / "models" / "cmta" / f"r0f{fold}" / "fit.json",
            {
                "kind": "cmta",
                "model": {"name": "cmta"},
                "repeat": 0,
                "fold": fold,
                "settings": "5e7715",
                "splits_sha256": sha256_file(output / "splits" / "splits.tsv"),
                "weights_sha256": f"{fold}abcdef0123456789",
                "software": {"survfuse": "0.1.0", "python": "3.11.2", "torch": "2.6.0"},
            },
        )
    return Fixture(config, ReportInputs.under(output))


def write_table(table: pd.DataFrame, path: Path) -> None:
    """A TSV with a header, missing values empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(path, sep="\t", index=False)


def draw_clinical(ids: list[str], latent: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Site, age, stage and sex, related to the latent risk; some values missing."""
    number = len(ids)
    stage = np.digitize(latent + rng.normal(size=number), [-1, 0.2, 1.6])
    table = pd.DataFrame(
        {
            "patient_id": ids,
            "site": rng.choice(
                ["North", "South", "East", "West"], number, p=[0.5, 0.38, 0.08, 0.04]
            ),
            "age": (62 + 6 * latent + rng.normal(scale=8, size=number)).round().astype(int),
            "stage": np.array(["I", "II", "III", "IV"])[stage],
            "sex": rng.choice(["female", "male"], number),
        }
    )
    table["age"] = table["age"].astype(object).where(rng.random(number) > 0.04, "")
    table.loc[0, ["age", "stage"]] = [67, "III"]
    return table


def write_slides(output: Path, ids: list[str], image: Path | None) -> list[SlideStatus]:
    """A slide per patient (P001 has two; P003 has none), one image file shared by all.

    Only P001, P002 and P004 have coordinates and an overview on disk, made as the slide stage does.
    """
    if image is None:
        image = output / "sheets" / "slides" / "tissue.tif"
        image.parent.mkdir(parents=True, exist_ok=True)
        pixels = tissue_image(np.random.default_rng(1))
        tifffile.imwrite(image, pixels, tile=(256, 256), photometric="rgb", compression="jpeg")
    tree = output / "slides" / "20x_64px_0px_overlap"
    with Slide(image, 0.5) as slide:
        low = slide.read_whole(4.0)
        tissue = find_tissue(low.rgb, low.mpp, 0.02)
        tiles = cut_tiles(tissue.mask, low.px0, slide.size_px0, TILE_PX0, 0.3)
        drawn = tree / "drawn.jpg"
        write_overview(drawn, slide, tissue.mask, low.px0, tiles)
        size_px0 = slide.size_px0
    rows, sheet = [], []
    for number, patient_id in enumerate(ids):
        if patient_id == "P003":
            continue
        for part in range(2 if patient_id == "P001" else 1):
            slide_id = f"S{number + 1:03d}{'ab'[part]}"
            sheet.append((slide_id, patient_id, str(image), "0.5", ""))
            if patient_id in ("P005", "P017"):
                reason = "corrupt_tiles: the file ends early: 3 of 120 tiles cannot be decoded"
                rows.append(SlideStatus(slide_id, patient_id, QUARANTINED, reason))
                continue
            files = {
                "patches": tree / "patches" / f"{slide_id}_patches.h5",
                "features": tree / "features" / f"{slide_id}.h5",
                "overview": tree / "visualization" / f"{slide_id}.jpg",
            }
            if patient_id in ("P001", "P002", "P004"):
                facts = SlideFacts(slide_id, "", size_px0, 0.5, "sheet", 0.5, TILE_PX0)
                write_coords(files["patches"], tiles, facts)
                files["overview"].parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(drawn, files["overview"])
            rows.append(
                SlideStatus(
                    slide_id=slide_id,
                    patient_id=patient_id,
                    status=OK,
                    n_tiles=len(tiles.coords),
                    mpp=0.5,
                    mpp_source="sheet",
                    tissue_mm2=tissue.mm2,
                    ink_share=0.01,
                    **{
                        name: str(path.relative_to(output / "slides"))
                        for name, path in files.items()
                    },
                )
            )
    write_manifest(output / "slides" / "slides.tsv", rows)
    columns = ["slide_id", "patient_id", "path", "mpp", "features"]
    write_table(pd.DataFrame(sheet, columns=columns), output / "cohort" / "slides.tsv")
    return rows


def tissue_image(rng: np.random.Generator) -> np.ndarray:
    """A pink ellipse with purple dots on white, roughly like a stained section."""
    width, height = SLIDE_PX0
    y, x = np.mgrid[0:height, 0:width]
    inside = ((x - width / 2) / (0.42 * width)) ** 2 + ((y - height / 2) / (0.4 * height)) ** 2 < 1
    coarse = np.kron(rng.random((height // 8, width // 8)), np.ones((8, 8)))
    pixels = np.full((height, width, 3), 244, np.uint8)
    pixels[inside] = (226, 170, 200)
    pixels[inside & (coarse > 0.8)] = (110, 70, 150)
    return pixels


def write_omics(path: Path, ids: list[str], rng: np.random.Generator) -> None:
    """200 genes in 24 groups; P004 has no row."""
    ids = [patient_id for patient_id in ids if patient_id != "P004"]
    values = rng.normal(size=(len(ids), 200)).astype(np.float32)
    values[ids.index("P001"), :6] = np.nan
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        path,
        patient_id=np.array(ids),
        feature=np.array([f"GENE{number}_rnaseq" for number in range(200)]),
        values=values,
        group=np.array(GROUPS),
        group_offsets=np.arange(0, 8 * len(GROUPS) + 1, 8, dtype=np.int64),
        group_index=(np.arange(8 * len(GROUPS)) % 200).astype(np.int64),
    )


def write_predictions(
    folder: Path,
    name: str,
    splits: pd.DataFrame,
    risk: np.ndarray,
    config: Config,
    rng: np.random.Generator,
) -> None:
    """Out-of-fold survival at the grid; nothing is predicted beyond 48 months."""
    table = splits[["patient_id", "repeat", "fold"]].copy()
    table["risk"] = risk
    scaled = (risk - risk.mean()) / (risk.std() or 1)
    for month in config.grid_months():
        survival = np.exp(-((month / 40) ** 1.2) * np.exp(0.7 * scaled))
        table[f"surv_{month:g}"] = survival.round(6) if month <= 48 else ""
    for month in HORIZONS:
        expected = 1 - table[f"surv_{month:g}"].astype(float)
        spread = rng.uniform(0.02, 0.09, len(table))
        single = MODELS[name][1] in ("site", "clinical")
        table[f"risk_low_{month:g}"] = "" if single else (expected - spread).clip(0).round(6)
        table[f"risk_high_{month:g}"] = "" if single else (expected + spread).clip(upper=1).round(6)
    write_table(table, folder / f"{name}.tsv")


def write_attention(path: Path, slides: list[SlideStatus], rng: np.random.Generator) -> None:
    """Attention over tiles for patients with tiles on disk, over gene groups where measured."""
    folder = path.parents[1] / "slides"
    with h5py.File(path, "w") as store:
        for patient_id in ("P001", "P002", "P003", "P004"):
            patient = store.create_group(patient_id)
            coords, names = [], []
            for slide in slides:
                if slide.patient_id == patient_id:
                    coords.append(tile_corners(folder / slide.patches))
                    names += [slide.slide_id] * len(coords[-1])
            if coords:
                corners = np.concatenate(coords)
                centre = corners.mean(axis=0) + np.array([0.15, -0.1]) * np.ptp(corners, axis=0)
                distance = np.linalg.norm((corners - centre) / np.ptp(corners, axis=0), axis=1)
                weight = np.exp(-6 * distance + rng.normal(scale=0.5, size=len(corners)))
                patient["slides"] = (weight / weight.sum()).astype(np.float32)
                patient.create_dataset("slide_id", data=names, dtype=h5py.string_dtype())
                patient["coords"] = corners
                patient["tile_px0"] = np.full(len(corners), float(TILE_PX0))
            if patient_id != "P004":
                weight = rng.gamma(0.8, size=len(GROUPS))
                share = (weight / weight.sum()).astype(np.float32)
                groups = patient.create_dataset("groups", data=share)
                groups.attrs["names"] = json.dumps(GROUPS)


def draw_explanations(
    splits: pd.DataFrame, risk: np.ndarray, groups: Sequence[str], covariates: Sequence[str]
) -> list[FoldExplanation]:
    """One explanation of each fold by three members; the first groups matter most in every fold.

    P003, P005 and P017 have no usable slides, P004 has no genes.
    """
    found = []
    for fold in sorted(splits["fold"].unique()):
        rng = np.random.default_rng([11, fold])
        rows = np.flatnonzero(splits["fold"] == fold)
        ids = [str(patient_id) for patient_id in splits["patient_id"].iloc[rows]]
        own = risk[rows]
        slides = ~np.isin(ids, ["P003", "P005", "P017"])[:, None]
        genes = ~np.isin(ids, ["P004"])[:, None]
        parts = {"omics": (groups, 0.5, genes)}
        if covariates:
            parts["clinical"] = (covariates, 0.2, np.ones_like(genes))
        attribution = {
            modality: np.where(
                having,
                rng.normal(size=(len(ids), len(names))) * size / np.sqrt(1 + np.arange(len(names))),
                np.nan,
            )
            for modality, (names, size, having) in parts.items()
        }
        moving = {"slides": (slides, 0.4), "omics": (genes, 1.2)}
        if covariates:
            moving["clinical"] = (np.ones_like(genes), 0.3)
        found.append(
            FoldExplanation(
                repeat=0,
                fold=int(fold),
                members=3,
                patient_ids=tuple(ids),
                risk=own,
                at_average=own - sum(np.nansum(v, axis=1) for v in attribution.values()),
                names={modality: tuple(names) for modality, (names, _, _) in parts.items()},
                attribution=attribution,
                same_sign={
                    modality: np.where(
                        np.isnan(values), np.nan, rng.choice([2 / 3, 1.0], values.shape)
                    )
                    for modality, values in attribution.items()
                },
                permuted={
                    modality: np.where(
                        having.T, own + rng.normal(scale=size, size=(5, len(ids))), np.nan
                    )
                    for modality, (having, size) in moving.items()
                },
                group_attention=np.where(
                    genes, rng.gamma(0.8, size=(len(ids), len(groups))), np.nan
                ),
                attention_agreement={
                    "slides": np.where(slides[:, 0], rng.uniform(0.1, 0.6, len(ids)), np.nan)
                },
            )
        )
    return found


def levels(**counts: int) -> list[dict[str, Any]]:
    """Patients per level of a covariate, as in cohort.json."""
    return [{"level": level, "n": n} for level, n in counts.items()]


def cohort_summary(
    outcomes: pd.DataFrame, clinical: pd.DataFrame, slides: list[SlideStatus], config: Config
) -> dict[str, Any]:
    """cohort.json"""
    number, events = len(outcomes), int(outcomes["event"].sum())
    with_slides = len({slide.patient_id for slide in slides})
    reverse = KaplanMeierFitter().fit(outcomes["time_months"], 1 - outcomes["event"])
    merged = clinical.merge(outcomes)
    return {
        "n_patients": number,
        "n_events": events,
        "censored_share": 1 - events / number,
        "median_follow_up_months": float(reverse.median_survival_time_),
        "endpoint": {
            "name": config.cohort.endpoint.name,
            "definition": config.cohort.endpoint.definition,
        },
        "modalities": {"slides": with_slides, "omics": number - 1, "clinical": number},
        "overlap": [
            {"modalities": ["slides", "omics", "clinical"], "n": with_slides - 1},
            {"modalities": ["omics", "clinical"], "n": number - with_slides},
            {"modalities": ["slides", "clinical"], "n": 1},
        ],
        "sites": [
            {"site": site, "n": len(part), "events": int(part["event"].sum())}
            for site, part in merged.groupby("site")
        ],
        "covariates": [
            {
                "name": "age",
                "type": "continuous",
                "quartiles": [57.0, 63.0, 69.0],
                "levels": None,
                "missing": 3,
            },
            {
                "name": "stage",
                "type": "ordinal",
                "quartiles": None,
                "levels": levels(I=14, II=30, III=27, IV=9),
                "missing": 0,
            },
            {
                "name": "sex",
                "type": "categorical",
                "quartiles": None,
                "levels": levels(female=41, male=39),
                "missing": 0,
            },
        ],
        "genes": {"rna": 200},
        "notes": ["2 slides have no resolution in their header; the sheet's value was used."],
    }


def km(outcomes: pd.DataFrame) -> dict[str, list[float]]:
    """Kaplan-Meier curve with its interval, as in evaluation.json."""
    fitted = KaplanMeierFitter().fit(outcomes["time_months"], outcomes["event"])
    band = fitted.confidence_interval_survival_function_
    return {
        "time": fitted.survival_function_.index.tolist(),
        "survival": fitted.survival_function_.iloc[:, 0].round(6).tolist(),
        "low": band.iloc[:, 0].fillna(1).round(6).tolist(),
        "high": band.iloc[:, 1].fillna(1).round(6).tolist(),
    }


def at_risk(outcomes: pd.DataFrame) -> list[dict[str, float]]:
    """At risk at each time; events and censored up to it."""
    time, event = outcomes["time_months"].to_numpy(), outcomes["event"].to_numpy()
    return [
        {
            "time": float(month),
            "n": int((time >= month).sum()),
            "events": int(((time < month) & (event == 1)).sum()),
            "censored": int(((time < month) & (event == 0)).sum()),
        }
        for month in range(0, 61, 12)
    ]


def around(value: float, half: float) -> dict[str, float]:
    """An estimate with a symmetric interval."""
    return {"value": value, "low": value - half, "high": value + half}


def evaluation(
    outcomes: pd.DataFrame,
    splits: pd.DataFrame,
    risks: dict[str, np.ndarray],
    splits_path: Path,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """evaluation.json"""
    time, event = outcomes["time_months"].to_numpy(), outcomes["event"].to_numpy()
    fold = splits["fold"].to_numpy()
    keys = [f"{month:g}" for month in HORIZONS]
    rows = []
    for name, (label, role, kind, modalities, _) in MODELS.items():
        per_fold = [
            concordance_index(time[fold == k], -risks[name][fold == k], event[fold == k])
            for k in range(5)
        ]
        value = float(np.mean(per_fold))
        row: dict[str, Any] = {
            "model": name,
            "kind": kind,
            "label": label,
            "role": role,
            "modalities": modalities,
            "harrell_c": around(value, 0.07)
            | {"per_fold": per_fold, "convention": "within folds, weighted by comparable pairs"},
            "uno_c": around(value - 0.01, 0.08) | {"convention": "censoring weights G(t-)"},
            "auc": {key: around(value + 0.03 + 0.003 * i, 0.09) for i, key in enumerate(keys)},
            "brier": {key: around(0.12 + 0.03 * i, 0.03) for i, key in enumerate(keys)},
            "ibs": around(0.17, 0.02),
            "observed_expected": {key: around(1.04 - 0.05 * i, 0.22) for i, key in enumerate(keys)},
            "calibration_slope": {key: around(0.93 - 0.02 * i, 0.25) for i, key in enumerate(keys)},
            "calibration": {key: calibration(i, rng) for i, key in enumerate(keys)},
        }
        if len(modalities) > 1:
            row["patterns"] = {
                modality: around(value - 0.04 * (i + 1), 0.08)
                | {"n": len(outcomes) - (1 if modality != "clinical" else 0), "all_inputs": value}
                for i, modality in enumerate(modalities)
            }
        if role == "control":
            row["ibs"] = {
                "value": None,
                "low": None,
                "high": None,
                "reason": "no curve was predicted",
            }
            row["calibration_slope"] = None
        rows.append(row)
    ranked = sorted(rows[2:-1], key=lambda row: -row["harrell_c"]["value"])
    oracle = {
        "model": "oracle",
        "kind": "oracle",
        "label": "Oracle (true risk)",
        "role": "oracle",
        "modalities": [],
        "harrell_c": around(0.79, 0.05) | {"per_fold": [], "convention": "true risk"},
    }
    groups = {}
    for name in MODELS:
        third = pd.qcut(risks[name], 3, labels=["low", "middle", "high"])
        groups[name] = [
            {
                "group": group,
                "n": int((third == group).sum()),
                "events": int(event[third == group].sum()),
                **km(outcomes[third == group]),
                "at_risk": at_risk(outcomes[third == group]),
            }
            for group in ("low", "middle", "high")
        ]
    reference = rows[1]["harrell_c"]["value"]
    return {
        "confidence": 0.95,
        "tau_months": 40.0,
        "tau_rule": "the time at which 10 % of the patients are still at risk",
        "horizons_months": list(HORIZONS),
        "grid_months": [float(month) for month in range(3, 40, 3)],
        "n_patients": len(outcomes),
        "n_events": int(event.sum()),
        "n_folds": 5,
        "n_repeats": 1,
        "reference": "clinical_cox",
        "splits_sha256": sha256_file(splits_path),
        "rows": [*rows[:2], *ranked, rows[-1], oracle],
        "comparisons": [
            {
                "model": row["model"],
                "reference": "clinical_cox",
                "metric": "harrell_c",
                "difference": row["harrell_c"]["value"] - reference,
                "low": row["harrell_c"]["value"] - reference - 0.09,
                "high": row["harrell_c"]["value"] - reference + 0.09,
                "method": "corrected resampled t (Nadeau-Bengio)",
            }
            for row in rows
            if row["model"] != "clinical_cox"
        ],
        "availability": [
            {
                "modality": modality,
                "n_present": 71,
                "n": 72,
                "n_early": 26,
                "tau_months": 17.25,
                "auroc": value,
                "low": value - 0.08,
                "high": value + 0.08,
            }
            for modality, value in (("slides", 0.52), ("omics", 0.4))
        ],
        "risk_groups": groups,
        "cohort_curve": km(outcomes),
        "oracle": {"harrell_c": 0.79},
        "notes": ["Fold 3 has 6 events; its interval is wide.", "Risk groups are tertiles."],
    }


def calibration(step: int, rng: np.random.Generator) -> list[dict[str, float]]:
    """Five groups of predicted against observed risk."""
    predicted = np.linspace(0.06, 0.5 + 0.12 * step, 5)
    observed = (predicted + rng.normal(scale=0.05, size=5)).clip(0.01, 0.97)
    return [
        {
            "predicted": float(p),
            "observed": float(o),
            "low": float(max(o - 0.15, 0)),
            "high": float(min(o + 0.15, 1)),
            "n": 16,
        }
        for p, o in zip(predicted, observed, strict=True)
    ]


class Page(HTMLParser):
    """A page taken apart: its elements, its traced numbers, and whether it is well formed."""

    VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.numbers: list[tuple[str, str]] = []  # data-key and text
        self.open: list[str] = []
        self.faults: list[str] = []
        self.key: str | None = None
        self.feed(html)
        self.close()
        self.faults += [f"<{tag}> is never closed" for tag in self.open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        self.key = attributes.get("data-key")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if self.key is not None:
            self.numbers.append((self.key, data))
            self.key = None

    def all(self, tag: str) -> list[dict[str, str]]:
        """Attributes of all elements with this tag."""
        return [attributes for name, attributes in self.elements if name == tag]
