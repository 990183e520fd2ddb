"""Writing a simulated study to disk: the sheets a hospital brings, and the truth beside them."""

from __future__ import annotations

import logging
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from zlib import crc32

import cv2
import numpy as np
import pandas as pd

from survfuse.core.errors import UserInputError
from survfuse.core.files import atomic_path, write_json, write_text
from survfuse.simulation.genes import PROGRAMME_SETS, SHARED_SETS, expression, gene_sets_text
from survfuse.simulation.painter import Tint
from survfuse.simulation.sheets import emptied, write_table
from survfuse.simulation.slide import SlideSpec, write_slide
from survfuse.simulation.truth import (
    COEFFICIENTS,
    COURSE,
    SITES,
    STAGES,
    Truth,
    attainable_c,
    draw_truth,
    stream,
)

TRUTH_MONTHS = tuple(range(6, 61, 6))
SITE_TINTS = dict(
    zip(
        SITES,
        (Tint(1.0, 1.0, 0.0), Tint(0.9, 1.08, -0.6), Tint(1.08, 0.92, 0.6), Tint(0.95, 1.15, 0.2)),
        strict=True,
    )
)
PEN_SHARE = 0.06
MISSING_AGE_SHARE, MISSING_STAGE_SHARE = 0.03, 0.04
DESCRIPTION = (
    "Simulated cohort. The log-hazard of a patient is the sum of the columns morphology, "
    "programme, shared, interaction and clinical of truth.tsv; times are Weibull with "
    "proportional hazards. Slides show morphology and shared, genes show programme and shared, "
    "the clinical table shows clinical. Site changes stain and expression, never the hazard."
)
log = logging.getLogger(__name__)


def simulate_cohort(
    patients: int, seed: int, out: Path, workers: int = 2, slides: bool = True
) -> None:
    """Draw a cohort with known truth and write its sheets to `out`.

    Writes patients.tsv (times in months), omics.parquet, gene_sets.gmt, truth.tsv, truth.json
    and, unless `slides` is false, slides.tsv and slides/*.tif, drawn by `workers` processes. The
    same patients and seed give the same bytes, whatever `workers` is.

    Raises UserInputError when the numbers make no cohort.
    """
    if workers < 1:
        raise UserInputError(f"cannot draw slides with {workers} workers: give 1 or more")
    truth = draw_truth(patients, seed)
    plan = plan_slides(truth) if slides else {}
    if slides:
        draw_slides(list(plan), out / "slides", workers)
        write_table(out / "slides.tsv", slides_table(plan))
    write_table(out / "patients.tsv", patients_table(truth))
    with atomic_path(out / "omics.parquet") as path:
        expression(truth).to_parquet(path, index=False)
    write_text(out / "gene_sets.gmt", gene_sets_text())
    write_table(out / "truth.tsv", truth_table(truth))
    write_json(out / "truth.json", truth_summary(truth, list(plan)))
    log.info("simulated %d patients and %d slides", patients, len(plan))


def patients_table(truth: Truth) -> pd.DataFrame:
    """The clinical sheet as text; a few ages and stages are empty, at random."""
    rng = stream(truth.seed, "missing covariates")
    return pd.DataFrame(
        {
            "patient_id": truth.patient_id,
            "time": [f"{months:.2f}" for months in truth.time_months],
            "event": truth.event.astype(int),
            "site": [SITES[site] for site in truth.site],
            "age": emptied(rng, [f"{age:.0f}" for age in truth.age_years], MISSING_AGE_SHARE),
            "sex": np.where(truth.female, "female", "male"),
            "stage": emptied(rng, [STAGES[stage] for stage in truth.stage], MISSING_STAGE_SHARE),
        }
    )


def plan_slides(truth: Truth) -> dict[SlideSpec, str]:
    """Every slide with its patient.

    One second slide of a patient is blank, one only slide is truncated, a few others carry pen.
    """
    rng = stream(truth.seed, "slides")
    owner = np.repeat(np.arange(len(truth.patient_id)), truth.n_slides)
    second = np.flatnonzero(np.diff(owner, prepend=-1) == 0)
    only = np.flatnonzero((truth.n_slides[owner] == 1) & truth.has_rna[owner])
    blank, truncated = int(rng.choice(second)), int(rng.choice(only))
    others = np.setdiff1d(np.arange(len(owner)), [blank, truncated])
    pens = set(rng.choice(others, max(1, round(PEN_SHARE * len(owner))), replace=False).tolist())

    high_grade_share, infiltrate_share = truth.high_grade_share(), truth.infiltrate_share()
    plan = {}
    for number, patient in enumerate(owner):
        tint = SITE_TINTS[SITES[truth.site[patient]]]
        haematoxylin, eosin = np.exp(rng.normal(0, 0.05, 2))  # no two staining runs are alike
        high_grade, infiltrate = rng.normal(0, 0.02, 2)  # nor are two blocks of one tumour
        spec = SlideSpec(
            slide_id=f"S{number + 1:04d}",
            entropy=(truth.seed, crc32(b"slide"), number),
            high_grade_share=max(0.01, high_grade_share[patient] + high_grade),
            infiltrate_share=max(0.01, infiltrate_share[patient] + infiltrate),
            tint=replace(
                tint, haematoxylin=tint.haematoxylin * haematoxylin, eosin=tint.eosin * eosin
            ),
            pen=number in pens,
            blank=number == blank,
            truncated=number == truncated,
        )
        plan[spec] = str(truth.patient_id[patient])
    return plan


def draw_slides(specs: list[SlideSpec], directory: Path, workers: int) -> None:
    """Draw the slides in `workers` processes of one thread each."""
    with ProcessPoolExecutor(
        workers,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=cv2.setNumThreads,
        initargs=(1,),
    ) as pool:
        for _ in pool.map(partial(write_slide, directory=directory), specs):
            pass  # asking for each result raises what its process raised


def slides_table(plan: dict[SlideSpec, str]) -> pd.DataFrame:
    """The slide sheet; `mpp` is empty because the files carry it."""
    rows = [
        (spec.slide_id, patient, f"slides/{spec.slide_id}.tif", "")
        for spec, patient in plan.items()
    ]
    return pd.DataFrame(rows, columns=["slide_id", "patient_id", "path", "mpp"])


def truth_table(truth: Truth) -> pd.DataFrame:
    """Per patient the log-hazard, the components it sums, and true survival at TRUTH_MONTHS."""
    table = pd.DataFrame(
        {
            "patient_id": truth.patient_id,
            "log_hazard": truth.log_hazard(),
            **truth.components(),
        }
    )
    survival = truth.survival(TRUTH_MONTHS)
    for column, months in enumerate(TRUTH_MONTHS):
        table[f"surv_{months:g}"] = survival[:, column]
    return table


def truth_summary(truth: Truth, specs: list[SlideSpec]) -> dict[str, object]:
    """What truth.json says: how the cohort was made and the C-index each input can reach."""
    c = attainable_c(truth)
    return {
        "description": DESCRIPTION,
        "seed": truth.seed,
        "n_patients": len(truth.patient_id),
        "n_events": int(truth.event.sum()),
        "coefficients": COEFFICIENTS,
        "weibull": {"shape": COURSE.shape, "scale_months": COURSE.scale_months},
        "gene_sets": {"programme": PROGRAMME_SETS, "shared": SHARED_SETS},
        "oracle": {"harrell_c": c["oracle"]},
        "harrell_c": c,
        "without_slides": truth.patient_id[truth.n_slides == 0].tolist(),
        "without_rna": truth.patient_id[~truth.has_rna].tolist(),
        "slides": {
            "blank": [spec.slide_id for spec in specs if spec.blank],
            "truncated": [spec.slide_id for spec in specs if spec.truncated],
            "pen": [spec.slide_id for spec in specs if spec.pen],
        },
    }
