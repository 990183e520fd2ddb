"""The row `stack`: parts are weighed by what they say of patients that they have not seen."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from estimator_fixture import fit, predict
from inputs_fixture import inputs_of
from protocol_fixture import FOLDS, Driver, configuration
from survfuse.artifacts.checkpoint import FittedModel, read_fitted, write_fitted
from survfuse.artifacts.follow_up import FollowUp
from survfuse.artifacts.prediction import Prediction
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json
from survfuse.models.estimator import FitContext, NothingToLearnError, OtherRows, Refit
from survfuse.models.specs import estimator_of, reads_of, repeats_of
from survfuse.models.stacking import stack
from survfuse.models.stacking.stack import (
    PartPrediction,
    cross_fitted_scores,
    log_hazard,
    sets_of_parts,
)
from survfuse.splits.training_part import TrainingPart
from survfuse.training import stage
from survfuse.training.predict import predict_model
from survfuse.training.stage import train_fold
from training_fixture import cohort

N = 60
PARTS = {
    "age": {"kind": "clinical_cox"},
    "genes": {"kind": "survfuse", "options": {"modalities": ["omics"]}},
    "tiles": {"kind": "survfuse", "options": {"modalities": ["slides"]}},
}


def configured(*parts: str, **changes: object) -> Config:
    cohort = {"patients": "unused.tsv", "covariates": {"age": {"type": "continuous"}}}
    rows = [{"name": name, **row} for name, row in PARTS.items()]
    own = {"name": "stack", "kind": "stack", "options": {"parts": list(parts)}, **changes}
    given = {"name": "x", "output": "unused", "cohort": cohort, "models": [*rows, own]}
    return Config.model_validate({**given, "evaluation": {"reference": "age"}})


def part_of(time: np.ndarray, event: np.ndarray) -> TrainingPart:
    ids = np.array([f"P{number:03d}" for number in range(len(time))])
    role = np.where(np.arange(len(time)) % 5 == 0, "validation", "train")
    return TrainingPart(0, 0, ids, role, FollowUp(time, event))


class Rows:
    """Rows that can be asked, fitted for real; how many fits were made of each."""

    def __init__(self, config: Config, part: TrainingPart, inputs, nothing: Sequence[str] = ()):
        self.config, self.inputs, self.nothing = config, inputs, nothing
        self.models = {model.name: model for model in config.models}
        self.fits: list[tuple[str, int]] = []
        named = [name for name in config.models[-1].options["parts"] if name not in nothing]
        self.whole = {name: self.refit(name, part) for name in named}

    def refit(self, name: str, part: TrainingPart) -> Refit:
        if name in self.nothing:
            raise NothingToLearnError("nobody has any")
        model, ids = self.models[name], part.patient_ids.tolist()
        self.fits.append((name, len(ids)))
        stored = FittedModel(model.kind, *fit(self.config, model, part, self.inputs.only(set(ids))))
        said = partial(predict, self.config, model, stored, self.inputs)
        return Refit(said, reads_of(model, self.config.models))

    @property
    def others(self) -> OtherRows:
        def ask(name: str, ids: Sequence[str], _held_out: bool) -> Prediction:
            if name in self.whole:
                return self.whole[name].predict(ids)
            curve = np.full((1, len(ids), len(self.config.grid_months())), 0.5)
            return Prediction(tuple(ids), np.zeros(len(ids)), curve)

        return OtherRows(ask, lambda name: self.whole[name].read if name in self.whole else [])


def fitted_stack(rows: Rows, part: TrainingPart) -> FittedModel:
    config = rows.config
    stored = fit(config, config.models[-1], part, rows.inputs, rows.others, rows.refit)
    return FittedModel("stack", *stored)


def ask(rows: Rows, fitted: FittedModel, inputs, ids: Sequence[str]) -> Prediction:
    others = OtherRows(
        lambda name, ids, _: predict(
            rows.config,
            rows.models[name],
            rows.whole[name].predict.args[2],
            inputs,
            ids,
        ),
        rows.others.read,
    )
    return predict(rows.config, rows.config.models[-1], fitted, inputs, ids, others)


def test_the_score_of_a_cox_model_is_its_log_hazard() -> None:
    inputs, time, event = cohort(n=N)
    config, part = configured("age", "genes"), part_of(time, event)
    rows = Rows(config, part, inputs)
    said = rows.whole["genes"].predict(part.patient_ids.tolist())
    months = stack.common_months([said.survival])
    assert 0 < months == (np.array(config.grid_months()) <= time.max()).sum()
    difference = log_hazard(said.survival, months) - said.risk
    np.testing.assert_allclose(difference, difference[0], atol=1e-9)


def test_scores_by_hand() -> None:
    """Relative to the patients of whom the fit has read anything."""
    survival = np.exp(-np.array([[1.0], [2.0], [5.0], [4.0]]))
    first = PartPrediction(survival, np.array([True, True, False, True]))
    scores, centre = first.scores(1)
    assert centre == pytest.approx(np.log(2))
    np.testing.assert_allclose(scores, np.log([0.5, 1, 1, 2]), atol=1e-12)
    flat = PartPrediction(np.ones((4, 1)), np.zeros(4, dtype=bool))
    assert flat.scores(1)[0].tolist() == [0.0] * 4
    folds = np.array([1, 1, 0, 0])
    found, known = cross_fitted_scores([[first, flat]], folds, 1)
    np.testing.assert_allclose(found[:, 0], [0, 0, 0, np.log(2)], atol=1e-12)
    assert known[:, 0].tolist() == [False, False, False, True]


def test_curves_are_compared_where_all_of_them_are_known() -> None:
    whole, short = np.ones((2, 4)), np.array([[1.0, 0.9, np.nan, np.nan]])
    assert (stack.common_months([whole]), stack.common_months([whole, short])) == (4, 2)
    with pytest.raises(NothingToLearnError, match="no time at which"):
        stack.common_months([whole, np.full((1, 4), np.nan)])
    assert log_hazard(np.array([[1.0], [0.0]]), 1) == pytest.approx(np.log([1e-6, -np.log(1e-12)]))


def test_what_a_patient_can_have_of_parts() -> None:
    sets = sets_of_parts([("clinical",), ("omics", "clinical"), ("omics",), ()])
    assert sets.tolist() == [
        [False, False, False, False],
        [False, True, True, False],
        [True, True, False, False],
        [True, True, True, False],
    ]


def made_up(risks: dict[str, np.ndarray]) -> Callable[..., Refit]:
    """Rows that know the log-hazards of patients P000, P001, ... whatever they are fitted on."""

    def said(name: str, ids: Sequence[str]) -> Prediction:
        rows = [int(who[1:]) for who in ids]
        curve = np.exp(-0.02 * np.exp(risks[name][rows])[:, None] * np.arange(1, 27))
        return Prediction(tuple(ids), risks[name][rows], curve[None])

    return lambda name, _part: Refit(lambda ids: said(name, ids), ("clinical",))


def test_no_part_counts_the_wrong_way_round() -> None:
    generator = np.random.default_rng(2)
    truth = generator.normal(size=200)
    time = generator.exponential(30 * np.exp(-truth))
    risks = {"age": truth, "genes": -truth + generator.normal(size=200), "tiles": np.zeros(200)}
    part = part_of(time, np.ones(200, dtype=bool))
    refit = made_up(risks)
    others = OtherRows(lambda name, ids, _: refit(name, part).predict(ids), lambda _: ["clinical"])
    config = configured(*risks)
    inputs = inputs_of(pd.DataFrame({"age": "1"}, index=part.patient_ids.tolist()))
    row = config.models[-1]
    stored = FittedModel("stack", *fit(config, row, part, inputs, others, refit))
    weight = {one["name"]: one["weight"] for one in stored.fit["stack"]}
    assert 0.7 < weight["age"] < 1.3 and (weight["genes"], weight["tiles"]) == (0.0, 0.0)
    effect = stored.fit["stack"][0]["effect"]
    assert effect == pytest.approx(weight["age"] * truth.std(), rel=1e-6)
    said = predict(config, row, stored, inputs, part.patient_ids.tolist(), others)
    np.testing.assert_allclose(said.risk, weight["age"] * (truth - truth.mean()), atol=1e-6)
    for place, months in enumerate(config.grid_months()[:20]):  # curves are calibrated
        assert said.survival[:, place].mean() == pytest.approx((time > months).mean(), abs=0.05)


def test_the_own_outcome_does_not_reach_the_score_that_stands_for_a_patient() -> None:
    inputs, time, event = cohort(n=N)

    def scores(time: np.ndarray) -> np.ndarray:
        config, part = configured("age", "genes"), part_of(time, event)
        rows = Rows(config, part, inputs)
        context = FitContext(
            *(config, config.models[-1], part, inputs, rows.others, rows.refit),
            *("cpu", Path("scratch"), "key"),
        )
        folds = stack.stratified_folds(event, 5, 3)
        said = [
            [stack.predict_without(context, name, folds == fold) for fold in range(5)]
            for name in ("age", "genes")
        ]
        return cross_fitted_scores(said, folds, 5)[0]

    later = time.copy()
    later[7] = 0.5 * time.max()
    before, after = scores(time), scores(later)
    np.testing.assert_array_equal(after[7], before[7])
    assert np.abs(after - before).max() > 1e-3


def test_parts_are_fitted_again_on_stratified_fifths_and_what_they_say_is_added_up(
    tmp_path: Path,
) -> None:
    inputs, time, event = cohort(n=N)
    part = part_of(time, event)
    rows = Rows(configured("age", "genes", "tiles"), part, inputs)
    fitted = fitted_stack(rows, part)
    sizes = [size for name, size in rows.fits if name == "genes"]
    assert sizes[0] == N and sorted(sizes[1:]) == [48] * 5
    assert [one["name"] for one in fitted.fit["stack"]] == ["age", "genes", "tiles"]
    weights = fitted.arrays["weights.weight"]
    assert (weights >= 0).all() and weights.max() > 0.3
    ids = part.patient_ids.tolist()
    said = ask(rows, fitted, inputs, ids)
    write_fitted(tmp_path, "stack", fitted.arrays, fitted.fit)
    stored = ask(rows, read_fitted(tmp_path), inputs, ids)
    np.testing.assert_array_equal(stored.risk, said.risk)
    np.testing.assert_array_equal(stored.members, said.members)
    full = weights[fitted.arrays["weights.has"].sum(axis=1).argmax()]
    own = np.stack([rows.whole[name].predict(ids).risk for name in PARTS], axis=1)
    whole = [number for number in range(N) if number < N - 4]
    difference = said.risk[whole] - (own @ full)[whole]
    np.testing.assert_allclose(difference, difference[0], atol=1e-8)


def test_a_part_that_has_read_nothing_of_a_patient_says_nothing_of_him() -> None:
    inputs, time, event = cohort(n=N)
    part = part_of(time, event)
    rows = Rows(configured("age", "genes", "tiles"), part, inputs)
    fitted = fitted_stack(rows, part)
    ids = part.patient_ids.tolist()
    nothing = inputs.without({"omics": ids, "slides": ids})
    said = ask(rows, fitted, nothing, ids)
    has, weights = fitted.arrays["weights.has"], fitted.arrays["weights.weight"]
    alone = weights[(has == [1, 0, 0]).all(axis=1)][0]
    age = rows.whole["age"].predict(ids).risk
    np.testing.assert_allclose(said.risk - said.risk[0], alone[0] * (age - age[0]), atol=1e-8)


def test_a_part_that_can_learn_nothing_is_average_and_the_others_go_on() -> None:
    inputs, time, event = cohort(n=N)
    part = part_of(time, event)
    rows = Rows(configured("age", "genes", "tiles"), part, inputs, nothing=["genes"])
    fitted = fitted_stack(rows, part)
    weight = {one["name"]: one["weight"] for one in fitted.fit["stack"]}
    assert weight["genes"] == 0 < weight["tiles"]
    assert not fitted.arrays["weights.has"][:, 1].any()


def test_without_events_there_is_nothing_to_weigh() -> None:
    inputs, time, _ = cohort(n=20)
    part = part_of(time, np.zeros(20, dtype=bool))
    config = configured("age", "genes")
    with pytest.raises(NothingToLearnError, match="fewer than two"):
        fit(config, config.models[-1], part, inputs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": ["age"]}, "stack averages other rows; list at least two"),
        ({"parts": ["age", "stack"]}, "names 'stack', which is not a row that can be averaged"),
        ({"parts": ["age", "nobody"]}, "names 'nobody'"),
        ({"parts": ["age", "genes"], "weights": [1, 1]}, "its only option is parts"),
        ({"parts": ["age", "shuffled"]}, "names 'shuffled', a control"),
    ],
)
def test_a_stack_asks_for_rows_that_can_tell_something(options: dict, message: str) -> None:
    config = configured("age", "genes", options=options)
    control = config.models[1].model_copy(update={"name": "shuffled", "permute_outcomes": True})
    config = config.model_copy(update={"models": [*config.models, control]})
    row = config.models[-2]
    with pytest.raises(UserInputError, match=message):
        estimator_of(row, config).check(config, row)


def test_a_stack_reads_and_repeats_what_its_parts_do() -> None:
    config = configured("age", "tiles")
    assert reads_of(config.models[-1], config.models) == ("clinical", "slides")
    assert repeats_of(config.models[-1], config) == config.splits.repeats


# --- from end to end

ROWS = [
    {"name": "clinical_cox", "kind": "clinical_cox"},
    {"name": "coxnet", "kind": "coxnet", "options": {"modalities": ["omics"]}},
    {"name": "snn", "kind": "snn", "options": {"width": 16}},
    {"name": "stack", "kind": "stack", "options": {"parts": ["clinical_cox", "coxnet", "snn"]}},
]


def test_a_stack_of_all_kinds_of_rows_from_end_to_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = Driver(tmp_path, n=120)
    driver.config = configuration(models=ROWS)
    for part in ("clinical_cox", "coxnet", "snn"):
        driver.run(part)
    said = driver.run("stack")
    assert driver.concordance(said) > 0.65
    fit = read_json(tmp_path / "models/stack/r0f1/fit.json")
    assert (fit["read"], fit["parts"]) == (["clinical", "omics"], ROWS[3]["options"]["parts"])
    assert not (tmp_path / "models/.scratch/stack/r0f1").exists()
    assert len(said) == 120 and said["risk"].notna().all() and FOLDS == 3
    weights = read_json(tmp_path / "models/stack/r0f0/fit.json")["weights_sha256"]
    paths, folds = driver.write(), [tmp_path / "splits/r0f0"]
    out, ablations = tmp_path / "p.tsv", tmp_path / "p.ablations.tsv"
    predict_model(driver.config, "stack", folds, paths, tmp_path / "models", out, ablations)
    without = pd.read_csv(ablations, sep="\t")
    assert set(without["inputs"]) == {"clinical", "omics"} and without["risk"].notna().all()

    # Interrupted after the parts were fitted again: these fits are not repeated.
    fits, fit_row = [], stage.fit_row

    def counted(model, part, inputs, fold, scratch, key):
        fits.append(model.name)
        return fit_row(model, part, inputs, fold, scratch, key)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stage, "fit_row", counted)
    fold, models = tmp_path / "splits/r0f0", tmp_path / "models"
    with monkeypatch.context() as broken:
        broken.setattr(stack, "fit_stack_weights", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_fold(driver.config, "stack", fold, paths, models, "cpu")
    assert sorted(fits) == ["clinical_cox"] * 5 + ["coxnet"] * 5 + ["snn"] * 5 + ["stack"]
    fits.clear()
    train_fold(driver.config, "stack", fold, paths, models, "cpu")
    assert fits == ["stack"]
    again = read_json(tmp_path / "models/stack/r0f0/fit.json")
    assert again["weights_sha256"] == weights


def test_a_permuted_stack_of_permuted_rows_finds_nothing(tmp_path: Path) -> None:
    driver = Driver(tmp_path, n=120)
    rows = [{**row, "permute_outcomes": True} for row in (ROWS[0], ROWS[1])]
    own = {**ROWS[3], "permute_outcomes": True, "options": {"parts": ["clinical_cox", "coxnet"]}}
    driver.config = configuration(models=[*rows, own])
    for part in ("clinical_cox", "coxnet"):
        driver.run(part)
    assert 0.3 < driver.concordance(driver.run("stack")) < 0.7
