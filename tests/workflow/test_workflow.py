"""The real workflow: what it plans, that it runs, resumes, repeats and leaves no trace of paths."""

import ast
import gzip
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from survfuse.cli.main import parser
from workflow_fixture import (
    CLINIC,
    ROOT,
    SMALL,
    inputs_of,
    jobs,
    prepared,
    snakemake,
    stub_commands,
)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run of the small cohort."""
    home = prepared(tmp_path_factory.mktemp("finished"))
    snakemake(home)
    return home


def numbers(home: Path) -> dict[str, bytes]:
    """All results that must not change from run to run."""
    results = home / "results"
    kept = sorted(results.glob("predictions/*.tsv")) + sorted(results.glob("splits/**/*.tsv"))
    return {str(path.relative_to(results)): path.read_bytes() for path in kept} | {
        "evaluation": (results / "evaluation/evaluation.json").read_bytes()
    }


def test_the_demo_plans_every_job() -> None:
    """An include alone is a silent no-op for Snakemake; the exact count guards against it."""
    done = subprocess.run(
        ["snakemake", "-n", "--forceall", "--nolock"], cwd=ROOT, capture_output=True, text=True
    )
    planned = jobs(done.stdout)
    assert planned == {
        "simulate": 1,
        "check_cohort": 1,
        "make_splits": 1,
        "process_slides": 2,
        "merge_slides": 1,
        "encode_omics": 1,
        "list_inputs": 1,
        "train_rows": 9,  # networks as well, being small: folds_in_one_job
        "predict": 9,
        "explain": 1,
        "evaluate": 1,
        "report": 1,
        "total": 29,
    }


def test_the_simulated_clinic_plans_every_job() -> None:
    """Counted from the configuration: rows and folds may change, the stages may not."""
    config = yaml.safe_load((ROOT / "configs/demo_clinic.yaml").read_text())
    command = ["snakemake", "-n", "--forceall", "--nolock"]
    done = subprocess.run(
        [*command, "--configfile", "configs/demo_clinic.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows, folds = len(config["models"]), config["splits"]["folds"]
    volumes = 2 * config["source"]["patients"]
    planned = jobs(done.stdout)
    total = planned.pop("total")
    expected = {
        "simulate": 1,
        "check_cohort": 1,
        "make_splits": 1,
        "prepare_images": volumes // config["imaging"]["batch_size"],
        "merge_images": 1,
        "synthesise": folds,
        "list_inputs": 1,
        "train_rows": rows,
        "predict": rows,
        "map_volumes": 1,
        "evaluate": 1,
        "report": 1,
    }
    assert planned == expected
    assert total == sum(expected.values())


def test_a_cohort_without_slides_plans_no_slide_jobs(tmp_path: Path) -> None:
    for name in ("patients.tsv", "omics.csv"):
        (tmp_path / name).write_text("patient_id\n")
    cohort = {**SMALL["cohort"], "patients": "patients.tsv", "omics": "omics.csv"}
    prepared(tmp_path, source=None, cohort=cohort)
    planned = jobs(snakemake(tmp_path, "-n").stdout)
    assert "process_slides" not in planned
    # cmta and the control on two folds, and a job for each of the four other rows
    assert (planned["train"], planned["train_rows"]) == (4, 4)


def test_synthesis_is_planned_once_per_fold_and_only_when_asked_for(tmp_path: Path) -> None:
    (tmp_path / "patients.tsv").write_text("patient_id\n")
    (tmp_path / "images.tsv").write_text("patient_id\tvisit\tmodality\tpath\nP1\tbl\tt1\tx.nii\n")
    cohort = {**SMALL["cohort"], "patients": "patients.tsv", "images": "images.tsv"}
    prepared(tmp_path, source=None, cohort=cohort, synthesis={"generator": "flow"})
    assert jobs(snakemake(tmp_path, "-n").stdout)["synthesise"] == 2
    prepared(tmp_path, source=None, cohort=cohort)
    assert "synthesise" not in jobs(snakemake(tmp_path, "-n").stdout)


def test_models_follow_new_generators_and_another_visit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the synthesis was made again in a run that went no further."""
    stub_commands(tmp_path, monkeypatch)
    home = prepared(tmp_path / "home", **CLINIC)
    for name in ("p", "i"):
        (home / f"{name}.tsv").write_text("patient_id\n1\n2\n")
    snakemake(home)
    assert "Nothing to be done" in snakemake(home, "-n").stdout
    prepared(home, **{**CLINIC, "synthesis": {"epochs": 4}})
    snakemake(home, "--until", "synthesise")
    planned = jobs(snakemake(home, "-n").stdout)
    # of itcfn alone; the logistic regression reads no volumes
    assert (planned["train"], planned["predict"], planned["map_volumes"]) == (2, 1, 1)
    assert "train_rows" not in planned
    assert "synthesise" not in planned
    snakemake(home)
    prepared(home, **{**CLINIC, "synthesis": {"epochs": 4}, "imaging": {"visit": "m12"}})
    planned = jobs(snakemake(home, "-n").stdout)
    assert (planned["check_cohort"], planned["list_inputs"]) == (1, 1)
    assert (planned["train"], planned["train_rows"]) == (2, 1)


def test_slides_are_planned_in_batches(tmp_path: Path) -> None:
    (tmp_path / "patients.tsv").write_text("patient_id\n")
    rows = "".join(f"S{i}\tP{i}\tx.svs\n" for i in range(10_000))
    (tmp_path / "slides.tsv").write_text("slide_id\tpatient_id\tpath\n" + rows)
    cohort = {**SMALL["cohort"], "patients": "patients.tsv", "slides": "slides.tsv"}
    slides = {**SMALL["slides"], "batch_size": 50}
    prepared(tmp_path, source=None, cohort=cohort, slides=slides)
    assert jobs(snakemake(tmp_path, "-n").stdout)["process_slides"] == 200


def test_a_compressed_sheet_is_planned_by_its_rows(tmp_path: Path) -> None:
    (tmp_path / "patients.tsv").write_text("patient_id\n")
    rows = "".join(f"S{i}\tP{i}\tx.svs\n" for i in range(120))
    with gzip.open(tmp_path / "slides.tsv.gz", "wt") as sheet:
        sheet.write("slide_id\tpatient_id\tpath\n" + rows)
    cohort = {**SMALL["cohort"], "patients": "patients.tsv", "slides": "slides.tsv.gz"}
    prepared(tmp_path, source=None, cohort=cohort)
    assert jobs(snakemake(tmp_path, "-n").stdout)["process_slides"] == 10


def test_every_command_holds_where_a_path_has_a_space(tmp_path: Path) -> None:
    for name in ("patients.tsv", "slides.tsv", "omics.csv", "images.tsv"):
        (tmp_path / name).write_text("patient_id\n")
    sheets = {name: f"{name}.tsv" for name in ("patients", "slides", "images")}
    cohort = {**SMALL["cohort"], **sheets, "omics": "omics.csv"}
    synthesis = {"generator": "flow"}
    prepared(tmp_path, output="my results", source=None, cohort=cohort, synthesis=synthesis)
    printed = snakemake(tmp_path, "-n", "-p").stdout
    commands = re.findall(r"^Shell command: (survfuse .+)$", printed, re.M)
    assert len(commands) == jobs(printed)["total"]
    read = [parser().parse_args(shlex.split(command)[1:]) for command in commands]
    given = [value for one in read for value in vars(one).values() if isinstance(value, Path)]
    given += [fold for one in read for fold in getattr(one, "folds", [])]
    inputs = [named for one in read for named in getattr(one, "input", [])]
    assert dict(inputs).keys() == {"slides", "omics", "images"}
    given += [path for _, path in inputs]
    assert {path.parts[0] for path in given} == {"my results", "config.yaml"}


def test_files_that_the_configuration_names_are_inputs_of_the_rules_that_read_them(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "pattern"
    folder.mkdir()
    published = {f"pattern/fold_{fold}_W20_O0.csv" for fold in (0, 1)}
    sheets = {"patients.tsv", "slides.tsv", "omics.csv"}
    for name in (*sheets, *published, "sets.gmt", "weights.safetensors"):
        (tmp_path / name).write_text("patient_id\n")
    cohort = {
        **SMALL["cohort"],
        **{name.split(".")[0]: name for name in sheets},
        "missing": {"slides": 0.2, "published": "pattern"},
    }
    slides = {"encoder": "test_resnet", "weights": "weights.safetensors"}
    omics = {"gene_sets": "sets.gmt"}
    prepared(tmp_path, source=None, cohort=cohort, slides=slides, omics=omics)
    read = inputs_of(snakemake(tmp_path, "-n", "-p").stdout)
    assert read["check_cohort"] == {*sheets, *published, "sets.gmt"}
    assert read["make_splits"] >= published
    assert read["process_slides"] == {"results/cohort/slides.tsv", "weights.safetensors"}


def test_an_edited_published_table_is_imported_again(tmp_path: Path) -> None:
    row = "O{0},{1},{2},F,{3},12,2,29,{4},1500,0.7,1.1\n"
    header = "Subject ID,Visit,MR Delay,M/F,Age,EDUC,SES,MMSE,CDR,eTIV,nWBV,ASF\n"
    table = "".join(row.format(i, 1, 0, 70, 0) + row.format(i, 2, 400, 71, 0.5) for i in range(9))
    (tmp_path / "oasis.csv").write_text(header + table)
    cohort = {"endpoint": {"time_unit": "days"}, "covariates": {"age": {"type": "continuous"}}}
    models = [{"name": "clinical_cox", "kind": "clinical_cox"}]
    source = {"kind": "oasis", "table": "oasis.csv"}
    prepared(tmp_path, source=source, cohort=cohort, models=models, report={})
    sheet = "results/sheets/patients.tsv"
    snakemake(tmp_path, sheet)
    before = (tmp_path / sheet).read_text()
    assert "Nothing to be done" in snakemake(tmp_path, "-n", sheet).stdout
    (tmp_path / "oasis.csv").write_text(header + table.replace(",70,", ",60,"))
    snakemake(tmp_path, sheet)
    assert (tmp_path / sheet).read_text() != before


@pytest.mark.parametrize("arguments", [(), ("--config", "name=other")])
def test_configuration_mistakes_stop_before_the_plan(tmp_path: Path, arguments: tuple) -> None:
    done = snakemake(prepared(tmp_path, slids={}), "-n", *arguments, check=False)
    assert done.returncode != 0
    assert "slids: unknown key" in done.stdout + done.stderr


@pytest.mark.parametrize("profile", ["local", "slurm"])
def test_profiles_plan_the_same_jobs(profile: str) -> None:
    done = subprocess.run(
        ["snakemake", "-n", "--forceall", "--nolock", "--profile", f"workflow/profiles/{profile}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert jobs(done.stdout)["total"] == 29, done.stderr[-2000:]


def test_rules_hold_no_logic_and_no_retries() -> None:
    for path in [ROOT / "Snakefile", *(ROOT / "workflow/rules").glob("*.smk")]:
        text = path.read_text()
        assert not re.search(r"^\s+(run|script|retries|notebook|wrapper):", text, re.M), path
        assert not re.search(r"^\s*checkpoint ", text, re.M), path
        for block in re.split(r"^ *(?=rule )", text, flags=re.M)[1:]:
            if not block.startswith("rule all"):
                for part in ('"""', "log:", "benchmark:", "resources:", "shell:"):
                    assert part in block, f"{path.name}: {block.splitlines()[0]} lacks {part}"


def rule_texts() -> dict[str, str]:
    """Every rule but `all`, by name."""
    files = set((ROOT / "workflow/rules").glob("*.smk")) - {ROOT / "workflow/rules/common.smk"}
    text = "\n".join(path.read_text() for path in files)
    parts = re.split(r"^ *rule (\w+):$", text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


RUNNING_A_MODEL = {"train", "train_rows", "predict", "explain", "map_volumes"}


def test_rules_that_read_what_is_known_of_patients_declare_it_once() -> None:
    """With the visit, which their commands read from the configuration."""
    texts = rule_texts()
    running = {name for name, text in texts.items() if "model_command(" in text}
    assert running == RUNNING_A_MODEL
    assert all("**MODEL_PARAMS" in texts[name] for name in running)
    reading = {name for name, text in texts.items() if "patient_command(" in text} | running
    assert reading == {*RUNNING_A_MODEL, "list_inputs"}
    assert all("**PATIENT_INPUTS" in texts[name] for name in reading)
    assert "**PATIENT_PARAMS" in texts["list_inputs"]


@pytest.mark.parametrize("in_one_job", [False, True])
@pytest.mark.parametrize("config", ["demo", "demo_clinic"])
def test_no_rule_that_runs_a_model_is_given_the_outcome_of_a_test_patient(
    config: str, in_one_job: bool
) -> None:
    command = ["snakemake", "-n", "-p", "--forceall", "--nolock", "--config"]
    jobs_of_folds = f"training={{folds_in_one_job: {str(in_one_job).lower()}}}"
    done = subprocess.run(
        [*command, jobs_of_folds, "--configfile", f"configs/{config}.yaml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    told = re.findall(
        r"^rule (\w+):\n    input: (.+)\n[^\0]*?Shell command: (.+)$", done.stdout, re.M
    )
    assert len(told) > 20, done.stdout[-3000:] + done.stderr[-3000:]
    rules = {rule for rule, *_ in told}
    assert rules >= {"train_rows", "predict", "list_inputs"}
    assert ("train" in rules) != in_one_job
    for rule, files, command in told:
        if rule in {"make_splits", "evaluate"}:
            assert "outcomes.tsv" in files
            continue
        assert "outcomes" not in files + command, rule
        if rule in RUNNING_A_MODEL:
            trained_on = set(re.findall(r"\S+/train\.tsv", files))
            tested_on = set(re.findall(r"\S+/test_ids\.tsv", files))
            assert bool(trained_on) == (rule in {"train", "train_rows"}) != bool(tested_on)
            assert not re.search("sheets/|truth|evaluation", files)


def test_the_page_about_clusters_tells_what_every_rule_asks_for() -> None:
    told = (ROOT / "docs/how_to/hpc.md").read_text()
    told = " ".join(re.findall(r"^\| ([\w, ]+?)(?: \(.*\))? \|", told, re.M))
    assert not [name for name in rule_texts() if name not in re.findall(r"\w+", told)]


@pytest.mark.parametrize("profile", ["local", "slurm"])
def test_profiles_offer_a_gpu_to_every_rule_that_can_use_one(profile: str) -> None:
    lines = (ROOT / f"workflow/profiles/{profile}/config.yaml").read_text()
    offered = re.findall(r"^# +(\w+): \{.*gpu: 1", lines, re.M)
    able = [
        name for name, text in rule_texts().items() if re.search(r"--device|model_command\(", text)
    ]
    assert sorted(offered) == sorted(able)


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from survfuse.cli.main import parser; parser().format_help(); "
        "print(sorted({name.split('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ast.literal_eval(done.stdout)
    assert not {"torch", "numpy", "pandas", "pydantic", "matplotlib", "timm"} & set(loaded)


def test_training_loads_no_library_of_metrics() -> None:
    """Every job of a run would pay for it."""
    code = (
        "import sys; import survfuse.training.stage, survfuse.training.network_estimator; "
        "print(sorted({'sksurv', 'sklearn', 'scipy.stats', 'lifelines'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_rows_that_are_no_networks_start_without_torch() -> None:
    """Importing it takes longer than fitting a Cox model."""
    code = (
        "import sys, survfuse.training.stage, survfuse.training.predict\n"
        "from survfuse.models.registry import KINDS\n"
        "[kind.load(task) for kind in KINDS.values() for task in kind.tasks]\n"
        "sys.exit(bool({'torch', 'cv2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.slow
def test_the_run_is_complete(finished: Path) -> None:
    results = finished / "results"
    assert (results / "report/index.html").stat().st_size > 10_000
    pages = {path.stem for path in (results / "report/patients").glob("*.html")}
    patients = (results / "cohort/clinical.tsv").read_text().split("\n")[1:-1]
    assert pages == {line.split("\t")[0] for line in patients}
    evaluation = json.loads((results / "evaluation/evaluation.json").read_text())
    assert {row["model"] for row in evaluation["rows"]} >= {m["name"] for m in SMALL["models"]}
    assert evaluation["oracle"]["harrell_c"]
    tidy = (results / "evaluation/predictions.tsv").read_text().splitlines()
    models = len(evaluation["rows"]) - 1  # all rows but the oracle
    assert len(tidy) > 1 + models * 24
    assert tidy[0].split("\t") == [
        *["model", "patient_id", "repeat", "fold", "risk", "time_months", "survival"]
    ]
    statuses = (results / "slides/slides.tsv").read_text()
    assert statuses.count("\tquarantined\t") == 2  # the blank and the truncated slide


@pytest.mark.slow
def test_finished_work_is_not_repeated(finished: Path) -> None:
    assert "Nothing to be done" in snakemake(finished, "-n").stdout


def planned_after(finished: Path, **changes: object) -> set[str]:
    """The rules that run again when the configuration of a finished run is changed."""
    original = (finished / "config.yaml").read_text()
    prepared(finished, **changes)
    planned = jobs(snakemake(finished, "-n").stdout)
    (finished / "config.yaml").write_text(original)
    return set(planned) - {"total"}


@pytest.mark.slow
def test_what_the_report_alone_reads_writes_the_report_and_nothing_else(finished: Path) -> None:
    for change in ({"title": "Another title"}, {"min_cell": 7}):
        assert planned_after(finished, report={**SMALL["report"], **change}) == {"report"}
    endpoint = {"definition": "from surgery to death from any cause"}
    cohort = {**SMALL["cohort"], "endpoint": endpoint}
    assert planned_after(finished, cohort=cohort) == {"report"}


@pytest.mark.slow
def test_predictions_are_made_again_for_other_horizons_alone(finished: Path) -> None:
    drawn = {**SMALL["evaluation"], "bootstrap": 60, "seed": 1}
    assert planned_after(finished, evaluation=drawn) == {"evaluate", "report"}
    later = {**SMALL["evaluation"], "horizons_months": [12, 36]}
    assert planned_after(finished, evaluation=later) == {"predict", "evaluate", "report"}


@pytest.mark.slow
def test_other_genes_are_checked_again(finished: Path) -> None:
    """How many genes there are of each type is in the summary of the cohort."""
    planned = planned_after(finished, omics={"suffixes": {"rna": "", "cnv": "_cnv"}})
    assert planned >= {"check_cohort", "encode_omics", "train"}
    assert "simulate" not in planned


@pytest.mark.slow
def test_results_are_private_and_name_no_source_path(finished: Path) -> None:
    for path in (finished / "results").rglob("*"):
        relative = path.relative_to(finished / "results")
        if path.is_file() and relative.parts[0] not in {"logs", "benchmarks"}:
            assert path.stat().st_mode & 0o077 == 0, relative
    for page in (finished / "results/report").rglob("*.html"):
        assert str(finished) not in page.read_text()


@pytest.mark.slow
def test_a_second_run_gives_the_same_numbers_although_killed_midway(
    finished: Path, tmp_path: Path
) -> None:
    """From nothing; kill -9 of everything during training; then the same command again."""
    home = prepared(tmp_path / "killed")
    command = ["snakemake", "-s", str(ROOT / "Snakefile"), "--configfile", "config.yaml"]
    with (home / "output.txt").open("wb") as output:
        running = subprocess.Popen(
            [*command, "--cores", "2"],
            cwd=home,
            start_new_session=True,
            stdout=output,
            stderr=output,
        )
        deadline = time.monotonic() + 600
        while not list((home / "results").glob("models/*/*/fit.json")):
            assert running.poll() is None, (home / "output.txt").read_text()[-3000:]
            assert time.monotonic() < deadline
            time.sleep(0.2)
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
    assert not (home / "results/evaluation/evaluation.json").exists()
    half_written = [path for path in (home / "results").rglob("*.tsv") if not path.stat().st_size]
    assert not half_written
    for batch in (home / "results/slides/batches").glob("*.tsv"):
        batch.unlink()  # as if those jobs had been killed before they wrote their tables
    snakemake(home, "--unlock")
    snakemake(home, "--until", "evaluate")
    assert numbers(home) == numbers(finished)
