"""Blocks of columns and their interactions: standardised, absent, stored, refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from inputs_fixture import bags_in, changed, fitting_config, genes_in, inputs_of
from survfuse.artifacts.checkpoint import read_fitted, write_fitted
from survfuse.config.cohort import Covariate
from survfuse.core.errors import UserInputError
from survfuse.modalities.protocol import CLIP
from survfuse.models.estimator import NothingToLearnError
from survfuse.models.stacking.blocks import (
    COMPONENTS,
    BlockColumns,
    BlockFeatures,
    fit_block,
    fit_blocks,
    leading_axes,
)
from training_fixture import bag, cohort

CONFIG = fitting_config({"age": Covariate(type="continuous")})
READS = ("clinical", "omics", "slides")
INPUTS, _, _ = cohort()
IDS = INPUTS.patients.index.tolist()
OWN = ["clinical", "rna", "gene-set means", "mean tile", "spread of tiles"]
PAIRS = ["clinical x omics", "clinical x slides", "omics x slides"]


def fitted(ids: list[str] = IDS) -> tuple[BlockFeatures, BlockColumns]:
    return fit_blocks(INPUTS, ids, READS, CONFIG)


def test_blocks_are_those_of_the_modalities_and_their_pairs() -> None:
    features, blocks = fitted()
    assert [block.name for block in features.blocks] == OWN + PAIRS
    assert [block.shape[1] for block in blocks.columns] == [1, 8, 2, 5, 5, 3, 3, 9]
    assert features.of("slides") == [3, 4]
    omics, slides = (INPUTS.available(name, IDS) for name in ("omics", "slides"))
    expected = [omics | True, omics, omics, slides, slides, omics, slides, omics & slides]
    np.testing.assert_array_equal(blocks.has, np.stack(expected, axis=1))


def test_columns_are_standardised_over_those_who_have_them_and_0_for_others() -> None:
    features, blocks = fitted()
    for block, columns, there in zip(features.blocks, blocks.columns, blocks.has.T, strict=True):
        assert not columns[~there].any()
        np.testing.assert_allclose(columns[there].mean(axis=0), 0, atol=1e-9)
        np.testing.assert_allclose(columns[there].std(axis=0), 1, atol=1e-9)
        assert len(block.names) == columns.shape[1]


def test_the_blocks_of_training_patients_are_those_of_the_fit() -> None:
    features, blocks = fitted()
    again = features.transform(INPUTS, IDS, CONFIG)
    np.testing.assert_array_equal(again.has, blocks.has)
    for one, other in zip(again.columns, blocks.columns, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-12)


def test_the_fit_sees_training_patients_alone_and_their_order_does_not_matter() -> None:
    train, rest = IDS[::2], IDS[1::2]
    features, _ = fitted(train)
    bags = dict(bags_in(INPUTS))
    far = {patient: bag(np.full((3, 5), 50.0), patient) for patient in rest}
    other, _ = fit_blocks(changed(INPUTS, bags={**bags, **far}), train, READS, CONFIG)
    turned, _ = fitted(train[::-1])
    for one, its, same in zip(features.blocks, other.blocks, turned.blocks, strict=True):
        np.testing.assert_array_equal(one.mean, its.mean)
        np.testing.assert_allclose(one.std, same.std, atol=1e-6)
    shown = features.transform(INPUTS, rest, CONFIG)
    one_by_one = [features.transform(INPUTS, [patient], CONFIG) for patient in rest[:3]]
    for place, columns in enumerate(shown.columns):
        single = np.concatenate([blocks.columns[place] for blocks in one_by_one])
        np.testing.assert_allclose(columns[:3], single, atol=1e-9)


@pytest.mark.parametrize("lacking", READS)
def test_a_withheld_modality_is_0_in_its_blocks_and_changes_no_other(lacking: str) -> None:
    features, _ = fitted()
    before = features.transform(INPUTS, IDS, CONFIG)
    after = features.transform(INPUTS.without({lacking: IDS}), IDS, CONFIG)
    for place, block in enumerate(features.blocks):
        if lacking in block.reads:
            assert not after.columns[place].any()
            assert not after.has[:, place].any()
        else:
            np.testing.assert_array_equal(after.columns[place], before.columns[place])
    nothing = features.transform(INPUTS.without(dict.fromkeys(READS, IDS)), IDS, CONFIG)
    assert not any(columns.any() for columns in nothing.columns)


def test_interactions_are_products_of_components() -> None:
    features, blocks = fitted()
    both = blocks.has[:, -1]
    omics = np.concatenate([blocks.columns[1], blocks.columns[2]], axis=1) @ features.axes["omics"]
    slides = np.concatenate(blocks.columns[3:5], axis=1) @ features.axes["slides"]
    assert omics.shape == slides.shape == (60, COMPONENTS)
    # Each block counts alike in the components, whose variance is 1 and which are uncorrelated.
    for component, there in ((omics, blocks.has[:, 1]), (slides, blocks.has[:, 3])):
        spread = component[there].T @ component[there] / there.sum()
        np.testing.assert_allclose(spread, np.eye(COMPONENTS), atol=1e-9)
    products = np.stack(
        [omics[:, k] * slides[:, m] for k in range(COMPONENTS) for m in range(COMPONENTS)], axis=1
    )[both]
    expected = (products - products.mean(axis=0)) / products.std(axis=0)
    np.testing.assert_allclose(blocks.columns[-1][both], expected, atol=1e-9)


@pytest.mark.parametrize("n", [12, 40])  # fewer and more patients than columns
def test_leading_axes_are_those_of_the_singular_value_decomposition(n: int) -> None:
    generator = np.random.default_rng(0)
    columns = [generator.normal(size=(n, 2)), generator.normal(size=(n, 18))]
    has = np.arange(n) > 1
    axes = leading_axes(columns, has)
    widths = np.concatenate([np.full(2, 2**-0.5), np.full(18, 18**-0.5)])
    x = np.concatenate(columns, axis=1)
    left, _, _ = np.linalg.svd(x[has] * widths, full_matrices=False)
    found = (x @ axes)[has] / np.sqrt(has.sum())
    np.testing.assert_allclose(np.abs(found), np.abs(left[:, :COMPONENTS]), atol=1e-8)


def test_columns_of_inputs_are_cut_and_those_of_products_are_not() -> None:
    features, _ = fitted()
    far = changed(INPUTS, bags={**bags_in(INPUTS), IDS[0]: bag(np.full((4, 5), 1e3), IDS[0])})
    seen = features.transform(far, IDS[:1], CONFIG)
    assert seen.columns[3].max() == CLIP
    assert np.abs(seen.columns[-2]).max() > 0
    assert all(np.isfinite(columns).all() for columns in seen.columns)


def test_blocks_survive_storage(tmp_path: Path) -> None:
    features, _ = fitted(IDS[:40])
    write_fitted(tmp_path, "survfuse", features.arrays(), features.to_json())
    read = read_fitted(tmp_path)
    again = BlockFeatures.from_stored(read.arrays, read.fit)
    assert [b.name for b in again.blocks] == [b.name for b in features.blocks]
    one, other = (each.transform(INPUTS, IDS, CONFIG) for each in (features, again))
    np.testing.assert_array_equal(one.has, other.has)
    for columns, its in zip(one.columns, other.columns, strict=True):
        np.testing.assert_array_equal(columns, its)


def test_other_columns_than_those_of_the_fit_are_refused() -> None:
    features, _ = fitted()
    genes = genes_in(INPUTS)
    assert genes is not None
    renamed = replace(genes, features=genes.features[::-1])
    fewer = replace(genes, group_offsets=np.array([0, 4, 7]), group_index=np.arange(7))
    for other in (renamed, fewer):
        with pytest.raises(UserInputError, match="the columns of rna are not those that"):
            features.transform(changed(INPUTS, omics=other), IDS, CONFIG)
    with pytest.raises(UserInputError, match="genes that the model was fitted on are not there"):
        features.transform(inputs_of(INPUTS.patients, bags_in(INPUTS)), IDS, CONFIG)


def test_what_nobody_has_or_does_not_vary_is_left_out() -> None:
    without = INPUTS.without({"slides": IDS})
    features, blocks = fit_blocks(without, IDS, READS, CONFIG)
    assert [block.name for block in features.blocks] == [*OWN[:3], PAIRS[0]]
    assert features.modalities == ("clinical", "omics")
    assert blocks.has.shape == (60, 4)
    # Patients who have it all the same are read without it.
    assert features.transform(INPUTS, IDS, CONFIG).has.shape == (60, 4)
    constant = inputs_of(INPUTS.patients.assign(age="60"))
    with pytest.raises(NothingToLearnError, match="none of clinical"):
        fit_blocks(constant, IDS, ("clinical",), CONFIG)
    with pytest.raises(NothingToLearnError, match="none of slides"):
        fit_blocks(without, IDS, ("slides",), CONFIG)


def test_what_one_patient_alone_has_is_left_out() -> None:
    one = INPUTS.without({"slides": IDS[1:]})
    features, _ = fit_blocks(one, IDS, READS, CONFIG)
    assert features.modalities == ("clinical", "omics")
    assert [block.name for block in features.blocks] == [*OWN[:3], PAIRS[0]]
    again = BlockFeatures.from_stored(features.arrays(), features.to_json())
    assert again.transform(INPUTS, IDS, CONFIG).has.shape == (60, 4)


def test_a_block_by_hand() -> None:
    raw = np.array([[1.0, 5.0, np.nan], [3.0, 5.0, np.nan], [np.nan, 5.0, 7.0], [99.0, 0.0, 0.0]])
    has = np.array([True, True, True, False])
    block = fit_block("b", ("omics",), raw, ["a", "constant", "once"], has)
    assert block is not None
    assert block.names == ("a",)
    assert block.standardise(raw, has).tolist() == [[-1.0], [1.0], [0.0], [0.0]]
    assert fit_block("b", ("omics",), raw, ["a", "b", "c"], np.arange(4) == 1) is None
    assert fit_block("b", ("omics",), raw[:, 1:2], ["a"], has) is None


def test_a_patient_sheet_with_gaps_gives_finite_columns() -> None:
    gaps = pd.DataFrame({"age": ["50", "", "70", ""]}, index=list("ABCD"))
    _, blocks = fit_blocks(inputs_of(gaps), list("ABCD"), ("clinical",), CONFIG)
    assert blocks.has[:, 0].tolist() == [True, False, True, False]
    np.testing.assert_allclose(blocks.columns[0][:, 0], [-1, 0, 1, 0], atol=1e-9)
