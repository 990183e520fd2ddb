"""Availability and outcome: the AUROC against published and computed values, and the table."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score

from evaluation_fixture import Written, make_study, write_study
from survfuse.artifacts.study import SurvivalOutcome
from survfuse.core.errors import UserInputError
from survfuse.statistics.availability import associations, auroc, read_availability

STUDY = make_study(20)


def test_delong_on_a_reference_data_set() -> None:
    """Mean texture for malignancy: the values of R's pROC, ci.auc with DeLong's method."""
    data = load_breast_cancer()
    found = auroc(data.data[:, 1], data.target == 0, 0.95)
    assert found.value == pytest.approx(0.7758244807356903, abs=1e-12)
    assert (found.low, found.high) == pytest.approx((0.7371459378, 0.8145030237), abs=1e-9)


def test_delong_of_a_binary_score_by_hand() -> None:
    """Of m cases a share p have it, of n controls a share q: AUROC = 1/2 + (p - q) / 2.

    A case with it wins 1 - q/2 and without (1 - q)/2, half a win apart whatever q is, so the
    variance of its placement is p(1-p)/4 times m/(m-1); controls alike.
    """
    score = np.array([1, 1, 1, 0, 1, 0, 0, 0, 0], dtype=float)
    case = np.array([1] * 4 + [0] * 5, dtype=bool)
    found = auroc(score, case, 0.95)
    assert found.value == pytest.approx(0.5 + (0.75 - 0.2) / 2)
    variance = (3 / 16) / 4 * (4 / 3) / 4 + (4 / 25) / 4 * (5 / 4) / 5
    margin = 1.959963984540054 * np.sqrt(variance)
    assert found.low == pytest.approx(found.value - margin, abs=1e-12)
    assert found.high == 1.0  # the limit lies beyond what is possible


def test_delong_without_enough_or_without_overlap() -> None:
    one_case = auroc(np.arange(5.0), np.arange(5) == 2, 0.95)
    assert one_case.value is None and "there are 1 cases and 4 controls" in str(one_case.reason)
    apart = auroc(np.arange(6.0), np.arange(6) > 2, 0.95)
    assert (apart.value, apart.low) == (1.0, None) and "without overlap" in str(apart.reason)


def test_delong_covers_the_truth() -> None:
    """Binary scores of known shares: the 90 % interval holds the true AUROC in about 90 %."""
    rng = np.random.default_rng(0)
    case = np.arange(80) < 40
    held = 0
    for _ in range(400):
        found = auroc((rng.random(80) < np.where(case, 0.7, 0.5)).astype(float), case, 0.9)
        assert found.low is not None and found.high is not None
        held += found.low <= 0.6 <= found.high
    assert 0.86 <= held / 400 <= 0.94


OUTCOME = SurvivalOutcome(
    np.array([2, 4, 6, 8, 10, 3, 7, 5, 9, 6.0]),
    np.array([1, 1, 1, 1, 1, 0, 0, 0, 0, 0], dtype=bool),
)


def test_who_is_compared() -> None:
    """tau is the median event time, 6: events at 2 and 4 before, 3 and 5 censored, 6 people after.

    Those who have slides: both early patients and one later one (and a left-out one).
    """
    has = np.array([1, 1, 0, 0, 0, 1, 0, 0, 0, 1], dtype=bool)
    everyone = np.ones(10, dtype=bool)
    slides, genes, clinical = associations(
        {"slides": has, "omics": everyone, "clinical": ~everyone}, OUTCOME, 0.95
    )
    kept = np.array([0, 1, 2, 3, 4, 6, 8, 9])
    expected = roc_auc_score(np.arange(10)[kept] < 2, has[kept])
    assert slides == {
        "modality": "slides",
        "n_present": 3,
        "n": 8,
        "n_early": 2,
        "tau_months": 6.0,
        "auroc": pytest.approx(expected, abs=1e-12),
        "low": slides["low"],
        "high": 1.0,
    }
    assert 0.5 < slides["low"] < slides["auroc"]
    assert genes["auroc"] is None and genes["reason"] == "all of the patients have it"
    assert clinical["auroc"] is None and clinical["reason"] == "none of the patients have it"


def test_direction() -> None:
    """Those whose slides are missing at random neither die earlier nor later; others do."""
    study = make_study(400, seed=1)
    early = study.outcome.time < np.median(study.outcome.time)
    at_random = np.random.default_rng(2).random(400) < 0.6
    found = associations(
        {"slides": early, "omics": ~early, "clinical": at_random}, study.outcome, 0.95
    )
    assert found[0]["low"] > 0.5 and found[1]["high"] < 0.5
    assert found[0]["auroc"] == pytest.approx(1 - found[1]["auroc"])
    assert found[2]["low"] < 0.5 < found[2]["high"]


def table(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"patient_id": STUDY.patient_ids, **columns})


def test_the_table_follows_the_study_in_any_order(tmp_path: Path) -> None:
    slides = np.arange(20) % 3 == 0
    shuffled = table(slides=slides.astype(int), clinical=1).sample(frac=1, random_state=0)
    shuffled.to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    found = read_availability(tmp_path / "a.tsv", STUDY)
    assert list(found) == ["slides", "clinical"]
    np.testing.assert_array_equal(found["slides"], slides)
    assert found["clinical"].all()


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (table(slides=2), r"row 2: slides must be 0 or 1"),
        (table(slides=""), r"row 2: slides is empty"),
        (table(genes=1), r"the column genes is not known; keep patient_id and clinical, omics"),
        (table(), r"there is no modality; add a column"),
        (table(slides=1)[1:], r"patient P000 is not both in this table and in the cohort"),
        (table(slides=1).replace("P003", "NEW"), r"patient NEW is not both"),
        (pd.concat([table(slides=1)] * 2), r"row 22: patient_id P000 is listed twice"),
        (table(slides=1).drop(columns="patient_id"), r"the column patient_id is missing"),
    ],
)
def test_wrong_tables_are_refused(tmp_path: Path, made: pd.DataFrame, told: str) -> None:
    made.to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    with pytest.raises(UserInputError, match=rf"a\.tsv: {told}"):
        read_availability(tmp_path / "a.tsv", STUDY)


def test_evaluation_holds_the_association(tmp_path: Path) -> None:
    written: Written = write_study(tmp_path)
    assert written.evaluate()["availability"] == []
    ids = written.table("outcomes.tsv")["patient_id"]
    has = pd.DataFrame({"patient_id": ids, "slides": (np.arange(100) % 4 > 0).astype(int)})
    written.replace_table("availability.tsv", has)
    (found,) = written.evaluate()["availability"]
    assert found["modality"] == "slides"
    assert found["low"] < found["auroc"] < found["high"]
    assert found["n_early"] < found["n"] < 100
