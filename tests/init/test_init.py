"""The first step with one's own cohort: sheets in, a configuration that passes the check out."""

from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from survfuse.cli.main import main
from survfuse.config.study import Config
from survfuse.config.yaml_text import WrittenLoader
from survfuse.core.errors import UserInputError
from survfuse.init.columns import Column, variable_of
from survfuse.init.diagnosis import label_of
from survfuse.init.endpoint import coding_of, find_endpoint, unit_of
from survfuse.init.leaderboard import bins_for, folds_for, horizons_for
from survfuse.init.sheets import suffixes_of
from survfuse.init.slide_folder import find_slides
from survfuse.init.text import word
from survfuse.models.runnable import load

N = 60
IDS = [f"P{i:03d}" for i in range(N)]


def column(name: str, *values: str) -> Column:
    filled = tuple(value for value in values if value)
    return Column(name, values, filled)


def patients(folder: Path, **columns: list) -> Path:
    """A patient sheet with columns of one's own beside the usual ones."""
    rng = np.random.default_rng(1)
    table = {
        "patient_id": IDS,
        "OS.time": [f"{value:.0f}" for value in rng.exponential(900, N) + 20],
        "vital_status": rng.choice(["Dead", "Alive"], N, p=[0.6, 0.4]).tolist(),
        "Age": [f"{value:.1f}" for value in rng.normal(60, 9, N)],
        "gender": rng.choice(["male", "female"], N).tolist(),
        "Stage": rng.choice(["Stage I", "Stage IIA", "Stage IIB", "Stage III"], N).tolist(),
        "hospital": [f"H{i % 4}" for i in range(N)],
        **columns,
    }
    path = folder / "patients.tsv"
    rows = zip(*table.values(), strict=True)
    lines = ["\t".join(table), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return path


def genes(folder: Path, ids: list[str] = IDS) -> Path:
    path = folder / "genes.csv"
    names = [f"G{i}_rnaseq" for i in range(6)] + [f"G{i}_cnv" for i in range(3)]
    rng = np.random.default_rng(2)
    rows = [f"{i},{','.join(f'{v:.3f}' for v in rng.normal(size=9))}" for i in ids]
    path.write_text("\n".join([f"patient_id,{','.join(names)}", *rows]) + "\n")
    return path


def embeddings(folder: Path, ids: list[str]) -> Path:
    """A folder with a file of embeddings for each patient, in folders of five."""
    place = folder / "embedded"
    rng = np.random.default_rng(3)
    for number, patient in enumerate(ids):
        (place / f"batch{number // 5}").mkdir(parents=True, exist_ok=True)
        with h5py.File(place / f"batch{number // 5}" / f"{patient}-01Z-DX1.h5", "w") as file:
            file["features"] = rng.normal(size=(8, 4)).astype("f2")
            file["coords"] = np.stack([np.arange(8) * 256, np.zeros(8)], 1).astype("i8")
    return place


def images(folder: Path, pet: int = 0) -> Path:
    lines = ["patient_id\tvisit\tmodality\tpath"]
    voxels = np.random.default_rng(4).normal(size=(12, 12, 12)).astype("f4")
    for number, patient in enumerate(IDS):
        for kind in ("t1",) + (("fdg",) if number < pet else ()):
            name = f"{patient}_{kind}.nii.gz"
            nib.save(nib.Nifti1Image(voxels + number, np.diag([2, 2, 2, 1])), folder / name)
            lines.append(f"{patient}\tm00\t{kind}\t{name}")
    (folder / "images.tsv").write_text("\n".join(lines) + "\n")
    return folder / "images.tsv"


def started(folder: Path, *more: object) -> Config:
    """What init writes in `mine`; it passes the check too."""
    out = folder / "mine"
    sheet = folder / "patients.tsv"
    assert main(["init", str(out), "--patients", str(sheet), *map(str, more)]) == 0
    config = load(out / "config.yaml")
    assert main(["check-cohort", "--config", str(out / "config.yaml")]) == 0
    return config


def rows(config: Config) -> list[str]:
    return [model.name for model in config.models]


def test_clinical_variables_alone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    rng = np.random.default_rng(5)
    patients(
        tmp_path,
        days_to_death=[str(i) for i in rng.integers(1, 999, N)],
        case_code=[f"X{i}" for i in range(N)],
        centre_of_gravity=["same"] * N,
        note=[f"long text number {i} of a person who wrote" for i in range(N)],
        radiation_therapy=rng.choice(["Yes", "No"], N).tolist(),
        smoker=rng.choice(["Yes", "No", "Unknown"], N).tolist(),
        ecog=rng.integers(0, 4, N).tolist(),
    )
    config = started(tmp_path)
    cohort = config.cohort
    assert (cohort.endpoint.time, cohort.endpoint.event) == ("OS.time", "vital_status")
    assert (cohort.endpoint.event_value, cohort.endpoint.censored_value) == ("Dead", "Alive")
    assert (cohort.endpoint.time_unit, cohort.endpoint.name) == ("days", "overall survival")
    assert cohort.site == "hospital"
    kinds = {name: covariate.type for name, covariate in cohort.covariates.items()}
    assert kinds == {
        "Age": "continuous",
        "gender": "categorical",
        "Stage": "ordinal",
        "ecog": "ordinal",
    }
    assert cohort.covariates["Stage"].levels == ["Stage I", "Stage IIA", "Stage IIB", "Stage III"]
    assert rows(config) == ["site_only", "clinical_cox", "rsf", "clinical_cox_permuted"]
    assert config.report.title == "mine, overall survival" and config.splits.folds in (3, 4)
    text = (tmp_path / "mine/config.yaml").read_text()
    for left_out in ("days_to_death", "case_code", "centre_of_gravity", "note"):
        assert f"# {left_out}: " in text
    assert "# smoker: {type: categorical} - says Unknown where nothing is known" in text
    assert "# radiation_therapy: {type: categorical} - may be known only after" in text
    printed = capsys.readouterr().out
    assert "Check before the run:" in printed and "taken for days" in printed
    for command in ("check-cohort", "run"):
        assert f"  survfuse {command} --config {tmp_path}/mine/config.yaml\n" in printed


def test_genes_alone(tmp_path: Path) -> None:
    patients(tmp_path)
    config = started(tmp_path, "--omics", genes(tmp_path))
    assert config.omics.suffixes == {"rna": "_rnaseq", "cnv": "_cnv"}
    combined = ["survfuse", "late_fusion", "survfuse_permuted"]
    assert rows(config)[1:] == ["clinical_cox", "coxnet", "snn", *combined]
    assert config.report.model == "survfuse"


@pytest.mark.parametrize("diagnosis", [False, True])
@pytest.mark.parametrize(
    ("brought", "reference"), [("--omics", "coxnet"), ("--slides", "abmil"), ("--images", "coxnet")]
)
def test_inputs_without_covariates(
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    brought: str,
    reference: str,
    diagnosis: bool,
) -> None:
    path = patients(tmp_path)
    table = [line.split("\t")[:3] for line in path.read_text().splitlines()]
    said = ["DX", *("MCI" if i % 3 else "CN" for i in range(N))]
    if diagnosis:
        table = [[row[0], dx] for row, dx in zip(table, said, strict=True)]
    path.write_text("\n".join("\t".join(row) for row in table) + "\n")
    make = {"--omics": genes, "--images": images, "--slides": lambda to: embeddings(to, IDS)}
    more = ["--diagnosis", "DX"] if diagnosis else []
    config = started(tmp_path, brought, make[brought](tmp_path), *more)
    assert not config.cohort.covariates
    simplest = {"--omics": "snn", "--images": "volumes"}.get(brought, reference)
    assert config.evaluation.reference == (simplest if diagnosis else reference)
    assert any(one.role == "clinical" for one in config.left_out)
    assert [one.key for one in config.left_out if "models" in one.key] == [
        f"models.{'logistic' if diagnosis else 'clinical_cox'}"
    ]
    assert "no clinical model, with which all others are compared" in capsys.readouterr().out


def test_a_folder_of_embeddings_becomes_a_sheet(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    patients(tmp_path)
    folder = embeddings(tmp_path, [*IDS, "Q1", "P0"])
    config = started(tmp_path, "--slides", folder)
    assert config.cohort.slides == tmp_path / "mine/slides.tsv"
    assert folder in [folder, *config.cohort.roots]
    combined = ["survfuse", "late_fusion", "survfuse_permuted"]
    assert rows(config)[1:] == ["clinical_cox", "rsf", "abmil", *combined]
    sheet = (tmp_path / "mine/slides.tsv").read_text().splitlines()
    assert len(sheet) == 1 + N and sheet[1].startswith("P000_1\tP000\t\t/")
    printed = capsys.readouterr().out
    assert "left out: 2" in printed and "Q1-01Z-DX1.h5" in printed and "P0-01Z-DX1.h5" in printed


def test_everything_and_few_slides(tmp_path: Path) -> None:
    patients(tmp_path)
    matrix, folder = genes(tmp_path), embeddings(tmp_path, IDS[:30])
    config = started(tmp_path, "--omics", matrix, "--slides", folder)
    assert rows(config) == [
        *("site_only", "clinical_cox", "coxnet", "snn", "abmil", "survfuse", "late_fusion"),
        "survfuse_permuted",
    ]
    assert config.report.model == "survfuse"
    few = tmp_path / "few"
    few.mkdir()
    config = started(tmp_path, "--omics", matrix, "--slides", embeddings(few, IDS[:3]), "--force")
    assert "abmil" not in rows(config) and "survfuse" in rows(config)
    assert config.slides.batch_size == 1


def test_slides_without_weights_are_told_of(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = patients(tmp_path)
    (tmp_path / "slides").mkdir()
    for patient in IDS:
        (tmp_path / "slides" / f"{patient}.svs").write_bytes(b"II*\0")
    arguments = ["--patients", str(path), "--slides", str(tmp_path / "slides")]
    assert main(["init", str(tmp_path / "mine"), *arguments]) == 0
    assert "slides: name an encoder and its weights" in capsys.readouterr().out
    text = (tmp_path / "mine/config.yaml").read_text()
    assert "  # weights: /" in text and "  # untrained: true" in text
    assert main(["check-cohort", "--config", str(tmp_path / "mine/config.yaml")]) in (2, 3)
    assert "the weights of the encoder are not set" in capsys.readouterr().err


@pytest.mark.parametrize("pet", [0, 25])
def test_a_clinic_estimates_survival_or_tells_classes_apart(tmp_path: Path, pet: int) -> None:
    patients(tmp_path)
    sheet = images(tmp_path, pet)
    config = started(tmp_path, "--images", sheet)
    assert config.task == "survival"
    assert ("itcfn" in rows(config)) == (pet > 0) and "mri_cnn" in rows(config)
    dx = ["CN", "MCI", "Dementia"] * (N // 3)
    patients(tmp_path, DX=dx)
    config = started(tmp_path, "--images", sheet, "--force")
    assert config.task == "diagnosis" and config.cohort.diagnosis is not None
    assert config.cohort.diagnosis.classes == ["CN", "MCI", "Dementia"]
    assert config.evaluation.reference == "logistic"
    assert {"logistic", "clinical_volumes", "mri_cnn", "logistic_permuted"} <= set(rows(config))
    assert ("itcfn" in rows(config)) == ("survfuse" in rows(config)) == (pet > 0)
    assert config.report.model == ("itcfn" if pet else "late_fusion")
    stacked = [model.options for model in config.models if model.name == "survfuse"]
    assert stacked == [{"modalities": ["clinical", "mri", "pet"]}] * (pet > 0)
    text = (tmp_path / "mine/config.yaml").read_text()
    assert ("# synthesis: {directions: [pet]}" in text) == (pet > 0)


def test_genes_and_slides_are_stacked_for_a_diagnosis(tmp_path: Path) -> None:
    patients(tmp_path, DX=["CN", "AD"] * (N // 2))
    config = started(
        *(tmp_path, "--omics", genes(tmp_path), "--slides", embeddings(tmp_path, IDS)),
        *("--diagnosis", "DX"),
    )
    assert rows(config)[1:] == [
        *("logistic", "snn", "abmil", "survfuse", "late_fusion", "survfuse_permuted")
    ]
    stacked = config.models[-1]
    assert stacked.options == {"modalities": ["clinical", "omics", "slides"]}
    assert config.report.model == "survfuse"


def test_a_copy_of_the_outcome_is_no_covariate(tmp_path: Path) -> None:
    path = patients(tmp_path)
    cells = [line.split("\t") for line in path.read_text().splitlines()]
    extra = ["followed", *(f"{float(row[1]) / 30.4375:.4f}" for row in cells[1:])]
    state = ["state", *("gone" if row[2] == "Dead" else "here" for row in cells[1:])]
    both = zip(cells, extra, state, strict=True)
    path.write_text("".join("\t".join([*row, a, b]) + "\n" for row, a, b in both))
    config = started(tmp_path)
    assert not {"followed", "state"} & set(config.cohort.covariates)


@pytest.mark.parametrize(
    ("change", "more", "said"),
    [
        (lambda text: text.replace("patient_id", "case_id"), [], "rename 'case_id'"),
        (lambda text: text.replace("OS.time", "x"), [], "say --time COLUMN --event COLUMN"),
        (lambda text: text, ["--time", "nothing"], "no such column"),
        (lambda text: text, ["--event-value", "Gone"], "no cell of vital_status says so"),
        (lambda text: text, ["--diagnosis", "Age"], "needs two to 5 classes"),
        (lambda text: text.replace("Dead", "zz").replace("Alive", "yy"), [], "--event-value VALUE"),
        (lambda text: text, ["--slides", "nothing"], "no such file|suffix"),
        (lambda text: text, ["--slides", "empty"], "holds no slide"),
        (
            lambda text: "\n".join("\t".join(row.split("\t")[:3]) for row in text.split("\n")),
            [],
            "no column can be a covariate",
        ),
    ],
)
def test_what_cannot_be_guessed_is_asked_for(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    change: object,
    more: list[str],
    said: str,
) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    path = patients(tmp_path)
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    (tmp_path / "empty").mkdir()
    assert main(["init", "mine", "--patients", "patients.tsv", *more]) == 2
    printed = capsys.readouterr().err
    assert re.search(said, printed), printed
    assert not (tmp_path / "mine/config.yaml").exists()


def test_nothing_is_overwritten_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    patients(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/config.yaml").write_text("mine")
    arguments = ["init", str(tmp_path / "mine"), "--patients", str(tmp_path / "patients.tsv")]
    assert main(arguments) == 2
    assert "add --force" in capsys.readouterr().err
    assert (tmp_path / "mine/config.yaml").read_text() == "mine"
    assert main([*arguments, "--force"]) == 0


def test_a_title_is_never_that_of_a_simulation(tmp_path: Path) -> None:
    patients(tmp_path)
    out = tmp_path / "simulated demonstration"
    assert main(["init", str(out), "--patients", str(tmp_path / "patients.tsv")]) == 0
    assert load(out / "config.yaml").report.title == "Own cohort"


# --- guesses


@pytest.mark.parametrize(
    ("name", "values", "observed", "censored"),
    [
        ("event", "10", "1", "0"),
        ("status", "21", "2", "1"),
        ("censored", "10", "0", "1"),
        ("censorship", ["1.0", "0.0"], "0.0", "1.0"),
        ("alive", "10", "0", "1"),
        ("censored", ["yes", "no"], "no", "yes"),
        ("vital_status", ["Alive", "Dead"], "Dead", "Alive"),
        ("OS_STATUS", ["0:LIVING", "1:DECEASED"], "1:DECEASED", "0:LIVING"),
        ("PFS_STATUS", ["0:CENSORED", "1:PROGRESSION"], "1:PROGRESSION", "0:CENSORED"),
        ("death", ["TRUE", "FALSE"], "TRUE", "FALSE"),
        ("outcome", ["not-converted", "converted"], "converted", "not-converted"),
    ],
)
def test_the_coding_of_events(name: str, values: list[str], observed: str, censored: str) -> None:
    assert coding_of(column(name, *values))[:2] == (observed, censored)
    assert coding_of(column(name, *reversed(values)))[:2] == (observed, censored)


@pytest.mark.parametrize(
    ("name", "values", "unit"),
    [
        ("os_months", ("900", "30"), "months"),
        ("days_to_last_follow_up", ("3", "5"), "days"),
        ("time", ("1200", "30"), "days"),
        ("time", ("12.5", "100"), "months"),
        ("time", ("1.5", "7.25", "12.4"), "years"),
        ("Survival (years)", ("1", "2"), "years"),
    ],
)
def test_the_unit_of_times(name: str, values: tuple[str, ...], unit: str) -> None:
    assert unit_of(column(name, *values))[0] == unit


def test_time_and_event_are_of_one_endpoint() -> None:
    times = [str(10 + 7 * i % 50) for i in range(20)]
    events = ["0", "1"] * 10
    columns = [
        column("age_at_diagnosis", *times),
        column("PFI.time", *times),
        column("OS.time", *times),
        column("OS", *events),
        column("PFI", *events),
        column("er_status", *["neg", "pos"] * 10),
    ]
    found = find_endpoint(columns)
    assert found is not None
    assert (found.time, found.event) in (("OS.time", "OS"), ("PFI.time", "PFI"))
    named = find_endpoint(columns, event="PFI")
    assert named is not None and (named.time, named.event) == ("PFI.time", "PFI")
    assert named.name == "progression-free interval"
    assert find_endpoint(columns[:1] + columns[-1:]) is None


@pytest.mark.parametrize(
    ("values", "kind", "levels"),
    [
        (["I", "IV", "II", "III"], "ordinal", ("I", "II", "III", "IV")),
        (["T2a", "T10", "T2b", "T1"], "ordinal", ("T1", "T2a", "T2b", "T10")),
        (["pT1", "pT2a", "pT2b", "pT4"], "ordinal", ("pT1", "pT2a", "pT2b", "pT4")),
        (["G3", "G1", "G2"], "ordinal", ("G1", "G2", "G3")),
        (["high", "low", "intermediate"], "ordinal", ("low", "intermediate", "high")),
        (["Stage I", "Stage II", "Stage X"], "categorical", ()),
        (["T1", "N1", "M1"], "categorical", ()),
        (["male", "female"], "categorical", ()),
        (["0", "1"], "categorical", ()),
        (["3", "0", "1", "2"], "ordinal", ("0", "1", "2", "3")),
        (["1", "1.0", "2", "3"], "continuous", ()),
        (["1.5", "2.5", "3"], "continuous", ()),
        ([str(i) for i in range(40)], "continuous", ()),
    ],
)
def test_types_of_covariates(values: list[str], kind: str, levels: tuple[str, ...]) -> None:
    found = variable_of(column("x", *values * 5))
    assert (found.kind, found.levels, found.reason) == (kind, levels, "")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["a"] * 9, "one value"),
        ([""] * 9, "one value"),
        ([f"P{i}" for i in range(30)], "as an id has"),
        ([f"w{i}" for i in range(20)] * 2, "too many for groups"),
        (["x" * 60, "y"] * 9, "free text"),
        ([*(str(i) for i in range(30)), "<5"], "holds numbers, but also '<5'"),
        (["1", "NA", "2.5"] * 9, "says NA where nothing is known"),
    ],
)
def test_columns_that_are_no_covariates_are_left_out(values: list[str], said: str) -> None:
    filled = tuple(value for value in values if value not in ("", "NA"))
    assert said in variable_of(Column("x", tuple(values), filled)).reason


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=12))
def test_any_text_is_quoted_so_that_yaml_reads_it_back(text: str) -> None:
    read = WrittenLoader("- " + word(text)).get_single_data() if readable(text) else [text]
    assert [str(item) for item in read] == [text]


def readable(text: str) -> bool:
    """Whether YAML may hold the text at all."""
    return not any(
        "\ud800" <= c <= "\udfff" or ord(c) > 0xFFFF or not c.isprintable() for c in text
    )


@given(
    st.lists(st.tuples(st.floats(0.1, 300), st.booleans()), min_size=2, max_size=40).filter(
        lambda rows: any(event for _, event in rows)
    )
)
def test_bins_and_horizons_suit_any_follow_up(rows: list[tuple[float, bool]]) -> None:
    months, events = [time for time, _ in rows], [event for _, event in rows]
    observed = [time for time, event in rows if event]
    for listed in (bins_for(observed), horizons_for(months, events)):
        assert listed and listed[0] > 0 and sorted(set(listed)) == listed


def test_folds_leave_events_for_every_part() -> None:
    assert [folds_for(n) for n in (4, 17, 18, 32, 50, 500)] == [2, 2, 3, 4, 5, 5]


def test_suffixes_are_found_where_almost_all_columns_have_one() -> None:
    assert suffixes_of(["A_rnaseq", "B_rnaseq", "A_mut"]) == {"rna": "_rnaseq", "mut": "_mut"}
    assert suffixes_of(["TP53", "HLA_A", "MYC"]) == {}
    assert suffixes_of(["A_rna", "TP53", "MYC"]) == {}


def test_classes_stand_in_the_order_of_the_disease() -> None:
    found = label_of(column("dx", *["AD", "CN", "LMCI", "EMCI"] * 5))
    assert found is not None and found.classes == ("CN", "EMCI", "LMCI", "AD")
    found = label_of(column("converted", *["yes", "no"] * 5))
    assert found is not None and found.classes == ("no", "yes")
    assert label_of(column("dx", "a", "b", "b", "b", "b")) is None


def test_a_slide_belongs_to_the_longest_id_it_starts_with(tmp_path: Path) -> None:
    names = [
        *("P1.svs", "P10_a.ndpi", "P10-HE.tiff", "P1-0.svs", "X7.svs", "TCGA-3C-AALI-01Z.DX1.svs"),
        *("P2/slide.mrxs", "P2/slide/Data.dat", ".P1.svs", "P100.svs", "notes.txt"),
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    ids = {"P1", "P10", "P1-0", "P2", "TCGA-3C-AALI"}
    found, unmatched = find_slides(tmp_path, ids)
    assert {(slide.path.name, slide.patient_id) for slide in found} == {
        ("P1.svs", "P1"),
        ("P10_a.ndpi", "P10"),
        ("P10-HE.tiff", "P10"),
        ("P1-0.svs", "P1-0"),
        ("TCGA-3C-AALI-01Z.DX1.svs", "TCGA-3C-AALI"),
        ("slide.mrxs", "P2"),
    }
    assert {slide.slide_id for slide in found if slide.patient_id == "P10"} == {"P10_1", "P10_2"}
    assert sorted(path.name for path in unmatched) == ["P100.svs", "X7.svs"]


def test_a_sheet_without_rows_is_told(tmp_path: Path) -> None:
    from survfuse.init.start import Asked, start

    (tmp_path / "p.tsv").write_text("patient_id\ttime\tevent\n")
    with pytest.raises(UserInputError, match="no rows"):
        start(Asked(tmp_path / "mine", tmp_path / "p.tsv"))
