"""Finished studies of any task: reading their evaluations, and refusing what cannot be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from survfuse.artifacts.evaluation import Evaluation, read_evaluation
from survfuse.artifacts.layout import ResultsFolder
from survfuse.core.errors import UserInputError
from survfuse.core.files import sha256_file
from survfuse.evaluation.comparable import Comparable, FinishedStudy
from survfuse.tasks.loading import every_task


def read_studies(folders: Sequence[Path]) -> list[FinishedStudy]:
    """The studies in folders of results, named by these.

    Raises UserInputError where there are fewer than two, where a folder holds no finished study,
    where two are the same, and where they differ in what was predicted or in the level of their
    intervals.
    """
    if len(folders) < 2:
        raise UserInputError(
            f"{len(folders)} study is named, and at least two are needed; name the results folders "
            "of more studies"
        )
    names = names_of(folders)
    studies = [read_study(*named) for named in zip(names, folders, strict=True)]
    refuse_duplicates(studies)
    kinds = [study.comparable.heading for study in studies]
    refuse_different(studies, kinds, "name studies of one kind")
    levels = [f"{100 * study.evaluation['confidence']:g} % intervals" for study in studies]
    remedy = "set one evaluation.confidence in all of them and evaluate again"
    refuse_different(studies, levels, remedy)
    return studies


def names_of(folders: Sequence[Path]) -> list[str]:
    """The folders' own names; where two are alike, with as many folders above as tell them apart.

    Raises UserInputError where a folder is named twice.
    """
    places = [folder.resolve() for folder in folders]
    for number, place in enumerate(places):
        if place in places[:number]:
            raise UserInputError(f"{folders[number]}: is named twice; name every study once")
    depth = 1
    while len(set(names := ["/".join(place.parts[-depth:]) for place in places])) < len(places):
        depth += 1
    return names


def read_study(name: str, folder: Path) -> FinishedStudy:
    """One study. Raises UserInputError where its evaluation is not there or of no known task."""
    path = ResultsFolder(folder).evaluation.scores
    if not path.is_file():
        raise UserInputError(
            f"{folder}: is no finished study, as {path} is not there; name the `output` folder of "
            "a run that has been evaluated"
        )
    evaluation = read_evaluation(path)
    return FinishedStudy(name, evaluation, sha256_file(path), comparable_of(evaluation, path))


def comparable_of(evaluation: Evaluation, path: Path) -> Comparable:
    """How the studies of the task that wrote an evaluation are compared."""
    for task in every_task():
        if found := task.comparable(evaluation):
            return found
    raise UserInputError(f"{path}: is of no task whose studies can be compared; evaluate it again")


def refuse_duplicates(studies: Sequence[FinishedStudy]) -> None:
    """Raise UserInputError where two studies have the same patients in the same folds."""
    by_splits: dict[str, str] = {}
    for study in studies:
        other = by_splits.setdefault(study.evaluation["splits_sha256"], study.name)
        if other != study.name:
            raise UserInputError(
                f"{other} and {study.name} are one study: their patients and folds are the same "
                "(SHA-256 of splits.tsv), and would count twice; name one of them"
            )


def refuse_different(studies: Sequence[FinishedStudy], values: Sequence[str], remedy: str) -> None:
    """Raise UserInputError where the values of the studies differ."""
    for study, value in zip(studies, values, strict=True):
        if value != values[0]:
            raise UserInputError(
                f"{studies[0].name} and {study.name} cannot be pooled: {values[0]} and {value}; "
                f"{remedy}"
            )
