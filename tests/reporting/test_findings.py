"""Verdict, forest axis and reasons from evaluation.json."""

import pytest

from reporting_fixture import configuration
from survfuse.core.errors import UserInputError
from survfuse.reporting import findings
from survfuse.reporting.survival.cohort_page import ASSOCIATED
from survfuse.tasks.survival.metrics import RANKING

HEADINGS = findings.headings(RANKING.noun)


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
    found = findings.verdict(
        evaluation((0.01, 0.1), (-0.1, -0.01), (-0.05, 0.05), None), RANKING.compared_as
    )
    assert names(found.better) == ["a"]
    assert names(found.worse) == ["b"]
    assert names(found.unclear) == ["c"]
    assert names(found.unknown) == ["d"]


def test_classical_models_of_several_modalities_are_in_the_verdict():
    classical = evaluation((0.01, 0.1))
    classical["rows"][2]["role"] = "classical"
    assert names(findings.verdict(classical, RANKING.compared_as).better) == ["a"]
    classical["rows"][2]["role"] = "unimodal"
    assert names(findings.verdict(classical, RANKING.compared_as).better) == []


def test_touching_zero_is_not_better():
    assert names(findings.verdict(evaluation((0.0, 0.1)), RANKING.compared_as).unclear) == ["a"]


def test_axis_holds_everything_and_places_values_linearly():
    axis = findings.forest_axis([row("a", "fusion", low=0.33, high=0.91)], RANKING.name)
    assert (axis.low, axis.high) == (0.3, 1.0)
    assert axis.at(0.3) == "3.00%"
    assert axis.at(1.0) == "97.00%"
    assert axis.at(0.65) == "50.00%"
    assert axis.at(5.0) == "97.00%"
    assert axis.ticks == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_axis_without_any_estimate():
    empty = {"harrell_c": {"value": None, "low": None, "high": None, "per_fold": []}}
    assert findings.forest_axis([empty, {}], RANKING.name) == findings.Axis(0.4, 0.8)


def test_a_control_above_chance_is_suspicious():
    rows = {"rows": [row("c", "control", low=0.51), row("d", "control", low=0.5)]}
    assert names(findings.suspicious(rows, "control", RANKING.name)) == ["c"]


def test_page_model_is_the_configured_or_first_fusion_model(tmp_path):
    scored = [row("late_fusion", "late"), row("cmta", "fusion"), row("snn", "unimodal")]
    rows = {"rows": scored, "left_out": []}
    assert findings.page_model(configuration(tmp_path), rows) == "cmta"
    named = configuration(tmp_path, report={"model": "snn"})
    assert findings.page_model(named, rows) == "snn"
    with pytest.raises(UserInputError, match=r"set report\.model"):
        findings.page_model(configuration(tmp_path), {**rows, "rows": scored[2:]})


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


def test_reasons_name_the_input_that_was_shown():
    ablation = {"value": None, "low": None, "high": None, "n": 9, "reason": "few pairs"}
    rows = [{"label": "A", "ablations": {"omics": ablation, "slides": {"value": 0.6, "n": 80}}}]
    assert findings.reasons(rows, {"ablations": "C"}, ", {} only") == [
        ("few pairs", ["A: C, gene expression only"])
    ]


def test_parts_follow_the_order_of_the_leaderboard():
    roles = ["site", "clinical", "classical", "fusion", "unimodal", "late", "control", "oracle"]
    rows = [row(f"m{number}", role) for number, role in enumerate(roles)]
    divided = findings.parts(rows, HEADINGS)
    assert [heading for heading, _ in divided] == [heading for heading, _ in HEADINGS]
    assert [one for _, part in divided for one in part] == rows
    assert [len(part) for _, part in divided] == [2, 4, 2]
    assert [heading for heading, _ in findings.parts(rows[2:6], HEADINGS)] == [HEADINGS[1][0]]


def alone(model, role="fusion", **patients):
    return row(model, role) | {"ablations": {name: {"n": n} for name, n in patients.items()}}


def test_models_shown_one_input_alone_and_their_patients():
    rows = [
        row("snn", "unimodal"),
        alone("a", slides=62, clinical=80),
        alone("b", slides=62, omics=70, clinical=79),
        alone("p", "control", slides=12),
    ]
    shown, patients = findings.alone(rows)
    assert names(shown) == ["a", "b"]
    assert patients == {"slides": 62, "omics": 70, "clinical": None}
    assert findings.alone(rows[:1]) == ([], {})


def test_associations_tell_the_direction_and_nothing_where_nothing_is_known():
    def entry(modality, auroc, low, high):
        return {"modality": modality, "auroc": auroc, "low": low, "high": high}

    found = findings.associations(
        {
            "availability": [
                entry("slides", 0.6, 0.51, 0.7),
                entry("omics", 0.4, 0.3, 0.49),
                entry("slides", 0.6, 0.5, 0.7),
                entry("clinical", None, None, None),
                entry("clinical", 1.0, None, None),
            ]
        },
        ASSOCIATED,
    )
    assert [(name, finding.split()[-2:]) for _, name, finding in found] == [
        ("slides", ["earlier", "event"]),
        ("gene expression", ["later", "event"]),
        ("slides", ["the", "outcome"]),
        ("clinical data", ["earlier", "event"]),
    ]
    assert "not shown" in found[2][2]
    assert findings.associations({"availability": []}, ASSOCIATED) == []
