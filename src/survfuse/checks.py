"""Everything that keeps a run from its end, looked for before anything is computed."""

from __future__ import annotations

from survfuse.cohort import check
from survfuse.cohort.check import Cohort
from survfuse.config import Config
from survfuse.evaluation.required import check_leaderboard
from survfuse.omics.matrix import measured_sets
from survfuse.slides.encoder_settings import check_encoder
from survfuse.training.stage import check_models


def check_run(config: Config) -> Cohort:
    """Check the sheets, the models, the leaderboard, the gene sets and the encoder's weights.

    Raises UserInputError for what is wrong, MissingResourceError where only the weights are
    missing. Weights are neither loaded nor hashed, and only needed for slides without embeddings.
    """
    cohort = check.check_cohort(config)
    check_models(config)
    check_leaderboard(config)
    if config.cohort.omics:
        measured_sets(config.cohort.omics, cohort.gene_columns, config.omics)
    if (cohort.slides["features"] == "").any():
        check_encoder(config.slides)
    return cohort
