"""Inputs of another width than a model was fitted on are refused with a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from inputs_fixture import bags_in, changed, fitting_config, genes_in
from survfuse.config.cohort import Covariate
from survfuse.core.errors import UserInputError
from survfuse.modalities.clinical.encoder import fit_encoder
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.loading import modality
from survfuse.modalities.omics.matrix import OmicsMatrix
from survfuse.modalities.protocol import TokenShape
from survfuse.modalities.radiomics.modality import FeatureTable
from training_fixture import bag, cohort

CONFIG = fitting_config({"age": Covariate(type="continuous")})
INPUTS, _, _ = cohort()
IDS = INPUTS.patients.index.tolist()


def with_fewer_genes(inputs: CohortInputs) -> CohortInputs:
    genes = genes_in(inputs)
    assert genes is not None
    kept = OmicsMatrix(
        genes.patient_ids,
        genes.features[:5],
        genes.values[:, :5],
        genes.groups[:1],
        np.array([0, 5]),
        np.arange(5),
    )
    return changed(inputs, omics=kept)


def with_wider_tiles(inputs: CohortInputs) -> CohortInputs:
    wide = {who: bag(np.ones((3, 6), np.float32), who) for who in bags_in(inputs)}
    return changed(inputs, bags=wide)


@pytest.mark.parametrize(
    ("name", "other", "said"),
    [
        ("omics", with_fewer_genes, "5 gene columns, but the model was fitted on 8;"),
        ("slides", with_wider_tiles, "6 numbers in the embedding of a tile, but the .* on 5;"),
    ],
)
def test_another_width_is_refused_as_columns_and_as_tokens(
    name: str, other: Callable[[CohortInputs], CohortInputs], said: str
) -> None:
    scaling = modality(name).fit(INPUTS.stores[name], IDS, CONFIG)
    assert scaling is not None
    store = other(INPUTS).stores[name]
    with pytest.raises(UserInputError, match=f"there are {said}.* train it again"):
        modality(name).columns(store, scaling, IDS)
    with pytest.raises(UserInputError, match=f"there are {said}.* train it again"):
        reader = modality(name).reader(store, scaling, IDS, None)
        reader.read(range(len(IDS)), INPUTS.available(name, IDS), None, ())


def test_gene_groups_of_other_widths_than_those_of_a_network_are_refused() -> None:
    genes, omics = genes_in(INPUTS), modality("omics")
    assert genes is not None
    scaling = omics.fit(genes, IDS, CONFIG)
    shape = omics.reader(genes, scaling, IDS, None).shape
    assert omics.reader(genes, scaling, IDS, shape).shape == shape
    other = replace(genes, group_offsets=np.array([0, 1, len(genes.group_index)]))
    with pytest.raises(UserInputError, match=r"\[1, 7\] columns, but .* groups of \[4, 4\]"):
        omics.reader(other, scaling, IDS, shape)
    assert omics.reader(None, None, IDS, TokenShape(8, (4, 4))).bag_size(0) == 0


def test_a_covariate_that_is_gone_is_named() -> None:
    table = pd.DataFrame({"age": ["50", "70"], "sex": ["f", "m"]})
    covariates = {"age": Covariate(type="continuous"), "sex": Covariate(type="categorical")}
    encoder = fit_encoder(table, covariates)
    with pytest.raises(UserInputError, match="the clinical table has no sex, which"):
        encoder.transform(table[["age"]])


def test_a_feature_that_is_gone_is_named_and_a_table_of_nobody_is_not() -> None:
    frame = pd.DataFrame({"area": [1.0, 2.0], "glcm": [3.0, 5.0]}, index=["A", "B"])
    radiomics, store = modality("radiomics"), FeatureTable(frame)
    scaling = radiomics.fit(store, ["A", "B"], CONFIG)
    assert scaling is not None
    with pytest.raises(UserInputError, match="table of features has no glcm, which"):
        radiomics.columns(FeatureTable(frame[["area"]]), scaling, ["A"])
    assert radiomics.columns(None, scaling, ["A"])[0].tolist() == [[0.0, 0.0]]
