"""What the cohort reports tell of exclusions, of the data, and of who was read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from reporting_fixture import Fixture, Page, configuration, write_fixture
from survfuse.artifacts.manifest import OK, QUARANTINED
from survfuse.config.report import ReportConfig
from survfuse.config.study import Config
from survfuse.modalities.slides.store import SlideStatus
from survfuse.modalities.volumes.store import VolumeStatus
from survfuse.reporting.diagnosis.confusion import called, confusions
from survfuse.reporting.inputs import ReportData, read_report_data
from survfuse.reporting.leaderboard_file import leaderboard_table
from survfuse.reporting.render import render
from survfuse.reporting.sections.manifest_notes import slide_notes, volume_notes
from survfuse.reporting.sections.patient_flow import flow_of
from survfuse.reporting.sections.provenance import facts
from survfuse.reporting.survival.cohort_page import cohort_context
from survfuse.reporting.wording import lint
from survfuse.tasks.survival.metrics import METRICS, RANKING


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Fixture:
    return write_fixture(tmp_path_factory.mktemp("notes"))


@pytest.fixture(scope="module")
def data(fixture: Fixture) -> ReportData:
    return read_report_data(fixture.inputs)


def cohort(excluded: dict[str, int], analysed: int = 60) -> dict[str, object]:
    parts = [{"reason": reason, "n": n} for reason, n in excluded.items()]
    flow = {"in_sheet": analysed + sum(excluded.values()), "excluded": parts, "analysed": analysed}
    return {"n_patients": analysed, "flow": flow}


def html_of(config: Config, data: ReportData) -> str:
    html = render("cohort.html.j2", cohort_context(config, data))
    assert lint(html) == []
    assert Page(html).faults == []
    return html


# --- flow of patients


def test_flow_counts_who_was_excluded_and_why() -> None:
    flow = flow_of(cohort({"no input that a model reads": 7, "no follow-up": 6}), 5)
    assert (flow.in_sheet, flow.out, flow.analysed) == (73, 13, 60)
    assert [(part.reason, part.n) for part in flow.excluded] == [
        ("no input that a model reads", 7),
        ("no follow-up", 6),
    ]
    assert flow.table() == {
        "step": ["in the sheet", "excluded: no input that a model reads",
                 "excluded: no follow-up", "analysed"],
        "patients": [73, 7, 6, 60],
    }  # fmt: skip


def test_few_excluded_patients_cannot_be_counted_by_subtraction() -> None:
    flow = flow_of(cohort({"no follow-up": 2}), 5)
    assert (flow.in_sheet, flow.out, flow.excluded[0].n) == (None, None, None)
    flow = flow_of(cohort({"no follow-up": 2, "no input": 9}), 5)
    assert [part.n for part in flow.excluded] == [None, None]
    assert (flow.in_sheet, flow.out) == (71, 11)


def test_summaries_of_earlier_versions_exclude_nobody() -> None:
    flow = flow_of({"n_patients": 60}, 5)
    assert (flow.in_sheet, flow.out, flow.excluded) == (60, 0, [])


def test_the_page_shows_the_flow(fixture: Fixture, data: ReportData) -> None:
    told = cohort({"no input that a model reads": 7}, 80)
    html = html_of(fixture.config, replace(data, cohort={**data.cohort, **told}))
    assert "<b>87 patients in the sheet</b>" in html
    assert "<b>7 excluded</b>" in html
    assert "No input that a model reads</span>: 7" in html
    assert "None was excluded" in html_of(fixture.config, data)


# --- notes on manifests


def slide(name: str, mpp: float, source: str = "header", reason: str = "") -> SlideStatus:
    return SlideStatus(name, name, OK, reason, mpp=mpp, mpp_source=source)


def test_mixed_resolutions_of_slides_are_told() -> None:
    assert slide_notes([slide("a", 0.25), slide("b", 0.26)]) == []
    notes = slide_notes([slide("a", 0.25), slide("b", 0.5, "sheet")])
    assert notes == [
        "The slides were scanned at 0.25 to 0.50 µm per pixel; all are read at one resolution.",
        "The resolution of the slides comes from header (1 slide) and sheet (1 slide).",
    ]
    aside = SlideStatus("c", "c", QUARANTINED, "no_tissue: none found", mpp=4.0)
    assert slide_notes([slide("a", 0.25), aside]) == []  # what was not used is no mixture


def test_remarks_on_what_was_used_are_told_once_with_their_number() -> None:
    remark = "implausible_mpp: the header says 0.9 µm; see /data/jane_doe/a.svs"
    notes = slide_notes([slide("a", 0.25, reason=remark), slide("b", 0.25, reason=remark)])
    assert notes == ["2 slides: the header says 0.9 µm; see (file)."]


def test_mixed_units_of_volumes_are_told() -> None:
    volumes = [
        VolumeStatus(f"P{i}", "bl", "pet", OK, unit=unit, spacing_mm="2x2x2")
        for i, unit in enumerate(["SUV", "SUV", "Bq/ml"])
    ]
    assert volume_notes(volumes) == [
        "The PET volumes differ in their units: SUV (2) and Bq/ml (1)."
    ]


# --- who was read


def with_read(data: ReportData, n: int | None) -> ReportData:
    rows = [
        {**row, "n_read": n if row["model"] == "cmta" else 80} for row in data.evaluation["rows"]
    ]
    told = {
        "rows": rows,
        "left_out": [{"model": "mcat", "sentence": "mcat reads what nobody has."}],
    }
    notes = [*data.evaluation["notes"], "mcat reads what nobody has."]
    return replace(data, evaluation={**data.evaluation, **told, "notes": notes})


def test_the_leaderboard_tells_whom_a_row_read(fixture: Fixture, data: ReportData) -> None:
    html = html_of(fixture.config, with_read(data, 66))
    assert '<span data-key="evaluation/rows/cmta/n_read">66</span>' in html
    assert "of how many of the 80 patients the model had anything to read" in html
    assert html.count("mcat reads what nobody has.") == 1  # as a row left out, not as a note too
    assert "Patients<br>read" not in html_of(fixture.config, data)


@pytest.mark.parametrize(
    ("n", "told"),
    [(66, "66"), (78, "more than 75"), (3, "fewer than 5"), (80, "80"), (0, "0"), (75, "75")],
)
def test_few_patients_read_or_not_read_get_a_bound(data: ReportData, n: int, told: str) -> None:
    evaluation = with_read(data, n).evaluation
    table = leaderboard_table(evaluation, {"n": 80}, METRICS.values(), RANKING, {}, 5)
    row = list(table["model"]).index("cmta")
    assert table["n_read"][row] == told


def test_one_rule_for_patients_read_and_for_the_flow(fixture: Fixture, data: ReportData) -> None:
    """What the leaderboard does not tell cannot be had from the flow chart above it."""
    modalities = {**data.cohort["modalities"], "omics": 78}
    few = replace(with_read(data, 78), cohort={**data.cohort, "modalities": modalities})
    html = html_of(fixture.config, few)
    assert '<span class="none">more than 75</span>' in html
    assert "Gene expression: more than 75 of 80" in html
    assert "78 of 80" not in html


# --- confusion matrices


def test_small_counts_of_a_confusion_matrix_are_withheld() -> None:
    assert [(c.n, c.share) for c in called([30, 10, 0], 5)] == [
        (30, 0.75),
        (None, None),
        (None, None),
    ]
    assert [c.n for c in called([20, 3], 5)] == [None, None]  # 3 is 23 less 20
    assert [c.n for c in called([0, 0], 5)] == [None, None]
    row = {"model": "m", "label": "M", "confusion": {"rule": "most probable", "counts": [[9, 6]]}}
    (one,) = confusions([row, {"model": "oracle", "label": "O"}], 5)
    assert [(c.n, c.share) for c in one.rows[0]] == [(9, 0.6), (6, 0.4)]


# --- real patients are never called simulated, and the reverse


def test_the_banner_follows_the_source_and_not_the_title(
    fixture: Fixture, data: ReportData, tmp_path: Path
) -> None:
    report = ReportConfig(title="Demonstration cohort (simulated)")
    real = configuration(tmp_path).model_copy(update={"report": report})
    assert "Simulated patients." not in html_of(real, data)
    drawn = Config.model_validate(
        fixture.config.model_dump(exclude={"cohort": {"patients", "slides", "omics"}})
        | {"source": {"kind": "simulate"}, "report": {"title": "Our hospital"}}
    )
    assert "Simulated patients." in html_of(drawn, data)


def test_the_title_is_the_name_of_the_run_by_default(data: ReportData, tmp_path: Path) -> None:
    assert "<h1 data-verbatim>fixture</h1>" in html_of(configuration(tmp_path, report={}), data)


def test_names_of_environment_variables_stand_in_the_provenance(
    fixture: Fixture, data: ReportData
) -> None:
    class Known(Config):
        @property
        def variables(self) -> tuple[str, ...]:
            return ("SLIDES", "DATA")

    known = Known.model_validate(fixture.config.model_dump())
    assert ("Environment variables read", "DATA, SLIDES") in facts(known, data)
    assert "Environment" not in str(facts(fixture.config, data))
