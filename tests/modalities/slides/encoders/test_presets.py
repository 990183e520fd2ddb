"""The presets: that they build what was published, and are listed in the documentation."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from survfuse.config.encoder import EncoderConfig
from survfuse.core.errors import UserInputError
from survfuse.modalities.slides.encoders import documentation
from survfuse.modalities.slides.encoders.encoder import Encoder
from survfuse.modalities.slides.encoders.key_names import LAYOUTS
from survfuse.modalities.slides.encoders.loading import identify, load_encoder
from survfuse.modalities.slides.encoders.networks import PooledTokens, build
from survfuse.modalities.slides.encoders.preset import TIMM
from survfuse.modalities.slides.encoders.presets import PRESETS
from survfuse.modalities.slides.encoders.recipe import Recipe, difference_of_tiles, recipe_of
from survfuse.modalities.slides.encoders.weights import on_meta

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "encoders.md"
# Millions of parameters as the registry of LazySlide counts them in the published models; those of
# CONCH without the towers for texts, of which it has no count, are 12 or 24 blocks and a pooler.
PARAMETERS = {
    **{"uni": 303.4, "uni2-h": 681.4, "virchow": 631.2, "virchow2": 631.2},
    **{"h-optimus-0": 1134.8, "h-optimus-1": 1134.8, "prov-gigapath": 1135.0, "midnight": 1134.8},
    **{"phikon": 85.8, "phikon-v2": 303.4, "hibou-b": 85.7, "hibou-l": 303.7, "ctranspath": 27.5},
    **{"conch-v1": 87.6, "conch-v1.5": 306.7, "resnet50_trunc": 8.5},
}
# Narrow transformers with all kinds of tensors; the others are small enough.
NARROW = {"embed_dim": 48, "num_heads": 3, "depth": 2}
SMALL = {"ctranspath": {"depths": [1, 1, 1, 1]}, "resnet50_trunc": {}}


def recipe(name: str, **settings: object) -> Recipe:
    return recipe_of(EncoderConfig.model_validate({"preset": name, "untrained": True, **settings}))


def whole(made: Recipe) -> nn.Module:
    """The network of a recipe with its pooling, without memory for its tensors."""
    network = on_meta(lambda: build(made))
    return network if made.pooling == "none" else PooledTokens(network, made.pooling)


def loaded(**settings: object) -> Encoder:
    config = EncoderConfig.model_validate(settings)
    return load_encoder(config, identify(config), "cpu")


@pytest.fixture(scope="module")
def tiles() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (2, 256, 256, 3)).astype(np.uint8)


def test_every_preset_was_counted() -> None:
    assert PARAMETERS.keys() == PRESETS.keys()


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_has_the_size_and_gives_the_width_that_were_published(name: str) -> None:
    made = recipe(name)
    network = whole(made)
    pixels = torch.empty(2, 3, made.input_px, made.input_px, device="meta")
    assert network(pixels).shape == (2, PRESETS[name].width) == (2, made.width)
    millions = sum(one.numel() for one in network.parameters()) / 1e6
    assert millions == pytest.approx(PARAMETERS[name], abs=0.06)


def narrow_width(name: str) -> int:
    """The width of an embedding of a preset with narrow blocks."""
    if PRESETS[name].pooling == "none":
        return PRESETS[name].width
    return NARROW["embed_dim"] * (2 if PRESETS[name].pooling == "class_and_patch_mean" else 1)


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_embeds_with_weights_from_a_file(
    name: str, tmp_path: Path, tiles: np.ndarray
) -> None:
    """Random ones under the names of timm; see `test_key_names` for all others."""
    changed = {"arguments": SMALL.get(name, NARROW), "width": narrow_width(name)}
    torch.manual_seed(5)
    network = build(recipe(name, **changed))
    stored = {key.removeprefix("body."): one for key, one in network.state_dict().items()}
    save_file(stored, tmp_path / "weights.safetensors")
    encoder = loaded(preset=name, weights=tmp_path / "weights.safetensors", **changed)
    found = encoder.embed(tiles)
    assert found.shape == (2, encoder.dim) == (2, narrow_width(name))
    assert np.isfinite(found).all() and (found[0] != found[1]).any()
    assert encoder.identity.name.startswith(f"{name}_") and len(encoder.identity.name) < 32
    assert encoder.identity.pixels.endswith(f"by preset {name}")
    save_file(dict(list(stored.items())[1:]), tmp_path / "fewer.safetensors")
    with pytest.raises(UserInputError, match=f"do not fit {name}: 1 tensors are missing"):
        loaded(preset=name, weights=tmp_path / "fewer.safetensors", **changed)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["uni2-h", "virchow2", "h-optimus-0", "midnight"])
def test_blocks_of_full_width_run_too(name: str, tiles: np.ndarray) -> None:
    encoder = loaded(preset=name, untrained=True, arguments={"depth": 1})
    assert encoder.embed(tiles).shape == (2, PRESETS[name].width)


def test_presets_are_consistent() -> None:
    for name, preset in PRESETS.items():
        assert set(preset.key_names) <= {TIMM, *LAYOUTS}, name
        assert all(0 < one < 1 for one in (*preset.mean, *preset.std)), name
        assert preset.licence and preset.page.startswith("https://"), name
        assert preset.input_px <= (preset.resize_px or preset.input_px), name


def test_the_page_of_encoders_is_that_of_the_presets() -> None:
    assert PAGE.read_text(encoding="utf-8") == documentation.markdown()


def test_a_name_alone_is_the_preset_of_that_name() -> None:
    plain = recipe_of(EncoderConfig(arch="virchow", untrained=True))
    assert plain == recipe("virchow")
    assert recipe_of(EncoderConfig(untrained=True)) == recipe("resnet50_trunc")


CHANGED = {
    "mean": (0.1, 0.2, 0.3),
    "std": (0.3, 0.2, 0.1),
    "input_px": 112,
    "resize_px": 240,
    "pooling": "patch_mean",
    "norm_eps": 1e-3,
    "width": 99,
    "arch": "vit_small_patch16_224",
}


@pytest.mark.parametrize("field", CHANGED)
def test_every_setting_of_a_preset_can_be_replaced(field: str) -> None:
    before, after = recipe("uni"), recipe("uni", **{field: CHANGED[field]})
    differ = {
        one.name for one in fields(Recipe) if getattr(before, one.name) != getattr(after, one.name)
    }
    assert getattr(after, field) == CHANGED[field]
    # Other pooling or another network gives another width, which is then not known.
    assert differ - {"stated_by"} == {field} | (
        {"width"} if field in ("pooling", "arch") else set()
    )
    if field in ("mean", "std", "input_px"):
        assert after.stated_by[field] == "the configuration"


def test_arguments_are_added_to_those_of_the_preset() -> None:
    made = recipe("uni2-h", arguments={"depth": 2, "qk_norm": True})
    assert made.arguments["depth"] == 2 and made.arguments["qk_norm"] is True
    assert made.arguments["reg_tokens"] == 8


def test_another_input_size_is_no_longer_cut_from_the_presets() -> None:
    assert recipe("prov-gigapath").resize_px == 256
    assert recipe("prov-gigapath", input_px=336).resize_px is None


@pytest.mark.parametrize(
    ("name", "said"), [("uni2h", "did you mean uni2-h"), ("UNI", "did you mean uni"), ("x", "uni")]
)
def test_an_unknown_preset_is_told_with_the_known(name: str, said: str) -> None:
    with pytest.raises(UserInputError, match=said):
        recipe(name)


def test_gigapath_sees_the_centre_of_a_tile(tiles: np.ndarray) -> None:
    encoder = loaded(preset="prov-gigapath", untrained=True, arguments=NARROW, width=48)
    framed = tiles.copy()
    framed[:, :16], framed[:, -16:], framed[:, :, :16], framed[:, :, -16:] = 0, 0, 0, 0
    np.testing.assert_array_equal(encoder.embed(framed), encoder.embed(tiles))
    framed[:, 16:18] = 0
    assert (encoder.embed(framed) != encoder.embed(tiles)).any()


def test_registers_are_part_of_no_embedding() -> None:
    """Tokens are numbered: of class, four registers and patches only 0 and 5 to 260 count."""

    class Numbered(nn.Module):
        num_prefix_tokens, cls_token = 5, nn.Parameter(torch.zeros(1))

        def forward_features(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.arange(261.0).expand(len(pixels), 261).unsqueeze(-1)

    pooled = PooledTokens(Numbered(), "class_and_patch_mean")(torch.empty(3, 1))
    assert pooled.tolist() == [[0.0, (5 + 260) / 2]] * 3


def test_another_width_than_expected_is_refused_before_the_first_slide() -> None:
    with pytest.raises(UserInputError, match="gives 48 numbers for a tile instead of 768"):
        loaded(preset="phikon", untrained=True, arguments=NARROW)


@pytest.mark.parametrize(
    ("tile_px", "target_mpp", "said"),
    [
        (224, 0.5, None),
        (448, 0.25, None),  # the same square, seen at the same size
        (230, 0.5, None),
        (256, 0.5, "sees tissue at 88% of that size"),
        (224, 0.25, "sees tissue 2 times as large"),
    ],
)
def test_tiles_are_compared_with_those_of_the_preset(
    tile_px: int, target_mpp: float, said: str | None
) -> None:
    told = difference_of_tiles(EncoderConfig(preset="virchow"), tile_px, target_mpp)
    assert told is None if said is None else said in (told or "")
    assert difference_of_tiles(EncoderConfig(arch="test_vit"), tile_px, target_mpp) is None
