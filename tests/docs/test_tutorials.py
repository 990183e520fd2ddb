"""The tutorials run as they stand, block after block, and come to what they say."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run_page(name: str) -> dict[str, Any]:
    """Run the Python blocks of a page in the working directory; returns what they define."""
    page = ROOT / "docs/getting_started" / name
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) >= 4
    defined: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), defined)
    return defined


def values(evaluation: dict[str, Any], metric: str) -> dict[str, float]:
    return {row["model"]: row[metric]["value"] for row in evaluation["rows"]}


def test_two_sheets_to_a_leaderboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    defined = run_page("tutorial_survival.md")
    c = values(defined["evaluation"], "harrell_c")
    assert c["coxnet"] > c["clinical_cox"] > 0.5
    assert 0.35 < c["coxnet_permuted"] < 0.65
    page = defined["page"].read_text(encoding="utf-8")
    assert "Age and twenty genes" in page
    assert {one.stem for one in (tmp_path / "results/report/patients").glob("*.html")} == {
        "P000",
        "P001",
    }


def test_a_memory_clinic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    defined = run_page("tutorial_clinic.md")
    auroc = values(defined["evaluation"], "auroc")
    assert auroc["regions"] > auroc["logistic"] > 0.5
    assert 0.3 < auroc["regions_permuted"] < 0.7
    assert "Conversion to dementia" in defined["page"].read_text(encoding="utf-8")
