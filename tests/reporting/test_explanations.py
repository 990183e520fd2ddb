"""What the cohort page says of an explained model: no more than its intervals allow."""

import pytest

from evaluation_fixture import make_study
from explanation_fixture import explained
from survfuse.evaluation.explained import summarise
from survfuse.reporting.sections import explanations as pages
from survfuse.reporting.wording import lint


@pytest.fixture(scope="module")
def study():
    return make_study(100, folds=5)


@pytest.fixture(scope="module")
def folds(study):
    return explained(study)


def test_only_an_interval_above_zero_shows_reliance():
    drops = {
        "omics": {"value": 0.01, "low": -0.02, "high": 0.04},
        "slides": {"value": 0.08, "low": 0.03, "high": 0.13},
        "clinical": {"value": 0.05, "low": None, "high": None, "reason": "only one fold"},
    }
    rows = pages.contribution_rows(drops)
    assert [(row.name, row.shown) for row in rows] == [
        ("Slides", True),
        ("Clinical data", False),
        ("Gene expression", False),
    ]
    assert pages.contribution_sentences(rows, "CMTA") == [
        "CMTA relies on the slides to rank patients.",
        "CMTA is not shown to rely on the clinical data.",
        "CMTA is not shown to rely on the gene expression.",
    ]


@pytest.mark.parametrize(
    ("correlation", "words", "stable"),
    [
        (0.9, "in much the same order", True),
        (0.5, "in partly the same order", True),
        (0.1, "in hardly the same order", False),
    ],
)
def test_stability_in_words(correlation, words, stable):
    measured = {
        "omics": {
            "folds": 5,
            "parts": 50,
            "top": 10,
            "spearman": correlation,
            "lowest": -0.05,
            "shared": 6.44,
            "shared_by_chance": 2.0,
        }
    }
    first, second = pages.stability_sentences(measured)
    assert first == (
        f"The models of 5 folds rank 50 gene groups by their effect on the estimate {words}: mean "
        f"rank correlation {correlation:.2f}, lowest pair −0.05, chance 0."
    )
    assert second == (
        "Of the 10 first, two models have 6.4 in common on average; by chance it would be 2.0."
    )
    assert pages.is_stable(measured, "omics") is stable
    assert pages.is_stable(measured, "attention") is None


def test_a_list_of_one_is_not_told():
    measured = {"folds": 5, "parts": 3, "top": 1, "spearman": 1.0, "lowest": 1.0}
    measured |= {"shared": 1.0, "shared_by_chance": 1 / 3}
    assert pages.stability_sentences({"clinical": measured}) == [
        "The models of 5 folds rank 3 clinical values by their effect on the estimate in much the "
        "same order: "
        "mean rank correlation 1.00, lowest pair 1.00, chance 0."
    ]


def test_unknown_stability_gives_its_reason():
    measured = {"clinical": {"spearman": None, "reason": "there are no two parts to rank"}}
    assert pages.stability_sentences(measured) == [
        "Agreement of the folds on clinical values by their effect on the estimate: not known, "
        "there are no two parts to rank."
    ]
    assert pages.is_stable(measured, "clinical") is None


def test_the_sentences_keep_to_the_wording_rules(study, folds):
    summary = summarise(study, folds, 0.95)
    rows = pages.contribution_rows(summary["contribution"])
    said = pages.stability_sentences(summary["stability"])
    said += pages.contribution_sentences(rows, "CMTA")
    assert (
        len(said) == 2 + 2 + 1 + 2
    )  # the clinical values are two, and the first of two is no list
    assert [fault for sentence in said for fault in lint(f"<p>{sentence}</p>")] == []


def test_a_model_as_the_page_shows_it(study, folds):
    summary = summarise(study, folds, 0.95)
    rows = [{"model": "cmta", "label": "CMTA"}]
    (one,) = pages.model_explanations({"rows": rows, "explained": {"cmta": summary}})
    assert (one.model, one.label, one.tile_agreement) == ("cmta", "CMTA", 0.25)
    assert len(one.stability) == 3  # a paragraph for each kind
    assert one.relies[0] == "CMTA relies on the slides to rank patients."
    ends = [row.drop[end] for row in one.rows for end in ("low", "high")]
    ends += [value for row in one.rows for value in row.drop["per_fold"]]
    assert one.axis.low <= min(ends)
    assert max(ends) <= one.axis.high
    (unnamed,) = pages.model_explanations({"rows": [], "explained": {"gone": summary}})
    assert unnamed.label == "gone"


def test_evaluations_without_explanations_say_nothing():
    assert pages.model_explanations({"rows": [], "explained": {}}) == []
    nothing = {"contribution": {}, "stability": {}, "attention_agreement": {}}
    (one,) = pages.model_explanations({"rows": [], "explained": {"x": nothing}})
    assert (one.rows, one.relies, one.stability, one.tile_agreement) == ([], [], [], None)
