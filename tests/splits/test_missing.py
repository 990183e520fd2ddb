"""Withholding modalities from training patients: counts, disjoint losses, odds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from survfuse.core.errors import UserInputError
from survfuse.splits.outer_folds import generator
from survfuse.splits.withheld import dies_early, early_losses, withhold


def cohort(n: int, seed: int, both: float = 1.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Outcomes, and what is available: slides for all but 1 in 10 of those who lack something."""
    rng = np.random.default_rng(seed)
    ids = [f"P{i:04}" for i in rng.permutation(n)]
    training = pd.DataFrame(
        {
            "patient_id": ids,
            "role": "train",
            "time_months": rng.exponential(20, n),
            "event": (rng.random(n) < 0.6).astype(int),
        }
    )
    lacks = rng.random(n) >= both
    no_slides = lacks & (rng.random(n) < 0.1)
    frame = pd.DataFrame({"slides": ~no_slides, "omics": ~(lacks & ~no_slides)}, index=ids)
    return training, frame


def counts(drawn: pd.DataFrame) -> tuple[int, int]:
    slides = int((drawn["modality"] == "slides").sum())
    return slides, len(drawn) - slides


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 60),
    shares=st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda s: sum(s) <= 1),
    both=st.sampled_from([0.0, 0.5, 1.0]),
    mechanism=st.sampled_from(["mcar", "mnar"]),
    odds=st.floats(1e-6, 1e6),
    seed=st.integers(0, 1000),
)
def test_exact_counts_and_nobody_loses_all(
    n: int, shares: tuple[float, float], both: float, mechanism: str, odds: float, seed: int
) -> None:
    """Each loser once, from those who have both; counts as documented; rows in any order."""
    training, available = cohort(n, seed, both)
    drawn = withhold(training, available, *shares, mechanism, odds, generator(seed, 0, 1, 2))
    assert list(drawn) == ["patient_id", "modality"] and drawn["patient_id"].is_unique
    assert drawn["patient_id"].is_monotonic_increasing
    assert available.loc[drawn["patient_id"]].all(axis=None)
    k = int(available.all(axis=1).sum())
    total = round(sum(shares) * k)
    slides = round(shares[0] * k)
    assert counts(drawn) == (slides, total - slides)
    shuffled = training.sample(frac=1, random_state=seed), available[::-1]
    again = withhold(*shuffled, *shares, mechanism, odds, generator(seed, 0, 1, 2))
    pd.testing.assert_frame_equal(drawn, again)


def test_shares_that_fill_up() -> None:
    """.3 and .7 of 5 round to 2 and 4; together they must still be 5."""
    training, available = cohort(5, 0)
    drawn = withhold(training, available, 0.3, 0.7, "mcar", 1.0, np.random.default_rng(0))
    assert counts(drawn) == (2, 3)


def test_random_losses_do_not_depend_on_the_outcome() -> None:
    """Over 400 draws every patient loses slides in 20 % of them, omics in 40 %."""
    training, available = cohort(50, 1)
    rng = np.random.default_rng(0)
    drawn = pd.concat(withhold(training, available, 0.2, 0.4, "mcar", 5.0, rng) for _ in range(400))
    share = drawn.groupby(["modality", "patient_id"]).size().unstack(0) / 400
    error = 4 * 0.5 / np.sqrt(400)
    assert (share["slides"] - 0.2).abs().max() < error
    assert (share["omics"] - 0.4).abs().max() < error


@pytest.mark.parametrize("odds", [0.25, 1.0, 4.0, 20.0])
def test_early_deaths_lose_at_the_odds(odds: float) -> None:
    """The table of early deaths and losers has the odds ratio, up to a patient; which is random."""
    training, available = cohort(1000, 2)
    early = set(training.loc[dies_early(training), "patient_id"])
    assert 250 < len(early) < 350
    drawn = withhold(training, available, 0.3, 0.2, "mnar", odds, np.random.default_rng(0))
    assert counts(drawn) == (300, 200)
    x = drawn["patient_id"].isin(early).sum()

    def ratio(x: int) -> float:
        late = 1000 - len(early)
        return x / (len(early) - x) / ((500 - x) / (late - 500 + x))

    assert ratio(x - 1) < odds < ratio(x + 1)
    among_early = drawn.loc[drawn["patient_id"].isin(early), "modality"] == "slides"
    assert abs(among_early.mean() - 0.6) < 3.5 * np.sqrt(0.24 / x)


def test_early_losses_by_hand() -> None:
    """4 of 6 against 4 of 12 lose: odds 2 and 1/2, ratio 4. And what no ratio can do."""
    assert early_losses(lost=8, early=6, patients=18, odds_ratio=4.0) == 4
    assert early_losses(lost=6, early=6, patients=18, odds_ratio=1.0) == 2
    assert early_losses(lost=6, early=6, patients=18, odds_ratio=1e300) == 6
    assert early_losses(lost=6, early=6, patients=18, odds_ratio=1e-300) == 0
    assert early_losses(lost=15, early=6, patients=18, odds_ratio=1e-300) == 3
    assert early_losses(lost=18, early=6, patients=18, odds_ratio=3.0) == 6
    assert early_losses(lost=5, early=0, patients=5, odds_ratio=3.0) == 0
    assert early_losses(lost=0, early=0, patients=0, odds_ratio=3.0) == 0


def test_dying_early_is_an_event_before_the_median_of_events() -> None:
    frame = pd.DataFrame({"time_months": [1, 2, 3, 1, 9], "event": [1, 1, 1, 0, 0]})
    assert dies_early(frame).tolist() == [True, False, False, False, False]
    assert not dies_early(frame.assign(event=0)).any()


@given(
    early=st.integers(0, 300),
    late=st.integers(0, 300),
    share=st.floats(0, 1),
    log_odds=st.floats(-300, 300),
)
def test_early_losses_are_possible(early: int, late: int, share: float, log_odds: float) -> None:
    """Neither group loses more than it has, at any odds."""
    lost = round(share * (early + late))
    x = early_losses(lost, early, early + late, 10.0**log_odds)
    assert 0 <= x <= early and 0 <= lost - x <= late


@pytest.mark.parametrize(
    ("slides", "omics", "odds", "message"),
    [
        (0.7, 0.4, 1.0, "0.7 and omics from 0.4"),
        (-0.1, 0.4, 1.0, "add up to at most 1"),
        (float("nan"), 0.4, 1.0, "add up to at most 1"),
        (0.2, 0.4, 0.0, "odds of 0"),
        (0.2, 0.4, float("inf"), "odds of inf"),
    ],
)
def test_refusals(slides: float, omics: float, odds: float, message: str) -> None:
    training, available = cohort(10, 0)
    with pytest.raises(UserInputError, match=message):
        withhold(training, available, slides, omics, "mnar", odds, np.random.default_rng(0))
