"""Simulated gene expression: named programmes, of which a few follow the patient's true factors.

The gene sets in data/gene_sets.gmt list real gene symbols under well-known programmes, put
together for this demonstration; they are no substitute for a curated collection.
"""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pandas as pd

from survfuse.simulation.truth import SITES, Array, Truth, stream

PROGRAMME_SETS = {"HYPOXIA": 0.95, "GLYCOLYSIS": 0.8, "ANGIOGENESIS": 0.6}
SHARED_SETS = {
    "T_CELL_ACTIVATION": 0.95,
    "CYTOTOXIC_LYMPHOCYTES": 0.9,
    "INTERFERON_GAMMA_RESPONSE": 0.7,
    "ANTIGEN_PRESENTATION": 0.6,
}
SITE_SHIFT = 0.25  # spread of a gene's mean between sites, in the units of expression
NOISE = 0.7


def gene_sets_text() -> str:
    """The gene sets as GMT: name, description and symbols, separated by tabs, a set a line."""
    return (files("survfuse.simulation") / "data" / "gene_sets.gmt").read_text(encoding="utf-8")


def gene_sets() -> dict[str, list[str]]:
    """Symbols by name of the set."""
    rows = [line.split("\t") for line in gene_sets_text().splitlines()]
    return {name: symbols for name, _, *symbols in rows}


def activities(truth: Truth, set_noise: float = 1.0) -> pd.DataFrame:
    """Activity of every gene set, (patients, sets), each of mean 0 and variance 1.

    Sets in PROGRAMME_SETS and SHARED_SETS correlate with the factor by the number given there;
    all others are chance. `set_noise` scales the variation of the former that is not the factor's.
    """
    rng = stream(truth.seed, "activities")
    columns = {}
    for name in gene_sets():
        own = rng.standard_normal(len(truth.patient_id))
        if name in PROGRAMME_SETS:
            factor, correlation = truth.programme, PROGRAMME_SETS[name]
        else:
            factor, correlation = truth.shared, SHARED_SETS.get(name, 0.0)
        own_share = set_noise * np.sqrt(1 - correlation**2) if correlation else 1.0
        columns[name] = (correlation * factor + own_share * own) / np.hypot(correlation, own_share)
    return pd.DataFrame(columns)


def expression(truth: Truth, set_noise: float = 1.0, laboratory: int | None = None) -> pd.DataFrame:
    """Log expression of the patients with RNA: `patient_id`, then a float32 column per gene.

    A gene's value is its mean, plus the activity of every set it is in times its loading, plus a
    shift of the site, plus noise; never below 0. `set_noise`: see `activities`. `laboratory`: the
    seed of the cohort whose means, loadings and shifts these patients share; default: their own.
    """
    rng = stream(truth.seed if laboratory is None else laboratory, "expression")
    sets = gene_sets()
    genes = sorted({gene for symbols in sets.values() for gene in symbols})
    position = {gene: column for column, gene in enumerate(genes)}
    loadings = np.zeros((len(sets), len(genes)))
    for row, symbols in enumerate(sets.values()):
        columns = [position[gene] for gene in symbols]
        loadings[row, columns] = rng.uniform(0.4, 0.9, len(columns))

    mean = np.clip(rng.normal(7, 2, len(genes)), 2, 13)
    shift = rng.normal(0, SITE_SHIFT, (len(SITES), len(genes)))
    if laboratory is not None:  # the next numbers are the noise of that cohort
        rng = stream(truth.seed, "noise of expression")
    noise = rng.normal(0, NOISE, (len(truth.patient_id), len(genes)))
    signal: Array = activities(truth, set_noise).to_numpy() @ loadings
    values = np.clip(mean + signal + shift[truth.site] + noise, 0, None).astype(np.float32)
    table = pd.DataFrame(values, columns=genes)
    table.insert(0, "patient_id", truth.patient_id)
    return table[truth.has_rna].reset_index(drop=True)
