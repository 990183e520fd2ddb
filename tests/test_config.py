"""The configuration model and what is generated from it."""

from pathlib import Path
from typing import get_args

import pytest
import yaml

from survfuse.config import Config
from survfuse.config_docs import SECTIONS, json_schema, markdown
from survfuse.config_file import load
from survfuse.config_section import Section
from survfuse.errors import UserInputError

ROOT = Path(__file__).parents[1]
MINIMAL = {
    "name": "mine",
    "output": "results/mine",
    "cohort": {"patients": "patients.tsv"},
    "models": [{"name": "clinical_cox", "kind": "clinical_cox"}],
}


def written(tmp_path: Path, **changes: object) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, **changes}))
    return path


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_configurations_load(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SURVFUSE_DATA", "/data")
    config = load(path)
    kinds = [model.kind for model in config.models]
    assert ("logistic" if config.task == "diagnosis" else "clinical_cox") in kinds
    assert any(model.permute_outcomes for model in config.models)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"slids": {}}, "slids: unknown key"),
        ({"name": "../x"}, "name: "),
        ({"models": []}, "models: "),
        ({"models": MINIMAL["models"] * 2}, "used twice"),
        ({"cohort": {}}, "cohort.patients is missing"),
        ({"evaluation": {"reference": "other"}}, "clinical Cox"),
        ({"evaluation": {"horizons_months": [24, 12]}}, "increasing"),
        ({"training": {"bins_months": []}}, "increasing"),
        ({"report": {"model": "other"}}, "not among the models"),
        ({"cohort": {"patients": "p", "covariates": {"a": {"type": "ordinal"}}}}, "levels"),
        (
            {"source": {"kind": "simulate"}, "cohort": {"patients": "mine.tsv"}},
            "written by the source",
        ),
        ({"source": {"kind": "magic"}}, "source"),
        ({"source": {"kind": "simulate_clinic", "shape": [8, 8, 8]}, "cohort": {}}, "a head fits"),
        ({"splits": {"folds": 1}}, "splits.folds"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(UserInputError, match=said) as caught:
        load(written(tmp_path, **changes))
    assert "config.yaml" in str(caught.value)


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(UserInputError, match="no such configuration"):
        load(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1,")
    with pytest.raises(UserInputError, match="YAML"):
        load(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(UserInputError, match="mapping"):
        load(tmp_path / "list.yaml")


def test_environment_variables_are_expanded_or_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, cohort={"patients": "${COHORT_HOME}/patients.tsv"})
    monkeypatch.delenv("COHORT_HOME", raising=False)
    with pytest.raises(UserInputError, match="export COHORT_HOME"):
        load(path)
    monkeypatch.setenv("COHORT_HOME", "/data")
    assert load(path).cohort.patients == Path("/data/patients.tsv")


def test_a_source_names_its_sheets(tmp_path: Path) -> None:
    config = load(written(tmp_path, source={"kind": "simulate"}, cohort={}))
    assert config.cohort.slides == Path("results/mine/sheets/slides.tsv")
    assert config.omics.gene_sets == Path("results/mine/sheets/gene_sets.gmt")


def test_the_simulated_clinic_names_its_sheets(tmp_path: Path) -> None:
    config = load(written(tmp_path, source={"kind": "simulate_clinic", "seed": 4}, cohort={}))
    assert config.cohort.patients == Path("results/mine/sheets/patients.tsv")
    assert config.cohort.images == Path("results/mine/sheets/images.tsv")
    assert config.cohort.slides is None and config.cohort.omics is None
    assert config.simulation is not None and config.simulation.seed == 4
    assert load(written(tmp_path)).simulation is None


def test_settings_hash_depends_on_what_is_read_and_nothing_else(tmp_path: Path) -> None:
    one = load(written(tmp_path))
    other = load(written(tmp_path, report={"title": "new"}))
    assert one.settings_hash("training") == other.settings_hash("training")
    assert one.settings_hash("report") != other.settings_hash("report")
    assert one.settings_hash("training", model="clinical_cox") != one.settings_hash("training")


def test_grid_holds_horizons_and_bin_edges() -> None:
    config = Config.model_validate(MINIMAL)
    grid = config.grid_months()
    assert {6.0, 12.0, 24.0, 36.0, 60.0} <= set(grid)
    assert grid == sorted(set(grid))
    assert grid[0] > 0


def test_generated_files_are_current() -> None:
    """Run `survfuse schema` again after changing the model."""
    assert (ROOT / "workflow/schemas/config.schema.json").read_text() == json_schema()
    assert (ROOT / "docs/configuration.md").read_text() == markdown()


def sections_below(annotation: object) -> set[type[Section]]:
    """Every section that a value of this type can hold, itself included."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        fields = annotation.model_fields.values()
        return {annotation}.union(*(sections_below(field.annotation) for field in fields))
    return set().union(*(sections_below(argument) for argument in get_args(annotation)))


def test_every_key_is_documented() -> None:
    assert "|  |" not in markdown()
    assert sections_below(Config) == {section for _, section in SECTIONS}
    assert len(SECTIONS) == len({title for title, _ in SECTIONS})
