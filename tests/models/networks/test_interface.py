"""The batch: what is real, what may be read, and which shapes are refused."""

from __future__ import annotations

import pytest
import torch

from fusion_batches import MODALITIES, SHAPES, make_batch
from inputs_fixture import shapes_of
from survfuse.models.networks.interface import Batch


def test_real_is_mask_and_availability() -> None:
    batch = make_batch([3, 2, 3], absent=[(2, "slides")])
    assert batch.real("slides").tolist() == [[True] * 3, [True, True, False], [False] * 3]
    assert batch.has("slides").tolist() == [True, True, False]
    assert batch.has("omics").tolist() == [True, True, True]


def test_available_patient_with_an_empty_bag_counts_as_absent() -> None:
    assert make_batch([3, 0]).has("slides").tolist() == [True, False]


def test_values_are_zero_where_nothing_is_real_and_untouched_elsewhere() -> None:
    batch = make_batch([3, 2], absent=[(0, "omics")])
    values = batch.values("slides")
    assert torch.equal(values[0], batch.tokens["slides"][0])
    assert torch.equal(values[1, 2], torch.zeros(values.shape[2]))
    assert torch.equal(batch.values("omics")[0], torch.zeros_like(batch.values("omics")[0]))


def test_to_moves_every_tensor() -> None:
    moved = make_batch([2, 1], with_coords=True).to("meta")
    tensors = [*moved.tokens.values(), *moved.mask.values(), *moved.coords.values()]
    assert len(tensors) == 7
    assert {tensor.device.type for tensor in [*tensors, moved.available]} == {"meta"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"available": torch.ones(2, 2, dtype=torch.bool)}, "one column for each"),
        ({"mask": {"slides": torch.ones(2, 4, dtype=torch.bool)}}, "the mask of slides"),
        ({"tokens": {"slides": torch.ones(2, 0, 24)}}, "N >= 1"),
        ({"tokens": {"slides": torch.ones(3, 3, 24)}}, "tokens of slides"),
        ({"coords": {"slides": torch.ones(2, 3, 2)}}, "must be integers"),
        ({"coords": {"slides": torch.ones(2, 3, 1, dtype=torch.long)}}, "must be integers"),
    ],
)
def test_contradicting_shapes_are_refused(change: dict, message: str) -> None:
    parts = {
        "tokens": {"slides": torch.ones(2, 3, 24)},
        "mask": {"slides": torch.ones(2, 3, dtype=torch.bool)},
        "available": torch.ones(2, 3, dtype=torch.bool),
        "modalities": MODALITIES,
    }
    Batch(**parts)
    with pytest.raises(ValueError, match=message):
        Batch(**(parts | change))


def test_token_widths() -> None:
    assert [SHAPES.dim(modality) for modality in MODALITIES] == [24, 15, 5]


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_modality_the_cohort_lacks_is_named(modality: str) -> None:
    with pytest.raises(ValueError, match=f"needs {modality}"):
        shapes_of(None, (), None, 4).dim(modality)
