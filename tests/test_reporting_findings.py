"""Verdict, forest axis and reasons from evaluation.json."""

import pytest

from reporting_fixture import configuration
from survfuse.errors import UserInputError
from survfuse.reporting import findings


def row(model, role, c=0.7, low=0.6, high=0.8):
    metric = {"value": c, "low": low, "high": high, "per_fold": [0.55, None]}
    return {"model": model, "label": model.upper(), "role": role, "harrell_c": metric}


def evaluation(*differences):
    """An evaluation with fusion rows a, b, ... whose differences have the given intervals."""
    names = "abcdef"[: len(differences)]
    return {
        "reference": "clinical_cox",
        "rows": [
            row("site_only", "site"),
            row("clinical_cox", "clinical"),
            *(row(name, "fusion") for name in names),
        ],
        "comparisons": [
            {
                "model": name,
                "reference": reference,
                "metric": "harrell_c",
                "difference": (interval[0] + interval[1]) / 2,
                "low": interval[0] if reference == "clinical_cox" else 0.9,
                "high": interval[1],
            }
            for name, interval in zip(names, differences, strict=True)
            for reference in ("site_only", "clinical_cox")
            if interval
        ],
    }


def names(rows):
    return [row["model"] for row in rows]


def test_verdict_follows_the_interval_against_the_reference():
    found = findings.verdict(evaluation((0.01, 0.1), (-0.1, -0.01), (-0.05, 0.05), None))
    assert names(found.better) == ["a"]
    assert names(found.worse) == ["b"]
    assert names(found.unclear) == ["c"]
    assert names(found.unknown) == ["d"]


def test_touching_zero_is_not_better():
    assert names(findings.verdict(evaluation((0.0, 0.1))).unclear) == ["a"]


def test_axis_holds_everything_and_places_values_linearly():
    axis = findings.forest_axis([row("a", "fusion", low=0.33, high=0.91)])
    assert (axis.low, axis.high) == (0.3, 1.0)
    assert axis.at(0.3) == "3.00%"
    assert axis.at(1.0) == "97.00%"
    assert axis.at(0.65) == "50.00%"
    assert axis.at(5.0) == "97.00%"
    assert axis.ticks == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_axis_without_any_estimate():
    empty = {"harrell_c": {"value": None, "low": None, "high": None, "per_fold": []}}
    assert findings.forest_axis([empty, {}]) == findings.Axis(0.4, 0.8)


def test_a_control_above_chance_is_suspicious():
    rows = {"rows": [row("c", "control", low=0.51), row("d", "control", low=0.5)]}
    assert names(findings.suspicious(rows, "control")) == ["c"]


def test_page_model_is_the_configured_or_first_fusion_model(tmp_path):
    rows = {"rows": [row("late_fusion", "late"), row("cmta", "fusion"), row("snn", "unimodal")]}
    assert findings.page_model(configuration(tmp_path), rows) == "cmta"
    named = configuration(tmp_path, report={"model": "snn"})
    assert findings.page_model(named, rows) == "snn"
    with pytest.raises(UserInputError, match=r"set report\.model"):
        findings.page_model(configuration(tmp_path), {"rows": [row("snn", "unimodal")]})


def test_reasons_are_told_once_with_all_their_places():
    rows = [
        {
            "label": label,
            "auc": {
                "12": {"value": 0.7, "low": 0.6, "high": 0.8},
                "36": {"value": None, "low": None, "high": None, "reason": "too short"},
            },
            "ibs": {"value": 0.1, "low": None, "high": None, "reason": "one fold"},
            "uno_c": None,
        }
        for label in ("A", "B")
    ]
    assert findings.reasons(rows, {"auc": "AUC", "ibs": "IBS", "uno_c": "Uno"}) == [
        ("too short", ["A: AUC at 36 months", "B: AUC at 36 months"]),
        ("one fold", ["A: IBS", "B: IBS"]),
    ]
