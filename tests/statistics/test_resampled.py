"""Concordance and slope in all resamples at once, against computing them one by one."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter
from sksurv.metrics import concordance_index_censored, concordance_index_ipcw

from survfuse.artifacts.study import SurvivalOutcome
from survfuse.statistics import resampled
from survfuse.statistics.intervals import NotEstimableError
from survfuse.statistics.metrics import HorizonError, structured


def drawn(n: int = 120) -> tuple[SurvivalOutcome, np.ndarray, np.ndarray]:
    """An outcome with ties, risks with ties, and six resamples below the cohort itself."""
    draw = np.random.default_rng(3)
    log_hazard = draw.normal(size=n).round(1)
    time = (30 * draw.exponential(size=n) * np.exp(-log_hazard)).round() + 1
    censored = draw.integers(10, 60, n)
    outcome = SurvivalOutcome(np.minimum(time, censored), time <= censored)
    counts = np.vstack([np.ones(n), draw.multinomial(n, np.full(n, 1 / n), size=6)])
    return outcome, log_hazard, counts


def rows_of(counts: np.ndarray) -> np.ndarray:
    return np.repeat(np.arange(len(counts)), counts.astype(int))


@pytest.mark.parametrize("cells", [2**22, 200])
def test_harrells_c_of_resamples_is_that_of_scikit_survival(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resampled, "MOST_PAIRS", cells)
    outcome, risk, counts = drawn()
    found = resampled.harrell_draws(outcome, risk, counts)
    for number, value in enumerate(found):
        rows = rows_of(counts[number])
        theirs = concordance_index_censored(outcome.event[rows], outcome.time[rows], risk[rows])
        assert value == pytest.approx(theirs[0], abs=1e-12)


def test_unos_c_is_that_of_scikit_survival() -> None:
    outcome, risk, counts = drawn()
    whole = structured(outcome)
    found = resampled.uno_draws(outcome, risk, 30.0, counts)
    assert found[0] == pytest.approx(
        concordance_index_ipcw(whole, whole, risk, tau=30.0)[0], abs=1e-12
    )
    rows = rows_of(counts[4])  # whose censoring weights stay those of the cohort
    theirs = concordance_index_ipcw(whole, structured(outcome[rows]), risk[rows], tau=30.0)[0]
    assert found[4] == pytest.approx(theirs, abs=1e-12)


def test_the_slope_of_resamples_is_that_of_lifelines() -> None:
    draw = np.random.default_rng(5)
    n = 150
    log_hazard = 0.7 * draw.normal(size=n)
    time = 30 * draw.exponential(size=n) * np.exp(-log_hazard)
    outcome = SurvivalOutcome(time, np.ones(n, dtype=bool))
    survival = np.exp(-0.1 * np.exp(2 * log_hazard))  # twice as far apart as it is
    counts = np.vstack([np.ones(n), draw.multinomial(n, np.full(n, 1 / n), size=3)])
    found = resampled.slope_draws(outcome, survival, 24.0, counts)
    assert found[0] == pytest.approx(0.5, abs=0.2)
    for number, value in enumerate(found):
        table = pd.DataFrame(
            {
                "time": np.minimum(time, 24),
                "event": time <= 24,
                "x": np.log(-np.log(survival)),
                "w": counts[number],
            }
        )
        table = table[table["w"] > 0]
        fitted = CoxPHFitter().fit(table, "time", "event", weights_col="w", robust=True)
        assert value == pytest.approx(fitted.params_["x"], abs=1e-4)


def test_what_cannot_be_estimated_says_why() -> None:
    outcome, risk, counts = drawn()
    with pytest.raises(NotEstimableError, match="nobody is ranked"):
        resampled.harrell_draws(outcome, np.zeros(len(risk)), counts)
    with pytest.raises(HorizonError):
        resampled.uno_draws(outcome, risk, 600.0, counts)
    with pytest.raises(NotEstimableError, match="same prediction"):
        resampled.slope_draws(outcome, np.full(len(risk), 0.5), 24.0, counts)
    nobody = SurvivalOutcome(outcome.time, np.zeros(len(risk), dtype=bool))
    with pytest.raises(NotEstimableError, match="no event"):
        resampled.slope_draws(nobody, np.exp(-np.exp(risk)), 24.0, counts)
