"""What the leaderboards of all tasks share: mandatory rows, comparisons, order, left-out rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from evaluation_fixture import write_study
from survfuse.config.models import ModelConfig
from survfuse.config.study import LeftOut
from survfuse.core.errors import UserInputError
from survfuse.evaluation.board import compare_rows, notes_on_rows, read_candidates, too_few_pairs
from survfuse.evaluation.mandatory import require_rows
from survfuse.evaluation.records import FoldRecord, write_record
from survfuse.evaluation.rows import PredictedRow, order_of, role_of
from survfuse.tasks.loading import task_named
from survfuse.tasks.registry import TASKS


@dataclass(frozen=True)
class Row(PredictedRow):
    """A row without predictions."""

    repeats: int

    @property
    def n_repeats(self) -> int:
        return self.repeats


def row(name: str, role: str, repeats: int = 1) -> Row:
    return Row(name, "snn", name.upper(), role, [], repeats)


def test_rows_are_compared_with_simpler_ones_over_the_repeats_of_both() -> None:
    rows = [
        row("site", "site", 3),
        row("clinical", "clinical", 3),
        row("fused", "fusion", 2),
        row("best", "unimodal", 1),
        row("forest", "classical", 3),
        row("worse", "unimodal", 3),
        row("truth", "oracle", 3),
    ]
    found = compare_rows(rows, "clinical", lambda ours, theirs, _: {"of": (ours, theirs)})
    assert [(one["model"], one["reference"], one["n_repeats"]) for one in found] == [
        ("site", "clinical", 3),
        ("fused", "clinical", 2),
        ("fused", "site", 2),
        ("fused", "best", 1),
        ("fused", "forest", 2),
        ("best", "clinical", 1),
        ("forest", "clinical", 3),
        ("forest", "site", 3),
        ("forest", "best", 1),
        ("worse", "clinical", 3),
    ]
    assert found[3]["of"] == (rows[2], rows[3])


def test_order_is_by_role_then_value_then_name() -> None:
    scored = [
        ("truth", "oracle", 0.9),
        ("b", "fusion", 0.7),
        ("a", "late", 0.7),
        ("unknown", "fusion", None),
        ("best", "unimodal", 0.8),
        ("site", "site", 0.5),
        ("shuffled", "control", 0.99),
        ("clinical", "clinical", 0.6),
    ]
    keys = {name: order_of({"model": name, "role": role}, value) for name, role, value in scored}
    assert sorted(keys, key=lambda name: keys[name]) == [
        *("site", "clinical", "best", "a", "b", "unknown", "shuffled", "truth")
    ]


def test_a_handful_of_pairs_is_no_estimate() -> None:
    assert too_few_pairs(20) is None
    found = too_few_pairs(19)
    assert found is not None
    assert found.value is None
    assert found.reason is not None and found.reason.startswith("19 pairs of patients can be")


@pytest.mark.parametrize("name", TASKS)
def test_mandatory_rows_are_asked_for_unless_the_cohort_cannot_have_them(name: str) -> None:
    mandatory = task_named(name).mandatory
    kind = {"survival": "clinical_cox", "diagnosis": "logistic"}[name]
    clinical = ModelConfig(name="clinical", kind=kind)
    network = ModelConfig(name="network", kind="mri_cnn")
    control = ModelConfig(name="control", kind="mri_cnn", permute_outcomes=True)
    require_rows(mandatory, [clinical, network, control], "clinical")
    with pytest.raises(UserInputError, match=r"^models: the leaderboard .*clinical"):
        require_rows(mandatory, [network, control], "network")
    with pytest.raises(UserInputError, match=r"^models: the leaderboard needs a control"):
        require_rows(mandatory, [clinical, network], "clinical")
    shuffled = clinical.model_copy(update={"name": "shuffled", "permute_outcomes": True})
    with pytest.raises(UserInputError, match="clinical"):  # a control is no clinical row
        require_rows(mandatory, [network, shuffled], "network")
    excused = [LeftOut("models.x", "", "", "clinical"), LeftOut("models", "", "", "control")]
    require_rows(mandatory, [network], "network", excused)
    with pytest.raises(UserInputError, match=r"evaluation\.reference: there is no row 'other'"):
        require_rows(mandatory, [clinical, control], "other")
    oracle = network.model_copy(update={"name": "oracle"})
    with pytest.raises(UserInputError, match="'oracle' is taken by the simulated truth"):
        require_rows(mandatory, [clinical, control, oracle], "clinical")
    assert role_of(control, [control]) == "control"


def test_what_could_be_fitted_nowhere_is_left_out(tmp_path: Path) -> None:
    written = write_study(tmp_path)
    nowhere = [FoldRecord(0, fold, 20, 0, {}, "nobody has any") for fold in range(5)]
    once = [*(FoldRecord(0, fold, 20, 20, {}) for fold in range(4)), nowhere[4]]
    write_record(tmp_path / "abmil.tsv", [], nowhere)
    write_record(tmp_path / "snn.tsv", [], once)
    told = [LeftOut("models.gone", "The row gone is left out: nothing to read.", "")]
    found = read_candidates(written.files(), written.models, "clinical_cox", told)
    assert "abmil" not in [model.name for model in found.models]
    assert [one.key for one in found.left_out] == ["models.gone", "models.abmil"]
    described = [found.described(model.name) for model in found.models]
    notes = notes_on_rows(found, described)
    assert notes[0].startswith("The row gone")
    assert notes[1].startswith("The row abmil is left out: in no fold")
    assert notes[2:] == ["In fold 5 snn predicts the average training patient: nobody has any."]
