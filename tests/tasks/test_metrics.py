"""Adding a metric is one declaration: the examples of the page, through to the report."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clinic_fixture import write_clinic
from evaluation_fixture import write_study
from reporting_fixture import write_fixture
from survfuse.core.files import read_json
from survfuse.evaluation.files import EvaluationFiles
from survfuse.evaluation.metrics import declared
from survfuse.reporting.stage import write_reports
from survfuse.tasks import metric_docs
from survfuse.tasks.diagnosis.metrics import MORE_CLASSES, TWO_CLASSES, ranking_of
from survfuse.tasks.survival.leaderboard import evaluate
from survfuse.tasks.survival.metrics import METRICS, RANKING

DOCS = Path(__file__).parents[2] / "docs"


def example(number: int) -> Any:
    """The metric that a Python block of the page declares."""
    page = (DOCS / "how_to" / "add_metric.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", page, re.DOTALL)[number], names)
    return names["METRIC"]


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return {row[next(iter(row))]: row for row in csv.DictReader(handle)}


def without_pages(config: Any) -> Any:
    return config.model_copy(update={"report": config.report.model_copy(update={"patients": []})})


def test_a_survival_metric_of_one_declaration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = example(0)
    monkeypatch.setitem(METRICS, metric.name, metric)
    fixture = write_fixture(tmp_path / "results")
    config, inputs = without_pages(fixture.config), fixture.inputs
    evaluate(
        EvaluationFiles(
            outcomes=inputs.outcomes,
            splits=inputs.splits,
            predictions=inputs.predictions.root,
            out=inputs.evaluation_json,
        ),
        config.models,
        config.evaluation.model_copy(update={"bootstrap": 50}),
        config.grid_months(),
    )
    evaluation = read_json(inputs.evaluation_json)
    stored = {row["model"]: row["integrated_auc"] for row in evaluation["rows"]}
    assert 0.5 < stored["cmta"]["low"] < stored["cmta"]["value"] < stored["cmta"]["high"] < 1
    told = next(one for one in evaluation["statements"] if one.startswith("Intervals of C"))
    assert "intervals of AUC, Brier score, observed/expected and integrated AUC resample" in told
    write_reports(config, config.output, tmp_path / "report")
    tables = tmp_path / "report" / "tables"
    shown = rows_of(tables / "discrimination_over_time.csv")["CMTA"]
    assert float(shown["Integrated AUC"]) == pytest.approx(stored["cmta"]["value"], abs=0.006)
    assert shown["Integrated AUC low"] < shown["Integrated AUC"] < shown["Integrated AUC high"]
    saved = rows_of(tables / "leaderboard.csv")["cmta"]
    for end, key in (("", "value"), ("_low", "low"), ("_high", "high")):
        assert float(saved[f"integrated_auc{end}"]) == pytest.approx(stored["cmta"][key], rel=1e-5)
    html = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "Integrated AUC: the mean of the AUC over the " in html
    assert "<dt>Integrated AUC</dt><dd>Integrated AUC: the mean of the AUC over the " in html
    assert "| `integrated_auc` | Integrated AUC |" in metric_docs.markdown()


def test_a_metric_of_a_diagnosis_of_one_declaration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metric = example(1)
    monkeypatch.setitem(TWO_CLASSES, metric.name, metric)
    clinic = write_clinic(tmp_path / "results", volumes=False)
    stored = {row["model"]: row.get("log_loss") for row in read_json(clinic.evaluation)["rows"]}
    assert 0 < stored["itcfn"]["low"] < stored["itcfn"]["value"] < stored["itcfn"]["high"]
    assert stored["oracle"] is None
    write_reports(without_pages(clinic.config), clinic.out, tmp_path / "report")
    tables = tmp_path / "report" / "tables"
    shown = rows_of(tables / "probabilities.csv")["ITCFN"]
    assert float(shown["Log loss"]) == pytest.approx(stored["itcfn"]["value"], abs=6e-4)
    saved = rows_of(tables / "leaderboard.csv")["itcfn"]
    assert float(saved["log_loss_low"]) == pytest.approx(stored["itcfn"]["low"], rel=1e-5)
    assert "| `log_loss` | Log loss |" in metric_docs.markdown()


def test_the_page_of_metrics_is_that_of_the_declarations() -> None:
    assert (DOCS / "reference" / "metrics.md").read_text(encoding="utf-8") == metric_docs.markdown()


def test_two_metrics_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        declared(RANKING, RANKING)


def test_the_ranking_metric_is_one_of_those_declared() -> None:
    assert RANKING in METRICS.values()
    assert ranking_of(2) in TWO_CLASSES.values()
    assert ranking_of(3) in MORE_CLASSES.values()
    assert {RANKING.better, ranking_of(2).better, ranking_of(3).better} == {"higher"}


def test_rows_are_ordered_and_compared_by_whatever_metric_ranks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("leaderboard", "statements", "ablation_scores"):
        monkeypatch.setattr(f"survfuse.tasks.survival.{module}.RANKING", METRICS["uno_c"])
    result = write_study(tmp_path).evaluate()
    models = [row for row in result["rows"] if row["role"] in ("unimodal", "fusion", "late")]
    values = [row["uno_c"]["value"] for row in models]
    assert values == sorted(values, reverse=True)
    assert {entry["metric"] for entry in result["comparisons"]} == {"uno_c"}
    by_fold = {row["model"]: row["uno_c"]["per_fold"] for row in result["rows"]}
    entry = next(one for one in result["comparisons"] if one["model"] == "cmta")
    apart = np.subtract(by_fold["cmta"], by_fold[entry["reference"]])
    assert apart.min() < entry["difference"] < apart.max()
    assert list(result["oracle"]) == ["uno_c"]
