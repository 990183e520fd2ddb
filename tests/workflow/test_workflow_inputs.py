"""What the workflow sees from outside: replaced files, merged configurations, a killed run."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from workflow_fixture import ROOT, SMALL, jobs, prepared, snakemake, stub_commands

ROWS = 3
MODELS = [
    {"name": "clinical_cox", "kind": "clinical_cox"},
    {"name": "abmil", "kind": "abmil"},
    {"name": "late", "kind": "late_fusion", "options": {"parts": ["abmil", "clinical_cox"]}},
]


def with_slides(home: Path, **changes: object) -> Path:
    """A cohort of three slides in batches of one, whose files exist."""
    home.mkdir()
    rows = ["slide_id\tpatient_id\tpath"]
    for number in range(ROWS):
        (home / f"S{number}.svs").write_text(f"slide {number}")
        rows.append(f"S{number}\tP{number}\t{home / f'S{number}.svs'}")
    (home / "slides.tsv").write_text("\n".join(rows) + "\n")
    (home / "patients.tsv").write_text("patient_id\n")
    cohort = {**SMALL["cohort"], "patients": "patients.tsv", "slides": "slides.tsv"}
    given = {
        "source": None,
        "cohort": cohort,
        "slides": {**SMALL["slides"], "batch_size": 1},
        "models": MODELS,
        "report": {},
    }
    return prepared(home, **{**given, **changes})


def test_a_replaced_slide_repeats_its_batch_and_the_models_that_read_slides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the new file is older, as copies that keep their times are."""
    stub_commands(tmp_path, monkeypatch)
    home = with_slides(tmp_path / "home")
    snakemake(home)
    assert "Nothing to be done" in snakemake(home, "-n").stdout
    (home / "S1.svs").write_text("scanned again")
    os.utime(home / "S1.svs", (1_000_000_000, 1_000_000_000))
    planned = jobs(snakemake(home, "-n").stdout)
    folds = 2
    assert (planned["process_slides"], planned["merge_slides"]) == (1, 1)
    # abmil fold by fold and the average in one job, not clinical_cox
    assert (planned["train"], planned["train_rows"], planned["predict"]) == (folds, 1, 2)
    assert "check_cohort" not in planned
    snakemake(home)
    assert "Nothing to be done" in snakemake(home, "-n").stdout


def test_published_folds_are_repeated_as_often_as_asked(tmp_path: Path) -> None:
    cohort = {**SMALL["cohort"], "patients": "patients.tsv", "folds": "folds.tsv"}
    home = with_slides(
        tmp_path / "home",
        cohort={**cohort, "slides": "slides.tsv"},
        splits={"folds": 2, "repeats": 3},
        training={"repeats": 3},
    )
    (home / "folds.tsv").write_text("patient_id\tfold\n")
    planned = jobs(snakemake(home, "-n", "results/predictions/abmil.tsv").stdout)
    assert planned["train"] == 6


def test_the_rows_that_a_stack_asks_are_fitted_before_it(tmp_path: Path) -> None:
    stack = {"name": "stack", "kind": "stack", "options": {"parts": ["abmil", "clinical_cox"]}}
    home = with_slides(tmp_path / "home", models=[*MODELS, stack])
    planned = jobs(snakemake(home, "-n", "results/models/stack/folds.json").stdout)
    # abmil fold by fold, clinical_cox and the stack in one job each, not the average
    assert (planned["train"], planned["train_rows"]) == (2, 2)


@pytest.mark.slow
def test_replaced_volumes_masks_and_templates_are_prepared_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_commands(tmp_path, monkeypatch)
    home = tmp_path / "home"
    home.mkdir()
    rows = ["patient_id\tvisit\tmodality\tpath\tmask"]
    for patient in ("P1", "P2", "P3"):
        folder = home / patient
        folder.mkdir()
        for name in ("1.dcm", "2.dcm", "mask.nii"):
            (folder / name).write_text(name)
        rows.append(f"{patient}\tbl\tt1\t{folder}\t{folder / 'mask.nii'}")
    (home / "images.tsv").write_text("\n".join(rows) + "\n")
    (home / "patients.tsv").write_text("patient_id\n")
    (home / "template.nii").write_text("x" * (1 << 21))
    cohort = {"patients": "patients.tsv", "images": "images.tsv"}
    imaging = {"batch_size": 1, "template": "template.nii"}
    models = [{"name": "clinical_cox", "kind": "clinical_cox"}]
    given = {"cohort": {**SMALL["cohort"], **cohort}, "imaging": imaging, "models": models}
    prepared(home, source=None, report={}, **given)
    target = "results/images/images.tsv"

    def planned() -> int:
        done = snakemake(home, "-n", target)
        found = jobs(done.stdout).get("prepare_images", 0)
        snakemake(home, target)
        return found

    assert planned() == 3
    (home / "P2" / "3.dcm").write_text("one more slice")
    (home / "P3" / "mask.nii").write_text("another mask")
    assert planned() == 2
    (home / "template.nii").write_text("y" * (1 << 21))
    os.utime(home / "template.nii", (1_000_000_000, 1_000_000_000))
    assert planned() == 3


def test_a_sheet_that_was_only_copied_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_commands(tmp_path, monkeypatch)
    home = with_slides(tmp_path / "home")
    table = "results/slides/slides.tsv"
    snakemake(home, table)
    for name in ("slides.tsv", "patients.tsv"):
        (home / name).touch()
    assert "Nothing to be done" in snakemake(home, "-n", table).stdout


def test_the_same_command_resumes_after_a_hard_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub_commands(tmp_path, monkeypatch)
    home = with_slides(tmp_path / "home")
    (home / "killed_in").write_text("make-splits")
    command = ["snakemake", "-s", str(ROOT / "Snakefile"), "--configfile", "config.yaml"]
    killed = subprocess.run(
        [*command, "--cores", "1"], cwd=home, start_new_session=True, capture_output=True
    )
    assert killed.returncode == -9
    (home / "killed_in").unlink()
    snakemake(home, "--unlock")
    snakemake(home, "--until", "make_splits")
    assert (home / "results/splits/r0f1/test_ids.tsv").exists()


def test_as_a_module_the_settings_are_those_of_its_config(tmp_path: Path) -> None:
    """So that the results of another run are not overwritten."""
    home = with_slides(tmp_path / "home")
    (home / "Snakefile").write_text(
        "module survival:\n"
        f"    snakefile: {str(ROOT / 'workflow/Snakefile')!r}\n"
        '    config: {**config["survival"], "output": "elsewhere"}\n'
        "use rule * from survival as survival_*\n"
        "rule everything:\n"
        "    default_target: True\n"
        "    input: rules.survival_all.input\n"
    )
    own = yaml.safe_load((home / "config.yaml").read_text())
    (home / "own.yaml").write_text(yaml.safe_dump({"survival": own, "of_another": 3}))
    command = ["snakemake", "--configfile", "own.yaml", "--cores", "1", "-n", "-p"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    planned = jobs(done.stdout)
    assert (planned["survival_train"], planned["survival_train_rows"]) == (2, 2)
    assert "--config elsewhere/effective_config.yaml" in done.stdout
    assert "results/" not in done.stdout
    assert not (home / "elsewhere").exists()  # a dry run writes nothing


def test_a_module_with_a_prefix_is_refused(tmp_path: Path) -> None:
    home = with_slides(tmp_path / "home")
    (home / "Snakefile").write_text(
        "module survival:\n"
        f"    snakefile: {str(ROOT / 'workflow/Snakefile')!r}\n"
        "    config: config\n"
        '    prefix: "below"\n'
        "use rule * from survival as survival_*\n"
    )
    command = ["snakemake", "--configfile", "config.yaml", "--cores", "1", "-n"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True)
    assert done.returncode != 0
    assert "takes no prefix; set `output`" in done.stdout + done.stderr


@pytest.mark.slow
def test_changed_keys_and_further_files_reach_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a change of words repeats the report alone, although another file is read."""
    stub_commands(tmp_path, monkeypatch)
    home = with_slides(tmp_path / "home")
    snakemake(home)
    (home / "more.yaml").write_text("report: {title: Merged}\n")
    changed = ("--configfile", "config.yaml", "more.yaml", "--config", "name=other")
    assert set(jobs(snakemake(home, "-n", *changed).stdout)) == {"report", "total"}
    snakemake(home, *changed)
    written = home / "results" / "effective_config.yaml"
    read = yaml.safe_load(written.read_text())
    assert (read["name"], read["report"]["title"]) == ("other", "Merged")
    assert read["models"] == MODELS
    assert written.stat().st_mode & 0o077 == 0


def test_ten_thousand_slides_are_looked_at_in_no_time(tmp_path: Path) -> None:
    import time

    from survfuse.runner.source_files import batch_digest, slide_items

    rows = ["slide_id\tpatient_id\tpath"]
    for number in range(10_000):
        (tmp_path / f"{number}.svs").touch()
        rows.append(f"S{number}\tP{number}\t{number}.svs")
    (tmp_path / "slides.tsv").write_text("\n".join(rows))
    began = time.process_time()
    items = slide_items(tmp_path / "slides.tsv")
    digests = {batch_digest(items, batch, 200) for batch in range(200)}
    assert time.process_time() - began < 5
    assert len(items) == 10_000 and len(digests) == 200


def test_a_study_in_a_place_with_odd_marks_and_results_behind_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Snakemake: spaces, quotes and braces in the working directory; results on scratch by a link.

    Two runs at once, or one after a killed one, are told with the remedy.
    """
    stub_commands(tmp_path, monkeypatch)
    home = with_slides(tmp_path / "Mu\u0308ller's {study} $HOME #1 (a) 100%")
    scratch = tmp_path / "scratch of mine"
    scratch.mkdir()
    (home / "results").symlink_to(scratch)
    snakemake(home, "--until", "make_splits", "process_slides")
    assert (scratch / "splits/r0f1/test_ids.tsv").exists()
    assert (home / "results").is_symlink()
    locks = home / ".snakemake" / "locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.output.lock").write_text("results/report/index.html\n")
    refused = snakemake(home, check=False)
    assert refused.returncode == 1
    assert f"{home} is in use by another run" in refused.stdout + refused.stderr
