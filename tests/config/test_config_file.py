"""Configuration files as people write them: paths, words, mistakes, and files that are none."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from survfuse.cli.main import main
from survfuse.config.study import Config
from survfuse.config.yaml_text import WrittenLoader
from survfuse.core.errors import UserInputError
from survfuse.core.user_paths import expand_home
from survfuse.models.runnable import load
from survfuse.reporting.sections.provenance import facts
from survfuse.training.stage import without_places

ROOT = Path(__file__).parents[2]
MINIMAL = """\
name: mine
output: results/mine
cohort: {patients: patients.tsv}
models:
  - {name: clinical_cox, kind: clinical_cox}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def loaded(path: Path, text: str, **replaced: str) -> Config:
    """The configuration with lines of the minimal one replaced, and others added."""
    lines = MINIMAL
    for key, line in replaced.items():
        old = next(one for one in lines.splitlines() if one.startswith(f"{key}:"))
        lines = lines.replace(old, line)
    path.write_text(lines + text, encoding="utf-8")
    return load(path)


def refused(path: Path, text: str, **replaced: str) -> str:
    with pytest.raises(UserInputError) as caught:
        loaded(path, text, **replaced)
    return str(caught.value)


# --- files that are none


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x,x]"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 10)}]")
    return "\n".join(lines) + "\n"


def merge_bomb(levels: int) -> str:
    lines = ["a0: &a0 {k: 1}"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} {{<<: [{','.join([f'*a{level - 1}'] * 10)}]}}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (bomb(9), "more than 1,000,000,000 values by its aliases"),
        (merge_bomb(9), "values by its aliases"),
        (MINIMAL + "x: &a [*a]\n", "line 6: .*an alias .* stands inside what it repeats"),
        (MINIMAL + "x: &a {y: {z: *a}}\n", "line 6: .*stands inside what it repeats"),
        ("a: " + "[" * 5000, "nested too deeply"),
        ("", "is empty; `survfuse init` writes a configuration"),
        ("# only a comment\n", "is empty"),
        ("- 1", "expected sections"),
        ("name: mine\ncohort:\n\tpatients: p", "line 3: .*indent with spaces alone"),
        ("name: mine\ncohort:\n \u00a0patients: p", "line 3: begins with a space that YAML"),
        ("name:mine", "expected sections such as `name: mine`"),
        ("a: 1\n---\nb: 2\n", "a single document"),
        ("name: " + "1" * 5000, "not readable as YAML"),
        ("name: a\0b", "not readable as YAML"),
        ("{[1, 2]: 3}", "a key must be a word"),
        ("x: !!python/object/apply:os.system [ls]", "not readable as YAML"),
        ("x: !!bool maybe", "neither true nor false"),
    ],
)
def test_what_is_no_configuration_is_refused_at_once(path: Path, text: str, said: str) -> None:
    path.write_text(text)
    start = time.monotonic()
    with pytest.raises(UserInputError, match=said):
        load(path)
    assert time.monotonic() - start < 60


def test_pipes_folders_and_huge_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "huge.yaml").write_text("# filler\n" * 200_000)
    for name, said in (("pipe.yaml", "is a pipe"), ("huge.yaml", "MiB"), ("", "is a folder")):
        with pytest.raises(UserInputError, match=said):
            load(tmp_path / name)


def test_other_line_ends_marks_and_aliases_are_read(path: Path) -> None:
    text = MINIMAL + "splits: &s {seed: 3}\nevaluation: {<<: *s, bootstrap: 50}\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    config = load(path)
    assert (config.splits.seed, config.evaluation.seed, config.name) == (3, 3, "mine")


# --- paths


def test_home_and_variables_are_replaced_in_every_path(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("STUDY", "/data/study")
    text = """
slides: {weights: "~/w.safetensors"}
omics: {gene_sets: "${STUDY}/sets.gmt"}
imaging: {template: ~/t.nii, template_mask: "${STUDY}/m.nii", reference_region: ~/r.nii}
"""
    config = loaded(
        path,
        text,
        output="output: ~/results",
        cohort="cohort: {patients: ~/p.tsv, roots: [~/a, '${STUDY}/b'], "
        "missing: {published: ~/folds}}",
        models="models:\n  - {name: d, kind: dispro, options: {text_encoder: '${STUDY}/bert'}}",
    )
    assert config.output == Path("/home/ada/results")
    assert config.cohort.patients == Path("/home/ada/p.tsv")
    assert config.cohort.roots == [Path("/home/ada/a"), Path("/data/study/b")]
    assert config.cohort.missing is not None
    assert config.cohort.missing.published == Path("/home/ada/folds")
    assert config.slides.weights == Path("/home/ada/w.safetensors")
    assert config.omics.gene_sets == Path("/data/study/sets.gmt")
    assert config.imaging.template_mask == Path("/data/study/m.nii")
    assert config.models[0].options["text_encoder"] == "/data/study/bert"
    assert without_places(config.models[0])["options"] == {"text_encoder": "bert"}
    assert config.variables == ("STUDY",)


def test_an_encoder_is_named_in_either_form(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHTS", "/data/weights")
    inside = "{preset: uni, weights: '${WEIGHTS}/u.bin', pooling: none, arguments: {depth: 2}}"
    beside = "uni, weights: '${WEIGHTS}/u.bin', pooling: none, encoder_options: {depth: 2}"
    found = loaded(path, f"slides: {{encoder: {inside}}}").slides.tile_encoder
    plain = loaded(path, f"slides: {{encoder: {beside}}}").slides.tile_encoder
    assert found.weights == Path("/data/weights/u.bin") and found.preset == plain.arch == "uni"
    assert found.model_copy(update={"preset": None, "arch": "uni"}) == plain


def test_a_source_writes_to_the_replaced_output(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    config = loaded(path, "source: {kind: simulate}\n", output="output: ~/o", cohort="cohort: {}")
    assert config.cohort.patients == Path("/home/ada/o/sheets/patients.tsv")


@pytest.mark.parametrize(
    "text",
    [
        'report: {title: "of ${SECRET}"}',
        'report: {patients: ["${SECRET}"]}',
        "slides: {encoder: '${SECRET}', encoder_options: {a: '${SECRET}'}}",
        "training: {epochs: '${SECRET}'}",
        "omics: {suffixes: {rna: '${SECRET}'}}",
        "evaluation: {reference: '${SECRET}'}",
    ],
)
def test_no_value_of_the_environment_reaches_a_text(
    path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("SECRET", "hunter2")
    told = refused(path, text)
    assert "line 6: " in told and "SECRET, and variables are replaced in paths only" in told
    assert "hunter2" not in told


def test_the_provenance_names_the_variables_and_not_their_values(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Nothing:
        fits: tuple = ()
        evaluation = {"splits_sha256": ""}  # noqa: RUF012

    monkeypatch.setenv("PLACE", "/very/secret")
    config = loaded(path, "omics: {gene_sets: '${PLACE}/sets.gmt'}\n")
    told = dict(facts(config, Nothing()))  # type: ignore[arg-type]
    assert told["Environment variables in paths"] == "PLACE"
    assert "secret" not in str(told)
    assert "Environment variables in paths" not in dict(facts(loaded(path, ""), Nothing()))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("~nobody_of_this_name/x", "there is no such home directory"),
        ("$HOME/x", r"written \$\{NAME\}"),
        ("${HOME:-/tmp}/x", r"written \$\{NAME\}"),
        ("${NOT_SET_AT_ALL}/x", "is not set; run `export NOT_SET_AT_ALL="),
        ("${SET_TO_NOTHING}/x", "is empty; run `export SET_TO_NOTHING="),
        (r"C:\study\x", "backslashes"),
        ("https://example.org/x.tsv", "is an address"),
        ("' '", "is empty"),
        ('"a\\tb"', "unprintable"),
        ("", "expected a path, found nothing"),
    ],
)
def test_paths_that_cannot_be_meant_are_refused_with_advice(
    path: Path, monkeypatch: pytest.MonkeyPatch, written: str, said: str
) -> None:
    monkeypatch.delenv("NOT_SET_AT_ALL", raising=False)
    monkeypatch.setenv("SET_TO_NOTHING", "")
    with pytest.raises(UserInputError, match=f"line 2: output: .*{said}"):
        loaded(path, "", output=f"output: {written}")


def test_a_tilde_that_the_shell_left_is_the_home_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert main(["schema", "--out=~/schema.json"]) == 0
    assert (tmp_path / "schema.json").is_file() and not (tmp_path / "~").exists()
    with pytest.raises(SystemExit):
        main(["check-cohort", "--config=~nobody_of_this_name/c.yaml"])
    assert "no such home directory" in capsys.readouterr().err


@given(st.text(alphabet="ab/~$.\\é :\t", max_size=12))
def test_any_text_is_a_path_or_refused_with_a_sentence(text: str) -> None:
    try:
        expanded = expand_home(text)
    except ValueError as error:
        assert str(error).endswith(("path", "key", "folders", "file", "so"))
    else:
        assert expanded == text or (text.startswith("~") and expanded.startswith("/"))


def test_an_output_among_what_is_read_is_refused(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for output, said in (
        (f"{tmp_path}/file", "is or lies below a file"),
        (f"{tmp_path}/file/results", "is or lies below a file"),
        (str(tmp_path), "is the folder of cohort.patients; name a folder of its own"),
    ):
        told = refused(
            path,
            "",
            output=f"output: {output}",
            cohort=f"cohort: {{patients: {tmp_path}/p.tsv}}",
        )
        assert f"line 2: output: {said}" in told
    told = refused(
        path,
        "",
        output=f"output: {tmp_path}",
        cohort=f"cohort: {{patients: {tmp_path}/data/p.tsv, slides: {tmp_path}/slides/slides.tsv}}",
    )
    assert "cohort.slides: lies in slides/ of the output" in told
    tables = f"{{patients: {tmp_path}/data/p.tsv, tables: {{radiomics: {tmp_path}/cohort/r.tsv}}}}"
    told = refused(path, "", output=f"output: {tmp_path}", cohort=f"cohort: {tables}")
    assert "cohort.tables.radiomics: lies in cohort/ of the output" in told
    inside = {
        "output": f"output: {tmp_path}/results",
        "cohort": f"cohort: {{patients: {tmp_path}/p.tsv}}",
    }
    assert loaded(path, "", **inside).output == tmp_path / "results"


ASCII = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def in_ascii(folder: Path, config: str, *arguments: str) -> subprocess.CompletedProcess:
    (folder / "config.yaml").write_text(config, encoding="utf-8")
    command = [sys.executable, "-m", "survfuse.cli.main", *arguments]
    return subprocess.run(command, cwd=folder, env=ASCII, capture_output=True, text=True)


def test_an_ascii_locale_is_told_of_and_never_a_defect(tmp_path: Path) -> None:
    check = ("check-cohort", "--config", "config.yaml")
    done = in_ascii(tmp_path, MINIMAL.replace("patients.tsv", "Büro/p.tsv"), *check)
    assert done.returncode == 2
    assert "line 3: cohort.patients: is 'B\\xfcro/p.tsv'" in done.stderr
    assert "this locale (ascii)" in done.stderr and "PYTHONUTF8=1" in done.stderr
    done = in_ascii(tmp_path, MINIMAL + "größe: 1\nreport: {title: Größe}\n", *check)
    assert done.returncode == 2 and "gr\\xf6\\xdfe: unknown key" in done.stderr
    done = in_ascii(tmp_path, MINIMAL, "check-cohort", "--config", "ä.yaml", "--log", "l.txt")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "no such configuration file" in done.stderr


# --- words and numbers


def test_words_are_taken_as_they_are_written(path: Path) -> None:
    config = loaded(
        path,
        """
report: {patients: [1, 007, 1e5, 0x10, 2020-01-02, 1:30, no, TRUE, 1.0]}
training: {epochs: 010, learning_rate: 1e-5, bins_months: [6, 1.2e1]}
omics: {suffixes: {1: off}}
""",
        cohort="cohort: {patients: 2024, endpoint: {event_value: Yes, censored_value: No},\n"
        "  covariates: {3: {type: ordinal, levels: [1, 2.0, 03]}},\n"
        "  diagnosis: {column: on, classes: [No, Yes]}}",
    )
    written = ["1", "007", "1e5", "0x10", "2020-01-02", "1:30", "no", "TRUE", "1.0"]
    assert config.report.patients == written
    assert (config.training.epochs, config.training.learning_rate) == (10, 1e-5)
    assert config.training.bins_months == [6.0, 12.0]
    assert config.omics.suffixes == {"1": "off"}
    cohort = config.cohort
    assert cohort.patients == Path("2024")
    assert (cohort.endpoint.event_value, cohort.endpoint.censored_value) == ("Yes", "No")
    assert cohort.covariates["3"].levels == ["1", "2.0", "03"]
    assert cohort.diagnosis is not None
    assert (cohort.diagnosis.column, cohort.diagnosis.classes) == ("on", ["No", "Yes"])


@pytest.mark.parametrize(
    ("event", "censored"), [("True", "False"), ("Yes", "no"), ("1", "0"), ("2.0", "1"), ("on", "1")]
)
def test_events_are_met_however_they_are_written(
    tmp_path: Path, path: Path, event: str, censored: str
) -> None:
    from survfuse.sheets.endpoint import parse_events
    from survfuse.sheets.text_table import read_sheet

    text = f"{{event_value: {event}, censored_value: {censored}}}"
    config = loaded(path, "", cohort=f"cohort: {{patients: p, endpoint: {text}}}")
    (tmp_path / "p.tsv").write_text(f"patient_id\tevent\nA\t{event}\nB\t{censored}\n")
    sheet = read_sheet(tmp_path / "p.tsv", ["event"])
    assert parse_events(sheet, config.cohort.endpoint) == ([1, 0], [])


@given(
    st.one_of(
        st.integers(),
        st.booleans(),
        st.none(),
        st.floats(allow_nan=False),
        st.text(alphabet="abc0123456789.eE+-_:~ yn", max_size=8),
    )
)
def test_what_yaml_writes_is_read_back(value: object) -> None:
    """And an unquoted scalar keeps its text, whatever it stands for."""
    loader = WrittenLoader(yaml.safe_dump({"x": value}))
    read = loader.get_single_data()["x"]
    assert (str(read) if isinstance(value, str) else getattr(read, "value", read)) == value


# --- mistakes


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slids: {}", "slids: unknown key; did you mean slides?"),
        ("epochs: 3", "epochs: unknown key here; did you mean training.epochs?"),
        ("report: {horizons: [1]}", "did you mean evaluation.horizons_months?"),
        ("slides: {batch-size: 3}", "slides.batch-size: unknown key; did you mean slides.batch"),
        ("splits: {zzz: 3}", "zzz: unknown key; the keys here are folds, repeats"),
        ("synthesis: {unet: {chanels: [1]}}", "did you mean synthesis.unet.channels?"),
        ("splits: {folds: 1.5}", "splits.folds: expected a whole number, found 1.5"),
        ("splits: {folds: many}", "splits.folds: expected a whole number, found 'many'"),
        ("splits: {folds: [5]}", "splits.folds: expected a whole number, found a list of 1"),
        ("splits: {folds: }", "found nothing; write a value, or remove the key"),
        ("splits: {folds: 1}", "splits.folds: must be at least 2; found 1"),
        ("splits: {folds: 21}", "splits.folds: must be at most 20; found 21"),
        (
            "splits: {validation_fraction: 0}",
            "splits.validation_fraction: must be more than 0; found 0",
        ),
        ("splits: {inner_fraction: 0.2}", "is now called splits.validation_fraction; rename it"),
        ("training: {stop: inner}", "training.stop: inner is now called validation"),
        ("evaluation: {confidence: 2}", "evaluation.confidence: must be less than 1; found 2"),
        ("training: {learning_rate: .nan}", "must be a finite number; found nan"),
        ("slides: {target_mpp: fast}", "slides.target_mpp: expected a number, found 'fast'"),
        ("slides: {untrained: maybe}", "slides.untrained: expected true or false, found 'maybe'"),
        ("report: {title: [a]}", "report.title: expected text, found a list of 1"),
        ("report: {patients: some}", "expected a list of texts or \"all\", found 'some'"),
        ("report: {patients: [[1]]}", "report.patients[0]: expected text, found a list of 1"),
        ("training: {bins_months: 12}", "expected a list of numbers, found 12"),
        ("training: {bins_months: [a]}", "training.bins_months[0]: expected a number, found 'a'"),
        ("training: {loss: mse}", "training.loss: expected one of nll, cox, found 'mse'"),
        ("imaging: {spacing_mm: [1]}", "imaging.spacing_mm[1]: is missing; expected a list of 3"),
        ("imaging: {shape: [9, 9, 9, 9]}", "imaging.shape: needs at most 3 entries"),
        ("imaging: {shape: 9}", "imaging.shape: expected a list of 3 whole numbers, found 9"),
        ("slides: 5", "slides: expected keys with values, found 5"),
        ("omics: {suffixes: rna}", "omics.suffixes: expected keys with values, found 'rna'"),
        ("slides: {encoder_options: {a: {b: 1}}}", "encoder_options.a: expected a whole number"),
        ("slides: {encoder: {wieghts: a}}", "did you mean slides.encoder.weights?"),
        ("slides: {encoder: {mean: [9, 9, 9]}}", "slides.encoder: mean is on a scale from 0 to 1"),
        ("slides: {encoder: {input_px: 5}}", "slides.encoder.input_px: must be at least 16"),
        ("slides: {encoder: [uni]}", "slides.encoder: expected keys with values or text, found"),
        (
            "slides: {encoder: {preset: uni}, weights: a, encoder_options: {b: 1}}",
            "encoder has keys of its own, and encoder_options, weights beside it; write arguments, "
            "weights inside encoder",
        ),
        (
            "slides: {encoder: {resize_px: 100, input_px: 224}}",
            "slides.encoder: resize_px must not be less than input_px",
        ),
        ("source: {kind: simulat}", "source: kind: expected one of"),
        ("source: {seed: 1}", "source: needs the key kind"),
    ],
)
def test_mistakes_become_sentences_with_line_and_key(path: Path, text: str, said: str) -> None:
    told = refused(path, text)
    assert said in told, told
    assert f"{path}, line 6: " in told
    assert "Input should" not in told and "validation error" not in told and "tagged" not in told


def test_missing_keys_say_what_they_are_for(path: Path) -> None:
    told = refused(path, "  - {nme: x}\n", output="", name="name: a b")
    assert f"{path}: output: is missing. What it says: Directory for all results." in told
    assert "line 1: name: use up to 64 letters, digits, _ and -" in told
    assert "line 6: models[1].kind: is missing" in told
    assert "models[1].nme: unknown key; did you mean models[1].name?" in told


def test_all_mistakes_are_told_at_once(path: Path) -> None:
    told = refused(
        path,
        "evaluation: {reference: x, horizons_months: [3, 1]}\nreport: {model: y}\n",
    )
    assert "evaluation.reference 'x'" in told and "report.model 'y'" in told
    assert "horizons_months must be positive and increasing" in told
    told = refused(path, "splits: {folds: 0}\nslids: {}\nomics: {gene_sets: $X/y}\n")
    assert [line.split(": ")[0][-6:] for line in told.splitlines()] == [
        "line 6",
        "line 7",
        "line 8",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "report: {title: Demonstration cohort (simulated)}",
        "report: {title: A simulation}",
    ],
)
def test_real_patients_do_not_stand_under_a_simulation(path: Path, text: str) -> None:
    assert "these patients are not simulated" in refused(path, text)
    simulated = loaded(path, text + "\nsource: {kind: simulate}\n", cohort="cohort: {}")
    assert simulated.simulation is not None
    words = "endpoint: {definition: death (simulated)}"
    told = refused(path, "", cohort=f"cohort: {{patients: p.tsv, {words}}}")
    assert "cohort.endpoint.definition says 'simulated'" in told


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_configurations_name_their_schema(path: Path) -> None:
    first = path.read_text().splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert first != named and (path.parent / named).is_file()


def test_the_schema_is_printed_unless_a_file_is_named(capsys: pytest.CaptureFixture) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == (ROOT / "workflow/schemas/config.schema.json").read_text()


@pytest.mark.parametrize("line", ["output: my {run}", "output: 'x}'"])
def test_braces_in_a_path_are_no_placeholder(path: Path, line: str) -> None:
    """Snakemake: a path with braces is searched for wildcards ("No values given for wildcard")."""
    assert "has a brace, which Snakemake takes for a placeholder" in refused(path, "", output=line)


def test_other_marks_in_paths_are_allowed(path: Path) -> None:
    """Snakemake: quotes, spaces and brackets of OneDrive and Windows folders."""
    name = "O'Neill & Söhne (a) #1 100% [x]"
    assert loaded(path, "", output=f'output: "{name}"').output == Path(name)
    roots = "cohort: {patients: patients.tsv, roots: ['/data/{study}']}"
    assert loaded(path, "", cohort=roots).cohort.roots == [Path("/data/{study}")]


def test_accents_of_words_are_those_of_the_sheets(path: Path) -> None:
    """macOS: names and levels that were copied from a file list have accents of their own."""
    covariates = "{'Gro\u0308\u00dfe': {type: ordinal, levels: ['ma\u0308\u00dfig', gut]}}"
    line = f"cohort: {{patients: patients.tsv, covariates: {covariates}}}"
    ((name, covariate),) = loaded(path, "", cohort=line).cohort.covariates.items()
    assert (name, covariate.levels[0]) == ("Gr\u00f6\u00dfe", "m\u00e4\u00dfig")
