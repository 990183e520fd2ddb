"""Outer folds and validation parts, made once, by patient, and the files that hold them.

The training stage of a fold reads `train.tsv` (outcomes of its training patients) and
`test_ids.tsv` (ids only): outcomes of test patients are not in its reach.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from survfuse.artifacts.cohort_tables import (
    read_availability,
    read_clinical,
    read_outcomes,
    typed_outcomes,
    write_table,
)
from survfuse.artifacts.layout import CohortFolder, SplitsFolder
from survfuse.artifacts.outcome_columns import columns_of
from survfuse.artifacts.split_record import write_split_record
from survfuse.config.splits import SplitConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_text_table, sha256_file
from survfuse.splits.published_folds import read_published
from survfuse.splits.published_missing import published_pattern
from survfuse.splits.withheld import withheld_of_folds

ROLES = ("train", "validation")  # of the training patients of a fold


def make_splits(
    outcomes: pd.DataFrame,
    sites: pd.Series[str] | None,
    config: SplitConfig,
    published: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The fold in which every patient is tested: a frame `patient_id, repeat, fold`.

    `outcomes` has `patient_id` and the outcome columns of a task, by whose strata folds are
    stratified; `sites` is indexed by patient id and needed only with `config.group_by_site`. Folds
    depend on the seed, not on the order of rows.
    A `published` frame `patient_id, fold` is the first repeat as it is.
    """
    outcomes = outcomes.sort_values("patient_id", ignore_index=True)
    ids = outcomes["patient_id"]
    strata = columns_of(outcomes).strata(outcomes)
    tables = []
    for repeat in range(config.repeats):
        rng = generator(config.seed, repeat)
        if published is not None and repeat == 0:
            fold = published.set_index("patient_id")["fold"].loc[ids].to_numpy()
        elif config.group_by_site:
            if sites is None:
                raise ValueError("group_by_site needs the sites of the patients")
            fold = assign_sites(strata, sites.loc[ids].to_numpy(dtype=str), config.folds, rng)
        else:
            fold = assign_folds(strata, config.folds, rng)
        tables.append(pd.DataFrame({"patient_id": ids, "repeat": repeat, "fold": fold}))
    return pd.concat(tables, ignore_index=True)


def split_cohort(cohort: Path, config: Config, out: Path) -> None:
    """The stage: read the directory that `write_cohort` wrote, write the splits to `out`.

    Raises UserInputError where the published folds do not fit the cohort.
    """
    checked = CohortFolder(cohort)
    outcomes = read_outcomes(checked.outcomes)
    clinical = read_clinical(checked.clinical).set_index("patient_id")
    available = read_availability(checked.availability)
    published = withheld = None
    missing = config.cohort.missing
    if missing and missing.published:
        published, withheld = published_pattern(missing, config.splits, available)
    elif config.cohort.folds:
        published = read_published(config.cohort.folds, clinical.index, config.splits)
    splits = make_splits(outcomes, clinical.get("site"), config.splits, published)
    if missing and not missing.published:
        withheld = withheld_of_folds(splits, outcomes, available, missing)
    write_splits(splits, outcomes, config.splits, out, withheld)
    write_split_record(out, cohort)


def assign_folds(strata: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    """Fold (n,) of every patient, dealt like cards from a deck sorted by stratum.

    Every stratum, all events and all patients are thereby spread over the folds as evenly as
    whole numbers allow.
    """
    deck = np.lexsort((rng.random(len(strata)), strata))
    fold = np.empty(len(strata), dtype=np.int64)
    fold[deck] = np.arange(len(strata)) % folds
    return fold


def assign_sites(
    strata: np.ndarray, sites: np.ndarray, folds: int, rng: np.random.Generator
) -> np.ndarray:
    """Fold (n,) of every patient with all patients of a site together, greedily balanced.

    Large sites go first, each to the fold that holds least of the strata the site is made of.
    Sizes are jittered, because repeats would otherwise all be the same folds.
    """
    names, site = np.unique(sites, return_inverse=True)
    share = np.zeros((len(names), strata.max() + 1))
    np.add.at(share, (site, strata), 1.0)
    size = share.sum(axis=1) * rng.uniform(0.7, 1.3, len(names))
    share /= np.maximum(share.sum(axis=0), 1.0)  # of each stratum, how much the site holds
    held = np.zeros((folds, share.shape[1]))
    fold_of_site = np.empty(len(names), dtype=np.int64)
    for largest in np.argsort(-size):
        crowding = held @ share[largest]  # least growth of the summed squares of `held`
        chosen = np.lexsort((rng.random(folds), held.sum(axis=1), crowding))[0]
        held[chosen] += share[largest]
        fold_of_site[largest] = chosen
    return fold_of_site[site]


def generator(seed: int, *position: int) -> np.random.Generator:
    """A random generator of its own for every repeat, and every fold of it."""
    return np.random.default_rng([seed % 2**32, len(position), *position])


def parts(splits: pd.DataFrame) -> list[tuple[int, int]]:
    """All pairs of repeat and fold."""
    return sorted(set(zip(splits["repeat"].tolist(), splits["fold"].tolist(), strict=True)))


def tested_in(splits: pd.DataFrame, repeat: int, fold: int) -> pd.Series[str]:
    """Ids of the patients that are tested in one fold of one repeat."""
    return splits.loc[(splits["repeat"] == repeat) & (splits["fold"] == fold), "patient_id"]


def training_part(
    splits: pd.DataFrame, outcomes: pd.DataFrame, config: SplitConfig, repeat: int, fold: int
) -> pd.DataFrame:
    """Training patients of one outer fold: `patient_id, role` and the outcome, by patient id.

    Of each group of the outcome, `validation_fraction` get the role `validation` (early stopping);
    the others get the role `train`. Of each group that the task needs there, such as those with an
    event, at least one patient is among the validation patients.
    """
    outcomes = outcomes.sort_values("patient_id", ignore_index=True)
    tested = outcomes["patient_id"].isin(tested_in(splits, repeat, fold))
    part = outcomes[~tested].reset_index(drop=True)
    rng = generator(config.seed, repeat, fold)
    declared = columns_of(part)
    group = declared.groups(part)
    needed = {*group} if declared.needed is None else declared.needed
    validation = np.zeros(len(part), dtype=bool)
    for value in sorted({0, 1, *group}):
        members = np.flatnonzero(group == value)
        wanted = max(round(config.validation_fraction * len(members)), int(value in needed))
        validation[rng.permutation(members)[:wanted]] = True
    part.insert(1, "role", np.where(validation, "validation", "train"))
    return part[["patient_id", "role", *declared.present(part)]]


def write_splits(
    splits: pd.DataFrame,
    outcomes: pd.DataFrame,
    config: SplitConfig,
    out: Path,
    withheld: pd.DataFrame | None = None,
) -> None:
    """Write `out`/splits.tsv and, per fold, train.tsv and test_ids.tsv in a folder of its own.

    `withheld` (repeat, fold, patient_id, modality) becomes the column of that name of train.tsv,
    empty where a patient loses nothing.
    """
    for repeat, fold in parts(splits):
        tested = tested_in(splits, repeat, fold).sort_values()
        folder = SplitsFolder(out).fold(repeat, fold)
        part = training_part(splits, outcomes, config, repeat, fold)
        if withheld is not None:
            here = withheld[(withheld["repeat"] == repeat) & (withheld["fold"] == fold)]
            lost = here.groupby("patient_id")["modality"].agg(",".join)
            part["withheld"] = part["patient_id"].map(lost).fillna("")
        write_table(folder.train, part)
        write_table(folder.test_ids, tested.to_frame())
    write_table(SplitsFolder(out).table, splits[["patient_id", "repeat", "fold"]])


def read_train(path: Path) -> pd.DataFrame:
    """train.tsv: `patient_id`, `role` (train or validation), and the outcome columns of the task.

    Where modalities are withheld, `withheld` names them, separated by commas. Raises
    UserInputError for any other role.
    """
    table = read_text_table(path, ["patient_id", "role"])
    if strange := sorted({*table["role"]} - {*ROLES}):
        raise UserInputError(
            f"{path}: the role {strange[0]!r} is none of {' and '.join(ROLES)}; make the splits "
            "again"
        )
    return typed_outcomes(path, table)


def read_test_ids(path: Path) -> list[str]:
    """test_ids.tsv: the patients that a fold predicts."""
    return read_text_table(path, ["patient_id"])["patient_id"].tolist()


def splits_hash(path: Path) -> str:
    """SHA-256 of splits.tsv, which every later result carries."""
    return sha256_file(path)
