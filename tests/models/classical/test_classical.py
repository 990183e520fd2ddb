"""Elastic-net Cox, random survival forest and gradient boosting on pooled features."""

import logging
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sksurv.ensemble import GradientBoostingSurvivalAnalysis, RandomSurvivalForest
from sksurv.linear_model import CoxnetSurvivalAnalysis
from sksurv.metrics import concordance_index_censored
from sksurv.util import Surv

from estimator_fixture import fit, predict
from inputs_fixture import bags_in, changed, genes_in, inputs_of
from survfuse.artifacts.checkpoint import FittedModel, read_fitted, write_fitted
from survfuse.artifacts.follow_up import FollowUp
from survfuse.artifacts.prediction import Prediction
from survfuse.config.cohort import CohortConfig, Covariate
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.omics.matrix import OmicsMatrix
from survfuse.models.classical.boosting import fit_boosting
from survfuse.models.classical.cox import fit_cox
from survfuse.models.classical.elastic_net import coxnet_path, fit_coxnet, least_null_strength
from survfuse.models.classical.forest import at_event_times, fit_forest
from survfuse.models.classical.pooled import PooledFeatures, fit_pooled
from survfuse.models.classical.pooled_survival import logged_warnings
from survfuse.models.classical.trees import Forest, Trees, boosted_of, forest_of, stack_trees
from survfuse.models.classical.validation import held_out_gain, log_partial_likelihood
from survfuse.models.specs import estimator_of
from survfuse.splits.training_part import TrainingPart
from survfuse.tasks.survival.hazards import partial_nll
from training_fixture import bag, cohort

KINDS = ("coxnet", "rsf", "boosting")
SMALL = {"coxnet": {}, "rsf": {"trees": 20}, "boosting": {"trees": 40}}
AGE = {"age": Covariate(type="continuous")}


def row(kind: str, **options: object) -> ModelConfig:
    return ModelConfig(name=f"my_{kind}", kind=kind, options={**SMALL[kind], **options})


def config(covariates: dict[str, Covariate] | None = None) -> Config:
    return Config(
        name="test",
        output=Path("out"),
        cohort=CohortConfig(
            patients=Path("p.tsv"), covariates=AGE if covariates is None else covariates
        ),
        models=[
            ModelConfig(name="clinical_cox", kind="clinical_cox"),
            ModelConfig(name="control", kind="snn", permute_outcomes=True),
        ],
        training={"bins_months": [6, 12]},
        evaluation={"horizons_months": [12, 24, 36]},
    )


GRID = np.array(config().grid_months())


def part_of(ids: list[str], time: np.ndarray, event: np.ndarray, fold: int = 0) -> TrainingPart:
    """Every fourth patient belongs to the validation part."""
    role = np.where(np.arange(len(ids)) % 4 == 3, "validation", "train")
    return TrainingPart(0, fold, np.array(ids), role, FollowUp(time, event))


def simulated(
    n: int, p: int, seed: int = 0, effect: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x (n, p), times in tenths of months and therefore tied, events; column 0 is the hazard."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, p))
    time = generator.exponential(20 * np.exp(-effect * x[:, 0]))
    censoring = generator.uniform(2, 60, n)
    return x, np.minimum(time, censoring).round(1) + 0.1, time <= censoring


def genes_only(x: np.ndarray) -> CohortInputs:
    """A cohort whose genes are the columns of x, with an age that says nothing."""
    n, p = x.shape
    ids = [f"P{i}" for i in range(n)]
    matrix = OmicsMatrix(
        patient_ids=np.array(ids),
        features=np.array([f"G{i}" for i in range(p)]),
        values=x.astype(np.float32),
        groups=np.array(["all genes"]),
        group_offsets=np.array([0, p]),
        group_index=np.arange(p),
    )
    clinical = pd.DataFrame({"age": [str(50 + i % 7) for i in range(n)]}, index=ids)
    return inputs_of(clinical, {}, matrix)


def stored(kind: str, arrays: dict, described: dict, directory: Path) -> FittedModel:
    write_fitted(directory, kind, arrays, described)
    return read_fitted(directory)


def fit_and_predict(
    model: ModelConfig,
    inputs: CohortInputs,
    part: TrainingPart,
    patient_ids: list[str],
    directory: Path,
) -> tuple[FittedModel, Prediction]:
    """Through the files, as the stages do."""
    fitted = stored(model.kind, *fit(config(), model, part, inputs), directory)
    return fitted, predict(config(), model, fitted, inputs, patient_ids)


def harrell(time: np.ndarray, event: np.ndarray, risk: np.ndarray) -> float:
    return float(concordance_index_censored(event, time, risk)[0])


# Features


def test_pooled_features_by_hand() -> None:
    tiles = {"A": [[0.0, 5.0], [2.0, 5.0]], "B": [[4.0, 5.0]], "C": [[1.0, 5.0], [1.0, 5.0]]}
    bags = {name: bag(np.array(values), name) for name, values in tiles.items()}
    matrix = OmicsMatrix(
        patient_ids=np.array(["A", "B", "D"]),
        features=np.array(["G0", "G1", "G2"]),
        values=np.array([[1.0, 7.0, 9.0], [3.0, 7.0, 0.0], [8.0, 7.0, 4.0]], dtype=np.float32),
        groups=np.array(["one", "two"]),
        group_offsets=np.array([0, 2, 4]),
        group_index=np.array([0, 1, 0, 2]),  # G0 belongs to both
    )
    clinical = pd.DataFrame({"age": ["50", "70", "", "10"]}, index=list("ABCD"))
    inputs = inputs_of(clinical, bags, matrix)
    settings = config()
    omics = settings.omics.model_copy(update={"winsorise": 0.0})
    settings = settings.model_copy(update={"omics": omics})
    fitted = fit_pooled(inputs, list("ABC"), ("clinical", "omics", "slides"), settings)
    # The constant gene G1 and the constant dimension of the tiles are dropped.
    assert fitted.names == ("age", "G0", "G2", "slides 0")
    x = fitted.transform(inputs, list("ABCD"))
    age = [-1, 1, 0, -5]  # of those who have one in training: mean 60, deviation 10
    g0, g2 = [-1, 1, 0, 1], [1, -1, 0, -1 / 9]  # 2 ± 1, clipped at 3, and 4.5 ± 4.5; C has none
    np.testing.assert_allclose(x[:, :3], np.stack([age, g0, g2], axis=1), atol=1e-6)
    means = np.array([1.0, 4.0, 1.0])  # per patient, over tiles
    expected = (means - means.mean()) / means.std()
    np.testing.assert_allclose(x[:3, 3], expected, atol=1e-6)
    assert x[3, 3] == 0  # no slide


def test_columns_have_unit_variance_and_absent_modalities_are_the_training_mean() -> None:
    inputs, _, _ = cohort()
    ids = inputs.patients.index.tolist()
    reads = ("clinical", "omics", "slides")
    fitted = fit_pooled(inputs, ids, reads, config())
    x = fitted.transform(inputs, ids)
    assert x.shape == (60, 1 + 8 + 5)
    for modality, columns in zip(reads, ([0], range(1, 9), range(9, 14)), strict=True):
        has = inputs.available(modality, ids)
        block = x[:, list(columns)]
        assert not block[~has].any()
        np.testing.assert_allclose(block[has].mean(axis=0), 0, atol=1e-10)
        np.testing.assert_allclose(block[has].std(axis=0), 1, atol=1e-10)
    nothing = inputs.without(dict.fromkeys(reads, ids))
    assert not fitted.transform(nothing, ids).any()


def test_an_extreme_slide_is_held_within_ten_deviations() -> None:
    inputs, _, _ = cohort()
    ids = inputs.patients.index.tolist()
    fitted = fit_pooled(inputs, ids[1:], ("slides",), config())
    far = changed(inputs, bags={**bags_in(inputs), ids[0]: bag(np.full((4, 5), 1e3), ids[0])})
    assert fitted.transform(far, ids[:1]).tolist() == [[10.0] * 5]


def test_features_survive_storage(tmp_path: Path) -> None:
    inputs, _, _ = cohort()
    ids = inputs.patients.index.tolist()
    fitted = fit_pooled(inputs, ids, ("clinical", "omics", "slides"), config())
    read = stored("coxnet", fitted.arrays(), fitted.to_json(), tmp_path)
    again = PooledFeatures.from_stored(read.arrays, read.fit)
    np.testing.assert_array_equal(again.transform(inputs, ids), fitted.transform(inputs, ids))


def test_other_genes_than_those_of_the_fit_are_refused() -> None:
    inputs, _, _ = cohort()
    ids = inputs.patients.index.tolist()
    fitted = fit_pooled(inputs, ids, ("omics",), config({}))
    assert genes_in(inputs) is not None
    renamed = replace(genes_in(inputs), features=genes_in(inputs).features[::-1])
    fewer = replace(genes_in(inputs), group_offsets=np.array([0, 4, 7]), group_index=np.arange(7))
    for other in (renamed, fewer):
        with pytest.raises(UserInputError, match="not those that the model was fitted on"):
            fitted.transform(changed(inputs, omics=other), ids)
    with pytest.raises(UserInputError, match="genes that the model was fitted on are not there"):
        fitted.transform(inputs_of(inputs.patients, bags_in(inputs)), ids)


def test_a_modality_nobody_has_is_left_out_and_nothing_at_all_is_refused() -> None:
    inputs, _, _ = cohort()
    ids = inputs.patients.index.tolist()
    without = inputs.without({"slides": ids, "omics": ids})
    fitted = fit_pooled(without, ids, ("clinical", "omics", "slides"), config())
    assert fitted.modalities == ("clinical",)
    for reads, covariates in ((("slides",), AGE), (("clinical",), {})):
        with pytest.raises(UserInputError, match="none of"):
            fit_pooled(without, ids, reads, config(covariates))
    constant = inputs_of(without.patients.assign(age="60"))
    with pytest.raises(UserInputError, match="none of clinical"):
        fit_pooled(constant, ids, ("clinical",), config())


# Trees as arrays


def test_forest_equals_scikit_survival() -> None:
    x, time, event = simulated(150, 6)
    new = np.random.default_rng(1).normal(size=(80, 6))
    part = part_of([f"P{i}" for i in range(150)], time, event)
    forest, _ = fit_forest(x, part, 5, trees=25, min_samples_leaf=4)
    reference = RandomSurvivalForest(
        25, min_samples_leaf=4, max_features="sqrt", random_state=5, n_jobs=1
    ).fit(x, Surv.from_arrays(event, time))  # with all distinct times, censored ones too
    np.testing.assert_allclose(forest.risk(new), reference.predict(new), atol=1e-10)
    grid = np.linspace(0.05, time.max(), 50)
    expected = [
        [curve(t) if t >= time.min() else 1.0 for t in grid]
        for curve in reference.predict_survival_function(new)
    ]
    found = forest.survival(new, grid)
    np.testing.assert_allclose(found, np.array(expected), atol=1e-10)
    assert np.isnan(forest.survival(new, np.array([time.max() + 1]))).all()
    assert found.std(axis=0).max() > 0.1  # the comparison is not of constants


def test_boosting_equals_scikit_survival() -> None:
    x, time, event = simulated(150, 6)
    new = np.random.default_rng(1).normal(size=(80, 6))
    reference = GradientBoostingSurvivalAnalysis(
        n_estimators=30, max_depth=3, subsample=0.5, random_state=3
    ).fit(x, Surv.from_arrays(event, time))
    boosted = boosted_of(reference.estimators_[:, 0], 0.1, x, time, event)
    np.testing.assert_allclose(boosted.risk(new), reference.predict(new), atol=1e-10)
    grid = np.linspace(time.min(), time.max(), 50)
    expected = [curve(grid) for curve in reference.predict_survival_function(new)]
    np.testing.assert_allclose(boosted.survival(new, grid), np.array(expected), atol=1e-10)
    assert np.isnan(boosted.survival(new, np.array([time.max() + 1]))).all()
    assert boosted.risk(new).std() > 0.1


def test_a_value_at_a_threshold_goes_where_single_precision_sends_it() -> None:
    # Between whole numbers thresholds are halves, which single precision holds exactly.
    generator = np.random.default_rng(0)
    x = generator.integers(0, 9, size=(120, 3)).astype(float)
    _, time, event = simulated(120, 1)
    forest = RandomSurvivalForest(10, min_samples_leaf=3, random_state=0)
    forest.fit(x, Surv.from_arrays(event, time))
    near = generator.integers(0, 9, size=(200, 3)) + 0.5 + 1e-12
    trees = stack_trees(forest.estimators_)
    reached = np.stack([tree.tree_.apply(near.astype(np.float32)) for tree in forest.estimators_])
    np.testing.assert_array_equal(trees.leaves(near), reached.T + trees.root)
    np.testing.assert_allclose(
        forest_of(forest, time.max()).risk(near), forest.predict(near), atol=1e-10
    )
    assert (trees.leaves(near) != trees.leaves(near + 1e-3)).any()  # thresholds were met


def stump() -> Trees:
    """One split at 0.5, one tree without a split."""
    return Trees(
        root=np.array([0, 3]),
        feature=np.array([1, 0, 0, 0]),
        threshold=np.array([0.5, 0.0, 0.0, 0.0]),
        left=np.array([1, 1, 2, 3]),
        right=np.array([2, 1, 2, 3]),
    )


def test_a_forest_by_hand() -> None:
    x = np.array([[9.0, 0.5], [-9.0, 0.6]])
    assert stump().leaves(x).tolist() == [[1, 3], [2, 3]]
    forest = Forest(
        stump(),
        leaf_risk=np.array([99.0, 1.0, 3.0, 5.0]),
        step_start=np.array([0, 0, 2, 2, 3]),  # node 1 has two steps, node 2 none, node 3 one
        step_months=np.array([4.0, 10.0, 6.0]),
        step_survival=np.array([0.8, 0.2, 0.5]),
        last_months=np.array([12.0]),
    )
    assert forest.risk(x).tolist() == [3.0, 4.0]
    grid = np.array([3.0, 4.0, 6.0, 9.0, 10.0, 12.0, 12.5])
    one, two = [1, 0.8, 0.8, 0.8, 0.2, 0.2], [1, 1, 0.5, 0.5, 0.5, 0.5]
    survival = forest.survival(x, grid)
    np.testing.assert_allclose(survival[0, :6], (np.array(one) + two) / 2)
    np.testing.assert_allclose(survival[1, :6], (np.ones(6) + two) / 2)
    assert np.isnan(survival[:, 6]).all()


def test_censored_patients_stay_at_risk_for_the_same_events() -> None:
    time = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 5.0])
    event = np.array([False, True, False, False, True, False])
    moved = at_event_times(time, event)
    assert moved.tolist() == [1.0, 2.0, 2.0, 2.0, 5.0, 5.0]
    for moment in time[event]:
        np.testing.assert_array_equal(moved >= moment, time >= moment)


# Selection


def test_partial_likelihood_with_ties_equals_the_training_loss() -> None:
    x, time, event = simulated(60, 3)
    time = np.ceil(time / 5)
    found = log_partial_likelihood(x, time, event)
    for column in range(3):
        loss = partial_nll(
            torch.from_numpy(x[:, column]), torch.from_numpy(time), torch.from_numpy(event)
        )
        assert found[column] == pytest.approx(-float(loss) * event.sum(), abs=1e-9)


def test_held_out_gain_by_hand() -> None:
    time, event = np.array([1.0, 2.0, 3.0]), np.array([True, True, False])
    role = np.array(["validation", "train", "train"])
    part = TrainingPart(0, 0, np.array(list("ABC")), role, FollowUp(time, event))
    score = np.log([[4.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    # The validation patient has the first event, of three at risk: 4/6 in place of 1/3.
    np.testing.assert_allclose(held_out_gain(score, part), [np.log(4 / 6) - np.log(1 / 3), 0.0])


def test_the_strongest_penalty_is_the_one_at_which_a_path_starts() -> None:
    x, time, event = simulated(100, 5)
    x = x - x.mean(axis=0)
    path = CoxnetSurvivalAnalysis(n_alphas=3, l1_ratio=0.4).fit(x, Surv.from_arrays(event, time))
    assert least_null_strength(x, time, event) / 0.4 == pytest.approx(path.alphas_[0], rel=1e-9)


def test_coxnet_is_refitted_on_all_training_patients() -> None:
    x, time, event = simulated(120, 8)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    model, chosen = fit_coxnet(
        x, part_of([f"P{i}" for i in range(120)], time, event), 0, l1_ratio=0.5
    )
    reference = CoxnetSurvivalAnalysis(
        alphas=[chosen["strength"]], l1_ratio=0.5, fit_baseline_model=True
    ).fit(x, Surv.from_arrays(event, time))
    # The solver stops a little elsewhere when it comes from the stronger penalties of the path.
    np.testing.assert_allclose(model.coefficients, reference.coef_[:, 0], atol=2e-4)
    grid = np.linspace(time.min(), time.max(), 20)
    expected = [curve(grid) for curve in reference.predict_survival_function(x)]
    np.testing.assert_allclose(model.survival(x, grid), np.array(expected), atol=2e-4)
    assert chosen["selected"] == np.count_nonzero(model.coefficients) > 0
    assert chosen["held_out_gain"] > 0


def test_candidates_are_fitted_without_the_validation_patients() -> None:
    x, time, event = simulated(160, 8, effect=0.6)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    part = part_of([f"P{i}" for i in range(160)], time, event)
    train = part.role == "train"
    outcome = Surv.from_arrays(event[train], time[train])

    def gains(score: np.ndarray) -> np.ndarray:
        def above_chance(rows: np.ndarray) -> np.ndarray:
            both = np.column_stack([score[rows], np.zeros(rows.sum())])
            found = log_partial_likelihood(both, time[rows], event[rows])
            return found[:-1] - found[-1]

        return above_chance(train | ~train) - above_chance(train)

    _, chosen = fit_coxnet(x, part, 0, l1_ratio=0.5)
    strongest = CoxnetSurvivalAnalysis(n_alphas=2).fit(x[train], outcome).alphas_[0]
    path = CoxnetSurvivalAnalysis(alphas=strongest * np.geomspace(1, 0.01, 50))
    gain = gains(x @ path.fit(x[train], outcome).coef_)
    assert chosen["held_out_gain"] == pytest.approx(gain.max(), rel=1e-6)
    assert chosen["strength"] == pytest.approx(path.alphas[gain.argmax()], rel=1e-9)

    settings = {"learning_rate": 0.1, "subsample": 0.5, "max_depth": 2, "min_samples_leaf": 5}
    boosted, grown = fit_boosting(x, part, 7, trees=40, **settings)
    candidate = GradientBoostingSurvivalAnalysis(
        n_estimators=40, max_features=8, random_state=7, **settings
    ).fit(x[train], outcome)
    gain = gains(np.column_stack(list(candidate.staged_predict(x))))
    assert 0 < grown["trees"] == gain.argmax() + 1 < 40
    assert grown["held_out_gain"] == pytest.approx(gain.max())
    refitted = GradientBoostingSurvivalAnalysis(
        n_estimators=grown["trees"], max_features=8, random_state=7, **settings
    ).fit(x, Surv.from_arrays(event, time))
    np.testing.assert_allclose(boosted.risk(x), refitted.predict(x), atol=1e-10)


def reversed_for_the_validation_patients() -> tuple[np.ndarray, TrainingPart]:
    """What the training role teaches is the opposite of what holds in the validation role."""
    x, time, event = simulated(120, 1, effect=1.5)
    part = part_of([f"P{i}" for i in range(120)], time, event)
    return np.where(part.role[:, None] == "validation", -x, x), part


def test_where_nothing_helps_everybody_gets_the_same_curve() -> None:
    x, part = reversed_for_the_validation_patients()
    expected = fit_cox(np.empty((120, 0)), part.outcome.time_months, part.outcome.event)
    curve = expected.survival(np.empty((1, 0)), GRID)
    cox, chosen = fit_coxnet(x, part, 0, l1_ratio=0.5)
    assert not cox.coefficients.any()
    assert (chosen["strength"], chosen["selected"]) == (None, 0)
    boosted, grown = fit_boosting(
        x, part, 0, trees=20, learning_rate=0.1, subsample=0.5, max_depth=2, min_samples_leaf=5
    )
    assert grown["trees"] == 0
    for model in (cox, boosted):
        assert not model.risk(x).any()
        np.testing.assert_allclose(model.survival(x, GRID), np.repeat(curve, 120, axis=0))


@pytest.mark.parametrize("kind", ["coxnet", "boosting"])
def test_a_fold_in_which_nothing_helps_is_named(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    x, part = reversed_for_the_validation_patients()
    fit(config(), row(kind, modalities=["omics"]), replace(part, fold=2), genes_only(x))
    assert caplog.messages == [
        f"my_{kind} gained nothing on the validation patients of fold r0f2; everybody gets the "
        "same curve there"
    ]


def test_a_path_that_diverges_ends_earlier(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "survfuse")
    x, time, event = simulated(60, 4)
    fit = CoxnetSurvivalAnalysis.fit
    strengths = np.geomspace(0.3, 0.0003, 16)

    def fails_when_weak(self: CoxnetSurvivalAnalysis, *data: object) -> CoxnetSurvivalAnalysis:
        if np.min(self.alphas) < 0.005:
            raise ArithmeticError("weights are too large")
        return fit(self, *data)

    whole = coxnet_path(x, time, event, strengths, 0.5)
    monkeypatch.setattr(CoxnetSurvivalAnalysis, "fit", fails_when_weak)
    path = coxnet_path(x, time, event, strengths, 0.5)
    assert path.shape == (4, 9)  # 16, then 12, which is too many still, then 9
    np.testing.assert_allclose(path, whole[:, :9], atol=1e-6)
    assert "9 are tried" in caplog.text
    assert coxnet_path(x, time, event, np.full(2, 1e-3), 0.5).shape == (4, 0)
    assert coxnet_path(x * 0, time, event, np.zeros(3), 0.5).shape == (4, 0)


# Whole rows


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_through_its_files(kind: str, tmp_path: Path) -> None:
    inputs, time, event = cohort(n=120)
    ids = inputs.patients.index.tolist()
    part = part_of(ids[:90], time[:90], event[:90])
    fitted, predicted = fit_and_predict(row(kind), inputs, part, ids, tmp_path)
    assert fitted.fit["modalities"] == ["clinical", "omics", "slides"]
    assert fitted.fit["columns"][0] == "age"
    assert predicted.patient_ids == tuple(ids)
    assert predicted.risk.shape == (120,)
    assert predicted.members.shape == (1, 120, len(GRID))
    assert np.isfinite(predicted.risk).all()
    assert ((predicted.survival >= 0) & (predicted.survival <= 1)).all()
    assert (np.diff(predicted.survival, axis=1) <= 0).all()
    assert harrell(time[90:], event[90:], predicted.risk[90:]) > 0.65
    # Risk and survival tell the same story.
    assert np.corrcoef(predicted.risk, predicted.survival[:, GRID.tolist().index(12)])[0, 1] < -0.6


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_test_patients_enters_and_fits_repeat(kind: str) -> None:
    inputs, time, event = cohort(n=80)
    ids = inputs.patients.index.tolist()
    part = part_of(ids[:60], time[:60], event[:60])
    first, told = fit(config(), row(kind), part, inputs)
    assert genes_in(inputs) is not None
    values = genes_in(inputs).values.copy()
    values[60:] = 1e6
    changed = inputs_of(
        inputs.patients.assign(age=inputs.patients["age"].where(np.arange(80) < 60, "9999")),
        {
            name: bag(np.full((3, 5), 1e4), name) if name in ids[60:] else bags_in(inputs)[name]
            for name in bags_in(inputs)
        },
        replace(genes_in(inputs), values=values),
    )
    second, told_again = fit(config(), row(kind), part, changed)
    assert told == told_again
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], err_msg=name)
    other, _ = fit(config(), row(kind), replace(part, fold=1), inputs)
    same = [np.array_equal(other[name], value) for name, value in first.items()]
    assert all(same) == (kind == "coxnet")  # which alone draws no random numbers


@pytest.mark.parametrize("kind", KINDS)
def test_more_genes_than_patients_and_constant_columns(kind: str, tmp_path: Path) -> None:
    x, time, event = simulated(90, 1500, effect=2.0)
    x[:, 5:8] = 3.0
    inputs = genes_only(x)
    ids = inputs.patients.index.tolist()
    part = part_of(ids[:60], time[:60], event[:60])
    fitted, predicted = fit_and_predict(row(kind), inputs, part, ids, tmp_path)
    assert len(fitted.fit["columns"]) == 1 + 1497
    assert np.isfinite(predicted.risk).all()


@pytest.mark.parametrize("kind", KINDS)
def test_clinical_only(kind: str, tmp_path: Path) -> None:
    x, time, event = simulated(150, 1, effect=1.5)
    ids = [f"P{i}" for i in range(150)]
    clinical = pd.DataFrame({"age": (60 + 8 * x[:, 0]).round(1).astype(str)}, index=ids)
    part = part_of(ids[:100], time[:100], event[:100])
    inputs = inputs_of(clinical, {}, None)
    fitted, predicted = fit_and_predict(row(kind), inputs, part, ids[100:], tmp_path)
    assert fitted.fit["modalities"] == ["clinical"]
    assert harrell(time[100:], event[100:], predicted.risk) > 0.65


@pytest.mark.parametrize("kind", KINDS)
def test_the_option_modalities_decides_what_is_read(kind: str, tmp_path: Path) -> None:
    inputs, time, event = cohort()
    ids = inputs.patients.index.tolist()
    part = part_of(ids, time, event)
    model = row(kind, modalities=["slides", "clinical"])
    fitted, predicted = fit_and_predict(model, inputs, part, ids, tmp_path)
    assert fitted.fit["columns"] == [*(f"slides {d}" for d in range(5)), "age"]
    blind = predict(config(), model, fitted, inputs_of(inputs.patients, bags_in(inputs)), ids)
    np.testing.assert_array_equal(blind.risk, predicted.risk)


@pytest.mark.parametrize("kind", KINDS)
def test_the_option_covariates_decides_what_is_read(kind: str) -> None:
    inputs, time, event = cohort()
    other = [str(number % 5) for number in range(len(inputs.patients))]
    clinical = inputs.patients.assign(other=other)
    both = inputs_of(clinical, bags_in(inputs), genes_in(inputs))
    part = part_of(inputs.patients.index.tolist(), time, event)
    declared = config({name: Covariate(type="continuous") for name in ("age", "other")})
    read = {
        named: fit(declared, row(kind, modalities=["clinical"], **options), part, both)[1]
        for named, options in {"all": {}, "one": {"covariates": ["other"]}}.items()
    }
    assert read["all"]["columns"] == ["age", "other"]
    assert read["one"]["columns"] == ["other"]


def test_a_modality_that_is_asked_for_in_vain_is_named(caplog: pytest.LogCaptureFixture) -> None:
    inputs, time, event = cohort()
    part = part_of(inputs.patients.index.tolist(), time, event)
    bare = inputs_of(inputs.patients, bags_in(inputs))
    fit(config(), row("coxnet"), part, bare)
    assert "omics" not in caplog.text
    _, told = fit(config(), row("coxnet", modalities=["clinical", "omics"]), part, bare)
    assert "my_coxnet: no training patient has omics" in caplog.messages
    assert told["modalities"] == ["clinical"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_patient_with_nothing_is_the_mean_patient(kind: str, tmp_path: Path) -> None:
    inputs, time, event = cohort()
    ids = inputs.patients.index.tolist()
    part = part_of(ids, time, event)
    fitted, _ = fit_and_predict(row(kind), inputs, part, ids, tmp_path)
    hidden = inputs.without(dict.fromkeys(("clinical", "omics", "slides"), ids[:2]))
    bare = predict(config(), row(kind), fitted, hidden, ids[:2])
    assert bare.risk[0] == bare.risk[1]
    assert np.isfinite(bare.survival).all()
    if kind == "coxnet":
        assert bare.risk[0] == 0


def planted(shape: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """450 patients; the hazard depends on two genes, as a sum among 20 or as a product among 3."""
    generator = np.random.default_rng(4)
    x = generator.normal(size=(450, 20 if shape == "sum" else 3))
    log_ratio = x[:, 0] + x[:, 1] if shape == "sum" else 2.5 * np.sign(x[:, 0] * x[:, 1])
    time = generator.exponential(20 * np.exp(-log_ratio))
    censoring = generator.uniform(5, 80, 450)
    return x, np.minimum(time, censoring), time <= censoring


def test_known_truth_linear_for_coxnet_and_crossed_for_the_forest(tmp_path: Path) -> None:
    found = {}
    for shape in ("sum", "product"):
        x, time, event = planted(shape)
        inputs = genes_only(x)
        ids = inputs.patients.index.tolist()
        part = part_of(ids[:300], time[:300], event[:300])
        for kind in KINDS:
            model = row(kind, **({} if kind == "coxnet" else {"trees": 60, "min_samples_leaf": 5}))
            fitted, predicted = fit_and_predict(model, inputs, part, ids[300:], tmp_path)
            found[shape, kind] = harrell(time[300:], event[300:], predicted.risk)
            if (shape, kind) == ("sum", "coxnet"):
                strongest = {told["covariate"] for told in fitted.fit["hazard_ratios"][:2]}
                assert strongest == {"G0", "G1"}
                assert fitted.fit["hazard_ratios"][0]["hazard_ratio_per_sd"] > 1.3
    assert found["sum", "coxnet"] > 0.7
    assert found["sum", "rsf"] > 0.65
    assert found["sum", "boosting"] > 0.65
    assert found["product", "coxnet"] < 0.58
    assert found["product", "rsf"] > found["product", "coxnet"] + 0.1


# Options and warnings


def check(model: ModelConfig, covariates: dict[str, Covariate]) -> None:
    settings = config(covariates)
    estimator_of(model, settings).check(settings, model)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("coxnet", {"l1_ratio": 0.0}, r"l1_ratio must be a number from 0\.01 to 1\.0, found 0\.0"),
        ("coxnet", {"l1_ratio": True}, "l1_ratio must be a number"),
        ("coxnet", {"l1_ratio": float("nan")}, "l1_ratio must be a number"),
        ("coxnet", {"trees": 5}, "coxnet has no option 'trees'; its options are modalities, cov"),
        ("rsf", {"trees": 0}, "trees must be a whole number from 1"),
        ("rsf", {"trees": 10.0}, "trees must be a whole number"),
        ("rsf", {"min_samples_leaf": "10"}, "min_samples_leaf must be a whole number"),
        ("boosting", {"subsample": 1.5}, "subsample must be a number from 0.1 to 1.0, found 1.5"),
        ("boosting", {"max_depth": 0}, "max_depth must be"),
        ("boosting", {"learning_rate": -0.1}, "learning_rate must be"),
        ("rsf", {"modalities": ["genes"]}, "options.modalities must list"),
        ("rsf", {"modalities": []}, "options.modalities must list"),
        ("rsf", {"covariates": ["age"]}, "options.covariates must list columns that are declared"),
        ("rsf", {"covariates": "age"}, "options.covariates must list"),
    ],
)
def test_options_are_refused_with_a_reason(kind: str, options: dict, message: str) -> None:
    with pytest.raises(UserInputError, match=message) as refused:
        check(ModelConfig(name="mine", kind=kind, options=options), {})
    assert str(refused.value).startswith("models.mine: ")


def test_options_that_fit_are_accepted() -> None:
    check(row("coxnet", l1_ratio=1, covariates=["age"]), AGE)
    check(row("rsf", trees=50, modalities=["omics"]), AGE)
    check(row("boosting", learning_rate=0.05, max_depth=3), AGE)


def test_warnings_of_libraries_go_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with warnings.catch_warnings(record=True) as shown, caplog.at_level(logging.INFO):
        warnings.simplefilter("always")
        with logged_warnings("mine"):
            for _ in range(3):
                warnings.warn("terminated early", RuntimeWarning, stacklevel=1)
    assert not shown
    assert caplog.messages == ["mine: terminated early"]
    assert caplog.records[0].levelno == logging.INFO  # none of the terminal's business
