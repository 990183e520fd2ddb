"""Figures and tables as files of their own: what is in them, and what is withheld."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from clinic_fixture import Clinic, write_clinic
from reporting_fixture import Fixture, Page, configuration, write_fixture
from survfuse.core.files import read_json
from survfuse.reporting.columns import columns_of, write_csv
from survfuse.reporting.page_tables import page_tables
from survfuse.reporting.stage import write_reports

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Fixture:
    return write_fixture(tmp_path_factory.mktemp("files"))


@pytest.fixture(scope="module")
def survival(fixture: Fixture, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("survival")
    write_reports(fixture.config, fixture.config.output, out)
    return out


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    return write_clinic(tmp_path_factory.mktemp("clinic"), volumes=False)


@pytest.fixture(scope="module")
def diagnosis(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("diagnosis")
    report = clinic.config.report.model_copy(update={"patients": [clinic.with_pet]})
    write_reports(clinic.config.model_copy(update={"report": report}), clinic.out, out)
    return out


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.mark.parametrize("arm", ["survival", "diagnosis"])
def test_every_link_leads_to_a_file_and_every_file_is_linked(
    arm: str, request: pytest.FixtureRequest
) -> None:
    out: Path = request.getfixturevalue(arm)
    linked = {
        (page.parent / link["href"]).resolve()
        for page in out.rglob("*.html")
        for link in Page(page.read_text("utf-8")).all("a")
        if not link["href"].startswith("#")
    }
    found = {path.resolve() for name in ("figures", "tables") for path in (out / name).rglob("*.*")}
    assert found
    assert linked == found


@pytest.mark.parametrize("arm", ["survival", "diagnosis"])
def test_every_figure_and_table_of_a_page_has_files(
    arm: str, request: pytest.FixtureRequest
) -> None:
    out: Path = request.getfixturevalue(arm)
    for page in out.rglob("*.html"):
        html = page.read_text("utf-8")
        for table in re.findall(r"<table[^>]*>", html):
            assert "data-file=" in table or 'class="forest' in table, table
        assert html.count("<figure>\n<h3>") <= html.count(">SVG</a>")


@pytest.mark.parametrize("arm", ["survival", "diagnosis"])
def test_svg_files_open_by_themselves(arm: str, request: pytest.FixtureRequest) -> None:
    out: Path = request.getfixturevalue(arm)
    files = list((out / "figures").rglob("*.svg"))
    assert {"leaderboard"} < {path.stem for path in files}
    for path in files:
        root = ElementTree.parse(path).getroot()
        assert root.tag == f"{SVG}svg"
        assert root.find(f"{SVG}rect").get("fill") == "#ffffff"  # type: ignore[union-attr]
        assert root.find(f"{SVG}title").text  # type: ignore[union-attr]
        identifiers = {one.get("id") for one in root.iter() if one.get("id")}
        used = re.findall(r'(?:href="#|url\(#)([^")]*)', path.read_text("utf-8"))
        assert set(used) <= identifiers


@pytest.mark.parametrize("arm", ["survival", "diagnosis"])
def test_png_files_are_sharp_and_white(arm: str, request: pytest.FixtureRequest) -> None:
    out: Path = request.getfixturevalue(arm)
    files = list((out / "figures").rglob("*.png"))
    assert len(files) == len(list((out / "figures").rglob("*.svg")))
    for path in files:
        with Image.open(path) as picture:
            assert min(picture.info["dpi"]) > 199
            assert picture.width >= 1600
            pixels = np.asarray(picture.convert("RGBA"))
        assert pixels[0, 0].tolist() == [255, 255, 255, 255]
        assert (pixels[..., 3] == 255).all()
        assert (pixels[..., :3] < 128).any()


def test_the_leaderboard_file_has_all_digits_of_all_rows(fixture: Fixture, survival: Path) -> None:
    evaluation = read_json(fixture.inputs.evaluation_json)
    rows = rows_of(survival / "tables" / "leaderboard.csv")
    assert [row["model"] for row in rows] == [row["model"] for row in evaluation["rows"]]
    for told, row in zip(rows, evaluation["rows"], strict=True):
        assert (told["n"], told["events"]) == (
            str(evaluation["n_patients"]),
            str(evaluation["n_events"]),
        )
        for end, key in (("", "value"), ("_low", "low"), ("_high", "high")):
            assert float(told[f"harrell_c{end}"]) == pytest.approx(row["harrell_c"][key], rel=1e-5)
        if row["role"] == "fusion":
            assert float(told["auc_36_months_low"]) == pytest.approx(row["auc"]["36"]["low"], 1e-5)
            assert told["difference_from_clinical_cox_low"]
    control = next(row for row in rows if row["role"] == "control")
    assert control["ibs"] == ""
    assert control["ibs_reason"] == "no curve was predicted"


def test_the_leaderboard_file_of_a_diagnosis(clinic: Clinic, diagnosis: Path) -> None:
    rows = {row["model"]: row for row in rows_of(diagnosis / "tables" / "leaderboard.csv")}
    told = next(r for r in read_json(clinic.evaluation)["rows"] if r["model"] == "itcfn")
    row = rows["itcfn"]
    assert float(row["discrimination"]) == pytest.approx(told["discrimination"]["value"], rel=1e-5)
    assert row["at_threshold_sensitivity_low"]
    assert row["n"] == "120"
    assert not any("positive" in name and "predictive" not in name for name in row)  # no counts


def test_a_table_has_the_numbers_of_its_page(survival: Path) -> None:
    rows = rows_of(survival / "tables" / "discrimination_over_time.csv")
    html = (survival / "index.html").read_text("utf-8")
    for row in rows:
        low, high = row["Uno’s C low"], row["Uno’s C high"]
        if low:
            assert f">{low}</span> to <span" in html
            assert float(low) < float(row["Uno’s C"]) < float(high)


def test_files_withhold_what_pages_withhold(fixture: Fixture, tmp_path: Path) -> None:
    report = {"patients": ["P001"], "min_cell": 29}
    config = configuration(fixture.config.output, report=report)
    write_reports(config, config.output, tmp_path)
    for row in rows_of(tmp_path / "tables" / "sites.csv"):
        assert row["Patients"] == "withheld" or int(row["Patients"]) >= 29
    assert "IV: withheld" in (tmp_path / "tables" / "covariates.csv").read_text("utf-8")
    # Thirds of 27 patients: neither curve nor counts of any may be told.
    told = rows_of(tmp_path / "figures" / "risk_groups.csv")
    assert told
    assert not any(float(row["months"]) > 0 and row["event_free_of_100"] for row in told)
    assert all(row["at_risk"] in ("", "–", "<29") for row in told)
    assert all(row["events"] in ("", "–") for row in told)
    for row in rows_of(tmp_path / "tables" / "risk_group_counts.csv"):
        assert row["Patients"] == row["Events"] == "withheld"
        assert all(row[f"{months} months"] in ("– / – / –", "<29 / – / –") for months in (12, 24))


def test_a_curve_in_a_file_ends_where_few_are_at_risk(fixture: Fixture, survival: Path) -> None:
    groups = read_json(fixture.inputs.evaluation_json)["risk_groups"]["cmta"]
    last = {
        name: next((e["time"] for e in one["at_risk"] if e["n"] < 5), np.inf)
        for name, one in zip(("Lower", "Middle", "Higher"), groups, strict=True)
    }
    every = rows_of(survival / "figures" / "risk_groups.csv")
    rows = [row for row in every if row["model"] == "cmta"]
    assert {row["curve"] for row in rows} == set(last)
    for row in rows:
        if row["event_free_of_100"]:
            assert float(row["months"]) <= last[row["curve"]]


def test_files_of_earlier_runs_are_removed(fixture: Fixture, tmp_path: Path) -> None:
    config = configuration(fixture.config.output, report={"patients": ["P001", "P003"]})
    write_reports(config, config.output, tmp_path)
    old = tmp_path / "figures" / "risk_groups_gone.svg"
    old.write_text("<svg/>")
    kept = tmp_path / "figures" / "notes.txt"
    kept.write_text("mine")
    write_reports(config, config.output, tmp_path, ["P001"])
    assert old.exists()  # one page more, the others untouched
    nobody = configuration(fixture.config.output, report={"patients": ["P003"]})
    write_reports(nobody, nobody.output, tmp_path)
    assert not old.exists()
    assert kept.exists()  # a kind of file that reports never write
    assert [path.name for path in (tmp_path / "figures" / "patients").iterdir()] == ["P003"]


TABLE = """
<table class="stacked" data-file="t">
<thead><tr><th>Model<br>name</th><td class="plot"><svg><text>0.4</text></svg></td><th>C</th></tr>
</thead>
<tbody>
<tr class="part"><th colspan="3">For reference</th></tr>
<tr><th>A &amp; B<span class="inputs">genes</span></th><td class="plot"><svg></svg></td>
<td><span data-key="k">−0.10</span>
<span class="interval"><span>−0.20</span> to <span>0.05</span></span>
<div class="below">12 patients</div></td></tr>
<tr><th>C</th><td class="plot"></td><td><span class="none">–</span></td></tr>
</tbody>
</table>
"""


def test_cells_become_columns() -> None:
    assert page_tables(TABLE)["t"] == {
        "part": ["For reference", "For reference"],
        "Model name": ["A & B", "C"],
        "Model name (inputs)": ["genes", ""],
        "C": ["-0.10", ""],
        "C low": ["-0.20", ""],
        "C high": ["0.05", ""],
        "C (remark)": ["12 patients", ""],
    }


def test_csv_files_keep_numbers_text_and_gaps(tmp_path: Path) -> None:
    table = columns_of([{"a": 1.23456789, "b": 'x, "y"'}, {"a": None, "c": float("nan")}])
    write_csv(tmp_path / "t.csv", table)
    assert (tmp_path / "t.csv").read_text() == 'a,b,c\n1.23457,"x, ""y""",\n,,\n'
