"""Periods of new patients beside the study of their package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from deployment_fixture import GENES, drawn, finished_study
from survfuse.artifacts.package import open_package
from survfuse.cli.main import main
from survfuse.core.errors import UserInputError
from survfuse.deployment.freeze import freeze_study
from survfuse.deployment.inputs import NewSheets
from survfuse.deployment.monitor import monitor
from survfuse.deployment.population import cells, counted_again
from survfuse.deployment.predict import predict_new


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watched")
    return freeze_study(finished_study(folder), folder / "package", archive=False)


def period(package: Path, folder: Path, seed: int, change=None, number: int = 60) -> pd.DataFrame:
    """Predict patients of a period, after a change perhaps; returns all that is known of them."""
    patients, genes = drawn(seed, number, f"M{seed}")
    known = patients.copy()
    if change:
        patients, genes = change(patients, genes)
    folder.mkdir(parents=True)
    patients.drop(columns=["time", "event", "group"]).to_csv(
        folder / "sheet.tsv", sep="\t", index=False
    )
    genes.to_csv(folder / "genes.csv", index=False)
    sheets = NewSheets(folder / "sheet.tsv", {"omics": folder / "genes.csv"})
    predict_new(open_package(package), sheets, folder)
    return known


def older(patients: pd.DataFrame, genes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    return patients.assign(age=patients["age"] + 9), genes


def odd(patients: pd.DataFrame, genes: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Half of the genes lost, and the others of another scanner."""
    kept = genes.iloc[::2].copy()
    kept[GENES] += np.array([2.5, -2.5] * 6)
    return patients, kept


def alarms(found: dict) -> list[set[str]]:
    return [
        {f"{one['kind']} {one['name']}" for one in each["comparisons"] if one["alarm"]}
        for each in found["periods"]
    ]


@pytest.fixture(scope="module")
def watched(package: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("periods")
    changes = {"march": None, "april": older, "may": odd}
    known = [
        period(package, folder / name, seed, change)
        for seed, (name, change) in enumerate(changes.items(), start=11)
    ]
    return folder, pd.concat(known)


def test_what_changed_raises_an_alarm_and_what_did_not_does_not(
    package: Path, watched: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    folder, known = watched
    known.to_csv(tmp_path / "known.tsv", sep="\t", index=False)
    periods = [folder / name for name in ("march", "april", "may")]
    found = monitor(open_package(package), periods, tmp_path / "out", tmp_path / "known.tsv")
    march, april, may = alarms(found)
    assert not march
    assert april == {"covariate age"}
    assert may >= {"availability omics", "unusual omics"} and "covariate sex" not in may
    assert json.loads((tmp_path / "out" / "monitoring.json").read_text()) == found
    rows = pd.read_csv(tmp_path / "out" / "monitoring.tsv", sep="\t")
    assert set(rows["period"]) == {"march", "april", "may"}
    ratios = [one["ratio"] for one in found["periods"][0]["observed"]]
    assert len(ratios) == 2 and all(one["low"] < 1 < one["high"] for one in ratios)
    page = (tmp_path / "out" / "index.html").read_text()
    assert "Research use only" in page and "distribution of age" in page and "alarm" in page


def test_the_command_exits_with_an_alarm_if_asked(
    package: Path, watched: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    folder, _ = watched
    given = ["monitor", "--package", str(package), "--out", str(tmp_path / "out")]
    given += ["--periods", str(folder / "march"), str(folder / "april")]
    assert main(given) == 0
    assert main([*given, "--fail-on-alarm"]) == 4


def test_another_package_and_too_many_periods_are_refused(
    package: Path, watched: tuple[Path, pd.DataFrame], tmp_path: Path
) -> None:
    folder, _ = watched
    opened = open_package(package)
    with pytest.raises(UserInputError, match="more than the 1 looks"):
        monitor(opened, [folder / "march", folder / "april"], tmp_path, looks=1)
    with pytest.raises(UserInputError, match="holds no predictions"):
        monitor(opened, [tmp_path], tmp_path / "out")
    path = next((folder / "may" / "predictions").glob("*.json"))
    record = json.loads(path.read_text())
    (tmp_path / "other" / "predictions").mkdir(parents=True)
    record["package"]["sha256"] = "0" * 64
    (tmp_path / "other" / "predictions" / path.name).write_text(json.dumps(record))
    with pytest.raises(UserInputError, match="was not predicted by this package"):
        monitor(opened, [tmp_path / "other"], tmp_path / "out")


def test_few_patients_are_not_compared(package: Path, tmp_path: Path) -> None:
    period(package, tmp_path / "few", 21, number=12)
    (found,) = monitor(open_package(package), [tmp_path / "few"], tmp_path / "out")["periods"]
    assert found["too_few"] and not found["comparisons"]
    assert "Too few to compare" in (tmp_path / "out" / "index.html").read_text()


def test_no_cell_of_a_package_is_of_few_patients() -> None:
    sex = pd.Series(["f"] * 40 + ["m"] * 30 + ["d"] * 2 + [""] * 9)
    kept = cells(sex, continuous=False)
    assert kept == {"levels": ["f", "m"], "counts": [40, 30, 0]}
    assert counted_again(pd.Series(["m", "x", ""]), kept) == [0, 1, 1]
    numbers = cells(pd.Series([str(number) for number in range(12)]), continuous=True)
    assert numbers["counts"] == [6, 6] and min(numbers["counts"]) >= 5
