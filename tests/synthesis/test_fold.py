"""The stage on a simulated clinic: who is seen by what, what is written, resume, patches."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from survfuse.artifacts.checkpoint import ids_hash
from survfuse.artifacts.manifest import OK, QUARANTINED
from survfuse.cli.main import main
from survfuse.config.study import Config
from survfuse.config.synthesis import SynthesisConfig
from survfuse.core.errors import RetryableError, UserInputError
from survfuse.core.files import read_json
from survfuse.modalities.volumes.choice import chosen_tensors
from survfuse.modalities.volumes.store import (
    VolumeStatus,
    read_tensor,
    write_manifest,
    write_tensor,
)
from survfuse.modalities.volumes.synthetic import synthetic_paths
from survfuse.simulation.brain_geometry import Grid
from survfuse.synthesis import fit, stage
from survfuse.synthesis.fit import GeneratorProgress, fit_generator
from survfuse.synthesis.make import make_volume
from survfuse.synthesis.pairs import Pairs, patch_corner, read_fold
from survfuse.training.resume import Resume
from synthesis_fixture import clinic, fold

CPU = torch.device("cpu")
UNET = {"channels": [4, 8]}
QUICK = SynthesisConfig(epochs=2, patience=2, unet=UNET, batch_size=4, cross_fit=False)


@dataclass(frozen=True)
class Clinic:
    """A clinic on disk, with one fold of it."""

    manifest: Path
    fold: Path
    train: list[str]
    validation: list[str]
    test: list[str]
    has_pet: dict[str, bool]


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    """28 patients, of whom a quarter lack PET."""
    folder = tmp_path_factory.mktemp("clinic")
    manifest, ids, has_pet = clinic(folder / "images", 28, 3, missing_pet_share=0.25)
    parts = ids[:16], ids[16:20], ids[20:]
    known = dict(zip(ids, has_pet.tolist(), strict=True))
    return Clinic(manifest, fold(folder / "splits", *parts), *parts, known)


def config_of(folder: Path, settings: SynthesisConfig | None) -> Config:
    return Config(
        name="x",
        output=folder,
        cohort={"patients": "patients.tsv", "images": "images.tsv"},
        synthesis=settings,
        models=[{"name": "clinical_cox", "kind": "clinical_cox"}],
    )


def pairs_of(simulated: Clinic, target: str = "pet") -> tuple[Pairs, Pairs]:
    images = read_fold(simulated.fold, simulated.manifest, None)
    return tuple(
        images.of(images.complete(who), target) for who in (images.train, images.validation)
    )


def fitted_bits(
    *arguments: object, **named: object
) -> tuple[dict[str, torch.Tensor], GeneratorProgress]:
    done = fit_generator(*arguments, **named)  # type: ignore[arg-type]
    return done.weights, done.progress


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def synthesised(simulated: Clinic, out: Path, settings: SynthesisConfig = QUICK) -> Path:
    stage.synthesise_fold(config_of(out, settings), simulated.fold, simulated.manifest, out, "cpu")
    return out


def test_what_is_written_and_for_whom(simulated: Clinic, tmp_path: Path) -> None:
    out = synthesised(simulated, tmp_path / "synthesis" / "r0f0")
    found = synthetic_paths(out)
    assert not found["mri"]
    everybody = [*simulated.train, *simulated.validation, *simulated.test]
    assert set(found["pet"]) == {
        p for p in everybody if p not in simulated.train or not simulated.has_pet[p]
    }
    mri = chosen_tensors(simulated.manifest)["mri"]
    for patient, tensor in found["pet"].items():
        made, source = read_tensor(tensor), read_tensor(mri[patient])
        assert made.volume.dtype == source.volume.dtype
        assert np.array_equal(made.affine, source.affine)
        assert np.array_equal(made.mask, source.mask)
        assert (made.volume[~source.mask] == -1).all()
        assert -1 <= made.volume.min() <= made.volume.max() <= 1
        assert made.volume[source.mask].std() > 0

    told = read_json(out / "synthesis.json")["directions"]["pet"]
    seen = [p for p in (*simulated.train, *simulated.validation) if simulated.has_pet[p]]
    assert told["fit"]["ids_sha256"] == ids_hash(seen)
    assert told["fit"]["n_train"] + told["fit"]["n_validation"] == len(seen)
    tested = {p for p in simulated.test if simulated.has_pet[p]}
    assert set(told["test"]["patients"]) == tested
    assert told["n_filled_in"] == len(everybody) - sum(simulated.has_pet.values())
    figures = told["test"]["measures"]
    assert set(figures) == {"synthetic", "training_mean", "copied_source"}
    assert all(figures[name]["masked_mae"]["n"] == len(tested) for name in figures)
    assert figures["training_mean"]["departure_correlation"]["n"] == 0
    assert (
        figures["copied_source"]["masked_mae"]["mean"]
        > figures["training_mean"]["masked_mae"]["mean"]
    )
    assert not (tmp_path / "synthesis" / ".scratch" / "r0f0").exists()


def test_both_directions_and_the_same_bytes_twice(simulated: Clinic, tmp_path: Path) -> None:
    settings = QUICK.model_copy(update={"directions": ["mri", "pet"], "epochs": 1})
    outs = [synthesised(simulated, tmp_path / name / "r0f0", settings) for name in ("a", "b")]
    files = sorted(p.relative_to(outs[0]) for p in outs[0].rglob("*") if p.is_file())
    assert files == sorted(p.relative_to(outs[1]) for p in outs[1].rglob("*") if p.is_file())
    for file in files:
        assert (outs[0] / file).read_bytes() == (outs[1] / file).read_bytes(), file
    # All have MRI: it is made of the test patients, to measure it, and of the validation ones.
    unlearned = {p for p in (*simulated.test, *simulated.validation) if simulated.has_pet[p]}
    assert set(synthetic_paths(outs[0])["mri"]) == unlearned


def test_training_patients_get_volumes_of_generators_that_have_not_seen_them(
    simulated: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The halves divide the training pairs; what is made of one is by a fit on the other."""
    learned: list[tuple[str, ...]] = []
    by_fit: dict[str, int] = {}

    def watched(train: Pairs, validation: Pairs, *rest: object) -> fit.FittedGenerator:
        learned.append(train.patients)
        return fit_generator(train, validation, *rest)  # type: ignore[arg-type]

    def noted(direction: object, fitted: object, patient: str, path: Path) -> Path:
        by_fit[patient] = len(learned) - 1
        return write_made(direction, fitted, patient, path)  # type: ignore[arg-type]

    write_made = stage.write_made
    monkeypatch.setattr(stage, "fit_generator", watched)
    monkeypatch.setattr(stage, "write_made", noted)
    settings = QUICK.model_copy(update={"cross_fit": True, "epochs": 1})
    out = synthesised(simulated, tmp_path / "r0f0", settings)
    whole, one, other = learned
    assert sorted(one + other) == sorted(whole) and abs(len(one) - len(other)) <= 1
    assert not {*one, *other} & {*simulated.test, *simulated.validation}
    for patient in whole:
        assert patient not in learned[by_fit[patient]]
    everybody = {*simulated.train, *simulated.validation, *simulated.test}
    assert set(synthetic_paths(out)["pet"]) == everybody


def test_nothing_of_a_test_patient_reaches_the_fit(
    simulated: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By id in what the fit is given; and by content: other test volumes, the same weights."""
    seen: list[str] = []

    def watched(train: Pairs, validation: Pairs, *rest: object) -> fit.FittedGenerator:
        seen.extend([*train.patients, *validation.patients])
        return fit_generator(train, validation, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(stage, "fit_generator", watched)
    out = synthesised(simulated, tmp_path / "plain" / "r0f0")
    assert seen
    assert not set(seen) & set(simulated.test)

    folder = tmp_path / "images"
    shutil.copytree(simulated.manifest.parent, folder)
    for files in chosen_tensors(folder / "images.tsv").values():
        for patient in set(simulated.test) & set(files):
            held = read_tensor(files[patient])
            other = np.where(held.mask, -held.volume.astype(np.float32), np.float32(-1))
            write_tensor(files[patient], other, held.mask, held.affine, "float16")
    config = config_of(tmp_path, QUICK)
    changed = tmp_path / "changed" / "r0f0"
    stage.synthesise_fold(config, simulated.fold, folder / "images.tsv", changed, "cpu")
    name = "generator_pet.safetensors"
    assert (out / name).read_bytes() == (changed / name).read_bytes()
    plain_hashes, changed_hashes = (
        pd.read_csv(folder / "synthetic.tsv", sep="\t").set_index("patient_id")["sha256"]
        for folder in (out, changed)
    )
    tested = plain_hashes.index.isin(simulated.test)
    assert plain_hashes[~tested].equals(changed_hashes[~tested])
    # What is made for the changed patients themselves differs: the change reached the generator.
    assert (plain_hashes[tested] != changed_hashes[tested]).all()
    one, other = (read_json(folder / "synthesis.json") for folder in (out, changed))
    assert one["directions"]["pet"]["fit"] == other["directions"]["pet"]["fit"]
    assert one["directions"]["pet"]["test"] != other["directions"]["pet"]["test"]


def test_a_fold_whose_parts_overlap_is_refused(simulated: Clinic, tmp_path: Path) -> None:
    bad = fold(
        tmp_path, simulated.train, simulated.validation, simulated.test[:1] + simulated.train[:1]
    )
    with pytest.raises(UserInputError, match=f"{simulated.train[0]} is also a test patient"):
        read_fold(bad, simulated.manifest, None)


def test_a_withheld_volume_is_made_and_not_learned_from(simulated: Clinic, tmp_path: Path) -> None:
    directory = fold(tmp_path, simulated.train, simulated.validation, simulated.test)
    path = directory / "train.tsv"
    lines = path.read_text().splitlines()
    loser = next(p for p in simulated.train if simulated.has_pet[p])
    lost = [line + ("\tpet" if line.startswith(loser) else "\t") for line in lines[1:]]
    path.write_text("\n".join([lines[0] + "\twithheld", *lost]) + "\n")
    images = read_fold(directory, simulated.manifest, None)
    assert loser not in images.complete(images.train)
    assert loser in images.lacking("pet")


def test_too_few_pairs_stop_the_run(simulated: Clinic, tmp_path: Path) -> None:
    few = QUICK.model_copy(update={"min_pairs": 100})
    with pytest.raises(UserInputError, match=r"fewer than synthesis\.min_pairs = 100"):
        synthesised(simulated, tmp_path / "r0f0", few)


def test_the_command_says_what_is_missing(
    simulated: Clinic, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(
        "name: x\noutput: out\ncohort: {patients: p.tsv}\n"
        "models: [{name: clinical_cox, kind: clinical_cox}]\n"
    )
    given = ["--fold", str(simulated.fold), "--images", str(simulated.manifest)]
    command = ["synthesise", "--config", str(tmp_path / "c.yaml"), *given]
    assert main([*command, "--out", str(tmp_path / "r0f0")]) == 2
    assert "synthesis is not set" in capsys.readouterr().err


@pytest.mark.parametrize("generator", ["unet", "vqgan"])
def test_an_interrupted_fit_continues_exactly(
    simulated: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generator: str
) -> None:
    small = {"channels": [8, 8], "residual_channels": 8, "codes": 16, "code_width": 4}
    discriminator = {"discriminator_channels": 4, "discriminator_layers": 1, "adversarial_epoch": 1}
    settings = QUICK.model_copy(update={"generator": generator, "epochs": 4})
    settings = SynthesisConfig(**settings.model_dump() | {"vqgan": small | discriminator})
    train, validation = pairs_of(simulated)
    whole, progress = fitted_bits(train, validation, settings, 5, CPU)
    resume = Resume(tmp_path / "state.safetensors", "key", seconds_between=0)
    real, calls = fit.run_epoch, []

    def stopping(*arguments: object) -> dict[str, float]:
        if len(calls) == 2:
            raise RetryableError("stopped")
        calls.append(1)
        return real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(fit, "run_epoch", stopping)
    with pytest.raises(RetryableError):
        fit_generator(train, validation, settings, 5, CPU, resume)
    monkeypatch.setattr(fit, "run_epoch", real)
    resumed, again = fitted_bits(train, validation, settings, 5, CPU, resume)
    assert again == progress
    assert equal(resumed, whole)
    # A state of other settings or data is not continued.
    assert resume.read() is not None
    assert replace(resume, key="another").read() is None


def test_the_best_epoch_is_that_of_the_validation_pairs() -> None:
    settings = SynthesisConfig(epochs=9, patience=2)
    progress = GeneratorProgress()
    for validation in (0.5, 0.3, 0.4, 0.35):
        assert not progress.finished
        progress = progress.after({"loss": 1.0, "validation": validation}, settings)
    assert (progress.best_epoch, progress.finished) == (1, True)
    without = GeneratorProgress()
    for _ in range(9):
        without = without.after({"loss": 1.0}, settings)
    assert (without.best_epoch, without.finished) == (8, True)


def test_every_option_of_the_fit_changes_it(simulated: Clinic) -> None:
    train, validation = pairs_of(simulated)
    short = QUICK.model_copy(update={"epochs": 1})
    usual, _ = fitted_bits(train, validation, short, 5, CPU)
    assert equal(usual, fitted_bits(train, validation, short, 5, CPU)[0])
    changes = {
        "mirror": False,
        "patch": (16, 16, 8),
        "batch_size": 3,
        "learning_rate": 1e-4,
        "precision": "bf16",
    }
    for name, value in changes.items():
        changed = short.model_copy(update={name: value})
        assert not equal(usual, fitted_bits(train, validation, changed, 5, CPU)[0]), name
    assert not equal(usual, fitted_bits(train, validation, short, 6, CPU)[0])


def test_pieces_hold_brain_and_larger_ones_than_the_volume_are_refused() -> None:
    mask = np.zeros((16, 20, 16), dtype=bool)
    mask[12:15, 15:18, 2:4] = True
    rng = np.random.default_rng(0)
    for _ in range(20):
        corner = patch_corner(mask, (8, 8, 8), rng)
        cut = tuple(slice(at, at + 8) for at in corner)
        assert mask[cut].any()
        assert all(0 <= at <= full - 8 for at, full in zip(corner, mask.shape, strict=True))
    with pytest.raises(UserInputError, match=r"synthesis\.patch is \[32, 8, 8\], larger"):
        patch_corner(mask, (32, 8, 8), rng)


def test_a_volume_made_of_pieces_is_that_of_a_pointwise_network_in_one_go() -> None:
    class Pointwise(torch.nn.Module):
        noise_channels, draws = 0, 1

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))
            self.sizes: list[tuple[int, ...]] = []

        def forward(self, seen: torch.Tensor) -> torch.Tensor:
            self.sizes.append(tuple(seen.shape[2:]))
            return seen[:, :1] * 0.5 + seen[:, 1:2] * 0.25

    source = np.random.default_rng(0).uniform(-1, 1, (16, 20, 18)).astype(np.float32)
    mask = source > -0.5
    network = Pointwise()
    whole = make_volume(network, source, mask, SynthesisConfig(), 0)  # type: ignore[arg-type]
    pieces = SynthesisConfig(patch=(8, 8, 16))
    joined = make_volume(network, source, mask, pieces, 0)  # type: ignore[arg-type]
    assert set(network.sizes) == {(16, 20, 18), (8, 8, 16)}
    assert np.allclose(whole, joined, atol=1e-5)
    assert (joined[~mask] == -1).all()


def test_draws_are_averaged_and_follow_the_seed() -> None:
    class Noise(torch.nn.Module):
        noise_channels, draws = 1, 1

        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, seen: torch.Tensor) -> torch.Tensor:
            return seen[:, -1:] * 0.1

    source, mask = np.zeros((8, 8, 8), np.float32), np.ones((8, 8, 8), dtype=bool)
    made = {}
    for draws in (1, 16):
        network = Noise()
        network.draws = draws
        made[draws] = make_volume(network, source, mask, SynthesisConfig(), 1)  # type: ignore[arg-type]
    again = make_volume(Noise(), source, mask, SynthesisConfig(), 1)  # type: ignore[arg-type]
    other = make_volume(Noise(), source, mask, SynthesisConfig(), 2)  # type: ignore[arg-type]
    assert np.array_equal(made[1], again)
    assert not np.array_equal(made[1], other)
    assert made[16].std() == pytest.approx(made[1].std() / 4, rel=0.2)


def test_the_volumes_that_stand_for_a_patient(tmp_path: Path) -> None:
    def row(visit: str, modality: str, status: str = OK) -> VolumeStatus:
        return VolumeStatus("P1", visit, modality, status, tensor=f"{visit}_{modality}")

    rows = [row("m00", "t2"), row("m00", "t1", QUARANTINED), row("m00", "flair")]
    rows += [row("m12", "t1"), row("m12", "tau"), row("m12", "fdg")]
    write_manifest(tmp_path / "images.tsv", rows)
    first = chosen_tensors(tmp_path / "images.tsv")
    assert first == {"mri": {"P1": tmp_path / "m00_t2"}, "pet": {}}
    later = chosen_tensors(tmp_path / "images.tsv", "m12")
    assert later == {"mri": {"P1": tmp_path / "m12_t1"}, "pet": {"P1": tmp_path / "m12_fdg"}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"directions": []},
        {"directions": ["pet", "pet"]},
        {"patch": [4, 8, 8]},
        {"unet": {"channels": [8]}},
        {"vqgan": {"channels": []}},
        {"flow": {"channels": [12]}},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="must"):
        SynthesisConfig(**wrong)


@pytest.mark.slow
def test_made_pet_of_unseen_patients_is_nearer_than_both_controls(tmp_path: Path) -> None:
    """A simulated clinic: within the brain, by error, by structure, and by what is special."""
    manifest, ids, _ = clinic(tmp_path / "images", 40, 11, Grid((20, 28, 20), 7.2))
    directory = fold(tmp_path / "splits", ids[:26], ids[26:32], ids[32:])
    settings = SynthesisConfig(epochs=12)
    out = tmp_path / "synthesis" / "r0f0"
    stage.synthesise_fold(config_of(out, settings), directory, manifest, out, "cpu")
    figures = read_json(out / "synthesis.json")["directions"]["pet"]["test"]["measures"]
    made = {name: value["mean"] for name, value in figures["synthetic"].items()}
    for control in ("training_mean", "copied_source"):
        other = figures[control]
        assert made["masked_mae"] < 0.9 * other["masked_mae"]["mean"], control
        assert made["masked_ssim"] > other["masked_ssim"]["mean"] + 0.01, control
        assert made["regional_mae"] < other["regional_mae"]["mean"], control
    assert made["departure_correlation"] > 0.4
