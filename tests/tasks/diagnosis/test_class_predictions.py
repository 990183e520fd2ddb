"""The tables of diagnosis predictions: they survive writing; wrong ones name row and remedy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from survfuse.core.errors import UserInputError
from survfuse.tasks.diagnosis.predictions import (
    class_columns,
    probabilities,
    read_class_ablations,
    read_class_predictions,
    tidy_classes,
    write_class_ablations,
    write_class_predictions,
)
from survfuse.tasks.diagnosis.study import (
    ClassStudy,
    read_ablated_diagnoses,
    read_diagnoses,
    read_labelled,
)

IDS = tuple(f"P{number:02d}" for number in range(12))


def table(classes: int = 2, repeats: int = 1) -> pd.DataFrame:
    """Predictions of 12 patients in three folds, in no particular order."""
    rng = np.random.default_rng(classes)
    parts = []
    for repeat in range(repeats):
        p = rng.dirichlet(np.ones(classes), len(IDS))
        part = pd.DataFrame(
            {
                "patient_id": IDS,
                "repeat": repeat,
                "fold": (np.arange(12) + repeat) % 3,
                "synthesised": np.arange(12) % 2,
                "threshold": 0.4 if classes == 2 else np.nan,
                **{f"p_{k}": p[:, k] for k in range(classes)},
            }
        )
        parts.append(part)
    return pd.concat(parts).sample(frac=1, random_state=3).reset_index(drop=True)


def study(tmp_path: Path, classes: int = 2, repeats: int = 1) -> ClassStudy:
    """A study whose patients have the classes 0, 1, ... in turn, the last one unknown."""
    label = np.arange(12) // 3 % classes
    label[-1] = -1
    outcomes = pd.DataFrame({"patient_id": IDS, "label": label})
    outcomes.to_csv(tmp_path / "outcomes.tsv", sep="\t", index=False)
    table(classes, repeats)[["patient_id", "repeat", "fold"]].to_csv(
        tmp_path / "splits.tsv", sep="\t", index=False
    )
    names = [f"class {k}" for k in range(classes)]
    return read_labelled(tmp_path / "outcomes.tsv", tmp_path / "splits.tsv", names)


@pytest.mark.parametrize("classes", [2, 3, 11])
def test_round_trip_keeps_every_digit(tmp_path: Path, classes: int) -> None:
    written = table(classes)
    write_class_predictions(tmp_path / "m.tsv", written)
    read = read_class_predictions(tmp_path / "m.tsv")
    pd.testing.assert_frame_equal(read, written, check_exact=True)
    assert class_columns(read) == [f"p_{k}" for k in range(classes)]  # p_10 after p_9
    ablations = written.drop(columns="threshold").assign(inputs="without pet")
    write_class_ablations(tmp_path / "m.ablations.tsv", ablations)
    found = read_class_ablations(tmp_path / "m.ablations.tsv")
    pd.testing.assert_frame_equal(found, ablations, check_exact=True)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_any_probability_survives(tmp_path_factory: pytest.TempPathFactory, p: list[float]) -> None:
    path = tmp_path_factory.mktemp("m") / "m.tsv"
    written = table().head(len(p)).assign(p_0=1 - np.array(p), p_1=p)
    write_class_predictions(path, written)
    assert probabilities(read_class_predictions(path))[:, 1].tolist() == p


@settings(max_examples=30, deadline=None)
@given(st.floats(-2, 3, allow_nan=False).filter(lambda x: not -1e-3 <= x <= 1 + 1e-3))
def test_no_impossible_probability_passes(
    tmp_path_factory: pytest.TempPathFactory, p: float
) -> None:
    path = tmp_path_factory.mktemp("m") / "m.tsv"
    wrong = table().assign(p_0=1 - p, p_1=p)
    with pytest.raises(UserInputError, match="lies outside 0 to 1"):
        write_class_predictions(path, wrong)
    assert not path.exists()


def test_nothing_shown_less_is_a_table_without_rows(tmp_path: Path) -> None:
    write_class_ablations(tmp_path / "m.ablations.tsv", None)
    assert not len(read_class_ablations(tmp_path / "m.ablations.tsv"))
    assert read_ablated_diagnoses(tmp_path / "m.ablations.tsv", study(tmp_path)) == {}


def put(column: str, value: object, row: int = 4) -> Callable[[pd.DataFrame], None]:
    def change(frame: pd.DataFrame) -> None:
        frame[column] = frame[column].astype(object)
        frame.loc[row, column] = value

    return change


def ranged(low: float, high: float) -> Callable[[pd.DataFrame], None]:
    def change(frame: pd.DataFrame) -> None:
        frame["p_low_1"], frame["p_high_1"] = frame["p_1"], frame["p_1"]
        frame.loc[4, ["p_0", "p_1", "p_low_1", "p_high_1"]] = [0.5, 0.5, low, high]

    return change


def twice(frame: pd.DataFrame) -> None:
    frame.loc[4, ["patient_id", "fold"]] = frame.loc[3, ["patient_id", "fold"]].tolist()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put("p_1", 0.99), r"row 6 \(patient P\d+\): the probabilities do not sum to 1; correct"),
        (put("p_1", ""), r"row 6 .*a probability is missing or lies outside"),
        (put("p_1", "likely"), r"row 6: p_1 holds 'likely'; give a finite number"),
        (put("synthesised", 2), r"row 6 .*synthesised must be 0 or 1"),
        (put("threshold", 1.4), r"row 6 .*the threshold lies outside 0 to 1"),
        (put("threshold", 0.41), r"row \d+ .*the threshold differs from that of its fold"),
        (put("fold", "1.5"), r"row 6: fold must be a whole number"),
        (twice, r"row 6: patient_id P\d+, repeat 0 is listed twice; keep one"),
        (ranged(0.6, 0.7), r"row 6 .*p_1 lies outside p_low_1"),
        (ranged(0.2, 0.4), r"row 6 .*p_1 lies outside p_high_1"),
        (ranged(-0.1, 0.7), r"row 6 .*p_low_1 lies outside 0 to 1"),
    ],
)
def test_wrong_cells_are_refused(
    tmp_path: Path, change: Callable[[pd.DataFrame], None], told: str
) -> None:
    frame = table()
    change(frame)
    frame.to_csv(tmp_path / "m.tsv", sep="\t", index=False)
    with pytest.raises(UserInputError, match=rf"m\.tsv: {told}"):
        read_class_predictions(tmp_path / "m.tsv")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.drop(columns="threshold"), "the column threshold is missing"),
        (lambda t: t.drop(columns="p_0"), "the column p_0 is missing"),
        (lambda t: t.rename(columns={"p_1": "p_2"}), "the column p_1 is missing"),
        (lambda t: t.assign(risk=1.0), "the column risk is not known"),
        (lambda t: t.assign(p_low_1=0.0), "the column p_high_1 is missing"),
        (lambda t: t.iloc[:0], "the table has no rows"),
    ],
)
def test_wrong_tables_are_refused(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], told: str
) -> None:
    with pytest.raises(UserInputError, match=rf"m\.tsv: {told}"):
        write_class_predictions(tmp_path / "m.tsv", change(table()))
    assert not (tmp_path / "m.tsv").exists()


def test_a_threshold_needs_two_classes(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="a threshold needs exactly two classes"):
        write_class_predictions(tmp_path / "m.tsv", table(3).assign(threshold=0.5))


def test_an_unknown_pattern_is_refused(tmp_path: Path) -> None:
    ablations = table().drop(columns="threshold").assign(inputs="without luck")
    with pytest.raises(UserInputError, match="inputs are neither one of"):
        write_class_ablations(tmp_path / "m.ablations.tsv", ablations)


def test_predictions_follow_the_study(tmp_path: Path) -> None:
    known = study(tmp_path, repeats=2)
    write_class_predictions(tmp_path / "m.tsv", table(repeats=2))
    first, second = read_diagnoses(tmp_path / "m.tsv", known)
    assert first.patient.tolist() == second.patient.tolist() == list(IDS)
    assert first.fold.tolist() == (np.arange(12) % 3).tolist()
    assert second.fold.tolist() == ((np.arange(12) + 1) % 3).tolist()
    assert first.label.tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, -1]
    expected = table(repeats=2).set_index(["repeat", "patient_id"])["p_1"]
    assert second.probability[:, 1].tolist() == expected[1].loc[list(IDS)].tolist()


def test_other_patients_folds_or_classes_are_refused(tmp_path: Path) -> None:
    known = study(tmp_path)
    for change, told in (
        (put("patient_id", "P99"), "the cohort has no such patient"),
        (put("fold", 7), "another repeat or fold"),
        (lambda t: t.drop(index=4, inplace=True), "1 of 12 predictions are missing"),
    ):
        frame = table()
        change(frame)
        frame = frame.astype({"fold": int})
        write_class_predictions(tmp_path / "m.tsv", frame)
        with pytest.raises(UserInputError, match=told):
            read_diagnoses(tmp_path / "m.tsv", known)
    write_class_predictions(tmp_path / "m.tsv", table(3))
    with pytest.raises(UserInputError, match="there are 3 classes, but the cohort has 2"):
        read_diagnoses(tmp_path / "m.tsv", known)


def test_labels_are_checked(tmp_path: Path) -> None:
    study(tmp_path)
    outcomes = pd.DataFrame({"patient_id": IDS, "label": 0})
    outcomes.to_csv(tmp_path / "outcomes.tsv", sep="\t", index=False)
    paths = tmp_path / "outcomes.tsv", tmp_path / "splits.tsv"
    with pytest.raises(UserInputError, match="nobody of class sick"):
        read_labelled(*paths, ["well", "sick"])
    outcomes.loc[5, "label"] = 2
    outcomes.to_csv(tmp_path / "outcomes.tsv", sep="\t", index=False)
    with pytest.raises(UserInputError, match="row 7: label must be 0 to 1, or -1"):
        read_labelled(*paths, ["well", "sick"])


def test_tidy_has_a_row_per_model_patient_and_class(tmp_path: Path) -> None:
    frame = table(3)
    for name in ("a", "b"):
        write_class_predictions(tmp_path / f"{name}.tsv", frame)
    long = tidy_classes({name: tmp_path / f"{name}.tsv" for name in ("a", "b")})
    assert len(long) == 2 * 12 * 3
    mine = long[(long["model"] == "b") & (long["patient_id"] == "P07")].set_index("class")
    expected = frame.set_index("patient_id").loc["P07", ["p_0", "p_1", "p_2"]]
    assert mine["probability"].tolist() == expected.tolist()
