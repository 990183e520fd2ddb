"""Which rows of the leaderboard this cohort can have, known from the configuration alone.

One configuration serves cohorts with and without slides, genes, volumes and sites: what reads only
what the cohort has no sheet or column for is left out, and a sentence says so. What the sheets
alone reveal, such as slides of two patients, is met later: see `models.classical.average`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from survfuse.config.cohort import CohortConfig
from survfuse.config.file import read_config
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config, LeftOut
from survfuse.core.errors import UserInputError
from survfuse.modalities.registry import MODALITIES, SITE
from survfuse.models.specs import parts_of, reads_of, spec_of

NOUNS = {**{name: entry.noun for name, entry in MODALITIES.items()}, SITE: "the site"}
SIMPLEST = ("clinical", "classical", "fusion", "late", "site")  # roles of kinds, for a reference
SETTINGS = {name: f"cohort.{entry.setting}" for name, entry in MODALITIES.items()}
SETTINGS[SITE] = "cohort.site"


def load(path: str | Path) -> Config:
    """Read a configuration file, and leave out the rows that have nothing to read: `runnable`.

    Raises UserInputError with a line for each problem: file, line, key, what is wrong and what to
    write.
    """
    return runnable(read_config(path))


def runnable(config: Config) -> Config:
    """The configuration with the rows that can run; `left_out` says what it does without.

    Averages lose the parts that are left out, and go with the last but one of them. The reference
    and the row of the patient pages fall back to rows that are left. Nothing changes where all rows
    can run, nor the second time, nor where no row is left, which `require_a_row` refuses.
    """
    kept, left_out = rows_with_inputs(config)
    kept, without = averages_of_several(kept, config.models)
    left_out += without
    if not left_out or all(is_site(row) for row in kept):
        return config
    reference, notes = reference_among(kept, config.evaluation.reference)
    left_out += notes
    shown, notes = shown_on_pages(config, kept, reference)
    left_out += notes
    left_out += missing_roles(config.models, kept)
    changed = config.model_copy(
        update={
            "models": kept,
            "evaluation": config.evaluation.model_copy(update={"reference": reference}),
            "report": config.report.model_copy(update={"model": shown}),
        }
    )
    return changed.with_left_out([*config.left_out, *left_out])


def require_a_row(config: Config) -> None:
    """Raise UserInputError where no row but those that read the site has anything to read."""
    kept, left_out = rows_with_inputs(config)
    if left_out and all(is_site(row) for row in kept):
        reasons = " ".join(one.sentence for one in left_out)
        raise UserInputError(f"models: this cohort can have none of the rows. {reasons}")


def has_sheet(cohort: CohortConfig, modality: str) -> bool:
    """Whether the configuration names what a modality comes from."""
    return bool(cohort.site) if modality == SITE else MODALITIES[modality].brought_by(cohort)


def rows_with_inputs(config: Config) -> tuple[list[ModelConfig], list[LeftOut]]:
    """The rows that have something to read, and those that have nothing."""
    kept, left_out = [], []
    for model in config.models:
        reads = reads_if_known(model)
        if not reads or any(has_sheet(config.cohort, name) for name in reads):
            kept.append(model)
            continue
        unset = " or ".join(dict.fromkeys(SETTINGS[name] for name in reads))
        read = listed([NOUNS[name] for name in reads])
        sentence = (
            f"The row {model.name} is left out: it reads {read}, and this cohort has nothing of "
            "the kind."
        )
        role = "clinical" if reads == ("clinical",) and not model.permute_outcomes else ""
        remedy = f"set {unset} to have it"
        left_out.append(LeftOut(f"models.{model.name}", sentence, remedy, role))
    return kept, left_out


def reads_if_known(model: ModelConfig) -> tuple[str, ...]:
    """What a row reads; nothing where the check of the models will say what is wrong with it."""
    try:
        return spec_of(model).reads
    except UserInputError:
        return ()


def averages_of_several(
    kept: Sequence[ModelConfig], configured: Sequence[ModelConfig]
) -> tuple[list[ModelConfig], list[LeftOut]]:
    """Averages without parts that are left out; one of a single part would be that part."""
    gone = {row.name for row in configured} - {row.name for row in kept}
    rows, left_out = [], []
    for row in kept:
        parts = parts_of(row)
        if not gone.intersection(parts):
            rows.append(row)
            continue
        rest = [part for part in parts if part not in gone]
        without = listed([part for part in parts if part in gone])
        key = f"models.{row.name}"
        if len(rest) < 2:
            sentence = (
                f"The row {row.name} is left out: without {without} it averages "
                f"{f'{rest[0]} alone' if rest else 'nothing'}."
            )
            left_out.append(LeftOut(key, sentence, "list other rows in options.parts"))
        else:
            sentence = f"The row {row.name} averages {listed(rest)}, without {without}."
            left_out.append(LeftOut(key, sentence, ""))
            rows.append(row.model_copy(update={"options": {**row.options, "parts": rest}}))
    return rows, left_out


def reference_among(kept: Sequence[ModelConfig], reference: str) -> tuple[str, list[LeftOut]]:
    """The reference, or the simplest row that is left in its place: clinical, classical, any."""
    if any(row.name == reference for row in kept):
        return reference, []
    fallback = min(
        (row for row in kept if not row.permute_outcomes and reads_if_known(row)),
        key=lambda row: (SIMPLEST.index(spec_of(row).role), len(reads_of(row, kept))),
        default=kept[0],
    ).name
    sentence = f"Differences are taken against {fallback}, because {reference} is left out."
    remedy = "name another row in evaluation.reference, if you prefer it"
    return fallback, [LeftOut("evaluation.reference", sentence, remedy)]


def shown_on_pages(
    config: Config, kept: Sequence[ModelConfig], reference: str
) -> tuple[str | None, list[LeftOut]]:
    """The row of the patient pages, where the one that would be on them is left out.

    That is the row that is named or, where none is, the first one that combines modalities.
    """
    names, asked = {row.name for row in kept}, config.report.model
    if asked in names or not config.report.patients:
        return (asked if asked in names else None), []
    combining = [row for row in kept if len(reads_of(row, kept)) > 1 and not row.permute_outcomes]
    if asked is None and combining:
        return None, []
    shown = combining[0].name if combining else reference
    why = f"{asked} is left out" if asked else "no row that combines modalities is left"
    sentence = f"Patient pages show {shown}, because {why}."
    return shown, [LeftOut("report.model", sentence, "name another row, if you prefer it")]


def missing_roles(configured: Sequence[ModelConfig], kept: Sequence[ModelConfig]) -> list[LeftOut]:
    """What can no longer be concluded from a leaderboard."""
    controls = [row for row in configured if row.permute_outcomes]
    if not controls or any(row.permute_outcomes for row in kept):
        return []
    model = next(row for row in kept if not row.permute_outcomes and not is_site(row))
    remedy = f"add {{name: {model.name}_permuted, kind: {model.kind}, permute_outcomes: true}}"
    sentence = "No control trained on permuted outcomes is left, so leaks would go unnoticed."
    return [LeftOut("models", sentence, remedy, "control")]


def is_site(model: ModelConfig) -> bool:
    """Whether a row reads the site alone, with which others are compared."""
    return reads_if_known(model) == (SITE,)


def listed(names: Sequence[str]) -> str:
    """Names with commas, and the last after `and`."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
