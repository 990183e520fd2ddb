"""What is unusual is told with its file and remedy, and honest cohorts are not bothered."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cohort_fixture import Case, N, problems_of
from survfuse.cohort.check import check_cohort
from survfuse.cohort.checked import Cohort
from survfuse.cohort.summary import summarise, write_cohort
from survfuse.config.cohort import CohortConfig, Endpoint
from survfuse.config.study import Config
from survfuse.modalities.volumes.visits import first_visit, visit_order
from survfuse.sheets.missing_words import is_missing
from survfuse.sheets.problems import Note
from survfuse.sheets.similar_ids import hint, shape


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def put(case: Case, column: str, values: list[str], start: int = 0) -> None:
    """Write cells of the patient sheet, from the patient with the number `start` on."""
    place = case.patients[0].index(column)
    for row, value in zip(case.patients[1 + start :], values, strict=False):
        row[place] = value


def told(cohort: Cohort, words: str) -> Note:
    (note,) = [n for n in cohort.notes if words in f"{n.sentence} {n.example}"]
    assert note.file and note.sentence.endswith((".", "?"))
    return note


def test_an_ordinary_cohort_has_no_notes(case: Case) -> None:
    assert check_cohort(case.config()).notes == ()


def test_problems_of_all_kinds_stand_in_one_table(case: Case) -> None:
    """Unreadable genes, a missing column, bad cells, a leak, and too many folds."""
    case.omics[3][1] = "high"
    case.patients[0][case.patients[0].index("stage")] = "grade"
    put(case, "age", ["sixty"])
    put(case, "sex", ["dead" if i % 2 == 0 else "alive" for i in range(N)])
    case.slides[4][2] = "wsi/none.svs"
    case.change("splits", folds=9)
    found = {(Path(p.file).name, p.column) for p in problems_of(case.config())}
    assert found == {
        ("omics.csv", "TP53"),
        ("patients.tsv", "stage"),
        ("patients.tsv", "age"),
        ("patients.tsv", "sex"),
        ("slides.tsv", "path"),
        ("configuration", "splits.folds"),
    }


def test_a_mistake_in_every_row_is_one_line(case: Case) -> None:
    for row in case.slides[1:]:
        row[1] = row[1].replace("P", "P0")
    problems = problems_of(case.config())
    assert len(problems) == N
    assert "24 of 24 would match after writing numbers with the same zeros" in problems[0].remedy
    assert "A999 and A99" in problems[0].remedy


def test_patients_without_inputs_are_left_out(case: Case) -> None:
    case.change("cohort", covariates={})
    case.published()
    del case.omics[5], case.omics[1]
    config = with_models(case.config(), "snn")
    cohort = check_cohort(config)
    assert cohort.excluded["patient_id"].tolist() == ["P00", "P04"]
    assert told(cohort, "left out").example == "2 patients, rows 2, 6"
    assert cohort.folds is not None
    for table in (cohort.outcomes, cohort.clinical):
        assert len(table) == N - 2 and not {"P00", "P04"} & {*table["patient_id"]}
    assert len(cohort.tables["slides"]) == N  # batches are dealt from the rows that were brought
    assert summarise(cohort, config)["flow"] == {
        "in_sheet": N,
        "excluded": [{"reason": "no input that a model reads", "n": 2}],
        "analysed": N - 2,
    }
    write_cohort(cohort, config, case.folder / "c")
    written = (case.folder / "c/excluded.tsv").read_text().splitlines()
    assert written[:2] == ["patient_id\treason", "P00\tno input that a model reads"]


def with_models(config: Config, *kinds: str) -> Config:
    models = [{"name": kind, "kind": kind} for kind in (*kinds, "site_only")]
    raw = config.model_dump(mode="json") | {"models": models}
    return Config.model_validate(raw | {"evaluation": {"reference": models[0]["name"]}})


def test_clinical_data_alone_are_an_input_where_a_row_reads_them(case: Case) -> None:
    del case.omics[5], case.slides[5]
    assert check_cohort(case.config()).excluded.empty
    assert check_cohort(with_models(case.config(), "cmta")).excluded["patient_id"].tolist() == [
        "P04"
    ]


def test_nobody_with_an_input_is_a_problem(case: Case) -> None:
    case.change("cohort", covariates={"sex": {"type": "categorical"}})
    case.config("slides", "omics")
    put(case, "sex", ["NA"] * N)
    problems = problems_of(case.config("slides", "omics"))
    assert any("is empty in every row" in problem.problem for problem in problems)


def test_genes_of_samples_whose_barcode_goes_on(case: Case) -> None:
    for row in case.omics[1:]:
        row[0] = row[0].replace("P", "TCGA-AB-00") + "-01A"
    for row in (*case.patients[1:], *case.slides[1:]):
        place = 0 if row in case.patients else 1
        row[place] = row[place].replace("P", "TCGA-AB-00")
    (problem,) = [p for p in problems_of(case.config()) if p.column == "patient_id"]
    assert "24 of 24 would match after cutting sample barcodes" in problem.remedy


@pytest.mark.parametrize(
    ("ids", "others", "words"),
    [
        (["p1", "p2"], ["P1", "P2"], "same case"),
        (["P1", "P2"], ["P001", "P002"], "same zeros"),
        (["P_1", "P-2"], ["P1", "P2"], "same separators"),
        (["P1-T", "P2.N"], ["P1", "P2"], "the last separator"),
        (["1", "2"], ["ID-01", "ID-02"], "before the number"),
        (["TCGA-AB-1234-01A-11"], ["TCGA-AB-1234"], "barcodes"),
        (["x", "y"], ["1", "2"], ""),
        (["P1"], ["P1"], ""),
    ],
)
def test_ids_that_are_nearly_the_same(ids: list[str], others: list[str], words: str) -> None:
    clause = hint(ids, others)
    assert words in clause and bool(words) == bool(clause)


@given(st.lists(st.text(max_size=8)), st.lists(st.text(max_size=8)))
def test_hints_never_show_an_id(ids: list[str], others: list[str]) -> None:
    hint(ids, others)
    for text in ids:
        assert not any(c.isdigit() and c != "9" for c in shape(text) if c.isascii())


@pytest.mark.parametrize(
    ("unit", "times", "asked"),
    [
        ("months", [float(100 + 37 * i) for i in range(N)], "unit days"),
        ("years", [4.0 + 2 * i for i in range(N)], "unit months"),
        ("days", [1.0 + 2 * i for i in range(N)], "unit months"),
        ("months", [0.3 + i / 2 for i in range(N)], "unit years"),
    ],
)
def test_times_that_suggest_another_unit(
    case: Case, unit: str, times: list[float], asked: str
) -> None:
    put(case, "time", [str(time) for time in times])
    case.change("cohort", endpoint={"time_unit": unit})
    assert "time_unit" in told(check_cohort(case.config()), asked).remedy


def test_an_event_at_time_0_is_of_the_first_day(case: Case) -> None:
    put(case, "time", ["0"])
    cohort = check_cohort(case.config())
    assert cohort.outcomes["time_months"][0] == pytest.approx(0.5 / 30.4375)
    assert told(cohort, "Events at time 0 count as after half a day.").example == "1 patient"


def test_competing_events_are_refused_unless_named(case: Case) -> None:
    put(case, "event", ["2"], start=1)
    (problem,) = problems_of(case.config())
    assert "competing_values" in problem.remedy
    case.change("cohort", endpoint={"competing_values": [2]})
    cohort = check_cohort(case.config())
    assert cohort.outcomes["event"][1] == 0
    assert "overstates the risk" in told(cohort, "Competing events").sentence
    case.change("cohort", endpoint={"competing_values": [1]})
    assert problems_of(case.config())[0].column == "cohort.endpoint.competing_values"


@pytest.mark.parametrize("key", ["entry", "left_truncation"])
def test_delayed_entry_is_refused_with_the_reason(key: str) -> None:
    with pytest.raises(ValueError, match="left truncation"):
        CohortConfig(endpoint=Endpoint.model_validate({key: "entry"}))


@pytest.mark.parametrize("name", ["censorship", "OS_censored", "alive"])
def test_a_column_named_like_the_opposite_of_an_event(case: Case, name: str) -> None:
    case.patients[0][2] = name
    case.change("cohort", endpoint={"event": name})
    (problem,) = problems_of(case.config())
    assert problem.column == "cohort.endpoint.event_value" and name in problem.problem
    case.change("cohort", endpoint={"event": name, "event_value": 1})
    assert check_cohort(case.config()).outcomes["event"].tolist()[:2] == [1, 0]


def test_words_for_missing_become_empty(case: Case) -> None:
    put(case, "age", ["NA", "n/a", "[Not Available]"])
    put(case, "stage", ["Unknown", "NaN"], start=3)
    put(case, "sex", ["not reported", "--", "m"], start=6)
    cohort = check_cohort(case.config())
    empty = cohort.clinical.set_index("patient_id") == ""
    assert empty.index[empty["age"]].tolist() == ["P00", "P01", "P02"]
    assert empty.index[empty["stage"]].tolist() == ["P03", "P04"]
    assert empty.index[empty["sex"]].tolist() == ["P06", "P07"]
    assert told(cohort, "Cells of age").example == "'NA' 1, 'n/a' 1, '[Not Available]' 1"
    assert told(cohort, "Cells of stage") and told(cohort, "Cells of sex")


def test_a_listed_level_is_no_word_for_missing(case: Case) -> None:
    put(case, "stage", ["Unknown"])
    levels = {"stage": {"type": "ordinal", "levels": ["Unknown", "I", "II", "III"]}}
    case.change("cohort", covariates=levels)
    cohort = check_cohort(case.config())
    assert cohort.clinical["stage"][0] == "Unknown" and not cohort.notes


@given(st.sampled_from(["NA", " nan".strip(), "[Not Applicable]", "[unknown]", "#N/A", "."]))
def test_unmistakable_words(text: str) -> None:
    assert is_missing(text) and is_missing(text.upper())
    assert not any(map(is_missing, ("", "-", "none", "no", "0", "-1", "N", "NAs", "[a]", "[]")))


@pytest.mark.parametrize("code", ["-1", "-9", "999"])
def test_codes_among_numbers(case: Case, code: str) -> None:
    put(case, "age", [code] * 3)
    assert told(check_cohort(case.config()), "codes for missing").example == f"{code} in 3 patients"


def test_honest_numbers_are_no_codes(case: Case) -> None:
    put(case, "age", [str(i * 7 % N - 4) for i in range(N)])
    assert not check_cohort(case.config()).notes
    put(case, "age", [str(90 + i * 7 % N) for i in range(N)])
    assert not check_cohort(case.config()).notes


def test_spellings_of_one_level(case: Case) -> None:
    put(case, "sex", ["M", "m ", "m"], start=1)
    put(case, "hospital", ["a"])
    cohort = check_cohort(case.config())
    assert "'m', 'M'" in told(cohort, "The covariate sex has spellings").sentence
    assert "'a' 1" in str(told(cohort, "The site hospital has spellings").example)
    put(case, "sex", ["1", "1.0", "2"] * 8)
    assert told(check_cohort(case.config()), "The covariate sex has spellings")


def test_a_level_in_another_spelling_is_told_how_to_write(case: Case) -> None:
    put(case, "stage", ["iii", "IV"])
    first, second = problems_of(case.config())
    assert first.remedy == "write 'III'"
    assert second.remedy.startswith("use one of: I, II, III")


def test_columns_that_cannot_be_meant(case: Case) -> None:
    put(case, "age", [str(20_000 + 150 * (i * 7 % N)) for i in range(N)])
    put(case, "sex", [f"x{i * 5 % N}" for i in range(N)])
    cohort = check_cohort(case.config())
    assert told(cohort, "The median of age is 21725")
    assert told(cohort, "24 levels in 24 patients")


def test_patients_who_agree_in_everything(case: Case) -> None:
    case.patients[6][1:] = case.patients[3][1:]
    assert told(check_cohort(case.config()), "patients who agree").example == "rows 4, 7"


def test_a_covariate_named_like_an_outcome(case: Case) -> None:
    case.patients[0][6] = "days_to_last_followup"
    case.change("cohort", covariates={"days_to_last_followup": {"type": "categorical"}})
    assert told(check_cohort(case.config()), "known afterwards")


def test_folds_with_other_patients_and_other_parts(case: Case) -> None:
    case.published()
    rows = [[*row, "val"] for row in case.folds[1:]]
    rows += [[p, str((int(f) + 1) % 3), "train"] for p, f in case.folds[1:]]
    case.folds = [["patient_id", "fold", "split"], *rows, ["P99", "0", "val"]]
    cohort = check_cohort(case.config())
    assert cohort.folds is not None and len(cohort.folds) == N
    assert told(cohort, "patients are tested where split is val, and the other 24 rows are")
    assert told(cohort, "belong to no analysed patient and are ignored: 1.")


def images(case: Case, *rows: str) -> None:
    for name in ("a", "b", "c", "d"):
        (case.folder / f"{name}.nii").write_bytes(b"volume")
    lines = ["patient_id visit modality path", *rows]
    (case.folder / "images.tsv").write_text("\n".join(lines).replace(" ", "\t") + "\n")
    case.change("cohort", images=str(case.folder / "images.tsv"))


def test_the_first_visit_is_first_in_time_and_told(case: Case) -> None:
    images(case, "P00 m12 t1 a.nii", "P00 m6 t1 b.nii", "P00 m6 fdg c.nii", "P01 bl t1 d.nii")
    config = case.config()
    cohort = check_cohort(config)
    assert cohort.available(config).loc["P00", ["mri", "pet"]].all()
    note = told(cohort, "several visits")
    assert note.sentence.endswith("those of the first: bl, m6.")
    assert note.example == "1 patient with several; read are bl of 1 patient, m6 of 1 patient"


def test_a_modality_that_nobody_has_at_the_visit(case: Case) -> None:
    images(case, "P00 m0 t1 a.nii", "P01 m12 t1 d.nii", "P00 m12 fdg c.nii")
    case.change("imaging", visit="m0")
    assert "PET is of m12" in told(check_cohort(case.config()), "Nobody has PET").remedy
    (problem,) = problems_of(with_models(case.config(), "itcfn"))
    assert problem.column == "imaging.visit" and "nobody has PET" in problem.problem


@pytest.mark.parametrize(
    "visits",
    [
        ["sc", "bl", "m06", "m12", "m24", "m120"],
        ["screening", "Baseline", "v1", "v2", "v10"],
        ["6", "12"],
        ["6m", "1y", "m18", "y2"],
        ["w4", "m3"],
        ["ses-01", "ses-2", "ses-10"],
    ],
)
def test_visits_are_in_the_order_of_time(visits: list[str]) -> None:
    shuffled = visits[::-1]
    assert sorted(shuffled, key=visit_order) == visits
    assert first_visit(visits[::-1]) == visits[0]


@given(st.lists(st.text(max_size=12), min_size=1))
def test_any_names_of_visits_have_one_order(visits: list[str]) -> None:
    assert sorted(visits, key=visit_order) == sorted(sorted(visits), key=visit_order)


def test_frames_are_not_changed_by_the_notes(case: Case) -> None:
    put(case, "sex", ["M"])
    clinical = check_cohort(case.config()).clinical
    assert isinstance(clinical, pd.DataFrame) and clinical["sex"][0] == "M"


def test_errors_of_a_spreadsheet_are_no_levels(case: Case) -> None:
    """pandas and Excel: a formula that failed is exported as its error, and was a level."""
    errors = ["#NAME?", "#NUM!", "#REF!", "#SPILL!", "#DIV/0!", "#N/A", "#VALUE!", "#CALC!"]
    put(case, "sex", errors)
    put(case, "age", ["#NAME?"])
    cohort = check_cohort(case.config())
    assert set(cohort.clinical["sex"]) == {"", "f", "m"}
    assert cohort.clinical["age"].tolist().count("") == 1
    assert told(cohort, "Cells of sex say that the value is missing")
    assert all(map(is_missing, errors))


def test_accents_in_two_encodings_are_one_level(case: Case) -> None:
    """macOS writes an accent as a character of its own: two levels that look the same."""
    composed, apart = "m\u00e4nnlich", "ma\u0308nnlich"
    put(case, "sex", [composed, apart, "weiblich"] * 8)
    put(case, "hospital", ["M\u00fcnchen", "Mu\u0308nchen"] * 12)
    case.patients[0][4] = "Alter bei Erhebung fu\u0308r Studie"
    covariates = {"sex": {"type": "categorical"}}
    covariates |= {"Alter bei Erhebung f\u00fcr Studie": {"type": "continuous"}}
    case.change("cohort", covariates=covariates)
    cohort = check_cohort(case.config())
    assert set(cohort.clinical["sex"]) == {composed, "weiblich"}
    assert set(cohort.clinical["site"]) == {"M\u00fcnchen"}


def test_tied_times_of_rounded_follow_up(case: Case) -> None:
    """pandas and MCAT: times in whole years, of which quantiles fall on one value."""
    put(case, "time", [str(12 * (1 + i // 9)) for i in range(N)])
    assert len(check_cohort(case.config()).outcomes) == N


def test_follow_up_of_the_dead_alone(case: Case) -> None:
    """Xena and TCGA: files of those who died hold events only; that may be right, and is noted."""
    put(case, "event", ["1"] * N)
    assert told(check_cohort(case.config()), "Nearly everybody had the event")
