"""The pages as a whole: self-contained, reproducible, true to their sources, discreet."""

import csv
import json
import re
import shutil
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from lifelines import KaplanMeierFitter
from PIL import Image

from reporting_fixture import Page, configuration, write_fixture
from survfuse.artifacts.ablations import write_ablations
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json
from survfuse.evaluation.files import EvaluationFiles
from survfuse.reporting.inputs import PatientRisk, read_report_data, risks_of
from survfuse.reporting.pictures.slides import TILE_BYTES
from survfuse.reporting.render import TEMPLATES, render
from survfuse.reporting.sections.horizon_risk import HorizonRow, widened
from survfuse.reporting.stage import write_reports
from survfuse.reporting.survival.cohort_page import cohort_context, describe_row
from survfuse.reporting.survival.patient_page import patient_context, read_page_model
from survfuse.reporting.wording import lint, reason_in_words
from survfuse.tasks.survival.leaderboard import evaluate

PATIENTS = ("P001", "P003", "P004", "P005")
ATTACK = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def fixture(tmp_path_factory):
    return write_fixture(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def data(fixture):
    return read_report_data(fixture.inputs)


@pytest.fixture(scope="module")
def pages(fixture, tmp_path_factory):
    """All pages of the fixture by name, written through the stage."""
    out = tmp_path_factory.mktemp("report")
    config = fixture.config.model_copy(
        update={"report": fixture.config.report.model_copy(update={"patients": list(PATIENTS)})}
    )
    write_reports(config, config.output, out)
    found = {path.stem: path.read_text("utf-8") for path in out.rglob("*.html")}
    assert set(found) == {"index", *PATIENTS}
    return found


def cohort_html(config, data):
    return render("cohort.html.j2", cohort_context(config, data))


def patient_html(config, data, patient_id="P001"):
    model = read_page_model(config, data)
    return render("patient.html.j2", patient_context(config, data, model, patient_id))


def changed(data, **evaluation):
    """The data with other values in the evaluation."""
    return replace(data, evaluation={**data.evaluation, **evaluation})


def text_of(html):
    """What one reads: inline tags leave no gap, all others do."""
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    inline = re.sub(r"</?(?:span|b|i)\b[^>]*>", "", body)
    return " ".join(re.sub(r"<[^>]+>", " ", inline).split())


# --- self-contained, well formed, accessible


def test_nothing_is_fetched(pages):
    for html in pages.values():
        page = Page(html)
        for tag, attributes in page.elements:
            if tag == "a":  # a link fetches nothing until it is followed
                assert (
                    attributes["href"].removeprefix("../").startswith(("figures/", "tables/", "#"))
                )
                continue
            for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
                if name in attributes:
                    assert attributes[name].startswith(("data:", "#")), attributes
        assert not re.findall(r"url\((?!#)", html)
        assert "@import" not in html
        assert "http://" not in html
        assert "https://" not in html
        assert not page.all("script")
        assert not page.all("link")


def test_the_page_forbids_fetching(pages):
    for html in pages.values():
        policies = [
            meta["content"]
            for meta in Page(html).all("meta")
            if meta.get("http-equiv") == "Content-Security-Policy"
        ]
        assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_pages_are_well_formed(pages):
    for html in pages.values():
        page = Page(html)
        assert page.faults == []
        identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
        assert len(identifiers) == len(set(identifiers))


def test_contents_lead_to_every_section(pages):
    html = pages["index"]
    entries = re.findall(r'<li><a href="#([^"]+)">(.*?)</a></li>', html)
    assert entries == re.findall(r'<h2 id="([^"]+)">(.*?)</h2>', html)
    assert len(entries) == len(re.findall("<h2", html)) > 10
    anchors = {attributes.get("id") for _, attributes in Page(html).elements}
    links = {attributes["href"] for attributes in Page(html).all("a")}
    assert {link[1:] for link in links if link.startswith("#")} <= anchors


def test_a_difference_is_printed_once(fixture, data, pages):
    keys = [key for key, _ in Page(pages["index"]).numbers if key.startswith("evaluation/comp")]
    assert len(keys) == len(set(keys))
    printed = {tuple(key.split("/")[2:-1]) for key in keys}
    for one in data.evaluation["comparisons"]:
        main = one["reference"] == data.evaluation["reference"]
        pair = (one["model"],) if main else (one["model"], one["reference"])
        assert pair in printed
    told = "Better than Clinical Cox (difference in C, 95% interval): CMTA (+0.1, 0 to 0.2)."
    assert told not in cohort_html(fixture.config, changed(data, statements=[told]))


def test_a_printed_page_says_whose_page_of_which_run_it_is(pages):
    margins = [re.findall(r'@top-left { content: "([^"]*)"', pages[p]) for p in PATIENTS]
    digest = configuration_hash_of(pages["P001"])
    assert margins == [[f"Patient {p}, run fixture, configuration {digest}"] for p in PATIENTS]
    assert not re.findall("@top-left", pages["index"])
    for html in pages.values():
        assert 'content: "Page " counter(page) " of " counter(pages)' in html


def configuration_hash_of(html):
    return re.findall(r'Configuration <span class="mono">(\w+)', html)[0]


def test_pages_speak_to_screen_readers(pages):
    for html in pages.values():
        page = Page(html)
        assert page.all("html") == [{"lang": "en"}]
        assert all(image.get("alt") for image in page.all("img"))
        assert len(page.all("h1")) == 1
        for svg in page.all("svg"):
            labelled = svg.get("role") == "img" and svg.get("aria-label")
            assert labelled or svg.get("aria-hidden") == "true", svg


def test_colours_of_text_have_contrast():
    css = (TEMPLATES / "style.css").read_text()
    colour = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", css))
    pairs = [
        (ink, paper) for ink in ("ink", "muted", "none", "accent") for paper in ("paper", "wash")
    ]
    pairs += [(f"{kind}-ink", f"{kind}-paper") for kind in ("warn", "note", "good")]
    for ink, paper in pairs:
        assert contrast(colour[ink], colour[paper]) >= 4.5, (ink, paper)


def contrast(one, other):
    """Contrast ratio of WCAG 2."""

    def luminance(colour):
        channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_pages_of_patients_who_no_longer_get_one_are_removed(fixture, tmp_path):
    def written() -> set[str]:
        return {page.stem for page in (tmp_path / "patients").iterdir()}

    write_reports(fixture.config, fixture.config.output, tmp_path, ["P003", "P004"])
    write_reports(fixture.config, fixture.config.output, tmp_path, ["P001"])
    assert written() == {"P001", "P003", "P004"}  # one page more, the others untouched
    write_reports(fixture.config, fixture.config.output, tmp_path)
    assert written() == {"P001"}
    nobody = configuration(fixture.config.output, report={"patients": []})
    write_reports(nobody, nobody.output, tmp_path)
    assert written() == set()


def test_limit_and_words_are_those_of_the_report_not_of_the_last_check(fixture, tmp_path):
    report = {"patients": ["P001"], "min_cell": 79}
    config = configuration(fixture.config.output, report=report)
    renamed = config.cohort.endpoint.model_copy(update={"definition": "from surgery to death"})
    cohort = config.cohort.model_copy(update={"endpoint": renamed})
    config = config.model_copy(update={"cohort": cohort})
    write_reports(config, config.output, tmp_path)
    for page in ("index.html", "patients/P001.html"):
        text = (tmp_path / page).read_text("utf-8")
        assert "from surgery to death" in text
        assert "IV: withheld" in text
        assert not re.search(r"IV: \d", text)


def test_writing_twice_gives_the_same_bytes(fixture, pages, tmp_path):
    for folder in ("a", "b"):
        write_reports(fixture.config, fixture.config.output, tmp_path / folder)
    first, second = (tmp_path / folder / "index.html" for folder in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    write_reports(fixture.config, fixture.config.output, tmp_path / "c", ["P001"])
    again = (tmp_path / "c" / "patients" / "P001.html").read_text("utf-8")
    # The stage wrote the same page with another list of patients: only the hash may differ.
    digest = r"[Cc]onfiguration (<span[^>]*>)?\w+"
    assert re.sub(digest, "", again) == re.sub(digest, "", pages["P001"])


def test_a_headline_that_rests_on_few_events_is_grey(fixture, data):
    events = dict.fromkeys(("12", "24", "36"), 50)
    plain = patient_html(fixture.config, changed(data, events_by_horizon=events, n_events=50))
    assert 'class="few"' not in plain
    html = patient_html(fixture.config, changed(data, events_by_horizon=events | {"36": 19}))
    assert '<b class="few">' in html
    assert "In grey, because it rests on fewer than 20 events by then." in text_of(html)
    early = patient_html(fixture.config, changed(data, events_by_horizon=events | {"12": 19}))
    assert '<b class="few">' not in early
    assert "In grey: fewer than 20 events by then." in text_of(early)


def test_pages_stay_small(pages, fixture, data):
    assert len(pages["index"].encode()) <= 8 * 2**20
    noise = np.random.default_rng(0).integers(0, 256, (900, 1200, 3), dtype=np.uint8)
    folder = fixture.inputs.files["slides"].parent
    overviews = [folder / s.overview for s in data.brought["slides"] if s.patient_id == "P001"]
    before = [path.read_bytes() for path in overviews]
    for path in overviews:
        Image.fromarray(noise).save(path, quality=95)
    html = patient_html(fixture.config, replace(data, slide_sheet=None))
    for path, content in zip(overviews, before, strict=True):
        path.write_bytes(content)
    assert html.count("data:image/jpeg") == 4  # two overviews twice, no tiles
    assert len(html.encode()) + 8 * 4 * TILE_BYTES / 3 <= 2 * 2**20


# --- true to their sources


def test_numbers_of_the_cohort_report_are_those_of_the_evaluation(fixture, pages):
    numbers = Page(pages["index"]).numbers
    keys = {key for key, _ in numbers}
    for row in read_json(fixture.inputs.evaluation_json)["rows"]:
        assert f"evaluation/rows/{row['model']}/harrell_c/value" in keys
        if row["role"] not in ("oracle", "control"):
            for name in ("uno_c", "ibs"):
                assert f"evaluation/rows/{row['model']}/{name}/high" in keys
            for name in ("auc", "brier", "observed_expected", "calibration_slope"):
                assert f"evaluation/rows/{row['model']}/{name}/36/low" in keys
    for key, text in numbers:
        assert_rounds_to(fixture, key, text)


@pytest.mark.parametrize("patient_id", PATIENTS)
def test_numbers_of_the_patient_page_are_those_of_the_prediction(fixture, pages, patient_id):
    numbers = Page(pages[patient_id]).numbers
    assert {f"prediction/cmta/{h}/risk" for h in (12, 24, 36)} <= {key for key, _ in numbers}
    assert {f"prediction/clinical_cox/{h}/low" for h in (12, 24, 36)} <= {key for key, _ in numbers}
    for key, text in numbers:
        assert_rounds_to(fixture, key, text, patient_id)


def assert_rounds_to(fixture, key, text, patient_id=None):
    """The printed text is the value at `key`, rounded to the digits shown."""
    value = source_value(fixture, key.split("/"), patient_id)
    words = {"fewer than 1": 0.0, "more than 99": 100.0}
    shown = words[text] if text in words else float(text.replace("−", "-"))
    digits = len(text.partition(".")[2])
    assert abs(shown - value) <= 0.5 * 10**-digits + 1e-9, (key, text, value)


def source_value(fixture, parts, patient_id):
    """Look a key up in the files themselves, without the code under test."""
    evaluation = json.loads(fixture.inputs.evaluation_json.read_text())
    if parts[0] == "evaluation" and parts[1] == "rows":
        found = next(row for row in evaluation["rows"] if row["model"] == parts[2])
        for part in parts[3:]:
            found = found[part]
        return found
    if parts[0] == "evaluation" and parts[1] == "comparisons":
        pair = [*parts[2:-1], evaluation["reference"]][:2]
        entries = evaluation["comparisons"]
        return next(e for e in entries if [e["model"], e["reference"]] == pair)[parts[-1]]
    if parts[:2] == ["evaluation", "availability"]:
        return next(e for e in evaluation["availability"] if e["modality"] == parts[2])[parts[3]]
    if parts[:2] == ["evaluation", "explained"]:
        found = evaluation["explained"]
        for part in parts[2:]:
            found = found[part]
        return found
    if parts[:2] == ["evaluation", "risk_groups"]:
        group = next(g for g in evaluation["risk_groups"][parts[2]] if g["group"] == parts[3])
        return 100 * (group["estimated"] if parts[4] == "estimated" else group["observed"]["value"])
    if parts[0] == "evaluation":
        return evaluation[parts[1]]
    if parts[0] == "explained":
        return explained_value(fixture, *parts[1:], patient_id)
    if parts[0] == "cohort":
        return json.loads(fixture.inputs.cohort_json.read_text())[parts[1]]
    if parts[0] == "observed":
        outcomes = pd.read_csv(fixture.inputs.outcomes, sep="\t")
        fitted = KaplanMeierFitter().fit(outcomes["time_months"], outcomes["event"])
        return 100 * (1 - float(fitted.predict(float(parts[1]))))
    _, model, horizon, name = parts
    if horizon in ("risk_low", "risk_high"):  # of the ensemble members
        horizon, name = name, horizon
    path = fixture.inputs.evaluation_json.with_name("risks.tsv")
    if name in ("risk_low", "risk_high"):  # of the ensemble members
        path = fixture.inputs.predictions.table(model)
    with path.open() as file:
        rows = [r for r in csv.DictReader(file, delimiter="\t") if r["patient_id"] == patient_id]
    if name in ("risk_low", "risk_high"):
        return 100 * float(rows[0][f"{name}_{horizon}"])
    row = next(r for r in rows if r["model"] == model and float(r["months"]) == float(horizon))
    if name == "ratio":
        return float(row["risk"]) / (source_value(fixture, ["observed", horizon], None) / 100)
    return 100 * float(row[name])


def explained_value(fixture, model, kind, part, patient_id):
    """Deviations of a part, or ranks of a modality, from the file of explanations itself."""
    with h5py.File(fixture.inputs.predictions.explanations(model)) as file:
        for fold in file.values():
            ids = fold["patient_id"].asstr()[:].tolist()
            if patient_id in ids:
                row, risk = ids.index(patient_id), fold["risk"][:]
                if kind not in ("moved", "raised"):
                    return fold["attribution"][kind][row, int(part)] / np.std(risk)
                others = np.delete(risk, row)
                place = 100 * np.mean(others < risk[row])
                changes = [
                    place - 100 * np.mean(others < one) for one in fold["permuted"][part][:, row]
                ]
                return np.mean(np.abs(changes)) if kind == "moved" else abs(np.mean(changes))
    raise LookupError(patient_id)


def test_the_output_of_the_evaluation_stage_can_be_reported(fixture, tmp_path):
    out = tmp_path / "evaluation.json"
    settings = fixture.config.evaluation.model_copy(update={"bootstrap": 20})
    predictions = shutil.copytree(fixture.inputs.predictions.root, tmp_path / "predictions")
    predicted = pd.read_csv(fixture.inputs.predictions.table("cmta"), sep="\t")
    shown = predicted[["patient_id", "repeat", "fold", "risk"]]
    genes_of = shown["patient_id"] != fixture.without_omics
    ablations = [shown.assign(inputs="slides")[3:], shown.assign(inputs="omics")[genes_of]]
    write_ablations(predictions / "cmta.ablations.tsv", pd.concat(ablations))
    slides = (np.arange(len(shown)) % 3 > 0).astype(int)
    available = pd.DataFrame({"patient_id": shown["patient_id"], "slides": slides})
    available.to_csv(tmp_path / "availability.tsv", sep="\t", index=False)
    evaluate(
        EvaluationFiles(
            outcomes=fixture.inputs.outcomes,
            splits=fixture.inputs.splits,
            predictions=predictions,
            out=out,
            availability=tmp_path / "availability.tsv",
            explained={"cmta": predictions / "cmta.explain.h5"},
        ),
        fixture.config.models,
        settings,
        fixture.config.grid_months(),
    )
    data = read_report_data(replace(fixture.inputs, evaluation_json=out))
    for html in (cohort_html(fixture.config, data), patient_html(fixture.config, data)):
        assert Page(html).faults == []
        assert lint(html) == []
    text = text_of(cohort_html(fixture.config, data))
    assert "How stable the explanations are" in text
    assert "Gene expression only more than 75 patients Slides only more than 75 patients" in text
    assert re.search(r"Having slides is \D+ \(AUROC 0\.\d\d, 0\.\d\d to 0\.\d\d\)", text)


# --- what the pages say


def test_wording(pages):
    for name, html in pages.items():
        assert lint(html) == [], name


def test_every_page_says_research_use_only(pages):
    for html in pages.values():
        text = text_of(html)
        assert text.count("Research use only. Not validated for clinical decisions.") >= 2
        assert "Untrained demonstration weights" in text


def test_trained_encoders_and_real_patients_get_no_such_banner(fixture, data):
    config = configuration(fixture.config.output, slides={"weights": "/secret/encoder.pt"})
    text = text_of(cohort_html(config, data))
    assert "Untrained" not in text
    assert "Simulated" not in text
    assert "resnet50_trunc (encoder.pt)" in text
    assert "/secret" not in text


def test_simulated_patients_are_said_to_be_simulated(fixture, data):
    config = Config.model_validate(
        fixture.config.model_dump()
        | {"source": {"kind": "simulate"}, "cohort": {}, "omics": {}, "output": "results/demo"}
    )
    for html in (cohort_html(config, data), patient_html(config, data)):
        assert "Simulated patients." in text_of(html)


def test_the_verdict_is_honest(fixture, data):
    def with_difference(low, high):
        comparisons = deepcopy(data.evaluation["comparisons"])
        for entry in comparisons:
            entry |= {"difference": (low + high) / 2, "low": low, "high": high}
        return text_of(cohort_html(fixture.config, changed(data, comparisons=comparisons)))

    not_better = "No model that combines modalities is shown to rank patients better"
    assert not_better in with_difference(-0.02, 0.1)
    assert not_better in with_difference(-0.1, -0.02)
    better = with_difference(0.02, 0.1)
    assert not_better not in better
    assert "rank patients better than Clinical Cox." in better
    assert "not corrected for comparing 2 models" in better


def test_a_leaderboard_of_single_inputs_says_so(fixture, data):
    kept = [row for row in data.evaluation["rows"] if row["role"] in ("clinical", "control")]
    report = fixture.config.report.model_copy(update={"patients": []})
    config = fixture.config.model_copy(update={"report": report})
    html = cohort_html(config, changed(data, rows=kept))
    text = text_of(html)
    assert "No model that combines modalities was evaluated." in text
    assert "is shown to rank patients better" not in text
    assert lint(html) == []


def many(data, fusions=11):
    """The evaluation with more fusion models, none of them clearly better or worse."""
    evaluation = deepcopy(data.evaluation)
    rows, comparisons = evaluation["rows"], evaluation["comparisons"]
    place = next(number for number, row in enumerate(rows) if row["model"] == "cmta")
    copied = next(entry for entry in comparisons if entry["model"] == "cmta")
    copied |= {"low": -0.1, "high": 0.1}
    for number in range(fusions):
        name = f"fusion{number}"
        rows.insert(place + 1 + number, rows[place] | {"model": name, "label": name.upper()})
        comparisons.append(copied | {"model": name})
        evaluation["risk_groups"][name] = evaluation["risk_groups"]["cmta"]
    return replace(data, evaluation=evaluation)


def test_a_long_leaderboard_is_divided_and_its_figures_are_few(fixture, data):
    html = cohort_html(fixture.config, many(data))
    text = text_of(html)
    headings = ["For reference", "Models, highest C-index first", "For checking, not for use"]
    percentile_ranks = [text.index(heading) for heading in headings]
    assert percentile_ranks == sorted(percentile_ranks)
    assert percentile_ranks[0] < text.index("Clinical Coxclinical") < percentile_ranks[1]
    assert (
        percentile_ranks[1] < text.index("FUSION10slides + gene expression") < percentile_ranks[2]
    )
    assert percentile_ranks[2] < text.index("control: permuted outcomes")
    drawn = ["Clinical Cox", "CMTA", "FUSION0", "FUSION1"]
    assert labels_of(html, "Kaplan-Meier") == labels_of(html, "Calibration:") == drawn
    assert "of the models that combine modalities the 3 with the highest C-index" in text
    assert "FUSION9, FUSION10 and Late fusion" in text
    assert html.count('class="model reference"') == 1
    assert Page(html).faults == []
    assert lint(html) == []


def labels_of(html, figure):
    """The models of a figure of panels, as screen readers are told them."""
    (told,) = re.findall(rf'aria-label="{figure}[^"]* each of ([^"]+)\."', html)
    return told.split(", ")


def test_a_short_leaderboard_draws_every_combining_model(pages):
    for figure in ("Kaplan-Meier", "Calibration:"):
        assert set(labels_of(pages["index"], figure)) == {"Clinical Cox", "CMTA", "Late fusion"}
    assert "Drawn here and below" not in pages["index"]


def test_one_kind_of_input_alone(fixture, data, pages):
    heading = "Modality ablation: each model with one kind of input alone"
    text = text_of(pages["index"])
    few = "only more than 75 patients"  # one of 80 lacks them
    assert f"Clinical data only 80 patients Gene expression {few} Slides {few}" in text
    table = text[text.index(heading) : text.index("Notes of the evaluation")]
    assert re.search(r"CMTA (\S+) \S+ to \S+ – \S+ \S+ to \S+ all inputs \1", table)
    assert "cmta_permuted" not in table  # a control knows nothing of any input
    rows = deepcopy(data.evaluation["rows"])
    for row in rows:
        for ablation in row.get("ablations", {}).values():
            ablation |= {"value": None, "low": None, "high": None, "all_inputs": None}
            ablation |= {"reason": "3 pairs"}
    assert "CMTA: C, slides only" in text_of(cohort_html(fixture.config, changed(data, rows=rows)))
    for row in rows:
        row.pop("ablations", None)
    assert heading not in cohort_html(fixture.config, changed(data, rows=rows))


def test_patients_of_a_pattern_are_told_by_model_where_they_differ(fixture, data):
    rows = deepcopy(data.evaluation["rows"])
    next(row for row in rows if row["model"] == "cmta")["ablations"]["slides"]["n"] = 41
    text = text_of(cohort_html(fixture.config, changed(data, rows=rows)))
    assert "Gene expression only more than 75 patients Slides only" in text
    assert "41 patients all inputs" in text
    assert "more than 75 patients all inputs" in text


def test_availability_and_outcome(fixture, data, pages):
    text = text_of(pages["index"])
    assert (
        "Having slides is not shown to be associated with the outcome (AUROC 0.52, 0.44 to 0.60). "
        "Having gene expression is associated with a later event (AUROC 0.40, 0.32 to 0.48); "
        "missingness policy: equalise."
    ) in text
    assert "72 of 80 patients; those censored before that time are left out." in text
    html = cohort_html(fixture.config, changed(data, availability=[]))
    assert "Modalities and outcome" not in html


def test_inputs_that_nobody_has_are_not_claimed():
    row = {"role": "classical", "modalities": ["clinical", "omics", "slides"]}
    assert (
        describe_row({"clinical": 80, "omics": 70, "slides": 0}, row)
        == "clinical data + gene expression"
    )


def test_a_leaking_control_is_the_first_thing_one_reads(fixture, data):
    rows = deepcopy(data.evaluation["rows"])
    control = next(row for row in rows if row["role"] == "control")
    control["harrell_c"] |= {"value": 0.6, "low": 0.55, "high": 0.65}
    text = text_of(cohort_html(fixture.config, changed(data, rows=rows)))
    assert "The control ranks patients better than chance." in text
    assert text.index("The control ranks") < text.index("patients in the sheet")


def test_headline_is_a_natural_frequency_with_interval_event_and_horizon(pages):
    text = text_of(pages["P001"])
    assert re.search(
        r"Of 100 patients with an estimate like this one, about \d+ have died by 36 months "
        r"\(95 % interval \d+ to \d+\)\.",
        text,
    )
    assert "A single patient’s own risk can lie outside it." in text


def test_the_spread_of_seeds_is_no_interval_and_stands_with_the_trust(pages):
    text = text_of(pages["P001"])
    before, _, trust = text.partition("How far to trust this")
    assert not re.search(r"range over|seeds", before.partition("What moved the estimate")[0])
    assert re.search(r"trained from different seeds give between \d+ and \d+ of 100", trust)
    assert "no interval" in trust


def test_the_clinical_model_stands_beside_the_headline(data, pages):
    """And so does whether the model is shown to rank patients any better."""
    numbers = dict(Page(pages["P001"]).numbers)
    head = text_of(pages["P001"]).partition("Expected course")[0]
    own, other = (int(numbers[f"prediction/{name}/36/risk"]) for name in ("cmta", "clinical_cox"))
    assert f"From the clinical variables alone, Clinical Cox estimates {other} of 100" in head
    assert "No model that combines modalities is shown to rank patients better than" in head
    told = "The two estimates differ by"
    assert (told in head) == (abs(own - other) > 15)
    apart = []
    for patient in data.study.patient_ids:
        risk, reference = (
            risks_of(data.risks, name, patient)[36.0] for name in ("cmta", "clinical_cox")
        )
        found = HorizonRow(36.0, risk, reference, 0.5).apart
        printed = abs(round(100 * risk.risk) - round(100 * reference.risk))
        assert found == (printed if printed > 15 else None)
        apart.append(found)
    assert any(apart) and not all(apart)


def test_missing_inputs_say_what_they_could_change(data, pages):
    for patient in ("P003", "P005"):
        risk = risks_of(data.risks, "cmta", patient)[36.0]
        assert risk.lacking == ("slides",) and risk.n_complete > 60
        assert risk.low < risk.as_is_low < risk.risk < risk.as_is_high < risk.high
        text = text_of(pages[patient])
        assert "The missing slides could move the estimate: " in text
        limits = [f"{100 * x:.0f}" for x in (risk.as_is_low, risk.as_is_high)]
        assert f"without that the interval would be {' to '.join(limits)}." in text
    assert "is as wide as if nothing were known" in text_of(pages["P004"])


def test_group_and_headline_have_one_basis(data):
    """Whoever is in a higher third has an estimate no lower than anybody in a lower one."""
    for model in data.evaluation["risk_groups"]:
        found: dict[str | None, list[float]] = {}
        for patient in data.study.patient_ids:
            risk = risks_of(data.risks, model, patient)[36.0]
            found.setdefault(risk.group, []).append(risk.risk)
        if None in found:
            assert set(found) == {None} and data.evaluation["risk_groups"][model] == []
            continue
        assert max(found["low"]) <= min(found["middle"]) <= max(found["middle"])
        assert max(found["middle"]) <= min(found["high"])


def test_missing_modalities_are_told(pages):
    without_slides, without_genes, quarantined = (text_of(pages[p]) for p in PATIENTS[1:])
    assert "no usable slides; the estimate rests on gene expression alone" in without_slides
    assert "no usable gene expression; the estimate rests on slides alone" in without_genes
    assert "no usable slides; the estimate rests on gene expression alone" in quarantined
    assert "S005a quarantined: the file ends early" in quarantined
    assert "Incomplete inputs" not in text_of(pages["P001"])
    assert "Most attended tiles" in text_of(pages["P001"])
    assert "Most attended tiles" not in without_slides
    assert "Gene groups by attention" not in without_genes
    assert "Attention of the model" not in quarantined


def test_a_patient_with_nothing_the_model_reads(fixture, data):
    brought = {source: found for source, found in data.brought.items() if source != "omics"}
    bare = replace(data, brought=brought, risks=data.risks.iloc[:0])
    html = patient_html(fixture.config, bare, "P005")
    text = text_of(html)
    assert "No risk can be estimated for this patient." in text
    assert "this patient has nothing that the model reads" in text
    assert "with an estimate like this one" not in text
    assert text.count("not estimable") >= 3
    assert lint(html) == []


def test_horizons_beyond_tau_are_greyed(fixture, data):
    html = patient_html(fixture.config, changed(data, tau_months=30.0))
    text = text_of(html)
    assert "have died by 24 months (" in text
    assert "Beyond 30 months too few patients were followed" in text
    assert html.count('<tr class="off">') == 1
    assert "prediction/cmta/36/risk" not in html


def test_metrics_that_are_null_are_called_not_estimable_with_their_reason(fixture, data):
    rows = deepcopy(data.evaluation["rows"])
    null = {"value": None, "low": None, "high": None, "reason": "too few events"}
    for row in rows:
        row["harrell_c"] = null | {"per_fold": [], "convention": "none"}
        row["calibration"] = {"12": [], "24": [], "36": []}
        for name in ("uno_c", "ibs", "auc", "brier", "observed_expected", "calibration_slope"):
            row[name] = None
    bare = changed(data, rows=rows, comparisons=[], risk_groups={}, oracle=None, notes=[])
    html = cohort_html(fixture.config, bare)
    text = text_of(html)
    assert text.count("not estimable") > 50
    assert "too few events" in text
    assert "Not comparable: CMTA and Late fusion." in text
    assert "Kaplan-Meier curves by predicted risk" not in html
    assert Page(html).faults == []
    patient = patient_html(fixture.config, bare)
    assert "third of predicted risk" not in patient
    assert Page(patient).faults == []


def test_a_cohort_without_slides_genes_sites_or_covariates(fixture, data):
    cohort = data.cohort | {
        "sites": [],
        "covariates": [],
        "notes": [],
        "median_follow_up_months": None,
        "modalities": {"slides": 0, "omics": 0, "clinical": 80},
        "overlap": [{"modalities": ["clinical"], "n": 80}],
    }
    bare = replace(data, cohort=cohort, brought={}, slide_sheet=None)
    for html in (cohort_html(fixture.config, bare), patient_html(fixture.config, bare)):
        assert Page(html).faults == []
        assert lint(html) == []
        assert "Untrained" not in html
    text = text_of(cohort_html(fixture.config, bare))
    assert "is predicted from the rest" not in text and "Clinical: " not in text


def test_a_row_that_is_left_out_is_told_of_once(fixture, data):
    sentence = "The row mri_cnn is left out: it reads MRI."
    told = changed(data, left_out=[{"model": "mri_cnn", "sentence": sentence}], notes=[sentence])
    told = replace(told, cohort={**data.cohort, "notes": [sentence, "Another note."]})
    text = text_of(cohort_html(fixture.config, told))
    assert text.count(sentence) == 1 and text.count("Another note.") == 1


def test_a_page_tells_nothing_of_what_its_model_and_cohort_lack(fixture, data, pages):
    report = fixture.config.report.model_copy(update={"model": "clinical_cox"})
    config = fixture.config.model_copy(update={"report": report})
    bare = replace(data, brought={}, slide_sheet=None)
    text = text_of(patient_html(config, bare))
    for absent in (
        "Slides",
        "Gene expression",
        "From the clinical variables alone",
        "Difference from",
    ):
        assert absent not in text
    assert "Clinical Cox in cross-validation" in text
    for there in (
        "Slides",
        "Gene expression",
        "From the clinical variables alone",
        "Difference from",
    ):
        assert there in text_of(pages["P001"])
    assert "A patient without gene expression or slides is predicted" in text_of(pages["index"])


def test_squares_are_explained_where_there_are_some(fixture, data, pages):
    kept = [row for row in data.evaluation["rows"] if row["role"] in ("clinical", "control")]
    report = fixture.config.report.model_copy(update={"patients": []})
    config = fixture.config.model_copy(update={"report": report})
    assert "Squares:" not in cohort_html(config, changed(data, rows=kept))
    assert "Squares: models that combine modalities" in pages["index"]


def test_many_horizons_split_the_calibration_table(fixture, data):
    html = cohort_html(fixture.config, changed(data, horizons_months=[12.0, 24.0, 30.0, 36.0]))
    assert html.count("<caption>O/E") == 1
    assert html.count("<caption>Slope") == 1
    assert Page(html).faults == []


# --- discretion


def test_small_sites_are_withheld(fixture, data):
    cohort = data.cohort | {
        "sites": [
            {"site": "North", "n": 47, "events": 30},
            {"site": "South", "n": 30, "events": 14},
            {"site": "Tiny", "n": 3, "events": 1},
        ]
    }
    text = text_of(cohort_html(fixture.config, replace(data, cohort=cohort)))
    assert "Tiny" not in text
    assert "Other sites (2 together) 33 15" in text


def test_small_counts_of_a_covariate_are_withheld_on_every_page(fixture, data):
    sex = {
        "name": "sex", "type": "categorical", "quartiles": None, "missing": 3,
        "levels": [{"level": "female", "n": 4}, {"level": "male", "n": 73}],
    }  # fmt: skip
    few = replace(data, cohort=data.cohort | {"covariates": [sex]})
    assert "female: withheld, male: 73 withheld" in text_of(cohort_html(fixture.config, few))
    assert "female: withheld, male: 73" in text_of(patient_html(fixture.config, few))


def test_points_of_few_patients_are_not_drawn(fixture, data):
    evaluation = deepcopy(data.evaluation)
    for row in evaluation["rows"]:
        for points in row.get("calibration", {}).values():
            for point in points:
                point["n"] = 4
    assert cohort_context(fixture.config, data)["calibration"]
    few = cohort_context(fixture.config, replace(data, evaluation=evaluation))
    assert few["calibration"] is None


def test_a_modality_that_few_have_is_not_scored_by_itself(fixture, data):
    evaluation = deepcopy(data.evaluation)
    for row in evaluation["rows"]:
        for ablation in row.get("ablations", {}).values():
            ablation["n"] = 4
    few = cohort_html(fixture.config, replace(data, evaluation=evaluation))
    keys = {key for key, _ in Page(cohort_html(fixture.config, data)).numbers}
    assert any("/ablations/" in key for key in keys)
    assert not any("/ablations/" in key for key, _ in Page(few).numbers)
    assert "only 4 patients" not in text_of(few)


def test_a_small_risk_group_is_not_counted_on_the_patient_page(fixture, data):
    evaluation = deepcopy(data.evaluation)
    for group, n in zip(evaluation["risk_groups"]["cmta"], (4, 6, 70), strict=True):
        group["n"] = n
    few = replace(data, evaluation=evaluation)
    pages = [text_of(patient_html(fixture.config, few, f"P{i:03d}")) for i in range(1, 12)]
    assert not any(re.search(r"cohort \([46] patients", page) for page in pages)
    assert any("third of the cohort (70 patients" in page for page in pages)
    assert any("third of the cohort, whose estimates" in page for page in pages)


def test_no_outcome_site_or_path_on_the_patient_page(fixture, pages):
    outcomes = pd.read_csv(fixture.inputs.outcomes, sep="\t", dtype=str).set_index("patient_id")
    clinical = pd.read_csv(fixture.inputs.clinical, sep="\t", dtype=str).set_index("patient_id")
    for patient_id in PATIENTS:
        text = text_of(pages[patient_id])
        assert outcomes.at[patient_id, "time_months"] not in text
        assert clinical.at[patient_id, "site"] not in text
        assert str(fixture.config.output) not in pages[patient_id]
        others = set(outcomes.index) - {patient_id}
        assert not others & set(re.findall(r"\bP\d{3}\b", text))


def test_the_cohort_report_names_only_patients_with_quarantined_slides(pages, fixture):
    named = set(re.findall(r"\bP\d{3}\b", text_of(pages["index"])))
    assert named == {"P005", "P017"}
    assert str(fixture.config.output) not in pages["index"]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("unreadable: the file is cut short", "the file is cut short"),
        ("missing_mpp: nothing tells the size: give mpp", "nothing tells the size: give mpp"),
        ("the file /data/Jane Doe.svs is bad", "the file (file) Doe.svs is bad"),
        ("3 of 120 tiles: damaged", "3 of 120 tiles: damaged"),
        ("", "no reason was recorded"),
    ],
)
def test_reasons_lose_their_code_and_paths(reason, words):
    assert reason_in_words(reason) == words


def test_everything_from_files_is_escaped(fixture, data):
    evaluation = deepcopy(data.evaluation)
    for row in evaluation["rows"]:
        row["label"] = ATTACK
    evaluation["notes"] = [ATTACK]
    evaluation["tau_rule"] = ATTACK
    hostile_levels = [{"level": ATTACK, "n": 80}]
    covariate = {
        "name": "age", "type": "ordinal", "missing": 0, "quartiles": None, "levels": hostile_levels
    }  # fmt: skip
    hostile = replace(
        data,
        evaluation=evaluation,
        cohort=data.cohort
        | {
            "notes": [ATTACK],
            "covariates": [covariate],
            "sites": [{"site": ATTACK, "n": 80, "events": 40}],
            "genes": {ATTACK: 3},
            "endpoint": {"name": ATTACK, "definition": ATTACK},
        },
        clinical=data.clinical.assign(age=ATTACK),
        brought={
            **data.brought,
            "slides": tuple(
                replace(slide, reason=ATTACK, patient_id=ATTACK) for slide in data.brought["slides"]
            ),
        },
    )
    config = fixture.config.model_copy(
        update={"report": fixture.config.report.model_copy(update={"title": ATTACK})}
    )
    for html in (cohort_html(config, hostile), patient_html(config, hostile)):
        assert "<script" not in html
        assert "&lt;script&gt;" in html
        assert Page(html).faults == []


@pytest.mark.parametrize(
    "patient_id", ["../P001", "<script>", "P001\n", "", "/etc/passwd", "NOBODY"]
)
def test_ids_that_are_not_of_the_cohort_are_refused(fixture, tmp_path, patient_id):
    with pytest.raises(UserInputError, match=r"report\.patients"):
        write_reports(fixture.config, fixture.config.output, tmp_path, [patient_id])
    with pytest.raises(UserInputError, match=r"report\.patients"):
        write_reports(fixture.config, fixture.config.output, tmp_path, ["P001", patient_id])
    assert list(Path(tmp_path).rglob("*")) == []


def test_a_model_that_was_not_evaluated_has_no_pages(fixture, data):
    config = configuration(fixture.config.output, report={"model": "snn"})
    rows = [row for row in data.evaluation["rows"] if row["model"] != "snn"]
    with pytest.raises(UserInputError, match="'snn' was not evaluated"):
        read_page_model(config, changed(data, rows=rows))


@pytest.mark.parametrize(
    ("lacking", "taken_up"),
    [
        (("slides",), "with them too"),
        (("omics",), "with it too"),
        (("slides", "omics"), "them too"),
    ],
)
def test_what_is_missing_is_taken_up_in_its_number(lacking, taken_up):
    risk = PatientRisk(12.0, 0.3, 0.1, 0.6, 0.2, 0.4, lacking, 50, None)
    assert taken_up in widened(risk)
    assert widened(replace(risk, lacking=())) == ""
