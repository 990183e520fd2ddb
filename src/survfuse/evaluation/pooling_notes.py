"""What to keep in mind when differences of several studies are pooled, in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from survfuse.artifacts.comparison import Difference, PooledDifference
from survfuse.evaluation.comparable import FinishedStudy

ENOUGH_STUDIES = 10  # from which the variance between studies is estimated tolerably
FEW_FREEDOM = 10  # degrees of freedom below which a standard error is itself uncertain
ALWAYS = (
    "Studies are taken to be independent: no patient may be in two of them. That their splits "
    "differ is checked, who is in them is not.",
    "Rows are matched by their names. Whether the studies mean the same by endpoint, class and "
    "covariate is not checked.",
)


def notes_on(
    studies: Sequence[FinishedStudy],
    models: Sequence[str],
    differences: Sequence[Difference],
    pooled: Sequence[PooledDifference],
) -> list[str]:
    """The sentences for these rows, of which the first is the reference."""
    return [
        *few_studies(pooled),
        *several_rows(models[1:]),
        *few_events(differences),
        *few_folds(differences),
        *(note for model in models for note in not_alike(studies, model)),
        *ALWAYS,
    ]


def few_studies(pooled: Sequence[PooledDifference]) -> list[str]:
    """With few studies nobody knows how much they differ."""
    numbers = sorted({one["n_studies"] for one in pooled})
    if numbers[0] >= ENOUGH_STUDIES:
        return []
    told = f"{numbers[0]}" if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    found = [
        f"With {told} studies the variance between studies is poorly estimated: a τ² or I² of 0 "
        "does not show that they agree."
    ]
    if numbers[0] == 2:
        found.append(
            "Two studies give no prediction interval, and the interval of their mean is very wide: "
            "they say next to nothing of how much cohorts differ."
        )
    if numbers[-1] > 2:
        found.append(
            "Prediction intervals of few studies hold the difference of a new cohort less often "
            "than their level says."
        )
    return found


def several_rows(models: Sequence[str]) -> list[str]:
    """The more rows are looked at, the more often one differs by chance."""
    if len(models) < 2:
        return []
    return [f"{len(models)} rows are pooled, and no interval is widened for their number."]


def few_events(differences: Sequence[Difference]) -> list[str]:
    """Studies that support no verdict by themselves."""
    names = list(dict.fromkeys(one["study"] for one in differences if one["few"]))
    return [
        f"{name} has too few events or cases for a verdict of its own; its standard error, and so "
        "its weight, is uncertain."
        for name in names
    ]


def few_folds(differences: Sequence[Difference]) -> list[str]:
    """Standard errors that rest on few folds or cases."""
    few = [one for one in differences if one["freedom"] and one["freedom"] < FEW_FREEDOM]
    if not few:
        return []
    names = list(dict.fromkeys(one["study"] for one in few))
    least = min(one["freedom"] or FEW_FREEDOM for one in few)
    return [
        f"Some standard errors rest on few folds or cases (as few as {least:g} degrees of freedom; "
        f"{', '.join(names)}): they are uncertain themselves, and so are the weights."
    ]


def not_alike(studies: Sequence[FinishedStudy], model: str) -> list[str]:
    """Where a row is another kind of model, or is given other inputs, from study to study."""
    made: dict[str, list[str]] = {}
    for study in studies:
        if row := study.row(model):
            made.setdefault(f"{row['kind']} on {' + '.join(row['modalities'])}", []).append(
                study.name
            )
    if len(made) < 2:
        return []
    told = "; ".join(f"{what} in {', '.join(names)}" for what, names in made.items())
    return [f"The row {model} is not the same in all studies: {told}."]
