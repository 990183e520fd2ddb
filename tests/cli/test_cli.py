"""The command line: help with examples, exit codes, and one clear message per kind of mistake."""

import argparse
import os
import re
from pathlib import Path

import pytest
import torch
import yaml

from survfuse.cli.main import main, parser
from survfuse.core.errors import (
    MissingResourceError,
    RetryableError,
    SurvfuseError,
    TooManyFailuresError,
    UserInputError,
)

PATIENTS = "".join(f"P{i}\t{5 + i}\t{i % 2}\t{50 + 7 * i % 31}\n" for i in range(40))
GENES = "patient_id,A,B\n" + "".join(f"P{i},{i * 7 % 40},{-i * 11 % 40}\n" for i in range(40))
CONFIG = {
    "name": "mine",
    "output": "results",
    "cohort": {
        "patients": "patients.tsv",
        "omics": "genes.csv",
        "covariates": {"age": {"type": "continuous"}},
    },
    "splits": {"folds": 2, "repeats": 1},
    "training": {"min_events_per_bin": 2, "epochs": 2, "members": 1},
    "models": [
        {"name": "clinical_cox", "kind": "clinical_cox"},
        {"name": "permuted", "kind": "snn", "permute_outcomes": True},
    ],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a valid small cohort, the current directory of the test."""
    (tmp_path / "patients.tsv").write_text("patient_id\ttime\tevent\tage\n" + PATIENTS)
    (tmp_path / "genes.csv").write_text(GENES)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    monkeypatch.chdir(tmp_path)
    previous = os.umask(0o022)
    yield tmp_path
    os.umask(previous)


def changed(home: Path, **changes: object) -> None:
    (home / "config.yaml").write_text(yaml.safe_dump({**CONFIG, **changes}))


def row(kind: str, **options: object) -> dict:
    return {"name": "x", "kind": kind, "options": options}


def commands() -> dict[str, argparse.ArgumentParser]:
    action = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return action.choices


@pytest.mark.parametrize("name", sorted(commands()))
def test_every_command_has_help_with_an_example_that_parses(name: str) -> None:
    command = commands()[name]
    assert command.description
    example = command.epilog.split("survfuse ", 1)[1]
    parsed = parser().parse_args(example.split())
    assert callable(parsed.command)


def test_exit_codes_of_the_errors() -> None:
    codes = {kind.exit_code for kind in (UserInputError, MissingResourceError)}
    codes |= {TooManyFailuresError.exit_code, RetryableError.exit_code, SurvfuseError.exit_code}
    assert codes == {1, 2, 3, 4, 75}


@pytest.mark.usefixtures("home")
def test_a_valid_cohort_passes() -> None:
    assert main(["check-cohort", "--config", "config.yaml"]) == 0


def test_results_are_readable_by_their_owner_alone(home: Path) -> None:
    main(["check-cohort", "--config", "config.yaml", "--out", "cohort"])
    assert (home / "cohort/outcomes.tsv").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda h: changed(h, slids={}), r"config\.yaml, line \d+: slids: .*did you mean slides\?"),
        (lambda h: (h / "patients.tsv").unlink(), r"patients\.tsv"),
        (lambda h: changed(h, models=[{"name": "clinical_cox", "kind": "cmtaa"}]), "cmtaa"),
        (
            lambda h: changed(
                h,
                models=[*CONFIG["models"], {"name": "x", "kind": "cmta", "options": {"widht": 1}}],
            ),
            "widht",
        ),
        (
            lambda h: changed(
                h,
                models=[
                    *CONFIG["models"],
                    {"name": "x", "kind": "late_fusion", "options": {"parts": ["a", "b"]}},
                ],
            ),
            "names 'a'",
        ),
        (
            lambda h: changed(h, models=[*CONFIG["models"], row("clinical_cox", penaliser=5)]),
            r"models\.x: clinical_cox has no option 'penaliser'; its only option is covariates",
        ),
        (
            lambda h: changed(
                h,
                models=[
                    *CONFIG["models"],
                    row("late_fusion", parts=["clinical_cox", "permuted"], weights=[1, 0]),
                ],
            ),
            "late_fusion has no option 'weights'; its only option is parts",
        ),
        (
            lambda h: changed(
                h,
                cohort={**CONFIG["cohort"], "site": "age"},
                models=[*CONFIG["models"], row("site_only", covariates=["age"])],
            ),
            "site_only has no option 'covariates'; it has none",
        ),
        (lambda h: changed(h, models=CONFIG["models"][:1]), "needs a control"),
        (
            lambda h: changed(
                h,
                models=[
                    {"name": "clinical_cox", "kind": "clinical_cox"},
                    {"name": "shuffled", "kind": "clinical_cox", "permute_outcomes": True},
                ],
                report={"patients": ["P1"]},
            ),
            r"report\.model",
        ),
        (lambda h: changed(h, splits={"folds": 20}), "events"),
        (
            lambda h: (h / "patients.tsv").write_text(
                (h / "patients.tsv").read_text().replace("P7\t12\t", "P7\tsoon\t")
            ),
            r"(?s)row +column.*9 +time +soon|soon",
        ),
    ],
)
def test_bad_input_exits_2_with_one_message_and_no_traceback(
    home: Path, capsys: pytest.CaptureFixture, broken: object, said: str
) -> None:
    broken(home)
    assert main(["check-cohort", "--config", "config.yaml"]) == 2
    printed = capsys.readouterr().err
    assert re.search(said, printed), printed
    assert "Traceback" not in printed


def test_everything_that_is_wrong_is_told_at_once(
    home: Path, capsys: pytest.CaptureFixture
) -> None:
    (home / "sets.gmt").write_text("SET\tx\tNOT\tMEASURED\n")
    (home / "slides.tsv").write_text("slide_id\tpatient_id\tpath\nS1\tP1\tnone.svs\n")
    changed(
        home,
        cohort={**CONFIG["cohort"], "slides": "slides.tsv", "endpoint": {"event": "status"}},
        omics={"gene_sets": "sets.gmt"},
        slides={"encoder": "resnet50"},
        models=[{"name": "clinical_cox", "kind": "clinical_cox"}, row("cmtaa")],
    )
    assert main(CHECK) == 2
    printed = capsys.readouterr().err
    for said in ("status", "does not exist", "models.x", "weights of the encoder", "sets.gmt"):
        assert said in printed, said
    assert printed.count("to correct before") == 1


def test_notes_are_printed_and_strict_makes_them_exit_2(
    home: Path, capsys: pytest.CaptureFixture
) -> None:
    sheet = home / "patients.tsv"
    first = sheet.read_text().splitlines()[1]
    sheet.write_text(sheet.read_text().replace(first, first.rpartition("\t")[0] + "\tNA"))
    assert main([*CHECK, "--out", "cohort", "--log", "log.txt"]) == 0
    printed = capsys.readouterr().err
    assert "1 note" in printed and "patients.tsv" in printed and "'NA' 1" in printed
    assert "'NA' 1" in (home / "log.txt").read_text()
    assert main([*CHECK, "--strict"]) == 2
    assert "'NA' 1" in capsys.readouterr().err


def run_training(*extra: str) -> int:
    for arguments in (
        ["check-cohort", "--config", "config.yaml", "--out", "cohort"],
        ["make-splits", "--config", "config.yaml", "--cohort", "cohort", "--out", "splits"],
        ["encode-omics", "--config", "config.yaml", "--cohort", "cohort", "--out", "omics.npz"],
    ):
        assert main(arguments) == 0
    return main(
        [
            *["train", "--config", "config.yaml", "--model", "permuted", "--folds", "splits/r0f0"],
            *["--splits", "splits/splits.tsv", "--clinical", "cohort/clinical.tsv"],
            *["--input", "omics=omics.npz", "--models", "models", *extra],
        ]
    )


def run_prediction() -> int:
    return main(
        [
            *["predict-folds", "--config", "config.yaml", "--model", "permuted"],
            *["--folds", "splits/r0f0", "--splits", "splits/splits.tsv"],
            *["--clinical", "cohort/clinical.tsv", "--input", "omics=omics.npz"],
            *["--models", "models", "--out", "out.tsv"],
        ]
    )


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.usefixtures("home")
def test_a_missing_gpu_exits_3(capsys: pytest.CaptureFixture) -> None:
    assert run_training("--device", "cuda") == 3
    assert "GPU" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_missing_memory_exits_75(monkeypatch: pytest.MonkeyPatch) -> None:
    from survfuse.training import fit

    def exhausted(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(fit, "run_epoch", exhausted)
    assert run_training() == 75


def test_weights_that_do_not_fit_their_description_exit_2(
    home: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run_training() == 0
    weights = home / "models/permuted/r0f0/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert run_prediction() == 2
    assert "train this fold again" in capsys.readouterr().err


def test_changed_settings_are_noticed_at_prediction(
    home: Path, capsys: pytest.CaptureFixture
) -> None:
    assert run_training() == 0
    changed(home, training={"epochs": 7})
    assert run_prediction() == 2
    assert "other settings" in capsys.readouterr().err


def test_a_defect_exits_1_and_keeps_its_traceback_in_the_log(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from survfuse.cohort import check

    def defect(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(check, "examine", defect)
    assert main(["check-cohort", "--config", "config.yaml", "--log", "log.txt"]) == 1
    assert "Traceback" in (home / "log.txt").read_text()


def test_too_many_failed_slides_exit_4(home: Path, capsys: pytest.CaptureFixture) -> None:
    from survfuse.modalities.slides.store import SlideStatus, write_manifest

    rows = [SlideStatus(f"S{i}", f"P{i}", "quarantined", "truncated") for i in range(3)]
    write_manifest(home / "batch.tsv", [*rows, SlideStatus("S9", "P9", "ok")])
    assert main(["merge-slides", "--config", "config.yaml", "--out", "all.tsv", "batch.tsv"]) == 4
    assert "truncated" in capsys.readouterr().err


CHECK = ["check-cohort", "--config", "config.yaml"]
ENCODE = ["encode-omics", "--config", "config.yaml", "--cohort", "cohort"]
FITTED = [
    *["--config", "config.yaml", "--model", "clinical_cox", "--models", "models"],
    *["--splits", "splits/splits.tsv", "--clinical"],
]
TRAIN = ["train", "--folds", "splits/r0f0", *FITTED]
# A row that reads genes and slides: others do not open them.
TRAIN_FUSED = [{"clinical_cox": "fused"}.get(word, word) for word in TRAIN]
PREDICT = ["predict-folds", "--folds", "splits/r0f0", "--out", "o.tsv", *FITTED]
SLIDES = [
    *["process-slides", "--config", "config.yaml", "--slides", "cohort/slides.tsv"],
    *["--out", "s", "--manifest", "m.tsv"],
]
MERGE = ["merge-slides", "--config", "config.yaml", "--out", "all.tsv"]
EVALUATE = ["evaluate", "--config", "config.yaml", "--out", "e.json"]
EVALUATE += ["--outcomes", "cohort/outcomes.tsv", "--predictions", "predictions"]
CLINICAL = "cohort/clinical.tsv"


@pytest.fixture
def divided(home: Path) -> Path:
    """A cohort that is checked and divided, with files that no command can read."""
    changed(home, models=[*CONFIG["models"], {"name": "fused", "kind": "survfuse"}])
    assert main([*CHECK, "--out", "cohort"]) == 0
    assert main(["make-splits", *CHECK[1:], "--cohort", "cohort", "--out", "splits"]) == 0
    (home / "empty").write_text("")
    (home / "bytes").write_bytes(bytes(range(256)))
    return home


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([*CHECK, "--log", "cohort"], "cohort: is a directory"),
        ([*CHECK, "--log", "patients.tsv/log.txt"], r"patients\.tsv: is a file"),
        ([*CHECK, "--out", "patients.tsv"], r"patients\.tsv: is a file"),
        ([*ENCODE, "--out", "cohort"], "cohort: is a directory"),
        ([*ENCODE, "--out", "patients.tsv/o/o.npz"], r"patients\.tsv/o: lies below a file"),
        (["make-splits", *CHECK[1:], "--cohort", "patients.tsv", "--out", "s"], "below a file"),
        ([*TRAIN, CLINICAL, "--input", "omics=none.npz"], r"none\.npz: there is no such file"),
        ([*TRAIN_FUSED, CLINICAL, "--input", "omics=patients.tsv"], "is no gene matrix"),
        ([*TRAIN_FUSED, CLINICAL, "--input", "omics=empty"], "is no gene matrix"),
        ([*TRAIN, CLINICAL, "--input", "slides=none.tsv"], r"none\.tsv: there is no such file"),
        ([*TRAIN_FUSED, CLINICAL, "--input", "slides=patients.tsv"], "is no manifest of slides"),
        ([*TRAIN_FUSED, CLINICAL, "--input", "slides=bytes"], "is no manifest of slides"),
        (
            [*TRAIN, CLINICAL, "--input", "genes=bytes"],
            "there is no 'genes'; known are omics, slides, images",
        ),
        (
            [*TRAIN, CLINICAL, "--input", "omics=empty", "--input", "omics=bytes"],
            "omics=bytes: omics is empty already",
        ),
        ([*TRAIN, "empty"], "empty: not readable as a tab-separated table"),
        ([*TRAIN, "bytes"], "bytes: not readable as a tab-separated table"),
        ([*TRAIN, "config.yaml"], r"config\.yaml: the column patient_id is missing"),
        ([*PREDICT, CLINICAL], "models/clinical_cox/r0f0: holds no fitted model; train"),
        ([*MERGE, "none.tsv"], r"none\.tsv: there is no such file"),
        ([*SLIDES, "--batch", "2", "--batches", "2"], "there is no such batch"),
        ([*EVALUATE, "--splits", "splits"], "splits: is a directory"),
    ],
    ids=lambda given: " ".join(given[:1] + given[-2:]) if isinstance(given, list) else "",
)
@pytest.mark.usefixtures("divided")
def test_a_wrong_path_exits_2_with_its_name(
    capsys: pytest.CaptureFixture, arguments: list[str], said: str
) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr().err
    assert re.search(said, printed), printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("option", ["--batches", "--threads"])
@pytest.mark.usefixtures("home")
def test_of_nothing_there_are_no_batches(option: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*SLIDES, "--batch", "0", "--batches", "1", option, "0"])
    assert caught.value.code == 2
    assert "whole number from 1" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["omics.npz", "=omics.npz", "omics="])
@pytest.mark.usefixtures("home")
def test_an_input_is_a_name_and_a_path(value: str, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*TRAIN, CLINICAL, "--input", value])
    assert caught.value.code == 2
    assert f"{value!r} is not NAME=PATH" in capsys.readouterr().err


def test_an_option_that_commands_share_is_the_same_in_all_of_them() -> None:
    """Its purpose is its own where it is what one command writes, or the sheet that it reads."""
    own = {"--out", "--patients", "--slides", "--omics", "--images"}
    kinds: dict[str, set] = {}
    for command in commands().values():
        for action in command._actions:
            for name in set(action.option_strings) - own:
                kind = (action.type, action.nargs, action.required, str(action.default))
                kinds.setdefault(name, set()).add((*kind, action.help))
    assert {name: kind for name, kind in kinds.items() if len(kind) > 1} == {}
    assert {"--folds", "--input", "--device"} <= kinds.keys()


def test_a_network_beyond_all_memory_is_refused_before_the_run(
    home: Path, capsys: pytest.CaptureFixture
) -> None:
    immense = {"name": "x", "kind": "snn", "options": {"width": 10**8}}
    changed(home, models=[*CONFIG["models"], immense])
    assert main(CHECK) == 2
    assert "models.x: snn cannot be built" in capsys.readouterr().err


@pytest.mark.usefixtures("divided")
def test_missing_memory_of_a_gpu_exits_75_in_prediction_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    from survfuse.training import predict

    def exhausted(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(predict, "predict_model", exhausted)
    assert main([*PREDICT, CLINICAL]) == 75
    assert "Traceback" not in capsys.readouterr().err


GENE_SETS = {"gene_sets": "sets.gmt"}
TRAINED = {
    **{"encoder": "test_resnet", "weights": "weights.safetensors", "input_px": 160},
    **{"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "pooling": "none"},
}


def with_slides(home: Path, features: str = "") -> dict:
    """Add a slide that nobody has looked into."""
    (home / "S1.svs").write_text("a slide")
    (home / "S1.h5").write_text("embeddings")
    (home / "slides.tsv").write_text(f"slide_id\tpatient_id\tpath\tfeatures\nS1\tP1\t{features}\n")
    return {**CONFIG["cohort"], "slides": "slides.tsv"}


@pytest.mark.parametrize(
    ("slides", "code", "said"),
    [
        ({}, 3, "weights of the encoder are not set: name a local"),
        (TRAINED, 3, r"weights\.safetensors are not there"),
        ({**TRAINED, "untrained": True}, 2, "weights or untrained: true, not both"),
        ({"untrained": True, "encoder_options": {"a": 1}}, 2, "resnet50_trunc takes no arguments"),
    ],
)
def test_an_encoder_that_cannot_be_loaded_is_told_before_the_run(
    home: Path, capsys: pytest.CaptureFixture, slides: dict, code: int, said: str
) -> None:
    changed(home, slides=slides)
    assert main(CHECK) == 0, "without a slide sheet nothing is to be embedded"
    changed(home, slides=slides, cohort=with_slides(home, "\tS1.h5"))
    assert main(CHECK) == 0, "the only slide is embedded already"
    changed(home, slides=slides, cohort=with_slides(home, "S1.svs\t"))
    capsys.readouterr()
    assert main(CHECK) == code
    assert re.search(said, capsys.readouterr().err)
    (home / "weights.safetensors").write_bytes(b"")
    changed(home, slides=TRAINED, cohort=with_slides(home, "S1.svs\t"))
    assert main(CHECK) == 0, "what weights hold is not looked into"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"one\tdescription\n", r"sets\.gmt, row 1: a GMT line"),
        (b"\xff\xfe", r"sets\.gmt: is UTF-16 text"),
        (b"one\t\tTP53\tMYC\n", r"sets\.gmt: no gene set has 2 genes"),
        (b"one\t\tA\tMYC\n", r"sets\.gmt: no gene set has 2 genes"),
    ],
)
def test_gene_sets_that_do_not_serve_are_told_before_the_run(
    home: Path, capsys: pytest.CaptureFixture, content: bytes, said: str
) -> None:
    changed(home, omics=GENE_SETS)
    (home / "sets.gmt").write_bytes(content)
    assert main(CHECK) == 2
    assert re.search(said, capsys.readouterr().err)
    (home / "sets.gmt").write_bytes(b"one\t\tA\tB\ntwo\t\tA\tMYC\n")
    assert main(CHECK) == 0
    assert "dropped: 1 (two)" in capsys.readouterr().err
