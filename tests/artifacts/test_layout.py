"""Where files lie: results that exist are found again only if no path ever changes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from survfuse.artifacts.layout import (
    FOLD_PATTERN,
    FoldFolder,
    ResultsFolder,
    SynthesisFolder,
    fold_name,
    fold_numbers,
    folds_in_words,
)
from survfuse.core.errors import UserInputError
from survfuse.modalities.registry import SOURCES

ROOT = Path(__file__).parents[2]
RESULTS = ResultsFolder(Path("out"))
FIT = RESULTS.models.fit("cmta", "r0f3")
PLACES = {
    "out/effective_config.yaml": RESULTS.effective_config,
    "out/sheets/truth.tsv": RESULTS.truth,
    "out/cohort/cohort.json": RESULTS.cohort.summary,
    "out/cohort/clinical.tsv": RESULTS.cohort.clinical,
    "out/cohort/outcomes.tsv": RESULTS.cohort.outcomes,
    "out/cohort/slides.tsv": RESULTS.cohort.slides,
    "out/cohort/images.tsv": RESULTS.cohort.images,
    "out/cohort/availability.tsv": RESULTS.cohort.availability,
    "out/cohort/excluded.tsv": RESULTS.cohort.excluded,
    "out/cohort/radiomics.tsv": RESULTS.cohort.brought("radiomics"),
    "out/omics/omics.npz": RESULTS.read_of("omics"),
    "out/slides/slides.tsv": RESULTS.read_of("slides"),
    "out/images/images.tsv": RESULTS.read_of("pet"),
    "out/splits/splits.tsv": RESULTS.splits.table,
    "out/splits/splits.json": RESULTS.splits.record,
    "out/splits/r1f2/train.tsv": RESULTS.splits.fold(1, 2).train,
    "out/splits/r1f2/test_ids.tsv": RESULTS.splits.fold(1, 2).test_ids,
    "out/synthesis/r0f0/synthetic.tsv": SynthesisFolder(RESULTS.synthesis / "r0f0").table,
    "out/synthesis/r0f0/synthesis.json": SynthesisFolder(RESULTS.synthesis / "r0f0").measures,
    "out/models/cmta/r0f3/model.safetensors": FIT.weights,
    "out/models/cmta/r0f3/fit.json": FIT.description,
    "out/models/rsf/folds.json": RESULTS.models.record("rsf"),
    "out/predictions/availability.tsv": RESULTS.predictions.availability,
    "out/predictions/cmta.tsv": RESULTS.predictions.table("cmta"),
    "out/predictions/cmta.json": RESULTS.predictions.record("cmta"),
    "out/predictions/cmta.ablations.tsv": RESULTS.predictions.ablations("cmta"),
    "out/predictions/cmta.attention.h5": RESULTS.predictions.attention("cmta"),
    "out/predictions/cmta.explain.h5": RESULTS.predictions.explanations("cmta"),
    "out/predictions/itcfn.saliency.h5": RESULTS.predictions.saliency("itcfn"),
    "out/evaluation/evaluation.json": RESULTS.evaluation.scores,
    "out/evaluation/risks.tsv": RESULTS.evaluation.risks,
    "out/evaluation/predictions.tsv": RESULTS.evaluation.tidy,
    "out/report/index.html": RESULTS.report.index,
    "out/report/patients/p1.html": RESULTS.report.patient("p1"),
}


@pytest.mark.parametrize("expected", PLACES)
def test_every_file_lies_where_it_always_lay(expected: str) -> None:
    assert PLACES[expected] == Path(expected)


def test_folds_are_named_and_read_back() -> None:
    assert fold_name(0, 3) == "r0f3"
    assert fold_numbers(Path("splits") / fold_name(10, 12)) == (10, 12)
    assert re.fullmatch(FOLD_PATTERN, fold_name(10, 12))


@pytest.mark.parametrize("name", ["r0", "f1r0", "r0f", "r0f1x", ".scratch"])
def test_no_other_folder_is_taken_for_a_fold(name: str) -> None:
    with pytest.raises(UserInputError, match="like r0f3"):
        fold_numbers(Path(name))


def test_tables_of_folds_are_listed(tmp_path: Path) -> None:
    splits = ResultsFolder(tmp_path).splits
    for table in (splits.table, splits.fold(0, 1).train, splits.root / "other" / "train.tsv"):
        table.parent.mkdir(parents=True, exist_ok=True)
        table.touch()
    assert splits.tables() == [splits.table, FoldFolder(splits.root / "r0f1").train]


def test_files_that_models_read_are_those_of_the_cohort_folder() -> None:
    in_cohort = [stored for stored in SOURCES.values() if stored.startswith("cohort/")]
    assert in_cohort == ["cohort/radiomics.tsv"]
    assert RESULTS.cohort.brought("radiomics") == RESULTS.read_of("radiomics")


def test_the_layout_alone_spells_the_names_of_folds() -> None:
    spelled = re.compile(r"""f["']r\{[^}]*\}f\{|r\\d\+f\\d\+""")
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "workflow").rglob("*.smk")]
    spelling = {path.name for path in sources if spelled.search(path.read_text(encoding="utf-8"))}
    assert spelling == {"layout.py"}


def test_the_rules_write_where_the_layout_says() -> None:
    """Rules spell paths with wildcards, which the layout takes for names."""
    written = [
        *(RESULTS.cohort.summary, RESULTS.cohort.clinical, RESULTS.cohort.outcomes),
        *(RESULTS.cohort.slides, RESULTS.cohort.images, RESULTS.cohort.availability),
        *(RESULTS.cohort.excluded, RESULTS.splits.table, RESULTS.splits.record),
        FoldFolder(RESULTS.splits.root / "{fold}").train,
        FoldFolder(RESULTS.splits.root / "{fold}").test_ids,
        RESULTS.models.fit("{model}", "{fold}").weights,
        RESULTS.models.fit("{model}", "{fold}").description,
        RESULTS.models.record("{model}"),
        SynthesisFolder(RESULTS.synthesis / "{fold}").table,
        SynthesisFolder(RESULTS.synthesis / "{fold}").measures,
        *(RESULTS.predictions.table("{model}"), RESULTS.predictions.record("{model}")),
        *(RESULTS.predictions.ablations("{model}"), RESULTS.predictions.attention("{model}")),
        *(RESULTS.predictions.explanations("{model}"), RESULTS.predictions.saliency("{model}")),
        *(RESULTS.predictions.availability, RESULTS.truth, RESULTS.report.index),
        *(RESULTS.evaluation.scores, RESULTS.evaluation.risks, RESULTS.evaluation.tidy),
    ]
    rules = "".join(path.read_text() for path in sorted((ROOT / "workflow").rglob("*.smk")))
    spelled = {path: " / ".join(f'"{part}"' for part in path.parts[1:]) for path in written}
    assert [path for path, parts in spelled.items() if f"OUT / {parts}" not in rules] == []


def test_sentences_count_folds_from_one() -> None:
    assert folds_in_words([0]) == "fold 1"
    assert folds_in_words([0, 3]) == "folds 1, 4"
    assert folds_in_words([2], 0) == "fold 3 of repeat 1"
