"""The table of predictions: it survives writing; wrong tables are refused with row and remedy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation_fixture import make_study
from survfuse.artifacts.predictions import (
    match_study,
    months_of,
    read_predictions,
    survival_columns,
    tidy,
    write_predictions,
)
from survfuse.artifacts.study import Study
from survfuse.core.errors import UserInputError

STUDY = make_study(20, folds=4, repeats=2)


def predictions(study: Study = STUDY) -> pd.DataFrame:
    """Predictions of every patient in every repeat, in no particular order."""
    rng = np.random.default_rng(0)
    table = pd.concat(
        pd.DataFrame(
            {
                "patient_id": np.array(study.patient_ids)[fold.test],
                "repeat": fold.repeat,
                "fold": fold.fold,
            }
        )
        for fold in study.folds
    ).sample(frac=1, random_state=1)
    table["risk"] = rng.normal(size=len(table))
    for months in (6.5, 12, 120):
        table[f"surv_{months:g}"] = np.exp(-months / 50 * np.exp(table["risk"]))
    table["risk_low_12"] = (1 - table["surv_12"]) * 0.9
    table["risk_high_12"] = np.nan
    return table.reset_index(drop=True)


def test_round_trip_keeps_every_digit(tmp_path: Path) -> None:
    table = predictions()
    table["patient_id"] = [f"{number:03d}" for number in range(len(table))]
    write_predictions(tmp_path / "m.tsv", table)
    pd.testing.assert_frame_equal(read_predictions(tmp_path / "m.tsv"), table, check_exact=True)
    assert "\t\n" in (tmp_path / "m.tsv").read_text()  # missing is empty, not "nan"


def test_columns_are_ordered_by_time() -> None:
    table = predictions()[["surv_120", "patient_id", "surv_6.5", "surv_12"]]
    assert survival_columns(table) == ["surv_6.5", "surv_12", "surv_120"]
    assert [months_of(name) for name in survival_columns(table)] == [6.5, 12, 120]
    assert months_of("risk_low_36") == 36


def put(column: str, value: object, row: int = 4) -> Callable[[pd.DataFrame], None]:
    def change(table: pd.DataFrame) -> None:
        table[column] = table[column].astype(object)
        table.loc[row, column] = value

    return change


def rise(table: pd.DataFrame) -> None:
    table.loc[4, ["surv_6.5", "surv_12", "surv_120"]] = [0.5, np.nan, 0.6]


def twice(table: pd.DataFrame) -> None:
    table.loc[4, ["patient_id", "repeat"]] = table.loc[3, ["patient_id", "repeat"]].tolist()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put("surv_12", 1.2), r"row 6 \(patient \w+\): surv_12 lies outside 0 to 1; correct"),
        (put("risk_low_12", -0.1), r"row 6 .*risk_low_12 lies outside"),
        (put("risk", ""), r"row 6: risk is empty; give a number"),
        (put("risk", "high"), r"row 6: risk holds 'high'; give a finite number"),
        (put("risk", "inf"), r"row 6: risk holds 'inf'"),
        (put("fold", "1.5"), r"row 6: fold must be a whole number"),
        (rise, r"row 6 .*survival probability rises with time; correct the model"),
        (twice, r"row 6: patient_id \w+, repeat \d is listed twice; keep one"),
    ],
)
def test_wrong_cells_are_refused(
    tmp_path: Path, change: Callable[[pd.DataFrame], None], told: str
) -> None:
    table = predictions()
    change(table)
    table.to_csv(tmp_path / "m.tsv", sep="\t", index=False)
    with pytest.raises(UserInputError, match=rf"m\.tsv: {told}"):
        read_predictions(tmp_path / "m.tsv")


def test_wrong_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.tsv"
    with pytest.raises(UserInputError, match=r"m\.tsv: no such table"):
        read_predictions(path)
    path.write_text("")
    with pytest.raises(UserInputError, match="not readable as a tab-separated table"):
        read_predictions(path)
    predictions().drop(columns="risk").to_csv(path, sep="\t", index=False)
    with pytest.raises(UserInputError, match="the column risk is missing"):
        read_predictions(path)
    predictions().assign(surv_late=0.5).to_csv(path, sep="\t", index=False)
    with pytest.raises(UserInputError, match="the column surv_late is not known"):
        read_predictions(path)
    predictions()[:0].to_csv(path, sep="\t", index=False)
    with pytest.raises(UserInputError, match="no rows"):
        read_predictions(path)


def test_a_wrong_table_is_not_written(tmp_path: Path) -> None:
    table = predictions()
    table.loc[0, "surv_12"] = -1
    with pytest.raises(UserInputError, match="surv_12 lies outside"):
        write_predictions(tmp_path / "m.tsv", table)
    with pytest.raises(UserInputError, match="the column fold is missing"):
        write_predictions(tmp_path / "m.tsv", predictions().drop(columns="fold"))
    assert not list(tmp_path.iterdir())


def test_rounding_errors_are_no_rise(tmp_path: Path) -> None:
    table = predictions()
    table.loc[0, ["surv_6.5", "surv_12"]] = [0.5, 0.5 + 1e-9]
    write_predictions(tmp_path / "m.tsv", table)


def test_match_follows_the_order_of_the_study() -> None:
    table = match_study(predictions(), STUDY, Path("m.tsv"))
    assert table["patient_id"].tolist() == [*STUDY.patient_ids, *STUDY.patient_ids]
    assert table["repeat"].tolist() == [0] * 20 + [1] * 20
    original = predictions().set_index(["patient_id", "repeat"])["risk"]
    assert table.set_index(["patient_id", "repeat"])["risk"].equals(original.loc[table_keys(table)])


def table_keys(table: pd.DataFrame) -> list[tuple[str, int]]:
    return list(zip(table["patient_id"], table["repeat"], strict=True))


def test_predictions_that_do_not_fit_the_study() -> None:
    path = Path("m.tsv")
    with pytest.raises(UserInputError, match=r"m\.tsv: row 6 .patient NEW.: the cohort has no"):
        table = predictions()
        table.loc[4, "patient_id"] = "NEW"
        match_study(table, STUDY, path)
    with pytest.raises(UserInputError, match=r"row 6 .*splits test this patient in another"):
        table = predictions()
        table.loc[4, "fold"] = (table.loc[4, "fold"] + 1) % 4
        match_study(table, STUDY, path)
    with pytest.raises(UserInputError, match=r"3 of 40 predictions are missing"):
        match_study(predictions()[3:], STUDY, path)


def test_tidy_has_a_row_per_model_patient_repeat_and_time(tmp_path: Path) -> None:
    table = predictions()
    write_predictions(tmp_path / "a.tsv", table)
    write_predictions(tmp_path / "b.tsv", table.assign(risk=table["risk"] * 2))
    long = tidy({"a": tmp_path / "a.tsv", "b": tmp_path / "b.tsv"})
    keys = ["model", "patient_id", "repeat", "fold"]
    assert list(long) == [*keys, "risk", "time_months", "survival"]
    assert len(long) == 2 * 40 * 3
    one = long.merge(table.loc[[7], ["patient_id", "repeat"]]).query("model == 'b'")
    assert one["survival"].tolist() == table.loc[7, ["surv_6.5", "surv_12", "surv_120"]].tolist()
    assert one["time_months"].tolist() == [6.5, 12, 120]
    assert (one["risk"] == 2 * table.loc[7, "risk"]).all()
