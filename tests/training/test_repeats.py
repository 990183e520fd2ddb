"""Rows of different numbers of repeats: planned, fitted, scored and compared on what they have."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from clinic_fixture import Clinic, write_clinic, write_second_repeat
from evaluation_fixture import Written, write_study
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json
from survfuse.evaluation.files import EvaluationFiles
from survfuse.models.networks.registry import MODELS, options_of
from survfuse.models.specs import fit_settings, reads_of, reads_synthesised, repeats_of
from survfuse.tasks.diagnosis.leaderboard import evaluate_diagnoses
from survfuse.training.stage import check_model
from workflow_fixture import SMALL, jobs, prepared, snakemake

ROWS = [
    {"name": "clinical_cox", "kind": "clinical_cox"},
    {"name": "snn", "kind": "snn"},
    {"name": "abmil", "kind": "abmil", "repeats": 3},
    {"name": "boosting", "kind": "boosting", "repeats": 4},
    {"name": "deep", "kind": "late_fusion", "options": {"parts": ["snn", "abmil"]}},
    {"name": "mixed", "kind": "late_fusion", "options": {"parts": ["clinical_cox", "abmil"]}},
    {"name": "cheap", "kind": "late_fusion", "options": {"parts": ["clinical_cox", "boosting"]}},
]


def configured(**sections: object) -> Config:
    cohort = {"patients": "p.tsv", "covariates": {"age": {"type": "continuous"}}}
    given = {"name": "a", "output": "o", "cohort": cohort, "models": ROWS, **sections}
    return Config.model_validate(given)


def repeats(config: Config) -> dict[str, int]:
    return {row.name: repeats_of(row, config) for row in config.models}


# --- how often a row is fitted


def test_networks_repeat_less_and_averages_as_far_as_all_their_parts() -> None:
    assert repeats(configured()) == {
        "clinical_cox": 5, "snn": 2, "abmil": 3, "boosting": 4, "deep": 2, "mixed": 3, "cheap": 4
    }  # fmt: skip
    assert repeats(configured(training={"repeats": 9}))["snn"] == 5  # there are no more


def test_published_folds_are_one_repeat_unless_more_are_asked_for() -> None:
    rows = [{"name": "clinical_cox", "kind": "clinical_cox"}, {"name": "snn", "kind": "snn"}]
    cohort = {"patients": "p.tsv", "covariates": {"age": {"type": "continuous"}}, "folds": "f.tsv"}
    given = {"name": "a", "output": "o", "cohort": cohort, "models": rows}
    assert repeats(Config.model_validate(given)) == {"clinical_cox": 1, "snn": 1}
    asked = Config.model_validate({**given, "splits": {"folds": 4, "repeats": 3}})
    assert (asked.splits.folds, asked.splits.repeats) == (4, 3)  # which check-cohort refuses
    published = {"slides": 0.2, "published": "pattern"}
    sheets = {"slides": "s.tsv", "omics": "o.csv", "missing": published, "folds": None}
    withheld = Config.model_validate({**given, "cohort": {**cohort, **sheets}})
    assert withheld.splits.repeats == 1


def test_more_repeats_than_there_are_are_refused() -> None:
    with pytest.raises(ValueError, match=r"models\.boosting: repeats is 4, but the folds have 3"):
        configured(splits={"repeats": 3})
    rows = [{**row, "repeats": 3} if row["name"] == "deep" else row for row in ROWS]
    config = configured(models=rows)
    assert repeats_of(config.models[4], config) == 2
    with pytest.raises(UserInputError, match=r"models\.deep: repeats is 3, but snn, which it"):
        check_model(config, config.models[4])


def test_what_is_fitted_stays_when_folds_are_repeated_more_often() -> None:
    few, many = configured(), configured(training={"repeats": 4})
    for row in ("snn", "abmil"):
        assert few.settings_hash("training", model=row) == many.settings_hash("training", model=row)
    assert few.settings_hash("splits") != configured(splits={"repeats": 6}).settings_hash("splits")


def test_a_row_is_fitted_again_for_settings_of_what_it_reads_alone() -> None:
    one, other = configured(), configured(omics={"max_missing": 0.1})
    again = {
        new.name: fit_settings(old, one) != fit_settings(new, other)
        for old, new in zip(one.models, other.models, strict=True)
    }
    reads_genes = {row.name: "omics" in reads_of(row, one.models) for row in one.models}
    assert again == reads_genes
    assert set(again.values()) == {True, False}


def test_rows_that_read_synthesised_volumes_are_known_without_their_networks() -> None:
    for name, entry in MODELS.items():
        assert options_of(name).get("absent", "") == entry.absent
    itcfn = ModelConfig(name="itcfn", kind="itcfn")
    mask = ModelConfig(name="mask", kind="itcfn", options={"absent": "mask"})
    cnn = ModelConfig(name="cnn", kind="mri_cnn")
    late = ModelConfig(name="late", kind="late_fusion", options={"parts": ["cnn", "itcfn"]})
    other = ModelConfig(name="late", kind="late_fusion", options={"parts": ["cnn", "mask"]})
    rows = [itcfn, mask, cnn]
    assert [reads_synthesised(row, rows) for row in (*rows, late, other)] == [
        *(True, False, False, True, False)
    ]


# --- how it is scored


def shortened(written: Written, number: int, *names: str) -> None:
    """Leave predictions of the first repeats alone."""
    for name in names:
        table = written.table(f"{name}.tsv")
        written.replace_table(f"{name}.tsv", table[table["repeat"] < number])


def by_model(result: dict) -> dict[str, dict]:
    return {row["model"]: row for row in result["rows"]}


def test_a_row_is_scored_on_the_repeats_that_it_has(tmp_path: Path) -> None:
    """As if there were no others, but for the times, which all rows share."""
    written = write_study(tmp_path, repeats=3)
    written = replace(written, config=written.config.model_copy(update={"tau_months": 50.0}))
    whole = by_model(written.evaluate())
    shortened(written, 2, "cmta", "snn")
    result = written.evaluate()
    mixed = by_model(result)
    assert {name: row["n_repeats"] for name, row in mixed.items() if row["n_repeats"] != 3} == {
        "cmta": 2, "snn": 2
    }  # fmt: skip
    assert mixed["clinical_cox"] == whole["clinical_cox"]
    assert len(mixed["cmta"]["harrell_c"]["per_fold"]) == 10
    told = [note for note in result["notes"] if "different numbers of repeats" in note]
    assert len(told) == 1 and "CMTA" in told[0] and ": 2 times" in told[0]

    splits = written.table("splits.tsv")
    written.replace_table("splits.tsv", splits[splits["repeat"] < 2])
    shortened(written, 2, *(model.name for model in written.models))
    alone = written.evaluate()
    assert by_model(alone)["cmta"] == mixed["cmta"]
    assert not [note for note in alone["notes"] if "different numbers of repeats" in note]
    both = {(c["model"], c["reference"]): c for c in alone["comparisons"]}
    found = [c for c in result["comparisons"] if c["model"] == "cmta"]
    assert found and all(c["n_repeats"] == 2 for c in found)
    for comparison in found:
        # Rows of three repeats are compared with it on its two.
        if (key := ("cmta", comparison["reference"])) in both:
            assert comparison == both[key]


def test_predictions_of_half_a_repeat_are_refused(tmp_path: Path) -> None:
    written = write_study(tmp_path, repeats=2)
    table = written.table("snn.tsv")
    written.replace_table("snn.tsv", table[(table["repeat"] == 0) | (table["fold"] < 2)])
    with pytest.raises(UserInputError, match=r"snn\.tsv: 60 of 200 predictions are missing"):
        written.evaluate()
    written.replace_table("snn.tsv", table[table["repeat"] == 1])
    with pytest.raises(UserInputError, match=r"snn\.tsv: 100 of 200 predictions are missing"):
        written.evaluate()


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    return write_clinic(tmp_path_factory.mktemp("clinic"), volumes=False)


def test_diagnoses_are_compared_on_the_repeats_of_both(clinic: Clinic, tmp_path: Path) -> None:
    write_second_repeat(clinic, tmp_path, once=("itcfn",))

    def evaluated(splits_table: Path) -> dict:
        out = tmp_path / "e.json"
        outcomes = clinic.out / "cohort" / "outcomes.tsv"
        evaluate_diagnoses(
            clinic.config,
            EvaluationFiles(outcomes=outcomes, splits=splits_table, predictions=tmp_path, out=out),
        )
        return dict(read_json(out))

    board = evaluated(tmp_path / "splits.tsv")
    rows = by_model(board)
    assert rows["itcfn"]["n_repeats"] == 1 and rows["logistic"]["n_repeats"] == 2
    found = {(c["model"], c["reference"]): c for c in board["comparisons"]}
    assert found["itcfn", "logistic"]["n_repeats"] == 1
    own = rows["itcfn"]["auroc"]["value"] - rows["logistic"]["auroc_per_repeat"][0]
    assert found["itcfn", "logistic"]["difference"] == pytest.approx(own)
    assert any("different numbers of repeats" in note for note in board["notes"])


# --- what is planned, and a whole run

REPEATED = {
    "splits": {"folds": 2, "repeats": 3},
    "training": {**SMALL["training"], "repeats": 1, "epochs": 1},
    "models": [
        {"name": "site_only", "kind": "site_only"},
        {"name": "clinical_cox", "kind": "clinical_cox"},
        {"name": "cmta", "kind": "cmta", "options": {"width": 16}},
        {"name": "permuted", "kind": "snn", "permute_outcomes": True, "repeats": 2},
        {"name": "late", "kind": "late_fusion", "options": {"parts": ["cmta", "clinical_cox"]}},
        {"name": "coxnet", "kind": "coxnet"},
    ],
}


def test_networks_have_a_job_per_fold_and_other_rows_one(tmp_path: Path) -> None:
    planned = jobs(snakemake(prepared(tmp_path, **REPEATED), "-n").stdout)
    assert (planned["train"], planned["train_rows"], planned["predict"]) == (2 + 4, 4, 6)
    printed = snakemake(tmp_path, "-n", "-p").stdout
    commands = [line for line in printed.splitlines() if "survfuse train" in line]
    folds = {
        line.split("--model ")[1].split()[0]: line.split("--folds ")[1].split(" --")[0].split()
        for line in commands
        if "--record" in line
    }
    assert {model: len(listed) for model, listed in folds.items()} == {
        "site_only": 6, "clinical_cox": 6, "late": 2, "coxnet": 6
    }  # fmt: skip
    assert folds["late"] == ["results/splits/r0f0", "results/splits/r0f1"]


def test_folds_of_small_networks_can_share_a_job(tmp_path: Path) -> None:
    small = {**REPEATED, "training": {**REPEATED["training"], "folds_in_one_job": True}}
    planned = jobs(snakemake(prepared(tmp_path, **small), "-n").stdout)
    assert (planned.get("train"), planned["train_rows"], planned["predict"]) == (None, 6, 6)


def test_generators_are_fitted_for_the_folds_of_the_rows_that_read_them(tmp_path: Path) -> None:
    """Not for those of a cheap row, which has all repeats and reads what there is."""
    (tmp_path / "patients.tsv").write_text("patient_id\n")
    (tmp_path / "images.tsv").write_text("patient_id\tvisit\tmodality\tpath\nP1\tbl\tt1\tx.nii\n")
    rows = [
        {"name": "logistic", "kind": "logistic", "options": {"modalities": ["clinical", "mri"]}},
        {"name": "itcfn", "kind": "itcfn"},
        {"name": "mask", "kind": "itcfn", "options": {"absent": "mask"}, "repeats": 5},
        {"name": "late", "kind": "late_fusion", "options": {"parts": ["logistic", "itcfn"]}},
    ]
    cohort = {
        **SMALL["cohort"],
        "patients": "patients.tsv",
        "images": "images.tsv",
        "diagnosis": {"column": "group"},
    }
    prepared(
        tmp_path,
        source=None,
        cohort=cohort,
        splits={"folds": 3},
        models=rows,
        synthesis={"epochs": 1},
        evaluation={"reference": "logistic"},
        report={"model": "itcfn"},
    )
    planned = jobs(snakemake(tmp_path, "-n").stdout)
    assert planned["synthesise"] == 6
    assert (planned["train"], planned["train_rows"]) == (6 + 15, 2)
    taken = [
        line.split("--model ")[1].split()[0]
        for line in snakemake(tmp_path, "-n", "-p").stdout.splitlines()
        if "survfuse predict-folds" in line and "--synthesis" in line
    ]
    assert sorted(taken) == ["itcfn", "late"]


@pytest.mark.slow
def test_rows_of_different_repeats_reach_the_report(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    n = 48
    ids = [f"P{number:02d}" for number in range(n)]
    age = rng.integers(40, 80, n)
    time = rng.exponential(60 * np.exp(-(age - 60) / 20)).clip(0.5, 60).round(1)
    patients = {"patient_id": ids, "site": rng.choice(["a", "b"], n), "age": age}
    patients |= {"time": time, "event": (rng.random(n) < 0.7).astype(int)}
    pd.DataFrame(patients).to_csv(tmp_path / "patients.tsv", sep="\t", index=False)
    genes = pd.DataFrame(rng.normal(size=(n, 6)), columns=[f"G{number}" for number in range(6)])
    genes.insert(0, "patient_id", ids)
    genes.to_csv(tmp_path / "omics.csv", index=False)
    rows = [
        {"name": "site_only", "kind": "site_only"},
        {"name": "clinical_cox", "kind": "clinical_cox"},
        {"name": "snn", "kind": "snn"},
        {"name": "late", "kind": "late_fusion", "options": {"parts": ["snn", "clinical_cox"]}},
        {"name": "permuted", "kind": "clinical_cox", "permute_outcomes": True, "repeats": 2},
    ]
    cohort = {
        "patients": "patients.tsv",
        "omics": "omics.csv",
        "site": "site",
        "covariates": {"age": {"type": "continuous"}},
    }
    changes = {**REPEATED, "models": rows, "cohort": cohort, "source": None}
    home = prepared(tmp_path, **changes, report={"model": "late"})
    snakemake(home)
    results = home / "results"
    evaluation = json.loads((results / "evaluation/evaluation.json").read_text())
    assert {row["model"]: row["n_repeats"] for row in evaluation["rows"]} == {
        "site_only": 3, "clinical_cox": 3, "snn": 1, "late": 1, "permuted": 2
    }  # fmt: skip
    fits = json.loads((results / "models/site_only/folds.json").read_text())["fits"]
    assert sorted(fits) == [f"r{r}f{f}" for r in range(3) for f in range(2)]
    compared = {(c["model"], c["reference"]): c["n_repeats"] for c in evaluation["comparisons"]}
    assert compared["permuted", "clinical_cox"] == 2 and compared["late", "clinical_cox"] == 1
    page = (results / "report/index.html").read_text()
    assert "1 repeat of the folds" in page and "2 repeats of the folds" in page
    listed = pd.read_csv(results / "report/tables/leaderboard.csv").set_index("model")
    assert listed.loc["snn", "n_repeats"] == 1 and listed.loc["site_only", "n_repeats"] == 3
    assert "Nothing to be done" in snakemake(home, "-n").stdout
