"""What finished studies of survival have in common."""

from __future__ import annotations

from survfuse.artifacts.evaluation import Comparison, Evaluation
from survfuse.evaluation.comparable import Comparable, PairedDifference
from survfuse.statistics.intervals import CORRECTED_T
from survfuse.tasks.survival.metrics import METRICS, RANKING

SHOWN = ("harrell_c", "uno_c", "ibs", "calibration_slope")


def freedom(evaluation: Evaluation, comparison: Comparison) -> float:
    """Degrees of freedom of a corrected resampled t: folds in which both rows are scored, less 1.

    Of the repeats that both rows have, which are the first ones.
    """
    number = comparison["n_repeats"] * evaluation["n_folds"]
    ours, theirs = (
        next(RANKING.found(row)["per_fold"] for row in evaluation["rows"] if row["model"] == model)
        for model in (comparison["model"], comparison["reference"])
    )
    pairs = list(zip(ours, theirs, strict=False))[:number]
    return sum(None not in pair for pair in pairs) - 1


SURVIVAL = Comparable(
    "Survival",
    [PairedDifference(RANKING, f"{CORRECTED_T}, which allows for models trained again", freedom)],
    [METRICS[name] for name in SHOWN],
)
