"""The benchmarks run, and what they call a known truth is one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from comparison_fixture import write_survival
from inputs_fixture import bags_in, genes_in

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

import model_truth  # noqa: E402
import models  # noqa: E402
import stack  # noqa: E402
from simulated_cohort import modality_patterns, out_of_fold, risks_by_fold, simulated  # noqa: E402


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


def test_the_slope_of_the_truth_is_one_and_its_share_whole() -> None:
    cohort = simulated(300, 5, folds=3, tiles=4, dim=4)
    folds = [
        (tested, {**risks, "c": risks["oracle"]})
        for tested, risks in risks_by_fold(cohort, model_truth.row("clinical_cox"), {})
    ]
    truth = stack.summed_up(folds)
    assert model_truth.share(truth.scores) == pytest.approx(1.0)
    assert 0.8 < truth.slope < 1.2
    steeper = [(tested, {"c": 2 * risks["c"]}) for tested, risks in folds]
    assert stack.summed_up(steeper).slope == pytest.approx(truth.slope / 2)


def test_a_cohort_can_have_as_many_genes_as_wanted() -> None:
    wide = stack.with_genes(simulated(20, 1, folds=2, tiles=4, dim=4), 600)
    genes = genes_in(wide.inputs)
    assert genes is not None
    assert (genes.values.shape, genes.group_widths) == ((20, 600), (200, 200, 200))


def test_finished_studies_are_pooled(tmp_path: Path) -> None:
    above = {"a": [0.02, 0.04, 0.03, 0.02, 0.04], "b": [0.05, 0.06, 0.04, 0.05, 0.05]}
    for name, more in above.items():
        write_survival(tmp_path / name, {"survfuse": more})
    found = stack.pooled([tmp_path / name for name in above])
    assert found["worst_cohort_diff"] == pytest.approx(0.03, abs=1e-4)
    assert found["pooled_low"] < 0.03 < found["pooled_diff"] < 0.05


@pytest.mark.slow
def test_the_stack_can_be_measured(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    small = ["--part", "cost", "--wide", "40", "400", "--folds", "2"]
    command = [sys.executable, "benchmarks/stack.py", *small, "--json", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert set(json.loads(out.read_text())) == {"cpu_s_40", "peak_mib"}


@pytest.mark.slow
def test_every_model_can_be_measured(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, "benchmarks/models.py", "--part", "cost", "--repetitions", "1"]
    subprocess.run([*command, "--json", str(out)], cwd=ROOT, check=True, capture_output=True)
    text = out.read_text()
    for name in ("cmta_cpu_s", "pibd_cpu_s", "dispro_cpu_s", "peak_mib"):
        assert f'"{name}"' in text
