"""How numbers are written, and the words the pages may not use."""

import pytest

from survfuse.reporting import wording


@pytest.mark.parametrize(
    ("value", "digits", "signed", "text"),
    [
        (0.6749, 2, False, "0.67"),
        (0.05, 2, True, "+0.05"),
        (-0.05, 2, True, "−0.05"),
        (-0.05, 2, False, "−0.05"),
        (-0.001, 2, True, "0.00"),  # neither +0.00 nor −0.00: the sign of a zero means nothing
        (0.001, 2, True, "0.00"),
        (36.04, 0, False, "36"),
    ],
)
def test_decimal(value, digits, signed, text):
    assert wording.decimal(value, digits, signed) == text


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.284, "28"),
        (0.0, "0"),
        (0.004, "fewer than 1"),
        (0.006, "1"),
        (0.996, "more than 99"),
        (0.994, "99"),
        (1.0, "100"),
    ],
)
def test_of_100_never_claims_certainty(probability, text):
    assert wording.of_100(probability) == text


def test_counts_and_lists_in_words():
    assert wording.plural(1, "slide") == "1 slide"
    assert wording.plural(1234, "tile") == "1,234 tiles"
    assert wording.listed(["a"]) == "a"
    assert wording.listed(["a", "b", "c"]) == "a, b and c"
    assert wording.months(12.0) == "12 months"
    assert wording.months(1.0) == "1 month"


def test_abbreviations_stay_capitals_within_a_sentence():
    assert wording.within_sentence("Clinical values") == "clinical values"
    assert wording.within_sentence("MRI") == "MRI"


@pytest.mark.parametrize(
    "text",
    [
        "cannot open /data/Jane Doe/biopsy.svs",
        "cannot open C:\\scans\\jane\\biopsy.svs",
        "cannot open '/data/jane/biopsy.svs'",
    ],
)
def test_paths_are_taken_out(text):
    cleaned = wording.without_paths(text)
    assert cleaned.startswith("cannot open")
    assert "(file)" in cleaned
    assert "/data" not in cleaned
    assert "scans" not in cleaned


def test_words_with_slashes_stay():
    text = "observed/expected is 1.2 and 3/4 of the tiles are white"
    assert wording.without_paths(text) == text


@pytest.mark.parametrize(
    "sentence",
    [
        "You will die within a year.",
        "The model is accurate.",
        "The accuracy is high.",
        "This proves the effect.",
        "Smoking causes the event.",
        "The difference is significant.",
        "This is a low-risk patient.",
        "Patients at high risk die earlier.",
        "About 28 % are expected to have the event.",
        "By 12 months 28 % have had the event.",
        "Of 80 patients 28 % have had the event.",
        "Of 80 patients 28.4 % have had the event by 12 months.",
    ],
)
def test_forbidden_sentences_are_found(sentence):
    assert wording.lint(f"<p>{sentence}</p>")


@pytest.mark.parametrize(
    "sentence",
    [
        "Attention shows where the model looked, not cause.",
        "Death from any cause counts.",
        "The log-rank test is significant, p = 0.01.",
        "Low risk: 8 of 100 patients.",
        "Of 80 patients 28 % have had the event by 12 months.",
        "The 95 % interval includes zero.",
        "Take care of the goodwill.",
    ],
)
def test_allowed_sentences_pass(sentence):
    assert wording.lint(f"<p>{sentence}</p>") == []


def test_lint_looks_into_every_block_attribute_and_svg_text():
    assert wording.lint("<table><tr><td>28 %</td></tr></table>")
    assert wording.lint('<img alt="the tumour will grow">')
    assert wording.lint("<svg><text>low risk</text></svg>")


def test_lint_reads_a_sentence_across_inline_markup():
    html = "<p>Of <b>80</b> patients <span>28</span> % have had the event by 12 months.</p>"
    assert wording.lint(html) == []
    assert wording.lint("<p>it <b>will</b> rain</p>")


def test_lint_takes_cells_apart():
    """A denominator in one cell does not excuse a percentage in the next."""
    assert wording.lint("<tr><td>of 80 patients by 12 months</td><td>28 %</td></tr>")


def test_the_users_own_words_are_not_examined():
    assert wording.lint("<p data-verbatim>cause will 28 %</p>") == []
    assert wording.lint("<p data-verbatim>cause <b>will</b></p><p>it will</p>") == [
        "promises a future: 'it will'"
    ]


@pytest.mark.parametrize(
    ("sentence", "fault"),
    [
        ("Sie werden sterben.", "promises a future"),
        ("Das Gedächtnis wird in einem Jahr schlechter sein.", "promises a future"),
        ("Ein genaues Modell.", "claims accuracy"),
        ("Die Genauigkeit ist hoch.", "claims accuracy"),
        ("Die Studie beweist es.", "claims proof"),
        ("Es wird durch Gene verursacht.", "claims a cause"),
        ("Ein signifikanter Unterschied.", "significance without a test"),
        ("Ein hohes Risiko.", "a risk in words without a number"),
        ("Ein niedriges Risiko besteht.", "a risk in words without a number"),
        ("Das Risiko beträgt 30 %.", "a percentage without its horizon and denominator"),
        ("30 % von 120 Personen.", "a percentage without its horizon and denominator"),
        ("30,5 % von 120 Personen innerhalb von 36 Monaten.", "a percentage with decimals"),
    ],
)
def test_german_wording_has_rules_too(sentence, fault):
    (found,) = wording.lint(f"<p>{sentence}</p>", (), "de")
    assert fault in found
    assert not wording.lint(f"<p data-verbatim>{sentence}</p>", (), "de")


@pytest.mark.parametrize(
    "sentence",
    [
        "Gene werden gemessen.",
        "Das kann nicht verwendet werden.",
        "Ein Unterschied, signifikant im Log-Rank-Test.",
        "Von 100 Personen hatten 40 ein hohes Risiko.",
        "30 % von 120 Personen innerhalb von 36 Monaten.",
        "Mit dem 95-%-Intervall 20 bis 70.",
        "Mit dem 95 % Konfidenzintervall.",
    ],
)
def test_german_sentences_that_may_stand(sentence):
    assert not wording.lint(f"<p>{sentence}</p>", (), "de")
