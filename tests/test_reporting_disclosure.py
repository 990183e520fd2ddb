"""Small counts are withheld, and cannot be computed from what is left."""

from itertools import product

from survfuse.reporting.disclosure import SiteRow, overlap_rows, site_rows, withhold


def test_counts_below_the_limit_are_withheld():
    assert withhold([3, 20, 4], 5) == [None, 20, None]


def test_a_single_small_count_takes_the_next_smallest_with_it():
    assert withhold([3, 20, 10], 5) == [None, 20, None]


def test_nothing_is_withheld_without_need():
    assert withhold([5, 6, 7], 5) == [5, 6, 7]


def test_no_small_count_follows_from_the_total():
    """Over all small tables: never exactly one withheld count beside shown ones."""
    for counts in product(range(8), repeat=3):
        shown = withhold(counts, 4)
        assert sum(count is None for count in shown) != 1
        assert all(count is None or count >= 4 for count in shown)


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


def test_without_sites_there_is_no_table():
    assert site_rows([], 5) == []
