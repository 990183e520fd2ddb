"""What `import survfuse` offers: the stages of a run as functions."""

import doctest
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

import survfuse
from survfuse import api
from survfuse.core.errors import UserInputError

ROOT = Path(__file__).parents[1]
CONFIG = {
    "name": "study",
    "output": "out",
    "cohort": {"patients": "patients.tsv", "covariates": {"age": {"type": "continuous"}}},
    "splits": {"folds": 3, "repeats": 1},
    "models": [
        {"name": "clinical_cox", "kind": "clinical_cox"},
        {"name": "permuted", "kind": "clinical_cox", "permute_outcomes": True},
    ],
    "evaluation": {"horizons_months": [12], "bootstrap": 30},
    "report": {"patients": "all", "model": "clinical_cox"},
}
CLASSES = {"diagnosis": {"column": "group", "classes": ["stable", "converted"]}}


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixty patients of whom the older die earlier, in the working directory."""
    draw = np.random.default_rng(8)
    lines = ["patient_id\ttime\tevent\tage\tgroup"]
    for number in range(60):
        age = draw.normal(60, 9)
        time = min(draw.exponential(40 * np.exp((60 - age) / 9)) + 0.5, 60)
        group = "converted" if age + draw.normal(0, 6) > 60 else "stable"
        lines.append(f"P{number:02d}\t{time:.2f}\t{int(time < 60)}\t{age:.1f}\t{group}")
    (tmp_path / "patients.tsv").write_text("\n".join(lines) + "\n")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_that_is_offered_is_there_and_documented() -> None:
    for name in survfuse.__all__:
        function = getattr(survfuse, name)
        assert function is getattr(api, name) and function.__doc__
    assert set(survfuse.__all__) <= set(dir(survfuse))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        survfuse.nothing  # noqa: B018


def test_the_examples_of_the_documentation_are_true(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    failed, tried = doctest.testmod(api)
    assert failed == 0 and tried > 2


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = "import survfuse, sys; print(sorted({'torch', 'pandas', 'numpy'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_study_of_survival_from_sheet_to_report(study: Path) -> None:
    config = survfuse.load_config("config.yaml")
    assert len(survfuse.check_cohort(config).clinical) == 60
    assert not (study / "out").exists()
    assert survfuse.prepare(config) == Path("out")
    for row in config.models:
        assert len(survfuse.fit(config, row.name)) == 3
        predicted = survfuse.predict(config, row.name)
        assert len(predicted) == 60 and predicted["risk"].notna().all()
    rows = {row["model"]: row for row in survfuse.evaluate(config)["rows"]}
    assert rows["clinical_cox"]["uno_c"]["value"] > 0.6 > rows["permuted"]["uno_c"]["value"]
    page = survfuse.report(config)
    assert "clinical" in page.read_text().lower()
    assert len(list(page.parent.glob("patients/*.html"))) == 60


def test_a_diagnosis_has_probabilities_of_classes(study: Path) -> None:
    cohort = {**CONFIG["cohort"], **CLASSES}
    models = [{"name": "logistic", "kind": "logistic"}]
    models += [{"name": "permuted", "kind": "logistic", "permute_outcomes": True}]
    changed = {"cohort": cohort, "models": models, "report": {}}
    changed["evaluation"] = {"reference": "logistic", "bootstrap": 30}
    (study / "config.yaml").write_text(yaml.safe_dump(CONFIG | changed))
    config = survfuse.load_config("config.yaml")
    survfuse.prepare(config)
    for row in config.models:
        survfuse.fit(config, row.name)
        predicted = survfuse.predict(config, row.name)
        assert np.allclose(predicted["p_0"] + predicted["p_1"], 1, atol=1e-6)
    assert {row["model"] for row in survfuse.evaluate(config)["rows"]} == {"logistic", "permuted"}


@pytest.mark.usefixtures("study")
def test_what_is_not_prepared_is_named_with_its_remedy() -> None:
    config = survfuse.load_config("config.yaml")
    with pytest.raises(UserInputError, match=r"splits\.tsv: is not there yet; call prepare first"):
        survfuse.fit(config, "clinical_cox")
    with pytest.raises(UserInputError, match="no model 'typo'"):
        survfuse.fit(config, "typo")
