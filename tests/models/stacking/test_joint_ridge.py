"""A ridge Cox model with a penalty for each block, against models with one penalty."""

from __future__ import annotations

import numpy as np
import pytest
from sksurv.linear_model import CoxPHSurvivalAnalysis
from sksurv.util import Surv

from survfuse.models.stacking.joint_ridge import LIGHT, JointRidge, fit_joint_ridge
from survfuse.models.stacking.ridge_cox import coordinates, fit_in_coordinates


def drawn(
    n: int, widths: tuple[int, ...], effects: tuple[float, ...], seed: int = 0
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray, np.ndarray]:
    """Two free columns, the first with an effect; blocks whose first columns have `effects`."""
    generator = np.random.default_rng(seed)
    free = generator.normal(size=(n, 2))
    blocks = [generator.normal(size=(n, width)) for width in widths]
    score = 0.8 * free[:, 0] + sum(e * x[:, 0] for e, x in zip(effects, blocks, strict=True))
    time = generator.exponential(10 * np.exp(-score))
    censoring = generator.uniform(1, 40, n)
    reduced = [coordinates(block)[0] for block in blocks]
    return free, reduced, np.minimum(time, censoring), time <= censoring


def test_one_block_alone_is_a_ridge_cox_model() -> None:
    _, (block,), time, event = drawn(100, (4,), (1.2,))
    joint = fit_joint_ridge(np.empty((100, 0)), [block], time, event, 3)
    assert joint.penalties[0] < np.inf
    single = fit_in_coordinates(block, time, event, 3, penalties=joint.penalties)
    np.testing.assert_allclose(joint.coefficients[0], single.coefficients, atol=1e-7)
    assert joint.gain == pytest.approx(single.gain, abs=1e-2)
    assert joint.free.shape == (0,)


@pytest.mark.parametrize("widths", [(3, 5), (3, 120)])  # fewer and more columns than patients
def test_equals_one_penalty_on_scaled_columns(widths: tuple[int, int]) -> None:
    free, blocks, time, event = drawn(90, widths, (1.0, 1.5))
    joint = fit_joint_ridge(free, blocks, time, event, 0)
    assert joint.penalties[0] < np.inf
    scales = [np.sqrt(LIGHT / penalty) for penalty in joint.penalties]
    x = np.concatenate([free, *(b * scale for b, scale in zip(blocks, scales, strict=True))], 1)
    x = x[:, x.any(axis=0)]
    model = CoxPHSurvivalAnalysis(alpha=LIGHT, ties="breslow", n_iter=200, tol=1e-13)
    expected = model.fit(x, Surv.from_arrays(event, time)).coef_
    np.testing.assert_allclose(joint.free, expected[:2], atol=1e-6)
    effect = sum(b @ beta for b, beta in zip(blocks, joint.coefficients, strict=True))
    np.testing.assert_allclose(effect, x[:, 2:] @ expected[2:], atol=1e-6)


def test_an_offset_takes_the_place_of_what_is_known() -> None:
    free, blocks, time, event = drawn(120, (4,), (1.0,))
    known = 0.8 * free[:, 0]
    joint = fit_joint_ridge(np.empty((120, 0)), blocks, time, event, 0, offset=known)
    model = fit_in_coordinates(blocks[0], time, event, 0, known, joint.penalties)
    np.testing.assert_allclose(joint.coefficients[0], model.coefficients, atol=1e-7)


def test_blocks_of_noise_mostly_have_no_effect_and_others_have() -> None:
    noise, signal = list[bool](), list[bool]()
    for seed in range(8):
        joint = fit_joint_ridge(*drawn(100, (4, 8), (1.2, 0.0), seed), seed)
        assert [np.isinf(p) for p in joint.penalties] == [
            not own.any() for own in joint.coefficients
        ]
        signal.append(joint.penalties[0] < np.inf)
        # A penalty of 100 and more leaves next to nothing of a block.
        noise.append(joint.penalties[1] >= 100)
        assert joint.gain >= 0
    assert all(signal)
    assert np.mean(noise) >= 0.5


def test_without_free_columns_and_without_any_effect_there_is_nothing() -> None:
    found = list[JointRidge]()
    for seed in range(8):
        _, blocks, time, event = drawn(40, (2, 3), (0.0, 0.0), seed)
        found.append(fit_joint_ridge(np.empty((40, 0)), blocks, time, event, seed))
    nothing = [joint for joint in found if np.isinf(joint.penalties).all()]
    assert nothing
    for joint in nothing:
        assert joint.gain == 0
        assert not any(own.any() for own in joint.coefficients)
    empty = fit_joint_ridge(np.empty((40, 0)), [np.empty((40, 0))], time, event, 0)
    assert empty.coefficients[0].shape == (0,)


def test_without_events_nothing_has_an_effect() -> None:
    free, blocks, time, _ = drawn(30, (3,), (1.0,))
    joint = fit_joint_ridge(free, blocks, time, np.zeros(30, bool), 0)
    assert not joint.free.any()
    assert joint.penalties == (float("inf"),)
