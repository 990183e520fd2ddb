"""survfuse doctor: what it finds, and that no file makes it fall."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from survfuse.cli.main import main
from survfuse.config.encoder import EncoderConfig
from survfuse.core import machine
from survfuse.core.files import sha256_file
from survfuse.modalities.slides.encoders import survey
from survfuse.modalities.slides.encoders.networks import timm
from survfuse.modalities.slides.encoders.presets import PRESETS
from survfuse.modalities.slides.reading.decoders import decoders

CONFIG = """
name: x
output: {out}
cohort:
  patients: patients.tsv
  slides: slides.tsv
  endpoint: {{time: t, event: e}}
slides:
  encoder: {encoder}
models:
- {{name: clinical_cox, kind: clinical_cox}}
"""


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "SECONDS", 0.01)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Weights of one preset that fit, of two that do not, and files of nobody."""
    weights = tmp_path / "weights"
    (weights / "UNI2_h").mkdir(parents=True)
    torch.manual_seed(0)
    resnet = timm.create_model("resnet50", num_classes=10)
    torch.save(resnet.state_dict(), weights / "resnet50-11ad3fa6.pth")
    (weights / "UNI2_h" / "pytorch_model.bin").write_bytes(b"cut short")
    save_file({"cls_token": torch.zeros(1, 1, 8)}, weights / "phikon.safetensors")
    (weights / "mine.safetensors").write_bytes(b"?")
    (weights / "notes.txt").write_text("phikon")
    return weights


def test_doctor_tells_what_is_there_and_what_is_wrong(
    folder: Path, capsys: pytest.CaptureFixture
) -> None:
    assert main(["doctor", "--encoders", str(folder), "--device", "cpu", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    presets = {one["encoder"]: one for one in found["presets"]}
    assert presets.keys() == PRESETS.keys()
    resnet = presets["resnet50_trunc"]
    path = folder / "resnet50-11ad3fa6.pth"
    assert resnet["file"] == str(path) and resnet["sha256"] == sha256_file(path)
    assert (resnet["fits"], resnet["runs"], resnet["width"]) == (True, True, 1024)
    assert resnet["tiles_per_second"] > 0 and resnet["problem"] == "" and resnet["device"] == "cpu"
    broken, other = presets["uni2-h"], presets["phikon"]
    assert (broken["fits"], broken["runs"]) == (False, None)
    assert "plain named tensors" in broken["problem"]
    assert "weights_only" not in broken["problem"], "the advice of PyTorch is to run the file"
    assert (other["fits"], other["runs"]) == (False, None) and "do not fit" in other["problem"]
    assert presets["virchow"]["file"] == "" and presets["virchow"]["fits"] is None
    assert found["unnamed_files"] == [str(folder / "mine.safetensors")]
    assert found["machine"]["threads"] >= 1 and found["decoders"].keys() == decoders().keys()
    assert all(free > 0 for free in found["free_gib"].values())


def test_doctor_prints_a_table(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["doctor", "--encoders", str(folder), "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    header = next(line for line in lines if line.startswith("encoder"))
    assert header.split() == ["encoder", "weights", "fits", "runs", "SHA-256", "width", "tiles/s"]
    rows = {line.split()[0]: line.split() for line in lines[lines.index(header) + 1 :] if line}
    assert rows["virchow"] == ["virchow", "-", "-", "-", "-", "-", "-"]
    assert rows["resnet50_trunc"][2:4] == ["yes", "yes"] and rows["phikon"][2] == "no"
    assert rows["resnet50_trunc"][-2:] == ["a", "thread"]
    assert any(line.startswith("uni2-h: slides: the weights") for line in lines)
    assert any("named after no preset" in line for line in lines)
    assert "Traceback" not in "\n".join(lines)


@pytest.mark.parametrize(
    ("encoder", "code", "said"),
    [
        ("{preset: phikon, untrained: true, arguments: {depth: 1}}", 0, "phikon"),
        ("{preset: phikon, weights: none.pt}", 3, "are not there"),
        ("{preset: phikan, untrained: true}", 3, "did you mean phikon"),
    ],
)
def test_the_encoder_of_a_configuration_is_tried(
    encoder: str, code: int, said: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(out=tmp_path / "results", encoder=encoder))
    assert main(["doctor", str(config), "--device", "cpu"]) == code
    printed = capsys.readouterr()
    assert said in printed.out
    assert ("cannot be used here" in printed.err) == (code == 3)
    assert "Traceback" not in printed.out + printed.err


def test_a_folder_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["doctor", "--encoders", str(tmp_path / "none")]) == 2
    assert "is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("error", [MemoryError(), ZeroDivisionError("by zero"), OSError("gone")])
def test_whatever_a_file_does_is_a_row(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fall(*_: object) -> None:
        raise error

    monkeypatch.setattr(survey, "load_encoder", fall)
    found = survey.survey(EncoderConfig(preset="phikon", untrained=True), "cpu")
    assert found.runs is False and found.problem


@pytest.mark.parametrize(
    ("path", "preset"),
    [
        ("uni.safetensors", "uni"),
        ("UNI/pytorch_model.bin", "uni"),
        ("uni/virchow2.bin", "virchow2"),  # the file's own name counts before its folder's
        ("models--paige-ai--Virchow2/snapshots/0a1b/pytorch_model.bin", "virchow2"),
        ("MahmoodLab/conchv1_5/pytorch_model_vision.bin", "conch-v1.5"),
        ("TITAN/conch_v1_5_pytorch_model.bin", "conch-v1.5"),
        ("H-optimus-1/pytorch_model.bin", "h-optimus-1"),
        ("hibou_L.pth", "hibou-l"),
        ("resnet50-0676ba61.pth", "resnet50_trunc"),
        ("university.bin", None),
    ],
)
def test_files_are_told_by_their_names_and_folders(path: str, preset: str | None) -> None:
    assert survey.preset_named(Path(path)) == preset


def test_names_of_files_belong_to_one_preset() -> None:
    names = [survey.plain(one) for key, preset in PRESETS.items() for one in (key, *preset.names)]
    assert len(names) == len(set(names))


def test_a_processor_is_read_from_what_linux_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(
        "processor\t: 0\nmodel name\t: A fast one\nflags\t\t: fpu avx2 avx512f avx512_bf16\n"
    )
    (tmp_path / "meminfo").write_text("MemTotal:       16777216 kB\n")
    monkeypatch.setattr(machine, "PROCESSORS", tmp_path / "cpuinfo")
    monkeypatch.setattr(machine, "MEMORY", tmp_path / "meminfo")
    found = machine.this_machine()
    assert found.processor == "A fast one" and found.memory_gib == 16.0
    assert found.instructions == ("avx2", "avx512f", "avx512_bf16") and found.multiplies_bf16
    (tmp_path / "cpuinfo").unlink()
    (tmp_path / "meminfo").unlink()
    unknown = machine.this_machine()
    assert unknown.memory_gib is None and not unknown.multiplies_bf16


def test_room_is_that_of_the_folder_that_will_be_made(tmp_path: Path) -> None:
    assert machine.free_gib(tmp_path / "not" / "yet") == pytest.approx(
        machine.free_gib(tmp_path), abs=1
    )
