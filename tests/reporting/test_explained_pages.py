"""The explanations on the pages: what is there, what is left out, and where nothing is known."""

import re
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from reporting_fixture import GROUPS, Page, configuration, draw_explanations, write_fixture
from survfuse.artifacts.explanations import write_explanations
from survfuse.artifacts.layout import PredictionsFolder
from survfuse.core.errors import UserInputError
from survfuse.evaluation.explained import summarise
from survfuse.reporting.inputs import read_explained, read_model, read_report_data
from survfuse.reporting.render import render
from survfuse.reporting.survival.cohort_page import cohort_context
from survfuse.reporting.survival.patient_page import patient_context, read_page_model
from survfuse.reporting.wording import lint

COVARIATES = ("age", "stage", "sex")
MOVED = "What moved the estimate"
RELIES = "What the model relies on"
STABLE = "How stable the explanations are"
ATTACK = "<script>alert('x')</script>"


@pytest.fixture(scope="module")
def fixture(tmp_path_factory):
    return write_fixture(tmp_path_factory.mktemp("explained"))


@pytest.fixture(scope="module")
def data(fixture):
    return read_report_data(fixture.inputs)


@pytest.fixture(scope="module")
def folds(fixture, data):
    """Explanations of a model of three modalities and 16 gene groups."""
    splits = pd.read_csv(fixture.inputs.splits, sep="\t")
    risk = read_model(data, "cmta")["risk"].to_numpy()
    return draw_explanations(splits, risk, GROUPS[8:], COVARIATES)


@pytest.fixture(scope="module")
def three(data, folds):
    """The data of a CMTA that also reads clinical values."""
    evaluation = deepcopy(data.evaluation)
    row = next(row for row in evaluation["rows"] if row["model"] == "cmta")
    row["modalities"] = ["slides", "omics", "clinical"]
    evaluation["explained"] = {"cmta": summarise(data.study, folds, 0.95)}
    return replace(data, evaluation=evaluation)


def patient_html(fixture, data, folds=None, patient_id="P001"):
    model = read_page_model(fixture.config, data)
    if folds is not None:
        model = replace(model, explanations=tuple(folds))
    return checked(
        render("patient.html.j2", patient_context(fixture.config, data, model, patient_id))
    )


def cohort_html(fixture, data):
    return checked(render("cohort.html.j2", cohort_context(fixture.config, data)))


def checked(html):
    """The page, which is well formed and keeps to the wording rules."""
    assert Page(html).faults == []
    assert lint(html) == []
    assert re.findall(r"<tbody>\s*</tbody>|<ul>\s*</ul>|<p[^>]*>\s*</p>", html) == []
    return html


def text_of(html):
    body = re.sub(r"<style>.*?</style>", "", html, flags=re.S)
    inline = re.sub(r"</?(?:span|b|i)\b[^>]*>", "", body)
    return " ".join(re.sub(r"<[^>]+>", " ", inline).split())


def moved_section(html):
    """The words of the section on the patient page."""
    text = text_of(html)
    ends = [text.find(f" {heading} ", text.index(MOVED)) for heading in ("Read by", "On file, but")]
    return text[text.index(MOVED) : max(ends)]


def with_summary(data, **changes):
    """The data with other parts of the summary of CMTA."""
    evaluation = deepcopy(data.evaluation)
    evaluation["explained"]["cmta"] |= changes
    return replace(data, evaluation=evaluation)


# --- patient page


def test_what_moved_the_estimate_of_a_patient(fixture, three, folds):
    text = moved_section(patient_html(fixture, three, folds))
    assert (
        "Compared with the average training patient, with this patient’s slides held as they are. "
        "The bars show what the model did with a value, not what the value does to the disease."
    ) in text
    assert "Gene groups that raised the estimated risk: the 5 strongest of" in text
    assert "Gene groups that lowered the estimated risk: the 5 strongest of" in text
    assert re.search(
        r"Clinical values that (raised|lowered) the estimated risk (age|stage|sex)", text
    )
    assert len(re.findall(r"[+−]0\.\d\d [23] of 3", text)) == 12
    assert (
        "How far another patient’s values would move this patient, in percentile ranks of the "
        "predicted risk in the test fold."
    ) in text
    assert (
        len(
            re.findall(
                r"(?:Slides|Gene expression|Clinical data) \d+ (?:\d+ (?:higher|lower)|no)", text
            )
        )
        == 3
    )
    assert "The 3 models, trained from different seeds, rank the tiles of this patient" in text


def test_attention_ranks_below_what_moved_the_estimate(fixture, three, folds):
    text = text_of(patient_html(fixture, three, folds))
    headings = (MOVED, "Attention of the model", "Gene groups by attention", "How far to trust")
    percentile_ranks = [text.index(heading) for heading in headings]
    assert percentile_ranks == sorted(percentile_ranks)


def test_a_patient_without_slides(fixture, three, folds):
    text = moved_section(patient_html(fixture, three, folds, "P003"))
    assert "Compared with the average training patient. The bars" in text
    assert "Gene groups that raised" in text
    assert not re.search(r"Slides \d", text)
    assert "rank the tiles" not in text


def test_a_patient_without_genes(fixture, three, folds):
    text = moved_section(patient_html(fixture, three, folds, "P004"))
    assert "Gene group" not in text
    assert "Clinical value Standard deviations" in text
    assert not re.search(r"Gene expression \d", text)


def test_a_patient_without_genes_of_a_model_of_slides_and_genes(fixture, data):
    text = moved_section(patient_html(fixture, data, patient_id="P004"))
    assert "Compared with" not in text
    assert "Standard deviations" not in text
    assert re.search(r"Permuted Percentile ranks With own values Slides \d", text)


def test_groups_that_moved_nothing_are_one_sentence(fixture, three, folds):
    still = [
        replace(
            one,
            attribution={m: v * (m != "omics") for m, v in one.attribution.items()},
            permuted={m: np.where(np.isnan(v), v, one.risk) for m, v in one.permuted.items()},
        )
        for one in folds
    ]
    text = moved_section(patient_html(fixture, three, still))
    assert "None of 16 gene groups moved the estimate by 0.01 standard deviations or more." in text
    assert "Gene groups that" not in text
    assert "Slides 0 no different" in text


def test_a_single_network_agrees_with_nobody(fixture, three, folds):
    single = [
        replace(
            one,
            members=1,
            same_sign={m: v * np.nan for m, v in one.same_sign.items()},
            attention_agreement={m: v * np.nan for m, v in one.attention_agreement.items()},
        )
        for one in folds
    ]
    html = patient_html(fixture, three, single)
    text = moved_section(html)
    assert "agree" not in text
    assert "different seeds" not in text
    assert 'scope="rowgroup" colspan="3"' in html


def test_what_limits_the_bars_is_told_below_them(fixture, three, folds):
    text = moved_section(patient_html(fixture, three, folds))
    assert "do not add up" not in text
    assert "in hardly the same order" not in text
    stability = deepcopy(three.evaluation["explained"]["cmta"]["stability"])
    for measured in stability.values():
        measured["spearman"] = 0.1
    open_ended = [replace(one, at_average=one.at_average - 1) for one in folds]
    html = patient_html(fixture, with_summary(three, stability=stability), open_ended)
    text = moved_section(html)
    assert re.search(r"do not add up: 0\.\d\d standard deviations", text)
    assert "rank the gene groups in hardly the same order (mean rank correlation 0.10" in text
    assert text.index("do not add up") < text.index("How far another")


def test_at_most_five_rows_in_each_direction_whatever_the_cohort(fixture, data):
    splits = pd.read_csv(fixture.inputs.splits, sep="\t")
    risk = read_model(data, "cmta")["risk"].to_numpy()
    names = [f"A_GROUP_WITH_A_RATHER_LONG_NAME_{number:03d}" for number in range(300)]
    many = draw_explanations(splits, risk, names, [f"covariate_{n}" for n in range(40)])
    html = patient_html(fixture, data, many)
    assert len(re.findall(r'class="bar (?:raised|lowered)"', html)) == 20


def test_the_first_repeat_is_said_to_be_explained(fixture, data):
    model = read_page_model(fixture.config, data)
    assert "first repeat" not in moved_section(patient_html(fixture, data))
    twice = pd.concat([model.table, model.table.assign(repeat=1)], ignore_index=True)
    context = patient_context(fixture.config, data, replace(model, table=twice), "P001")
    text = moved_section(checked(render("patient.html.j2", context)))
    assert "Explained is the estimate of the first repeat." in text


def test_pages_of_runs_without_explanations(fixture, data):
    config = configuration(fixture.config.output, report={"model": "late_fusion"})
    model = read_page_model(config, data)
    assert model.explanations == ()
    html = checked(render("patient.html.j2", patient_context(config, data, model, "P001")))
    assert MOVED not in html
    older = replace(data, evaluation={**data.evaluation, "explained": {}})
    assert MOVED not in patient_html(fixture, older, [])
    # Explained since, but not evaluated since: the bars stand, their stability is not known.
    assert "Gene groups that raised" in moved_section(patient_html(fixture, older))
    html = cohort_html(fixture, older)
    assert RELIES not in html
    assert STABLE not in html


def test_explanations_of_other_folds_are_refused(data, folds, tmp_path):
    assert [one.fold for one in read_explained(data, "cmta")] == [0, 1, 2, 3, 4]
    elsewhere = replace(data, inputs=replace(data.inputs, predictions=PredictionsFolder(tmp_path)))
    path = tmp_path / "cmta.explain.h5"
    assert read_explained(elsewhere, "cmta") == ()
    for stale in (
        replace(folds[0], patient_ids=folds[1].patient_ids[: len(folds[0].patient_ids)]),
        replace(folds[0], fold=7),
    ):
        write_explanations(path, [stale])
        with pytest.raises(UserInputError, match=r"cmta\.explain\.h5.*explain the model again"):
            read_explained(elsewhere, "cmta")
    path.write_text("not a file of explanations")
    with pytest.raises(UserInputError, match="not readable as explanations"):
        read_explained(elsewhere, "cmta")


def test_names_from_files_are_escaped(fixture, three, folds):
    names = {"omics": (ATTACK,) * 16, "clinical": (ATTACK,) * 3}
    html = patient_html(fixture, three, [replace(one, names=names) for one in folds])
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 12


# --- cohort report


def test_what_the_model_relies_on(fixture, three):
    html = cohort_html(fixture, three)
    text = text_of(html)
    section = text[text.rindex(RELIES) : text.rindex(STABLE)]
    assert "one kind of input of CMTA is permuted between the patients who have it" in section
    for name in ("Gene expression", "Slides", "Clinical data"):
        assert re.search(rf"{name} [+−]?0\.\d\d [+−]?0\.\d\d to [+−]?0\.\d\d", section)
    assert "CMTA relies on the gene expression to rank patients." in section
    assert "CMTA is not shown to rely on the slides." in section
    assert section.endswith(
        "This shows what the model uses, not what a modality could contribute to another model."
        + " "
    )
    assert text.index("Calibration") < text.index(RELIES) < text.index("How the numbers were made")


def test_drops_lie_where_the_axis_says(fixture, three):
    html = cohort_html(fixture, three)
    plots = html[html.rindex(RELIES) : html.rindex(STABLE)]
    zero = float(re.search(r'x1="([\d.]+)%"[^>]+dasharray', plots)[1])
    ticks = re.findall(r'<text x="([\d.]+)%"[^>]*>([−\d.]+)<', plots)
    assert ("0.0", zero) in [(label, float(x)) for x, label in ticks]
    (low, first), (high, last) = (
        (float(ticks[i][0]), float(ticks[i][1].replace("−", "-"))) for i in (0, -1)
    )
    drops = three.evaluation["explained"]["cmta"]["contribution"]
    centres = [float(x) for x in re.findall(r'<circle cx="([\d.]+)%" cy="50%"', plots)]
    expected = sorted((d["value"] for d in drops.values()), reverse=True)
    assert centres == pytest.approx(
        [low + (high - low) * (v - first) / (last - first) for v in expected], abs=0.02
    )


def test_how_stable_the_explanations_are(fixture, three):
    text = text_of(cohort_html(fixture, three))
    section = text[text.rindex(STABLE) : text.rindex("How the numbers were made")]
    assert "The models of 5 folds rank 16 gene groups by their effect on the estimate" in section
    assert "rank 3 clinical values by their effect" in section
    assert "rank 16 gene groups by attention" in section
    assert (
        "The models share most of their training patients, so models from another cohort may agree "
        "less. Attention to tiles can be compared only between the members of one fold; their "
        "median agreement is 0.3"
    ) in section


def test_three_folds_share_no_majority_of_patients(fixture, three):
    few = replace(three, evaluation={**three.evaluation, "n_folds": 3})
    assert "share most" not in text_of(cohort_html(fixture, few))


def test_parts_of_the_summary_that_are_not_known(fixture, three):
    null = {"value": None, "low": None, "high": None, "per_fold": [None] * 5, "reason": "no pairs"}
    point = {"value": 0.02, "low": None, "high": None, "per_fold": [0.02], "reason": "one fold"}
    bare = with_summary(
        three, contribution={"slides": null, "omics": point}, stability={}, attention_agreement={}
    )
    text = text_of(cohort_html(fixture, bare))
    assert "Slides not estimable" in text
    assert "Gene expression +0.02 no interval" in text
    assert "Slides: no pairs." in text
    assert "Gene expression: one fold." in text
    assert STABLE not in text
    nothing = with_summary(three, contribution={})
    assert RELIES not in cohort_html(fixture, nothing)


def test_several_explained_models_are_told_apart(fixture, three):
    evaluation = deepcopy(three.evaluation)
    evaluation["explained"]["snn"] = evaluation["explained"]["cmta"]
    text = text_of(cohort_html(fixture, replace(three, evaluation=evaluation)))
    assert f"{RELIES}: CMTA" in text
    assert f"{RELIES}: SNN (genes)" in text
