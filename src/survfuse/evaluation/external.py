"""Predictions of a finished study in a cohort that had no part in it.

A task says what can be looked at there (`External`); what is made of it is the same for all: every
metric of its leaderboard with the interval of one bootstrap of the patients, differences from the
reference in the same resamples, recalibration beside the untouched result, curves, and what is
found in those who lack inputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np

from survfuse.evaluation.metrics import Metric
from survfuse.statistics.comparison import LEAST_EVENTS
from survfuse.statistics.decision_curve import decision_curve
from survfuse.statistics.intervals import Estimate, NotEstimableError, percentile_interval
from survfuse.statistics.updating import KINDS, Link, Update, cross_fitted, require_events

AnyMetric = Metric[Any, Any, Any]
# By part ("" where a metric has one value): in the cohort and in every resample, (1 + B,).
Draws = Mapping[str, np.ndarray | NotEstimableError]
UNTOUCHED = "untouched"
DIFFERS = ("higher", "lower")  # of metrics with these the difference of two rows has a meaning


class External(ABC):
    """Patients with outcomes, and how their predictions are scored.

    A prediction is an array (n, k): a probability for every part, of which there is one for each
    horizon, or for each class, or one of two classes. NaN: not estimated.

    metrics: of the leaderboard of the study, as far as they have a meaning here. counts: (1 + B, n)
    as from `draw_counts`. parts: of a prediction. link: the scale on which it is recalibrated, None
    where it cannot be. counted_as: what `events` counts. not_as_in_study: by the names of metrics
    that the study computed otherwise, why they cannot be compared. notes: on how things are scored.
    """

    metrics: Sequence[AnyMetric]
    ranking: AnyMetric
    parts: tuple[str, ...]
    counts: np.ndarray
    confidence: float
    seed: int
    not_as_in_study: Mapping[str, str]
    notes: Sequence[str]
    link: Link | None = None
    counted_as: ClassVar[str] = "events"

    @abstractmethod
    def probabilities(self, estimates: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """(n, k) what is estimated of each patient, see `Task.estimates`, as one prediction."""

    @abstractmethod
    def draws(self, metric: AnyMetric, probability: np.ndarray) -> Draws:
        """A metric of a prediction. Raises NotEstimableError where it has no value at all."""

    @abstractmethod
    def in_words(self, part: str) -> str:
        """What a part of a prediction is of, within a sentence; empty where there is one alone."""

    @abstractmethod
    def among(self, rows: np.ndarray) -> Self:
        """The same for some of the patients, with resamples of them."""

    @abstractmethod
    def events(self, part: str) -> int:
        """How much there is to learn from: events, or patients of the rarer class."""

    @abstractmethod
    def calibration(self, probability: np.ndarray, part: str) -> list[dict[str, Any]]:
        """The calibration curve of one part of a prediction (n,); empty where it has none."""

    @abstractmethod
    def happened(self, part: str) -> tuple[np.ndarray, np.ndarray]:
        """Who is a case (n,) bool, and what each patient counts (n,), 0 where it is not known.

        Raises NotEstimableError.
        """

    @abstractmethod
    def update(self, probability: np.ndarray, part: str, kind: str, rows: np.ndarray) -> Update:
        """The recalibration of one part of a prediction (n,), fitted on some rows alone.

        Raises NotEstimableError.
        """

    def never_falling(self, probability: np.ndarray) -> np.ndarray:
        """A recalibrated prediction (n, k), no part of which may contradict another."""
        return probability

    @property
    def grouped_by(self) -> list[AnyMetric]:
        """The metrics that are reported of subgroups: the ranking, and calibration in the large."""
        large = [one for one in self.metrics if one.better == "near 1" and "slope" not in one.name]
        return [self.ranking, *large]


@dataclass(frozen=True)
class Recalibrated:
    """A recalibration: by part what was fitted on all patients, or why nothing was.

    probability: (n, k), of each patient by what the others show; NaN where nothing was fitted.
    """

    kind: str
    fitted: Mapping[str, Update | NotEstimableError]
    probability: np.ndarray

    @property
    def reasons(self) -> dict[str, str]:
        """Why parts have none."""
        return {part: str(one) for part, one in self.fitted.items() if not isinstance(one, Update)}

    def as_json(self) -> dict[str, Any]:
        """By part, for recalibration.json."""
        return {
            part: one.as_json() if isinstance(one, Update) else {"reason": str(one)}
            for part, one in self.fitted.items()
        }


def evaluate_external(
    external: External,
    rows: Mapping[str, np.ndarray],
    reference: str | None,
    groups: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """What external_validation.json says of predictions; the first of `rows` is recalibrated.

    `rows`: by name, (n, k) each. `reference`: one of them that the first is compared with.
    `groups`: by name, (n,) bool, of whom the first row is also scored alone.
    """
    row = next(iter(rows))
    draws = {name: all_draws(external, one) for name, one in rows.items()}
    recalibrated = [recalibrate(external, rows[row], kind) for kind in KINDS if external.link]
    curves = {
        UNTOUCHED: rows[row],
        **{one.kind: one.probability for one in recalibrated},
        **({reference: rows[reference]} if reference else {}),
    }
    return {
        "parts": {part: external.in_words(part) for part in external.parts},
        "events": {part: external.events(part) for part in external.parts},
        "counted_as": external.counted_as,
        "rows": {name: estimated(external, one) for name, one in draws.items()},
        "differences": differences(external, draws[row], draws[reference]) if reference else {},
        "recalibrated": {one.kind: worth(external, one, draws[row]) for one in recalibrated},
        "curves": {part: curves_of(external, curves, part, reference) for part in external.parts}
        if external.link
        else {},
        "subgroups": [
            subgroup(external, name, members, rows[row]) for name, members in groups.items()
        ],
        "not_as_in_study": dict(external.not_as_in_study),
        "notes": list(external.notes),
    }


def all_draws(external: External, probability: np.ndarray) -> dict[str, Draws]:
    """Every metric of a prediction; of one without any value the reason."""
    return {one.name: draws_of(external, one, probability) for one in external.metrics}


def draws_of(external: External, metric: AnyMetric, probability: np.ndarray) -> Draws:
    """A metric of a prediction."""
    try:
        return external.draws(metric, probability)
    except NotEstimableError as error:
        return {"": error}


def estimate_of(values: np.ndarray | NotEstimableError, confidence: float) -> dict[str, Any]:
    """The estimate and its percentile interval, or the reason why there is none."""
    if isinstance(values, NotEstimableError) or np.isnan(values[0]):
        why = str(values) if isinstance(values, NotEstimableError) else "it has no value here"
        return Estimate(reason=why).as_json()
    return percentile_interval(values, confidence).as_json()


def in_parts(estimates: Mapping[str, Any]) -> Any:
    """By part, or the one estimate where a metric has no parts."""
    return estimates[""] if list(estimates) == [""] else dict(estimates)


def estimated(external: External, draws: Mapping[str, Draws]) -> dict[str, Any]:
    """Every metric with its interval, in the form of a row of evaluation.json."""
    return {
        name: in_parts({part: estimate_of(v, external.confidence) for part, v in found.items()})
        for name, found in draws.items()
    }


def differences(
    external: External, ours: Mapping[str, Draws], theirs: Mapping[str, Draws]
) -> dict[str, Any]:
    """Paired differences of metrics of which more, or less, is better."""
    return {
        one.name: in_parts(dict(paired(ours[one.name], theirs[one.name], external.confidence)))
        for one in external.metrics
        if one.better in DIFFERS
    }


def paired(ours: Draws, theirs: Draws, confidence: float) -> Iterator[tuple[str, Any]]:
    """By part, the difference in the same resamples; the reason where either has no value."""
    for part, mine in ours.items():
        other = theirs.get(part, theirs.get("", NotEstimableError("the other has none")))
        if isinstance(mine, NotEstimableError) or isinstance(other, NotEstimableError):
            without = mine if isinstance(mine, NotEstimableError) else other
            yield part, estimate_of(without, confidence)
        else:
            yield part, estimate_of(mine - other, confidence)


def recalibrate(external: External, probability: np.ndarray, kind: str) -> Recalibrated:
    """A recalibration of every part of a prediction (n, k), and what it makes of each patient."""
    fitted: dict[str, Update | NotEstimableError] = {}
    found, everybody = np.full(probability.shape, np.nan), np.arange(len(probability))
    for column, part in enumerate(external.parts):
        update_on = partial(external.update, probability[:, column], part, kind)
        try:
            require_events(external.events(part), kind, external.counted_as)
            found[:, column] = cross_fitted(probability[:, column], update_on, external.seed)
            fitted[part] = update_on(everybody)
        except NotEstimableError as error:
            fitted[part] = error
    return Recalibrated(kind, fitted, external.never_falling(found))


def worth(external: External, one: Recalibrated, untouched: Mapping[str, Draws]) -> dict[str, Any]:
    """Error and calibration of a recalibrated prediction, and how the error differs from before.

    Recalibration does not change whom it places before whom, so that ranking is not reported again.
    """
    metrics = [metric for metric in external.metrics if metric.topic in ("error", "calibration")]
    draws = {metric.name: draws_of(external, metric, one.probability) for metric in metrics}
    scored = {
        name: {
            part: NotEstimableError(one.reasons[part]) if part in one.reasons else values
            for part, values in found.items()
        }
        for name, found in draws.items()
    }
    return {
        "metrics": estimated(external, scored),
        "differences": {
            metric.name: in_parts(
                dict(paired(scored[metric.name], untouched[metric.name], external.confidence))
            )
            for metric in metrics
            if metric.better in DIFFERS
        },
        "fitted": one.as_json(),
    }


def curves_of(
    external: External, rows: Mapping[str, np.ndarray], part: str, reference: str | None
) -> dict[str, Any]:
    """Calibration curves and decision curves of one part of several predictions."""
    column = external.parts.index(part)
    there = {name: p[:, column] for name, p in rows.items() if not np.isnan(p[:, column]).any()}
    try:
        case, weight = external.happened(part)
    except NotEstimableError as error:
        return {"calibration": {}, "decision": [], "reason": str(error)}
    return {
        "calibration": {name: external.calibration(p, part) for name, p in there.items()},
        "decision": decision_curve(
            there, case, weight, external.counts, external.confidence, reference
        ),
    }


def subgroup(
    external: External, name: str, members: np.ndarray, probability: np.ndarray
) -> dict[str, Any]:
    """What is found in some patients; nothing with fewer than LEAST_EVENTS events."""
    rows = np.flatnonzero(members)
    own, last = external.among(rows), external.parts[-1]
    events = own.events(last)
    metrics = {}
    for metric in external.grouped_by:
        if events < LEAST_EVENTS:
            why = f"fewer than {LEAST_EVENTS} {external.counted_as}"
            metrics[metric.name] = Estimate(reason=why).as_json()
            continue
        found = draws_of(own, metric, probability[rows])
        values = found.get(last, found.get("", next(iter(found.values()))))
        metrics[metric.name] = estimate_of(values, external.confidence)
    return {"name": name, "n": len(rows), "events": events, "part": last, "metrics": metrics}
