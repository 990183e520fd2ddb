"""Properties that every division of patients must have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from survfuse.artifacts.layout import SplitsFolder
from survfuse.artifacts.outcome_columns import columns_of
from survfuse.config.splits import SplitConfig
from survfuse.core.files import sha256_file
from survfuse.splits.outer_folds import (
    make_splits,
    read_test_ids,
    read_train,
    splits_hash,
    training_part,
    write_splits,
)
from survfuse.tasks.diagnosis.cohort import too_few_of_a_class
from survfuse.tasks.survival.cohort import LEAST_TEST_EVENTS, too_few_events


def cohort(
    n: int, seed: int, share: float = 0.5, sites: int = 12
) -> tuple[pd.DataFrame, pd.Series[str]]:
    rng = np.random.default_rng(seed)
    ids = [f"P{i:04}" for i in rng.permutation(n)]
    event = (np.arange(n) < round(share * n)).astype(int)
    frame = pd.DataFrame({"patient_id": ids, "time_months": rng.exponential(20, n), "event": event})
    site = rng.choice(sites, n, p=(weights := rng.exponential(1, sites)) / weights.sum())
    return frame, pd.Series([f"site{s}" for s in site], index=ids)


def config(**values: object) -> SplitConfig:
    return SplitConfig.model_validate({"repeats": 1, **values})


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(20, 120),
    seed=st.integers(-5, 1000),
    folds=st.integers(2, 7),
    repeats=st.integers(1, 3),
    share=st.floats(0.0, 1.0),
)
def test_dealt_folds(n: int, seed: int, folds: int, repeats: int, share: float) -> None:
    """Each patient in one fold; patients, events and strata spread as evenly as possible."""
    outcomes, _ = cohort(n, abs(seed), share)
    splits = make_splits(outcomes, None, config(folds=folds, repeats=repeats, seed=seed))
    by_id = outcomes.sort_values("patient_id", ignore_index=True)
    by_id["stratum"] = columns_of(by_id).strata(by_id)
    for _, one in splits.groupby("repeat"):
        assert sorted(one["patient_id"]) == sorted(outcomes["patient_id"])
        table = one.merge(by_id, on="patient_id")
        groups = [table, table[table["event"] == 1]]
        groups += [part for _, part in table.groupby("stratum")]
        for group in groups:
            sizes = np.bincount(group["fold"], minlength=folds)
            assert len(sizes) == folds and sizes.max() - sizes.min() <= 1


def test_strata_are_time_quarters_per_event() -> None:
    outcomes = pd.DataFrame(
        {
            "patient_id": list("abcdefghij"),
            "time_months": [9, 1, 5, 3, 7, 30, 10, 20, 40, 15],
            "event": [1, 1, 1, 1, 0, 0, 0, 0, 0, 0],
        }
    )
    # events by time: b d c a; censored by time: e g j h f i -> quarters 0 0 1 2 2 3
    assert columns_of(outcomes).strata(outcomes).tolist() == [3, 0, 2, 1, 4, 6, 4, 6, 7, 5]


@settings(max_examples=30, deadline=None)
@given(n=st.integers(40, 200), seed=st.integers(0, 1000), folds=st.integers(2, 5))
def test_sites_stay_together(n: int, seed: int, folds: int) -> None:
    outcomes, sites = cohort(n, seed)
    settings = config(folds=folds, repeats=2, seed=seed, group_by_site=True)
    splits = make_splits(outcomes, sites, settings)
    for _, one in splits.groupby("repeat"):
        fold = one.set_index("patient_id")["fold"]
        assert (fold.groupby(sites).nunique() == 1).all()
        assert sorted(fold.index) == sorted(outcomes["patient_id"])
        if sites.nunique() >= folds:
            assert fold.nunique() == folds


def test_grouped_folds_are_balanced() -> None:
    """With 40 sites of about 10 patients, folds come close to equal, in size and in events."""
    outcomes, _ = cohort(400, 1, share=0.4)
    sites = pd.Series(np.arange(400) % 40, index=outcomes["patient_id"]).map("s{}".format)
    splits = make_splits(outcomes, sites, config(group_by_site=True))
    table = splits.merge(outcomes, on="patient_id").groupby("fold")["event"].agg(["size", "sum"])
    assert table["size"].between(70, 90).all() and table["sum"].between(27, 37).all()


@pytest.mark.parametrize("sizes", [(40, 12), (12, 40), (30, 30)])
def test_two_cohorts_as_sites_of_two_folds_validate_each_other(sizes: tuple[int, int]) -> None:
    """External validation: train on one cohort, test on the other, and the reverse."""
    for seed in range(5):
        outcomes, _ = cohort(sum(sizes), seed)
        ids = outcomes["patient_id"]
        of = pd.Series(["adni"] * sizes[0] + ["aibl"] * sizes[1], index=ids)
        settings = config(folds=2, group_by_site=True, seed=seed)
        splits = make_splits(outcomes, of, settings)
        tested = {fold: set(of[here["patient_id"]]) for fold, here in splits.groupby("fold")}
        assert sorted(map(tuple, tested.values())) == [("adni",), ("aibl",)]
        for fold, (here,) in tested.items():
            trained = training_part(splits, outcomes, settings, 0, fold)["patient_id"]
            assert set(trained) == set(of[of != here].index)


def test_group_by_site_needs_sites() -> None:
    with pytest.raises(ValueError, match="needs the sites"):
        make_splits(cohort(30, 0)[0], None, config(group_by_site=True))


@pytest.mark.parametrize("grouped", [False, True])
def test_deterministic_and_independent_of_row_order(grouped: bool) -> None:
    outcomes, sites = cohort(90, 3)
    shuffled = outcomes.sample(frac=1, random_state=1)
    settings = config(group_by_site=grouped, repeats=2, seed=4)
    first = make_splits(outcomes, sites, settings)
    pd.testing.assert_frame_equal(first, make_splits(shuffled, sites[::-1], settings))
    pd.testing.assert_frame_equal(
        training_part(first, outcomes, settings, 1, 2),
        training_part(first[::-1], shuffled, settings, 1, 2),
    )
    other = make_splits(outcomes, sites, settings.model_copy(update={"seed": 5}))
    assert (first["fold"] != other["fold"]).any()
    repeats = [one["fold"].tolist() for _, one in first.groupby("repeat")]
    assert repeats[0] != repeats[1]


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(30, 120),
    seed=st.integers(0, 100),
    share=st.floats(0.3, 1.0),
    fraction=st.floats(0.01, 0.49),
)
def test_validation_part(n: int, seed: int, share: float, fraction: float) -> None:
    """Inside the training part, never tested, events in proportion and at least one."""
    outcomes, _ = cohort(n, seed, share)
    settings = config(folds=4, validation_fraction=fraction, seed=seed)
    splits = make_splits(outcomes, None, settings)
    for fold in range(4):
        part = training_part(splits, outcomes, settings, 0, fold)
        tested = set(splits.loc[splits["fold"] == fold, "patient_id"])
        assert set(part["patient_id"]) == set(outcomes["patient_id"]) - tested
        validation = part["role"] == "validation"
        for value in (0, 1):
            members = part["event"] == value
            wanted = round(fraction * members.sum())
            assert (validation & members).sum() == max(wanted, value)
    assert too_few_events(splits, outcomes, settings) == []


@settings(max_examples=40, deadline=None)
@given(folds=st.integers(2, 6), extra=st.integers(-3, 3), seed=st.integers(0, 50))
def test_two_events_per_fold_are_enough(folds: int, extra: int, seed: int) -> None:
    """The stated rule is exact: 2 events per fold suffice, one fewer does not."""
    events = LEAST_TEST_EVENTS * folds + extra
    outcomes, _ = cohort(60, seed, max(events, 0) / 60)
    settings = config(folds=folds, seed=seed)
    faults = too_few_events(make_splits(outcomes, None, settings), outcomes, settings)
    assert bool(faults) == (extra < 0)


def test_published_folds_are_kept() -> None:
    outcomes, _ = cohort(20, 0)
    published = pd.DataFrame({"patient_id": outcomes["patient_id"], "fold": np.arange(20) % 4})
    splits = make_splits(outcomes, None, config(folds=4, seed=9), published)
    assert (splits["repeat"] == 0).all()
    assert splits.set_index("patient_id")["fold"].to_dict() == dict(
        zip(published["patient_id"], published["fold"], strict=True)
    )


def test_published_folds_are_the_first_of_several_repeats() -> None:
    outcomes, _ = cohort(60, 0)
    published = pd.DataFrame({"patient_id": outcomes["patient_id"], "fold": np.arange(60) % 3})
    settings = config(folds=3, repeats=3)
    splits = make_splits(outcomes, None, settings, published)
    first = splits[splits["repeat"] == 0].set_index("patient_id")["fold"]
    assert first.loc[published["patient_id"]].tolist() == published["fold"].tolist()
    drawn = make_splits(outcomes, None, settings)
    later = splits["repeat"] > 0
    pd.testing.assert_frame_equal(splits[later], drawn[drawn["repeat"] > 0])


def test_files(tmp_path: Path) -> None:
    outcomes, _ = cohort(40, 2)
    outcomes.loc[0, "time_months"] = 100 / 30.4375
    settings = config(folds=3, repeats=2)
    splits = make_splits(outcomes, None, settings)
    write_splits(splits, outcomes, settings, tmp_path)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "splits.tsv", sep="\t"), splits)
    assert splits_hash(tmp_path / "splits.tsv") == sha256_file(tmp_path / "splits.tsv")
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_dir()) == [
        f"r{r}f{f}" for r in range(2) for f in range(3)
    ]
    folder = SplitsFolder(tmp_path).fold(1, 2).root
    train = read_train(folder / "train.tsv")
    pd.testing.assert_frame_equal(train, training_part(splits, outcomes, settings, 1, 2))
    tested = read_test_ids(folder / "test_ids.tsv")
    assert set(tested) | set(train["patient_id"]) == set(outcomes["patient_id"])
    assert not set(tested) & set(train["patient_id"])
    assert (folder / "test_ids.tsv").read_text().splitlines() == ["patient_id", *tested]


def test_no_test_outcome_reaches_training(tmp_path: Path) -> None:
    """Changing the outcomes of test patients changes no byte of what their fold trains on."""
    outcomes, _ = cohort(40, 2)
    settings = config(folds=4)
    splits = make_splits(outcomes, None, settings)
    tested = outcomes["patient_id"].isin(splits.loc[splits["fold"] == 1, "patient_id"])
    changed = outcomes.assign(
        time_months=outcomes["time_months"].where(~tested, 999.0),
        event=outcomes["event"].where(~tested, 1 - outcomes["event"]),
    )
    for name, table in (("a", outcomes), ("b", changed)):
        write_splits(splits, table, settings, tmp_path / name)
    for file in ("r0f1/train.tsv", "r0f1/test_ids.tsv"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    assert sha256_file(tmp_path / "a/r0f0/train.tsv") != sha256_file(tmp_path / "b/r0f0/train.tsv")


def of_classes(counts: dict[int, int], seed: int = 0) -> pd.DataFrame:
    """A cohort with so many patients of each class, in random order."""
    label = np.repeat(list(counts), list(counts.values()))
    label = np.random.default_rng(seed).permutation(label)
    ids = [f"P{number:03d}" for number in range(len(label))]
    return pd.DataFrame({"patient_id": ids, "label": label})


def test_classes_are_spread_evenly_over_folds_and_roles() -> None:
    outcomes = of_classes({-1: 17, 0: 51, 1: 35})
    settings = SplitConfig(folds=5, repeats=1, seed=1)
    splits = make_splits(outcomes, None, settings)
    label = outcomes.set_index("patient_id")["label"].loc[splits["patient_id"]].to_numpy()
    for value in (-1, 0, 1):
        counts = np.bincount(splits["fold"][label == value], minlength=5)
        assert np.ptp(counts) <= 1, value
    part = training_part(splits, outcomes, settings, 0, 3)
    assert list(part.columns) == ["patient_id", "role", "label"]
    validation = part[part["role"] == "validation"]["label"].value_counts()
    assert validation[0] == 8 and validation[1] == 6  # 0.2 of 41 (or 40) and of 28
    shuffled = outcomes.sample(frac=1, random_state=3)
    pd.testing.assert_frame_equal(make_splits(shuffled, None, settings), splits)


def test_a_class_that_a_part_lacks_is_named() -> None:
    outcomes = of_classes({0: 12, 1: 4})
    fold = np.where(outcomes["label"] == 1, 0, np.arange(16) % 2)
    splits = pd.DataFrame({"patient_id": outcomes["patient_id"], "repeat": 0, "fold": fold})
    sentences = too_few_of_a_class(splits, outcomes, SplitConfig(folds=2, repeats=1))
    assert "fold 2 has no patient of class 1 in its test part" in sentences
    assert "fold 1 has no patient of class 1 in its train part" in sentences


def test_labels_survive_the_files(tmp_path: Path) -> None:
    outcomes = of_classes({-1: 3, 0: 9, 1: 8})
    settings = SplitConfig(folds=2, repeats=1)
    splits = make_splits(outcomes, None, settings)
    write_splits(splits, outcomes, settings, tmp_path)
    stored = read_train(tmp_path / "r0f1" / "train.tsv")
    expected = training_part(splits, outcomes, settings, 0, 1)
    pd.testing.assert_frame_equal(stored, expected)
