"""The row `geneicl`: what a pretrained network is shown, how its answers count, and where it is."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lifelines import CoxPHFitter

from estimator_fixture import fit, predict
from survfuse.artifacts.checkpoint import FittedModel, read_fitted, write_fitted
from survfuse.artifacts.follow_up import FollowUp
from survfuse.config.study import Config
from survfuse.core.errors import MissingResourceError, UserInputError
from survfuse.models.estimator import NothingToLearnError
from survfuse.models.specs import estimator_of
from survfuse.models.stacking import geneicl
from survfuse.models.stacking.geneicl import WEIGHTS, martingale_residuals
from survfuse.splits.training_part import TrainingPart
from training_fixture import cohort

installed = pytest.mark.skipif(
    find_spec("geneicl") is None, reason="needs the package geneicl: pip install survfuse[icl]"
)
INPUTS, TIME, EVENT = cohort(n=80)
IDS = INPUTS.patients.index.tolist()
PART = TrainingPart(0, 0, np.array(IDS), np.full(80, "train"), FollowUp(TIME, EVENT))


class Regression(torch.nn.Module):
    """In place of the network: ridge regression of the numbers that it is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.ridge = torch.nn.Parameter(torch.tensor(5.0))

    def forward(self, x: torch.Tensor, y: torch.Tensor, is_cls: bool) -> torch.Tensor:
        assert not is_cls and torch.isfinite(x).all()
        shown = x[0, : y.shape[1]]
        products = shown.T @ shown + self.ridge * torch.eye(x.shape[2])
        return (x[0, y.shape[1] :] @ torch.linalg.solve(products, shown.T @ y[0]))[None, :, None]


@pytest.fixture
def regression(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geneicl, "load_network", lambda _context: Regression())


def configured(**options: object) -> Config:
    rows = [
        {"name": "clinical_cox", "kind": "clinical_cox"},
        {"name": "icl", "kind": "geneicl", "options": options},
    ]
    cohort = {"patients": "unused.tsv", "covariates": {"age": {"type": "continuous"}}}
    return Config.model_validate(
        {"name": "x", "output": "unused", "cohort": cohort, "models": rows}
    )


CONFIG = configured()
ROW = CONFIG.models[1]


def test_residuals_are_those_of_lifelines() -> None:
    age = INPUTS.patients["age"].astype(float).to_numpy()
    frame = pd.DataFrame({"age": (age - age.mean()) / age.std(), "time": TIME, "event": EVENT})
    cox = CoxPHFitter().fit(frame, "time", "event")
    expected = cox.compute_residuals(frame, "martingale").loc[frame.index, "martingale"]
    found = martingale_residuals(frame["age"].to_numpy() * cox.params_["age"], TIME, EVENT)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.usefixtures("regression")
def test_genes_count_and_who_lacks_them_gets_the_clinical_part(tmp_path: Path) -> None:
    arrays, described = fit(CONFIG, ROW, PART, INPUTS)
    # The last two patients lack genes, and are not shown.
    assert described["patients_inside"] == 78 == len(arrays["shown.residuals"])
    clinical, genes = described["stack"]
    assert genes["effect"] > 0.3 > abs(clinical["effect"])  # age tells nothing here
    write_fitted(tmp_path, "geneicl", arrays, described)
    said = predict(CONFIG, ROW, read_fitted(tmp_path), INPUTS, IDS)
    early = np.median(TIME) > TIME
    assert said.risk[early].mean() > said.risk[~early].mean() + 0.3
    bare = INPUTS.without({"omics": IDS})
    fitted = FittedModel("geneicl", arrays, described)
    alone = predict(CONFIG, ROW, fitted, bare, IDS)
    np.testing.assert_array_equal(alone.risk[-2:], said.risk[-2:])
    assert np.abs(alone.risk - said.risk)[:-2].max() > 0.3
    assert np.isnan(said.survival[:, np.array(CONFIG.grid_months()) > TIME.max()]).all()


@pytest.mark.usefixtures("regression")
def test_scores_that_are_weighed_come_from_other_patients(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = list[np.ndarray]()
    weigh = geneicl.fit_stack_weights

    def remembered(added: np.ndarray, *rest: np.ndarray) -> geneicl.StackWeights:
        seen.append(added)
        return weigh(added, *rest)

    monkeypatch.setattr(geneicl, "fit_stack_weights", remembered)
    fit(CONFIG, ROW, PART, INPUTS)
    time = TIME.copy()
    time[7] *= 50
    changed = TrainingPart(0, 0, PART.patient_ids, PART.role, FollowUp(time, EVENT))
    fit(CONFIG, ROW, changed, INPUTS)
    np.testing.assert_array_equal(seen[0][7], seen[1][7])
    assert np.abs(seen[0] - seen[1]).max() > 1e-3  # but reaches those of others


@pytest.mark.usefixtures("regression")
def test_with_few_genes_there_is_nothing_to_show() -> None:
    few = INPUTS.without({"omics": IDS[19:]})
    with pytest.raises(NothingToLearnError, match="fewer than 20 training patients have genes"):
        fit(CONFIG, ROW, PART, few)


def test_without_the_package_the_row_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geneicl, "find_spec", lambda _name: None)
    with pytest.raises(MissingResourceError, match=r'models.icl: .*pip install "survfuse\[icl\]"'):
        estimator_of(ROW, CONFIG).check(CONFIG, ROW)
    with pytest.raises(UserInputError, match="no option 'width'; it has none"):
        estimator_of(ROW, CONFIG).check(CONFIG, configured(width=3).models[1])


def test_other_weights_than_those_of_the_version_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "geneicl"
    (package / "checkpoints").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "checkpoints" / WEIGHTS).write_bytes(b"other")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "geneicl", raising=False)
    with pytest.raises(MissingResourceError, match="is not the file of geneicl"):
        geneicl.weights_file("icl")


@installed
def test_the_pretrained_network_reads_genes_and_patients_one_by_one() -> None:
    estimator_of(ROW, CONFIG).check(CONFIG, ROW)
    arrays, described = fit(CONFIG, ROW, PART, INPUTS)
    assert described["stack"][1]["effect"] > 0.3
    fitted = FittedModel("geneicl", arrays, described)
    together = predict(CONFIG, ROW, fitted, INPUTS, IDS)
    one = predict(CONFIG, ROW, fitted, INPUTS, IDS[3:4])
    np.testing.assert_allclose(one.risk, together.risk[3:4], atol=1e-4)
