"""Predictions in a cohort that had no part in the study: by hand, by libraries, in known truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from sksurv.metrics import brier_score, concordance_index_censored, cumulative_dynamic_auc

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.config.cohort import CohortConfig
from survfuse.config.evaluation import EvaluationConfig
from survfuse.core.errors import UserInputError
from survfuse.evaluation.external import UNTOUCHED, External, evaluate_external, recalibrate
from survfuse.statistics.metrics import structured
from survfuse.statistics.updating import IN_THE_LARGE, SLOPE, Update
from survfuse.tasks.diagnosis.asked import asked_of
from survfuse.tasks.diagnosis.external import external_of as external_diagnosis
from survfuse.tasks.diagnosis.external import require_same_question
from survfuse.tasks.survival.external import external_of as external_survival

CONFIG = EvaluationConfig(bootstrap=40)
TWO = CohortConfig.model_validate({"diagnosis": {"column": "group"}})
THREE = CohortConfig.model_validate({"diagnosis": {"column": "group", "classes": ["a", "b", "c"]}})


def followed(
    time: np.ndarray, event: np.ndarray, months: tuple[float, ...] = (12.0, 24.0)
) -> External:
    outcomes = pd.DataFrame(
        {
            "patient_id": [f"P{row:05d}" for row in range(len(time))],
            "time_months": time,
            "event": np.asarray(event).astype(int),
        }
    )
    horizons = {f"{at:g}": {"months": at} for at in months}
    return external_survival(CONFIG, {"horizons": horizons, "tau_months": 30.0}, outcomes)


def labelled(label: np.ndarray, asked: CohortConfig = TWO) -> External:
    ids = [f"P{row}" for row in range(len(label))]
    outcomes = pd.DataFrame({"patient_id": ids, "label": label})
    return external_diagnosis(CONFIG, asked_of(asked), outcomes)


def drawn(n: int, factor: float, seed: int = 1) -> tuple[External, np.ndarray]:
    """A hospital with so many times the hazard that is said, of which few have the event."""
    draw = np.random.default_rng(seed)
    log_hazard = 0.8 * draw.normal(size=n)
    hazard = 0.004 * np.exp(log_hazard)
    time = draw.exponential(size=n) / (factor * hazard)
    censored = draw.uniform(6, 60, n)
    external = followed(np.minimum(time, censored), time <= censored)
    return external, -np.expm1(-np.outer(hazard, [12.0, 24.0]))


def value(found: Any) -> float:
    return found["value"]


def test_observed_over_expected_by_hand() -> None:
    # 4 of 10 had it by 12 months, nobody was lost before; 2.5 were expected.
    time = np.r_[[2.0, 4.0, 6.0, 8.0], np.full(6, 30.0)]
    external = followed(time, np.arange(10) < 4)
    risk = np.column_stack([np.full(10, 0.25), np.linspace(0.3, 0.6, 10)])
    found = evaluate_external(external, {"row": risk}, None, {})["rows"]["row"]
    assert value(found["observed_expected"]["12"]) == pytest.approx(1.6)
    assert value(found["brier"]["12"]) == pytest.approx((4 * 0.75**2 + 6 * 0.25**2) / 10)
    assert found["calibration_slope"]["12"]["reason"].startswith("all patients have the same")


def test_metrics_are_those_of_scikit_survival() -> None:
    external, risk = drawn(300, 4.0)
    found = evaluate_external(external, {"row": risk}, None, {})["rows"]["row"]
    outcome: SurvivalOutcome = external.outcome  # type: ignore[attr-defined]
    whole = structured(outcome)
    c = concordance_index_censored(outcome.event, outcome.time, risk[:, -1])[0]
    assert value(found["harrell_c"]) == pytest.approx(c)
    _, (early, late) = brier_score(whole, whole, 1 - risk, [12.0, 24.0])
    assert value(found["brier"]["12"]) == pytest.approx(early)
    assert value(found["brier"]["24"]) == pytest.approx(late)
    assert value(found["ibs"]) == pytest.approx((early + late) / 2)
    auc = cumulative_dynamic_auc(whole, whole, risk[:, -1], [12.0, 24.0])[0]
    assert [value(found["auc"][at]) for at in ("12", "24")] == pytest.approx(auc)
    for at in ("12", "24"):
        assert found["auc"][at]["low"] < value(found["auc"][at]) < found["auc"][at]["high"]


def test_twice_the_hazard_is_twice_the_events_and_recalibration_mends_it() -> None:
    external, risk = drawn(2500, 2.0)
    found = evaluate_external(external, {"row": risk}, None, {})
    untouched, again = found["rows"]["row"], found["recalibrated"]
    assert value(untouched["observed_expected"]["12"]) == pytest.approx(2, abs=0.2)
    assert value(untouched["calibration_slope"]["12"]) == pytest.approx(1, abs=0.15)
    for kind in (IN_THE_LARGE, SLOPE):
        ratio = again[kind]["metrics"]["observed_expected"]
        assert value(ratio["12"]) == pytest.approx(1, abs=0.02)
        assert again[kind]["differences"]["brier"]["12"]["high"] < 0
    assert again[IN_THE_LARGE]["fitted"]["12"]["intercept"] == pytest.approx(np.log(2), abs=0.1)
    assert "harrell_c" not in again[SLOPE]["metrics"]


def test_what_is_right_stays_as_it_is() -> None:
    external, risk = drawn(2500, 1.0)
    found = evaluate_external(external, {"row": risk}, None, {})
    ratio = found["rows"]["row"]["observed_expected"]["24"]
    assert ratio["low"] < 1 < ratio["high"]
    assert found["recalibrated"][SLOPE]["fitted"]["24"]["slope"] == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("kind", [IN_THE_LARGE, SLOPE])
def test_no_outcome_has_a_way_into_its_own_recalibrated_risk(kind: str) -> None:
    external, risk = drawn(400, 8.0)
    outcome: SurvivalOutcome = external.outcome  # type: ignore[attr-defined]
    before = recalibrate(external, risk, kind).probability
    for row in (3, 200):
        event, time = outcome.event.copy(), outcome.time.copy()
        event[row], time[row] = not event[row], 5.0
        after = recalibrate(followed(time, event), risk, kind).probability
        assert (after[row] == before[row]).all()
        assert (after != before).any()


def test_differences_are_paired_and_against_the_reference() -> None:
    external, risk = drawn(300, 8.0)
    nothing = np.random.default_rng(2).permutation(risk)
    found = evaluate_external(external, {"row": risk, "reference": nothing}, "reference", {})
    apart = found["differences"]["harrell_c"]
    values = [value(found["rows"][name]["harrell_c"]) for name in ("row", "reference")]
    assert value(apart) == pytest.approx(values[0] - values[1])
    assert apart["low"] > 0
    same = evaluate_external(external, {"row": risk, "again": risk}, "again", {})["differences"]
    for one in (same["harrell_c"], same["brier"]["12"]):
        assert (one["value"], one["low"], one["high"]) == (0, 0, 0)
    assert "observed_expected" not in same  # being nearer to 1 is no difference


def test_too_few_events_refuse_recalibration_and_say_so() -> None:
    external, risk = drawn(100, 5.0)
    events = {part: external.events(part) for part in external.parts}
    assert events["12"] < 20 <= events["24"] < 50, "the premise of the test"
    found = evaluate_external(external, {"row": risk}, None, {})["recalibrated"]
    assert "too few" in found[IN_THE_LARGE]["fitted"]["12"]["reason"]
    assert "slope" in found[IN_THE_LARGE]["fitted"]["24"]
    assert "needs 50" in found[SLOPE]["fitted"]["24"]["reason"]
    assert found[SLOPE]["metrics"]["brier"]["24"]["value"] is None
    assert "needs 50" in found[SLOPE]["metrics"]["brier"]["24"]["reason"]
    assert found[IN_THE_LARGE]["metrics"]["brier"]["24"]["value"] is not None


def test_recalibrated_risks_never_fall() -> None:
    external, _ = drawn(600, 8.0)
    draw = np.random.default_rng(4)
    risk = np.sort(draw.uniform(0.1, 0.9, (600, 2)), axis=1)
    found = recalibrate(external, risk, SLOPE).probability
    assert (found[:, 1] >= found[:, 0]).all()


def test_small_groups_are_not_told() -> None:
    external, risk = drawn(300, 8.0)
    few, many = np.arange(300) < 20, np.arange(300) >= 20
    groups = evaluate_external(external, {"row": risk}, None, {"few": few, "many": many})
    small, large = groups["subgroups"]
    assert small["n"] == 20 and small["metrics"]["harrell_c"]["value"] is None
    assert small["metrics"]["harrell_c"]["reason"] == "fewer than 20 events"
    assert large["metrics"]["harrell_c"]["low"] < value(large["metrics"]["harrell_c"])
    assert set(large["metrics"]) == {"harrell_c", "observed_expected"}


def test_a_time_beyond_follow_up_has_a_reason() -> None:
    external = followed(np.linspace(1, 20, 120), np.arange(120) % 2 == 0)
    risk = np.column_stack([np.linspace(0.1, 0.6, 120), np.linspace(0.2, 0.8, 120)])
    found = evaluate_external(external, {"row": risk}, None, {})
    assert "beyond the follow-up" in found["rows"]["row"]["brier"]["24"]["reason"]
    assert found["rows"]["row"]["brier"]["12"]["value"] is not None
    assert found["curves"]["24"]["decision"] == [] and found["curves"]["12"]["decision"]
    assert "beyond" in found["recalibrated"][SLOPE]["fitted"]["24"]["reason"]


def test_nothing_can_be_checked_without_events_or_horizons() -> None:
    with pytest.raises(UserInputError, match="none of the 9 patients had the event"):
        followed(np.arange(9.0), np.zeros(9))
    with pytest.raises(UserInputError, match="no risk by any horizon"):
        followed(np.arange(9.0), np.ones(9), ())


def test_two_classes_are_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(6)
    p = draw.uniform(0.05, 0.95, 300)
    label = (draw.random(300) < p).astype(int)
    label[:10] = -1
    external = labelled(label)
    assert external.parts == ("",) and external.events("") == min(
        (label == 1).sum(), (label == 0).sum()
    )
    found = evaluate_external(external, {"row": p[:, None]}, None, {})
    row, known = found["rows"]["row"], label >= 0
    assert value(row["auroc"]) == pytest.approx(roc_auc_score(label[known], p[known]))
    assert value(row["brier"]) == pytest.approx(np.mean((p - label)[known] ** 2))
    assert value(row["observed_expected"]) == pytest.approx(label[known].mean() / p[known].mean())
    assert row["auroc"]["low"] < value(row["auroc"]) < row["auroc"]["high"]
    assert "sensitivity" not in row
    assert any("10 of 300" in note for note in found["notes"])
    (threshold,) = [one for one in found["curves"][""]["decision"] if one["threshold"] == 0.5]
    positive = p[known] >= 0.5
    worth = np.where(label[known] == 1, 1, -1)
    assert value(threshold["net_benefit"][UNTOUCHED]) == pytest.approx((positive * worth).mean())


def test_log_odds_are_recalibrated() -> None:
    draw = np.random.default_rng(7)
    true = draw.uniform(0.05, 0.95, 1500)
    label = (draw.random(1500) < true).astype(int)
    odds = np.log(true / (1 - true))
    said = 1 / (1 + np.exp(-(2 * odds - 1)))
    external = labelled(label)
    update = recalibrate(external, said[:, None], SLOPE).fitted[""]
    assert isinstance(update, Update)
    assert update.slope == pytest.approx(0.5, abs=0.06)
    assert update.intercept == pytest.approx(0.5, abs=0.15)


def test_three_classes_have_no_curves() -> None:
    draw = np.random.default_rng(8)
    p = draw.dirichlet([1, 1, 1], 150)
    label = np.array([draw.choice(3, p=one) for one in p])
    found = evaluate_external(labelled(label, THREE), {"row": p}, None, {})
    assert found["recalibrated"] == {} and found["curves"] == {}
    assert set(found["rows"]["row"]["auroc_of_class"]) == {"a", "b", "c"}
    assert value(found["rows"]["row"]["macro_auroc"]) > 0.6


def test_another_question_is_refused() -> None:
    with pytest.raises(UserInputError, match=r"classes is a, b, c, but .* stable, converted"):
        require_same_question(TWO, THREE)
    with pytest.raises(UserInputError, match="all of one class"):
        labelled(np.zeros(20, dtype=int))
