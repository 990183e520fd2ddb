"""Exact explanations of the stack, against differences of its own estimates."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.explain.stack import attributions, exchanged, permuted_risks
from survfuse.explain.stage import explain_model
from survfuse.modalities.paths import InputPaths
from survfuse.modalities.scaling import Scalers
from survfuse.models.classical.cox import CoxModel
from survfuse.models.stacking.blocks import Block, BlockColumns, BlockFeatures
from survfuse.models.stacking.survfuse import FittedStack
from survfuse.models.stacking.weights import StackWeights, sets_of_modalities

WIDTHS = {"genes": 4, "values": 3, "tiles": 2}
MODALITIES = {"genes": "omics", "values": "clinical", "tiles": "slides"}
N = 6


@pytest.fixture
def stack() -> FittedStack:
    """Three blocks and their interactions, with weights drawn at random."""
    rng = np.random.default_rng(0)

    def block(name: str, reads: tuple[str, ...], width: int) -> Block:
        names = tuple(f"{name} {i}" for i in range(width))
        kept, mean = np.ones(width, dtype=bool), rng.normal(size=width) * (len(reads) - 1)
        return Block(name, reads, names, kept, mean, np.full(width, 0.5 + (len(reads) == 1) / 2))

    axes = {MODALITIES[name]: rng.normal(size=(width, 2)) for name, width in WIDTHS.items()}
    blocks = [block(name, (MODALITIES[name],), width) for name, width in WIDTHS.items()]
    pairs = [("omics", "clinical"), ("omics", "slides"), ("clinical", "slides")]
    blocks += [block(f"{one} x {other}", (one, other), 4) for one, other in pairs]
    features = BlockFeatures(tuple(axes), Scalers({}), tuple(blocks), axes)
    coefficients = tuple(rng.normal(size=(2, len(one.kept))) for one in blocks)
    sets = sets_of_modalities([one.reads for one in blocks])
    centre = rng.normal(size=(len(sets), 2, len(blocks)))
    weights = StackWeights(sets, centre, rng.uniform(size=(len(sets), 2)))
    return FittedStack(
        features, coefficients, weights, CoxModel(np.ones(1), np.ones(1), np.ones(1))
    )


def patients(stack: FittedStack, lacking: str = "") -> BlockColumns:
    """Random patients; the last lacks a modality, if one is named."""
    rng = np.random.default_rng(1)
    has = np.ones((N, len(stack.features.blocks)), dtype=bool)
    for place, block in enumerate(stack.features.blocks):
        has[-1, place] = lacking not in block.reads
    empty = tuple(np.zeros((N, len(block.kept))) for block in stack.features.blocks)
    drawn = {place: rng.normal(size=(N, width)) for place, width in enumerate(WIDTHS.values())}
    for place, values in drawn.items():
        values[~has[:, place]] = 0.0
    return exchanged(stack.features, BlockColumns(empty, has), np.arange(N), drawn)


def risk(stack: FittedStack, blocks: BlockColumns) -> np.ndarray:
    return stack.contributions(blocks).sum(axis=1)


def scaled(stack: FittedStack, blocks: BlockColumns, by: dict[str, float]) -> BlockColumns:
    """The patients with the columns of some modalities shrunk towards the average."""
    taken = {
        place: blocks.columns[place] * by[block.reads[0]]
        for place, block in enumerate(stack.features.blocks)
        if len(block.reads) == 1 and block.reads[0] in by
    }
    return exchanged(stack.features, blocks, np.arange(N), taken)


@pytest.mark.parametrize("lacking", ["", "slides", "omics", "clinical"])
def test_attributions_sum_to_the_difference_from_the_average(
    stack: FittedStack, lacking: str
) -> None:
    blocks = patients(stack, lacking)
    found = attributions(stack, blocks, ("omics", "clinical"))
    average = scaled(stack, blocks, {"omics": 0.0, "clinical": 0.0})
    expected = risk(stack, blocks) - risk(stack, average)
    assert sum(one.sum(axis=1) for one in found.values()) == pytest.approx(expected, abs=1e-12)


def test_attributions_are_integrated_gradients(stack: FittedStack) -> None:
    blocks, step, size = patients(stack), 1e-5, 200
    found = attributions(stack, blocks, ("omics", "clinical"))
    for name, place in (("omics", 0), ("clinical", 1)):
        for column in range(blocks.columns[place].shape[1]):
            total = np.zeros(N)
            for part in (np.arange(size) + 0.5) / size:
                at = scaled(stack, blocks, {"omics": part, "clinical": part})
                ends = []
                for sign in (-1, 1):
                    moved = at.columns[place].copy()
                    moved[:, column] += sign * step
                    near = exchanged(stack.features, at, np.arange(N), {place: moved})
                    ends.append(risk(stack, near))
                total += (ends[1] - ends[0]) / (2 * step) / size
            expected = total * blocks.columns[place][:, column]
            assert found[name][:, column] == pytest.approx(expected, abs=1e-6)


def test_exchanged_modalities_move_those_who_have_them(stack: FittedStack) -> None:
    blocks = patients(stack, "slides")
    permuted = permuted_risks(stack, blocks, 3)
    assert set(permuted) == {"omics", "clinical", "slides"}
    assert np.isnan(permuted["slides"][:, -1]).all()
    assert np.isfinite(permuted["slides"][:, :-1]).all() and np.isfinite(permuted["omics"]).all()
    unread = replace(stack, coefficients=tuple(0 * one for one in stack.coefficients))
    same = permuted_risks(unread, blocks, 3)["omics"]
    assert same == pytest.approx(np.broadcast_to(risk(unread, blocks), same.shape))


def test_a_stack_of_a_diagnosis_is_not_explained(tmp_path: Path) -> None:
    config = Config.model_validate(
        {
            "name": "stack",
            "output": "unused",
            "cohort": {
                "patients": "unused.tsv",
                "covariates": {"age": {"type": "continuous"}},
                "diagnosis": {"column": "group", "classes": ["a", "b"]},
            },
            "models": [
                {"name": "logistic", "kind": "logistic"},
                {"name": "survfuse", "kind": "survfuse"},
            ],
            "evaluation": {"reference": "logistic"},
        }
    )
    paths = InputPaths(tmp_path, tmp_path / "clinical.tsv")
    with pytest.raises(UserInputError, match="models classify; that is not explained"):
        explain_model(config, "survfuse", [], paths, tmp_path, tmp_path / "out")
