"""Whether a cohort has the events that its folds need."""

from __future__ import annotations

import pandas as pd

from survfuse.artifacts.layout import folds_in_words
from survfuse.config.splits import SplitConfig
from survfuse.config.study import Config
from survfuse.sheets.problems import Problem
from survfuse.splits.outer_folds import ROLES, make_splits, parts, tested_in, training_part

LEAST_TEST_EVENTS = 2  # a test fold with fewer has no pair of events to order


def check_splits(
    outcomes: pd.DataFrame,
    sites: pd.Series[str] | None,
    folds: pd.DataFrame | None,
    config: Config,
) -> list[Problem]:
    """Problems of a cohort whose events cannot be divided as configured."""
    events = int(outcomes["event"].sum())
    needed = LEAST_TEST_EVENTS * config.splits.folds
    remedy = f"use fewer folds; {needed} events are needed for {config.splits.folds}"
    if events < needed:
        problem = f"there are {events} events for {config.splits.folds} folds"
        return [Problem("configuration", None, "splits.folds", None, problem, remedy)]
    splits = make_splits(outcomes, sites, config.splits, folds)
    where = "cohort.folds" if folds is not None else "splits.folds"
    remedy = "use fewer or other folds; every part needs events"
    problems = [
        Problem("configuration", None, where, None, sentence, remedy)
        for sentence in too_few_events(splits, outcomes, config.splits)
    ]
    if config.splits.group_by_site and folds is not None and sites is not None:
        fold = folds.set_index("patient_id")["fold"]
        if divided := int((fold.groupby(sites).nunique() > 1).sum()):
            problem = f"{divided} sites lie in more than one of the published folds"
            remedy = "unset splits.group_by_site, or remove cohort.folds"
            problems.append(Problem("configuration", None, where, None, problem, remedy))
    return problems


def too_few_events(splits: pd.DataFrame, outcomes: pd.DataFrame, config: SplitConfig) -> list[str]:
    """Sentences about folds that cannot be evaluated or trained.

    The rule: every test fold has at least 2 events, every validation part at least 1 and every
    remaining training part at least 1. Folds that are not tied to sites meet it whenever there
    are at least 2 events per fold.
    """
    events = outcomes.set_index("patient_id")["event"]
    sentences = []
    for repeat, fold in parts(splits):
        tested = tested_in(splits, repeat, fold)
        where = folds_in_words([fold], repeat if config.repeats > 1 else None)
        if (n := int(events.loc[tested].sum())) < LEAST_TEST_EVENTS:
            sentences.append(f"{where} has {n} events to test on, {LEAST_TEST_EVENTS} are needed")
        part = training_part(splits, outcomes, config, repeat, fold)
        for role in ROLES:
            if part.loc[part["role"] == role, "event"].sum() < 1:
                sentences.append(f"{where} has no event in its {role} part")
    return sentences
