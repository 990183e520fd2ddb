"""The configuration model and what is generated from it."""

from pathlib import Path
from typing import get_args

import pytest
import yaml

from survfuse.config.documentation import SECTIONS, json_schema, markdown
from survfuse.config.section import Section
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.models.runnable import load

ROOT = Path(__file__).parents[2]
MINIMAL = {
    "name": "mine",
    "output": "results/mine",
    "cohort": {"patients": "patients.tsv"},
    "models": [{"name": "clinical_cox", "kind": "clinical_cox"}],
}
GENES = {"patients": "patients.tsv", "omics": "genes.csv"}
NUMBERS = [
    ("evaluation", "horizons_months", [12, "NUMBER"], (".nan", ".inf")),
    ("evaluation", "tau_months", "NUMBER", (".nan", ".inf", "0", "-3")),
    ("training", "bins_months", [12, "NUMBER"], (".nan", ".inf")),
    ("training", "learning_rate", "NUMBER", (".nan", ".inf")),
    ("training", "tuning", {"weight_decay": [0.1, "NUMBER"]}, (".nan", ".inf")),
    ("imaging", "spacing_mm", [1, 1, "NUMBER"], (".nan", ".inf")),
    ("slides", "encoder_options", {"drop": "NUMBER"}, (".nan", ".inf")),
    *((section, "seed", "NUMBER", ("-1",)) for section in ("source", "synthesis")),
    *((section, "seed", "NUMBER", ("-1",)) for section in ("training", "evaluation")),
]


def late(*parts: str) -> dict:
    """A late fusion that is said to be a control."""
    row = {"name": "late", "kind": "late_fusion", "permute_outcomes": True}
    return {**row, "options": {"parts": list(parts)}}


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
        ({"evaluation": {"reference": "other"}}, "one of clinical data alone"),
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
        ({"source": {"kind": "simulate"}, "cohort": [1]}, "cohort: expected keys with values"),
        ({"source": {"kind": "simulate"}, "cohort": {}, "omics": [1]}, "omics: expected keys"),
        ({"source": [1]}, "source: expected keys"),
        ({"source": {"kind": [1]}, "cohort": {}}, "source: "),
        (
            {"training": {"tuning": {"trials": 1}, "stop": "fixed"}},
            "tuning needs validation patients",
        ),
        ({"training": {"tuning": {"dropout": [0.1, 1.5]}}}, "dropout is a share"),
        ({"cohort": {**GENES, "missing": {"slides": 0.5}}}, "name cohort.slides and cohort.omics"),
        ({"cohort": {**GENES, "missing": {"omics": 0.5}}}, "name cohort.slides and cohort.omics"),
        (
            {
                "cohort": {
                    **GENES,
                    "slides": "slides.tsv",
                    "missing": {"slides": 0.5, "mechanism": "mnar"},
                    "diagnosis": {"column": "dx"},
                }
            },
            "goes by the time of the event",
        ),
        (
            {"models": [*MINIMAL["models"], {"name": "availability", "kind": "snn"}]},
            "'availability' is that of a table beside the predictions",
        ),
        ({"models": [*MINIMAL["models"], late("clinical_cox", "x")]}, "averages clinical_cox"),
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
    with pytest.raises(UserInputError, match="expected sections such as"):
        load(tmp_path / "list.yaml")
    with pytest.raises(UserInputError, match="is a folder, not a file; name the YAML file"):
        load(tmp_path)
    (tmp_path / "wide.yaml").write_bytes("name: mine".encode("utf-16"))
    with pytest.raises(UserInputError, match="encoding UTF-8"):
        load(tmp_path / "wide.yaml")


@pytest.mark.parametrize(
    ("section", "key", "value", "number"),
    [(section, key, value, n) for section, key, value, numbers in NUMBERS for n in numbers],
)
def test_numbers_are_finite_and_seeds_not_negative(
    tmp_path: Path, section: str, key: str, value: object, number: str
) -> None:
    """They would be noticed by what divides, sorts or draws with them, after all training."""
    source = {"kind": "simulate"} if section == "source" else {}
    cohort = {} if source else MINIMAL["cohort"]
    path = written(tmp_path, **{"cohort": cohort, section: {**source, key: value}})
    path.write_text(path.read_text().replace("NUMBER", number))
    with pytest.raises(UserInputError, match=f"{section}.*{key}"):
        load(path)


def test_a_key_is_given_once(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("name: a\noutput: b\ntraining:\n  epochs: 1\n  seed: 2\n  epochs: 3\n")
    with pytest.raises(UserInputError, match=r"yaml, line 6: .*'epochs' is in line 4 already"):
        load(path)
    text = written(tmp_path, splits={"folds": 3, "seed": 4}).read_text()
    path.write_text(text.replace("splits:", "splits: &same") + "training: {<<: *same, seed: 5}\n")
    with pytest.raises(UserInputError, match="folds: unknown key"):  # merged, not refused
        load(path)


def test_a_late_fusion_of_permuted_rows_is_a_control(tmp_path: Path) -> None:
    permuted = [
        {"name": name, "kind": "clinical_cox", "permute_outcomes": True} for name in ("p", "q")
    ]
    models = [*MINIMAL["models"], *permuted, late("p", "q")]
    assert load(written(tmp_path, models=models)).models[-1].permute_outcomes


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
    jobs = load(written(tmp_path, training={"folds_in_one_job": True, "repeats": 1}))
    assert one.settings_hash("training") == jobs.settings_hash("training")


@pytest.mark.parametrize(
    "words",
    [
        {"endpoint": {"name": "OS", "definition": "other words"}},
        {"diagnosis": {"column": "dx", "name": "type", "definition": "other words"}},
    ],
)
def test_words_of_the_cohort_are_read_with_the_report_only(tmp_path: Path, words: dict) -> None:
    plain = {key: {k: v for k, v in part.items() if k == "column"} for key, part in words.items()}
    one = load(written(tmp_path, cohort={"patients": "p.tsv", **plain}))
    other = load(written(tmp_path, cohort={"patients": "p.tsv", **words}))
    assert one.settings_hash("cohort") == other.settings_hash("cohort")
    assert one.settings_hash("report", "cohort") != other.settings_hash("report", "cohort")
    assert one.settings_hash("report") == other.settings_hash("report")


def test_grid_holds_horizons_and_bin_edges() -> None:
    config = Config.model_validate(MINIMAL)
    grid = config.grid_months()
    assert {6.0, 12.0, 24.0, 36.0, 60.0} <= set(grid)
    assert grid == sorted(set(grid))
    assert grid[0] > 0


def test_generated_files_are_current() -> None:
    """Run `survfuse schema` again after changing the model."""
    assert (ROOT / "workflow/schemas/config.schema.json").read_text() == json_schema()
    assert (ROOT / "docs/reference/configuration.md").read_text() == markdown()


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
