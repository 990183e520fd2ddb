"""Files that hold a whole network, and files that hold nothing of use."""

from __future__ import annotations

import contextlib
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from survfuse.config.encoder import EncoderConfig
from survfuse.core.errors import MissingResourceError, UserInputError
from survfuse.modalities.slides.encoders.encoder import Encoder
from survfuse.modalities.slides.encoders.loading import identify, load_encoder
from survfuse.modalities.slides.encoders.weights import read_tensors

HALF = (0.5, 0.5, 0.5)
PIXELS = {"mean": HALF, "std": HALF, "input_px": 32}


class MeanOfChannels(nn.Module):
    """Three numbers a tile: the mean of each channel."""

    def forward(self, pixels: Tensor) -> Tensor:
        return pixels.mean(dim=(2, 3))


class Untouched(nn.Module):
    def forward(self, pixels: Tensor) -> Tensor:
        return pixels


def loaded(**settings: object) -> Encoder:
    config = EncoderConfig.model_validate(settings)
    return load_encoder(config, identify(config), "cpu")


@pytest.fixture
def tiles() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3)).astype(np.uint8)


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "encoder.ts"
    torch.jit.script(MeanOfChannels()).save(path)
    return path


TRUSTED = {"format": "torchscript", "trust_torchscript": True, **PIXELS}


@pytest.mark.filterwarnings("ignore")
def test_a_torchscript_network_embeds(script: Path, tiles: np.ndarray) -> None:
    encoder = loaded(weights=script, width=3, **TRUSTED)
    expected = (tiles.mean(axis=(1, 2)) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(encoder.embed(tiles), expected, atol=0.01)
    assert encoder.identity.name.startswith("torchscript_")
    assert encoder.identity.weights_sha256 and "untrained" not in encoder.identity.label
    assert encoder.identity.pixels == (
        "32 px; mean 0.5 0.5 0.5; std 0.5 0.5 0.5; by the configuration"
    )


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"trust_torchscript": False}, "is a program, which runs on this machine with your rights"),
        ({"pooling": "class_token"}, "holds the whole network; remove arch"),
        ({"arguments": {"depth": 1}}, "holds the whole network; remove arch"),
        ({"mean": None}, "set mean as the page of the weights tells"),
        ({"weights": None, "untrained": True}, "is never untrained"),
        ({"width": 4}, "gives 3 numbers for a tile instead of 4"),
        ({"preset": "uni", "input_px": None}, "gives 3 numbers for a tile instead of 1024"),
    ],
)
def test_settings_that_do_not_go_with_a_torchscript_network(
    script: Path, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(UserInputError, match=said):
        loaded(**{"weights": script, **TRUSTED, **settings})


@pytest.mark.filterwarnings("ignore")
def test_a_network_that_gives_no_vector_is_refused_before_the_first_slide(tmp_path: Path) -> None:
    torch.jit.script(Untouched()).save(tmp_path / "wrong.ts")
    with pytest.raises(UserInputError, match=r"gives \(3, 32, 32\) numbers for a tile"):
        loaded(weights=tmp_path / "wrong.ts", **TRUSTED)


def test_torchscript_is_not_run_as_named_tensors(script: Path) -> None:
    with pytest.raises(UserInputError, match="TorchScript program; see format"):
        loaded(weights=script, preset="phikon")


@pytest.mark.parametrize("kind", ["torchscript", "onnx"])
def test_other_files_are_no_networks(kind: str, tmp_path: Path) -> None:
    if kind == "onnx":
        pytest.importorskip("onnxruntime")
    (tmp_path / "x").write_bytes(b"nothing of the kind")
    with pytest.raises(UserInputError, match="cannot be read as a"):
        loaded(**{**TRUSTED, "weights": tmp_path / "x", "format": kind})


def test_without_onnxruntime_its_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "x.onnx").write_bytes(b"graph")
    with pytest.raises(MissingResourceError, match=r"survfuse\[onnx\]"):
        loaded(weights=tmp_path / "x.onnx", format="onnx", **PIXELS)


@pytest.mark.parametrize("batch", [1, "n"])
def test_an_onnx_network_embeds(batch: int | str, tmp_path: Path, tiles: np.ndarray) -> None:
    pytest.importorskip("onnxruntime")
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [batch, 3, 32, 32])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [batch, 3])
    axes = helper.make_tensor("axes", TensorProto.INT64, [2], [2, 3])
    mean = helper.make_node("ReduceMean", ["pixels", "axes"], ["out"], keepdims=0)
    graph = helper.make_graph([mean], "means", [pixels], [out], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "encoder.onnx")
    encoder = loaded(weights=tmp_path / "encoder.onnx", format="onnx", width=3, **PIXELS)
    expected = (tiles.mean(axis=(1, 2)) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(encoder.embed(tiles), expected, atol=0.01)
    assert encoder.identity.name.startswith("onnx_")


def truncated(path: Path) -> None:
    torch.save({"cls_token": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-500])


def archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as written:
        written.writestr("readme.txt", "no weights")


def no_tensors(path: Path) -> None:
    torch.save({"epoch": 3, "names": ["a"]}, path)


def a_list(path: Path) -> None:
    torch.save([torch.zeros(1)], path)


def whole_network(path: Path) -> None:
    torch.save(MeanOfChannels(), path)


@pytest.mark.parametrize("write", [truncated, archive, no_tensors, a_list, whole_network])
def test_files_without_named_tensors_are_told(write: object, tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    write(path)  # type: ignore[operator]
    with pytest.raises(UserInputError, match=r"w\.pt .*plain named tensors"):
        loaded(weights=path, preset="phikon")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["zipped.pt", "old.pth", "plain.safetensors"])
def test_a_damaged_file_is_read_or_refused_and_never_more(name: str, tmp_path: Path) -> None:
    named = {"cls_token": torch.zeros(1, 1, 8), "blocks.0.norm1.weight": torch.ones(8)}
    path = tmp_path / name
    if path.suffix == ".safetensors":
        save_file(named, path)
    else:
        zipped = name == "zipped.pt"
        torch.save({"model": named}, path, _use_new_zipfile_serialization=zipped)
    whole, chance = path.read_bytes(), np.random.default_rng(1)
    for turn in range(60):
        damaged = bytearray(whole)
        at = int(chance.integers(len(whole)))
        if turn % 3 == 0:
            damaged = damaged[:at]
        elif turn % 3 == 1:
            damaged[at : at + 20] = chance.bytes(20)
        else:
            damaged[at] ^= 1 << int(chance.integers(8))
        path.write_bytes(damaged)
        with contextlib.suppress(UserInputError):
            read_tensors(path)


def test_a_pointer_to_weights_is_told(tmp_path: Path) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    (tmp_path / "w.safetensors").write_text(pointer)
    with pytest.raises(MissingResourceError, match=r"pointer of Git LFS.*git lfs pull"):
        loaded(weights=tmp_path / "w.safetensors", preset="phikon")
    (tmp_path / "folder.pt").mkdir()
    with pytest.raises(MissingResourceError, match="are not there"):
        loaded(weights=tmp_path / "folder.pt", preset="phikon")


def test_a_tag_of_timm_says_the_statistics_of_its_weights(tmp_path: Path) -> None:
    from survfuse.modalities.slides.encoders.networks import timm

    network = timm.create_model("test_resnet", num_classes=0)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    encoder = loaded(arch="test_resnet.r160_in1k", weights=tmp_path / "w.safetensors")
    assert encoder.identity.mean == HALF and encoder.identity.input_px == 160
    assert encoder.identity.pixels.endswith("by timm's tag test_resnet.r160_in1k")
    mixed = loaded(arch="test_resnet.r160_in1k", mean=(0.4, 0.5, 0.6), untrained=True)
    assert mixed.identity.pixels.endswith(
        "by the configuration (mean), timm's tag test_resnet.r160_in1k (std), "
        "timm's tag test_resnet.r160_in1k (size)"
    )
    with pytest.raises(UserInputError, match="nor a model of timm"):
        loaded(arch="test_resnet.no_such_tag", untrained=True)
