"""What the page of an external validation prints; every number is one of its JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from survfuse.artifacts.package_layout import ExternalFolder
from survfuse.config.study import Config
from survfuse.evaluation.external import UNTOUCHED
from survfuse.evaluation.metrics import Metric
from survfuse.reporting.disclosure import of_all
from survfuse.reporting.external.figures import calibration, decisions
from survfuse.reporting.pictures.drawing import Drawing
from survfuse.reporting.render import write_page
from survfuse.reporting.saved_files import Saved
from survfuse.statistics.comparison import LEAST_EVENTS
from survfuse.statistics.updating import IN_THE_LARGE, KINDS, SLOPE
from survfuse.tasks.loading import task_of

Record = Mapping[str, Any]
KIND_LABELS = {IN_THE_LARGE: "in the large", SLOPE: "with slope"}
ROOT = "external_validation"


@dataclass(frozen=True)
class Line:
    """A line of a table: a metric, and of which part."""

    metric: Metric[Any, Any, Any]
    part: str  # "" where it has one value
    words: str  # of the part

    def found(self, metrics: Record | None) -> Any:
        """Its estimate among metrics by name; None where there is none."""
        found = (metrics or {}).get(self.metric.name)
        if not isinstance(found, Mapping) or "value" in found:
            return found
        return found.get(self.part)

    def key(self, *places: str) -> str:
        """The path of its estimate in the JSON."""
        return "/".join([ROOT, *places, self.metric.name, *([self.part] if self.part else [])])


def write_validation_page(
    record: Record, config: Config, least: int, folder: ExternalFolder
) -> None:
    """Write the page, and its figures and tables as files beside it.

    `config`: of the package. `least`: patients below which no count is printed. Raises
    WordingError where the page says what no page may say.
    """
    context = validation_page(record, config, least)
    write_page("external.html.j2", context, folder.validation_page, folder.root)


def validation_page(record: Record, config: Config, least: int) -> dict[str, Any]:
    """The context of the template."""
    board = next(
        board
        for board in task_of(config).documented()
        if board.ranking.name in record["rows"][record["row"]]
    )
    metrics = {one.name: one for one in board.metrics if one.name in record["rows"][record["row"]]}
    lines = list(lines_of(metrics.values(), record))
    again = [one for one in lines if one.metric.topic in ("error", "calibration")]
    large = next((one for one in reversed(lines) if is_large(one)), None)
    cohort = record["cohort"]
    return {
        "record": record,
        "level": f"{100 * record['confidence']:g} %",
        "lines": lines,
        "again": again if record["recalibrated"] else [],
        "ranking": next(one for one in lines if one.metric is board.ranking),
        "large": large,
        "few": [
            record["parts"][part]
            for part, events in record["events"].items()
            if events < LEAST_EVENTS
        ],
        "least_events": LEAST_EVENTS,
        "kinds": [kind for kind in KINDS if kind in record["recalibrated"]],
        "kind_labels": KIND_LABELS,
        "parts": record["parts"],
        "refused": refused(record),
        "otherwise": [
            (metrics[name].title, why)
            for name, why in record["not_as_in_study"].items()
            if name in metrics
        ],
        "reasons": reasons_of(lines, record),
        "in_study": in_study,
        "outcome_of": outcome_of,
        "counted": of_all,
        "least": least,
        "events": cohort.get("n_events"),
        "follow_up": cohort.get("median_follow_up_months"),
        "subgroup_lines": [
            metrics[name] for name in (record["subgroups"] or [{"metrics": {}}])[0]["metrics"]
        ],
        "drawings": drawings_of(record, least),
        "tables": {},
        "saved": Saved(),
        "own_words": [
            record["label"],
            record["reference_label"] or "",
            cohort["name"],
            record["package"]["name"],
            *record["parts"],
        ],
    }


def lines_of(metrics: Any, record: Record) -> Iterator[Line]:
    """A line for each metric, or each of its parts."""
    for metric in metrics:
        found = record["rows"][record["row"]][metric.name]
        if "value" in found:
            yield Line(metric, "", "")
            continue
        for part in found:
            yield Line(metric, part, record["parts"][part])


def is_large(line: Line) -> bool:
    """Whether a line is calibration in the large."""
    return line.metric.better == "near 1" and "slope" not in line.metric.name


def in_study(line: Line, record: Record, row: str) -> Any:
    """What the study found of a line out-of-fold, None where it cannot be compared."""
    kept = record["study"]["rows"].get(row, {"metrics": {}})["metrics"].get(line.metric.name)
    if kept is None or line.metric.name in record["not_as_in_study"]:
        return None
    found = kept["found"]
    if isinstance(found, Sequence):
        return found[list(record["parts"]).index(line.part)]
    return found if "value" in found else found.get(line.part)


def refused(record: Record) -> list[tuple[str, str, str]]:
    """Kind, part in words and reason of every recalibration that was not made."""
    return [
        (KIND_LABELS[kind], record["parts"][part], fitted["reason"])
        for kind, one in record["recalibrated"].items()
        for part, fitted in one["fitted"].items()
        if "reason" in fitted
    ]


def drawings_of(record: Record, least: int) -> list[Drawing]:
    """Calibration before and after recalibration, and decision curves; none without probability."""
    after = next(
        (kind for kind in (SLOPE, IN_THE_LARGE) if any_fitted(record, kind)),
        None,
    )
    labels = {UNTOUCHED: record["label"]}
    if after is not None:
        labels[after] = f"recalibrated {KIND_LABELS[after]}"
    if record["reference"]:
        labels[record["reference"]] = record["reference_label"]
    heading = {
        part: words or record["predicted"]["name"] for part, words in record["parts"].items()
    }
    calibrated = {
        heading[part]: {
            labels[name]: kept
            for name, points in found["calibration"].items()
            if name in (UNTOUCHED, after) and (kept := shown_points(points, least))
        }
        for part, found in record["curves"].items()
    }
    calibrated = {head: series for head, series in calibrated.items() if series}
    decided = {
        heading[part]: found["decision"]
        for part, found in record["curves"].items()
        if found["decision"]
    }
    return [
        *([calibration(calibrated, record["label"])] if calibrated else []),
        *([decisions(decided, labels, record["label"])] if decided else []),
    ]


def reasons_of(lines: Sequence[Line], record: Record) -> list[tuple[str, str]]:
    """What cannot be estimated of the row, and why."""
    found = [(line, line.found(record["rows"][record["row"]])) for line in lines]
    return [
        (f"{line.metric.title} {line.words}".strip(), one["reason"])
        for line, one in found
        if one.get("reason")
    ]


def any_fitted(record: Record, kind: str) -> bool:
    """Whether a recalibration was made at all."""
    fitted = record["recalibrated"].get(kind, {"fitted": {}})["fitted"]
    return any("slope" in one for one in fitted.values())


def shown_points(points: Sequence[Record], least: int) -> list[Record]:
    """The points of a calibration curve that have an interval and enough patients."""
    return [one for one in points if one["low"] is not None and one["n"] >= least]


def outcome_of(estimate: Record | None, neutral: float) -> str:
    """On which side of a value an interval lies: above, below, or across it."""
    if estimate is None or estimate.get("low") is None:
        return "unknown"
    if estimate["low"] > neutral:
        return "above"
    return "below" if estimate["high"] < neutral else "across"
