"""Published folds with missing modalities: small copies of the layout, and the real files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from survfuse.sheets.problems import SheetError
from survfuse.splits.published_missing import read_missing_splits

IDS = [f"TCGA-AA-{i:04}" for i in range(6)]
COLUMNS = ["fold", "W", "O", "Study", "ID", "Event", "Status", "WSI", "Omics", "Split"]


def layout(w: int = 20, o: int = 40, first: int = 0) -> pd.DataFrame:
    """Three folds of six patients, two held out in each; of the others one lacks slides, one genes.

    In fold k, patients 2k and 2k + 1 are held out, the next lacks slides, the one after it genes.
    """
    rows = []
    for fold in range(3):
        for position, patient in enumerate(IDS):
            place = (position - 2 * fold) % 6
            wsi = "" if place == 2 else f"{patient}-01Z.svs;{patient}-02Z.svs"
            omics = "" if place == 3 else f"{patient}.csv"
            split = "val" if place < 2 else "train"
            rows.append([fold + first, w, o, "TCGA-X", patient, 9.5, 1.0, wsi, omics, split])
    return pd.DataFrame(rows, columns=COLUMNS).astype(str)


def written(frame: pd.DataFrame, folder: Path) -> Path:
    path = folder / "missing.csv.gz"
    frame.to_csv(path, index=False)
    return path


def all_of(ids: list[str]) -> pd.DataFrame:
    """A cohort that has both modalities of everybody."""
    return pd.DataFrame(True, index=sorted(ids), columns=["slides", "omics"])


def row_of(fold: int, patient: int) -> int:
    """Position of a patient in `layout`; in the file, two more."""
    return 6 * fold + patient


EXPECTED = [
    (0, IDS[2], "slides"),
    (0, IDS[3], "omics"),
    (1, IDS[4], "slides"),
    (1, IDS[5], "omics"),
    (2, IDS[0], "slides"),
    (2, IDS[1], "omics"),
]


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("kind", ["table", "directory"])
def test_folds_and_losses(
    tmp_path: Path, first: int, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """As one table with another, corrupt pattern in it, or as a directory of the original files."""
    caplog.set_level(logging.INFO)
    broken = layout(0, 60).assign(Omics="")
    frame = pd.concat([broken, layout(first=first)], ignore_index=True)
    path = written(frame, tmp_path)
    if kind == "directory":
        path = tmp_path / "TCGA-X"
        path.mkdir()
        (path / "README.csv").write_text("nothing")
        for (fold, w, o), part in frame.groupby(["fold", "W", "O"]):
            part[COLUMNS[3:]].to_csv(path / f"TCGA-X_fold_{fold}_W{w}_O{o}.csv", index=False)
    folds, withheld = read_missing_splits(path, 20, 40, all_of(IDS))
    assert folds.to_dict("list") == {"patient_id": IDS, "fold": [0, 0, 1, 1, 2, 2]}
    assert list(withheld) == ["fold", "patient_id", "modality"]
    assert list(withheld.itertuples(index=False, name=None)) == EXPECTED
    fold = f"fold 1 (number {first} of the file)"
    message = f"{fold}: 25 % of 4 training patients lack omics, nominally 40 %"
    assert message in caplog.messages
    with pytest.raises(SheetError, match="lacks omics"):
        read_missing_splits(path, 0, 60, all_of(IDS))


def test_what_the_cohort_lacks_is_not_lost_twice(tmp_path: Path) -> None:
    """A patient without genes in the cohort may lack genes in the file, but not slides."""
    available = all_of(IDS)
    available.loc[IDS[3], "omics"] = False
    path = written(layout(), tmp_path)
    assert len(read_missing_splits(path, 20, 40, available)[1]) == 6
    available.loc[IDS[4]] = False
    assert len(read_missing_splits(path, 20, 40, available)[1]) == 6, "there is nothing to lose"
    available.loc[IDS[2], "omics"] = False
    with pytest.raises(SheetError, match=r"(?s)4 .*fold 0: the patient lacks slides, but the co"):
        read_missing_splits(path, 20, 40, available)


def set_cell(fold: int, patient: int, /, **cells: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Write some cells of one row."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        for column, text in cells.items():
            frame.loc[row_of(fold, patient), column] = text
        return frame

    return change


def everywhere(patient: int, **cells: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Write some cells of all rows of a patient."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(
            **{c: frame[c].where(frame["ID"] != IDS[patient], t) for c, t in cells.items()}
        )

    return change


def repeat(fold: int, patient: int, **cells: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """Append a copy of a row, with other cells."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([frame, frame.loc[[row_of(fold, patient)]].assign(**cells)])

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            set_cell(1, 3, Omics=""),
            [r"11 .*Omics", "fold 1: .* held out but lacks omics", "complete"],
        ),
        (set_cell(1, 2, WSI=""), [r"10 .*WSI", "fold 1: .* held out but lacks slides"]),
        (
            lambda frame: frame.assign(Omics=frame["Omics"].where(frame["Split"] == "train", "")),
            [
                "2 .*fold 0: .* lacks omics .the first of 2",
                "10 .*fold 1",
                "18 .*fold 2",
                "3 problems",
            ],
        ),
        (set_cell(0, 2, Omics=""), ["4 .*fold 0: the patient lacks slides and omics", "give back"]),
        (
            set_cell(2, 4, Split="test"),
            ["18 .*Split .*fold 2: the part is not known", "write train"],
        ),
        (set_cell(2, 4, Split=""), ["fold 2: the part is not known"]),
        (
            repeat(0, 4, Split="val"),
            ["6 .*fold 0: the patient is in train and in val .the first of 2"],
        ),
        (repeat(0, 4), ["20 .*fold 0: the patient has an earlier row", "keep one row"]),
        (set_cell(0, 5, ID="Jo Doe"), ["7 .*ID .*fold 0: the id is not an identifier"]),
        (
            set_cell(0, 5, Split="val"),
            [f"Split.*{IDS[5][:12]}.*held out in 2 folds", "exactly one"],
        ),
        (set_cell(1, 2, Split="train"), ["held out in no folds"]),
        (
            lambda frame: frame.drop(row_of(1, 0)),
            [f"{IDS[0][:12]}.*fold 1: the patient has no row"],
        ),
        (everywhere(4, ID="TCGA-ZZ-0001"), ["6 .*not in the patient sheet", "no row .*remove it"]),
        (lambda frame: frame[frame["ID"] != IDS[1]], ["the patient of the cohort has no row"]),
        (lambda frame: frame[frame["fold"] == "1"], ["W20_O40 has a single fold", "add the other"]),
        (lambda frame: frame[frame["fold"] != "1"], ["W20_O40 has the folds 0, 2", "without gap"]),
        (lambda frame: frame.assign(fold=frame["fold"].astype(int) + 2), ["has the folds 2, 3, 4"]),
        (set_cell(0, 0, fold="first"), ["2 .*fold .*first .*not a whole number"]),
        (set_cell(0, 0, W="-1"), ["2 .*W .*-1 .*not a whole number"]),
        (lambda frame: frame.assign(W="30"), ["W20_O40 is not there", "there are: W30_O40"]),
        (lambda frame: frame.drop(columns="Split"), ["Split .*column is missing"]),
        (
            lambda frame: frame.assign(
                WSI="x", Omics="x", Split=np.where(frame["fold"] == "1", "val", "train")
            ),
            ["fold 0: nobody is held out", "fold 1: nobody is trained on"],
        ),
    ],
)
def test_refusals(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], found: list[str]
) -> None:
    """The message names the file, the row as a spreadsheet shows it, the fold and the remedy."""
    path = written(change(layout()), tmp_path)
    with pytest.raises(SheetError) as caught:
        read_missing_splits(path, 20, 40, all_of(IDS))
    assert str(path) in str(caught.value)
    for pattern in found:
        assert pd.Series(str(caught.value).splitlines()).str.contains(pattern).any(), pattern


def test_a_directory_with_a_fold_twice(tmp_path: Path) -> None:
    for study in ("A", "B"):
        layout().to_csv(tmp_path / f"{study}_fold_0_W20_O40.csv", index=False)
    with pytest.raises(SheetError, match=r"has the folds 0, 0 .*without gap or repeat"):
        read_missing_splits(tmp_path, 20, 40, all_of(IDS))
    with pytest.raises(SheetError, match=r"W60_O0 is not there .*W20_O40"):
        read_missing_splits(tmp_path, 60, 0, all_of(IDS))


corrupted = st.tuples(
    st.integers(0, 17),
    st.sampled_from(["fold", "W", "O", "ID", "WSI", "Omics", "Split"]),
    st.sampled_from(
        ["", "0", "1", "2", "20", "40", "train", "val", IDS[0], IDS[3], "x y", "\u00df"]
    ),
)


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(changes=st.lists(corrupted, max_size=4), dropped=st.sets(st.integers(0, 17), max_size=3))
def test_any_table_is_sound_or_refused(
    tmp_path: Path, changes: list[tuple[int, str, str]], dropped: set[int]
) -> None:
    """Whatever the cells: either a readable error, or folds and losses that hold together."""
    frame = layout()
    for row, column, text in changes:
        frame.loc[row, column] = text
    path = written(frame.drop(sorted(dropped)), tmp_path)
    try:
        folds, withheld = read_missing_splits(path, 20, 40, all_of(IDS))
    except SheetError as error:
        assert str(path) in str(error) and all(problem.remedy for problem in error.problems)
        return
    assert folds["patient_id"].tolist() == IDS and set(folds["fold"]) == {0, 1, 2}
    assert not withheld.duplicated(["fold", "patient_id"]).any(), "nobody loses both"
    tested = withheld.merge(folds, on="patient_id", suffixes=("", "_held_out"))
    assert len(tested) == len(withheld)
    assert (tested["fold"] != tested["fold_held_out"]).all(), "held-out patients are complete"


# Counted in the published files: patients, and rows without slides or omics in all training parts.
PUBLISHED = {
    "BLCA": (372, {(0, 0): (0, 0), (0, 60): (0, 888), (60, 0): (888, 0)}),
    "BRCA": (1007, {(0, 0): (0, 0), (60, 0): (2399, 0)}),
    "LUAD": (443, {(0, 0): (0, 0), (0, 60): (0, 1044), (60, 0): (1044, 0)}),
    "UCEC": (478, {(0, 0): (0, 0), (0, 60): (0, 1136), (60, 0): (1119, 0)}),
}
PATTERNS = [(0, 0), (0, 60), (20, 40), (30, 30), (40, 20), (60, 0)]
CORRUPT = {("BRCA", (0, 60))}


@pytest.mark.parametrize("study", PUBLISHED)
def test_the_published_files(real_data: Path, study: str) -> None:
    """All patterns of four cohorts but the one in which a whole held-out part lacks omics."""
    path = real_data / f"tcga/dispro/{study}_missing_modalities.csv.gz"
    ids = pd.read_csv(path, usecols=["ID"])["ID"].unique().tolist()
    patients, losses = PUBLISHED[study]
    assert len(ids) == patients
    folds_of = []
    for pattern in PATTERNS:
        if (study, pattern) in CORRUPT:
            with pytest.raises(SheetError) as caught:
                read_missing_splits(path, *pattern, all_of(ids))
            (problem,) = caught.value.problems
            assert problem.problem == (
                "fold 3: the patient is held out but lacks omics (the first of 199 such rows)"
            )
            assert problem.file == str(path) and problem.column == "Omics"
            continue
        folds, withheld = read_missing_splits(path, *pattern, all_of(ids))
        assert len(folds) == patients and set(folds["fold"]) == set(range(5))
        folds_of.append(folds)
        found = withheld["modality"].value_counts().reindex(["slides", "omics"]).fillna(0)
        if pattern in losses:
            assert tuple(found) == losses[pattern]
        rates = found / (4 * patients)
        assert abs(rates["slides"] - pattern[0] / 100) < 0.03
        # The second draw was among those who had kept their slides: .4 becomes .32, and so on.
        assert abs(rates["omics"] - pattern[1] / 100 * (1 - pattern[0] / 100)) < 0.03
    for other in folds_of[1:]:
        pd.testing.assert_frame_equal(folds_of[0], other)
