"""Several folds in one job: the models of fold by fold, and what is fitted outlives a failure."""

from pathlib import Path

import pytest

from protocol_fixture import FOLDS, Driver, configuration
from survfuse.core.errors import UserInputError
from survfuse.core.files import read_json, sha256_file
from survfuse.modalities.paths import InputPaths
from survfuse.splits.outer_folds import make_splits
from survfuse.training import stage
from survfuse.training.predict import predict_model
from survfuse.training.stage import train_fold, train_folds

LATE = {"name": "late", "kind": "late_fusion", "options": {"parts": ["clinical_cox", "coxnet"]}}
ROWS = [
    {"name": "clinical_cox", "kind": "clinical_cox"},
    {"name": "coxnet", "kind": "coxnet", "options": {"modalities": ["clinical", "omics"]}},
    LATE,
]


class Cohort:
    """A cohort on disk whose rows are fitted in two repeats."""

    def __init__(self, home: Path) -> None:
        driver = Driver(home, n=60)
        splits = {"folds": FOLDS, "repeats": 2}
        driver.config = configuration(models=ROWS, splits=splits)
        driver.splits = make_splits(driver.outcomes, None, driver.config.splits)
        self.home, self.config = home, driver.config
        self.paths: InputPaths = driver.write()
        names = [f"r{repeat}f{fold}" for repeat in range(2) for fold in range(FOLDS)]
        self.folds = [home / "splits" / name for name in names]

    def train(self, model: str) -> list[Path]:
        record = self.home / "models" / model / "folds.json"
        models = self.home / "models"
        return train_folds(self.config, model, self.folds, self.paths, models, "cpu", record)

    def fits(self, model: str) -> dict[str, str]:
        found = self.home.glob(f"models/{model}/*/fit.json")
        return {path.parent.name: sha256_file(path) for path in found}


@pytest.fixture
def cohort(tmp_path: Path) -> Cohort:
    return Cohort(tmp_path)


def test_folds_together_give_the_same_models_as_one_by_one(cohort: Cohort) -> None:
    for model in ("clinical_cox", "coxnet", "late"):
        cohort.train(model)
        together = cohort.fits(model)
        record = read_json(cohort.home / "models" / model / "folds.json")
        assert record["fits"] == together and len(together) == 2 * FOLDS
        for fold in cohort.folds:
            train_fold(cohort.config, model, fold, cohort.paths, cohort.home / "models", "cpu")
        assert cohort.fits(model) == together
    out = cohort.home / "p.tsv"
    models = cohort.home / "models"
    predict_model(cohort.config, "late", cohort.folds[:FOLDS], cohort.paths, models, out)
    assert len(out.read_text().splitlines()) == 1 + 60


def test_what_is_fitted_outlives_a_fold_that_fails(
    cohort: Cohort, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted, fit_row = [], stage.fit_row

    def failing(model, part, inputs, fold, scratch, key):
        if fold.fold_name == "r1f0" and "r1f0" not in mended:
            raise UserInputError("this fold fails")
        fitted.append(fold.fold_name)
        return fit_row(model, part, inputs, fold, scratch, key)

    mended: list[str] = []
    monkeypatch.setattr(stage, "fit_row", failing)
    with pytest.raises(UserInputError, match="this fold fails"):
        cohort.train("clinical_cox")
    assert set(cohort.fits("clinical_cox")) == {"r0f0", "r0f1", "r0f2"}
    assert not (cohort.home / "models/clinical_cox/folds.json").exists()
    before, mended, fitted = cohort.fits("clinical_cox"), ["r1f0"], []
    weights = cohort.home / "models/clinical_cox/r0f1/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")  # damaged: fitted again
    cohort.train("clinical_cox")
    assert fitted == ["r0f1", "r1f0", "r1f1", "r1f2"]
    assert before.items() <= cohort.fits("clinical_cox").items()
    fitted.clear()
    cohort.train("clinical_cox")
    assert not fitted


def test_an_average_is_fitted_again_when_a_part_has_changed(cohort: Cohort) -> None:
    for model in ("clinical_cox", "coxnet", "late"):
        cohort.train(model)
    before = cohort.fits("late")
    rows = [ROWS[0], {**ROWS[1], "options": {"modalities": ["omics"]}}, LATE]
    cohort.config = configuration(models=rows, splits={"folds": FOLDS, "repeats": 2})
    cohort.train("coxnet")
    cohort.train("late")
    assert not set(before.values()) & set(cohort.fits("late").values())


def test_a_fold_whose_part_is_missing_is_refused(cohort: Cohort) -> None:
    cohort.train("clinical_cox")
    with pytest.raises(UserInputError, match=r"coxnet/r0f0: holds no fitted model"):
        cohort.train("late")
