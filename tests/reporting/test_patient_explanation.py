"""What moved one patient's estimate, in a reader's units."""

from dataclasses import replace

import numpy as np
import pytest

from evaluation_fixture import make_study
from explanation_fixture import COVARIATES, GROUPS, explained
from survfuse.artifacts.explanations import FoldExplanation
from survfuse.reporting.sections import patient_explanation as page
from survfuse.reporting.wording import lint

UNSTABLE = {"spearman": 0.12}
STABLE = {"spearman": 0.5}


def by_hand(**changes) -> FoldExplanation:
    """Five patients with risks of spread 2, explained by three members."""
    n = 5
    risk = np.array([0.0, 1.0, 2.0, 3.0, 4.0]) * np.sqrt(2.0)
    groups = np.zeros((n, 3))
    groups[0] = [1.0, -4.0, 0.001]
    covariates = np.zeros((n, 2))
    covariates[0] = [2.0, -0.5]
    first = FoldExplanation(
        repeat=0,
        fold=0,
        members=3,
        patient_ids=tuple("ABCDE"),
        risk=risk,
        at_average=risk - groups.sum(axis=1) - covariates.sum(axis=1),
        names={"omics": ("GROUP_ONE", "TWO", "THREE"), "clinical": ("age", "stage")},
        attribution={"omics": groups, "clinical": covariates},
        same_sign={"omics": np.full((n, 3), 2 / 3), "clinical": np.ones((n, 2))},
        permuted={
            "slides": np.tile(risk, (2, 1)),
            "omics": np.stack([risk + 3.5, risk - 0.1]),
        },
        group_attention=np.zeros((n, 0)),
        attention_agreement={"slides": np.array([0.4, np.nan, 0.1, 0.2, 0.3])},
    )
    return replace(first, **changes)


def rows_of(found, number):
    """The rows of a table by direction."""
    return {direction.word: direction.rows for direction in found.tables[number].directions}


def without_genes() -> FoldExplanation:
    """Patient A has no genes."""
    one = by_hand()
    genes, risks = one.attribution["omics"].copy(), one.permuted["omics"].copy()
    genes[0], risks[:, 0] = np.nan, np.nan
    return replace(
        one,
        attribution={**one.attribution, "omics": genes},
        same_sign={**one.same_sign, "omics": np.where(np.isnan(genes), np.nan, 1.0)},
        permuted={**one.permuted, "omics": risks},
    )


def test_gene_groups_by_direction_in_standard_deviations():
    found = page.explain([by_hand()], "A")
    assert (found.tables[0].noun, found.tables[0].total) == ("gene group", 3)
    (up,), (down,) = rows_of(found, 0).values()  # 0.001 would be printed as 0.00
    assert (up.name, up.deviations, up.bar_percent) == ("GROUP ONE", pytest.approx(0.5), 25.0)
    assert (down.name, down.deviations, down.bar_percent) == ("TWO", pytest.approx(-2.0), 100.0)
    assert (up.number, down.number) == (0, 1)
    assert up.agree == "2 of 3"


def test_covariates_share_the_scale_of_the_groups():
    rows = rows_of(page.explain([by_hand()], "A"), 1)
    (age,), (stage,) = rows["raised"], rows["lowered"]
    assert (age.name, age.deviations, age.bar_percent) == ("age", pytest.approx(1.0), 50.0)
    lowest = ("stage", pytest.approx(-0.25), 12.5)
    assert (stage.name, stage.deviations, stage.bar_percent) == lowest
    assert age.agree == "3 of 3"


def test_modalities_in_places():
    """With others' genes A, the lowest, stands above two of the other four, or where A stands."""
    genes, slides = page.explain([by_hand()], "A").modalities
    assert (genes.name, genes.moved, genes.raised) == ("Gene expression", 25.0, -25.0)
    assert (slides.name, slides.moved, slides.raised) == ("Slides", 0.0, 0.0)
    assert (genes.bar_percent, slides.bar_percent) == (100.0, 0.0)
    assert (genes.modality, slides.modality) == ("omics", "slides")


def test_what_a_patient_lacks_is_not_told():
    found = page.explain([without_genes()], "A")
    assert [table.modality for table in found.tables] == ["clinical"]
    assert [row.name for row in found.modalities] == ["Slides"]
    assert rows_of(found, 0)["raised"][0].bar_percent == 100.0


def test_parts_that_move_nothing_leave_an_empty_table():
    found = page.explain([by_hand()], "B")
    assert [(table.total, table.directions) for table in found.tables] == [(3, []), (2, [])]


def test_agreement_of_the_members():
    assert page.explain([by_hand()], "A").tile_agreement == 0.4
    assert page.explain([by_hand()], "B").tile_agreement is None
    found = page.explain([by_hand(attention_agreement={})], "A")
    assert found.tile_agreement is None
    assert page.tile_sentence(found) is None
    assert page.tile_sentence(page.explain([by_hand()], "A")) == (
        "The 3 models, trained from different seeds, rank the tiles of this patient by attention "
        "in partly the same order (mean rank correlation 0.40, chance 0)."
    )
    single = by_hand(members=1, same_sign={m: v * np.nan for m, v in by_hand().same_sign.items()})
    assert rows_of(page.explain([single], "A"), 0)["raised"][0].agree is None


def test_attributions_that_leave_something_open_say_so():
    one = by_hand()
    assert page.explain([one], "A").gap == pytest.approx(0)
    slightly = replace(one, at_average=one.at_average - 0.09)  # 0.045 standard deviations
    assert page.part_sentences(page.explain([slightly], "A"), {}) == []
    for sign in (-1, 1):
        much = replace(one, at_average=one.at_average + sign * 0.11)
        assert page.part_sentences(page.explain([much], "A"), {}) == [
            "The parts do not add up: 0.06 standard deviations of the difference from the average "
            "training patient are left over."
        ]


def test_rankings_that_differ_between_folds_are_told_only_of_what_is_shown():
    found = page.explain([by_hand()], "A")
    unstable = {"omics": UNSTABLE, "clinical": UNSTABLE, "attention": UNSTABLE}
    (genes, clinical) = page.part_sentences(found, unstable)
    assert genes == (
        "The models of different folds rank the gene groups in hardly the same order (mean rank "
        "correlation 0.12, chance 0): models trained on other patients might order them "
        "differently."
    )
    assert "the clinical values in hardly the same order" in clinical
    assert page.part_sentences(found, {"omics": STABLE, "clinical": {"spearman": None}}) == []
    one = without_genes()
    lacking = page.explain([replace(one, at_average=one.at_average - 3)], "A")
    assert page.part_sentences(lacking, unstable) == [clinical]


def test_the_sentences_keep_to_the_wording_rules():
    one = by_hand()
    found = page.explain([replace(one, at_average=one.at_average + 1)], "A")
    said = page.part_sentences(found, {"omics": UNSTABLE, "clinical": UNSTABLE})
    said.append(page.tile_sentence(found))
    assert len(said) == 4
    assert [fault for sentence in said for fault in lint(f"<p>{sentence}</p>")] == []


def test_patients_and_models_without_explanations():
    assert page.explain([], "A") is None
    assert page.explain([by_hand()], "Z") is None
    bare = by_hand(names={}, attribution={}, same_sign={}, permuted={})
    assert page.explain([bare], "A") is None
    equal = by_hand(risk=np.zeros(5), permuted={"slides": np.zeros((2, 5))})
    (slides,) = page.explain([equal], "A").modalities
    assert (slides.moved, slides.bar_percent) == (0.0, 0.0)


def test_the_strongest_in_each_direction_and_how_many_there_are():
    study = make_study(100, folds=5)
    folds = explained(study, genes=0.01)
    cut = 0
    for one in folds:
        for row, patient in enumerate(one.patient_ids):
            for table in page.explain(folds, patient).tables:
                values = one.attribution[table.modality][row] / one.risk.std()
                assert table.total == len({"omics": GROUPS, "clinical": COVARIATES}[table.modality])
                for direction in table.directions:
                    sign = 1 if direction.word == "raised" else -1
                    own = np.sort(sign * values[sign * values >= page.LEAST_SHOWN])[::-1]
                    assert direction.count == len(own)
                    shown = [sign * part.deviations for part in direction.rows]
                    assert shown == pytest.approx(own[: page.MOST_PARTS].tolist())
                    assert all(
                        part.deviations == pytest.approx(values[part.number])
                        for part in direction.rows
                    )
                    cut += direction.count > page.MOST_PARTS
    assert cut > 0
