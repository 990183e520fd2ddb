"""Diagnoses: volumes as inputs, rows of all kinds, thresholds, and what nobody may see."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from diagnosis_fixture import TESTED, TRAINED, config, fitted_and_predicted
from inputs_fixture import changed, fitting_config, inputs_of, volumes_in
from survfuse.artifacts.checkpoint import write_fitted
from survfuse.artifacts.follow_up import FollowUp
from survfuse.artifacts.prediction import ClassPrediction
from survfuse.artifacts.study import SurvivalOutcome
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.config.synthesis import SynthesisConfig
from survfuse.core.errors import UserInputError
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.scaling import fit_scalers
from survfuse.modalities.volumes.measures import measure_names, measures, read_voxels
from survfuse.models.classical.logistic import fit_logistic, of_penalty, probabilities, settled
from survfuse.models.specs import fit_settings
from survfuse.splits.training_part import TrainingPart
from survfuse.statistics.censoring import share_by
from survfuse.tasks.diagnosis.classes import conversion_label
from survfuse.tasks.diagnosis.learning.average import AVERAGE
from survfuse.tasks.diagnosis.learning.targets import training_classes
from survfuse.tasks.diagnosis.outcomes import Classes
from survfuse.tasks.diagnosis.thresholds import threshold_of, threshold_patients
from survfuse.training.neural import prepare
from survfuse.training.predict import Fitted, predict_fold
from survfuse.training.stage import check_models, fit_row, train_fold
from survfuse.training.tokens import token_source
from volume_fixture import AFFINE, SHAPE, clinic, part_of

NAMES = ("stable", "converted")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[CohortInputs, np.ndarray]:
    return clinic(tmp_path_factory.mktemp("volumes"))


def auroc(prediction: ClassPrediction, label: np.ndarray) -> float:
    known = label[TESTED] >= 0
    score, case = prediction.probability[known, 1], label[TESTED][known] == 1
    wins = score[case][:, None] - score[~case][None, :]
    return float((0.5 * (1 + np.sign(wins))).mean())


@pytest.mark.parametrize(
    "row",
    [
        {"name": "volumes", "kind": "logistic", "options": {"modalities": ["clinical", "mri"]}},
        {"name": "stack", "kind": "survfuse", "options": {"modalities": ["clinical", "mri"]}},
        {"name": "cnn", "kind": "mri_cnn"},
        {"name": "itcfn", "kind": "itcfn"},
    ],
    ids=lambda row: row["name"],
)
def test_rows_find_what_is_planted_in_volumes(
    row: dict[str, object], cohort: tuple[CohortInputs, np.ndarray], tmp_path: Path
) -> None:
    inputs, label = cohort
    prediction, _ = fitted_and_predicted(row, inputs, label, tmp_path)
    torch.testing.assert_close(prediction.probability.sum(axis=1), np.ones(len(TESTED)))
    assert 0 < prediction.threshold < 1
    if row["kind"] != "itcfn":  # which needs more than 36 patients
        assert auroc(prediction, label) > 0.85
    lacking = np.array([i % 3 == 0 for i in TESTED])
    expected = lacking if row["kind"] == "itcfn" else np.zeros(len(TESTED), bool)
    assert prediction.synthesised.tolist() == expected.tolist()


def test_a_late_fusion_is_the_mean_of_its_parts(
    cohort: tuple[CohortInputs, np.ndarray], tmp_path: Path
) -> None:
    inputs, label = cohort
    late = {"name": "late", "kind": "late_fusion", "options": {"parts": ["logistic", "volumes"]}}
    volumes = {"name": "volumes", "kind": "logistic", "options": {"modalities": ["mri"]}}
    settings = config([volumes, late])
    fold = Fitted(settings, tmp_path / "models", "r0f0", "cpu")
    ids = [f"B{i:03d}" for i in TESTED]
    found, held_out = {}, {}
    part = part_of(label, TRAINED)
    validation = part.patient_ids[threshold_patients(part)].tolist()
    for model in settings.models:
        tensors, described = fit_row(model, part, inputs, fold, tmp_path, "key")
        key = fit_settings(model, settings)
        where = tmp_path / "models" / model.name / "r0f0"
        write_fitted(where, model.kind, tensors, {**described, "settings": key})
        found[model.name] = predict_fold(model.name, fold, inputs, ids).probability
        held_out[model.name] = predict_fold(model.name, fold, inputs, validation, held_out=True)
    np.testing.assert_allclose(found["late"], (found["logistic"] + found["volumes"]) / 2)
    mean = (held_out["logistic"].probability + held_out["volumes"].probability) / 2
    assert held_out["late"].threshold == pytest.approx(threshold_of(mean, part)[0])
    # The validation patients train the models that predict, but not those that choose the
    # threshold.
    for name in ("logistic", "volumes"):
        assert held_out[name].threshold == pytest.approx(
            threshold_of(held_out[name].probability, part)[0]
        )
        learned = predict_fold(name, fold, inputs, validation).probability
        assert np.abs(held_out[name].probability - learned).max() > 1e-3


def test_unknown_labels_change_nothing_that_is_fitted(
    cohort: tuple[CohortInputs, np.ndarray],
) -> None:
    """Who is of unknown class is no example of any."""
    part = part_of(cohort[1], TRAINED)
    known = part.outcome.label != -1
    assert not known.all()
    x = np.random.default_rng(0).normal(size=(len(TRAINED), 3))
    weights, *_ = fit_logistic(x, part, 0.5)
    again, *_ = fit_logistic(x[known], part.only(known), 0.5)
    np.testing.assert_allclose(weights["coefficients"], again["coefficients"])
    targets = training_classes(part.outcome.label, 2, part.role == "train", part.outcome.weight())
    counts = np.bincount(part.outcome.label[(part.role == "train") & known], minlength=2)
    np.testing.assert_allclose(np.exp(targets.marginal), counts / counts.sum())
    assert (targets.class_weight * np.exp(targets.marginal)).sum() == pytest.approx(1)


def censored_part(n: int = 300) -> tuple[np.ndarray, TrainingPart]:
    """One covariate (n, 1) that shortens the time to the event, about 40 % censored before 36."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(n, 1))
    months, left = rng.exponential(60 * np.exp(-x[:, 0])), rng.exponential(60, n)
    time, event = np.minimum(np.minimum(months, left), 72.0), months <= np.minimum(left, 72)
    label = conversion_label(time, event, 36.0)
    role = np.where(np.arange(n) % 4 == 0, "validation", "train")
    ids = np.arange(n).astype(str)
    classes = Classes(label, NAMES, FollowUp(time, event), 36.0)
    return x, TrainingPart(0, 0, ids, role, classes)


def test_patients_of_a_part_count_by_the_inverse_probability_of_censoring() -> None:
    """Horizon 4: one of 5 censored at 1, an event at 2, and one of 3 censored at 3."""
    nothing, roles = np.arange(5).astype(str), np.array(["train"] * 5)
    time, event = np.array([1.0, 2.0, 3.0, 4.0, 9.0]), np.array([0, 1, 0, 0, 1], bool)
    label = conversion_label(time, event, 4.0)
    part = TrainingPart(0, 0, nothing, roles, Classes(label, NAMES, FollowUp(time, event), 4.0))
    expected = [np.nan, 1 / 0.8, np.nan, 1 / (0.8 * 2 / 3), 1 / (0.8 * 2 / 3)]
    np.testing.assert_allclose(part.outcome.weight(), expected)
    assert np.nansum(part.outcome.weight()) == pytest.approx(5)
    assert replace(part.outcome, horizon_months=None).weight().tolist() == [1.0] * 5
    # 1.25 converted and 3.75 stable of 5: the network's frequencies, and the average's.
    targets = training_classes(part.outcome.label, 2, roles == "train", part.outcome.weight())
    np.testing.assert_allclose(np.exp(targets.marginal), [0.75, 0.25])
    np.testing.assert_allclose(targets.class_weight, [1 / 1.5, 1 / 0.5])
    np.testing.assert_allclose(
        targets.patient_weight[[1, 3, 4]], np.array([1.25, 1.875, 1.875]) * 0.6
    )
    assert np.isnan(targets.patient_weight[[0, 2]]).all()
    assert AVERAGE.fit(part)["shares"].tolist() == pytest.approx([0.75, 0.25])


def test_a_weighted_regression_is_that_of_another_library_and_right_for_all() -> None:
    x, part = censored_part()
    known, weight = part.outcome.label >= 0, part.outcome.weight()
    assert 0.3 < (~known).mean() < 0.5
    weights, chosen, _ = fit_logistic(x, part, 0.0)
    other = LogisticRegression(C=1 / (chosen["penalty"] * weight[known].sum()), tol=1e-8)
    other.fit(x[known], part.outcome.label[known], sample_weight=weight[known])
    ours = probabilities(x, **weights)[:, 1]
    np.testing.assert_allclose(ours, other.predict_proba(x)[:, 1], atol=5e-3)
    followed = part.outcome.follow_up
    share = share_by(SurvivalOutcome(followed.time_months, followed.event), 36.0, 0.95).value
    assert np.average(ours[known], weights=weight[known]) == pytest.approx(share)
    plain = replace(part, outcome=replace(part.outcome, horizon_months=None))
    unweighted = probabilities(x, **fit_logistic(x, plain, 0.0)[0])[:, 1]
    assert unweighted.mean() > share + 0.05


def test_where_a_penalty_leaves_nothing_everybody_gets_kaplan_meiers_share() -> None:
    """All coefficients are 0, and the solver stops before the intercept is right."""
    _, part = censored_part(90)
    x = np.random.default_rng(1).normal(size=(90, 5))
    known, weight = part.outcome.label >= 0, part.outcome.weight()
    alone = of_penalty(x, part.outcome.label, weight, known, 2, 30.0, 0.5)
    assert not alone["coefficients"].any()
    followed = part.outcome.follow_up
    share = share_by(SurvivalOutcome(followed.time_months, followed.event), 36.0, 0.95).value
    fitted = settled(alone, x[known], part.outcome.label[known], weight[known])
    np.testing.assert_allclose(probabilities(x, **fitted)[:, 1], share)


def test_without_a_horizon_a_regression_is_the_unweighted_one_to_the_last_bit() -> None:
    """The intercept excepted, which is taken to its minimum."""
    x, part = censored_part()
    plain = replace(part, outcome=replace(part.outcome, horizon_months=None))
    weights, chosen, _ = fit_logistic(x, plain, 0.5)
    known = part.outcome.label >= 0
    other = LogisticRegression(
        solver="saga", l1_ratio=0.5, C=1 / (chosen["penalty"] * known.sum()), max_iter=2000,
        tol=1e-4, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other.fit(x[known], part.outcome.label[known])
    assert weights["coefficients"][1].tolist() == other.coef_[0].tolist()
    said = probabilities(x[known], **weights)[:, 1].mean()
    assert said == pytest.approx(np.mean(part.outcome.label[known] == 1), abs=1e-9)


def test_logistic_regression_agrees_with_statistics() -> None:
    """With next to no penalty it is the maximum likelihood of an independent implementation."""
    from survfuse.statistics.probabilities import logistic_fit

    rng = np.random.default_rng(1)
    x = rng.normal(size=(400, 1))
    label = (rng.random(400) < 1 / (1 + np.exp(-1.2 * x[:, 0] + 0.4))).astype(np.int64)
    role = np.array(["train", "validation"] * 200)
    part = TrainingPart(0, 0, np.arange(400).astype(str), role, Classes(label, NAMES))
    weights, chosen, _ = fit_logistic(x, part, 0.0)
    assert chosen["penalty"] < 0.1
    fitted = probabilities(x, **weights)[:, 1]
    design = np.column_stack([np.ones(400), x[:, 0]])
    reference, _ = logistic_fit(design, np.zeros(400), label)
    expected = 1 / (1 + np.exp(-design @ reference))
    assert np.abs(fitted - expected).max() < 0.05


def test_three_classes_have_no_threshold() -> None:
    rng = np.random.default_rng(2)
    label = np.arange(90) % 3
    x = np.eye(3)[label] + rng.normal(0, 0.5, (90, 3))
    role = np.where(np.arange(90) % 4 == 0, "validation", "train")
    part = TrainingPart(0, 0, np.arange(90).astype(str), role, Classes(label, ("a", "b", "c")))
    weights, _, others = fit_logistic(x, part, 0.5)
    p, held_out = probabilities(x, **weights), probabilities(x, **others)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    assert (p.argmax(axis=1) == label).mean() > 0.8 and held_out.shape == (90, 3)
    assert np.isnan(threshold_of(held_out[threshold_patients(part)], part)).all()
    assert np.isfinite(
        threshold_of(held_out[threshold_patients(part)][:, :2], part)
    ).all()  # of two it has one


def test_a_network_stores_the_threshold_of_its_validation_predictions(
    cohort: tuple[CohortInputs, np.ndarray], tmp_path: Path
) -> None:
    inputs, label = cohort
    prediction, fold = fitted_and_predicted(
        {"name": "cnn", "kind": "mri_cnn"}, inputs, label, tmp_path
    )
    part = part_of(label, TRAINED)
    held_out = predict_fold(
        "cnn", fold, inputs, part.patient_ids[threshold_patients(part)].tolist()
    )
    assert prediction.threshold == pytest.approx(threshold_of(held_out.probability, part)[0])


def test_synthetic_volumes_stand_in_only_where_the_real_one_is_not_shown(
    cohort: tuple[CohortInputs, np.ndarray],
) -> None:
    inputs, _ = cohort
    both = {**volumes_in(inputs)["synthetic_pet"], "B001": volumes_in(inputs)["mri"]["B001"]}
    inputs = changed(inputs, volumes={**volumes_in(inputs), "synthetic_pet": both})
    ids, modalities = ["B000", "B001", "B002"], ("mri", "pet")
    scalers = fit_scalers(inputs, ids, modalities, fitting_config())
    source = token_source(inputs, ids, modalities, scalers, synthesised=True)
    batch = source.batch([0, 1, 2])
    assert batch.modalities == ("mri", "pet", "synthetic_pet")
    assert batch.available.tolist() == [
        [True, False, True],  # has no PET
        [True, True, False],  # has both: the real one counts
        [True, True, False],
    ]
    np.testing.assert_array_equal(
        batch.tokens["mri"][1, 0], read_voxels(volumes_in(inputs)["mri"]["B001"], SHAPE)
    )
    hidden = np.array([[False, True]] * 3)
    assert source.batch([0, 1, 2], hidden=hidden).available[:, 2].tolist() == [True, True, False]
    # What was made from a hidden MRI is hidden with it.
    hidden = np.array([[True, False], [True, True], [False, False]])
    assert source.batch([0, 1, 2], hidden=hidden).available[:, 2].tolist() == [False] * 3
    assert not inputs.without({"mri": ["B000"]}).available("synthetic_pet", ids).any()
    assert source.synthesised().tolist() == [True, False, False]
    plain = token_source(inputs, ids, modalities, scalers).batch([0])
    assert plain.modalities == modalities
    assert inputs.without({"pet": ["B001"]}).available("synthetic_pet", ids).tolist() == [
        True, True, False,
    ]  # fmt: skip


def test_measures_by_hand(cohort: tuple[CohortInputs, np.ndarray]) -> None:
    path = volumes_in(cohort[0])["mri"]["B000"]
    found = dict(zip(measure_names("mri"), measures(path), strict=True))
    voxels = read_voxels(path, SHAPE).reshape(SHAPE)
    place = np.indices(SHAPE) - np.array(SHAPE).reshape(3, 1, 1, 1) / 2
    mask = (place**2).sum(axis=0) < 49
    assert found["mri brain volume"] == pytest.approx(mask.sum() * abs(np.linalg.det(AFFINE)) / 1e3)
    block = (slice(6, 11), slice(5, 10), slice(6, 11))  # 16 = 6 + 5 + 5, 18 = 5 + 5 + 4 + 4
    inside = voxels[block][mask[block]]
    assert found["mri mean of block 1-1-1"] == pytest.approx(inside.mean(), abs=1e-6)
    assert found["mri dark share of block 1-1-1"] == pytest.approx((inside < -0.5).mean())


def test_volumes_on_other_grids_are_refused(cohort: tuple[CohortInputs, np.ndarray]) -> None:
    with pytest.raises(UserInputError, match="has 16x18x16 voxels, other volumes 16x16x16"):
        read_voxels(volumes_in(cohort[0])["mri"]["B000"], (16, 16, 16))


@pytest.mark.parametrize("kind", ["clinical_cox", "survpath", "rsf"])
def test_rows_that_estimate_survival_are_refused(kind: str) -> None:
    with pytest.raises(UserInputError, match=f"{kind} is not made for.*logistic"):
        check_models(config([{"name": "other", "kind": kind}]))


@pytest.mark.parametrize(
    ("section", "wrong", "told"),
    [
        ("imaging", {"normalise": False}, r"imaging\.normalise is false, but models\.cnn"),
        ("imaging", {"reorient": False}, r"imaging\.reorient is false.*models\.cnn"),
        ("training", {"loss": "cox"}, r"training\.loss is cox"),
    ],
)
def test_settings_that_would_not_be_honoured_are_refused(
    section: str, wrong: dict[str, object], told: str
) -> None:
    settings = config([{"name": "cnn", "kind": "mri_cnn"}])
    changed = getattr(settings, section).model_copy(update=wrong)
    with pytest.raises(UserInputError, match=told):
        check_models(settings.model_copy(update={section: changed}))
    check_models(settings)


def test_volumes_that_nobody_reads_may_be_prepared_as_they_are() -> None:
    settings = config([])
    as_they_are = settings.imaging.model_copy(update={"normalise": False, "reorient": False})
    settings = settings.model_copy(update={"imaging": as_they_are})
    check_models(settings)
    with pytest.raises(UserInputError, match="but synthesis reads volumes"):
        check_models(settings.model_copy(update={"synthesis": SynthesisConfig()}))
    volumes = {"name": "v", "kind": "logistic", "options": {"modalities": ["pet"]}}
    with pytest.raises(UserInputError, match=r"but models\.v reads volumes"):
        check_models(config([volumes]).model_copy(update={"imaging": as_they_are}))


def test_a_logistic_row_is_refused_where_survival_is_asked() -> None:
    settings = Config.model_validate(
        {
            "name": "x",
            "output": "x",
            "cohort": {"patients": "p.tsv", "covariates": {"age": {"type": "continuous"}}},
            "models": [ModelConfig(name="clinical_cox", kind="logistic")],
        }
    )
    with pytest.raises(UserInputError, match=r"cohort\.diagnosis is not set"):
        check_models(settings)
    nowhere = Path("nowhere")  # refused before a file is opened
    paths = InputPaths(nowhere / "splits.tsv", nowhere / "clinical.tsv")
    with pytest.raises(UserInputError, match=r"cohort\.diagnosis is not set"):
        train_fold(settings, "clinical_cox", nowhere / "r0f0", paths, nowhere / "models")


def test_without_a_column_that_varies_everybody_gets_the_frequencies() -> None:
    part = part_of(np.array([0, 0, 0, 1, -1, 0, 0, 1]), np.arange(8))
    weights, *_ = fit_logistic(np.zeros((8, 0)), part, 0.5)
    np.testing.assert_allclose(probabilities(np.zeros((3, 0)), **weights), [[5 / 7, 2 / 7]] * 3)


@pytest.mark.parametrize("kind", ["mri_cnn", "itcfn"])
def test_the_same_networks_estimate_survival(
    kind: str, cohort: tuple[CohortInputs, np.ndarray], tmp_path: Path
) -> None:
    """Whoever is followed for less than the horizon is censored: he has a time, and no class."""
    inputs, label = cohort
    rng = np.random.default_rng(4)
    time = rng.exponential(np.where(label == 1, 15.0, 60.0)) + 0.5
    event = time < 40
    part = part_of(label, TRAINED)
    part = replace(part, outcome=FollowUp(np.minimum(time, 40)[TRAINED], event[TRAINED]))
    plain = config([{"name": "net", "kind": kind}], min_events_per_bin=3, bins_months=[12, 36])
    cohort_section = plain.cohort.model_copy(update={"diagnosis": None})
    settings = plain.model_copy(update={"cohort": cohort_section})
    assert settings.task == "survival"
    model = settings.models[1]
    fold = Fitted(settings, tmp_path / "models", "r0f0", "cpu")
    tensors, described = fit_row(model, part, inputs, fold, tmp_path / "scratch", "key")
    key = fit_settings(model, settings)
    write_fitted(tmp_path / "models/net/r0f0", kind, tensors, {**described, "settings": key})
    prediction = predict_fold("net", fold, inputs, [f"B{i:03d}" for i in TESTED])
    assert np.isfinite(prediction.risk).all() and np.ptp(prediction.risk) > 0
    curves = prediction.survival
    assert ((curves >= 0) & (curves <= 1)).all() and (np.diff(curves, axis=1) <= 1e-9).all()


def test_who_is_of_unknown_class_decides_nothing_about_masking(
    cohort: tuple[CohortInputs, np.ndarray],
) -> None:
    """100 of known class of whom 20 lack PET, 50 of unknown class of whom 40 do.

    Nobody learns from the latter, and their lack of PET says nothing of a class.
    """
    inputs, _ = cohort
    n, known = 150, np.arange(150) < 100
    lacks = np.where(known, np.arange(n) % 5 == 0, np.arange(n) % 5 != 0)
    assert (lacks[known].sum(), lacks[~known].sum()) == (20, 40)
    ids = [f"B{i:03d}" for i in range(n)]
    mri, pet = (volumes_in(inputs)[image]["B001"] for image in ("mri", "pet"))
    volumes = {
        "mri": dict.fromkeys(ids, mri),
        "pet": dict.fromkeys((who for who, gone in zip(ids, lacks, strict=True) if not gone), pet),
    }
    clinical = pd.DataFrame({"age": [str(50 + i % 40) for i in range(n)]}, index=ids)
    label = np.where(known, np.arange(n) // 5 % 2, -1)  # PET says nothing of the class either
    settings = config([{"name": "itcfn", "kind": "itcfn"}], modality_dropout=0.0)
    role = np.full(n, "train")
    part = TrainingPart(0, 0, np.array(ids), role, Classes(label, NAMES))
    made = inputs_of(clinical, {}, None, volumes)
    masking = prepare(settings, settings.models[1], part, made).run.masking
    column = masking.modalities.index("pet")
    shown = np.mean(
        [~masking.draw(np.random.default_rng(seed))[:, column] & ~lacks for seed in range(40)],
        axis=0,
    )
    for number in (0, 1):
        assert shown[label == number].mean() == pytest.approx(0.8, abs=0.02)
    assert masking.worst[column] == pytest.approx(0.2, abs=0.01)
    assert not masking.warnings
