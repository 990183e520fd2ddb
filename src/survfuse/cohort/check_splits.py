"""Checking that a cohort can be divided into folds as configured; the rules are in `splits`."""

from __future__ import annotations

from survfuse.cohort.checked import Cohort
from survfuse.config.study import Config
from survfuse.sheets.problems import Problem
from survfuse.splits.outer_folds import (
    LEAST_TEST_EVENTS,
    make_splits,
    too_few_events,
    too_few_of_a_class,
)


def check_splits(cohort: Cohort, config: Config) -> list[Problem]:
    """Problems of a cohort that cannot be divided as configured."""
    if config.cohort.diagnosis:
        return check_class_splits(cohort, config)
    events = int(cohort.outcomes["event"].sum())
    needed = LEAST_TEST_EVENTS * config.splits.folds
    remedy = f"use fewer folds; {needed} events are needed for {config.splits.folds}"
    if events < needed:
        problem = f"there are {events} events for {config.splits.folds} folds"
        return [Problem("configuration", None, "splits.folds", None, problem, remedy)]
    splits = make_splits(cohort.outcomes, cohort.sites, config.splits, cohort.folds)
    where = "cohort.folds" if cohort.folds is not None else "splits.folds"
    remedy = "use fewer or other folds; every part needs events"
    problems = [
        Problem("configuration", None, where, None, sentence, remedy)
        for sentence in too_few_events(splits, cohort.outcomes, config.splits)
    ]
    if config.splits.group_by_site and cohort.folds is not None and cohort.sites is not None:
        fold = cohort.folds.set_index("patient_id")["fold"]
        if divided := int((fold.groupby(cohort.sites).nunique() > 1).sum()):
            problem = f"{divided} sites lie in more than one of the published folds"
            remedy = "unset splits.group_by_site, or remove cohort.folds"
            problems.append(Problem("configuration", None, where, None, problem, remedy))
    return problems


def check_class_splits(cohort: Cohort, config: Config) -> list[Problem]:
    """Problems of a cohort whose classes cannot be divided as configured."""
    assert config.cohort.diagnosis is not None
    labels = cohort.outcomes["label"]
    remedy = "use fewer folds, or other classes; every part needs patients of every class"
    needed = 2 * config.splits.folds
    rare = [
        Problem("configuration", None, "cohort.diagnosis", None, sentence, remedy)
        for number, name in enumerate(config.cohort.diagnosis.classes)
        if (n := int((labels == number).sum())) < needed
        for sentence in (
            f"class {name} has {n} patients, {needed} are needed for {config.splits.folds} folds",
        )
    ]
    if rare:
        return rare
    splits = make_splits(cohort.outcomes, cohort.sites, config.splits, cohort.folds)
    where = "cohort.folds" if cohort.folds is not None else "splits.folds"
    return [
        Problem("configuration", None, where, None, sentence, remedy)
        for sentence in too_few_of_a_class(splits, cohort.outcomes, config.splits)
    ]
