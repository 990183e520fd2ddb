"""The benchmarks run, and what they call a known truth is one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from inputs_fixture import bags_in

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import model_truth  # noqa: E402
import models  # noqa: E402
from simulated_cohort import modality_patterns, out_of_fold, simulated  # noqa: E402


def test_pathways_have_the_published_sizes() -> None:
    widths = models.pathway_widths()
    assert (len(widths), sum(widths), min(widths)) == (331, 9745, 1)
    assert max(widths) <= 199


def test_scores_are_given_for_everything_and_for_each_modality() -> None:
    cohort = simulated(60, 3, folds=2, tiles=6, dim=8)
    config = model_truth.row("sparse_factors", epochs=2, min_events_per_bin=4)
    scores = out_of_fold(cohort, config, modality_patterns(cohort, "sparse_factors"))
    alone = {f"{how} {m}" for how in ("only", "without") for m in ("slides", "omics", "clinical")}
    assert set(scores) == {"c", "oracle", *alone}
    assert all(values.shape == (2,) for values in scores.values())
    assert scores["oracle"].mean() > 0.7
    assert model_truth.share({**scores, "c": scores["oracle"]}) == pytest.approx(1.0)


def test_the_simulated_inputs_are_complete_and_joined() -> None:
    cohort = simulated(40, 1, folds=2, tiles=4, dim=8)
    ids = cohort.truth.patient_id.tolist()
    for modality in ("slides", "omics", "clinical"):
        assert cohort.inputs.available(modality, ids).all()
    share = np.array([len(bags_in(cohort.inputs)[patient]) for patient in ids])
    assert (share >= 2).all()


@pytest.mark.slow
def test_every_model_can_be_measured(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "benchmarks/models.py", "--part", "cost", "--repetitions", "1"]
    subprocess.run([*command, "--json", str(out)], cwd=ROOT, check=True, capture_output=True)
    text = out.read_text()
    for name in ("cmta_cpu_s", "pibd_cpu_s", "dispro_cpu_s", "peak_mib"):
        assert f'"{name}"' in text
