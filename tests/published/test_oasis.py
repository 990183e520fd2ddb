"""Importing the longitudinal table of OASIS: a small table by hand, and the real one if there."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from survfuse.cli.main import main
from survfuse.cohort.check import check_cohort
from survfuse.config.source import OasisSource
from survfuse.config.study import Config
from survfuse.published.oasis import import_oasis
from survfuse.sheets.problems import SheetError

ROOT = Path(__file__).parents[2]
HEADER = "Subject ID,MRI ID,Group,Visit,MR Delay,M/F,Hand,Age,EDUC,SES,MMSE,CDR,eTIV,nWBV,ASF"
# Rows are out of order on purpose. A converts at the third visit, B never, C is demented at first,
# D has one visit, E converts and recovers, F was called converted but demented at the first visit.
VISITS = """
A,A_1,Converted,1,0,F,R,70,12,2,29,0,1400,0.750,1.250
A,A_3,Converted,3,900,F,R,72,12,2,21,0.5,1402,0.700,1.248
A,A_2,Converted,2,400,F,R,71,12,2,28,0,1401,0.740,1.249
B,B_2,Nondemented,2,731,M,R,82,16,,30,0,1600,0.690,1.097
B,B_1,Nondemented,1,0,M,R,80,16,,,0,1599,0.700,1.098
C,C_1,Demented,1,0,M,R,75,12,3,23,0.5,1678,0.736,1.046
C,C_2,Demented,2,560,M,R,76,12,3,28,0,1738,0.713,1.010
D,D_1,Nondemented,1,0,F,R,66,18,1,30,0,1300,0.800,1.350
E,E_1,Nondemented,1,0,F,R,77,14,4,28,0,1500,0.720,1.170
E,E_2,Nondemented,2,600,F,R,79,14,4,27,0.5,1501,0.719,1.169
E,E_3,Nondemented,3,1200,F,R,80,14,4,29,0,1502,0.718,1.168
F,F_1,Converted,1,0,F,R,90,14,4,27,1,1500,0.700,1.170
F,F_2,Converted,2,100,F,R,90,14,4,27,1,1500,0.700,1.170
""".strip().splitlines()


def table(path: Path, visits: list[str] = VISITS) -> Path:
    path.write_text("\n".join([HEADER, *visits]) + "\n", encoding="utf-8")
    return path


def imported(path: Path, out: Path) -> pd.DataFrame:
    import_oasis(OasisSource.model_validate({"kind": "oasis", "table": str(path)}), out)
    frame = pd.read_csv(out / "patients.tsv", sep="\t", dtype=str, keep_default_na=False)
    return frame.set_index("patient_id")


def changed(old: str, new: str) -> list[str]:
    text = "\n".join(VISITS)
    assert text.count(old) == 1, old
    return text.replace(old, new).splitlines()


def test_the_sheet_by_hand(tmp_path: Path) -> None:
    patients = imported(table(tmp_path / "t.csv"), tmp_path / "sheets")
    columns = ["time", "event", "sex", "age", "education", "ses"]
    columns += ["mmse", "etiv_ml", "nwbv", "asf"]
    assert patients.columns.tolist() == columns
    assert {name: row.tolist() for name, row in patients.iterrows()} == {
        "A": ["900", "1", "female", "70", "12", "2", "29", "1400", "0.750", "1.250"],
        "B": ["731", "0", "male", "80", "16", "", "", "1599", "0.700", "1.098"],
        "E": ["600", "1", "female", "77", "14", "4", "28", "1500", "0.720", "1.170"],
    }


def test_later_visits_and_the_group_reach_nothing_but_the_outcome(tmp_path: Path) -> None:
    """With everything but ratings and days of later visits replaced, no byte changes."""
    before = imported(table(tmp_path / "t.csv"), tmp_path / "before")
    altered = []
    for line in VISITS:
        cells = line.split(",")
        cells[2] = "Converted"
        if cells[4] != "0":
            cells[5:10], cells[10], cells[12:] = ["M", "L", "99", "1", "5"], "3", ["1", "1", "1"]
        altered.append(",".join(cells))
    after = imported(table(tmp_path / "u.csv", altered), tmp_path / "after")
    pd.testing.assert_frame_equal(before, after)


def test_people_need_not_come_in_order(tmp_path: Path) -> None:
    before = imported(table(tmp_path / "t.csv"), tmp_path / "before")
    after = imported(table(tmp_path / "u.csv", VISITS[::-1]), tmp_path / "after")
    pd.testing.assert_frame_equal(before, after)


@pytest.mark.parametrize(
    ("old", "new", "column", "fault"),
    [
        (",900,", ",,", "MR Delay", "is empty"),
        (",900,", ",soon,", "MR Delay", "is not a finite number"),
        (",900,", ",400,", "MR Delay", "repeats the day of another visit"),
        ("D_1,Nondemented,1,0,", "D_1,Nondemented,1,30,", "MR Delay", "which is not 0"),
        (",21,0.5,", ",21,,", "CDR", "is empty"),
        (",21,0.5,", ",21,0.7,", "CDR", "is not a CDR"),
        ("D_1,Nondemented,1,0,F", "D_1,Nondemented,1,0,woman", "M/F", "is not a sex"),
        ("D,D_1", "Dr. D,D_1", "Subject ID", "has '.' as character 3"),
        (",0.800,", ",inf,", "nWBV", "is not a finite number"),
    ],
)
def test_bad_tables(tmp_path: Path, old: str, new: str, column: str, fault: str) -> None:
    path = table(tmp_path / "t.csv", changed(old, new))
    with pytest.raises(SheetError) as caught:
        imported(path, tmp_path / "sheets")
    (problem,) = caught.value.problems
    assert fault in problem.problem and problem.column == column
    assert problem.file == str(path) and problem.row is not None
    assert not (tmp_path / "sheets").exists()


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(HEADER.replace("CDR", "cdr") + "\n" + VISITS[0] + "\n")
    with pytest.raises(SheetError, match=r"CDR.*column is missing"):
        imported(tmp_path / "t.csv", tmp_path / "sheets")


def shipped(name: str, path: Path, out: Path) -> dict:
    raw = yaml.safe_load((ROOT / f"configs/{name}.yaml").read_text())
    raw["source"]["table"] = str(path)
    return raw | {"output": str(out)}


def test_days_are_written_so_days_must_be_read(tmp_path: Path) -> None:
    raw = shipped("oasis", tmp_path / "t.csv", tmp_path)
    assert Config.model_validate(raw).cohort.patients == tmp_path / "sheets/patients.tsv"
    raw["cohort"]["endpoint"]["time_unit"] = "months"
    with pytest.raises(ValueError, match="time_unit must be days"):
        Config.model_validate(raw)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["oasis", "oasis_diagnosis"])
def test_real_cohort(real_data: Path, tmp_path: Path, name: str) -> None:
    """150 people; 65 are demented at first, one of whom the table calls converted."""
    path = real_data / "tables/oasis_longitudinal.csv.gz"
    raw = shipped(name, path, tmp_path)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(raw))
    arguments = ["--config", str(tmp_path / "config.yaml"), "--out", str(tmp_path / "sheets")]
    assert main(["import-cohort", *arguments]) == 0
    cohort = check_cohort(Config.model_validate(raw))
    assert (len(cohort.outcomes), cohort.outcomes["event"].sum()) == (85, 15)
    visits = pd.read_csv(path)
    groups = visits.groupby("Subject ID")["Group"].first()[cohort.outcomes["patient_id"]]
    # All 13 who are called converted, and two whose rating returned to 0 later.
    converted = set(groups[groups == "Converted"].index)
    events = cohort.outcomes["event"] == 1
    found = set(cohort.outcomes.loc[events, "patient_id"])
    assert converted < found and found - converted == {"OAS2_0005", "OAS2_0017"}
    if name == "oasis_diagnosis":
        assert cohort.outcomes["label"].value_counts().to_dict() == {0: 42, -1: 35, 1: 8}
