"""A report needs the rows that make the others readable, and says nothing that it may not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from clinic_fixture import write_clinic
from reporting_fixture import write_fixture
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json, write_json
from survfuse.reporting.render import WordingError, write_page
from survfuse.reporting.stage import write_reports
from survfuse.reporting.wording import lint
from survfuse.tasks.diagnosis.mandatory import is_clinical
from survfuse.tasks.required import check_evaluated


@pytest.mark.parametrize("role", ["clinical", "control"])
def test_no_report_without_a_mandatory_row(tmp_path: Path, role: str) -> None:
    fixture = write_fixture(tmp_path)
    path = fixture.inputs.evaluation_json
    whole = read_json(path)
    check_evaluated(fixture.config, whole, path)
    gone = [row for row in whole["rows"] if row["role"] == role]
    write_json(path, whole | {"rows": [row for row in whole["rows"] if row not in gone]})
    with pytest.raises(UserInputError, match=f"lacks the {role}"):
        write_reports(fixture.config, tmp_path, tmp_path / "report")
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("role", ["clinical", "control"])
def test_no_report_of_a_diagnosis_without_a_mandatory_row(tmp_path: Path, role: str) -> None:
    clinic = write_clinic(tmp_path)
    path = clinic.out / "evaluation" / "evaluation.json"
    whole = read_json(path)
    check_evaluated(clinic.config, whole, path)
    models = clinic.config.models
    mandatory = [
        model.name
        for model in models
        if model.permute_outcomes == (role == "control")
        and (role == "control" or is_clinical(model, models))
    ]
    assert mandatory
    rows = [row for row in whole["rows"] if row["model"] not in mandatory]
    write_json(path, whole | {"rows": rows})
    with pytest.raises(UserInputError, match=f"lacks the {role}"):
        write_reports(clinic.config, clinic.out, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_a_mandatory_row_that_could_not_be_fitted_is_excused(tmp_path: Path) -> None:
    fixture = write_fixture(tmp_path)
    whole = read_json(fixture.inputs.evaluation_json)
    rows = [row for row in whole["rows"] if row["role"] != "control"]
    told = [{"model": "cmta_permuted", "sentence": "The row cmta_permuted is left out: why."}]
    check_evaluated(
        fixture.config, whole | {"rows": rows, "left_out": told}, fixture.inputs.evaluation_json
    )


def test_names_of_the_user_are_no_wording() -> None:
    assert lint("<p>Site Will County has 12 patients.</p>", ["Will County"]) == []
    assert lint("<p>This will help.</p>", ["Will County"])


def test_wording_faults_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("survfuse.reporting.render.render", lambda *_: "<p>This will help.</p>")
    with pytest.raises(WordingError, match="promises a future"):
        write_page("cohort.html.j2", {}, tmp_path / "index.html", tmp_path)
    assert not (tmp_path / "index.html").exists()
