"""Files as others write them: the same embedding as by the program they come from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from survfuse.config.encoder import EncoderConfig
from survfuse.core.errors import UserInputError
from survfuse.modalities.slides.encoders.encoder import Encoder
from survfuse.modalities.slides.encoders.key_names import resized_positions
from survfuse.modalities.slides.encoders.loading import identify, load_encoder
from survfuse.modalities.slides.encoders.networks import build
from survfuse.modalities.slides.encoders.presets import PRESETS
from survfuse.modalities.slides.encoders.recipe import recipe_of

NARROW = {"embed_dim": 48, "num_heads": 3, "depth": 2}
OF_HUB = {"hidden_size": 48, "num_attention_heads": 3, "num_hidden_layers": 2}


def loaded(preset: str, weights: Path, **settings: object) -> Encoder:
    known = {"preset": preset, "weights": weights, **settings}
    config = EncoderConfig.model_validate(known)
    return load_encoder(config, identify(config), "cpu")


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3)).astype(np.uint8)


def normalised(tiles: np.ndarray, preset: str) -> Tensor:
    """What the network of a preset sees of tiles of its own size."""
    pixels = (tiles / 255 - np.array(PRESETS[preset].mean)) / np.array(PRESETS[preset].std)
    return torch.from_numpy(pixels.transpose(0, 3, 1, 2)).float()


def shaken(network: nn.Module) -> nn.Module:
    """A network of which no tensor has its start value, such as one or zero."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for one in network.parameters():
            one.add_(torch.empty(one.shape).normal_(0, 0.05, generator=generator))
    return network.eval()


def of_the_hub(kind: str, **settings: Any) -> nn.Module:
    """A network of the library transformers."""
    transformers = pytest.importorskip("transformers")
    config = getattr(transformers, f"{kind}Config")(**OF_HUB, **settings)
    return shaken(getattr(transformers, f"{kind}Model")(config))


def hub_encoder(preset: str, **settings: Any) -> tuple[nn.Module, dict[str, Any]]:
    """The network of transformers that a preset stands for, narrow, and how the preset is so."""
    arguments: dict[str, Any] = {**NARROW}
    if preset == "phikon":
        return of_the_hub("ViT", intermediate_size=192, image_size=224), arguments
    if preset == "phikon-v2":
        return of_the_hub("Dinov2", image_size=224, patch_size=16), arguments
    # Of 4 x 48 inner numbers a gated MLP keeps two thirds, twice: 256 = 48 x 5.33334.
    gated = {"use_swiglu_ffn": True, "patch_size": 14, **settings}
    if preset == "midnight":
        return of_the_hub("Dinov2", **gated), arguments
    gated["num_register_tokens"] = 4
    return of_the_hub("Dinov2WithRegisters", **gated), {**arguments, "mlp_ratio": 5.33334}


@torch.inference_mode()
def embedding_of(network: nn.Module, preset: str, tiles: np.ndarray) -> np.ndarray:
    """The embedding that the page of the preset asks for."""
    tokens = network(normalised(tiles, preset)).last_hidden_state
    if preset == "midnight":
        return torch.cat([tokens[:, 0], tokens[:, 1:].mean(dim=1)], dim=1).numpy()
    return tokens[:, 0].numpy()


@pytest.mark.parametrize("saved", [True, False], ids=["saved", "state_dict"])
@pytest.mark.parametrize(
    ("preset", "image_px"),
    [("phikon", 224), ("phikon-v2", 224), ("hibou-b", 224), ("hibou-l", 224), ("midnight", 518)],
)
def test_files_of_transformers_embed_as_in_transformers(
    preset: str, image_px: int, saved: bool, tmp_path: Path, tiles: np.ndarray
) -> None:
    """Midnight's has positions for 518 pixels, which are interpolated to 224."""
    sized = {} if preset.startswith("phikon") else {"image_size": image_px}
    network, arguments = hub_encoder(preset, **sized)
    path = tmp_path / "model.safetensors"
    if saved:
        network.save_pretrained(tmp_path)
    else:
        save_file(network.state_dict(), path)
    expected = embedding_of(network, preset, tiles)
    encoder = loaded(preset, path, arguments=arguments, width=expected.shape[1])
    np.testing.assert_allclose(encoder.embed(tiles), expected, rtol=1e-3, atol=2e-4)


def native(stored: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a DINOv2 with registers as its authors name them."""
    named = {}
    for key, one in stored.items():
        key = key.replace("embeddings.patch_embeddings.projection", "patch_embed.proj")
        key = key.replace("embeddings.position_embeddings", "pos_embed")
        key = key.replace("embeddings.", "").replace("layernorm", "norm")
        key = key.replace("encoder.layer.", "blocks.").replace("weights_in", "w12")
        key = key.replace("weights_out", "w3").replace("attention.output.dense", "attn.proj")
        key = re.sub(r"layer_scale(\d)\.lambda1", r"ls\1.gamma", key)
        named[key] = one
    for block in range(2):
        for kind in ("weight", "bias"):
            parts = [
                named.pop(f"blocks.{block}.attention.attention.{part}.{kind}")
                for part in ("query", "key", "value")
            ]
            named[f"blocks.{block}.attn.qkv.{kind}"] = torch.cat(parts)
    return named


def in_chunks(key: str) -> str:
    """A name in a network whose blocks are kept in two chunks."""
    return re.sub(r"^blocks\.(\d+)", r"blocks.\1.\1", key)


WRAPPED = {
    "as it is": lambda named: named,
    "module.": lambda named: {f"module.{key}": one for key, one in named.items()},
    "model": lambda named: {"model": named, "epoch": 3},
    "state_dict": lambda named: {"state_dict": {f"model.{k}": v for k, v in named.items()}},
    "chunks": lambda named: {in_chunks(key): one for key, one in named.items()},
    "teacher": lambda named: {
        "student": {"backbone.cls_token": torch.zeros(1)},
        "teacher": {
            **{f"module.backbone.{key}": one for key, one in named.items()},
            "module.dino_head.last_layer.weight": torch.zeros(2),
        },
    },
    "teacher.": lambda named: {
        "student.backbone.cls_token": torch.zeros(1),
        **{f"teacher.backbone.{key}": one for key, one in named.items()},
        "teacher.ibot_head.mlp.0.weight": torch.zeros(2),
    },
    "compiled": lambda named: {"model": {f"_orig_mod.module.{k}": v for k, v in named.items()}},
}


@pytest.mark.parametrize("wrapping", WRAPPED)
def test_files_of_a_training_embed_as_the_network_alone(
    wrapping: str, tmp_path: Path, tiles: np.ndarray
) -> None:
    network, arguments = hub_encoder("hibou-b", image_size=224)
    network.save_pretrained(tmp_path)
    stored = native(load_file(tmp_path / "model.safetensors"))
    torch.save(WRAPPED[wrapping](stored), tmp_path / "checkpoint.pth")
    encoder = loaded("hibou-b", tmp_path / "checkpoint.pth", arguments=arguments, width=48)
    expected = embedding_of(network, "hibou-b", tiles)
    np.testing.assert_allclose(encoder.embed(tiles), expected, rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_halved_weights_are_computed_with_in_full(
    half: torch.dtype, tmp_path: Path, tiles: np.ndarray
) -> None:
    network = shaken(build(narrow("uni"))).to(half)
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    found = loaded("uni", tmp_path / "w.safetensors", arguments=NARROW, width=48)
    assert {one.dtype for one in found.network.parameters()} == {torch.float32}
    with torch.inference_mode():
        expected = network.float()(normalised(tiles, "uni")).numpy()
    np.testing.assert_allclose(found.embed(tiles), expected, rtol=1e-3, atol=2e-4)


def narrow(preset: str) -> Any:
    return recipe_of(EncoderConfig(preset=preset, untrained=True, arguments=NARROW, width=48))


def attended(query: Tensor, keys: Tensor, values: Tensor, heads: int = 8) -> Tensor:
    """Attention of one query (B, 1, D) written out: (B, 1, D)."""
    parts = [one.unflatten(-1, (heads, -1)) for one in (query, keys, values)]
    scores = torch.einsum("bqhd,bkhd->bhqk", parts[0], parts[1]) / parts[0].shape[-1] ** 0.5
    return torch.einsum("bhqk,bkhd->bqhd", scores.softmax(dim=-1), parts[2]).flatten(-2)


def layer_norm(values: Tensor, stored: dict[str, Tensor], name: str) -> Tensor:
    weight, bias = stored[f"{name}.weight"], stored[f"{name}.bias"]
    return nn.functional.layer_norm(values, values.shape[-1:], weight, bias)


@torch.inference_mode()
def pooled_by_conch(tokens: Tensor, stored: dict[str, Tensor], version: str) -> Tensor:
    """What CONCH makes of its tokens (B, N, D), from the tensors of its file."""
    at = "visual." if version == "conch-v1" else ""
    pool = {
        key.removeprefix(f"{at}attn_pool_contrast."): one
        for key, one in stored.items()
        if "attn_pool_contrast" in key
    }
    tokens = layer_norm(tokens, pool, "ln_k")
    query = layer_norm(pool["query"], pool, "ln_q").expand(len(tokens), 1, -1)
    if version == "conch-v1":
        bias = pool["attn.in_proj_bias"].chunk(3)
        weights = [pool[f"attn.{part}_proj_weight"] for part in "qkv"]
        parts = [
            x @ w.T + b for x, w, b in zip((query, tokens, tokens), weights, bias, strict=True)
        ]
        summed = attended(*parts) @ pool["attn.out_proj.weight"].T + pool["attn.out_proj.bias"]
    else:
        keys, values = (tokens @ pool["to_kv.weight"].T).chunk(2, dim=-1)
        summed = attended(query @ pool["to_q.weight"].T, keys, values) @ pool["to_out.weight"].T
    named = {key.removeprefix(at): one for key, one in stored.items()}
    return layer_norm(summed[:, 0], named, "ln_contrast")


@pytest.mark.parametrize("preset", ["conch-v1", "conch-v1.5"])
def test_files_of_conch_embed_as_written_out(
    preset: str, tmp_path: Path, tiles: np.ndarray
) -> None:
    tower = shaken(build(recipe_of(EncoderConfig(preset=preset, untrained=True, arguments=NARROW))))
    stored = dict(tower.state_dict())
    if preset == "conch-v1":  # the file has the tower for texts, too
        stored = {f"visual.{key}": one for key, one in stored.items()}
        stored |= {"logit_scale": torch.ones(()), "text.cls_emb": torch.ones(2)}
        stored |= {"visual.proj_contrast": torch.ones(512, 512), "text_decoder.x": torch.ones(1)}
        stored |= {"visual.attn_pool_caption.query": torch.ones(256, 768)}
    torch.save(stored, tmp_path / "pytorch_model.bin")
    encoder = loaded(preset, tmp_path / "pytorch_model.bin", arguments=NARROW)
    large = tiles.repeat(2, axis=1).repeat(2, axis=2)  # 448 pixels
    with torch.inference_mode():
        tokens = tower.trunk.forward_features(normalised(large, preset))
    expected = pooled_by_conch(tokens, stored, preset).numpy()
    assert expected.shape == (2, PRESETS[preset].width)
    np.testing.assert_allclose(encoder.embed(large), expected, rtol=1e-3, atol=2e-4)


def test_ctranspath_is_a_swin_with_a_stem_of_convolutions(
    tmp_path: Path, tiles: np.ndarray
) -> None:
    """torchvision has a Swin-T of its own; the file is as timm 0.5 wrote it."""
    models = pytest.importorskip("torchvision.models")
    swin = models.swin_t(weights=None)
    swin.head = nn.Identity()
    stem, norm = nn.Sequential(), nn.LayerNorm(96)
    for place, (inside, outside) in enumerate([(3, 12), (12, 24)]):
        stem.append(nn.Conv2d(inside, outside, 3, 2, 1, bias=False))
        stem.extend([nn.BatchNorm2d(outside), nn.ReLU()])
        assert place < 2
    stem.append(nn.Conv2d(24, 96, 1))
    swin.features[0] = nn.Sequential(stem, models.swin_transformer.Permute([0, 2, 3, 1]), norm)
    shaken(swin)
    stored = {f"patch_embed.proj.{key}": one for key, one in stem.state_dict().items()}
    stored |= {f"patch_embed.norm.{key}": one for key, one in norm.state_dict().items()}
    stored |= {f"norm.{key}": one for key, one in swin.norm.state_dict().items()}
    for stage, depth in enumerate([2, 2, 6, 2]):
        for block in range(depth):
            for key, one in swin.features[1 + 2 * stage][block].state_dict().items():
                key = key.replace("mlp.0", "mlp.fc1").replace("mlp.3", "mlp.fc2")
                stored[f"layers.{stage}.blocks.{block}.{key}"] = one
            stored[f"layers.{stage}.blocks.{block}.attn_mask"] = torch.zeros(1)
        if stage < 3:
            for key, one in swin.features[2 + 2 * stage].state_dict().items():
                stored[f"layers.{stage}.downsample.{key}"] = one
    torch.save({"model": stored}, tmp_path / "ctranspath.pth")
    encoder = loaded("ctranspath", tmp_path / "ctranspath.pth")
    with torch.inference_mode():
        expected = swin(normalised(tiles, "ctranspath")).numpy()
    np.testing.assert_allclose(encoder.embed(tiles), expected, rtol=1e-3, atol=2e-4)


def cubic(values: np.ndarray, at: np.ndarray, a: float = -0.75) -> np.ndarray:
    """Cubic convolution of a row of values at places inside it, written out."""
    away = np.abs(at[:, None] - np.arange(len(values))[None])
    near = (a + 2) * away**3 - (a + 3) * away**2 + 1
    far = a * away**3 - 5 * a * away**2 + 8 * a * away - 4 * a
    weights = np.where(away <= 1, near, np.where(away < 2, far, 0))
    return weights @ values


@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_positions_are_interpolated_as_dino_does_it(offset: float) -> None:
    """Values differ along one side of the grid alone, so that one cubic gives them."""
    values = np.random.default_rng(1).normal(size=14)
    rows = torch.from_numpy(values).float().repeat(14).reshape(1, 196, 1)
    table = torch.cat([torch.full((1, 1, 1), 99.0), rows], dim=1)
    found = resized_positions(table, 28**2 + 1, offset)
    assert found.shape == (1, 785, 1) and found[0, 0] == 99
    row = found[0, 1:].reshape(28, 28)[10].numpy()
    at = (np.arange(28) + 0.5) * 14 / (28 + offset) - 0.5
    inside = slice(4, -4)  # of the edge it is not said how it goes on
    np.testing.assert_allclose(row[inside], cubic(values, at)[inside], atol=1e-5)
    without_class = resized_positions(rows, 28**2, offset)
    torch.testing.assert_close(without_class, found[:, 1:])
    assert resized_positions(table, 300, offset) is table  # no square grid


def test_positions_of_another_size_are_refused_where_the_preset_has_one(tmp_path: Path) -> None:
    stored = dict(build(narrow("uni")).state_dict())
    stored["pos_embed"] = torch.zeros(1, 28**2 + 1, 48)
    save_file(stored, tmp_path / "w.safetensors")
    with pytest.raises(UserInputError, match=r"pos_embed \(1 x 785 x 48 instead of 1 x 197 x 48\)"):
        loaded("uni", tmp_path / "w.safetensors", arguments=NARROW, width=48)


def test_what_is_left_over_is_refused(tmp_path: Path) -> None:
    stored = {**build(narrow("uni")).state_dict(), "adapter.weight": torch.zeros(2)}
    save_file(stored, tmp_path / "w.safetensors")
    with pytest.raises(UserInputError, match=r"adapter\.weight \(left over\)"):
        loaded("uni", tmp_path / "w.safetensors", arguments=NARROW, width=48)
