"""Whether a cohort has the events that its folds need; the rules are in `splits`."""

from __future__ import annotations

import pandas as pd

from survfuse.config.study import Config
from survfuse.sheets.problems import Problem
from survfuse.splits.outer_folds import LEAST_TEST_EVENTS, make_splits, too_few_events


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
