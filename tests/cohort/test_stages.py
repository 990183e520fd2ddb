"""From sheets to splits, and what garbage in the sheets does."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cohort_fixture import Case, N
from survfuse.cohort.check import check_cohort
from survfuse.cohort.summary import write_cohort
from survfuse.core.errors import UserInputError
from survfuse.sheets.problems import SheetError
from survfuse.splits.outer_folds import make_splits, split_cohort


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_stages_from_sheets_to_splits(case: Case) -> None:
    """What the checked cohort writes is what the splits are made from; published folds hold."""
    case.published()
    config = case.config()
    write_cohort(check_cohort(config), config, case.folder / "cohort")
    split_cohort(case.folder / "cohort", config, case.folder / "splits")
    splits = pd.read_csv(case.folder / "splits" / "splits.tsv", sep="\t")
    assert splits[["patient_id", "fold"]].to_numpy().tolist() == [
        [patient, int(fold)] for patient, fold in case.folds[1:]
    ]
    with (case.folder / "folds.csv").open("a") as handle:
        handle.write("P00,2\n")
    with pytest.raises(SheetError, match="repeats row 2"):
        split_cohort(case.folder / "cohort", config, case.folder / "splits")


@pytest.mark.parametrize("grouped", [False, True])
def test_stages_draw_folds(case: Case, grouped: bool) -> None:
    case.change("splits", group_by_site=grouped)
    config = case.config()
    cohort = check_cohort(config)
    write_cohort(cohort, config, case.folder / "cohort")
    split_cohort(case.folder / "cohort", config, case.folder / "splits")
    expected = make_splits(cohort.outcomes, cohort.sites, config.splits)
    assert pd.read_csv(case.folder / "splits" / "splits.tsv", sep="\t").equals(expected)
    sites = expected["patient_id"].map(cohort.sites)
    in_folds = expected.groupby([sites, "repeat"])["fold"].nunique()
    assert (in_folds.max() == 1) == grouped


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    content=st.binary(max_size=300)
    | st.text(max_size=300).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.lists(st.lists(st.text(max_size=12), max_size=8), max_size=6).map(
        lambda rows: "\n".join("\t".join(row) for row in rows).encode("utf-8", "surrogatepass")
    ),
    sheet=st.sampled_from(["patients.tsv", "slides.tsv", "omics.csv", "folds.csv"]),
    keep_header=st.booleans(),
)
@example(content=b"\xff\xfe\x00", sheet="omics.csv", keep_header=True)
@example(content=b'"', sheet="folds.csv", keep_header=True)
def test_garbage_never_raises_anything_else(
    case: Case, content: bytes, sheet: str, keep_header: bool
) -> None:
    case.published()
    config = case.config()
    file = case.folder / sheet
    header = file.read_bytes().splitlines(keepends=True)[0] if keep_header else b""
    file.write_bytes(header + content)
    try:
        check_cohort(config)
    except UserInputError as error:
        assert sheet in str(error) or "configuration" in str(error) or "patients.tsv" in str(error)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    text=st.text(st.characters(blacklist_categories=("Cs",)), max_size=40),
    row=st.integers(1, N + 1),
    column=st.integers(0, 6),
    sheet=st.sampled_from(["patients", "slides", "omics"]),
)
def test_garbage_in_a_cell_is_found_or_harmless(
    case: Case, text: str, row: int, column: int, sheet: str
) -> None:
    table = getattr(case, sheet)
    column %= len(table[0])
    before, table[row - 1][column] = table[row - 1][column], text
    try:
        cohort = check_cohort(case.config())
    except UserInputError:
        pass
    else:
        assert cohort.outcomes["time_months"].between(0, 1200, inclusive="right").all()
        assert cohort.outcomes["patient_id"].str.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]{0,63}").all()
    finally:
        table[row - 1][column] = before
