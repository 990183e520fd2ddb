"""Measures of made volumes and the controls, against hand values and MONAI."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.metrics import PSNRMetric
from monai.metrics.regression import KernelType, compute_ssim_and_cs

from survfuse.modalities.volumes.store import write_tensor
from survfuse.synthesis.make import controls_of, mean_volume
from survfuse.synthesis.measures import (
    NAMES,
    block_means,
    correlation,
    measures,
    psnr,
    ssim_map,
    summary,
)
from survfuse.synthesis.pairs import Pairs

RNG = np.random.default_rng(0)
SHAPE = (18, 20, 16)


def volume(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, SHAPE).astype(np.float32)


def brain() -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[4:-4, 4:-4, 4:-4] = True
    return mask


def test_equal_volumes_are_perfect() -> None:
    real = volume(0)
    figures = measures(real, real, brain(), volume(1))
    assert figures["masked_mae"] == figures["whole_mae"] == figures["regional_mae"] == 0
    assert figures["masked_ssim"] == pytest.approx(1)
    assert figures["whole_ssim"] == pytest.approx(1)
    assert figures["masked_psnr"] is None  # infinite, which JSON cannot say
    assert math.isinf(psnr(real, real))
    assert figures["regional_correlation"] == pytest.approx(1)
    assert figures["departure_correlation"] == pytest.approx(1)


def test_a_constant_error_of_a_tenth_of_the_range_is_20_db() -> None:
    real = RNG.random(1000)
    assert psnr(real + 0.1, real, value_range=1) == pytest.approx(20)
    assert psnr(real + 0.2, real, value_range=2) == pytest.approx(20)


def test_the_mask_decides_what_counts() -> None:
    """An error of 0.5 in the brain and of 1 outside it."""
    mask = brain()
    real = np.zeros(SHAPE, np.float32)
    figures = measures(np.where(mask, np.float32(0.5), np.float32(1)), real, mask)
    share = mask.mean()
    assert figures["masked_mae"] == pytest.approx(0.5)
    assert figures["whole_mae"] == pytest.approx(0.5 * share + (1 - share))
    assert figures["masked_psnr"] == pytest.approx(10 * math.log10(4 / 0.25))
    changed = measures(np.where(mask, np.float32(0.5), np.float32(-1)), real, mask)
    for name in ("masked_mae", "masked_psnr", "regional_mae"):
        assert changed[name] == figures[name]


def test_similarity_and_psnr_are_those_of_monai() -> None:
    one, other = volume(2), volume(3)
    tensors = [torch.from_numpy(v)[None, None] for v in (one, other)]
    theirs, _ = compute_ssim_and_cs(
        *((tensor + 1) / 2 for tensor in tensors),
        spatial_dims=3,
        kernel_size=(11, 11, 11),
        kernel_sigma=(1.5, 1.5, 1.5),
        data_range=1.0,
        kernel_type=KernelType.GAUSSIAN,
    )
    ours = ssim_map(one, other)[5:-5, 5:-5, 5:-5]
    assert ours.shape == tuple(theirs.shape[2:])
    assert np.allclose(ours, theirs[0, 0].numpy(), atol=1e-4)
    assert psnr(one, other) == pytest.approx(float(PSNRMetric(2.0)(*tensors)), rel=1e-5)


def test_similarity_does_not_break_where_values_change_sign() -> None:
    """Two flat volumes a hundredth of the range apart are much alike, wherever they lie."""
    for middle in (0.0, 0.5, -0.5):
        above, below = (np.full(SHAPE, middle + step, np.float32) for step in (0.02, -0.02))
        assert ssim_map(above, below).min() > 0.99


def test_block_means_by_hand() -> None:
    """12 voxels a side are 6 blocks of 2; one whole block, and one of which a corner is brain."""
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[:2, :2, :2] = True
    mask[2, 0, 0] = True  # an eighth of its block
    values = np.zeros((12, 12, 12), np.float32)
    values[0, :2, :2] = 1
    values[2, 0, 0] = 9
    assert block_means(values, mask).tolist() == [0.5]
    mask[2, :2, 0] = True  # a quarter of it
    assert block_means(values, mask).tolist() == [0.5, 4.5]


def test_a_mean_knows_regions_but_not_what_is_special_about_a_patient() -> None:
    usual, special = volume(4), np.zeros(SHAPE, np.float32)
    special[:9] = 0.5
    figures = measures(usual, usual + special, brain(), usual)
    assert figures["regional_correlation"] is not None
    assert figures["departure_correlation"] is None
    half = measures(usual + special / 2, usual + special, brain(), usual)
    assert half["departure_correlation"] == pytest.approx(1)
    assert correlation(np.ones(5), np.arange(5.0)) is None


def test_summaries_leave_out_what_is_not_defined() -> None:
    rows = [dict.fromkeys(NAMES, 1.0), dict.fromkeys(NAMES, 3.0), dict.fromkeys(NAMES)]
    told = summary(rows)["masked_mae"]
    assert told == {"mean": 2.0, "sd": round(math.sqrt(2), 6), "n": 2}
    assert summary([])["masked_mae"] == {"mean": None, "sd": None, "n": 0}


def test_the_training_mean_is_over_the_brains_that_reach_a_voxel(tmp_path: Path) -> None:
    paths = []
    for name, (value, reach) in {"a": (0.5, 3), "b": (-0.5, 2)}.items():
        mask = np.zeros((4, 4, 4), dtype=bool)
        mask[:reach] = True
        data = np.where(mask, value, -1.0)
        write_tensor(tmp_path / name, data, mask, np.eye(4), "float32")
        paths.append(tmp_path / name)
    mean = mean_volume(Pairs(("a", "b"), tuple(paths), tuple(paths)))
    everybody = (0.5 * 48 - 0.5 * 32) / 80
    assert mean[:, 0, 0].tolist() == pytest.approx([0, 0, 0.5, everybody])
    mask = np.zeros((4, 4, 4), dtype=bool)
    mask[1:3] = True
    source = np.full((4, 4, 4), 0.25, np.float32)
    controls = controls_of(mean, source, mask)
    assert controls["training_mean"][:, 0, 0].tolist() == pytest.approx([-1, 0, 0.5, -1])
    assert np.array_equal(controls["copied_source"], source)
