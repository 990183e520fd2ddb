"""The pages of a memory clinic: true to their sources, discreet, plain about what is synthetic."""

import base64
import io
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from clinic_fixture import Clinic, configuration, fits, write_clinic
from reporting_fixture import Page, write_fixture
from survfuse.artifacts.manifest import OK
from survfuse.artifacts.saliency import BLOCK, Saliency, read_saliency, write_saliency
from survfuse.config.study import Config, LeftOut
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json, write_json
from survfuse.evaluation.files import EvaluationFiles
from survfuse.explain.saliency import over_blocks
from survfuse.modalities.volumes.store import Prepared
from survfuse.reporting.diagnosis.cohort_page import diagnosis_context
from survfuse.reporting.diagnosis.inputs import (
    DiagnosisData,
    read_diagnosis_data,
    saliency_of,
)
from survfuse.reporting.diagnosis.patient_page import diagnosis_patient_context, read_class_model
from survfuse.reporting.inputs import ReportInputs, read_report_data
from survfuse.reporting.pictures import volumes
from survfuse.reporting.render import render
from survfuse.reporting.sections.imaging import imaging_context, middle, modality_rows
from survfuse.reporting.stage import write_reports
from survfuse.reporting.survival.cohort_page import cohort_context
from survfuse.reporting.wording import decimal, lint, of_100
from survfuse.tasks.diagnosis.asked import happened
from survfuse.tasks.diagnosis.leaderboard import evaluate_diagnoses
from survfuse.tasks.diagnosis.predictions import (
    read_class_predictions,
    write_class_predictions,
)

ATTACK = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Clinic:
    written = write_clinic(tmp_path_factory.mktemp("clinic"))
    fits(written.out)
    return written


@pytest.fixture(scope="module")
def data(clinic: Clinic) -> DiagnosisData:
    return read_diagnosis_data(clinic.config, ReportInputs.under(clinic.out))


@pytest.fixture(scope="module")
def pages(clinic: Clinic, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """All pages by name, written through the stage."""
    out = tmp_path_factory.mktemp("report")
    patients = [clinic.with_pet, clinic.without_pet, clinic.quarantined_pet]
    report = clinic.config.report.model_copy(update={"patients": patients})
    write_reports(clinic.config.model_copy(update={"report": report}), clinic.out, out)
    found = {path.stem: path.read_text("utf-8") for path in out.rglob("*.html")}
    assert set(found) == {"index", *patients}
    return found


def cohort_html(config: Config, data: DiagnosisData) -> str:
    return render("diagnosis.html.j2", diagnosis_context(config, data))


def patient_html(config: Config, data: DiagnosisData, patient_id: str) -> str:
    model = read_class_model(config, data)
    context = diagnosis_patient_context(config, data, model, patient_id)
    return render("diagnosis_patient.html.j2", context)


def changed(data: DiagnosisData, **evaluation: Any) -> DiagnosisData:
    return replace(data, evaluation={**data.evaluation, **evaluation})


def by_column(clinic: Clinic, data: DiagnosisData, **report: Any) -> tuple[Config, DiagnosisData]:
    """The same classes as if they stood in a column of the sheet, without follow-up."""
    diagnosis = {"name": "conversion", "classes": ["stable", "converted"], "column": "class"}
    cohort = {"patients": "patients.tsv", "images": "images.tsv", "diagnosis": diagnosis}
    model = {"model": "itcfn", **report}
    config = configuration(clinic.out, cohort=cohort, report=model)
    study = replace(data.study, weight=np.ones(len(data.study.label)), outcome=None)
    found = changed(data, horizon_months=None, absolute_risk={}, risks_sha256=None)
    return config, replace(found, study=study, risks=data.risks[:0])


def risk_of(clinic: Clinic, model: str, patient: str) -> pd.Series:
    """The row of risks.tsv, read without the code under test."""
    table = pd.read_csv(clinic.evaluation.with_name("risks.tsv"), sep="\t")
    return table[(table["model"] == model) & (table["patient_id"] == patient)].iloc[0]


def text_of(html: str) -> str:
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    inline = re.sub(r"</?(?:span|b|i)\b[^>]*>", "", body)
    return " ".join(re.sub(r"<[^>]+>", " ", inline).split())


# --- pages as such


def test_pages_are_self_contained_and_well_formed(pages: dict[str, str]) -> None:
    for html in pages.values():
        page = Page(html)
        assert page.faults == []
        for tag, attributes in page.elements:
            for name in ("src", "srcset") if tag == "a" else ("src", "href", "srcset"):
                if name in attributes:
                    assert attributes[name].startswith(("data:", "#"))
        assert "http://" not in html
        assert "https://" not in html
        assert not page.all("script")
        assert all(image.get("alt") for image in page.all("img"))
        for svg in page.all("svg"):
            assert (svg.get("role") == "img" and svg.get("aria-label")) or svg.get("aria-hidden")
        identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(identifiers) == len(set(identifiers))
        assert len(html.encode()) < 2 * 2**20


def test_pages_keep_the_wording_rules(pages: dict[str, str]) -> None:
    for html in pages.values():
        assert lint(html) == []
        assert "Research use only." in html


def test_writing_twice_gives_the_same_bytes(clinic: Clinic, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_reports(clinic.config, clinic.out, tmp_path / name, [clinic.with_pet])
    first, second = (
        (tmp_path / name / "patients" / f"{clinic.with_pet}.html").read_bytes() for name in "ab"
    )
    assert first == second


# --- true to their sources


def value_at(evaluation: dict[str, Any], key: str) -> float:
    """The number of evaluation.json that a data-key names."""
    _, section, *rest = key.split("/")
    if section == "rows":
        found: Any = next(row for row in evaluation["rows"] if row["model"] == rest[0])
        rest = rest[1:]
    elif section == "comparisons":
        pair = [*rest[:-1], evaluation["reference"]][:2]
        found = next(e for e in evaluation["comparisons"] if [e["model"], e["reference"]] == pair)
        rest = rest[-1:]
    elif section == "policies":
        found = next(e for e in evaluation["policies"] if [e["synthesise"], e["mask"]] == rest[:2])
        rest = rest[2:]
    elif section == "with_pet":
        rungs = evaluation["with_pet"]["rungs"]
        found = next(rung for rung in rungs if [rung["model"], rung["pet"]] == rest[:2])
        rest = rest[2:]
    elif section == "synthesis":
        found = next(e for e in evaluation["synthesis"] if e["target"] == rest[0])["measures"]
        rest = rest[1:]
    elif section == "availability":
        found = next(
            e for e in evaluation["availability"] if [e["modality"], e["class"]] == rest[:2]
        )
        rest = rest[2:]
    else:
        found = evaluation[section]
    for part in rest:
        found = found[int(part)] if isinstance(found, list) else found[part]
    return float(found)


def test_every_number_of_the_cohort_page_is_that_of_the_evaluation(
    clinic: Clinic, pages: dict[str, str]
) -> None:
    evaluation = read_json(clinic.evaluation)
    numbers = Page(pages["index"]).numbers
    keys = {key for key, _ in numbers}
    for row in evaluation["rows"]:
        assert f"evaluation/rows/{row['model']}/discrimination/value" in keys
    for model in ("itcfn", "logistic"):
        for name in ("sensitivity", "specificity", "balanced_accuracy", "f1"):
            assert f"evaluation/rows/{model}/at_threshold/{name}/low" in keys
        for name in ("brier", "calibration_slope", "observed_expected"):
            assert f"evaluation/rows/{model}/{name}/high" in keys
    assert "evaluation/rows/itcfn/by_pet/synthesised/auroc/low" in keys
    assert "evaluation/rows/itcfn/ablations/without pet/difference/high" in keys
    assert "evaluation/synthesis/pet/masked_mae/copied_source/value" in keys
    assert "evaluation/policies/itcfn/itcfn_mask/withheld/auroc/low" in keys
    for rung in ("oracle/truth", "itcfn/real", "itcfn/synthetic", "itcfn_mask/none"):
        assert f"evaluation/with_pet/{rung}/difference/high" in keys
    assert "evaluation/with_pet/mri_cnn/unread/auroc/low" in keys
    for key, text in numbers:
        expected = value_at(evaluation, key)
        digits = len(text.partition(".")[2])
        if key.startswith("evaluation/shares/"):
            assert text == of_100(expected), key
        else:
            assert text in (decimal(expected, digits), decimal(expected, digits, True)), key


def test_hand_computed_numbers_reach_the_page(
    clinic: Clinic, data: DiagnosisData, pages: dict[str, str]
) -> None:
    label = clinic.truth.label()
    text = text_of(pages["index"])
    assert f"Stable {(label == 0).sum()} " in text
    assert f"Converted by 36 months {(label == 1).sum()} " in text
    assert f"Unknown {(label == -1).sum()} All 120" in text
    table = read_class_predictions(clinic.out / "predictions" / "itcfn.tsv")
    table = table.set_index("patient_id").loc[clinic.truth.patient_id.tolist()]
    positive = (table["p_1"] >= table["threshold"]).to_numpy()
    sensitivity = f"{positive[label == 1].mean():.2f}"
    assert f">{sensitivity}</span>" in pages["index"]
    patient = text_of(pages[clinic.with_pet])
    p = float(table.loc[clinic.with_pet, "p_1"])
    told = f"own probability, before it is recalibrated, is {of_100(p)} of 100."
    assert told in patient
    assert "are expected to be" not in patient
    config, plain = by_column(clinic, data)
    patient = text_of(patient_html(config, plain, clinic.with_pet))
    assert f"about {of_100(p)} are expected to be converted." in patient
    assert "It has no interval here" in patient


@pytest.mark.parametrize("who", ["with_pet", "without_pet", "quarantined_pet"])
def test_the_headline_is_the_recalibrated_risk_with_its_interval(
    clinic: Clinic, pages: dict[str, str], who: str
) -> None:
    patient = getattr(clinic, who)
    html, text = pages[patient], text_of(pages[patient])
    ours, theirs = (risk_of(clinic, name, patient) for name in ("itcfn", "logistic"))
    limits = f"{of_100(ours['low'])} to {of_100(ours['high'])}"
    words = f"about {of_100(ours['risk'])} have converted to dementia by 36 months"
    assert f"{words} (95 % interval {limits})." in text
    assert "A single patient’s own risk can lie outside it." in text
    beside = f"{of_100(theirs['low'])} to {of_100(theirs['high'])}"
    assert f"Logistic regression gives {of_100(theirs['risk'])} of 100 ({beside})." in text
    apart = abs(round(100 * ours["risk"]) - round(100 * theirs["risk"]))
    assert (f"The two estimates differ by {apart} of 100;" in text) == (apart > 15)
    assert "nearest" not in text  # one basis, not two
    assert f'aria-label="{round(100 * ours["risk"])} of 100 figures' in html
    lacks = who != "with_pet"
    assert ("The missing PET could move the estimate: " in text) == lacks
    width, alone = (ours[f"{p}high"] - ours[f"{p}low"] for p in ("", "as_is_"))
    assert (width > alone) == lacks


def test_where_the_reference_is_shown_it_is_not_compared_with_itself(
    clinic: Clinic, data: DiagnosisData
) -> None:
    report = clinic.config.report.model_copy(update={"model": "logistic"})
    config = clinic.config.model_copy(update={"report": report})
    assert "For the same patient" not in text_of(patient_html(config, data, clinic.with_pet))


def test_a_headline_that_rests_on_few_converters_is_grey(
    clinic: Clinic, data: DiagnosisData
) -> None:
    few = changed(data, counts={**data.evaluation["counts"], "classes": [90, 19]})
    for config, there in ((clinic.config, few), by_column(clinic, few)):
        html = patient_html(config, there, clinic.with_pet)
        assert '<b class="few">' in html
        assert "fewer than 20 patients known to be converted" in text_of(html)
    html = patient_html(clinic.config, data, clinic.with_pet)
    assert '<b class="few">' not in html
    assert "In grey" not in text_of(html)


def test_without_an_estimate_the_reason_is_told(clinic: Clinic, data: DiagnosisData) -> None:
    told = {"itcfn": {"horizons": {"36": {"slope": None, "reason": "4 events are too few"}}}}
    without = replace(changed(data, absolute_risk=told), risks=data.risks[:0])
    html = patient_html(clinic.config, without, clinic.with_pet)
    assert "No risk can be estimated for this patient. 4 events are too few." in text_of(html)
    assert "figures are filled" not in html


def test_risks_of_another_evaluation_are_refused(clinic: Clinic, tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    write_json(path, read_json(clinic.evaluation) | {"risks_sha256": "0" * 64})
    shutil.copy(clinic.evaluation.with_name("risks.tsv"), tmp_path)
    inputs = replace(ReportInputs.under(clinic.out), evaluation_json=path)
    with pytest.raises(UserInputError, match="is not the table that was written with"):
        read_diagnosis_data(clinic.config, inputs)


@pytest.mark.parametrize(
    ("endpoint", "name", "words"),
    [
        ({"event_words": "have fallen ill"}, "conversion", "have fallen ill"),
        ({"name": "conversion to dementia"}, "class at 36 months", "have converted to dementia"),
        ({}, "conversion within 36 months", "have converted"),
        ({}, "class at 36 months", "are converted"),  # never "have died" by default
    ],
)
def test_the_event_is_named(
    tmp_path: Path, endpoint: dict[str, str], name: str, words: str
) -> None:
    config = configuration(
        tmp_path,
        cohort={
            "patients": "patients.tsv",
            "images": "images.tsv",
            "endpoint": endpoint,
            "diagnosis": {"name": name, "horizon_months": 36},
        },
    )
    assert happened(config.cohort) == words


@pytest.mark.parametrize(
    ("threshold", "words"),
    [
        (0.5, "above"),
        (0.599, "just above"),
        (0.6, "just above"),
        (0.604, "just below"),
        (0.7, "below"),
    ],
)
def test_an_estimate_that_rounds_to_its_threshold_lies_just_beside_it(
    clinic: Clinic, data: DiagnosisData, threshold: float, words: str
) -> None:
    model = read_class_model(clinic.config, data)
    table = model.table.assign(p_0=0.4, p_1=0.6, p_low_1=0.6, p_high_1=0.6, threshold=threshold)
    model = replace(model, table=table)
    context = diagnosis_patient_context(clinic.config, data, model, clinic.with_pet)
    text = text_of(render("diagnosis_patient.html.j2", context))
    assert f"That probability lies {words} the threshold of the fold" in text
    config, plain = by_column(clinic, data)
    context = diagnosis_patient_context(config, plain, model, clinic.with_pet)
    text = text_of(render("diagnosis_patient.html.j2", context))
    assert f"This lies {words} the threshold of the fold" in text


def test_similar_patients_are_counted_without_the_patient(
    clinic: Clinic, data: DiagnosisData
) -> None:
    label = clinic.truth.label()
    table = read_class_predictions(clinic.out / "predictions" / "itcfn.tsv")
    p = table.set_index("patient_id")["p_1"].loc[clinic.truth.patient_id.tolist()].to_numpy()
    middling = int(np.argmin(np.where(label >= 0, np.abs(p - 0.45), 9)))
    others = np.flatnonzero((label >= 0) & (np.arange(120) != middling))
    nearest = others[np.argsort(np.abs(p[others] - p[middling]))[:20]]
    cases = int((label[nearest] == 1).sum())
    assert 5 <= cases <= 15
    config, plain = by_column(clinic, data)
    text = text_of(patient_html(config, plain, clinic.truth.patient_id[middling]))
    told = (
        f"Of the 20 other patients with the nearest probabilities ({of_100(p[nearest].min())} to "
    )
    assert told in text
    assert f"of 100), {cases} were converted (95 % interval: " in text


def test_few_similar_patients_with_an_outcome_are_not_counted(
    clinic: Clinic, data: DiagnosisData
) -> None:
    config, plain = by_column(clinic, data, min_cell=11)
    text = text_of(patient_html(config, plain, clinic.without_pet))
    assert re.search(r"fewer than 11 were converted|more than 9 were converted", text)


# --- synthetic volumes are told


def test_a_synthetic_volume_is_told_wherever_it_counts(
    clinic: Clinic, pages: dict[str, str]
) -> None:
    for patient in (clinic.without_pet, clinic.quarantined_pet):
        text = text_of(pages[patient])
        assert "This estimate rests on a synthetic PET." in text
        assert "computed from the MRI, not measured" in text
        assert "Synthetic: computed, not measured." in text
        assert "How far a synthetic PET can be trusted" in text
        assert "Not for reading the synthetic PET" in text
        assert 'class="chip synthetic"' in pages[patient]
    assert "set aside: (file) ends early" in text_of(pages[clinic.quarantined_pet])
    real = text_of(pages[clinic.with_pet])
    assert "rests on a synthetic" not in real
    assert "Synthetic: computed" not in real
    assert "PET: real" in real
    assert "Had this patient’s PET been missing" in real


def pixels_of(uri: str) -> np.ndarray:
    assert uri.startswith("data:image/jpeg;base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    assert not picture.getexif()
    return np.asarray(picture.convert("RGB")).astype(int)


def block(side: int = 24) -> Prepared:
    """A bright brain with a brighter place at the right, behind, above; -0.2 outside of it."""
    volume = np.full((side,) * 3, -0.2, np.float32)
    mask = np.zeros((side,) * 3, bool)
    mask[4:20, 4:20, 4:20] = True
    volume[mask] = 0.0
    volume[14:18, 5:9, 14:18] = 1.0
    return Prepared(volume, mask, np.diag([2.0, 2.0, 2.0, 1.0]))


def test_the_mark_is_in_the_pixels() -> None:
    plain = pixels_of(volumes.three_planes(block()))
    marked = pixels_of(volumes.three_planes(block(), synthetic=True))
    assert np.abs(plain[..., 0] - plain[..., 2]).max() < 30  # grey
    amber = (marked[..., 0] > 200) & (marked[..., 2] < 90)
    assert amber[:6].mean() > 0.3  # the frame
    for number in range(3):  # the word, on each plane
        assert amber[225:250, number * 256 + 8 : number * 256 + 110].mean() > 0.1


def test_nothing_outside_the_brain_is_drawn() -> None:
    face = block()
    shown = replace(face, volume=np.where(face.mask, face.volume, 1.0).astype(np.float32))
    assert volumes.three_planes(shown) == volumes.three_planes(face)
    black = pixels_of(volumes.three_planes(face))
    assert black[:8].max() < 30


def test_saliency_lies_where_it_belongs() -> None:
    saliency = np.zeros((6, 6, 6))
    saliency[4:, 2:4, 2:4] = 0.4  # at the right of the patient speaks for the class
    saliency[:2, 2:4, 2:4] = -0.4
    pixels = pixels_of(volumes.three_planes(block(), saliency=saliency))
    warm = pixels[..., 0] - pixels[..., 2] > 40
    cold = pixels[..., 2] - pixels[..., 0] > 40
    coronal = slice(256, 512)
    # The patient's right is on the left of the picture, where R stands.
    assert warm[:, coronal][:, :128].sum() > 20 * warm[:, coronal][:, 128:].sum()
    assert cold[:, coronal][:, 128:].sum() > 20 * cold[:, coronal][:, :128].sum()
    turned = volumes.three_planes(block(), saliency=saliency, display="neurological")
    pixels = pixels_of(turned)
    warm = pixels[..., 0] - pixels[..., 2] > 40
    assert warm[:, coronal][:, 128:].sum() > 20 * warm[:, coronal][:, :128].sum()


@pytest.mark.parametrize("side", [8, 9, 11, 24])
def test_a_block_is_spread_over_its_own_voxels(side: int) -> None:
    """Also where the last block of an axis is cut off."""
    for number in range(-(-side // BLOCK)):
        voxels = np.zeros((side,) * 3)
        voxels[BLOCK * number : BLOCK * (number + 1)] = 1
        fine = volumes.spread(over_blocks(voxels), np.ones((side,) * 3, dtype=bool))[:, 4, 4]
        middle = np.mean(np.flatnonzero(fine > fine.max() - 1e-6))
        assert BLOCK * number <= middle < BLOCK * (number + 1)


def test_a_map_of_a_volume_of_another_size_is_refused() -> None:
    with pytest.raises(UserInputError, match="5x6x6 blocks for a volume of 24x24x24 voxels"):
        volumes.three_planes(block(), saliency=np.zeros((5, 6, 6)))


def test_saliency_of_a_synthetic_volume_is_not_shown(clinic: Clinic, data: DiagnosisData) -> None:
    assert read_saliency(clinic.out / "predictions" / "itcfn.saliency.h5", clinic.without_pet)
    html = patient_html(clinic.config, data, clinic.without_pet)
    assert html.count("with what moved the probability of converted") == 1  # the MRI's
    assert patient_html(clinic.config, data, clinic.with_pet).count("with what moved the pro") == 2
    assert "what moved" not in patient_html(clinic.config, data, clinic.quarantined_pet)


def test_saliency_maps_survive_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.saliency.h5"
    values = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    write_saliency(path, {"P1": {"mri": values}}, "occlusion", {"P1": 2})
    found = read_saliency(path, "P1")
    assert found is not None
    assert (found.method, found.number) == ("occlusion", 2)
    np.testing.assert_array_equal(found.maps["mri"], values)
    assert read_saliency(path, "P2") is None
    for wrong in (values[0], values * np.nan):
        with pytest.raises(UserInputError, match="patient P1, mri: a map needs three axes"):
            write_saliency(path, {"P1": {"mri": wrong}}, "occlusion", {"P1": 1})
    with pytest.raises(UserInputError, match="'ct' is no modality"):
        write_saliency(path, {"P1": {"ct": values}}, "occlusion", {"P1": 1})
    with h5py.File(path, "w") as file:
        file["P1"] = 1.0
    with pytest.raises(UserInputError, match=r"saliency\.h5: no file of saliency maps"):
        read_saliency(path, "P1")


def test_a_page_names_the_class_of_its_maps(
    clinic: Clinic, data: DiagnosisData, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = text_of(patient_html(clinic.config, data, clinic.with_pet))
    assert "this region raised the probability of converted" in text
    assert "in the first repeat" not in text
    found = saliency_of(data, "itcfn", clinic.with_pet)
    assert found is not None
    monkeypatch.setattr(
        "survfuse.reporting.diagnosis.patient_page.saliency_of", lambda *_: replace(found, number=0)
    )
    text = text_of(patient_html(clinic.config, data, clinic.with_pet))
    assert "this region raised the probability of stable" in text
    assert "the maps are of the most probable class in the first repeat" in text


def test_a_map_of_another_size_is_told_and_costs_nothing_else(
    clinic: Clinic, data: DiagnosisData, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Saliency({"mri": np.zeros((3, 3, 3)), "pet": np.zeros((3, 3, 3))}, "m")
    monkeypatch.setattr("survfuse.reporting.diagnosis.patient_page.saliency_of", lambda *_: small)
    html = patient_html(clinic.config, data, clinic.with_pet)
    assert "No map of MRI: saliency.h5 has a map of 3x3x3 blocks" in html
    assert "MRI in sagittal, coronal and axial planes" in html
    assert "Clinical values" in html


def test_a_picture_that_cannot_be_read_costs_no_cohort_report(
    clinic: Clinic, tmp_path: Path
) -> None:
    shutil.copytree(clinic.out, tmp_path / "run")
    for path in (tmp_path / "run" / "images").rglob("*.png"):
        path.write_bytes(b"no picture")
    write_reports(clinic.config, tmp_path / "run", tmp_path / "report")
    html = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "No picture of the MRI of patient" in html
    assert "not readable as a picture" in html
    assert str(tmp_path) not in html


# --- brain volumes


def test_preparation_is_told(clinic: Clinic, pages: dict[str, str]) -> None:
    text = text_of(pages["index"])
    assert "204 volumes in the sheet; 1 could not be used and was set aside." in text
    assert f"{clinic.quarantined_pet} bl PET (file) ends early" in text
    assert "jane_doe" not in pages["index"]
    pictures = [i for i in Page(pages["index"]).all("img") if "outline" in i["alt"]]
    assert len(pictures) == 3  # two MRI, and the PET that is on disk
    assert len([i for i in Page(pages["index"]).all("img") if "Registration" in i["alt"]]) == 1
    assert middle([3.0, None, 1.0, 2.0, 9.0], 4) == (1.0, 2.5, 9.0)
    assert middle([3.0, None], 2) is None


@pytest.mark.parametrize("how", ["strip", "head"])
def test_no_picture_where_a_face_could_be(clinic: Clinic, data: DiagnosisData, how: str) -> None:
    config, changed_data = clinic.config, data
    if how == "strip":
        imaging = config.imaging.model_copy(update={"strip": False})
        config = config.model_copy(update={"imaging": imaging})
    else:
        heads = tuple(replace(volume, mask_by="head") for volume in data.brought["images"])
        changed_data = replace(data, brought={"images": heads})
    context = imaging_context(config, changed_data)
    assert context is not None
    assert context["planes"] == context["alignments"] == []
    html = patient_html(config, changed_data, clinic.with_pet)
    assert not Page(html).all("img")
    assert "so that it may show a face" in text_of(html)
    made = patient_html(config, changed_data, clinic.without_pet)  # from an MRI that is not shown
    assert not Page(made).all("img")
    assert "the one it was made from" in text_of(made)


def test_a_cohort_without_volumes_has_no_such_section(clinic: Clinic, data: DiagnosisData) -> None:
    text = text_of(cohort_html(clinic.config, replace(data, brought={})))
    assert "Brain volumes" not in text
    assert "Missing volumes" not in text
    assert "metabolism" not in text


def test_ensembles_are_told_of_networks_alone(clinic: Clinic, data: DiagnosisData) -> None:
    assert "Every neural model" in text_of(cohort_html(clinic.config, data))
    rows = [model for model in clinic.config.models if model.kind in ("logistic", "site_only")]
    report = clinic.config.report.model_copy(update={"model": None})
    config = clinic.config.model_copy(update={"models": rows, "report": report})
    assert "neural model" not in text_of(cohort_html(config, data))


def test_what_a_stack_combines_is_told(clinic: Clinic, data: DiagnosisData) -> None:
    assert "combines" not in text_of(cohort_html(clinic.config, data))
    members = [
        [{"name": "clinical", "effect": low}, {"name": "joint", "effect": 2 * low}]
        for low in (0.25, 0.0, 0.5)
    ]
    fits = tuple({"model": {"name": "itcfn"}, "stack": own} for own in members)
    html = cohort_html(clinic.config, replace(data, fits=(*data.fits, *fits)))
    text = text_of(html)
    assert "The effect is the log-odds per standard deviation of a score" in text
    assert "clinical data 0.25 0.00 0.50 2 of 3" in text
    assert "all blocks jointly 0.50 0.00 1.00 2 of 3" in text
    assert lint(html) == []


def test_survival_reports_tell_of_preparation_too(
    clinic: Clinic, data: DiagnosisData, tmp_path: Path
) -> None:
    survival = write_fixture(tmp_path)
    run = read_report_data(survival.inputs)
    assert "Brain volumes" not in text_of(
        render("cohort.html.j2", cohort_context(survival.config, run))
    )
    files = {**run.inputs.files, "images": clinic.out / "images" / "images.tsv"}
    brought = {**run.brought, "images": data.brought["images"]}
    run = replace(run, brought=brought, inputs=replace(run.inputs, files=files))
    html = render("cohort.html.j2", cohort_context(survival.config, run))
    assert "204 volumes in the sheet; 1 could not be used" in text_of(html)
    assert len([image for image in Page(html).all("img") if "outline" in image["alt"]]) == 3
    assert lint(html) == []


# --- discretion


def test_small_counts_are_withheld(clinic: Clinic, data: DiagnosisData) -> None:
    counts = {**data.evaluation["counts"], "classes": [114, 2], "unknown": 4, "known": 116}
    html = cohort_html(clinic.config, changed(data, counts=counts))
    text = text_of(html)
    assert "Converted by 36 months withheld Unknown withheld" in text
    assert "116 patients" not in text and "inverse probability of not having been" in text
    assert "by Kaplan-Meier" not in text
    rows = []
    for row in data.evaluation["rows"]:
        by_pet = dict(row.get("by_pet", {}))
        if "synthesised" in by_pet:
            by_pet["synthesised"] = by_pet["synthesised"] | {"n": 3}
        rows.append({**row, "by_pet": by_pet, "synthesised": min(row.get("synthesised", 0), 4)})
    html = cohort_html(clinic.config, changed(data, rows=rows))
    keys = {key for key, _ in Page(html).numbers}
    assert not [key for key in keys if "by_pet" in key], "the rest would tell how many"
    assert "synthetic volumes for fewer than 5 patients" in text_of(html)
    few = {**data.evaluation["with_pet"], "n": 4}
    assert "who have a PET" in text_of(cohort_html(clinic.config, data))
    assert "who have a PET" not in text_of(cohort_html(clinic.config, changed(data, with_pet=few)))


def test_a_class_is_told_where_nobody_is_of_unknown_class(
    clinic: Clinic, data: DiagnosisData
) -> None:
    counts = {**data.evaluation["counts"], "classes": [64, 56], "unknown": 0, "known": 120}
    text = text_of(cohort_html(clinic.config, changed(data, counts=counts)))
    assert "Converted by 36 months 56 All 120" in text
    assert "(120 patients of known class)" in text


def test_the_share_of_a_small_class_is_not_told(clinic: Clinic, data: DiagnosisData) -> None:
    """Two of 116 are "2 of 100", which tells that they are two."""
    counts = {**data.evaluation["counts"], "classes": [114, 2], "unknown": 4, "known": 116}
    told = "of 100 patients have converted to dementia by then (Kaplan-Meier"
    assert told in text_of(patient_html(clinic.config, data, clinic.with_pet))
    few = changed(data, counts=counts)
    text = text_of(patient_html(clinic.config, few, clinic.with_pet))
    assert told not in text and "116 patients" not in text


def test_the_share_of_the_whole_cohort_is_told_and_what_is_unknown(
    clinic: Clinic, data: DiagnosisData
) -> None:
    share = data.evaluation["shares"][1]
    limits = f"{of_100(share['low'])} to {of_100(share['high'])}"
    text = text_of(cohort_html(clinic.config, data))
    told = f"{of_100(share['value'])} of 100 converted by 36 months in the whole cohort, by Kaplan"
    assert f"{told}-Meier (95 % interval {limits})" in text
    assert f"Unknown {data.evaluation['counts']['unknown']}" in text
    patient = text_of(patient_html(clinic.config, data, clinic.with_pet))
    told = f"In the whole cohort, {of_100(share['value'])} of 100 patients have converted to"
    assert f"{told} dementia by then (Kaplan-Meier; 95 % interval {limits} of 100)." in patient


def test_a_collapsed_reference_gets_no_green_verdict(clinic: Clinic, data: DiagnosisData) -> None:
    """Its sensitivity is not estimable, and it is named in a warning."""
    told = "Logistic regression gives all patients of fold 3 the same probability."
    nothing = {"value": None, "low": None, "high": None, "reason": "not estimable"}
    rows = [
        row
        if row["model"] != "logistic"
        else {
            **row,
            "collapsed": [told],
            "at_threshold": dict.fromkeys(row["at_threshold"], nothing),
        }
        for row in data.evaluation["rows"]
    ]
    compared = [
        {**entry, "low": None, "high": None, "reason": "nothing is shown"}
        for entry in data.evaluation["comparisons"]
    ]
    html = cohort_html(clinic.config, changed(data, rows=rows, comparisons=compared))
    text = text_of(html)
    assert told in text and "Nothing is shown against Logistic regression" in text
    assert "patients better than Logistic regression" not in text
    assert 'class="finding good"' not in html
    keys = {key for key, _ in Page(html).numbers}
    assert not any("rows/logistic/at_threshold" in key for key in keys)
    config = clinic.config.model_copy(
        update={"report": clinic.config.report.model_copy(update={"model": "logistic"})}
    )
    patient = text_of(
        patient_html(config, changed(data, rows=rows, comparisons=compared), clinic.with_pet)
    )
    assert told in patient and "At the thresholds of the folds" not in patient


def test_from_few_patients_of_a_class_no_verdict_is_drawn(
    clinic: Clinic, data: DiagnosisData
) -> None:
    compared = [
        {**entry, "difference": 0.2, "low": 0.1, "high": 0.3, "few": True}
        for entry in data.evaluation["comparisons"]
    ]
    html = cohort_html(clinic.config, changed(data, comparisons=compared))
    assert 'class="finding good"' not in html
    assert "fewer than 20 patients of a class" in text_of(html)
    plain = [{**entry, "few": False} for entry in compared]
    assert 'class="finding good"' in cohort_html(clinic.config, changed(data, comparisons=plain))


def test_few_patients_shown_less_are_withheld(clinic: Clinic, data: DiagnosisData) -> None:
    """Of those who have the input, it is the patients of known class who are scored."""
    rows = [
        {**row, "ablations": {name: {**c, "n": 9, "n_known": 4} for name, c in ablations.items()}}
        for row in data.evaluation["rows"]
        if (ablations := row.get("ablations", {})) is not None
    ]
    html = cohort_html(clinic.config, changed(data, rows=rows))
    assert not [key for key, _ in Page(html).numbers if "/ablations/" in key]


def test_few_volumes_of_a_kind_are_withheld(data: DiagnosisData) -> None:
    usable = [volume for volume in data.brought["images"] if volume.status == OK][:20]
    mixed = [replace(v, modality="mri", mask_by="given" if i < 3 else "search")
             for i, v in enumerate(usable)]  # fmt: skip
    (row,) = modality_rows(mixed, 5)
    assert row["patients"] == len({volume.patient_id for volume in usable})
    assert row["masks"] == "found by search: withheld and supplied with the sheet: withheld"
    (row,) = modality_rows(mixed[:3], 5)
    assert row["patients"] is None


def test_markup_in_the_data_stays_text(clinic: Clinic, data: DiagnosisData) -> None:
    evaluation = {
        "name": ATTACK,
        "definition": ATTACK,
        "classes": [ATTACK, ATTACK],
        "notes": [ATTACK],
    }
    rows = [{**row, "label": ATTACK} for row in data.evaluation["rows"]]
    attacked = changed(data, **evaluation, rows=rows)
    for html in (
        cohort_html(clinic.config, attacked),
        patient_html(clinic.config, attacked, clinic.without_pet),
    ):
        assert ATTACK not in html
        assert "&lt;script&gt;" in html


def test_pages_tell_no_follow_up_of_a_patient(clinic: Clinic, pages: dict[str, str]) -> None:
    times = dict(zip(clinic.truth.patient_id, clinic.truth.time_months, strict=True))
    for patient in (clinic.with_pet, clinic.without_pet):
        assert f"{times[patient]:g}" not in text_of(pages[patient])


# --- other shapes of a run


def test_three_classes_get_pages_too(tmp_path: Path) -> None:
    n = 90
    ids = [f"P{number:02d}" for number in range(n)]
    label, fold = np.arange(n) % 3, np.arange(n) // 3 % 5
    rng = np.random.default_rng(0)
    keys = pd.DataFrame({"patient_id": ids, "repeat": 0, "fold": fold})
    (tmp_path / "cohort").mkdir()
    (tmp_path / "splits").mkdir()
    keys.to_csv(tmp_path / "splits" / "splits.tsv", sep="\t", index=False)
    keys.assign(label=label)[["patient_id", "label"]].to_csv(
        tmp_path / "cohort" / "outcomes.tsv", sep="\t", index=False
    )
    keys[["patient_id"]].assign(age="70").to_csv(
        tmp_path / "cohort" / "clinical.tsv", sep="\t", index=False
    )
    write_json(
        tmp_path / "cohort" / "cohort.json",
        {"n_patients": n, "modalities": {"clinical": n}, "sites": [], "notes": [],
         "overlap": [{"modalities": ["clinical"], "n": n}],
         "covariates": [{"name": "age", "type": "continuous", "missing": 0, "levels": None,
                         "quartiles": [60, 70, 80]}]},
    )  # fmt: skip
    models = [
        {"name": "logistic", "kind": "logistic"},
        {"name": "wide", "kind": "logistic", "options": {"modalities": ["clinical", "mri"]}},
    ]
    for model in models:
        raw = np.exp(rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[label])
        p = raw / raw.sum(axis=1, keepdims=True)
        table = keys.assign(synthesised=0, threshold=np.nan, p_0=p[:, 0], p_1=p[:, 1], p_2=p[:, 2])
        write_class_predictions(tmp_path / "predictions" / f"{model['name']}.tsv", table)
    cohort = {
        "patients": "p.tsv",
        "covariates": {"age": {"type": "continuous"}},
        "diagnosis": {"name": "type", "classes": ["AD", "FTD", "none"], "column": "type"},
    }
    report = {"model": "wide", "patients": ["P00"]}
    config = configuration(tmp_path, cohort=cohort, models=models, report=report)
    config = config.with_left_out([LeftOut("models", "No control is left.", "", "control")])
    inputs = ReportInputs.under(tmp_path)
    evaluate_diagnoses(
        config,
        EvaluationFiles(
            outcomes=inputs.outcomes,
            splits=inputs.splits,
            predictions=inputs.predictions.root,
            out=inputs.evaluation_json,
        ),
    )
    earlier = tmp_path / "report" / "patients" / "P01.html"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("the page of an earlier run")
    write_reports(config, tmp_path, tmp_path / "report")
    assert not earlier.exists()
    index = (tmp_path / "report" / "index.html").read_text("utf-8")
    assert "Each class against the others" in text_of(index)
    assert lint(index) == []
    assert Page(index).faults == []
    patient = (tmp_path / "report" / "patients" / "P00.html").read_text("utf-8")
    assert "AD" in text_of(patient)
    assert "FTD" in text_of(patient)
    assert Page(patient).faults == []


def test_a_survival_evaluation_is_refused(clinic: Clinic, tmp_path: Path) -> None:
    told = read_json(clinic.evaluation)
    path = tmp_path / "evaluation.json"
    write_json(path, {key: value for key, value in told.items() if key != "task"})
    inputs = replace(ReportInputs.under(clinic.out), evaluation_json=path)
    with pytest.raises(UserInputError, match="is no evaluation of a diagnosis"):
        read_diagnosis_data(clinic.config, inputs)


def test_an_unknown_patient_is_refused_before_anything_is_written(
    clinic: Clinic, tmp_path: Path
) -> None:
    with pytest.raises(UserInputError, match="B9999 is not in the cohort"):
        write_reports(clinic.config, clinic.out, tmp_path / "r", ["B9999"])
    assert not (tmp_path / "r").exists()


def test_a_modality_that_exactly_the_cases_have_is_told(
    clinic: Clinic, data: DiagnosisData
) -> None:
    """Its AUROC is 1 and has no interval, and nothing else could mislead as much."""
    complete = {"modality": "pet", "class": "converted", "auroc": 1.0, "low": None}
    complete |= {"high": None, "reason": "the score separates cases from controls without overlap"}
    text = text_of(cohort_html(clinic.config, changed(data, availability=[complete])))
    assert "Having PET is more frequent in the class" in text
    assert "(AUROC 1.00);" in text
    reverse = text_of(
        cohort_html(clinic.config, changed(data, availability=[complete | {"auroc": 0.0}]))
    )
    assert "Having PET is less frequent in the class" in reverse
    unknown = complete | {"auroc": None, "reason": "all of the patients have it"}
    assert "Having PET" not in text_of(
        cohort_html(clinic.config, changed(data, availability=[unknown]))
    )


@pytest.mark.parametrize(("display", "left"), [("radiological", "right"), ("neurological", "left")])
def test_captions_name_the_side_that_pictures_show(
    clinic: Clinic, data: DiagnosisData, display: str, left: str
) -> None:
    imaging = clinic.config.imaging.model_copy(update={"display": display})
    config = clinic.config.model_copy(update={"imaging": imaging})
    html = patient_html(config, data, clinic.with_pet)
    assert f"Front of the head (left picture) and the patient’s {left} (middle and right)" in html
    assert f"Front of the head and the patient’s {left} are on the left" in cohort_html(
        config, data
    )
