"""Clinical encoding, Cox rows and late fusion."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lifelines import CoxPHFitter, NelsonAalenFitter

from estimator_fixture import fit
from inputs_fixture import inputs_of
from survfuse.artifacts.checkpoint import FittedModel
from survfuse.artifacts.follow_up import FollowUp
from survfuse.artifacts.prediction import Prediction, mean_over_available, percentile_ranks
from survfuse.config.cohort import CohortConfig, Covariate
from survfuse.config.models import ModelConfig
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.clinical.encoder import ClinicalEncoder, fit_encoder
from survfuse.models.classical import clinical_cox, late_fusion, site_only
from survfuse.models.classical.cox import PENALISER, fit_cox
from survfuse.models.estimator import OtherRows
from survfuse.splits.training_part import TrainingPart

CLINICAL = pd.DataFrame(
    {
        "age": ["50", "60", "", "70"],
        "stage": ["I", "III", "II", ""],
        "sex": ["f", "m", "f", "f"],
        "same": ["1", "1", "1", "1"],
    },
    index=["P1", "P2", "P3", "P4"],
)
COVARIATES = {
    "age": Covariate(type="continuous"),
    "stage": Covariate(type="ordinal", levels=["I", "II", "III"]),
    "sex": Covariate(type="categorical"),
    "same": Covariate(type="continuous"),
}


def test_encoding_by_hand() -> None:
    encoder = fit_encoder(CLINICAL, COVARIATES)
    assert encoder.names == ["age", "stage", "sex = m"]  # constant columns are left out
    x = encoder.transform(CLINICAL)
    ages = np.array([50, 60, 60, 70])  # missing becomes the median
    np.testing.assert_allclose(x[:, 0], (ages - 60) / ages.std())
    ranks = np.array([0, 2, 1, 1])
    np.testing.assert_allclose(x[:, 1], (ranks - 1) / ranks.std())
    assert x[1, 2] > 0 > x[0, 2]


def test_encoder_survives_json_and_meets_new_categories() -> None:
    encoder = ClinicalEncoder.from_json(fit_encoder(CLINICAL, COVARIATES).to_json())
    new = pd.DataFrame({"age": ["60"], "stage": ["II"], "sex": ["x"], "same": ["9"]})
    np.testing.assert_allclose(encoder.transform(new)[0, :2], [0, 0], atol=1e-12)
    assert encoder.transform(new)[0, 2] == encoder.transform(CLINICAL)[0, 2]  # as the commonest


def simulated(n: int = 200) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    x = generator.normal(size=(n, 2))
    time = generator.exponential(20 * np.exp(-0.8 * x[:, 0]))
    censoring = generator.exponential(40, size=n)
    return x, np.minimum(time, censoring) + 0.01, time <= censoring


def test_cox_equals_lifelines() -> None:
    x, time, event = simulated()
    grid = np.array([1.0, 5.0, 10.0, 20.0])
    frame = pd.DataFrame(x, columns=["a", "b"]).assign(time=time, event=event.astype(int))
    reference = CoxPHFitter(penalizer=PENALISER).fit(frame, "time", "event")
    model = fit_cox(x, time, event)
    expected = reference.predict_survival_function(frame[["a", "b"]]).T
    for column, months in enumerate(grid):
        at = expected.columns[expected.columns <= months][-1]
        np.testing.assert_allclose(model.survival(x, grid)[:, column], expected[at], atol=1e-9)
    order = np.argsort(model.risk(x))
    np.testing.assert_array_equal(order, np.argsort(reference.predict_partial_hazard(frame)))


def test_cox_says_nothing_beyond_follow_up() -> None:
    x, time, event = simulated()
    survival = fit_cox(x, time, event).survival(x[:3], np.array([1e-6, time.max() + 1]))
    np.testing.assert_allclose(survival[:, 0], 1.0)
    assert np.isnan(survival[:, 1]).all()


def test_cox_without_columns_is_the_nelson_aalen_curve() -> None:
    _, time, event = simulated()
    model = fit_cox(np.empty((len(time), 0)), time, event)
    fitted = NelsonAalenFitter(nelson_aalen_smoothing=False).fit(time, event)
    expected = np.exp(-fitted.cumulative_hazard_at_times([10.0]).iloc[0])
    survival = model.survival(np.empty((2, 0)), np.array([10.0]))
    np.testing.assert_allclose(survival, expected)
    assert model.risk(np.empty((2, 0))).tolist() == [0.0, 0.0]


COHORT = CohortConfig(
    patients=Path("p.tsv"),
    covariates={"age": Covariate(type="continuous"), "sex": Covariate(type="categorical")},
)


def configured(cohort: CohortConfig, *rows: dict) -> Config:
    cox = {"name": "c", "kind": "clinical_cox"}
    reference = {"reference": "c"}
    given = {"name": "x", "output": "x", "cohort": cohort, "models": [cox, *rows]}
    return Config.model_validate({**given, "evaluation": reference})


def test_rows_ask_for_what_they_need() -> None:
    cox = ModelConfig(name="c", kind="clinical_cox")
    site = ModelConfig(name="s", kind="site_only")
    with pytest.raises(UserInputError, match=r"cohort\.covariates"):
        clinical_cox.covariates(cox, CohortConfig())
    with pytest.raises(UserInputError, match=r"options\.covariates .* found \['weight'\]"):
        chosen = cox.model_copy(update={"options": {"covariates": ["weight"]}})
        clinical_cox.covariates(chosen, COHORT)
    assert list(clinical_cox.covariates(cox, COHORT)) == ["age", "sex"]
    chosen = cox.model_copy(update={"options": {"covariates": ["sex"]}})
    assert list(clinical_cox.covariates(chosen, COHORT)) == ["sex"]
    with pytest.raises(UserInputError, match=r"cohort\.site"):
        site_only.site(site, CohortConfig())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": ["c"]}, "at least two"),
        ({"parts": "c, d"}, "at least two"),
        ({}, "at least two"),
        ({"parts": ["c", "nobody"]}, "names 'nobody', which is not a row that can be averaged"),
        ({"parts": ["c", "late"]}, "names 'late', which is not a row that can be averaged"),
        ({"parts": ["c", "s"], "weights": [1, 2]}, "no option 'weights'; its only option is parts"),
    ],
)
def test_an_average_asks_for_rows_that_can_be_averaged(options: dict, message: str) -> None:
    late = {"name": "late", "kind": "late_fusion", "options": options}
    config = configured(COHORT, {"name": "s", "kind": "site_only"}, late)
    with pytest.raises(UserInputError, match=message):
        late_fusion.SURVIVAL.check(config, config.models[2])


def test_percentile_ranks_by_hand() -> None:
    ranks = percentile_ranks(np.array([0.0, 2.0, 3.0, 9.0]), np.array([1.0, 2.0, 3.0, 3.0]))
    assert ranks.tolist() == [0.0, 1.5 / 4, 3 / 4, 1.0]


def test_mean_over_available_never_uses_absent_values() -> None:
    values = [np.array([1.0, np.nan, 5.0]), np.array([3.0, 4.0, np.nan])]
    available = np.array([[True, True], [False, True], [False, False]])
    mean = mean_over_available(values, available)
    assert mean[:2].tolist() == [2.0, 4.0]
    assert np.isnan(mean[2])


def part(risk: list[float], level: float) -> Prediction:
    ids = tuple(f"P{i}" for i in range(len(risk)))
    return Prediction(ids, np.array(risk), np.full((1, len(risk), 2), level))


def test_late_fusion_by_hand() -> None:
    training = {"a": part([0, 1, 2, 3], 0.5), "b": part([10, 20, 30, 40], 0.5)}
    late = {"name": "late", "kind": "late_fusion", "options": {"parts": ["a", "b"]}}
    config = configured(
        COHORT, {"name": "a", "kind": "coxnet"}, {"name": "b", "kind": "coxnet"}, late
    )
    ids = np.array(training["a"].patient_ids)
    trained = TrainingPart(
        0, 0, ids, np.full(4, "train"), FollowUp(np.ones(4), np.ones(4, dtype=bool))
    )
    inputs = inputs_of(pd.DataFrame(index=ids))
    others = OtherRows(lambda row, *_: training[row], lambda _: [])
    fitted = FittedModel("late_fusion", *fit(config, config.models[3], trained, inputs, others))
    assert fitted.fit["parts"] == ["a", "b"]
    test = {"a": part([9.0, 0.5, 0.5], 0.8), "b": part([5.0, 25.0, 25.0], 0.4)}
    available = np.array([[True, True], [True, True], [True, False]])
    fused = late_fusion.mean_of_ranks(fitted, test, available)
    np.testing.assert_allclose(fused.risk, [(1 + 0) / 2, (0.25 + 0.5) / 2, 0.25])
    np.testing.assert_allclose(fused.survival[:, 0], [0.6, 0.6, 0.8])
    nobody = late_fusion.mean_of_ranks(fitted, test, np.zeros((3, 2), dtype=bool))
    assert nobody.risk.tolist() == [0.5, 0.5, 0.5]
    np.testing.assert_allclose(nobody.survival[:, 0], 0.6)
