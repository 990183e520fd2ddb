"""The whole leaderboard as one table, with all digits: `tables/leaderboard.csv`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from survfuse.artifacts.evaluation import Evaluation
from survfuse.evaluation.metrics import Metric
from survfuse.reporting.columns import Columns, columns_of
from survfuse.reporting.sections.read_counts import read_count

HEADING = ("model", "label", "kind", "role")


def leaderboard_table(
    evaluation: Evaluation,
    counts: Mapping[str, int | None],
    metrics: Iterable[Metric[Any, Any, Any]],
    ranking: Metric[Any, Any, Any],
    names: Mapping[str, Any],
    least: int,
    over_all: str | None = None,
) -> Columns:
    """Every row with all its metrics, intervals and reasons.

    `counts`: numbers of patients that are the same for all rows, None where withheld. `ranking`:
    the metric that stands first, and whose differences from the reference are given; it stands
    under the key `over_all` too, where evaluation.json has it over all repeats. `names` of horizons
    or classes, by what evaluation.json calls them.
    """
    differences = {
        entry["model"]: entry
        for entry in evaluation["comparisons"]
        if entry["metric"] == ranking.compared_as and entry["reference"] == evaluation["reference"]
    }
    ordered = [ranking, *(metric for metric in metrics if metric is not ranking)]
    found = []
    for row in evaluation["rows"]:
        cells = {key: row[key] for key in HEADING} | {"inputs": " + ".join(row["modalities"])}
        cells["n_repeats"] = row.get("n_repeats")
        cells |= {name: "withheld" if n is None else n for name, n in counts.items()}
        if "n_read" in row:
            cells["n_read"] = read_count(row, evaluation["n_patients"], least)
        if over_all is not None:
            cells |= dict(estimates(over_all, row[over_all], names))
        for metric in ordered:
            cells |= dict(estimates(metric.path.replace("/", "_"), metric.found(row), names))
        if row["model"] in differences:
            entry = differences[row["model"]]
            name = f"difference_from_{evaluation['reference']}"
            cells |= dict(estimates(name, {**entry, "value": entry["difference"]}, names))
        found.append(cells)
    return columns_of(found)


def estimates(
    key: str, value: Any, names: Mapping[str, Any]
) -> Iterator[tuple[str, float | str | None]]:
    """The columns of a metric: value, low, high and the reason where there is none.

    A metric by horizon or class has these for each.
    """
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = {str(number): part for number, part in enumerate(value)}
    if not isinstance(value, Mapping):
        return
    if "value" not in value:
        for part, inner in value.items():
            if isinstance(inner, Mapping):
                yield from estimates(f"{key}_{names.get(part, part)}", inner, names)
        return
    yield key, value["value"]
    yield f"{key}_low", value.get("low")
    yield f"{key}_high", value.get("high")
    if value.get("reason"):
        yield f"{key}_reason", value["reason"]
