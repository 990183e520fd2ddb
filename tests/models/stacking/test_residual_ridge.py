"""The row `residual_ridge`: an offset that nothing shrinks, and what other blocks add to it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from estimator_fixture import fit, predict
from protocol_fixture import Driver, configuration
from survfuse.artifacts.checkpoint import FittedModel, read_fitted, write_fitted
from survfuse.artifacts.follow_up import FollowUp
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.explain.stack import attributions
from survfuse.models.classical.cox import PENALISER, fit_cox
from survfuse.models.estimator import NothingToLearnError
from survfuse.models.stacking.members import Design, cross_fitted
from survfuse.models.stacking.residual_ridge import fit_residual
from survfuse.models.stacking.survfuse import FittedStack
from survfuse.splits.training_part import TrainingPart
from training_fixture import cohort


def configured(**options: object) -> Config:
    cohort = {"patients": "unused.tsv", "covariates": {"age": {"type": "continuous"}}}
    rows = [
        {"name": "clinical_cox", "kind": "clinical_cox"},
        {"name": "added", "kind": "residual_ridge", "options": options},
    ]
    return Config.model_validate(
        {"name": "x", "output": "unused", "cohort": cohort, "models": rows}
    )


def part_of(time: np.ndarray, event: np.ndarray) -> TrainingPart:
    ids = np.array([f"P{number:03d}" for number in range(len(time))])
    return TrainingPart(0, 0, ids, np.full(len(time), "train"), FollowUp(time, event))


def design(n: int = 120, seed: int = 0) -> tuple[Design, np.ndarray, np.ndarray]:
    """A clinical column and two blocks, of which the first tells what the clinical one does not."""
    generator = np.random.default_rng(seed)
    drawn = (generator.normal(size=(n, p)) for p in (1, 3, 200))
    known, telling, noise = ((x - x.mean(axis=0)) / x.std(axis=0) for x in drawn)
    time = generator.exponential(20 * np.exp(-known[:, 0] - telling[:, 0]))
    event = generator.random(n) < 0.8
    has = np.ones((n, 3), dtype=bool)
    names = ["clinical", "genes", "tiles"]
    return Design.of(names, (known, telling, noise), has, 0, (1, 2)), time, event


def test_the_offset_is_the_clinical_cox_model_whatever_is_added() -> None:
    blocks, time, event = design()
    members = fit_residual(blocks, np.ones(len(time), dtype=bool), time, event, 0)
    own = members.of_columns(blocks.back)
    alone = fit_cox(blocks.columns[0], time, event)  # lifelines, of the same penalty
    np.testing.assert_allclose(own[0][0], alone.coefficients, rtol=5e-3)
    described = members.chosen[0]
    assert described["offset"] == {"penalty": PENALISER * len(time)}
    genes, tiles = described["residual"]["genes"], described["residual"]["tiles"]
    assert genes["penalty"] < 10 and genes["gain"] > 10
    assert 0 <= tiles["gain"] < 1 and abs(described["gain"] - genes["gain"]) < 1
    assert own[1][0, 0] > 0.5 > np.abs(own[1][0, 1:]).max()


def test_where_nothing_is_added_the_clinical_cox_model_is_left() -> None:
    generator = np.random.default_rng(5)
    known = generator.normal(size=(80, 1))
    time = generator.exponential(20 * np.exp(-known[:, 0]))
    event, has = np.ones(80, dtype=bool), np.ones((80, 2), dtype=bool)
    noise = generator.normal(size=(80, 500))
    blocks = Design.of(["clinical", "noise"], (known, noise), has, 0, (1,))
    members = fit_residual(blocks, np.ones(80, dtype=bool), time, event, 0)
    assert members.chosen[0]["residual"] == {"noise": {"penalty": None, "gain": 0.0}}
    assert not members.of_columns(blocks.back)[1].any()
    alone = Design.of(["clinical"], (known,), has[:, :1], 0, ())  # no other block at all
    same = fit_residual(alone, np.ones(80, dtype=bool), time, event, 0)
    np.testing.assert_array_equal(same.coefficients[0][0], members.coefficients[0][0])
    assert same.chosen[0]["residual"] == {}


def test_the_own_outcome_does_not_reach_a_cross_fitted_score() -> None:
    blocks, time, event = design()
    added = cross_fitted(blocks, time, event, 3, fit_residual)
    assert added.shape == (120, 1, 3)
    later = time.copy()
    later[7] *= 50
    again = cross_fitted(blocks, later, event, 3, fit_residual)
    np.testing.assert_array_equal(again[7], added[7])
    assert np.abs(again - added).max() > 1e-3  # but reaches those of others


def test_scores_for_the_baseline_are_cross_fitted() -> None:
    """Of those fitted on themselves the spread is too wide, and curves would be too far apart."""
    inputs, time, event = cohort(n=60)
    arrays, _ = fit(configured(), configured().models[1], part_of(time, event), inputs)
    fitted = FittedModel("residual_ridge", arrays, _)
    ids = inputs.patients.index.tolist()
    said = predict(configured(), configured().models[1], fitted, inputs, ids)
    hazard = arrays["baseline.hazard"]
    on_themselves = [
        (event & (time == moment)).sum() / np.exp(said.risk)[time >= moment].sum()
        for moment in np.unique(time)
    ]
    assert not np.allclose(hazard, np.cumsum(on_themselves), rtol=1e-3)


def test_risk_is_offset_and_residual_and_absent_blocks_add_nothing(tmp_path: Path) -> None:
    inputs, time, event = cohort(n=60)
    config = configured()
    part = part_of(time, event)
    arrays, described = fit(config, config.models[1], part, inputs)
    assert [block["reads"] for block in described["blocks"]] == [
        *[["clinical"], ["omics"], ["omics"], ["slides"], ["slides"]]  # no interactions
    ]
    assert list(described["residual"]) == [block["name"] for block in described["blocks"][1:]]
    write_fitted(tmp_path, "residual_ridge", arrays, described)
    ids = inputs.patients.index.tolist()
    given = FittedModel("residual_ridge", arrays, described)
    first = predict(config, config.models[1], given, inputs, ids)
    stored = predict(config, config.models[1], read_fitted(tmp_path), inputs, ids)
    np.testing.assert_array_equal(stored.risk, first.risk)
    np.testing.assert_array_equal(stored.members, first.members)
    bare = inputs.without(dict.fromkeys(("omics", "slides"), ids))
    alone = predict(config, config.models[1], given, bare, ids)
    cox, described = fit(config, config.models[0], part, inputs)
    of_cox = predict(
        config, config.models[0], FittedModel("clinical_cox", cox, described), inputs, ids
    )
    np.testing.assert_allclose(alone.risk, of_cox.risk, rtol=5e-3, atol=1e-4)
    assert np.abs(first.risk - alone.risk).max() > 0.5
    assert np.isnan(first.survival[:, np.array(config.grid_months()) > time.max()]).all()


def test_attributions_sum_to_the_log_hazard() -> None:
    inputs, time, event = cohort(n=60)
    config = configured()
    arrays, described = fit(config, config.models[1], part_of(time, event), inputs)
    stack = FittedStack.from_stored(arrays, described)
    blocks = stack.features.transform(inputs, inputs.patients.index.tolist(), config)
    own = attributions(stack, blocks, stack.features.modalities)
    summed = sum(columns.sum(axis=1) for columns in own.values())
    np.testing.assert_allclose(summed, stack.contributions(blocks).sum(axis=1), atol=1e-10)


@pytest.mark.parametrize("modalities", [["omics", "slides"], ["clinical"]])
def test_there_must_be_something_to_add_and_to_add_to(modalities: list[str]) -> None:
    config = configured(modalities=modalities)
    with pytest.raises(UserInputError, match="list clinical and at least one other"):
        fit_check(config)
    with pytest.raises(UserInputError, match="its only option is modalities"):
        fit_check(configured(penalty=1))


def fit_check(config: Config) -> None:
    from survfuse.models.specs import estimator_of

    estimator_of(config.models[1], config).check(config, config.models[1])


def test_without_events_there_is_nothing_to_learn() -> None:
    inputs, time, _ = cohort(n=20)
    nobody = part_of(time, np.zeros(20, dtype=bool))
    with pytest.raises(NothingToLearnError, match="fewer than two"):
        fit(configured(), configured().models[1], nobody, inputs)


def test_genes_add_to_age_from_end_to_end(tmp_path: Path) -> None:
    driver = Driver(tmp_path, n=120)
    rows = [
        {"name": "clinical_cox", "kind": "clinical_cox"},
        {
            "name": "added",
            "kind": "residual_ridge",
            "options": {"modalities": ["clinical", "omics"]},
        },
    ]
    driver.config = configuration(models=rows)
    said: pd.DataFrame = driver.run("added")
    assert driver.concordance(said) > 0.65 > driver.concordance(driver.run("clinical_cox"))
