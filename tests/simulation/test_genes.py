"""Simulated expression: real symbols, and programmes that follow the truth where they should."""

from __future__ import annotations

import re

import numpy as np
import pytest

from survfuse.simulation.genes import PROGRAMME_SETS, SHARED_SETS, activities, expression, gene_sets
from survfuse.simulation.truth import draw_truth


@pytest.fixture(scope="module")
def truth():
    return draw_truth(1500, 5)


@pytest.fixture(scope="module")
def scores(truth):
    """Mean z-score of every gene set, for the patients with RNA, and their factors."""
    table = expression(truth).drop(columns="patient_id")
    z = (table - table.mean()) / table.std()
    return {name: z[symbols].mean(axis=1).to_numpy() for name, symbols in gene_sets().items()}


def test_gene_sets_are_many_named_and_made_of_plausible_symbols():
    sets = gene_sets()
    assert len(sets) == 30
    assert {*PROGRAMME_SETS, *SHARED_SETS} <= set(sets)
    genes = {gene for symbols in sets.values() for gene in symbols}
    assert 580 <= len(genes) <= 640
    assert all(re.fullmatch(r"[A-Z][A-Z0-9]*(-[A-Z]+[0-9]?)?", gene) for gene in genes)
    assert {"TP53", "MKI67", "HLA-DRA", "CD8A", "VEGFA"} <= genes
    for name, symbols in sets.items():
        assert len(symbols) == len(set(symbols)) >= 15, name


def test_expression_has_a_row_for_each_patient_with_rna(truth):
    table = expression(truth)
    assert table["patient_id"].tolist() == truth.patient_id[truth.has_rna].tolist()
    genes = table.columns[1:]
    assert sorted({g for symbols in gene_sets().values() for g in symbols}) == genes.tolist()
    values = table[genes].to_numpy()
    assert values.dtype == np.float32
    assert np.isfinite(values).all() and values.min() >= 0 and values.max() < 25


def test_activities_correlate_with_their_factor_as_declared(truth):
    table = activities(truth)
    for name in table:
        with_programme = np.corrcoef(table[name], truth.programme)[0, 1]
        with_shared = np.corrcoef(table[name], truth.shared)[0, 1]
        assert with_programme == pytest.approx(PROGRAMME_SETS.get(name, 0), abs=0.09), name
        assert with_shared == pytest.approx(SHARED_SETS.get(name, 0), abs=0.09), name
        assert table[name].std() == pytest.approx(1, abs=0.06), name


def test_genes_show_programme_and_shared_but_not_morphology(truth, scores):
    def r(name, factor):
        return np.corrcoef(scores[name], factor[truth.has_rna])[0, 1]

    assert r("HYPOXIA", truth.programme) > 0.85
    assert r("T_CELL_ACTIVATION", truth.shared) > 0.85
    assert abs(r("HYPOXIA", truth.shared)) < 0.1
    assert abs(r("T_CELL_ACTIVATION", truth.programme)) < 0.1
    assert max(abs(r(name, truth.morphology)) for name in scores) < 0.1


def test_sites_shift_expression_a_little(truth):
    table = expression(truth)
    site = truth.site[truth.has_rna]
    values = table.drop(columns="patient_id")
    between = values.groupby(site).mean().std(axis=0, ddof=1)
    within = values.groupby(site).std().mean(axis=0)
    assert 0.15 < (between / within).median() < 0.5


def test_same_seed_same_expression():
    first, again = expression(draw_truth(20, 2)), expression(draw_truth(20, 2))
    assert first.equals(again)
