"""The leaderboard of a diagnosis: independent numbers, known truths, and honest sentences."""

import shutil
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score
from sksurv.nonparametric import CensoringDistributionEstimator, kaplan_meier_estimator
from sksurv.util import Surv

from clinic_fixture import HORIZON, Clinic, configuration, write_clinic, write_second_repeat
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config, LeftOut
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json, sha256_file, write_json
from survfuse.evaluation.files import EvaluationFiles
from survfuse.evaluation.synthesis_measures import collect_synthesis, error_of_patient, pooled
from survfuse.statistics.intervals import corrected_t
from survfuse.statistics.roc import roc_curve
from survfuse.tasks.diagnosis.leaderboard import evaluate_diagnoses
from survfuse.tasks.diagnosis.predictions import (
    read_class_ablations,
    read_class_predictions,
    write_class_predictions,
)
from survfuse.tasks.diagnosis.rows import class_role

NO_CONTROL = LeftOut("models", "No control is left.", "add one", "control")


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    return write_clinic(tmp_path_factory.mktemp("clinic"), volumes=False)


@pytest.fixture(scope="module")
def board(clinic: Clinic) -> dict[str, Any]:
    return dict(read_json(clinic.evaluation))


def rows_of(board: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in board["rows"]}


def within_folds(
    score: np.ndarray, label: np.ndarray, fold: np.ndarray, weight: np.ndarray | None = None
) -> float:
    """AUROC within folds by scikit-learn, folds weighing by their pairs."""
    values, pairs = [], []
    weight = np.ones(len(score)) if weight is None else weight
    for number in np.unique(fold):
        rows = (fold == number) & (label >= 0)
        if min((label[rows] == 1).sum(), (label[rows] == 0).sum()) < 2:
            continue  # no interval could be given
        values.append(roc_auc_score(label[rows], score[rows], sample_weight=weight[rows]))
        of_class = [weight[rows][label[rows] == number].sum() for number in (0, 1)]
        pairs.append(of_class[0] * of_class[1])
    return float(np.average(values, weights=pairs))


def weights_of(clinic: Clinic) -> np.ndarray:
    """Inverse probability of censoring by scikit-survival, just before the class was known."""
    time, event = clinic.truth.time_months, clinic.truth.event
    censoring = CensoringDistributionEstimator().fit(Surv.from_arrays(event, time))
    before = np.maximum(np.minimum(time, HORIZON) - 1e-9, 0)
    found: np.ndarray = 1 / censoring.predict_proba(before)
    return np.where(clinic.truth.label() >= 0, found, np.nan)


def predictions(clinic: Clinic, model: str) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """The table of a model in the order of the patients, their labels and folds."""
    table = read_class_predictions(clinic.out / "predictions" / f"{model}.tsv")
    table = table.set_index("patient_id").loc[clinic.truth.patient_id.tolist()]
    return table, clinic.truth.label(), table["fold"].to_numpy()


def evaluated(config: Config, clinic: Clinic, out: Path, **paths: Path) -> dict[str, Any]:
    evaluate_diagnoses(config, replace(clinic.files, out=out, **paths))
    return dict(read_json(out))


# --- numbers


@pytest.mark.parametrize("model", ["logistic", "itcfn", "itcfn_mask", "mri_cnn"])
def test_auroc_is_that_of_another_library(
    clinic: Clinic, board: dict[str, Any], model: str
) -> None:
    table, label, fold = predictions(clinic, model)
    row = rows_of(board)[model]
    expected = within_folds(table["p_1"].to_numpy(), label, fold, weights_of(clinic))
    assert row["discrimination"]["value"] == pytest.approx(expected, abs=1e-12)
    assert row["auroc"]["value"] == row["discrimination"]["value"]
    assert len(row["discrimination"]["per_fold"]) == 5
    assert row["discrimination"]["low"] < expected < row["discrimination"]["high"]


def test_decisions_use_the_threshold_of_the_fold(clinic: Clinic, board: dict[str, Any]) -> None:
    table, label, _ = predictions(clinic, "itcfn")
    positive = (table["p_1"] >= table["threshold"]).to_numpy()
    assert table["threshold"].nunique() == 5
    found = rows_of(board)["itcfn"]["at_threshold"]
    assert found["true_positive"] == (positive & (label == 1)).sum()
    assert found["false_positive"] == (positive & (label == 0)).sum()
    weight = weights_of(clinic)
    for name, number in (("sensitivity", 1), ("specificity", 0)):
        rows = label == number
        expected = np.average(positive[rows] == number, weights=weight[rows])
        assert found[name]["value"] == pytest.approx(expected)
    called = positive & (label >= 0)
    expected = np.average(label[called] == 1, weights=weight[called])
    assert found["positive_predictive_value"]["value"] == pytest.approx(expected)


def test_absolute_risks_are_those_of_all_patients_not_of_the_known(
    clinic: Clinic, board: dict[str, Any]
) -> None:
    """The share is Kaplan-Meier's; Brier score and O/E are weighted as by scikit-learn."""
    time, event = clinic.truth.time_months, clinic.truth.event
    steps, survival = kaplan_meier_estimator(event, time)
    share = 1 - survival[steps <= HORIZON][-1]
    stable, converted = board["shares"]
    assert converted["value"] == pytest.approx(share)
    assert stable["value"] == pytest.approx(1 - share)
    assert converted["low"] < share < converted["high"]
    assert stable["low"] == pytest.approx(1 - converted["high"])
    label, weight = clinic.truth.label(), weights_of(clinic)
    known = label >= 0
    assert (label[known] == 1).mean() > share + 0.02  # the known are enriched with cases
    p = predictions(clinic, "itcfn")[0]["p_1"].to_numpy()
    row = rows_of(board)["itcfn"]
    expected = brier_score_loss(label[known], p[known], sample_weight=weight[known])
    assert row["brier"]["value"] == pytest.approx(expected)
    expected = share / np.average(p[known], weights=weight[known])
    assert row["observed_expected"]["value"] == pytest.approx(expected)
    curve = row["decision_curve"]
    assert curve[0]["treat_all"]["value"] == pytest.approx(share - (1 - share) * 0.1 / 0.9)


def test_risks_are_recalibrated_on_the_follow_up(clinic: Clinic, board: dict[str, Any]) -> None:
    """Their mean is Kaplan-Meier's share, whatever a row says, and the hash is that of the file."""
    path = clinic.evaluation.with_name("risks.tsv")
    assert board["risks_sha256"] == sha256_file(path)
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    assert set(table["model"]) == set(rows_of(board)) - {"oracle"} == set(board["absolute_risk"])
    assert set(table["months"]) == {HORIZON}
    share = board["shares"][1]["value"]
    for model, rows in table.groupby("model"):
        assert rows["patient_id"].tolist() == clinic.truth.patient_id.tolist()
        assert rows["risk"].mean() == pytest.approx(share, abs=0.01)
        assert ((rows["low"] <= rows["risk"]) & (rows["risk"] <= rows["high"])).all()
        assert board["absolute_risk"][model]["horizons"]["36"]["slope"] >= 0


def test_a_missing_pet_widens_the_interval(clinic: Clinic) -> None:
    """By what those with PET show when it is withheld; without such, by all that predictions do."""
    table = pd.read_csv(clinic.evaluation.with_name("risks.tsv"), sep="\t", keep_default_na=False)
    less = read_class_ablations(clinic.out / "predictions" / "itcfn.ablations.tsv")
    withheld = int((less["inputs"] == "without pet").sum())
    for model, told in (("itcfn", withheld), ("itcfn_mask", withheld), ("itcfn_permuted", 0)):
        rows = table[table["model"] == model]
        lacks = (rows["lacking"] == "pet").to_numpy()
        assert 0 < lacks.sum() < len(rows)
        assert (rows["n_complete"][lacks].astype(float) == told).all()
        wider = (rows["high"] - rows["low"]) > (rows["as_is_high"] - rows["as_is_low"])
        assert (wider == lacks).all()
    assert (table["lacking"][table["model"] == "logistic"] == "").all()


def test_a_class_from_a_column_has_no_risk_by_a_horizon(clinic: Clinic, tmp_path: Path) -> None:
    diagnosis = {"name": "class", "classes": ["stable", "converted"], "column": "class"}
    cohort = {"patients": "patients.tsv", "images": "images.tsv", "diagnosis": diagnosis}
    board = evaluated(configuration(clinic.out, cohort=cohort), clinic, tmp_path / "e.json")
    assert board["absolute_risk"] == {}
    assert board["risks_sha256"] is None
    assert not (tmp_path / "risks.tsv").exists()


def test_what_would_be_the_class_of_the_censored_is_never_read(
    clinic: Clinic, tmp_path: Path
) -> None:
    """Predictions of patients of unknown class change nothing but what is known of themselves."""
    table = read_class_predictions(clinic.out / "predictions" / "itcfn.tsv").set_index("patient_id")
    label = pd.Series(clinic.truth.label(), clinic.truth.patient_id)
    p = np.where(label.reindex(table.index) < 0, 0.999, table["p_1"])
    folder = replaced(clinic, tmp_path / "other", "itcfn", p)
    board = evaluated(clinic.config, clinic, tmp_path / "e.json", predictions=folder)
    ours, theirs = rows_of(board)["itcfn"], rows_of(dict(read_json(clinic.evaluation)))["itcfn"]
    for name in ("auroc", "brier", "observed_expected", "calibration_slope", "at_threshold", "roc"):
        assert ours[name] == theirs[name]


def test_labels_that_are_not_those_of_the_follow_up_are_refused(
    clinic: Clinic, tmp_path: Path
) -> None:
    table = pd.read_csv(clinic.out / "cohort" / "outcomes.tsv", sep="\t")
    table.loc[4, "label"] = (table.loc[4, "label"] + 2) % 3 - 1
    table.to_csv(tmp_path / "outcomes.tsv", sep="\t", index=False)
    with pytest.raises(UserInputError, match="row 6: the label is not that of the follow-up at 36"):
        evaluated(clinic.config, clinic, tmp_path / "e.json", outcomes=tmp_path / "outcomes.tsv")


def test_differences_are_those_of_the_rows(board: dict[str, Any]) -> None:
    rows = rows_of(board)
    for entry in board["comparisons"]:
        assert entry["model"] != entry["reference"]
        ours, theirs = (rows[entry[key]]["auroc"]["value"] for key in ("model", "reference"))
        assert entry["difference"] == pytest.approx(ours - theirs, abs=1e-12)
    compared = {
        entry["model"] for entry in board["comparisons"] if entry["reference"] == "logistic"
    }
    assert compared == set(rows) - {"logistic", "oracle"}
    comparators = {e["reference"] for e in board["comparisons"] if e["model"] == "itcfn"}
    assert comparators == {"logistic", "site_only", "mri_cnn"}


def test_rows_are_told_apart_and_in_order(board: dict[str, Any]) -> None:
    assert [row["role"] for row in board["rows"]] == [
        *("site", "clinical", "fusion", "fusion", "unimodal", "control", "oracle")
    ]
    values = [row["discrimination"]["value"] for row in board["rows"][2:5]]
    assert values == sorted(values, reverse=True)


def test_counts_tell_stable_from_censored(clinic: Clinic, board: dict[str, Any]) -> None:
    label = clinic.truth.label()
    assert board["counts"]["classes"] == [(label == 0).sum(), (label == 1).sum()]
    assert board["counts"]["unknown"] == (label == -1).sum() > 0
    for row in board["rows"]:
        assert row["n"] == board["counts"]["known"]
    assert board["counts"]["with"]["pet"] == clinic.truth.has_pet.sum() - 1  # one set aside
    assert any(
        "inverse probability of not having been censored" in told for told in board["statements"]
    )


def test_what_is_shown_less_is_compared_on_the_same_patients(
    clinic: Clinic, board: dict[str, Any]
) -> None:
    table, label, fold = predictions(clinic, "itcfn")
    less = read_class_ablations(clinic.out / "predictions" / "itcfn.ablations.tsv")
    less = less[less["inputs"] == "without pet"].set_index("patient_id")
    members = np.isin(clinic.truth.patient_id, less.index)
    p = less["p_1"].reindex(clinic.truth.patient_id).to_numpy()
    found = rows_of(board)["itcfn"]["ablations"]["without pet"]
    known = (label[members], fold[members], weights_of(clinic)[members])
    alone = within_folds(p[members], *known)
    everything = within_folds(table["p_1"].to_numpy()[members], *known)
    assert found["n"] == members.sum() == found["synthesised"]
    assert found["auroc"]["value"] == pytest.approx(alone)
    assert found["all_inputs"] == pytest.approx(everything)
    assert found["difference"]["value"] == pytest.approx(everything - alone)
    assert set(rows_of(board)["itcfn"]["ablations"]) == {"mri", "clinical", "without pet"}
    assert rows_of(board)["logistic"]["ablations"] == {}


def test_synthesis_is_compared_with_the_mask_where_they_differ(
    clinic: Clinic, board: dict[str, Any]
) -> None:
    (entry,) = board["policies"]
    assert (entry["synthesise"], entry["mask"]) == ("itcfn", "itcfn_mask")
    table, label, fold = predictions(clinic, "itcfn")
    mask = predictions(clinic, "itcfn_mask")[0]["p_1"].to_numpy()
    lacking = (table["synthesised"] == 1).to_numpy()
    known = (label[lacking], fold[lacking], weights_of(clinic)[lacking])
    ours = within_folds(table["p_1"].to_numpy()[lacking], *known)
    expected = ours - within_folds(mask[lacking], *known)
    assert entry["lacking"]["n"] == (lacking & (label >= 0)).sum()
    assert entry["lacking"]["auroc"]["value"] == pytest.approx(expected)
    assert entry["withheld"]["n"] == (~lacking & (label >= 0)).sum()


def test_patients_with_a_pet_are_the_same_in_every_line(
    clinic: Clinic, board: dict[str, Any]
) -> None:
    label = clinic.truth.label()
    found = board["with_pet"]
    less = {}
    for model in ("itcfn", "itcfn_mask"):
        table = read_class_ablations(clinic.out / "predictions" / f"{model}.ablations.tsv")
        less[model] = table[table["inputs"] == "without pet"].set_index("patient_id")["p_1"]
    members = np.isin(clinic.truth.patient_id, less["itcfn"].index)
    assert found["n"] == (members & (label >= 0)).sum() < (label >= 0).sum()
    scores = {("oracle", "truth"): clinic.truth.log_hazard()}
    for model, pet in (
        ("itcfn", "real"),
        ("itcfn_mask", "real"),
        ("mri_cnn", "unread"),
        ("logistic", "unread"),
    ):
        scores[model, pet] = predictions(clinic, model)[0]["p_1"].to_numpy()
    for model, pet in (("itcfn", "synthetic"), ("itcfn_mask", "none")):
        scores[model, pet] = less[model].reindex(clinic.truth.patient_id).to_numpy()
    fold = predictions(clinic, "itcfn")[2]
    expected = {
        key: within_folds(
            score[members], label[members], fold[members], weights_of(clinic)[members]
        )
        for key, score in scores.items()
    }
    rungs = {(rung["model"], rung["pet"]): rung for rung in found["rungs"]}
    assert set(rungs) == set(expected)
    for key, rung in rungs.items():
        assert rung["auroc"]["value"] == pytest.approx(expected[key], abs=1e-12)
        assert rung["auroc"]["low"] < expected[key] < rung["auroc"]["high"]
    values = [rung["auroc"]["value"] for rung in found["rungs"]]
    assert values == sorted(values, reverse=True)
    # Differences are from the row that reads the MRI alone.
    assert found["against"] == "mri_cnn"
    assert rungs["mri_cnn", "unread"]["difference"] is None
    for key in set(rungs) - {("mri_cnn", "unread")}:
        apart = expected[key] - expected["mri_cnn", "unread"]
        assert rungs[key]["difference"]["value"] == pytest.approx(apart, abs=1e-12)
        assert rungs[key]["difference"]["low"] < apart < rungs[key]["difference"]["high"]


def test_without_a_row_of_the_mri_alone_the_reference_is_compared_with(
    clinic: Clinic, tmp_path: Path
) -> None:
    models = [model for model in clinic.config.models if model.kind != "mri_cnn"]
    config = clinic.config.model_copy(update={"models": models})
    found = evaluated(config, clinic, tmp_path / "e.json")["with_pet"]
    assert found["against"] == "logistic"
    # No truth was named, so there is no line of it.
    assert {rung["pet"] for rung in found["rungs"]} == {"real", "synthetic", "none", "unread"}


def test_what_stands_in_for_the_pet_of_the_reference_is_compared_with_it(
    clinic: Clinic, tmp_path: Path
) -> None:
    """A reference that reads PET is in the table twice; only one of its lines is the base."""
    models = [m for m in clinic.config.models if m.name in ("itcfn", "logistic", "site_only")]
    models += [m for m in clinic.config.models if m.permute_outcomes]
    config = clinic.config.model_copy(
        update={
            "models": models,
            "evaluation": clinic.config.evaluation.model_copy(update={"reference": "itcfn"}),
        }
    )
    found = evaluated(config, clinic, tmp_path / "e.json")["with_pet"]
    assert found["against"] == "itcfn"
    rungs = {(rung["model"], rung["pet"]): rung for rung in found["rungs"]}
    assert rungs["itcfn", "real"]["difference"] is None
    apart = rungs["itcfn", "synthetic"]["auroc"]["value"] - rungs["itcfn", "real"]["auroc"]["value"]
    assert rungs["itcfn", "synthetic"]["difference"]["value"] == pytest.approx(apart, abs=1e-12)
    assert abs(apart) > 1e-3


def test_nobody_is_compared_where_no_pet_was_withheld(clinic: Clinic, tmp_path: Path) -> None:
    models = [model for model in clinic.config.models if not model.kind.startswith("itcfn")]
    config = clinic.config.model_copy(update={"models": models}).with_left_out([NO_CONTROL])
    assert evaluated(config, clinic, tmp_path / "e.json")["with_pet"] is None


def test_the_oracle_is_the_true_risk(clinic: Clinic, board: dict[str, Any]) -> None:
    fold = predictions(clinic, "itcfn")[2]
    expected = within_folds(
        clinic.truth.log_hazard(), clinic.truth.label(), fold, weights_of(clinic)
    )
    assert rows_of(board)["oracle"]["discrimination"]["value"] == pytest.approx(expected)
    assert board["attainable"] == read_json(clinic.out / "sheets" / "truth.json")["auroc"]
    assert board["attainable"]["oracle"] > board["attainable"]["real_pet"]


def test_availability_tells_what_missing_pet_says(clinic: Clinic, board: dict[str, Any]) -> None:
    has = pd.read_csv(clinic.out / "predictions" / "availability.tsv", sep="\t")["pet"].to_numpy()
    label = clinic.truth.label()
    known = label >= 0
    (found,) = [entry for entry in board["availability"] if entry["modality"] == "pet"]
    weight = weights_of(clinic)[known]
    expected = roc_auc_score(label[known], has[known], sample_weight=weight)
    assert found["auroc"] == pytest.approx(expected)
    assert found["class"] == "converted"
    (mri,) = [entry for entry in board["availability"] if entry["modality"] == "mri"]
    assert mri["auroc"] is None
    assert mri["reason"] == "all of the patients have it"


def test_writing_twice_gives_the_same_bytes(clinic: Clinic, tmp_path: Path) -> None:
    for name in ("a.json", "b.json"):
        evaluated(clinic.config, clinic, tmp_path / name)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


# --- known truth and statements


def test_the_roc_curve_has_the_area_of_the_auroc(board: dict[str, Any]) -> None:
    for model in ("logistic", "itcfn"):
        row = rows_of(board)[model]
        x = [point["false_alarms"] for point in row["roc"]]
        y = [point["sensitivity"] for point in row["roc"]]
        assert np.mean(y[1:-1]) == pytest.approx(row["auroc"]["value"], abs=0.006)
        assert x == sorted(x)
        assert y == sorted(y)
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    nobody = np.zeros(4, bool)
    assert roc_curve(np.arange(4.0), nobody, np.zeros(4, int), np.ones(4)) == []


def replaced(clinic: Clinic, folder: Path, model: str, p: np.ndarray) -> Path:
    """The predictions of the clinic with those of one model replaced."""
    folder.mkdir()
    for path in (clinic.out / "predictions").glob("*.tsv"):
        (folder / path.name).write_bytes(path.read_bytes())
    table = read_class_predictions(folder / f"{model}.tsv")
    kept = ["patient_id", "repeat", "fold", "synthesised", "threshold"]
    write_class_predictions(folder / f"{model}.tsv", table[kept].assign(p_0=1 - p, p_1=p))
    return folder


def test_a_model_of_known_auroc_is_found(tmp_path: Path) -> None:
    # Scores of stable and converted patients one and a half standard deviations apart.
    clinic = write_clinic(tmp_path, patients=1200, volumes=False)
    rng = np.random.default_rng(0)
    score = rng.normal(size=1200) + 1.5 * (clinic.truth.label() == 1)
    folder = replaced(clinic, tmp_path / "known", "itcfn", 1 / (1 + np.exp(-score)))
    board = evaluated(clinic.config, clinic, tmp_path / "e.json", predictions=folder)
    found = rows_of(board)["itcfn"]["auroc"]
    truth = NormalDist().cdf(1.5 / np.sqrt(2))
    assert found["low"] < truth < found["high"]
    assert found["value"] == pytest.approx(truth, abs=0.02)
    assert any(told.startswith("Better than Logistic regression") for told in board["statements"])


def test_a_row_that_predicts_a_constant_is_named_and_beaten_by_nobody(
    clinic: Clinic, tmp_path: Path
) -> None:
    """In fold 2 the reference has collapsed: nothing is better than it, and it decides nothing."""
    table = read_class_predictions(clinic.out / "predictions" / "logistic.tsv")
    p = np.where(table["fold"] == 2, 0.37, table["p_1"])
    folder = replaced(clinic, tmp_path / "collapsed", "logistic", p)
    board = evaluated(clinic.config, clinic, tmp_path / "e.json", predictions=folder)
    row = rows_of(board)["logistic"]
    (told,) = row["collapsed"]
    assert told == "Logistic regression gives all patients of fold 3 the same probability."
    assert told in board["statements"]
    for name in ("sensitivity", "specificity", "balanced_accuracy", "f1"):
        assert row["at_threshold"][name]["value"] is None
        assert "not estimable" in row["at_threshold"][name]["reason"]
    compared = [e for e in board["comparisons"] if e["reference"] == "logistic"]
    assert len(compared) == 5
    for entry in compared:
        assert entry["low"] is None
        assert "nothing is shown" in entry["reason"]
    assert not any(told.startswith("Better than") for told in board["statements"])
    # Against others the row is compared as ever.
    assert all(e["low"] is not None for e in board["comparisons"] if e["reference"] != "logistic")


def test_a_control_that_has_collapsed_shows_no_absence_of_leaks(
    clinic: Clinic, tmp_path: Path
) -> None:
    folder = replaced(clinic, tmp_path / "flat", "itcfn_permuted", np.full(120, 0.4))
    board = evaluated(clinic.config, clinic, tmp_path / "e.json", predictions=folder)
    assert any("so that a leak may go unnoticed" in told for told in board["statements"])


def test_from_few_patients_of_a_class_nothing_is_concluded(tmp_path: Path) -> None:
    clinic = write_clinic(tmp_path, patients=40, volumes=False)
    board = dict(read_json(clinic.evaluation))
    assert min(board["counts"]["classes"]) < 20
    assert all(entry["few"] for entry in board["comparisons"])
    assert not any(told.startswith("Better than") for told in board["statements"])
    assert any("from whom nothing is concluded" in told for told in board["statements"])


def test_a_copy_of_the_reference_is_not_called_better(clinic: Clinic, tmp_path: Path) -> None:
    reference = read_class_predictions(clinic.out / "predictions" / "logistic.tsv")
    folder = replaced(clinic, tmp_path / "copy", "itcfn", reference["p_1"].to_numpy())
    board = evaluated(clinic.config, clinic, tmp_path / "e.json", predictions=folder)
    (entry,) = [
        e for e in board["comparisons"] if (e["model"], e["reference"]) == ("itcfn", "logistic")
    ]
    assert entry["difference"] == 0
    (told,) = [one for one in board["statements"] if one.startswith("Not shown to be better")]
    assert "ITCFN (the two scores put all patients in the same order)" in told


def test_a_leaking_control_is_named(clinic: Clinic, tmp_path: Path) -> None:
    p = np.where(clinic.truth.label() == 1, 0.8, 0.2) + np.linspace(0, 0.1, 120)
    folder = replaced(clinic, tmp_path / "leak", "itcfn_permuted", p)
    (told,) = [
        one
        for one in evaluated(clinic.config, clinic, tmp_path / "e.json", predictions=folder)[
            "statements"
        ]
        if "permuted labels" in one
    ]
    assert "test labels may have leaked" in told


def test_without_a_control_nothing_is_evaluated(clinic: Clinic, tmp_path: Path) -> None:
    models = [m for m in clinic.config.models if not m.permute_outcomes]
    config = clinic.config.model_copy(update={"models": models})
    with pytest.raises(UserInputError, match="control trained on permuted outcomes"):
        evaluated(config, clinic, tmp_path / "e.json")
    config = config.with_left_out([NO_CONTROL])
    board = evaluated(config, clinic, tmp_path / "e.json")
    assert any("No row was trained on permuted labels" in note for note in board["notes"])


def test_what_is_not_shown_is_said(board: dict[str, Any]) -> None:
    told = " ".join(board["statements"])
    assert "Not shown to be better than Logistic regression" in told
    assert "In ITCFN the real PET, instead of a synthetic one, is not shown" in told
    assert "In itcfn_mask the real PET, instead of none," in told
    assert (
        "Synthesis instead of masking is not shown to help or to harm in patients whose PET" in told
    )
    assert "Synthesis instead of masking allows no conclusion in patients who lack" in told


# --- several classes, several repeats


def test_three_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    n, ids = 150, [f"P{number}" for number in range(150)]
    label = np.arange(n) % 3
    label[:5] = -1
    fold = np.arange(n) // 3 % 5
    truth = pd.DataFrame({"patient_id": ids, "label": label})
    truth.to_csv(tmp_path / "outcomes.tsv", sep="\t", index=False)
    keys = pd.DataFrame({"patient_id": ids, "repeat": 0, "fold": fold})
    keys.to_csv(tmp_path / "splits.tsv", sep="\t", index=False)
    shown = {}
    for name, strength in (("logistic", 0.8), ("late", 2.5)):
        raw = np.exp(rng.normal(size=(n, 3)) + strength * np.eye(3)[label] * (label >= 0)[:, None])
        shown[name] = raw / raw.sum(axis=1, keepdims=True)
        table = keys.assign(synthesised=0, threshold=np.nan)
        table[["p_0", "p_1", "p_2"]] = shown[name]
        write_class_predictions(tmp_path / f"{name}.tsv", table)
    cohort = {
        "patients": "p.tsv",
        "diagnosis": {"name": "type", "classes": ["AD", "FTD", "none"], "column": "type"},
    }
    models = [
        {"name": "logistic", "kind": "logistic"},
        {"name": "late", "kind": "logistic", "options": {"modalities": ["clinical", "mri"]}},
    ]
    config = configuration(tmp_path, cohort=cohort, models=models, report={})
    config = config.with_left_out([NO_CONTROL])
    evaluate_diagnoses(
        config,
        EvaluationFiles(
            outcomes=tmp_path / "outcomes.tsv",
            splits=tmp_path / "splits.tsv",
            predictions=tmp_path,
            out=tmp_path / "e.json",
        ),
    )
    board = read_json(tmp_path / "e.json")
    rows = rows_of(board)
    for name, p in shown.items():
        each = [within_folds(p[5:, k], (label[5:] == k).astype(int), fold[5:]) for k in range(3)]
        assert rows[name]["discrimination"]["value"] == pytest.approx(np.mean(each))
        assert "roc" not in rows[name]
    (entry,) = board["comparisons"]
    assert entry["difference"] == pytest.approx(
        rows["late"]["discrimination"]["value"] - rows["logistic"]["discrimination"]["value"]
    )
    assert entry["low"] > 0
    squared = {
        k: ((p[5:] - np.eye(3)[label[5:]]) ** 2).sum(axis=1).mean() for k, p in shown.items()
    }
    assert entry["brier"]["value"] == pytest.approx(squared["late"] - squared["logistic"])


def test_repeats_are_told_beside_the_first(clinic: Clinic, tmp_path: Path) -> None:
    write_second_repeat(clinic, tmp_path)
    board = evaluated(
        clinic.config,
        clinic,
        tmp_path / "e.json",
        splits=tmp_path / "splits.tsv",
        predictions=tmp_path,
    )
    row = rows_of(board)["logistic"]
    assert board["n_repeats"] == len(row["auroc_per_repeat"]) == 2
    assert row["auroc_per_repeat"][0] == row["auroc"]["value"] != row["auroc_per_repeat"][1]
    # Folds of both repeats weigh by their pairs, and the second repeat has the same folds, renamed.
    assert row["discrimination"]["value"] == pytest.approx(np.mean(row["auroc_per_repeat"]))
    assert len(row["discrimination"]["per_fold"]) == 10
    (entry,) = [
        e for e in board["comparisons"] if (e["model"], e["reference"]) == ("itcfn", "logistic")
    ]
    ours = rows_of(board)["itcfn"]["discrimination"]["value"]
    assert entry["difference"] == pytest.approx(ours - row["discrimination"]["value"])
    assert entry["n"] == board["counts"]["known"]
    assert row["n"] == board["counts"]["known"]  # nobody counts twice
    assert any("averages over 2 repeats of the cross-validation" in note for note in board["notes"])


def test_repeating_the_same_predictions_narrows_no_interval(
    clinic: Clinic, board: dict[str, Any], tmp_path: Path
) -> None:
    splits = pd.read_csv(clinic.out / "splits" / "splits.tsv", sep="\t")
    pd.concat([splits, splits.assign(repeat=1)]).to_csv(
        tmp_path / "splits.tsv", sep="\t", index=False
    )
    for model in clinic.config.models:
        table = read_class_predictions(clinic.out / "predictions" / f"{model.name}.tsv")
        twice = pd.concat([table, table.assign(repeat=1)])
        write_class_predictions(tmp_path / f"{model.name}.tsv", twice)
    again = evaluated(
        clinic.config,
        clinic,
        tmp_path / "e.json",
        splits=tmp_path / "splits.tsv",
        predictions=tmp_path,
    )
    for model in ("logistic", "itcfn"):
        ours, theirs = (rows_of(b)[model]["discrimination"] for b in (again, board))
        for key in ("value", "low", "high"):
            assert ours[key] == pytest.approx(theirs[key], abs=1e-9)


# --- synthesis


def test_measures_are_pooled_as_if_patients_were_in_one_list() -> None:
    first, second = np.array([0.1, 0.4, 0.3]), np.array([0.9, 0.5])
    parts = [
        {"mean": part.mean(), "sd": part.std(ddof=1), "n": len(part)} for part in (first, second)
    ]
    everybody = np.concatenate([first, second])
    found = pooled([*parts, {"mean": None, "sd": None, "n": 0}], 0.95)
    assert found["value"] == pytest.approx(everybody.mean())
    assert found["sd"] == pytest.approx(everybody.std(ddof=1))
    margin = 1.959964 * everybody.std(ddof=1) / np.sqrt(5)
    assert found["high"] - found["value"] == pytest.approx(margin, rel=1e-6)
    assert pooled([parts[0] | {"mean": None}], 0.95)["value"] is None


def test_gains_are_better_above_zero(clinic: Clinic, board: dict[str, Any]) -> None:
    (pet,) = board["synthesis"]
    folds = [
        read_json(path)["directions"]["pet"]["test"]
        for path in sorted((clinic.out / "synthesis").glob("*/synthesis.json"))
    ]
    assert pet["n"] == sum(fold["n"] for fold in folds) == clinic.truth.has_pet.sum() - 1
    for name, sign in (("masked_mae", -1), ("masked_ssim", 1)):
        differences = np.array(
            [
                sign
                * (
                    fold["measures"]["synthetic"][name]["mean"]
                    - fold["measures"]["training_mean"][name]["mean"]
                )
                for fold in folds
            ]
        )
        weights = np.array([fold["n"] for fold in folds], float)
        expected = corrected_t(differences, weights, 0.25, 0.95, (-np.inf, np.inf))
        found = pet["measures"][name]["over_training_mean"]
        assert found["value"] == pytest.approx(expected.value)
        assert found["low"] == pytest.approx(expected.low, rel=0.02)
        assert found["low"] > 0
    undefined = pet["measures"]["departure_correlation"]
    assert undefined["training_mean"]["value"] is None
    assert undefined["over_training_mean"]["reason"]


def test_only_the_folds_asked_for_are_measured_and_strange_files_are_refused(
    clinic: Clinic, tmp_path: Path
) -> None:
    told = read_json(clinic.out / "synthesis" / "r0f0" / "synthesis.json")
    write_json(tmp_path / "r0f0" / "synthesis.json", told)
    write_json(tmp_path / "r0f7" / "synthesis.json", told | {"fold": 7})  # of more folds once
    (only,) = collect_synthesis(tmp_path, ["r0f0"], 0.25, 0.95)
    assert only["folds"] == 1
    patient, error = next(iter(told["directions"]["pet"]["test"]["patients"].items()))
    assert error_of_patient(tmp_path, "r0f0", "pet", patient) == error["masked_mae"]
    assert error_of_patient(tmp_path, "r0f0", "pet", "nobody") is None
    assert error_of_patient(tmp_path, "r0f4", "pet", patient) is None
    write_json(tmp_path / "r0f1" / "synthesis.json", {"repeat": 0})
    with pytest.raises(UserInputError, match=r"r0f1.synthesis\.json: no measurements"):
        collect_synthesis(tmp_path, ["r0f0", "r0f1"], 0.25, 0.95)
    with pytest.raises(UserInputError, match=r"r0f2.synthesis\.json: no measurements"):
        collect_synthesis(tmp_path, ["r0f2"], 0.25, 0.95)


def test_folds_of_an_earlier_run_are_not_evaluated(clinic: Clinic, tmp_path: Path) -> None:
    shutil.copytree(clinic.out / "synthesis", tmp_path / "synthesis")
    told = read_json(clinic.out / "synthesis" / "r0f0" / "synthesis.json")
    write_json(tmp_path / "synthesis" / "r0f7" / "synthesis.json", told | {"fold": 7})
    found = evaluated(clinic.config, clinic, tmp_path / "e.json", synthesis=tmp_path / "synthesis")
    (pet,) = found["synthesis"]
    assert pet["folds"] == found["n_folds"]


def test_the_reference_is_clinical_and_its_comparators_are_models() -> None:
    models = [
        ModelConfig(name="logistic", kind="logistic"),
        ModelConfig(name="wider", kind="logistic"),
        ModelConfig(name="late", kind="late_fusion", options={"parts": ["logistic", "mri_cnn"]}),
        ModelConfig(name="mri_cnn", kind="mri_cnn"),
        ModelConfig(name="itcfn", kind="itcfn"),
        ModelConfig(name="shuffled", kind="logistic", permute_outcomes=True),
    ]
    assert [class_role(model, models, "logistic") for model in models] == [
        *("clinical", "unimodal", "late", "unimodal", "fusion", "control")
    ]
    assert class_role(models[3], models, "mri_cnn") == "unimodal"


# --- mistakes


def test_mistakes_are_told(clinic: Clinic, tmp_path: Path) -> None:
    def tried(config: Config, **paths: Path) -> None:
        evaluated(config, clinic, tmp_path / "e.json", **paths)

    survival = clinic.config.cohort.model_copy(update={"diagnosis": None})
    with pytest.raises(UserInputError, match=r"cohort\.diagnosis is not set"):
        tried(clinic.config.model_copy(update={"cohort": survival}))
    networks = [m for m in clinic.config.models if m.kind == "itcfn"]
    with pytest.raises(UserInputError, match="needs a row that reads the clinical table"):
        tried(clinic.config.model_copy(update={"models": networks}))
    with pytest.raises(UserInputError, match=r"site_only\.tsv: there are no predictions"):
        tried(clinic.config, predictions=tmp_path)
    with pytest.raises(UserInputError, match=r"truth\.tsv: no such table"):
        tried(clinic.config, truth=tmp_path / "truth.tsv")
    assert not (tmp_path / "e.json").exists()
