"""Small counts are withheld, and cannot be computed from what is left."""

from itertools import product

import pytest

from survfuse.core.errors import UserInputError
from survfuse.reporting.disclosure import (
    SiteRow,
    covariate_rows,
    digits,
    overlap_rows,
    risk_group_rows,
    site_rows,
    withhold,
)


def test_counts_below_the_limit_are_withheld():
    assert withhold([3, 20, 4], 5) == [None, 20, None]


def test_a_single_small_count_takes_the_next_smallest_with_it():
    assert withhold([3, 20, 10], 5) == [None, 20, None]


def test_nothing_is_withheld_without_need():
    assert withhold([5, 6, 7], 5) == [5, 6, 7]


def test_withheld_counts_are_not_few_together():
    assert withhold([40, 1, 0, 20], 5) == [40, None, None, None]
    assert withhold([40, 3, 2, 20], 5) == [40, None, None, 20]


def test_nobody_may_be_told():
    assert withhold([30, 30, 0], 5, tell_zeros=True) == [30, 30, 0]
    assert withhold([31, 30, 0], 5) == [31, None, None]
    assert withhold([56, 4, 0], 5, tell_zeros=True) == [None, None, 0]


def test_no_small_count_follows_from_the_total():
    """Over all small tables: what is withheld is of two or more, who are not few together."""
    for counts in product(range(8), repeat=3):
        for tell_zeros in (False, True):
            shown = withhold(counts, 4, tell_zeros)
            hidden = [n for n, told in zip(counts, shown, strict=True) if told is None]
            told = [n for n in shown if n is not None]
            assert all(n >= 4 or (tell_zeros and n == 0) for n in told)
            assert not hidden or not any(told) or (len(hidden) > 1 and sum(hidden) >= 4)


def covariate(**levels: int) -> dict:
    told = [{"level": level, "n": n} for level, n in levels.items()]
    return {"name": "sex", "type": "categorical", "quartiles": None, "levels": told}


def rows_of(*covariates: dict) -> list[tuple[str, int | None]]:
    rows = covariate_rows({"n_patients": 60, "covariates": list(covariates)}, 5)
    return [(row.summary, row.missing) for row in rows]


def test_a_rare_level_does_not_follow_from_the_others():
    """Four women are the rest of 60 patients of whom 56 are men."""
    rare = covariate(f=4, m=56) | {"missing": 0}
    assert rows_of(rare) == [("f: withheld, m: withheld", 0)]
    assert rows_of(covariate(f=24, m=36) | {"missing": 0}) == [("f: 24, m: 36", 0)]
    assert rows_of(covariate(f=60, m=0) | {"missing": 0}) == [("f: 60, m: 0", 0)]


def test_who_lacks_a_value_counts_as_a_level():
    """Two without a value are the rest of 60 of whom 20 are women and 38 men."""
    assert rows_of(covariate(f=20, m=38) | {"missing": 2}) == [("f: withheld, m: 38", None)]
    assert rows_of(covariate(f=4, m=53) | {"missing": 3}) == [("f: withheld, m: 53", None)]
    assert rows_of(covariate(f=24, m=26) | {"missing": 10}) == [("f: 24, m: 26", 10)]


def test_numbers_of_few_patients_are_withheld():
    age = {"name": "age", "type": "continuous", "levels": None, "quartiles": [50, 61.25, 70]}
    told = "median 61.25 (quartiles 50 to 70)"
    found = rows_of(*(age | {"missing": n} for n in (0, 4, 5, 56)))
    assert found == [(told, 0), (told, None), (told, 5), ("withheld", 56)]


def test_a_summary_in_words_is_refused():
    with pytest.raises(UserInputError, match="run check-cohort again"):
        rows_of({"name": "sex", "type": "categorical", "summary": "f: 4, m: 56", "missing": 0})


def test_rare_combinations_of_modalities_are_withheld():
    both, genes, clinical = ["clinical", "omics"], ["omics"], ["clinical"]
    cohort = {
        "modalities": {"clinical": 451, "omics": 412, "slides": 0},
        "overlap": [
            {"modalities": both, "n": 411},
            {"modalities": clinical, "n": 44},
            {"modalities": genes, "n": 1},
        ],
    }
    found = overlap_rows(cohort, ("slides", "omics", "clinical"), 5)
    assert found["names"] == ["omics", "clinical"]
    assert [row["n"] for row in found["rows"]] == [411, None, None]
    assert [row["modalities"] for row in found["rows"]] == [both, clinical, genes]


def test_small_sites_share_a_row():
    sites = [
        {"site": "A", "n": 40, "events": 20},
        {"site": "B", "n": 30, "events": 12},
        {"site": "C", "n": 4, "events": 3},
        {"site": "D", "n": 3, "events": 3},
    ]
    assert site_rows(sites, 5) == [
        SiteRow("A", 1, 40, 20),
        SiteRow("B", 1, 30, 12),
        SiteRow("Other sites", 2, 7, 6),
    ]


def test_one_small_site_is_merged_with_the_next_smallest():
    sites = [
        {"site": "A", "n": 40, "events": 20},
        {"site": "B", "n": 30, "events": 12},
        {"site": "C", "n": 2, "events": 1},
    ]
    assert site_rows(sites, 5) == [SiteRow("A", 1, 40, 20), SiteRow("Other sites", 2, 32, 13)]


def test_few_events_of_a_large_site_are_withheld():
    sites = [
        {"site": "A", "n": 40, "events": 20},
        {"site": "B", "n": 30, "events": 2},
        {"site": "C", "n": 20, "events": 9},
    ]
    assert [row.events for row in site_rows(sites, 5)] == [20, None, None]


def test_events_of_a_group_of_unknown_size_are_withheld():
    groups = [{"n": n, "events": events} for n, events in ((40, 9), (10, 8), (4, 7))]
    found = risk_group_rows(groups, 5)
    assert [(row["n"], row["events"]) for row in found] == [(40, 9), (None, None), (None, None)]


def test_without_sites_there_is_no_table():
    assert site_rows([], 5) == []


@pytest.mark.parametrize(
    ("value", "told"),
    [(22984.0, "22984"), (-15000.5, "-15000"), (68.25, "68.25"), (0.00012346, "0.0001235"),
     (123456789.0, "123456789"), (0.0, "0"), (2e12, "2e+12")],
)  # fmt: skip
def test_numbers_are_written_as_people_write_them(value: float, told: str) -> None:
    assert digits(value) == told
