"""One kind of input alone: scored on the patients who have it; wrong tables are refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines.utils import concordance_index

from evaluation_fixture import Written, make_study, write_study
from survfuse.artifacts.ablations import (
    COLUMNS,
    read_ablated_risks,
    read_ablated_survival,
    write_ablations,
)
from survfuse.artifacts.study import Study
from survfuse.config.evaluation import EvaluationConfig
from survfuse.core.errors import UserInputError
from survfuse.statistics.intervals import corrected_t
from survfuse.statistics.metrics import comparable_pairs
from survfuse.tasks.survival.ablation_scores import score_ablations
from survfuse.tasks.survival.protocol import Protocol, prepare
from survfuse.tasks.survival.scores import ModelPredictions

STUDY = make_study(60, folds=3, repeats=2)
READS = ("slides", "omics")
WITHOUT_SLIDES = 12  # the first patients


def ablations(study: Study = STUDY, without_slides: int = WITHOUT_SLIDES) -> pd.DataFrame:
    """Random risks of both ablations in no order; the first patients have no slides."""
    rng = np.random.default_rng(0)
    ids = np.array(study.patient_ids)
    parts = [
        pd.DataFrame(
            {
                "patient_id": ids[fold.test],
                "repeat": fold.repeat,
                "fold": fold.fold,
                "inputs": ablation,
                "risk": rng.normal(size=len(fold.test)),
            }
        )
        for fold in study.folds
        for ablation in ("omics", "slides")
    ]
    table = pd.concat(parts).sample(frac=1, random_state=1)
    lacking = (table["inputs"] == "slides") & table["patient_id"].isin(ids[:without_slides])
    return table[~lacking].reset_index(drop=True)


def protocol_of(study: Study) -> Protocol:
    return prepare(study, EvaluationConfig(bootstrap=20), [12.0, 24.0, 36.0])


def test_round_trip_in_the_order_of_the_study(tmp_path: Path) -> None:
    table = ablations()
    write_ablations(tmp_path / "m.ablations.tsv", table)
    risks = read_ablated_risks(tmp_path / "m.ablations.tsv", STUDY, READS)
    assert list(risks) == ["slides", "omics"]  # as the model reads them
    keyed = table.set_index(["inputs", "repeat", "patient_id"])["risk"]
    for ablation, risk in risks.items():
        assert risk.shape == (2, 60)
        for repeat in (0, 1):
            for row, patient in enumerate(STUDY.patient_ids):
                expected = keyed.get((ablation, repeat, patient), np.nan)
                np.testing.assert_array_equal(risk[repeat, row], expected)
    assert np.isnan(risks["slides"][:, :WITHOUT_SLIDES]).all()
    assert np.isfinite(risks["slides"][:, WITHOUT_SLIDES:]).all()


def test_a_table_without_rows_has_no_patterns(tmp_path: Path) -> None:
    write_ablations(tmp_path / "m.tsv", None)
    assert (tmp_path / "m.tsv").read_text() == "\t".join(COLUMNS) + "\n"
    assert read_ablated_risks(tmp_path / "m.tsv", STUDY, READS) == {}


def test_several_inputs_shown_and_their_survival(tmp_path: Path) -> None:
    """Survival by horizon and by what was shown; the single modalities are scored as before."""
    reads = ("slides", "omics", "clinical")
    both = ablations()[lambda t: t["inputs"] == "slides"].assign(inputs="omics+slides")
    table = pd.concat([ablations(), both]).assign(surv_12=0.25, surv_24=0.125)
    write_ablations(tmp_path / "m.tsv", table)
    assert list(read_ablated_risks(tmp_path / "m.tsv", STUDY, reads)) == ["slides", "omics"]
    ablated = read_ablated_survival(tmp_path / "m.tsv", STUDY, reads)
    assert set(ablated) == {12.0, 24.0}
    assert set(ablated[12.0]) == {frozenset(["slides"]), frozenset(["omics"]), frozenset(READS)}
    found = ablated[24.0][frozenset(READS)]
    assert np.isnan(found[:, :WITHOUT_SLIDES]).all()
    assert (found[:, WITHOUT_SLIDES:] == 0.125).all()
    everything = table.assign(inputs="clinical+omics+slides").drop_duplicates(
        ["patient_id", "repeat"]
    )
    with pytest.raises(UserInputError, match="inputs are none of"):
        write_ablations(tmp_path / "all.tsv", everything[everything["patient_id"] == ""])
        everything.to_csv(tmp_path / "all.tsv", sep="\t", index=False)
        read_ablated_survival(tmp_path / "all.tsv", STUDY, reads)


def test_scored_within_folds_on_the_patients_who_have_it() -> None:
    """Against lifelines, fold by fold, averaged by comparable pairs."""
    rng = np.random.default_rng(3)
    everything = rng.normal(size=(2, 60))
    slides = rng.normal(size=(2, 60))
    slides[:, :WITHOUT_SLIDES] = np.nan
    scored = score_ablations(
        protocol_of(STUDY), ModelPredictions(everything, {}), {"slides": slides}
    )["slides"]
    values, same_patients, pairs = [], [], []
    for fold in STUDY.folds:
        tested = fold.test[fold.test >= WITHOUT_SLIDES]
        outcome = STUDY.outcome[tested]
        pairs.append(comparable_pairs(outcome))
        for risk, found in ((slides, values), (everything, same_patients)):
            ranked = -risk[fold.repeat, tested]
            found.append(concordance_index(outcome.time, ranked, outcome.event))
    expected = corrected_t(np.array(values), np.array(pairs), STUDY.test_share, 0.95, (0, 1))
    assert scored == {
        "value": pytest.approx(expected.value, abs=1e-12),
        "low": pytest.approx(expected.low, abs=1e-12),
        "high": pytest.approx(expected.high, abs=1e-12),
        "n": 60 - WITHOUT_SLIDES,
        "all_inputs": pytest.approx(np.average(same_patients, weights=pairs), abs=1e-12),
    }


def test_few_pairs_are_told_and_not_scored() -> None:
    slides = np.random.default_rng(0).normal(size=(2, 60))
    slides[:, 9:] = np.nan
    scored = score_ablations(protocol_of(STUDY), ModelPredictions(slides, {}), {"slides": slides})
    of_both = 0
    for fold in STUDY.folds:
        outcome = STUDY.outcome[fold.test[fold.test < 9]]
        later = outcome.time[:, None] < outcome.time[None, :]
        of_both += int((later & outcome.event[:, None]).sum())
    assert 0 < of_both < 40
    assert scored["slides"] == {
        "value": None,
        "low": None,
        "high": None,
        "reason": f"{of_both / 2:.0f} pairs of patients can be compared within the folds; at least "
        "20 are needed",
        "n": 9,
        "all_inputs": None,
    }


def put(column: str, value: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table[column] = table[column].astype(object)
        table.loc[4, column] = value
        return table

    return change


def moved(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(fold=table["fold"].where(table.index != 4, (table["fold"] + 1) % 3))


def twice(table: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([table, table[4:5]])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (put("risk", ""), r"row 6: risk is empty; give a number"),
        (put("risk", "inf"), r"row 6: risk holds 'inf'"),
        (put("fold", "0.5"), r"row 6: fold must be a whole number"),
        (put("inputs", "clinical"), r"row 6 .*inputs are none of slides, omics, which"),
        (put("inputs", "slides+omics"), r"row 6 .*inputs are none of slides, omics"),
        (put("patient_id", "NEW"), r"row 6 \(patient NEW\): the cohort has no such patient"),
        (moved, r"row 6 .*the splits test this patient in another repeat or fold"),
        (twice, r"row \d+: patient_id \w+, repeat \d, inputs \w+ is listed twice"),
        (lambda t: t.drop(index=4), r"row \d+ .*these inputs are missing in another repeat"),
        (lambda t: t.drop(columns="inputs"), "the column inputs is missing; predict again"),
        (lambda t: t.drop(columns="risk"), "the column risk is missing"),
        (lambda t: t.assign(risk_low_12=0.5), "the column risk_low_12 is not known; keep pat"),
        (lambda t: t.assign(surv_12=1.5), r"row 2 .*surv_12 lies outside 0 to 1"),
        (lambda t: t.assign(surv_12="x"), r"row 2: surv_12 holds 'x'"),
    ],
)
def test_wrong_tables_are_refused(
    tmp_path: Path, change: Callable[[pd.DataFrame], pd.DataFrame], told: str
) -> None:
    change(ablations()).to_csv(tmp_path / "m.tsv", sep="\t", index=False)
    with pytest.raises(UserInputError, match=rf"m\.tsv: {told}"):
        read_ablated_risks(tmp_path / "m.tsv", STUDY, READS)


def test_a_wrong_table_is_not_written(tmp_path: Path) -> None:
    for table, told in (
        (put("risk", np.nan)(ablations()), "risk is not a finite number"),
        (put("inputs", "genes")(ablations()), "none of clinical, omics, slides"),
        (ablations().drop(columns="fold"), "the column fold is missing"),
    ):
        with pytest.raises(UserInputError, match=told):
            write_ablations(tmp_path / "m.tsv", table)
    assert not list(tmp_path.iterdir())


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A study in which CMTA shown everything, or only genes, says the same."""
    study = write_study(tmp_path_factory.mktemp("study"))
    table = study.table("cmta.tsv")[["patient_id", "repeat", "fold", "risk"]]
    without = table["patient_id"].isin([f"P{number:03d}" for number in range(30)])
    noise = np.random.default_rng(0).normal(size=len(table))
    both = [
        table.assign(inputs="omics"),
        table.assign(inputs="slides", risk=noise)[~without],
    ]
    study.replace_table("cmta.ablations.tsv", pd.concat(both))
    return study


def test_evaluation_holds_the_patterns_of_the_rows_that_have_them(written: Written) -> None:
    rows = {row["model"]: row for row in written.evaluate()["rows"]}
    assert [name for name, row in rows.items() if "ablations" in row] == ["cmta"]
    found, everything = rows["cmta"]["ablations"], rows["cmta"]["harrell_c"]
    assert set(found) == {"slides", "omics"}
    assert found["omics"] == {
        **{key: everything[key] for key in ("value", "low", "high")},
        "n": 100,
        "all_inputs": everything["value"],
    }
    assert found["slides"]["n"] == 70
    assert found["slides"]["low"] < 0.5 < found["slides"]["high"]
    assert found["slides"]["all_inputs"] != everything["value"]


def test_a_model_that_reads_no_slides_has_none_alone(written: Written, tmp_path: Path) -> None:
    other = write_study(tmp_path)
    other.replace_table("snn.ablations.tsv", written.table("cmta.ablations.tsv"))
    with pytest.raises(UserInputError, match=r"snn\.ablations\.tsv: row 102 .* none of omics"):
        other.evaluate()
