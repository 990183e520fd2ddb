"""What a gene matrix must not hold, and what is told because it is hardly right."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cohort_fixture import Case, problems_of
from survfuse.cohort.check import check_cohort
from survfuse.config.omics import OmicsConfig
from survfuse.modalities.omics.checks import check_genes
from survfuse.modalities.omics.column_names import DATE, OUTCOME
from survfuse.modalities.omics.leaks import leaks_of_matrix
from survfuse.modalities.omics.sheet import OmicsSheet
from survfuse.sheets.leaks import leaks_of_numbers
from survfuse.sheets.problems import Note, Problem
from survfuse.sheets.text_table import Sheet

N, GENES = 60, 300


def checked(
    values: np.ndarray, names: list[str] | None = None, **settings: Any
) -> tuple[list[Problem], list[Note]]:
    """Problems and notes of a matrix (n, g) of n patients with a random outcome."""
    n, width = values.shape
    rng = np.random.default_rng(9)
    ids = pd.DataFrame({"patient_id": [f"P{i}" for i in range(n)]}, index=range(2, n + 2))
    outcomes = pd.DataFrame(
        {"time_months": rng.exponential(30, n), "event": rng.integers(0, 2, n)}, index=ids.index
    )
    columns = tuple(names or [f"G{i}" for i in range(width)])
    sheet = OmicsSheet(Sheet(Path("genes.csv"), ids), columns, values.astype(np.float32))
    return check_genes(sheet, Sheet(Path("p.tsv"), ids), outcomes, OmicsConfig(**settings))


def logarithms(seed: int = 0) -> np.ndarray:
    """Log expression (60, 300) as it should be."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(rng.normal(6, 3, GENES), 1, (N, GENES)), 0, None)


def counts(seed: int = 0) -> np.ndarray:
    """Counts of reads."""
    return np.random.default_rng(seed).poisson(2 ** logarithms(seed)).astype(float)


@pytest.mark.parametrize("case", ["time", "falling", "event", "noisy"])
def test_an_outcome_among_the_genes_stops_the_run(tmp_path: Path, case: str) -> None:
    """Whatever its name and its scale; a column that no data type has is not read by any model."""
    cohort = Case(tmp_path)
    rng = np.random.default_rng(0)
    for patient, row in zip(cohort.patients[1:], cohort.omics[1:], strict=True):
        months, event = float(patient[1]), patient[2]
        noise = months * np.exp(rng.normal(0, 0.005))
        leak = {"time": months * 30, "falling": -(months**2), "event": event, "noisy": noise}
        row.append(str(leak[case]))
    cohort.omics[0].append("GENE_X")
    (problem,) = problems_of(cohort.config("slides"))
    assert problem.column == "GENE_X" and "must not read the outcome" in problem.remedy
    cohort.omics[0][1:] = ["TP53_rna", "EGFR_rna", "GENE_X"]
    cohort.change("omics", suffixes={"rna": "_rna"})
    check_cohort(cohort.config("slides"))


def test_outcomes_by_name(tmp_path: Path) -> None:
    cohort = Case(tmp_path)
    for name in ("OS_MONTHS", "vital_status"):
        cohort.omics[0].append(name)
        for i, row in enumerate(cohort.omics[1:]):
            row.append(str(i * i % 17))
    found = {problem.column: problem.problem for problem in problems_of(cohort.config("slides"))}
    assert set(found) == {"OS_MONTHS", "vital_status"}
    assert found["OS_MONTHS"] == "is named like an outcome"


OUTCOMES = "OS_MONTHS OS_STATUS os.time PFS_MONTHS DFS_STATUS OS_EVENT survival_months survival "
OUTCOMES += "overall_survival censorship censored vital_status days_to_death dead event futime "
OUTCOMES += "days_to_last_followup days_to_last_follow_up follow_up_days time_to_event "
OUTCOMES += "disease_specific_survival_months event_observed recurrence_status"
HONEST = "OS9 OSM DSS1 PFSA DEAF1 DEDD EFS EVI1 EVENTIN SURVIVIN CENSA TIMELESS MONTH1 FAS STAT1 "
HONEST += "DEATH TIMP1 OSGEP PFI1 DFI5 RFS1 SITE1 FUT4 FUS TTPA"


def test_names_of_outcomes() -> None:
    assert [name for name in OUTCOMES.split() if not OUTCOME.fullmatch(name)] == []
    assert [name for name in HONEST.split() if OUTCOME.fullmatch(name)] == []


def test_names_that_are_dates() -> None:
    dates = ["1-Mar", "2-Sep", "Mar-01", "10-Mrz", "2019-03-01", "3/1/2019", "1-Mar.1", "1-DEC"]
    assert [name for name in dates if not DATE.fullmatch(name)] == []
    genes = ["MARCH1", "SEPT2", "DEC1", "MAR1", "SEP15", "OCT4", "NOV", "MARC1", "HLA-A"]
    assert [name for name in genes if DATE.fullmatch(name)] == []


def test_screening_finds_what_the_full_search_finds() -> None:
    rng = np.random.default_rng(4)
    n = 400
    outcomes = pd.DataFrame(
        {"time_months": rng.exponential(30, n).round(1), "event": rng.integers(0, 2, n)}
    )
    t, e = outcomes["time_months"].to_numpy(), outcomes["event"].to_numpy()
    copies = [t, -t, np.log1p(t), np.floor(t / 6), t * np.exp(rng.normal(0, 0.05, n)), e, 1 - e]
    copies += [np.where(e == 1, t, np.nan), np.where(e == 1, t, -t), e * rng.integers(1, 4, n)]
    copies += [np.where(e == 1, np.sqrt(t), 20 * rng.random(n))]
    honest = np.column_stack(
        [rng.normal(size=(n, 40)), rng.poisson(0.3, (n, 10)), rng.integers(-2, 3, (n, 10))]
    )
    values = np.column_stack([honest, *copies]).astype(np.float32)
    found = leaks_of_matrix(values, outcomes)
    assert found == leaks_of_numbers(values, outcomes)
    assert set(found) == set(range(60, 60 + len(copies)))


@pytest.mark.parametrize("n", [12, 30, 300])
def test_no_alarm_for_twenty_thousand_honest_genes(n: int) -> None:
    rng = np.random.default_rng(n)
    outcomes = pd.DataFrame(
        {"time_months": rng.exponential(30, n).round(1), "event": rng.integers(0, 2, n)}
    )
    genes = rng.normal(size=(n, 20_000)).astype(np.float32)
    genes[:, :2000] = rng.poisson(1, (n, 2000))
    genes[:, 2000:4000] = rng.integers(-2, 3, (n, 2000))
    start = time.process_time()
    assert leaks_of_matrix(genes, outcomes) == {}
    assert time.process_time() - start < 20  # a second where nothing else runs


def test_an_honest_matrix_has_no_notes() -> None:
    assert checked(logarithms()) == ([], [])
    scores = np.random.default_rng(1).standard_t(2, (N, GENES)) * 5
    assert checked(scores) == ([], [])
    names = [f"G{i}_cnv" for i in range(40)] + [f"G{i}_mut" for i in range(40)]
    rng = np.random.default_rng(2)
    alterations = np.hstack([rng.integers(-2, 3, (N, 40)), rng.random((N, 40)) < 0.03])
    assert checked(alterations, names, suffixes={"cnv": "_cnv", "mut": "_mut"}) == ([], [])
    assert checked(rng.beta(0.5, 0.5, (N, GENES))) == ([], [])


@pytest.mark.parametrize(
    ("spoil", "said", "remedy"),
    [
        (lambda _: counts(), "whole numbers up to", "log2_cpm"),
        (lambda v: 2.0 ** (v * 1.5), "no logarithms", "log2_plus_1"),
        (lambda v: np.where(v < 3, -9, v), "-9 appears", "empty"),
        (lambda v: np.where(np.arange(N)[:, None] < 8, 2.0**v, v), "differ in the scale", "one"),
        (lambda v: np.where(np.arange(N)[:, None] == 5, 3.5, v), "the same value.", "check"),
        (lambda v: np.where(np.arange(N)[:, None] == 5, np.nan, v), "without any", "remove"),
        (lambda v: np.where(np.arange(N)[:, None] == 5, v[9], v), "earlier patient.", "two"),
        (lambda v: np.where(np.arange(GENES) < 100, 0, v), "zero in every", "remove"),
    ],
)
def test_hardly_right_values_are_noted(spoil: Any, said: str, remedy: str) -> None:
    problems, notes = checked(spoil(logarithms()))
    assert problems == []
    matching = [note for note in notes if said in note.sentence]
    assert len(matching) == 1, notes
    assert remedy in matching[0].remedy


def test_a_patient_with_few_measurements_is_noted() -> None:
    values = logarithms()
    values[7, :200] = np.nan
    (note,) = checked(values)[1]
    assert "lack more than half" in note.sentence and note.example == "1 in all, the first in row 9"


def test_transforms_that_do_not_fit() -> None:
    assert checked(counts(), transform="log2_cpm") == ([], [])
    (note,) = checked(logarithms(), transform="log2_plus_1")[1]
    assert "look like logarithms already" in note.sentence
    (problem,) = checked(logarithms() - 3, transform="log2_plus_1")[0]
    assert "is negative" in problem.problem and "unset omics.transform" in problem.remedy


@pytest.mark.parametrize(
    ("names", "said", "example"),
    [
        (["1-Mar", "2-Sep"], "into dates: 2.", "1-Mar"),
        (["44256", "44257"], "into dates: 2.", "44256"),
        (["age", "Unnamed: 0"], "like clinical data: 2.", "age"),
        (["N_unmapped", "__no_feature"], "outside genes: 2.", "N_unmapped"),
        (["G7.1", "AC0045.1"], "under a number: 1.", "G7.1"),
    ],
)
def test_names_are_noted(names: list[str], said: str, example: str) -> None:
    others = [f"G{i}" for i in range(GENES - len(names))]
    (note,) = checked(logarithms(), [*names, *others])[1]
    assert said in note.sentence and note.example == example and note.remedy


def test_entrez_numbers_are_no_dates() -> None:
    assert checked(logarithms(), [str(44000 + i) for i in range(GENES)]) == ([], [])


def test_notes_reach_the_cohort(tmp_path: Path) -> None:
    cohort = Case(tmp_path)
    for i, row in enumerate(cohort.omics[1:]):
        row[1:] = [str(i * 37 % 101 + 100), str(i * 53 % 97)]
    notes = check_cohort(cohort.config("slides")).notes
    assert any("raw counts" in note.sentence and note.remedy for note in notes)
