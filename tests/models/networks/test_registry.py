"""Models by name, and options as they come from a configuration."""

from __future__ import annotations

import pytest

from fusion_batches import SHAPES, make_batch
from inputs_fixture import shapes_of
from survfuse.core.errors import UserInputError
from survfuse.models.networks.cmta import CMTA
from survfuse.models.networks.interface import Shapes
from survfuse.models.networks.registry import MODELS, build


def count(kind: str, shapes: Shapes) -> int:
    return sum(parameter.numel() for parameter in build(kind, shapes).parameters())


def test_options_reach_the_model() -> None:
    model = build("cmta", SHAPES, {"alignment_weight": 2, "width": 16, "dropout": 0.5})
    assert isinstance(model, CMTA)
    assert model.alignment_weight == 2.0
    assert model.head.in_features == 16
    assert model.embed_slides[2].p == model.embed_groups.dropout.p == 0.5


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("cmtaa", {}, "model 'cmtaa' is unknown; there are abmil, "),
        ("snn", {"widht": 3}, "unknown option 'widht'; its options are width, dropout"),
        ("snn", {"width": 2.5}, "option width must be of type int, found 2.5"),
        ("abmil", {"dropout": "0.1"}, "option dropout must be of type float, found '0.1'"),
        ("cmta", {"width": True}, "option width must be of type int"),
        ("cmta", {"width": 20}, "model cmta: width must be a multiple of 8"),
        ("cmta", {"width": 0}, "option width must be finite and at least 1, found 0"),
        ("cmta", {"alignment_weight": -1}, "must be finite and at least 0, found -1"),
        ("cmta", {"dropout": float("nan")}, "must be finite and at least 0, found nan"),
        ("cmta", {"alignment_weight": float("inf")}, "must be finite and at least 0, found inf"),
        ("snn", {"dropout": 1.5}, "model snn: dropout probability"),
    ],
)
def test_wrong_options_are_explained(kind: str, options: dict, message: str) -> None:
    with pytest.raises(UserInputError, match=message):
        build(kind, SHAPES, options)


def test_a_model_without_its_data_is_explained() -> None:
    with pytest.raises(UserInputError, match="model cmta: the model needs slides"):
        build("cmta", shapes_of(None, (3,), None, 4))


def test_every_model_names_known_modalities() -> None:
    for model in MODELS.values():
        assert set(model.reads) <= {"slides", "omics", "clinical", "mri", "pet"}


def test_parameter_counts_of_the_unimodal_models() -> None:
    shapes = shapes_of(1024, (100, 200), None, 4)
    # 300 x 256 + 256, 256 x 256 + 256, null 256, 256 x 4 + 4
    assert count("snn", shapes) == 77_056 + 65_792 + 256 + 1_028
    # 1024 x 256 + 256, twice 256 x 128 + 128, 128 + 1, null 256, 256 x 4 + 4
    assert count("abmil", shapes) == 262_400 + 2 * 32_896 + 129 + 256 + 1_028


def test_tile_order_is_irrelevant_to_abmil() -> None:
    model, batch = build("abmil", SHAPES).eval(), make_batch([50])
    flipped = type(batch)(
        {**batch.tokens, "slides": batch.tokens["slides"].flip(1)},
        batch.mask,
        batch.available,
        batch.modalities,
    )
    difference = model(batch).logits - model(flipped).logits
    assert difference.abs().max().item() < 1e-6


def test_abmil_attention_is_the_weighted_mean_it_says() -> None:
    model, batch = build("abmil", SHAPES).eval(), make_batch([5])
    output = model(batch, attention=True)
    tiles = model.embed(batch.tokens["slides"])[0]
    weighted = output.attention["slides"][0] @ tiles
    assert (weighted - output.embeddings["slides"][0]).abs().max().item() < 1e-6
