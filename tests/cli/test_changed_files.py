"""What changed after its stage is refused by the next one, with a sentence that names it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from scarce_fixture import FOLDS, finish, folds_of, prepare, train_and_predict, write_cohort
from survfuse.cli.main import main
from survfuse.core.errors import UserInputError
from survfuse.core.files import require_unchanged, sha256_file
from survfuse.modalities.omics.matrix import read_matrix, write_matrix


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    home = tmp_path_factory.mktemp("finished")
    path = write_cohort(home)
    shared = prepare(path)
    train_and_predict(path, shared, ["clinical_cox", "snn", "abmil", "permuted"])
    return path, shared


@pytest.fixture
def kept(finished: tuple[Path, list[str]]) -> tuple[Path, list[str]]:
    """The finished run, whose files are as they were after the test."""
    path, shared = finished
    before = {file: file.read_bytes() for file in path.parent.rglob("*") if file.is_file()}
    yield path, shared
    for file, content in before.items():
        if not file.is_file() or file.read_bytes() != content:
            file.write_bytes(content)


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def outcome(caught: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    caught.readouterr()
    code = main([str(argument) for argument in arguments])
    return code, caught.readouterr().err


def train(path: Path, shared: list[str], model: str) -> list[object]:
    models = path.parent / "out/models"
    return ["train", "--config", path, "--model", model, *shared, "--models", models,
            "--folds", folds_of(path)[0], "--device", "cpu"]  # fmt: skip


def predict(path: Path, shared: list[str], model: str) -> list[object]:
    out = path.parent / "out"
    return ["predict-folds", "--config", path, "--model", model, *shared,
            "--models", out / "models", "--folds", *folds_of(path),
            "--out", out / f"predictions/{model}.tsv",
            "--device", "cpu"]  # fmt: skip


def evaluate(path: Path) -> list[object]:
    out = path.parent / "out"
    return ["evaluate", "--config", path, "--outcomes", out / "cohort/outcomes.tsv",
            "--splits", out / "splits/splits.tsv", "--predictions", out / "predictions",
            "--out", out / "evaluation.json"]  # fmt: skip


def test_embeddings_that_changed_with_their_time_restored(
    kept: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shared = kept
    file = path.parent / "P00.h5"
    times = file.stat()
    with h5py.File(file, "r+") as stored:
        stored["features"][...] = -9
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    for command in (predict(path, shared, "abmil"), train(path, shared, "abmil")):
        if command[0] == "train":  # P00 is tested in fold 0, and trains fold 1
            command[command.index("--folds") + 1] = folds_of(path)[1]
        code, told = outcome(capsys, *command)
        assert code == 2
        assert "P00.h5: was changed after it was written" in told
    assert outcome(capsys, *predict(path, shared, "snn"))[0] == 0  # which reads no slides


def test_embeddings_that_are_gone(
    kept: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shared = kept
    (path.parent / "P01.h5").unlink()
    code, told = outcome(capsys, *predict(path, shared, "abmil"))
    assert code == 2
    assert "P01.h5: is no longer there" in told


def test_a_test_patient_among_those_who_are_trained_on(
    kept: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shared = kept
    file = path.parent / "out/splits/r0f0/train.tsv"
    edit(file, lambda text: text.replace("P01\t", "P00\t"))
    code, told = outcome(capsys, *train(path, shared, "clinical_cox"))
    assert code == 2
    assert "train.tsv" in told
    (path.parent / "out/splits/splits.json").unlink()
    code, told = outcome(capsys, *train(path, shared, "clinical_cox"))
    assert code == 2
    assert "patient P00 is tested in this fold" in told


@pytest.mark.parametrize("name", ["r0f0/train.tsv", "r0f0/test_ids.tsv", "splits.tsv"])
def test_an_edited_fold(
    name: str, kept: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shared = kept
    file = path.parent / "out/splits" / name
    edit(
        file, lambda text: text.replace("\t1\n", "\t0\n", 1) if "\t1\n" in text else text + "P01\n"
    )
    code, told = outcome(capsys, *train(path, shared, "clinical_cox"))
    assert code == 2
    assert f"{file}: was changed" in told


def test_edited_outcomes_covariates_and_risks(
    kept: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shared = kept
    out = path.parent / "out"
    for file, command in (
        (out / "cohort/clinical.tsv", train(path, shared, "snn")),
        (out / "cohort/outcomes.tsv", evaluate(path)),
        (out / "predictions/snn.tsv", evaluate(path)),
        (out / "predictions/snn.ablations.tsv", evaluate(path)),
    ):
        text = file.read_text()
        file.write_text((text + "\n").replace("1", "2", 1))
        code, told = outcome(capsys, *command)
        file.write_text(text)
        assert code == 2, file
        assert f"{file}: was changed" in told


def test_genes_of_another_measurement(
    kept: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shared = kept
    file = path.parent / "out/omics/omics.npz"
    stored = dict(np.load(file))
    stored["values"] = stored["values"] + np.float32(1)
    with file.open("wb") as handle:
        np.savez(handle, **stored)
    code, told = outcome(capsys, *train(path, shared, "snn"))
    assert code == 2
    assert f"{file}: was changed after it was written" in told
    with file.open("wb") as handle:  # as encode-omics would write it of another gene matrix
        np.savez(handle, **stored | {"sha256": np.array("")})
    matrix = read_matrix(file)
    write_matrix(file, matrix)
    code, told = outcome(capsys, *predict(path, shared, "snn"))
    assert code == 2
    assert "have other inputs than when this model was fitted" in told


def test_weights_that_changed(
    kept: tuple[Path, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    path, shared = kept
    shutil.copy(path.parent / "out/models/snn/r0f1/model.safetensors",
                path.parent / "out/models/snn/r0f0/model.safetensors")  # fmt: skip
    code, told = outcome(capsys, *predict(path, shared, "snn"))
    assert code == 2
    assert "differs from the weights" in told


def test_nothing_changed(finished: tuple[Path, list[str]]) -> None:
    path, shared = finished
    assert len(folds_of(path)) == FOLDS
    train_and_predict(path, shared, ["cmta", "coxnet", "slides_alone", "late"])
    assert finish(path, shared)["rows"]


def test_a_file_without_a_recorded_hash_only_has_to_be_there(tmp_path: Path) -> None:
    file = tmp_path / "x"
    with pytest.raises(UserInputError, match="no longer there"):
        require_unchanged(file, "", tmp_path, "make it again")
    file.write_text("a")
    require_unchanged(file, "", tmp_path, "make it again")
    require_unchanged(file, sha256_file(file), tmp_path, "make it again")
    with pytest.raises(UserInputError, match="was changed"):
        require_unchanged(file, "0" * 64, tmp_path, "make it again")
