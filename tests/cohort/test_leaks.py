"""Copies of the outcome are found in every disguise; honest columns never are."""

# ruff: noqa: ARG005 (every disguise takes time and event)

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from survfuse.sheets.leaks import leak_of_cells, leaks_of_numbers

N = 120


@pytest.fixture(scope="module")
def outcomes() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    time = rng.exponential(40, N).round(2) + 0.03
    return pd.DataFrame({"time_months": time, "event": (rng.random(N) < 0.5).astype(int)})


Disguise = Callable[[np.ndarray, np.ndarray], np.ndarray]
NOISE = np.random.default_rng(1)
DISGUISES: dict[str, tuple[Disguise, str]] = {
    "days": (lambda t, e: np.round(t * 30.4375), "is the time column"),
    "sign": (lambda t, e: -t, "is the time column"),
    "logarithm": (lambda t, e: np.log(t), "in another scale"),
    "ranks, falling": (lambda t, e: -t.argsort().argsort(), "in another scale"),
    "whole years": (lambda t, e: np.floor(t / 12), "in another scale"),
    "signed by the event": (lambda t, e: np.where(e == 1, t, -t), "where there was an event"),
    "time to death": (lambda t, e: np.where(e == 1, t, np.nan), "filled in exactly"),
    "death and another time": (
        lambda t, e: np.where(e == 1, np.sqrt(t), NOISE.random(N)), "where there was an event"
    ),
    "noise": (lambda t, e: t * np.exp(NOISE.normal(0, 0.05, N)), "is almost the time column"),
    "event": (lambda t, e: e, "is the event column"),
    "event, flipped": (lambda t, e: 3.0 - e, "is the event column"),
    "event with one error": (
        lambda t, e: np.where(np.arange(N) == 7, 1 - e, e), "in all but 1 of 120"
    ),
    "cause of death": (lambda t, e: e * (1 + np.arange(N) % 3), "decides the event column"),
    "some of the dead": (
        lambda t, e: np.where((e == 1) & (np.arange(N) % 3 > 0), 5.0, np.nan), "filled in only"
    ),
    "some of the living": (
        lambda t, e: np.where((e == 0) & (np.arange(N) % 3 > 0), t, np.nan), "filled in only"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DISGUISES)
def test_copies_are_found(outcomes: pd.DataFrame, name: str) -> None:
    disguise, clause = DISGUISES[name]
    copy = disguise(outcomes["time_months"].to_numpy(), outcomes["event"].to_numpy())
    honest = np.random.default_rng(2).normal(size=(N, 1))
    found = leaks_of_numbers(np.column_stack([honest, copy, honest]), outcomes)
    assert list(found) == [1]
    assert clause in found[1]
    cells = ["" if np.isnan(value) else repr(float(value)) for value in copy.astype(float)]
    assert clause in (leak_of_cells(cells, outcomes) or "")


def test_words_and_dates(outcomes: pd.DataFrame) -> None:
    dead = outcomes["event"] == 1
    assert "is the event" in str(leak_of_cells(list(np.where(dead, "Deceased", "Alive")), outcomes))
    causes = np.where(dead, np.where(np.arange(N) % 2, "of disease", "other cause"), "alive")
    assert "decides" in str(leak_of_cells(list(causes), outcomes))
    start = date(2010, 1, 1)
    days = [str(start + timedelta(days=round(30 * t))) for t in outcomes["time_months"]]
    assert "is the time column" in str(leak_of_cells(days, outcomes))


def test_classes_of_a_diagnosis() -> None:
    outcomes = pd.DataFrame({"label": np.arange(60) % 3})
    words = [["healthy", "mild", "dementia"][label] for label in outcomes["label"]]
    assert "is the label column" in str(leak_of_cells(words, outcomes))
    assert leak_of_cells(words[1:] + words[:1], outcomes) is not None, "a recoding as well"
    assert leak_of_cells(words[:30] + words[31:] + words[:1], outcomes) is None


def test_honest_columns_are_left_alone() -> None:
    rng = np.random.default_rng(3)
    n = 300
    diagnosed = rng.uniform(0, 120, n)  # months; all are followed to month 130
    death = rng.exponential(80, n)
    time, event = np.minimum(death, 130 - diagnosed), (death < 130 - diagnosed).astype(int)
    outcomes = pd.DataFrame({"time_months": time, "event": event})
    risk = -np.log(death) + rng.normal(0, 0.3, n)  # a predictor far better than any
    columns = np.column_stack(
        [
            diagnosed,
            2010 + diagnosed // 12,
            risk,
            risk > np.median(risk),
            np.floor(time / 6) + rng.poisson(3, n),  # visits in the clinic
            np.where(rng.random(n) < 0.02, 1.0, 0.0),  # a rare mutation
            np.where(rng.random(n) < 0.5, 1.0, np.nan),
            np.ones(n),
            np.full(n, np.nan),
        ]
    )
    assert leaks_of_numbers(columns, outcomes) == {}
    few = outcomes.assign(event=(np.arange(n) < 6).astype(int))  # nearly all censored
    few["time_months"] = np.where(few["event"] == 1, time / 2, 130 - diagnosed)
    assert leaks_of_numbers(columns[:, :2], few) == {}


@pytest.mark.parametrize("n", [8, 10, 14, 24])
def test_chance_among_many_columns_of_few_patients(n: int) -> None:
    rng = np.random.default_rng(n)
    outcomes = pd.DataFrame({"time_months": rng.exponential(30, n), "event": np.arange(n) % 2})
    genes = rng.normal(size=(n, 12_000))
    genes[:, ::3] = rng.integers(0, 2, genes[:, ::3].shape)
    genes[:, 1::9] = np.where(rng.random(genes[:, 1::9].shape) < 0.4, np.nan, genes[:, 1::9])
    assert leaks_of_numbers(genes, outcomes) == {}


def test_few_rows_are_not_judged() -> None:
    outcomes = pd.DataFrame({"time_months": np.arange(7) + 1.0, "event": np.arange(7) % 2})
    assert leaks_of_numbers(outcomes.to_numpy(dtype=float), outcomes) == {}


def test_time_alone_has_no_say_in_a_diagnosis() -> None:
    outcomes = pd.DataFrame({"label": np.arange(40) % 2})
    assert leaks_of_numbers(np.arange(40.0)[:, None], outcomes) == {}
