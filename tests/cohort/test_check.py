"""Bad sheets of every kind stop with one message naming file, row, column and remedy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cohort_fixture import Case, N, problems_of
from survfuse.cohort.check import check_cohort
from survfuse.cohort.checked import Cohort
from survfuse.config.study import Config
from survfuse.sheets.problems import Problem, SheetError


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_valid_cohort(case: Case) -> None:
    case.omics.append(["else/where", "1", "2"])
    cohort = check_cohort(case.config())
    assert cohort.outcomes["time_months"].tolist() == [i + 1.5 for i in range(N)]
    assert cohort.outcomes["event"].tolist() == [1, 0] * (N // 2)
    assert list(cohort.clinical) == ["patient_id", "site", "age", "stage", "sex"]
    assert cohort.clinical.iloc[1].tolist() == ["P01", "A", "57", "II", "m"]
    assert cohort.tables["slides"].iloc[0].tolist() == [
        "S00", "P00", str(case.folder / "wsi/0.svs"), "0.5", ""
    ]  # fmt: skip
    assert set(cohort.tables["omics"].index) == {f"P{i:02}" for i in range(N)}
    assert cohort.facts["genes"] == {"rna": 2}
    assert [note.sentence for note in cohort.notes] == [
        "Rows of the gene matrix that belong to no patient and are ignored: 1."
    ]
    sites = cohort.sites
    assert sites is not None and sites["P03"] == "B"


def test_only_patients(case: Case) -> None:
    cohort = check_cohort(case.config("slides", "omics"))
    assert all(cohort.tables[name].empty for name in ("slides", "omics"))
    assert cohort.facts == {"genes": {}}


def test_row_order_is_irrelevant(case: Case) -> None:
    def frames(cohort: Cohort) -> list[str]:
        return [f.to_csv() for f in (cohort.outcomes, cohort.clinical, cohort.tables["slides"])]

    first = frames(check_cohort(case.config()))
    for sheet in (case.patients, case.slides, case.omics):
        sheet[1:] = sheet[:0:-1]
    assert frames(check_cohort(case.config())) == first


Edit = Callable[[Case], object]
ID_RULE = "letters, digits"

# sheet, spreadsheet row, column, what is written there, the fault told, the remedy told
CELLS = [
    ("patients", 3, "patient_id", "", "is empty", "write the id"),
    ("patients", 4, "patient_id", "P00", "repeats row 2", "keep one"),
    ("patients", 4, "patient_id", "p00", "repeats row 2", "keep one"),
    ("patients", 3, "patient_id", "../P01", "has '.' as character 1", ID_RULE),
    ("patients", 3, "patient_id", "/etc/passwd", "has '/' as character 1", ID_RULE),
    ("patients", 3, "patient_id", "P\1 1", r"has '\x01' as character 2", ID_RULE),
    ("patients", 3, "patient_id", "P0\n1", r"has '\n' as character 3", ID_RULE),
    ("patients", 3, "patient_id", "$(id)", "has '$' as character 1", ID_RULE),
    ("patients", 3, "patient_id", "-rf", "has '-' as character 1", ID_RULE),
    ("patients", 3, "patient_id", "x" * 10_000, "has 10000 characters", "64 letters"),
    ("patients", 9, "event", "2", "is neither event nor censored", "write 1 (event) or 0"),
    ("patients", 9, "event", "", "is empty", "write 1 (event) or 0"),
    ("patients", 9, "time", "unknown", "is not a number", "in months"),
    ("patients", 9, "time", "3,5", "is not a number", "decimal mark"),
    ("patients", 9, "time", "", "is empty", "in months"),
    ("patients", 9, "time", "0", "is not positive", "without follow-up"),
    ("patients", 9, "time", "-2", "is negative", "order of the two dates"),
    ("patients", 9, "time", "NaN", "is not a number", "in months"),
    ("patients", 9, "time", "1e999", "is not finite", "in months"),
    ("patients", 9, "time", "3650", "is 304 years", "time_unit"),
    ("patients", 5, "hospital", "", "is empty", "name the centre"),
    ("patients", 5, "age", "sixty", "is not a number", "leave unknown values empty"),
    ("patients", 5, "age", "9e999", "is not a number", "leave unknown values empty"),
    ("patients", 5, "stage", "IV", "is not a level", "use one of: I, II, III"),
    ("patients", 5, "sex", "f\x1b[2J", "has unprintable characters", "short labels"),
    ("patients", 5, "sex", "f" * 101, "has 101 characters", "short labels"),
    ("patients", 1, "sex", "age", "appears 2 times", "rename"),
    ("slides", 7, "slide_id", "a/../b", "has '/' as character 2", ID_RULE),
    ("slides", 7, "slide_id", "S00", "repeats row 2", "keep one"),
    ("slides", 5, "patient_id", "P99", "is not in the patient sheet", "add the patient"),
    ("slides", 5, "patient_id", "", "is empty", "correct the id"),
    ("slides", 5, "path", "wsi/none.svs", "does not exist", "start at the sheet's directory"),
    ("slides", 5, "path", "wsi", "is a folder", "name one .dcm file in it (DICOM), or the .mrxs"),
    ("slides", 5, "path", "wsi\\4.svs", "has backslashes", "write / between folders"),
    ("slides", 5, "path", "C:\\wsi\\4.svs", "the letter of a drive", "as it is on this machine"),
    ("slides", 5, "path", "~/4.svs", "starts with ~", "instead of ~"),
    ("slides", 5, "path", "$HOME/4.svs", "has a variable", "as it is on this machine"),
    ("slides", 5, "path", "https://x.org/4.svs", "is an address", "copy the file here"),
    ("slides", 5, "path", "'wsi/3.svs'", "has quotes around it", "remove the quotes"),
    ("slides", 5, "path", "WSI/../wsi/3.SVS", "does not exist", "upper and lower case"),
    ("slides", 5, "path", "wsi/pipe", "is a pipe", "regular file"),
    ("slides", 5, "features", "wsi", "is a folder", "embeddings"),
    ("slides", 5, "path", "../x.svs", "is outside the allowed", "cohort.roots"),
    ("slides", 5, "path", "/etc/passwd", "is outside the allowed", "cohort.roots"),
    ("slides", 5, "path", "wsi/\1.svs", "has unprintable characters", "correct the path"),
    ("slides", 5, "path", "x" * 10_000, "does not exist", "correct the path"),
    ("slides", 5, "path", "./wsi/0.svs", "is the same file as in row 2", "once"),
    ("slides", 5, "path", "", "is empty", "column features"),
    ("slides", 5, "features", "f.h5", "does not exist", "correct the path"),
    ("slides", 5, "mpp", "0.5um", "is not a number", "micrometres per pixel"),
    ("slides", 5, "mpp", "40", "is not a plausible pixel size", "micrometres per pixel"),
    ("omics", 8, "EGFR", "high", "is not a finite number", "write numbers"),
    ("omics", 8, "EGFR", "inf", "is not a finite number", "write numbers"),
    ("omics", 1, "EGFR", "TP53", "appears 2 times", "rename"),
    ("omics", 8, "patient_id", "P00", "repeats row 2", "keep one"),
    ("omics", 8, "patient_id", "", "is empty", "write the id"),
    ("folds", 3, "fold", "a", "is not a whole number", "0, 1, 2"),
    ("folds", 3, "patient_id", "P00", "repeats row 2", "in one fold"),
]


def put(case: Case, sheet: str, row: int, column: str, value: str) -> None:
    """Write a cell by spreadsheet row and column name."""
    table = getattr(case, sheet)
    table[row - 1][table[0].index(column)] = value


def matching(config: Config, file: str, row: int | None, column: str | None) -> list[Problem]:
    """The problems of one place."""
    return [
        problem
        for problem in problems_of(config)
        if (Path(problem.file).name.partition(".")[0], problem.row, problem.column)
        == (file, row, column)
    ]


@pytest.mark.parametrize(("sheet", "row", "column", "value", "fault", "remedy"), CELLS)
def test_bad_cell_is_one_clear_message(
    case: Case, sheet: str, row: int, column: str, value: str, fault: str, remedy: str
) -> None:
    case.published()
    put(case, sheet, row, column, value)
    if value == "wsi/pipe":
        os.mkfifo(case.folder / value)
    (found,) = matching(case.config(), sheet, row, value if row == 1 else column)
    assert fault in found.problem and remedy in found.remedy
    if column in ("patient_id", "slide_id", "path", "features"):
        assert found.value is None, "what may be a name is not printed"


def one_fold(case: Case) -> None:
    case.folds = [["", "train", "val"], *([str(i), f"P{i:02}", ""] for i in range(20))]


def link_out(case: Case) -> None:
    (case.folder.parent / "secret.svs").write_bytes(b"secret")
    (case.folder / "wsi" / "link.svs").symlink_to(case.folder.parent / "secret.svs")
    put(case, "slides", 2, "path", "wsi/link.svs")


def unnamed_gene(case: Case) -> None:
    put(case, "omics", 1, "EGFR", "")


def genes_of_others(case: Case) -> None:
    for row in case.omics[1:]:
        row[0] = f"sample.{row[0]}"


def empty_covariate(case: Case) -> None:
    for row in range(2, N + 2):
        put(case, "patients", row, "sex", "")


def unknown_event_column(case: Case) -> None:
    put(case, "patients", 1, "event", "status")


def split(**values: Any) -> Edit:
    return lambda case: case.change("splits", **values)


def cohort(**values: Any) -> Edit:
    return lambda case: case.change("cohort", **values)


def published(edit: Edit) -> Edit:
    return lambda case: (case.published(), edit(case))


def covariate(name: str) -> Edit:
    return cohort(covariates={name: {"type": "categorical"}})


# edit, file, row, column, the fault told, the remedy told
OTHERS: list[tuple[Edit, str, int | None, str | None, str, str]] = [
    (unknown_event_column, "patients", 1, "event", "column is missing", "header has: patient_id"),
    (lambda c: c.patients[3].append("x"), "patients", 4, None, "has 8 cells", "extra cells"),
    (lambda c: c.patients.clear(), "patients", None, None, "is empty", "write a header"),
    (empty_covariate, "patients", None, "sex", "is empty in every row", "cohort.covariates"),
    (covariate("time"), "patients", None, "time", "is the outcome", "remove"),
    (covariate("patient_id"), "patients", None, "patient_id", "identifies patients", "remove"),
    (lambda c: c.slides.__delitem__(slice(1, None)), "slides", None, None, "no rows", "add"),
    (link_out, "slides", 2, "path", "is outside the allowed", "cohort.roots"),
    (lambda c: c.omics[7].append("3"), "omics", 8, None, "has 4 cells", "extra cells"),
    (genes_of_others, "omics", None, "patient_id", "no row belongs", "same ids in both"),
    (unnamed_gene, "omics", 1, "column 3", "has no name", "name or remove"),
    (published(lambda c: c.folds.pop()), "folds", None, "patient_id", "has no fold", "add"),
    (published(one_fold), "folds", 1, None, "is of one fold", "patient_id, fold"),
    (published(split(folds=4)), "folds", None, "fold", "0, 1, 2, not 4", "splits.folds"),
]

# edit, key of the configuration, the fault told, the remedy told
SETTINGS: list[tuple[Edit, str, str, str]] = [
    (cohort(roots=["/nowhere/at/all"]), "cohort.roots", "is no directory", "correct it"),
    (split(folds=7), "splits.folds", "12 events for 7 folds", "14 events are needed"),
    (split(folds=5, group_by_site=True), "splits.folds", "4 sites for 5 folds", "fewer folds"),
    (
        lambda c: (c.change("splits", group_by_site=True), c.change("cohort", site=None)),
        "cohort.site",
        "is missing",
        "group_by_site",
    ),
    (
        published(split(group_by_site=True)),
        "cohort.folds",
        "4 sites lie in more than one",
        "group_by_site",
    ),
    (
        lambda c: c.change("omics", suffixes={"rna": "", "cnv": "_cnv"}),
        "omics.suffixes",
        "'_cnv' (cnv)",
        "suffixes of your table",
    ),
    (
        lambda c: c.change("omics", gene_sets="/nowhere.gmt"),
        "omics.gene_sets",
        "no such file",
        "correct the path",
    ),
    (
        lambda c: c.change("report", patients=["P00", "P77"]),
        "report.patients",
        "1 of these patients",
        "correct or remove",
    ),
    (
        cohort(endpoint={"event_value": "Dead", "censored_value": "dead"}),
        "cohort.endpoint.event_value",
        "is the same as censored_value",
        "two different values",
    ),
]


@pytest.mark.parametrize(
    ("edit", "file", "row", "column", "fault", "remedy"),
    OTHERS + [(edit, "configuration", None, *rest) for edit, *rest in SETTINGS],
)
def test_other_faults_are_one_clear_message(
    case: Case, edit: Edit, file: str, row: int | None, column: str | None, fault: str, remedy: str
) -> None:
    edit(case)
    (found,) = matching(case.config(), file, row, column)
    assert fault in found.problem and remedy in found.remedy


def test_all_problems_at_once(case: Case) -> None:
    put(case, "patients", 3, "time", "-1")
    put(case, "patients", 2, "event", "maybe")
    put(case, "slides", 4, "mpp", "x")
    lines = str(SheetError(problems_of(case.config()))).splitlines()
    assert lines[0] == "3 problems to correct before anything is computed"
    assert lines[2].endswith("patients.tsv") and lines[5].endswith("slides.tsv")
    assert lines[3].split()[:3] == ["2", "event", "maybe"]
    assert lines[4].split()[:3] == ["3", "time", "-1"]
    assert lines[6].split()[:3] == ["4", "mpp", "x"]


TIME, EVENT = 1, 2


@pytest.mark.parametrize(
    ("kind", "source", "copy", "fault"),
    [
        ("continuous", TIME, str, "is the time column"),
        ("continuous", TIME, lambda time: f"{float(time) * 30.4375:.0f}", "is the time column"),
        ("categorical", EVENT, str, "is the event column"),
        ("continuous", EVENT, {"1": "0", "0": "1"}.get, "is the event column"),
        ("categorical", EVENT, {"1": "dead", "0": "alive"}.get, "is the event column"),
        ("categorical", EVENT, {"1": "cancer", "0": ""}.get, "is filled in exactly"),
    ],
)
def test_outcome_in_disguise(
    case: Case, kind: str, source: int, copy: Callable[[str], str], fault: str
) -> None:
    for row in case.patients[1:]:
        row[6] = copy(row[source])
    case.change("cohort", covariates={"sex": {"type": kind}})
    (problem,) = problems_of(case.config())
    assert (problem.column, problem.row) == ("sex", None)
    assert fault in problem.problem and "must not read the outcome" in problem.remedy


def test_site_that_decides_the_event(case: Case) -> None:
    for row in case.patients[1:]:
        row[3] = "hospice" if row[2] == "1" else "clinic"
    (problem,) = problems_of(case.config())
    assert problem.column == "hospital" and "is the event column" in problem.problem


def test_nearly_an_outcome_is_allowed(case: Case) -> None:
    for row in case.patients[1:]:
        row[6] = "dead" if row[2] == "1" else "alive"
    case.patients[1][6] = "alive"
    assert check_cohort(case.config()).clinical["sex"].tolist()[:2] == ["alive", "alive"]


def test_published_folds_count_from_one(case: Case) -> None:
    case.published()
    for row in case.folds[1:]:
        row[1] = str(int(row[1]) + 1)
    folds = check_cohort(case.config()).folds
    assert folds is not None and set(folds["fold"]) == {0, 1, 2}


def test_published_fold_without_events(case: Case) -> None:
    case.published()
    for i, row in enumerate(case.folds[1:]):
        row[1] = "0" if i % 2 else str(1 + i % 4 // 2)
    (problem,) = problems_of(case.config())
    assert problem.problem == "fold 1 has 0 events to test on, 2 are needed"


def test_roots_allow_other_directories(
    case: Case, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("archive")
    (elsewhere / "a.svs").write_bytes(b"slide")
    (case.folder / "wsi" / "link.svs").symlink_to(elsewhere / "a.svs")
    case.slides[1][2] = "wsi/link.svs"
    assert "outside" in problems_of(case.config())[0].problem
    case.change("cohort", roots=[str(elsewhere), str(case.folder)])
    slides = check_cohort(case.config()).tables["slides"]
    assert slides["path"][0] == str(case.folder / "wsi/link.svs")  # the name keeps its suffix


@pytest.mark.parametrize("linked", [False, True])
def test_content_that_was_not_downloaded(tmp_path: Path, linked: bool) -> None:
    """DataLad, OpenNeuro, Git LFS: a clone has pointers where the files should be."""
    case = Case(tmp_path)
    git_lfs, annexed = tmp_path / "wsi/2.svs", tmp_path / "wsi/3.svs"
    git_lfs.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n")
    annexed.unlink()
    key = ".git/annex/objects/8p/zJ/MD5E-s99--8fac.svs/MD5E-s99--8fac.svs"
    if linked:
        annexed.symlink_to(f"../{key}")
    else:
        annexed.write_text("/annex/objects/MD5E-s99--8fac.svs\n")
    first, second = problems_of(case.config())
    assert (first.row, second.row) == (4, 5)
    assert first.problem == "is a pointer of Git LFS: its content was not downloaded"
    assert first.remedy == "run git lfs pull"
    assert second.problem == "is a pointer of git-annex: its content was not downloaded"
    assert "datalad get" in second.remedy


def test_accents_of_a_file_name_that_another_system_stored(tmp_path: Path) -> None:
    """OpenSlide and QuPath on macOS: the name in the sheet looks like that of the file."""
    case = Case(tmp_path)
    (tmp_path / "wsi/Mu\u0308ller.svs").write_bytes(b"slide")
    case.slides[3][2] = "wsi/M\u00fcller.svs"
    (problem,) = problems_of(case.config())
    assert problem.problem == "file does not exist"
    assert "accents" in problem.remedy


def test_ids_that_a_spreadsheet_or_pandas_took_for_numbers(tmp_path: Path) -> None:
    """CLAM: ids of digits become 101.0, or lose their zeros, on the way through pandas."""
    case = Case(tmp_path)
    for i in range(1, N + 1):
        case.patients[i][0] = f"{i:04}"
        case.slides[i][1] = case.omics[i][0] = str(i)
    assert all("the same zeros" in p.remedy for p in problems_of(case.config()))
    for i in range(1, N + 1):
        case.patients[i][0] = f"{i}.0"
    told = problems_of(case.config())
    assert any("after removing what follows the last separator" in p.remedy for p in told)
