"""Figures: what they withhold, and that they can stand inside a page."""

import re
from itertools import combinations
from xml.etree import ElementTree

import matplotlib.colors
import pytest

from survfuse.reporting.disclosure import risk_group_rows
from survfuse.reporting.inputs import PatientRisk, Prediction
from survfuse.reporting.pictures.calibration import calibration_panels, shown_points
from survfuse.reporting.pictures.drawing import INK, MUTED
from survfuse.reporting.survival import figures
from survfuse.reporting.survival.patient_figure import Courses


def group(name, at_risk):
    return {
        "group": name,
        "n": at_risk[0],
        "events": 9,
        "time": [0.0, 5.0, 14.0, 30.0],
        "survival": [1.0, 0.8, 0.6, 0.5],
        "low": [1.0, 0.7, 0.5, 0.3],
        "high": [1.0, 0.9, 0.7, 0.6],
        "at_risk": [
            {"time": 12.0 * step, "n": n, "events": 70 + step, "censored": 80 + step}
            for step, n in enumerate(at_risk)
        ],
    }


def texts(svg):
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


def drawn_groups(groups, name):
    return figures.risk_groups({"cmta": ("CMTA", groups)}, [12.0], 5, name)


@pytest.fixture(scope="module")
def drawing():
    groups = [group("low", [30, 20, 6]), group("high", [30, 4, 0])]
    return str(drawn_groups(groups, "km-a").svg)


def test_counts_are_withheld_once_few_are_at_risk(drawing):
    found = texts(drawing)
    assert {"30", "20", "6"} <= set(found)
    assert found.count("<5") + found.count("&lt;5") == 1
    assert "4" not in found
    assert found.count("–") == 1  # at risk at 24
    groups = [group("low", [30, 20, 6]), group("high", [30, 4, 0])]
    low, high = figures.counts_table({"cmta": ("CMTA", groups)}, 5)["models"]["CMTA"]
    assert low["at"] == [("30", "70", "80"), ("20", "71", "81"), ("6", "72", "82")]
    assert high["at"] == [("30", "70", "80"), ("<5", "–", "–"), ("–", "–", "–")]


def test_models_are_panels_of_one_figure_with_the_same_axes():
    """Five models: 3 panels and 2; the last time is that of the model with the longest list."""
    groups, longer = [group("low", [30, 20, 6])], [group("low", [30, 20, 16, 9])]
    models = {f"m{n}": (f"Model {n}", longer if n == 2 else groups) for n in range(5)}
    found = texts(str(figures.risk_groups(models, [12.0], 5, "km-d").svg))
    assert [text for text in found if text.startswith("Model")] == [f"Model {n}" for n in range(5)]
    assert found.count("36") == 5  # the scale of every panel
    assert found.count("Event-free, of 100") == 2  # once for each line of panels
    assert found.count("At risk") == 2
    assert found.count("Lower") == 3  # the legend, and before the counts of each line


def test_curves_end_where_few_are_at_risk():
    assert figures.visible_until(group("low", [30, 4, 2]), 5) == 12.0
    assert figures.visible_until(group("low", [30, 20, 6]), 5) == float("inf")
    assert figures.visible_until(group("low", [30, 20, 6]) | {"n": None}, 5) == 0.0


def test_small_groups_are_told_nowhere():
    """Four of 60 patients: the next group, of ten, is hidden with them."""
    groups = [
        group("low", [46, 20, 6]) | {"events": 20},
        group("middle", [10, 8, 7]) | {"events": 6},
        group("high", [4, 3, 2]) | {"events": 3},
    ]
    shown = risk_group_rows(groups, 5)
    assert not {"10", "8", "7", "4", "3", "2"} & set(texts(str(drawn_groups(shown, "km-b").svg)))
    low, *others = figures.counts_table({"cmta": ("CMTA", shown)}, 5)["models"]["CMTA"]
    assert (low["n"], low["events"]) == (46, 20)
    for one in others:
        assert (one["n"], one["events"]) == (None, None)
        assert not {"10", "8", "7", "4", "3", "2"} & {text for at in one["at"] for text in at}


def test_few_events_are_told_nowhere():
    groups = [
        group("low", [30, 20, 15]) | {"events": 1},
        group("middle", [30, 20, 14]) | {"events": 9},
        group("high", [30, 20, 13]) | {"events": 17},
    ]
    for one in groups[:2]:
        for entry in one["at_risk"]:
            entry |= {"events": 1, "censored": 2}
    shown = risk_group_rows(groups, 5)
    assert {"15", "14", "13"} <= set(texts(str(drawn_groups(shown, "km-c").svg)))
    found = figures.counts_table({"cmta": ("CMTA", shown)}, 5)["models"]["CMTA"]
    assert [(one["n"], one["events"]) for one in found] == [(30, None), (30, None), (30, 17)]
    assert [one["at"][2] for one in found] == [("15", "–", "–"), ("14", "–", "–"),
                                               ("13", "72", "82")]  # fmt: skip


def test_the_drawing_is_well_formed_and_fetches_nothing(drawing):
    ElementTree.fromstring(drawing)
    assert "http" not in drawing
    assert "<style" not in drawing
    assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', drawing))
    assert all(link.startswith("#") for link in re.findall(r"url\(([^)]*)\)", drawing))


def test_identifiers_are_unique_and_resolve(drawing):
    identifiers = re.findall(r'\bid="([^"]*)"', drawing)
    assert len(identifiers) == len(set(identifiers))
    assert all(name.startswith("km-a-") for name in identifiers)
    used = re.findall(r'(?:href="|url\()#([^")]*)', drawing)
    assert set(used) <= set(identifiers)


def test_drawings_are_reproducible(tmp_path):
    groups = [group("low", [30, 20, 6])]
    first, again = (drawn_groups(groups, "a") for _ in range(2))
    assert first.as_file() == again.as_file()
    for drawing, name in ((first, "a.png"), (again, "b.png")):
        drawing.save_png(tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_screen_readers_are_told_what_is_shown(drawing):
    assert re.match(r'<svg viewBox="[^"]+" role="img" aria-label="Kaplan-Meier[^"]+CMTA', drawing)


def test_groups_differ_in_line_style_and_for_colour_blind_readers():
    names, colours, lines = zip(*figures.GROUPS.values(), strict=True)
    assert len(set(names)) == len(set(map(str, lines))) == 3
    for one, other in combinations(colours, 2):
        assert deuteranope_distance(one, other) > 0.15
    assert all(contrast(colour, "#ffffff") >= 3 for colour in colours)  # WCAG for graphics


def test_text_in_figures_has_contrast():
    assert contrast(INK, "#ffffff") >= 4.5
    assert contrast(MUTED, "#ffffff") >= 4.5


def risk_by(months, risk, low, high):
    return PatientRisk(months, risk, low, high, low, high, (), 0, "high")


def test_patient_curve_shows_intervals_group_and_cohort():
    risks = {12.0: risk_by(12.0, 0.1, 0.05, 0.2), 24.0: risk_by(24.0, 0.3, 0.2, 0.4)}
    prediction = Prediction(((0, 1),), risks, {24.0: (0.29, 0.31)})
    cohort = {key: group("low", [30])[key] for key in ("time", "survival", "low", "high")}
    drawn = Courses(cohort, [12.0, 24.0], 5).drawing(prediction, group("high", [30]))
    found = texts(drawn.svg)
    assert "Such patients, estimated" in found
    assert "Higher third of the estimates, observed" in found
    assert "All patients, observed" in found
    rows = [i for i, curve in enumerate(drawn.data["curve"]) if curve == "Such patients, estimated"]
    told = [[drawn.data[key][i] for key in ("event_free_of_100", "low", "high")] for i in rows[1:]]
    assert told == [pytest.approx([90, 80, 95]), pytest.approx([70, 60, 80])]


def test_patient_curve_without_a_group():
    prediction = Prediction(((0, 1),), {12.0: risk_by(12.0, 0.1, 0.05, 0.2)}, {})
    cohort = {"time": [0.0], "survival": [1.0], "low": [1.0], "high": [1.0]}
    found = texts(Courses(cohort, [12.0], 5).drawing(prediction, None).svg)
    assert not [text for text in found if "third" in text]


def test_calibration_has_a_panel_per_horizon_and_model_on_a_common_scale():
    point = {"predicted": 0.2, "observed": 0.3, "low": 0.1, "high": 0.55, "n": 20}
    panels = {f"By {m} months": {"a": [point], "b": [point]} for m in (12, 24, 36)}
    panels["By 36 months"]["b"] = [point | {"predicted": 0.7, "high": 0.75}]
    drawn = calibration_panels(panels, {"a": "First", "b": "Second", "c": "None"}, "c")
    found = texts(str(drawn.svg))
    assert [text for text in found if text.startswith("By ")] == list(panels)
    assert "First" in found and "Second" in found and "None" not in found
    assert found.count("80") == 5  # the scale ends there: below two panels, and beside three
    assert "100" not in found
    assert drawn.data["model"] == ["a", "b"] * 3
    assert drawn.data["predicted"] == pytest.approx([20, 20, 20, 20, 20, 70])
    assert drawn.data["at"] == [line for line in panels for _ in range(2)]


def test_points_of_few_patients_or_without_interval_are_not_shown():
    point = {"predicted": 0.2, "observed": 0.3, "low": 0.1, "high": 0.55, "n": 20}
    assert shown_points([point, point | {"n": 4}, point | {"low": None}], 5) == [point]
    assert shown_points(None, 5) == []


@pytest.mark.parametrize(("last", "ticks"), [(36, 7), (60, 6), (120, 6), (7, 3)])
def test_month_ticks_are_few_and_round(last, ticks):
    found = figures.month_ticks(last)
    assert len(found) == ticks
    assert found[0] == 0
    assert found[-1] <= last


def luminance(colour):
    channels = [
        value / 12.92 if value <= 0.03928 else ((value + 0.055) / 1.055) ** 2.4
        for value in matplotlib.colors.to_rgb(colour)
    ]
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]


def contrast(one, other):
    """Contrast ratio of WCAG 2."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def deuteranope_distance(one, other):
    """Distance in RGB as seen without green cones (Machado et al. 2009, severity 1)."""
    matrix = [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]
    seen = [
        [
            sum(m * c for m, c in zip(line, matplotlib.colors.to_rgb(colour), strict=True))
            for line in matrix
        ]
        for colour in (one, other)
    ]
    return sum((a - b) ** 2 for a, b in zip(*seen, strict=True)) ** 0.5
