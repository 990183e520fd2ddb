"""The page of a comparison: true to compare.json, self-contained, and plain about few studies."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from comparison_fixture import folds, write_diagnosis, write_survival
from reporting_fixture import Page
from survfuse.artifacts.layout import ComparisonFolder, ResultsFolder
from survfuse.core.files import read_json, write_json
from survfuse.reporting.comparison.forest import shortened
from survfuse.reporting.comparison.stage import compare

MINUS = "\u2212"


@pytest.fixture(scope="module")
def survival(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("survival")
    folders = [
        write_survival(
            root / name,
            {"survfuse": folds(seed, mean), "snn": folds(9 + seed, -0.02, number=5)},
            few=name == "small",
        )
        for seed, (name, mean) in enumerate({"blca": 0.06, "hnsc": 0.05, "small": 0.07}.items())
    ]
    compare(folders, root / "out")
    return root / "out"


def page_of(out: Path) -> str:
    return ComparisonFolder(out).page.read_text("utf-8")


def text_of(html: str) -> str:
    body = re.sub(r"<style>.*?</style>|<svg.*?</svg>", "", html, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"</?(?:span|b|i)\b[^>]*>", "", body)).split())


def test_nothing_is_fetched_and_every_link_leads_to_a_file(survival: Path) -> None:
    html = page_of(survival)
    links = {a["href"] for a in Page(html).all("a")}
    written = {
        path.relative_to(survival).as_posix()
        for folder in ("figures", "tables")
        for path in (survival / folder).iterdir()
    }
    assert links == written
    assert "http://" not in html and "https://" not in html and "@import" not in html
    assert not Page(html).all("script") and not re.findall(r"url\((?!#)", html)


def test_numbers_of_the_page_are_those_of_the_file(survival: Path) -> None:
    """Every figure names its place; the flat records are found by study, row and metric."""
    stored = read_json(ComparisonFolder(survival).record)
    lists = {name: stored[name] for name in ("scores", "differences", "pooled")}
    shown = re.findall(r'data-key="compare/([^"]+)">([^<]+)<', page_of(survival))
    assert len(shown) > 80
    for key, text in shown:
        name, *where, field = key.split("/")
        keys = ("model", "metric") if name == "pooled" else ("study", "model", "metric")
        [record] = [one for one in lists[name] if [one[k] for k in keys] == where]
        digits = len(text.partition(".")[2])
        assert float(text.replace(MINUS, "-")) == pytest.approx(
            record[field], abs=0.51 / 10**digits
        )


def test_the_verdict_is_about_the_mean_and_about_a_new_cohort(survival: Path) -> None:
    text = text_of(page_of(survival))
    assert "On average over 3 cohorts SurvFuse is better than Clinical Cox in Harrell’s" in text
    assert "In one new cohort like these the difference is expected between" in text
    assert "With 3 studies the variance between studies is poorly estimated" in text
    assert "2 rows are pooled, and no interval is widened for their number." in text
    assert "In grey: from too few events or cases for a verdict." in text


def test_the_plot_shows_every_study_and_the_mean(survival: Path) -> None:
    svg = Page(page_of(survival)).all("svg")
    assert len(svg) == 1
    for name in ("blca", "hnsc", "small", "mean over cohorts"):
        assert name in svg[0]["aria-label"]
    with (survival / "figures" / "differences_harrell_c.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["study"] for row in rows] == [
        "blca",
        "hnsc",
        "small",
        "mean over cohorts",
        "a new cohort",
    ]
    assert sum(float(row["weight"]) for row in rows[:3]) == pytest.approx(1, abs=1e-5)


def test_tables_as_files_have_every_study_of_every_row(survival: Path) -> None:
    with (survival / "tables" / "studies.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    parts = [row["part"] for row in rows]
    assert parts.count("SurvFuse (survfuse)") == 4 and parts.count("SNN (genes) (snn)") == 4
    assert parts.count("Clinical Cox (clinical_cox)") == 3
    assert [row["Study"] for row in rows].count("Pooled") == 2
    assert float(rows[-1]["Difference in Harrell’s C"]) > 0.04


def test_two_studies_and_a_metric_of_which_lower_is_better(tmp_path: Path) -> None:
    folders = [
        write_diagnosis(tmp_path / name, {"itcfn": (0.2, 0.005)}) for name in ("oasis", "adni")
    ]
    compare(folders, tmp_path / "out")
    text = text_of(page_of(tmp_path / "out"))
    assert "itcfn is better than logistic in AUROC: mean difference +0.200" in text
    assert f"itcfn is better than logistic in Brier score: mean difference {MINUS}0.020" in text
    assert "lower is better" in text
    assert "Two studies say nothing of the difference in a new cohort." in text
    assert "prediction interval below it" not in text
    html = page_of(tmp_path / "out")
    assert html.count("← logistic better") == 1 and html.count("← itcfn better") == 1


def test_a_worse_row_is_called_worse_and_an_unclear_one_unclear(tmp_path: Path) -> None:
    folders = [
        write_survival(
            tmp_path / name, {"worse": folds(1, -0.2, 0.001), "unclear": folds(2, 0.0, 0.1)}
        )
        for name in ("one", "two", "three")
    ]
    compare(folders, tmp_path / "worse", ["worse"])
    assert "worse is worse than Clinical Cox" in text_of(page_of(tmp_path / "worse"))
    compare(folders, tmp_path / "unclear", ["unclear"])
    text = text_of(page_of(tmp_path / "unclear"))
    assert "unclear is not shown to differ from Clinical Cox in Harrell’s C-index" in text


def test_names_of_folders_and_rows_stay_text(tmp_path: Path) -> None:
    """Markup and formulas in a name are shown as they are, whatever words the name has."""
    rows = {"proven <b>accurate": folds(1, 0.02)}
    folders = [write_survival(tmp_path / f"{n} <i> $x_1$ will", rows) for n in ("one", "two")]
    compare(folders, tmp_path / "out")
    html = page_of(tmp_path / "out")
    assert "<b>accurate" not in html and "proven &lt;b&gt;accurate" in html
    assert html.count("one &lt;i&gt; $x_1$ will") > 2


def test_controls_are_marked_as_not_for_use(tmp_path: Path) -> None:
    rows = {"survfuse": folds(1, 0.02), "permuted": folds(2, -0.1)}
    folders = [write_survival(tmp_path / name, rows) for name in ("one", "two")]
    for folder in folders:
        path = ResultsFolder(folder).evaluation.scores
        evaluation = read_json(path)
        evaluation["rows"][-1]["role"] = "control"
        write_json(path, evaluation)
    compare(folders, tmp_path / "out")
    html = page_of(tmp_path / "out")
    assert text_of(html).count("control on permuted outcomes, not for use") == 2
    assert len([row for row in Page(html).all("tr") if row.get("class") == "aside"]) == 3


def test_simulated_patients_are_named(tmp_path: Path) -> None:
    rows = {"survfuse": folds(1, 0.02)}
    folders = [
        write_survival(tmp_path / "drawn", {**rows, "oracle": folds(2, 0.2)}),
        write_survival(tmp_path / "real", rows),
    ]
    compare(folders, tmp_path / "out")
    assert "Those of drawn were drawn by a computer" in text_of(page_of(tmp_path / "out"))


def test_the_same_studies_give_the_same_bytes(survival: Path, tmp_path: Path) -> None:
    folders = [survival.parent / name for name in ("blca", "hnsc", "small")]
    compare(folders, tmp_path)
    for path in ("compare.json", "compare.html", "figures/differences_harrell_c.svg"):
        assert (tmp_path / path).read_bytes() == (survival / path).read_bytes()


def test_long_names_of_studies_fit_beside_the_plot() -> None:
    assert shortened("tcga_blca") == "tcga_blca"
    long = shortened("results/a_very_long_name/of_some_study")
    assert len(long) == 26 and long.startswith("results/a_ver") and long.endswith("some_study")
