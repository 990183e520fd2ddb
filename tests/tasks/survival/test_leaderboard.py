"""evaluation.json, end to end on a simulated study: content, order, honesty, refusals."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines.utils import concordance_index
from sksurv.metrics import brier_score

from evaluation_fixture import GRID_MONTHS, Written, write_study
from survfuse.artifacts.study import Study, read_study
from survfuse.config.evaluation import EvaluationConfig
from survfuse.config.models import ModelConfig
from survfuse.core.errors import UserInputError
from survfuse.reporting import findings
from survfuse.statistics.intervals import corrected_t, percentile_interval
from survfuse.statistics.metrics import comparable_pairs, structured
from survfuse.tasks.survival.metrics import RANKING

METRICS_AT_HORIZONS = ("auc", "brier", "observed_expected", "calibration_slope")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def result(written: Written) -> dict:
    return written.evaluate()


@pytest.fixture
def fresh(tmp_path: Path) -> Written:
    """A study that a test may spoil."""
    return write_study(tmp_path)


def study_of(written: Written) -> Study:
    return read_study(written.folder / "outcomes.tsv", written.folder / "splits.tsv")


def row_of(result: dict, model: str) -> dict:
    return next(row for row in result["rows"] if row["model"] == model)


def risks(written: Written, model: str, study: Study) -> np.ndarray:
    table = written.table(f"{model}.tsv").set_index("patient_id")
    return table.loc[list(study.patient_ids), "risk"].to_numpy()


def test_rows_are_named_and_ordered(result: dict) -> None:
    rows = result["rows"]
    assert [row["role"] for row in rows[:2]] == ["site", "clinical"]
    assert [row["role"] for row in rows[-2:]] == ["control", "oracle"]
    middle = [row["harrell_c"]["value"] for row in rows[2:-2]]
    assert middle == sorted(middle, reverse=True)
    assert {row["model"]: (row["label"], row["kind"], row["role"]) for row in rows} == {
        "site_only": ("Site only", "site_only", "site"),
        "clinical_cox": ("Clinical Cox", "clinical_cox", "clinical"),
        "snn": ("SNN (genes)", "snn", "unimodal"),
        "abmil": ("ABMIL (slides)", "abmil", "unimodal"),
        "cmta": ("CMTA", "cmta", "fusion"),
        "late_fusion": ("Late fusion", "late_fusion", "late"),
        "cmta_permuted": ("cmta_permuted", "cmta", "control"),
        "oracle": ("Oracle (true log-hazard)", "oracle", "oracle"),
    }
    assert row_of(result, "late_fusion")["modalities"] == ["omics", "slides"]
    assert row_of(result, "cmta")["modalities"] == ["slides", "omics"]


def test_every_metric_has_an_interval_around_it(result: dict) -> None:
    for row in result["rows"][:-1]:
        estimates = [row["harrell_c"], row["uno_c"], row["ibs"]]
        for metric in METRICS_AT_HORIZONS:
            assert list(row[metric]) == ["12", "24", "36"]
            if (row["role"], metric) != ("control", "calibration_slope"):
                estimates += row[metric].values()
        for estimate in estimates:
            assert estimate["low"] <= estimate["value"] <= estimate["high"]
        for points in row["calibration"].values():
            assert sum(point["n"] for point in points) == 100
            assert all({"predicted", "observed", "low", "high"} <= set(p) for p in points)
    # The control's curves are all alike: there is nothing to take a slope of.
    slope = row_of(result, "cmta_permuted")["calibration_slope"]["12"]
    assert slope["value"] is None and "same prediction" in slope["reason"]


def test_head_of_the_file(result: dict, written: Written) -> None:
    study = study_of(written)
    assert result["n_patients"] == 100 and result["n_events"] == study.outcome.event.sum()
    assert (result["n_folds"], result["n_repeats"], result["confidence"]) == (5, 1, 0.95)
    assert result["reference"] == "clinical_cox" and len(result["splits_sha256"]) == 64
    assert result["horizons_months"] == [12, 24, 36]
    at_tau = [(study.outcome.time[f.train] >= result["tau_months"]).mean() for f in study.folds]
    assert min(at_tau) == 0.1
    assert "10 %" in result["tau_rule"]
    last = min(result["tau_months"], 36)
    expected = [months for months in GRID_MONTHS if months <= last]
    assert result["grid_months"] == expected
    curve = result["cohort_curve"]
    assert len(curve["time"]) == len(curve["survival"]) == len(curve["low"]) == len(curve["high"])


def test_concordance_is_averaged_over_folds_by_pairs(result: dict, written: Written) -> None:
    study = study_of(written)
    for model in ("cmta", "abmil"):
        risk, scores, pairs = risks(written, model, study), [], []
        for fold in study.folds:
            outcome = study.outcome[fold.test]
            scores.append(concordance_index(outcome.time, -risk[fold.test], outcome.event))
            pairs.append(comparable_pairs(outcome))
        stored = row_of(result, model)["harrell_c"]
        assert stored["per_fold"] == pytest.approx(scores, abs=1e-12)
        assert stored["value"] == pytest.approx(np.average(scores, weights=pairs), abs=1e-12)


def test_brier_is_pooled_over_folds(result: dict, written: Written) -> None:
    """Each fold as scikit-survival scores it with its own training part, then by patients."""
    study = study_of(written)
    table = written.table("cmta.tsv").set_index("patient_id").loc[list(study.patient_ids)]
    total = 0.0
    for fold in study.folds:
        train, test = study.outcome[fold.train], study.outcome[fold.test]
        # scikit-survival refuses test times beyond training; beyond the horizon they are alike.
        test = replace(test, time=np.minimum(test.time, 25), event=test.event & (test.time <= 25))
        survival = table["surv_24"].to_numpy()[fold.test]
        scored = brier_score(structured(train), structured(test), survival, 24)[1][0]
        total += scored * len(fold.test)
    assert row_of(result, "cmta")["brier"]["24"]["value"] == pytest.approx(total / 100, abs=1e-12)


def test_risks_of_different_folds_are_never_compared(fresh: Written, result: dict) -> None:
    table = fresh.table("cmta.tsv")
    table["risk"] = table["risk"] * (1 + table["fold"]) + 1000 * table["fold"]
    fresh.replace_table("cmta.tsv", table)
    moved = fresh.evaluate()
    assert moved["risk_groups"]["cmta"] == result["risk_groups"]["cmta"]
    for metric in ("harrell_c", "uno_c", "auc"):
        assert row_of(moved, "cmta")[metric] == row_of(result, "cmta")[metric]


def test_oracle_is_scored_like_the_others(fresh: Written, result: dict) -> None:
    """A model that predicts the true log-hazard has the oracle's discrimination exactly."""
    truth = fresh.table("truth.tsv").set_index("patient_id")["log_hazard"]
    table = fresh.table("cmta.tsv")
    table["risk"] = truth.loc[table["patient_id"]].to_numpy()
    fresh.replace_table("cmta.tsv", table)
    ideal = fresh.evaluate()
    for metric in ("harrell_c", "uno_c", "auc"):
        assert row_of(ideal, "cmta")[metric] == row_of(ideal, "oracle")[metric]
    assert result["oracle"] == {"harrell_c": row_of(result, "oracle")["harrell_c"]["value"]}
    assert row_of(result, "oracle")["brier"]["12"]["value"] is None
    without = fresh.evaluate(truth=False)
    assert without["oracle"] is None
    assert "oracle" not in [row["model"] for row in without["rows"]]


def test_comparisons_and_what_is_said_of_them(result: dict) -> None:
    pairs = {(c["model"], c["reference"]): c for c in result["comparisons"]}
    expected = {(row["model"], "clinical_cox") for row in result["rows"][:-1]}
    best = next(row["model"] for row in result["rows"] if row["role"] == "unimodal")
    for fusion in ("cmta", "late_fusion"):
        expected |= {(fusion, "site_only"), (fusion, best)}
    assert set(pairs) == expected - {("clinical_cox", "clinical_cox")}
    for (model, reference), found in pairs.items():
        difference = (
            row_of(result, model)["harrell_c"]["value"]
            - row_of(result, reference)["harrell_c"]["value"]
        )
        assert found["difference"] == pytest.approx(difference, abs=1e-12)
        assert found["method"] == "corrected resampled t (Nadeau-Bengio)"
        label = row_of(result, model)["label"]
        told = f" {label} ({found['difference']:+.3f}, {found['low']:+.3f} to {found['high']:+.3f})"
        said = told in not_beaten_note(result, reference)
        assert said == (found["low"] <= 0 and model in ("cmta", "late_fusion"))
    assert not_beaten_note(result, "clinical_cox")


def not_beaten_note(result: dict, reference: str) -> str:
    """The statement on who is not shown to beat a row; there is at most one."""
    label = row_of(result, reference)["label"]
    start = f"Not shown to be better than {label} (difference in C, 95% interval"
    found = [told for told in result["statements"] if told.startswith(start)]
    assert len(found) <= 1
    return found[0] if found else ""


def test_fusions_are_compared_with_classical_models(fresh: Written, result: dict) -> None:
    """A classical model of several modalities has its own role, and fusions have to beat it."""
    several = fresh.with_model("rsf", "rsf", like="cmta")
    several = several.with_model(
        "boosted", "boosting", "late_fusion", modalities=["omics", "slides"]
    )
    several = several.with_model("genes_net", "coxnet", "snn", modalities=["omics"])
    found = several.evaluate()
    rows = {row["model"]: row for row in found["rows"]}
    facts = {name: (row["label"], row["role"], row["modalities"]) for name, row in rows.items()}
    assert facts["rsf"] == (
        "Random survival forest",
        "classical",
        ["clinical", "omics", "slides"],
    )
    assert facts["boosted"] == ("boosted", "classical", ["omics", "slides"])
    assert facts["genes_net"] == ("genes_net", "unimodal", ["omics"])
    assert rows["rsf"]["harrell_c"] == rows["cmta"]["harrell_c"]
    pairs = {(c["model"], c["reference"]) for c in found["comparisons"]}
    assert {("cmta", "rsf"), ("late_fusion", "rsf"), ("rsf", "site_only")} < pairs
    # Against the best classical model only, and classical models not against each other.
    assert not {("cmta", "boosted"), ("boosted", "rsf"), ("rsf", "rsf")} & pairs
    assert "CMTA (+0.000, +0.000 to +0.000)" in not_beaten_note(found, "rsf")
    others = [
        row["model"]
        for row in found["rows"]
        if row["model"] not in dict.fromkeys(("rsf", "boosted", "genes_net"))
    ]
    assert others == [row["model"] for row in result["rows"]]


def test_kinds_that_do_not_exist_are_refused(fresh: Written) -> None:
    with pytest.raises(UserInputError, match=r"models\.new: .* 'cmtb'; did you mean cmta"):
        fresh.with_model("new", "cmtb", like="cmta").evaluate()


def test_a_copy_of_the_reference_does_not_beat_it(fresh: Written) -> None:
    fresh.replace_table("cmta.tsv", fresh.table("clinical_cox.tsv"))
    result = fresh.evaluate()
    found = next(
        c for c in result["comparisons"] if (c["model"], c["reference"]) == ("cmta", "clinical_cox")
    )
    assert (found["difference"], found["low"], found["high"]) == (0, 0, 0)
    assert " CMTA (+0.000, +0.000 to +0.000)" in not_beaten_note(result, "clinical_cox")


def test_control_near_a_half_and_alarm_when_it_is_not(fresh: Written, result: dict) -> None:
    control = row_of(result, "cmta_permuted")["harrell_c"]
    assert control["low"] < 0.5 < control["high"]
    assert not any("leaked" in told for told in result["statements"])
    truth = fresh.table("truth.tsv").set_index("patient_id")["log_hazard"]
    table = fresh.table("cmta_permuted.tsv")
    fresh.replace_table(
        "cmta_permuted.tsv", table.assign(risk=truth.loc[table["patient_id"]].to_numpy())
    )
    assert any("test outcomes may have leaked" in told for told in fresh.evaluate()["statements"])


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        ("clinical_cox", r"needs a clinical row; add \{name: clinical_cox"),
        ("cmta_permuted", r"control trained on permuted outcomes; add a row.*permute_outcomes"),
    ],
)
def test_mandatory_rows(written: Written, missing: str, told: str) -> None:
    with pytest.raises(UserInputError, match=told):
        written.without(missing).evaluate()


def test_unknown_reference_and_reserved_name(written: Written) -> None:
    wrong = replace(written, config=EvaluationConfig(reference="nobody"))
    with pytest.raises(UserInputError, match="no row 'nobody'; name one of"):
        wrong.evaluate()
    taken = replace(written, models=(*written.models, ModelConfig(name="oracle", kind="cmta")))
    with pytest.raises(UserInputError, match="name 'oracle' is taken"):
        taken.evaluate()


def test_horizon_and_tau_beyond_follow_up_are_null_with_a_reason(written: Written) -> None:
    config = EvaluationConfig(horizons_months=[24, 500], tau_months=400, bootstrap=20)
    result = replace(written, config=config).evaluate()
    row = row_of(result, "cmta")
    for metric in METRICS_AT_HORIZONS:
        assert row[metric]["24"]["value"] is not None
        assert row[metric]["500"] == {
            "value": None,
            "low": None,
            "high": None,
            "reason": row[metric]["500"]["reason"],
        }
        assert "500 months lies beyond the follow-up" in row[metric]["500"]["reason"]
        assert "0 of 100 patients are at risk" in row[metric]["500"]["reason"]
    assert row["calibration"]["500"] == []
    assert "400 months lies beyond" in row["uno_c"]["reason"] and row["uno_c"]["value"] is None
    assert "set in the configuration" in result["tau_rule"]
    assert any(note.startswith("Nothing is estimated at 500 months") for note in result["notes"])


def test_survival_that_a_model_does_not_state(fresh: Written) -> None:
    fresh.replace_table("cmta.tsv", fresh.table("cmta.tsv").assign(surv_24=np.nan))
    fresh.replace_table("snn.tsv", fresh.table("snn.tsv").drop(columns="surv_24"))
    result = fresh.evaluate()
    for model in ("cmta", "snn"):
        row = row_of(result, model)
        assert row["brier"]["24"]["reason"] == "the model states no survival at 24 months"
        assert row["ibs"]["value"] is None and row["calibration"]["24"] == []
        assert row["brier"]["12"]["value"] is not None and row["auc"]["24"]["value"] is not None


def test_fold_without_pairs_is_skipped_and_said(fresh: Written) -> None:
    splits, outcomes = fresh.table("splits.tsv"), fresh.table("outcomes.tsv")
    tested = splits.loc[splits["fold"] == 2, "patient_id"]
    outcomes.loc[outcomes["patient_id"].isin(tested), "event"] = 0
    fresh.replace_table("outcomes.tsv", outcomes)
    result = fresh.evaluate()
    assert any(
        note.startswith("Fold 3 of repeat 1 is left out of every C: no comparable pairs: 0 of 20")
        for note in result["notes"]
    )
    row = row_of(result, "cmta")
    assert row["harrell_c"]["per_fold"][2] is None and row["uno_c"]["per_fold"][2] is None
    assert row["harrell_c"]["low"] < row["harrell_c"]["value"]


def test_same_input_same_bytes_and_seed_matters(written: Written) -> None:
    written.evaluate()
    first = (written.folder / "evaluation.json").read_bytes()
    written.evaluate()
    assert (written.folder / "evaluation.json").read_bytes() == first
    other = replace(written, config=EvaluationConfig(bootstrap=100, seed=1)).evaluate()
    stored = json.loads(first)
    assert (
        row_of(other, "cmta")["brier"]["12"]["low"] != row_of(stored, "cmta")["brier"]["12"]["low"]
    )
    assert row_of(other, "cmta")["harrell_c"] == row_of(stored, "cmta")["harrell_c"]


def test_order_of_rows_in_the_tables_is_irrelevant(fresh: Written, result: dict) -> None:
    for name in ("cmta.tsv", "splits.tsv"):
        fresh.replace_table(name, fresh.table(name).sample(frac=1, random_state=0))
    again = fresh.evaluate()
    for key in set(result) - {"splits_sha256"}:
        assert again[key] == result[key], key


def test_repeats_narrow_the_interval_only_as_far_as_they_may(tmp_path: Path) -> None:
    result = write_study(tmp_path, repeats=4).evaluate()
    assert (result["n_folds"], result["n_repeats"]) == (5, 4)
    row = row_of(result, "cmta")
    assert len(row["harrell_c"]["per_fold"]) == 20
    # Never below the part of the variance that comes from overlapping training parts.
    scores = np.array(row["harrell_c"]["per_fold"])
    floor = 2 * 1.96 * np.sqrt(0.25) * scores.std(ddof=1) * 0.9
    assert row["harrell_c"]["high"] - row["harrell_c"]["low"] > floor
    assert sum(group["n"] for group in result["risk_groups"]["cmta"]) == 100


def test_all_repeats_count(tmp_path: Path) -> None:
    """Error metrics of two repeats are the mean of each repeat's own, patients being the same."""
    both = write_study(tmp_path, repeats=2)
    averaged = row_of(both.evaluate(), "cmta")
    names = [f"{model.name}.tsv" for model in both.models]
    tables = {name: both.table(name) for name in ("splits.tsv", *names)}
    alone = []
    for repeat in (0, 1):
        for name, table in tables.items():
            both.replace_table(name, table[table["repeat"] == repeat].assign(repeat=0))
        alone.append(row_of(both.evaluate(), "cmta"))
    for metric, tolerance in (("brier", 1e-12), ("calibration_slope", 0.01)):
        expected = np.mean([row[metric]["24"]["value"] for row in alone])
        assert averaged[metric]["24"]["value"] == pytest.approx(expected, abs=tolerance)
        assert alone[0][metric]["24"]["value"] != alone[1][metric]["24"]["value"]


def test_predictions_that_do_not_fit_are_refused(fresh: Written) -> None:
    fresh.replace_table("snn.tsv", fresh.table("snn.tsv")[1:])
    with pytest.raises(UserInputError, match=r"snn\.tsv: 1 of 100 predictions are missing"):
        fresh.evaluate()
    (fresh.folder / "snn.tsv").unlink()
    with pytest.raises(UserInputError, match=r"snn\.tsv: there are no predictions"):
        fresh.evaluate()


def test_truth_must_cover_the_cohort(fresh: Written) -> None:
    fresh.replace_table("truth.tsv", fresh.table("truth.tsv")[:-1])
    with pytest.raises(UserInputError, match=r"truth\.tsv: patient P099 of the cohort is not"):
        fresh.evaluate()


def test_site_row_is_optional(written: Written) -> None:
    result = written.without("site_only").evaluate()
    assert result["rows"][0]["role"] == "clinical"
    assert not any(c["reference"] == "site_only" for c in result["comparisons"])


def test_equal_predictions_form_no_groups_and_get_the_risk_of_the_cohort(fresh: Written) -> None:
    table = fresh.table("site_only.tsv")
    same = {c: table[c].mean() for c in table if c.startswith(("surv_", "risk"))}
    fresh.replace_table("site_only.tsv", table.assign(**same))
    result = fresh.evaluate()
    assert result["risk_groups"]["site_only"] == []
    assert any("Site only has no risk groups" in note for note in result["notes"])
    site = row_of(result, "site_only")
    assert (
        "Site only gives all patients of folds 1, 2, 3, 4, 5 the same risk." in result["statements"]
    )
    assert site["collapsed"] and not row_of(result, "cmta")["collapsed"]
    for metric in (site["harrell_c"], site["uno_c"], site["auc"]["24"]):
        assert metric["value"] is None and "ranks nobody" in metric["reason"]
    assert site["brier"]["24"]["value"] is not None
    risks = fresh.table("risks.tsv")
    own = risks[(risks["model"] == "site_only") & (risks["months"] == 24)]
    curve = result["cohort_curve"]
    step = np.searchsorted(curve["time"], 24, side="right") - 1
    np.testing.assert_allclose(own["risk"], 1 - curve["survival"][step], rtol=1e-9)
    np.testing.assert_allclose(own["low"], 1 - curve["high"][step], atol=0.01)
    np.testing.assert_allclose(own["high"], 1 - curve["low"][step], atol=0.01)


def test_groups_are_of_the_risks_that_patients_are_told(fresh: Written) -> None:
    """And of each group about as many had the event as its estimates say."""
    result, risks = fresh.evaluate(), fresh.table("risks.tsv")
    for name in ("cmta", "late_fusion", "clinical_cox"):
        last = risks[(risks["model"] == name) & (risks["months"] == 36)].set_index("group")["risk"]
        assert last["low"].max() <= last["middle"].min() <= last["middle"].max()
        assert last["middle"].max() <= last["high"].min()
        for group in result["risk_groups"][name]:
            assert group["estimated"] == pytest.approx(last[group["group"]].mean())
            assert group["observed"]["low"] < group["estimated"] < group["observed"]["high"]
    assert (risks["low"] <= risks["risk"]).all() and (risks["risk"] <= risks["high"]).all()
    for _, own in risks.groupby(["model", "patient_id"]):
        assert (np.diff(own.sort_values("months")["risk"]) >= 0).all()


def test_permuted_outcomes_score_a_half(tmp_path: Path) -> None:
    """Risks that know nothing, over many studies, through the whole stage."""
    values = []
    for seed in range(6):
        folder = tmp_path / str(seed)
        folder.mkdir()
        written = write_study(folder, n=80, seed=seed).without("snn", "abmil", "late_fusion")
        outcomes = written.table("outcomes.tsv")
        order = np.random.default_rng(seed).permutation(len(outcomes))
        shuffled = outcomes[["time_months", "event"]].iloc[order].reset_index(drop=True)
        written.replace_table("outcomes.tsv", pd.concat([outcomes["patient_id"], shuffled], axis=1))
        quick = replace(written, config=EvaluationConfig(bootstrap=20, horizons_months=[12]))
        values += [row["harrell_c"]["value"] for row in quick.evaluate()["rows"]]
    assert np.mean(values) == pytest.approx(0.5, abs=0.03)


def test_evaluation_does_not_import_torch() -> None:
    code = "import sys, survfuse.tasks.survival.leaderboard; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_nothing_is_shown_against_a_row_that_ranks_nobody_in_one_fold(fresh: Written) -> None:
    table = fresh.table("clinical_cox.tsv")
    table.loc[table["fold"] == 2, "risk"] = 0.25
    fresh.replace_table("clinical_cox.tsv", table)
    result = fresh.evaluate()
    told = row_of(result, "clinical_cox")["collapsed"]
    assert len(told) == 1 and "all patients of fold 3 the same risk" in told[0]
    assert row_of(result, "clinical_cox")["harrell_c"]["value"] is not None
    against = [one for one in result["comparisons"] if one["reference"] == "clinical_cox"]
    assert against and all(one["low"] is None for one in against)
    assert all("nothing is shown by ranking them better" in one["reason"] for one in against)
    assert findings.verdict(result, RANKING.compared_as).better == []


def test_few_events_conclude_nothing(tmp_path: Path) -> None:
    written = write_study(tmp_path)
    table = written.table("outcomes.tsv")
    table["event"] = table["event"] * (table["event"].cumsum() <= 18)
    written.replace_table("outcomes.tsv", table)
    result = written.evaluate()
    assert result["n_events"] == 18
    assert all(one["few"] for one in result["comparisons"])
    assert findings.verdict(result, RANKING.compared_as).better == []
    assert result["events_by_horizon"]["12"] <= 18


def test_auc_and_its_limits_stay_within_their_bounds() -> None:
    """A ratio of sums may exceed 1 by a rounding error."""
    over = np.full(200, np.nextafter(1, 2))
    found = percentile_interval(over, 0.95, (0, 1))
    assert (found.value, found.low, found.high) == (1.0, 1.0, 1.0)
    weights = np.array([0.1, 0.2, 0.3, 0.7])
    perfect = corrected_t(np.ones(4), weights, 0.25, 0.95, (0, 1))
    assert perfect.value <= 1 and perfect.high <= 1


def test_everything_is_estimable_at_the_day_on_which_follow_up_ends(tmp_path: Path) -> None:
    written = write_study(tmp_path)
    table = written.table("outcomes.tsv")
    table["event"] = table["event"].where(table["time_months"] <= 36, 0)
    table["time_months"] = table["time_months"].clip(upper=36)
    written.replace_table("outcomes.tsv", table)
    row = row_of(written.evaluate(), "cmta")
    for metric in ("auc", "brier", "observed_expected", "calibration_slope"):
        assert row[metric]["36"]["value"] is not None, metric
    assert row["calibration"]["36"]
