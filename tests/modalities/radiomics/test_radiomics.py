"""Radiomics, the smallest modality: from its table to the pages, and what is refused before."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from inputs_fixture import fitting_config
from scarce_fixture import IDS, row_of, run, write_cohort
from survfuse.cohort.check import check_cohort
from survfuse.core.errors import UserInputError
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.loading import modality
from survfuse.modalities.radiomics.modality import FeatureScaler, FeatureTable
from survfuse.modalities.registry import MODALITIES
from survfuse.models.runnable import load

READS = ["clinical", "radiomics"]
ROWS: list[dict[str, Any]] = [
    {"name": "clinical_cox", "kind": "clinical_cox"},
    {"name": "coxnet", "kind": "coxnet", "options": {"modalities": READS}},
    {"name": "concat", "kind": "concat", "options": {"modalities": READS, "width": 8}},
    {"name": "permuted", "kind": "concat", "options": {"modalities": READS, "width": 8},
     "permute_outcomes": True},
]  # fmt: skip


def features() -> pd.DataFrame:
    """Three features of all patients but the last four."""
    rng = np.random.default_rng(3)
    frame = pd.DataFrame(rng.normal(size=(len(IDS), 3)).round(4), columns=["area", "glcm", "flat"])
    frame["flat"] = 1.5
    frame.insert(0, "patient_id", IDS)
    return frame.iloc[:-4]


def with_radiomics(home: Path, table: pd.DataFrame) -> Path:
    """A cohort of clinical data and a table of features."""
    path = write_cohort(home, slides=None, omics=None)
    table.to_csv(home / "radiomics.tsv", sep="\t", index=False)
    config = yaml.safe_load(path.read_text())
    config["cohort"]["tables"] = {"radiomics": str(home / "radiomics.tsv")}
    config["models"] = ROWS
    config["report"] = {"patients": ["P00", IDS[-1]], "model": "concat"}
    path.write_text(yaml.safe_dump(config))
    return path


def test_a_table_reaches_everything_that_tells_of_modalities(tmp_path: Path) -> None:
    evaluation = run(with_radiomics(tmp_path, features()))
    read = {"clinical": 24, "radiomics": 20}
    assert row_of(evaluation, "concat")["read"] == read
    assert row_of(evaluation, "coxnet")["read"] == read
    assert "radiomics" in row_of(evaluation, "concat")["ablations"]
    assert [one["modality"] for one in evaluation["availability"]][-1] == "radiomics"
    explained = evaluation["explained"]["concat"]
    assert set(explained["contribution"]) <= set(READS)
    available = pd.read_csv(tmp_path / "out/predictions/availability.tsv", sep="\t")
    assert available["radiomics"].sum() == 20
    report = tmp_path / "out/report"
    index = (report / "index.html").read_text()
    assert "<b>Radiomics features: more than 19 of 24</b>" in index  # in the flow of patients
    assert "radiomics features" in index
    page = (report / "patients/P00.html").read_text()
    assert "3 of 3 known" in page
    assert "glcm" in page and "flat" not in page  # what does not vary is not read
    assert "no row in the table" in (report / f"patients/{IDS[-1]}.html").read_text()


def test_scaling_by_hand() -> None:
    frame = pd.DataFrame(
        {"a": [1.0, 3.0, np.nan, 100.0], "b": [2.0, 2.0, 2.0, 9.0], "c": [np.nan] * 3 + [1.0]},
        index=list("ABCD"),
    )
    store = FeatureTable(frame)
    radiomics = modality("radiomics")
    scaling = radiomics.fit(store, ["A", "B", "C", "X"], fitting_config())
    assert isinstance(scaling, FeatureScaler)
    assert scaling.names == ("a",)  # b does not vary among them, c is never there
    mean, std = 2.0, np.sqrt(2 / 3)  # 1, 3 and the median 2
    values, names = radiomics.columns(store, scaling, ["A", "C", "D", "X"])
    assert names == ["a"]
    np.testing.assert_allclose(values[:, 0], [(1 - mean) / std, 0.0, 10.0, 0.0])
    again = radiomics.restore(scaling.arrays(), scaling.to_json())
    tokens = radiomics.reader(store, again, ["A", "X"], None).read(
        [0, 1], np.ones(2, bool), None, ()
    )
    np.testing.assert_allclose(tokens.values[:, 0, 0], [(1 - mean) / std, 0.0], rtol=1e-6)
    assert store.available(["A", "X"]).tolist() == [True, False]
    assert store.without(["A"]).available(["A", "B"]).tolist() == [False, True]
    assert radiomics.fit(store, ["X"], fitting_config()) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(glcm="high"), "glcm"),
        (lambda t: t.assign(patient_id=[*t["patient_id"][1:], "P00"][::-1]), "repeated|twice|P00|"),
        (lambda t: t.assign(patient_id=["nobody", *t["patient_id"][1:]]), "patient sheet"),
        (lambda t: t[["patient_id"]], "no column besides"),
        (lambda t: t.assign(copied=(20 * t.index + 1).to_numpy()), ""),
    ],
    ids=["words", "order", "foreign", "empty", "honest"],
)
def test_what_is_no_table_of_features_is_refused(
    change: Callable[[pd.DataFrame], pd.DataFrame], said: str, tmp_path: Path
) -> None:
    config = load(with_radiomics(tmp_path, change(features())))
    if said in ("", "repeated|twice|P00|"):
        assert check_cohort(config).tables["radiomics"].index.is_monotonic_increasing
        return
    with pytest.raises(UserInputError, match=said):
        check_cohort(config)


def test_a_feature_that_is_the_outcome_is_refused(tmp_path: Path) -> None:
    path = write_cohort(tmp_path, slides=None, omics=None)
    patients = pd.read_csv(tmp_path / "patients.tsv", sep="\t")
    table = features().assign(volume=3 * patients["time"].iloc[:-4] + 2)
    config = load(with_radiomics(path.parent, table))
    with pytest.raises(UserInputError, match="volume"):
        check_cohort(config)


def test_a_table_of_no_modality_is_refused(tmp_path: Path) -> None:
    path = with_radiomics(tmp_path, features())
    path.write_text(path.read_text().replace("    radiomics:", "    radiomix:"))
    with pytest.raises(UserInputError, match="there is no modality 'radiomix'"):
        load(path)


def test_no_name_gets_the_answer_of_another() -> None:
    inputs = CohortInputs(pd.DataFrame(index=["A"]), {})
    assert not inputs.available("radiomics", ["A"]).any()
    with pytest.raises(ValueError, match="no modality 'radiology'"):
        inputs.available("radiology", ["A"])
    with pytest.raises(ValueError, match="no modality 'radiology'"):
        CohortInputs(inputs.patients, {"radiology": FeatureTable(pd.DataFrame())})
    assert list(MODALITIES)[-1] == "radiomics"
