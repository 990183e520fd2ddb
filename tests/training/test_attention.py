"""The file of attention weights: what lies beside them is each modality's own."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from inputs_fixture import bags_in, genes_in
from survfuse.artifacts.prediction import Prediction
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import ATTENTION, MODALITIES
from survfuse.training.attention import read_attention, write_attention
from training_fixture import cohort


@pytest.fixture
def written(tmp_path: Path) -> Path:
    inputs, *_ = cohort(12)
    genes = genes_in(inputs)
    assert genes is not None
    first, second = list(bags_in(inputs))[:2]
    tiles = np.linspace(0, 1, len(bags_in(inputs)[first]))
    groups = np.arange(len(genes.groups), dtype=float)
    nothing = np.zeros(0)
    attention = {"slides": [tiles, nothing], "groups": [nothing, groups]}
    prediction = Prediction((first, second), np.zeros(2), np.zeros((1, 2, 1)), attention)
    path = tmp_path / "model.attention.h5"
    write_attention(path, [(prediction, inputs)])
    return path


def test_tiles_have_their_places_and_groups_their_names(written: Path) -> None:
    inputs, *_ = cohort(12)
    genes = genes_in(inputs)
    assert genes is not None
    first, second = list(bags_in(inputs))[:2]
    here, there = read_attention(written, first), read_attention(written, second)
    assert here is not None and there is not None
    assert (here.keys(), there.keys()) == ({"slides"}, {"groups"})
    places = bags_in(inputs)[first].places()
    np.testing.assert_array_equal(here["slides"].columns["coords"], places.coords)
    assert here["slides"].columns["slide_id"].tolist() == places.slide_id.tolist()
    np.testing.assert_allclose(here["slides"].weights, np.linspace(0, 1, len(places.coords)))
    assert there["groups"].names == tuple(genes.groups.tolist())
    assert read_attention(written, "nobody") is None


def test_the_names_in_the_file_stay(written: Path) -> None:
    with h5py.File(written) as file:
        first, second = file.values()
        assert set(first) == {"slides", "slide_id", "coords", "tile_px0"}
        assert list(second) == ["groups"]
        assert list(second["groups"].attrs) == ["names"]


def test_attention_is_named_once() -> None:
    assert ATTENTION == {"slides": "slides", "groups": "omics"}
    assert all(not modality(name).beside_attention for name in MODALITIES if name != "slides")
