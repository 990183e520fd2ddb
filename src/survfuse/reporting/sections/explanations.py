"""The explanations of a model on the cohort page: permutation importance and stability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from survfuse.artifacts.evaluation import SurvivalEvaluation
from survfuse.modalities.registry import MODALITIES
from survfuse.reporting.findings import Axis, axis_over, row_of
from survfuse.reporting.pictures.drawing import Drawing
from survfuse.reporting.pictures.forest import ForestRow, forest
from survfuse.reporting.stored_attention import TILES
from survfuse.reporting.wording import decimal, plural, within_sentence

RANKED = {
    **{
        name: f"{entry.part}s by their effect on the estimate"
        for name, entry in MODALITIES.items()
        if entry.part
    },
    "attention": "gene groups by attention",
}


@dataclass(frozen=True)
class ContributionRow:
    """A modality and the C-index lost without it, over the cohort."""

    name: str
    key: str  # in the stored contributions
    drop: dict[str, Any]  # an Estimate as JSON
    shown: bool  # whether the interval lies above 0


@dataclass(frozen=True)
class ModelExplanation:
    """What the cohort page prints of one explained model.

    stability: a paragraph for each kind of ranking. tile_agreement: of the members of an ensemble,
    median over patients, None if unknown.
    """

    model: str
    label: str
    rows: list[ContributionRow]
    axis: Axis  # of the drops
    relies: list[str]
    stability: list[str]
    tile_agreement: float | None


def model_explanations(evaluation: SurvivalEvaluation) -> list[ModelExplanation]:
    """The explanations in an evaluation by model; an older evaluation has none."""
    found = []
    for model, summary in evaluation["explained"].items():
        label = str((row_of(evaluation, model) or {"label": model})["label"])
        rows = contribution_rows(summary["contribution"])
        drops = [row.drop for row in rows]
        ends = [drop[end] for drop in drops for end in ("value", "low", "high")]
        folds = [value for drop in drops for value in drop["per_fold"]]
        found.append(
            ModelExplanation(
                model=model,
                label=label,
                rows=rows,
                axis=axis_over([-0.1, 0.1, *ends, *folds]),
                relies=contribution_sentences(rows, label),
                stability=[
                    " ".join(stability_sentences({kind: measured}))
                    for kind, measured in summary["stability"].items()
                ],
                tile_agreement=summary["attention_agreement"].get(TILES),
            )
        )
    return found


def contribution_figure(explained: ModelExplanation) -> Drawing:
    """The permutation importance of the modalities as a forest plot; the page has it as a table."""
    rows = [ForestRow("", row.name, "", row.drop, "plain") for row in explained.rows]
    nothing = {"nothing lost": (0.0, "#6b757e", (0, (1, 2)))}
    limits = (explained.axis.low, explained.axis.high)
    title = f"What {explained.label} relies on"
    measure = "Drop of Harrell’s C when permuted"
    name = f"relies_on_{explained.model}"
    return forest(rows, nothing, limits, measure, name, title)


def contribution_rows(contribution: Mapping[str, dict[str, Any]]) -> list[ContributionRow]:
    """The cohort's modalities, the one with the largest drop first."""
    rows = [
        ContributionRow(MODALITIES[key].label, key, drop, (drop["low"] or 0.0) > 0)
        for key, drop in contribution.items()
    ]
    return sorted(rows, key=lambda row: -(row.drop["value"] or 0.0))


def contribution_sentences(rows: Sequence[ContributionRow], label: str) -> list[str]:
    """What the drops show of a model; only what their intervals allow to be said."""
    named = {within_sentence(row.name) for row in rows if row.shown}
    others = [within_sentence(row.name) for row in rows if not row.shown]
    found = [f"{label} relies on the {name} to rank patients." for name in sorted(named)]
    return found + [f"{label} is not shown to rely on the {name}." for name in others]


def stability_sentences(stability: Mapping[str, dict[str, Any]]) -> list[str]:
    """How far the models of different folds agree, in words, one or two sentences for each kind."""
    found = []
    for kind, measured in stability.items():
        if measured["spearman"] is None:
            found.append(
                f"Agreement of the folds on {RANKED[kind]}: not known, {measured['reason']}."
            )
            continue
        found.append(
            f"The models of {plural(measured['folds'], 'fold')} rank {measured['parts']} "
            f"{RANKED[kind]} {agreement_in_words(measured['spearman'])}: mean rank correlation "
            f"{decimal(measured['spearman'])}, lowest pair {decimal(measured['lowest'])}, chance 0."
        )
        if measured["top"] < 2:
            continue
        found.append(
            f"Of the {measured['top']} first, two models have {decimal(measured['shared'], 1)} in "
            f"common on average; by chance it would be {decimal(measured['shared_by_chance'], 1)}."
        )
    return found


def agreement_in_words(correlation: float) -> str:
    """A rank correlation in words."""
    if correlation >= 0.7:
        return "in much the same order"
    return "in partly the same order" if correlation >= 0.3 else "in hardly the same order"


def is_stable(stability: Mapping[str, dict[str, Any]], kind: str) -> bool | None:
    """Whether folds agree on a ranking at least in part; None if that is not known."""
    correlation = (stability.get(kind) or {}).get("spearman")
    return None if correlation is None else bool(correlation >= 0.3)
