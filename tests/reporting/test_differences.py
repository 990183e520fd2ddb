"""Differences between rows: each in its place, and why one is lacking."""

from typing import Any

from survfuse.reporting.sections.differences import other_differences, reasons_without

ROWS = [{"model": name, "label": name.upper()} for name in ("cox", "net", "both", "trees")]


def compared(model: str, reference: str, **values: Any) -> dict[str, Any]:
    found = {"difference": 0.1, "low": 0.0, "high": 0.2, "metric": "c", "few": False}
    return {"model": model, "reference": reference, **found, **values}


def evaluation(*comparisons: dict[str, Any]) -> Any:
    return {"rows": ROWS, "reference": "cox", "comparisons": comparisons}


def test_those_from_the_reference_are_not_among_the_others() -> None:
    first, second = compared("both", "net"), compared("both", "trees", difference=0.3)
    found = other_differences(
        evaluation(
            compared("both", "cox"), second, first, compared("net", "trees", metric="brier")
        ),
        "c",
    )
    assert found is not None
    assert found.against == {"net": "NET", "trees": "TREES"}  # in the order of the rows
    assert found.rows == [(ROWS[2], {"trees": second, "net": first})]
    assert found.reasons == []
    assert other_differences(evaluation(compared("both", "cox")), "c") is None


def test_a_reason_is_given_once_for_all_pairs_it_applies_to() -> None:
    lacking = {"difference": None, "low": None, "high": None, "reason": "one is flat"}
    board = evaluation(
        compared("both", "net", **lacking),
        compared("trees", "net", **lacking),
        compared("both", "cox", **lacking),
        compared("net", "cox"),
    )
    found = other_differences(board, "c")
    assert found is not None
    assert found.reasons == [("one is flat", ["BOTH and NET", "TREES and NET"])]
    assert reasons_without(board, "c") == [("one is flat", ["BOTH and COX"])]
