"""The example in docs/how_to/add_classical_model.md works, from the check to the report."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import yaml

from scarce_fixture import row_of, run, write_cohort
from survfuse.artifacts.follow_up import FollowUp
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json
from survfuse.models import registry
from survfuse.models.classical.pooled_survival import SurvivalModel
from survfuse.models.runnable import load
from survfuse.models.specs import estimator_of
from survfuse.splits.training_part import TrainingPart

PAGE = Path(__file__).parents[3] / "docs" / "how_to" / "add_classical_model.md"


def blocks(language: str) -> list[str]:
    page = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The file of the page in its place, and its entry in the registry."""
    name = "survfuse.models.classical.exponential"
    path = tmp_path / "exponential.py"
    file, entry = blocks("python")
    path.write_text(file, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    for kind, value in eval(f"{{{entry}}}", vars(registry)).items():
        monkeypatch.setitem(registry.KINDS, kind, value)
    return module


def test_the_example_estimates_what_its_data_were_drawn_from(example: ModuleType) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 2))
    time = rng.exponential(1 / (0.05 * np.exp(0.8 * x[:, 0])))
    end = rng.uniform(5, 60, 4000)
    event = time <= end
    ids, role = np.arange(4000).astype(str), np.full(4000, "train")
    part = TrainingPart(0, 0, ids, role, FollowUp(np.minimum(time, end), event))
    model: SurvivalModel = example.fit_exponential(x, part, 0, penalty=0.0)[0]
    np.testing.assert_allclose(
        model.arrays()["exponential.coefficients"], [np.log(0.05), 0.8, 0.0], atol=0.08
    )
    # By its score equation as many events are expected as were seen.
    hazard = -np.log(model.survival(x, np.array([1.0])))[:, 0]
    assert hazard @ np.minimum(time, end) == pytest.approx(event.sum(), rel=1e-3)
    restored = example.SURVIVAL.restore(model.arrays())
    np.testing.assert_array_equal(restored.risk(x), model.risk(x))


def test_the_example_reaches_the_report(example: ModuleType, tmp_path: Path) -> None:
    assert example.SURVIVAL.options.keys() == {"penalty"}
    path = write_cohort(tmp_path, slides=None)
    (rows,) = blocks("yaml")
    settings: dict[str, Any] = yaml.safe_load(path.read_text())
    settings |= {**yaml.safe_load(rows), "report": {"patients": ["P00"], "model": "exponential"}}
    path.write_text(yaml.safe_dump(settings))
    evaluation = run(path)
    row = row_of(evaluation, "exponential")
    assert (row["label"], row["role"]) == ("Exponential regression", "classical")
    assert row["modalities"] == ["clinical", "omics"]
    fit = read_json(tmp_path / "out/models/exponential/r0f0/fit.json")
    assert fit["chosen"]["iterations"] > 0
    assert fit["fitted_on"].keys() == {"features", "model"}
    assert row["harrell_c"]["value"] > 0.6
    assert row_of(evaluation, "exponential_permuted")["role"] == "control"
    page = (tmp_path / "out/report/index.html").read_text(encoding="utf-8")
    assert "Exponential regression" in page

    config = load(path)
    wrong = config.models[1].model_copy(update={"options": {"penalty": -1.0}})
    with pytest.raises(UserInputError, match="penalty must be a number from 0"):
        estimator_of(wrong, config).check(config, wrong)
