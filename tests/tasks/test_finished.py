"""Finished studies: what they are called, and what is refused."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from clinic_fixture import write_clinic
from comparison_fixture import folds, write_diagnosis, write_survival, written
from evaluation_fixture import write_study
from survfuse.artifacts.evaluation import read_evaluation
from survfuse.artifacts.layout import ResultsFolder
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json
from survfuse.tasks.finished import comparable_of, read_studies
from survfuse.tasks.survival.metrics import RANKING


def study(folder: Path, seed: int = 0) -> Path:
    return write_survival(folder, {"survfuse": folds(seed, 0.02)})


def test_studies_are_called_by_their_folders(tmp_path: Path) -> None:
    named = read_studies([study(tmp_path / "blca"), study(tmp_path / "hnsc")])
    assert [one.name for one in named] == ["blca", "hnsc"]
    alike = [tmp_path / "a" / "demo", tmp_path / "b" / "demo"]
    for number, folder in enumerate(alike):
        write_survival(folder, {"survfuse": folds(number, 0)}, splits_sha256=str(number))
    assert [one.name for one in read_studies(alike)] == ["a/demo", "b/demo"]


def test_a_folder_is_called_by_its_place_whichever_way_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = study(tmp_path / "hnsc")
    monkeypatch.chdir(study(tmp_path / "blca"))
    assert [one.name for one in read_studies([Path(), other])] == ["blca", "hnsc"]


def test_fewer_than_two_studies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="at least two are needed"):
        read_studies([study(tmp_path / "blca")])


def test_a_folder_without_an_evaluation_is_no_finished_study(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    with pytest.raises(UserInputError, match=r"half: is no finished study, as .*evaluation\.json"):
        read_studies([study(tmp_path / "blca"), tmp_path / "half"])


def test_an_evaluation_of_no_known_task_is_refused(tmp_path: Path) -> None:
    evaluation = read_json(ResultsFolder(study(tmp_path / "blca")).evaluation.scores)
    del evaluation["tau_months"]
    written(tmp_path / "other", evaluation)
    with pytest.raises(UserInputError, match="of no task whose studies can be compared"):
        read_studies([tmp_path / "blca", tmp_path / "other"])


def test_the_same_study_twice_is_refused(tmp_path: Path) -> None:
    folder = study(tmp_path / "blca")
    with pytest.raises(UserInputError, match="is named twice"):
        read_studies([folder, folder / ".." / "blca"])
    copy = shutil.copytree(folder, tmp_path / "blca_again")
    with pytest.raises(UserInputError, match="blca and blca_again are one study"):
        read_studies([folder, copy])


def test_studies_of_two_tasks_are_refused(tmp_path: Path) -> None:
    folders = [study(tmp_path / "blca"), write_diagnosis(tmp_path / "oasis", {"itcfn": (0.1, 0.1)})]
    message = "blca and oasis cannot be pooled: Survival and Diagnosis of two classes"
    with pytest.raises(UserInputError, match=message):
        read_studies(folders)


def test_two_classes_and_three_are_not_pooled(tmp_path: Path) -> None:
    two = write_diagnosis(tmp_path / "two", {"itcfn": (0.1, 0.1)})
    three = write_diagnosis(tmp_path / "three", {"itcfn": (0.1, 0.1)}, counts=(30, 40, 50))
    with pytest.raises(UserInputError, match="Diagnosis of two classes and Diagnosis of 3 classes"):
        read_studies([two, three])


def test_studies_with_intervals_of_two_levels_are_refused(tmp_path: Path) -> None:
    other = write_survival(tmp_path / "hnsc", {"survfuse": folds(1, 0)}, confidence=0.9)
    with pytest.raises(UserInputError, match=re.escape("95 % intervals and 90 % intervals; set")):
        read_studies([study(tmp_path / "blca"), other])


def test_degrees_of_freedom_of_an_evaluated_survival_study(tmp_path: Path) -> None:
    """The folds that both rows are scored in: 10 of two repeats, less 1."""
    evaluated = write_study(tmp_path, repeats=2).evaluate()
    comparable = comparable_of(evaluated, tmp_path)
    difference = comparable.differences[0]
    comparison = evaluated["comparisons"][0]
    assert difference.metric is RANKING
    assert difference.found(comparison)["value"] == comparison["difference"]
    assert difference.freedom(evaluated, comparison) == 9
    per_fold = evaluated["rows"][0]["harrell_c"]["per_fold"]
    assert evaluated["rows"][0]["model"] == comparison["model"] and len(per_fold) == 10
    per_fold[3] = None
    assert difference.freedom(evaluated, comparison) == 8
    assert difference.freedom(evaluated, {**comparison, "n_repeats": 1}) == 3


def test_degrees_of_freedom_of_an_evaluated_diagnosis(tmp_path: Path) -> None:
    """The patients of the rarer class, less 1; the Brier score has normal limits."""
    evaluated = read_evaluation(write_clinic(tmp_path, volumes=False).evaluation)
    comparable = comparable_of(evaluated, tmp_path)
    auroc, brier = comparable.differences
    comparison = evaluated["comparisons"][0]
    rarer = min(evaluated["counts"]["classes"])
    assert auroc.freedom(evaluated, comparison) == rarer - 1
    assert auroc.found(comparison)["value"] == comparison["difference"]
    assert brier.found(comparison) == comparison["brier"]
    assert brier.freedom(evaluated, comparison) == float("inf")
