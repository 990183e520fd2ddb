"""Reading: what belongs together, what is missing, and means over repeats."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reporting_fixture import GROUPS, write_fixture
from survfuse.artifacts.layout import ModelsFolder
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json, write_json
from survfuse.reporting import inputs
from survfuse.reporting.sections import provenance
from survfuse.reporting.stored_attention import read_attention


@pytest.fixture(scope="module")
def fixture(tmp_path_factory):
    return write_fixture(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def data(fixture):
    return inputs.read_report_data(fixture.inputs)


def test_an_evaluation_of_other_splits_is_refused(fixture, tmp_path):
    other = tmp_path / "splits.tsv"
    table = pd.read_csv(fixture.inputs.splits, sep="\t")
    table.loc[0, "fold"] = (table.loc[0, "fold"] + 1) % 5
    table.to_csv(other, sep="\t", index=False)
    with pytest.raises(UserInputError, match=r"other splits.*run the evaluation again"):
        inputs.read_report_data(replace(fixture.inputs, splits=other))


def test_models_fitted_on_other_splits_are_refused(fixture, data):
    provenance.check_same_splits(fixture.config, data)
    stale = {**data.fits[0], "splits_sha256": "another"}
    with pytest.raises(UserInputError, match=r"model cmta, fold 1 of repeat 1.*train"):
        provenance.check_same_splits(fixture.config, replace(data, fits=(stale,)))


def test_fits_of_models_that_are_no_longer_configured_do_not_count(fixture, data):
    stale = {**data.fits[0], "splits_sha256": "another", "model": {"name": "dropped"}}
    provenance.check_same_splits(fixture.config, replace(data, fits=(stale,)))


def test_folders_of_folds_and_rows_that_a_run_no_longer_has_are_not_read(fixture, tmp_path):
    """As after fewer folds or repeats, or a row that was removed or renamed."""
    models = tmp_path / "models"
    shutil.copytree(fixture.inputs.models.root, models)
    stale = {**read_json(models / "cmta" / "r0f0" / "fit.json"), "splits_sha256": "another"}
    write_json(models / "cmta" / "r0f5" / "fit.json", {**stale, "fold": 5})
    write_json(models / "cmta" / "r1f0" / "fit.json", {**stale, "repeat": 1})
    write_json(models / "gone" / "r0f0" / "fit.json", {**stale, "model": {"name": "gone"}})
    found = inputs.read_report_data(replace(fixture.inputs, models=ModelsFolder(models)))
    provenance.check_same_splits(fixture.config, found)
    assert dict(provenance.facts(fixture.config, found))["Fitted models"] == "5"
    write_json(models / "cmta" / "r0f4" / "fit.json", {**stale, "fold": 4})
    found = inputs.read_report_data(replace(fixture.inputs, models=ModelsFolder(models)))
    with pytest.raises(UserInputError, match=r"model cmta, fold 5 of repeat 1.*train"):
        provenance.check_same_splits(fixture.config, found)


@pytest.mark.parametrize("field", ["cohort_json", "clinical", "outcomes", "splits"])
def test_an_absent_file_is_named(fixture, tmp_path, field):
    with pytest.raises(UserInputError, match="nowhere"):
        inputs.read_report_data(replace(fixture.inputs, **{field: tmp_path / "nowhere"}))


def test_broken_json_is_named(fixture, tmp_path):
    path = tmp_path / "cohort.json"
    path.write_text("{")
    with pytest.raises(UserInputError, match=r"cohort\.json: not readable"):
        inputs.read_report_data(replace(fixture.inputs, cohort_json=path))
    path.write_text("[]")
    with pytest.raises(UserInputError, match="expected an object, found list"):
        inputs.read_report_data(replace(fixture.inputs, cohort_json=path))


def test_a_cohort_without_slides_or_genes_has_none(fixture, tmp_path):
    bare = replace(fixture.inputs, slide_sheet=None, files={})
    found = inputs.read_report_data(bare)
    assert found.brought == {}
    assert found.slide_sheet is None
    assert inputs.ReportInputs.under(tmp_path).files == {}


def test_measured_genes_are_counted(data):
    genes = data.brought["omics"]
    assert genes["P001"] == 194
    assert genes["P002"] == 200
    assert "P004" not in genes


def test_predictions_name_their_folds_and_how_far_models_disagree(data):
    table = pd.DataFrame(
        {
            "patient_id": ["P001", "P001", "B"],
            "repeat": [0, 1, 0],
            "fold": [2, 4, 0],
            "risk": [0.1, 0.2, 0.3],
            "risk_low_12": [0.05, 0.25, 0.4],
            "risk_high_12": [0.2, 0.4, 0.6],
            "risk_low_24": [np.nan, np.nan, 0.4],
            "risk_high_24": [np.nan, np.nan, 0.6],
        }
    )
    found = inputs.prediction_of(data, "cmta", table, "P001")
    assert found.folds == ((0, 2), (1, 4))
    assert found.disagreement == {12.0: (0.05, 0.4)}
    assert list(found.risks) == [12.0, 24.0, 36.0]
    with pytest.raises(UserInputError, match="patient C"):
        inputs.prediction_of(data, "cmta", table, "C")


def test_a_patient_is_told_the_row_of_the_table(data, fixture):
    table = pd.read_csv(fixture.inputs.evaluation_json.with_name("risks.tsv"), sep="\t")
    rows = table[(table["model"] == "cmta") & (table["patient_id"] == "P003")]
    for row in rows.to_dict("records"):
        found = inputs.risks_of(data.risks, "cmta", "P003")[row["months"]]
        assert found.lacking == ("slides",)
        for name in ("risk", "low", "high", "as_is_low", "as_is_high", "n_complete", "group"):
            assert getattr(found, name) == pytest.approx(row[name])
    assert inputs.risks_of(data.risks, "cmta", "P001")[12.0].lacking == ()
    assert inputs.risks_of(data.risks, "nobody", "P001") == {}


def test_risks_of_another_evaluation_are_refused(fixture, tmp_path):
    evaluation = tmp_path / "evaluation.json"
    shutil.copy(fixture.inputs.evaluation_json, evaluation)
    other = replace(fixture.inputs, evaluation_json=evaluation)
    with pytest.raises(UserInputError, match=r"risks\.tsv: is not the table .* run the evaluation"):
        inputs.read_report_data(other)
    text = fixture.inputs.evaluation_json.with_name("risks.tsv").read_text()
    (tmp_path / "risks.tsv").write_text(text.replace("P001", "P002", 1))
    with pytest.raises(UserInputError, match=r"risks\.tsv: is not the table"):
        inputs.read_report_data(other)


def test_attention_is_read_with_its_places_and_names(data):
    found = read_attention(data, "cmta", "P001")
    assert found.tiles is not None
    assert found.groups is not None
    assert found.tiles["share"].sum() == pytest.approx(1, abs=1e-5)
    assert set(found.tiles["slide_id"]) == {"S001a", "S001b"}
    assert list(found.groups.index) == GROUPS
    assert read_attention(data, "cmta", "P003").tiles is None
    assert read_attention(data, "cmta", "P004").groups is None
    for model, patient in (("snn", "P001"), ("cmta", "P040")):
        nothing = read_attention(data, model, patient)
        assert nothing.tiles is None
        assert nothing.groups is None


def test_weights_are_those_of_the_folds_that_predicted_the_patient(data):
    assert provenance.weights_hashes(data, "cmta", ((0, 3),)) == ["3abcdef01234"]
    assert provenance.weights_hashes(data, "cmta", ((1, 3),)) == []
    assert provenance.weights_hashes(data, "snn", ((0, 3),)) == []


def test_versions_that_differ_between_fits_are_all_listed(data):
    mixed = (*data.fits, {"software": {"torch": "9.9"}, "git_commit": "0123abc"})
    found = dict(provenance.software(replace(data, fits=mixed)))
    assert found["torch at training"] == "2.6.0, 9.9"
    assert found["git commit at training"] == "0123abc"


def test_json_is_reread_each_time(fixture, tmp_path):
    """No cache: a report after a new evaluation shows the new evaluation."""
    path = tmp_path / "evaluation.json"
    shutil.copy(fixture.inputs.evaluation_json.with_name("risks.tsv"), tmp_path)
    for tau in (30.0, 31.0):
        write_json(path, read_json(fixture.inputs.evaluation_json) | {"tau_months": tau})
        found = inputs.read_report_data(replace(fixture.inputs, evaluation_json=path))
        assert found.evaluation["tau_months"] == tau
