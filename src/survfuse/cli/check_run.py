"""Everything that keeps a run from its end, looked for before anything is computed."""

from __future__ import annotations

from dataclasses import replace

from survfuse.cohort import check
from survfuse.cohort.checked import Cohort
from survfuse.config.study import Config
from survfuse.modalities.loading import modality
from survfuse.modalities.registry import SHEET_OF
from survfuse.models.runnable import NOUNS, listed, require_a_row, runnable
from survfuse.models.specs import reads_of
from survfuse.sheets.problems import Note
from survfuse.tasks.required import check_leaderboard
from survfuse.training.compatibility import check_compatibility
from survfuse.training.stage import check_model

LEAST_PER_FOLD = 5  # patients with a modality, to learn from and to test on


def check_run(config: Config) -> Cohort:
    """Check the sheets, the models, the leaderboard, the gene sets and the encoder's weights.

    All of them, whatever one finds: raises SheetError (a UserInputError) with everything that is
    wrong, MissingResourceError where only the weights are missing. Weights are neither loaded nor
    hashed, and only needed for slides without embeddings. The notes of the cohort say which rows it
    cannot have, and which read little of it.
    """
    config = runnable(config)
    sheets, cohort, found = check.examine(config)
    found.attempt(require_a_row, config)
    for model in config.models:
        found.attempt(check_model, config, model)
    found.attempt(check_compatibility, config)
    found.attempt(check_leaderboard, config)
    for source, sheet in sheets.brought.items():
        check_preparation = modality(SHEET_OF[source]).check_preparation
        found.notes += found.attempt(check_preparation, sheet, config) or []
    found.stop_if_any()
    assert cohort is not None, "a cohort that cannot be put together has problems"
    told = [Note("configuration", one.sentence, None, one.remedy) for one in config.left_out]
    return replace(cohort, notes=(*found.notes, *told, *scarce(config, cohort)))


def scarce(config: Config, cohort: Cohort) -> list[Note]:
    """What rows read that no patient has, or so few that hardly anything can be learned of it."""
    available = cohort.available(config)
    if cohort.sites is not None:
        available["site"] = cohort.sites.reindex(available.index) != ""
    notes = []
    for name, noun in NOUNS.items():
        readers = [row.name for row in config.models if name in reads_of(row, config.models)]
        number = int(available[name].sum()) if name in available else 0
        if not readers or number >= LEAST_PER_FOLD * config.splits.folds:
            continue
        sentence = f"{listed(readers)} read {noun}, which no patient has."
        if number:
            sentence = (
                f"{listed(readers)} read {noun}, which {number} of {len(available)} patients have; "
                "where nobody to learn from has any, such a row does without or predicts the "
                "average patient."
            )
        notes.append(Note("configuration", sentence, None, "add some, or leave these rows out"))
    return notes
