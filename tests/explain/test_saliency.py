"""Maps of volumes: integrated gradients against what they must sum to, and who gets one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from diagnosis_fixture import TESTED, TRAINED, config, fitted_and_predicted
from inputs_fixture import changed, fitting_config, volumes_in
from survfuse.artifacts.saliency import read_saliency, write_saliency
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.explain.saliency import (
    leading_classes,
    map_volumes,
    maps_of,
    mean_volume,
    on_a_page,
    over_blocks,
)
from survfuse.modalities.cohort import CohortInputs
from survfuse.modalities.scaling import fit_scalers
from survfuse.modalities.volumes.measures import read_voxels
from survfuse.modalities.volumes.store import read_tensor, write_tensor
from survfuse.models.networks.interface import Batch, Output
from survfuse.models.specs import find_model
from survfuse.tasks.diagnosis.classes import UNKNOWN
from survfuse.tasks.diagnosis.learning.networks import diagnose_neural
from survfuse.training.ensemble import ensemble
from survfuse.training.predict import read_matching
from survfuse.training.tokens import TokenSource, token_source
from volume_fixture import SHAPE, clinic


class Linear(nn.Module):
    """Two classes whose log-odds are a weighted sum of voxels."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, batch: Batch) -> Output:
        odds = batch.values("mri")[:, 0] @ self.weight
        return Output(torch.stack([torch.zeros_like(odds), odds], dim=1))


@dataclass(frozen=True)
class Team:
    """What a map needs of an ensemble."""

    source: TokenSource
    networks: list[nn.Module]
    device: str = "cpu"

    @property
    def members(self) -> int:
        return len(self.networks)

    def network(self, member: int) -> nn.Module:
        return self.networks[member]

    def marginal_logits(self) -> Tensor:
        return torch.zeros(2, dtype=torch.float64)  # as many of either class


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> CohortInputs:
    return clinic(tmp_path_factory.mktemp("volumes"), 12)[0]


def team(inputs: CohortInputs, ids: list[str]) -> Team:
    scalers = fit_scalers(inputs, ids, ("mri", "pet"), fitting_config())
    source = token_source(inputs, ids, ("mri", "pet"), scalers)
    torch.manual_seed(0)
    size = int(np.prod(SHAPE))
    return Team(source, [Linear(0.05 * torch.randn(size)) for _ in range(2)])


def test_a_map_sums_to_how_far_the_patient_is_from_the_average(inputs: CohortInputs) -> None:
    ids, tested = ["B003", "B004"], ["B003", "B004"]
    asked = team(inputs, ids)
    mean = mean_volume(inputs, "mri", tested, asked)  # type: ignore[arg-type]
    others = [path for who, path in volumes_in(inputs)["mri"].items() if who not in tested]
    expected = np.mean([read_voxels(path, SHAPE) for path in others], axis=0)
    np.testing.assert_allclose(mean, expected, atol=1e-5)
    found = maps_of(asked, 1, {"mri": mean, "pet": None})  # type: ignore[arg-type]
    assert list(found) == ["mri"] and found["mri"].shape == (4, 5, 4)
    own = read_voxels(volumes_in(inputs)["mri"]["B004"], SHAPE)
    moved = [
        (torch.sigmoid(net.weight @ torch.from_numpy(own)) -
         torch.sigmoid(net.weight @ torch.from_numpy(mean))).item()
        for net in asked.networks
    ]  # fmt: skip
    assert abs(np.mean(moved)) > 1e-3
    assert found["mri"].sum() == pytest.approx(np.mean(moved), abs=1e-4)


def test_a_map_explains_the_probability_that_is_reported(tmp_path: Path) -> None:
    """Of a network fitted where one class is rare: predictions hold the frequencies too."""
    inputs, label = clinic(tmp_path / "volumes")
    rare = label.copy()
    rare[np.flatnonzero(label[TRAINED] == 1)[4:]] = UNKNOWN
    row: dict[str, object] = {"name": "cnn", "kind": "mri_cnn"}
    _, fold = fitted_and_predicted(row, inputs, rare, tmp_path)
    model, fitted = find_model(fold.config, "cnn"), read_matching("cnn", fold)
    ids = [f"B{i:03d}" for i in TESTED]
    asked = ensemble(fitted, model, inputs, ids, fold.config.training, torch.device("cpu"))
    assert asked.marginal_logits().exp()[1] < 0.25
    mean = mean_volume(inputs, "mri", ids, asked)
    assert mean is not None
    average = write_average(inputs, ids[0], mean, tmp_path / "average.safetensors")
    at_mean = ensemble(fitted, model, average, ids[:1], fold.config.training, torch.device("cpu"))
    base = diagnose_neural(at_mean).probability[0, 1]
    for number, moved in enumerate(diagnose_neural(asked).probability[:4, 1] - base):
        found = maps_of(asked, number, {"mri": mean})["mri"].sum()
        assert found == pytest.approx(moved, abs=0.1 * abs(moved) + 1e-3)


def write_average(inputs: CohortInputs, who: str, mean: np.ndarray, path: Path) -> CohortInputs:
    """The inputs with the mean volume as somebody's MRI."""
    own = read_tensor(volumes_in(inputs)["mri"][who])
    write_tensor(path, mean.reshape(SHAPE), own.mask, own.affine, "float32")
    return changed(inputs, volumes={"mri": {**volumes_in(inputs)["mri"], who: path}})


def test_an_absent_volume_has_no_map(inputs: CohortInputs) -> None:
    asked = team(inputs, ["B003"])  # who has no PET, only a synthetic one
    assert "B003" in volumes_in(inputs)["synthetic_pet"]
    mean = np.zeros(int(np.prod(SHAPE)), dtype=np.float32)
    assert list(maps_of(asked, 0, {"mri": mean, "pet": mean})) == ["mri"]  # type: ignore[arg-type]


def test_the_map_is_of_the_class_that_was_asked_for(inputs: CohortInputs) -> None:
    """Of two classes, what speaks for one speaks against the other as much."""
    asked = team(inputs, ["B004"])
    mean = np.zeros(int(np.prod(SHAPE)), dtype=np.float32)
    second, first = (maps_of(asked, 0, {"mri": mean}, k)["mri"] for k in (1, 0))  # type: ignore[arg-type]
    assert np.abs(second).max() > 1e-4
    np.testing.assert_allclose(first, -second, atol=1e-6)


def test_the_class_that_a_page_leads_with() -> None:
    assert leading_classes(np.array([[0.9, 0.1], [0.2, 0.8]])) == [1, 1]
    assert leading_classes(np.array([[0.5, 0.2, 0.3], [0.1, 0.3, 0.6]])) == [0, 2]


def test_blocks_by_hand() -> None:
    values = np.arange(5 * 4 * 4, dtype=float).reshape(5, 4, 4)
    found = over_blocks(values)
    assert found.shape == (2, 1, 1)
    assert found[:, 0, 0].tolist() == [values[:4].sum(), values[4:].sum()]


def test_damaged_maps_are_told(tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 4 * 5 * 4, dtype=np.float32).reshape(4, 5, 4)
    path = tmp_path / "m.saliency.h5"
    write_saliency(path, {"P1": {"mri": values}}, "test", {"P1": 1})
    found = read_saliency(path, "P1")
    assert found is not None
    np.testing.assert_array_equal(found.maps["mri"], values)
    stored = path.read_bytes()
    place = stored.index(values.tobytes())
    path.write_bytes(stored[:place] + b"\x00\x00\x80\x3f" + stored[place + 4 :])
    with pytest.raises(UserInputError, match="no file of saliency maps"):
        read_saliency(path, "P1")


def test_only_patients_with_a_page_are_mapped() -> None:
    settings = config([])
    assert not on_a_page(settings, "B001")
    report = settings.report.model_copy(update={"patients": ["B001"]})
    some = settings.model_copy(update={"report": report})
    assert on_a_page(some, "B001") and not on_a_page(some, "B002")
    report = settings.report.model_copy(update={"patients": "all"})
    assert on_a_page(settings.model_copy(update={"report": report}), "B002")


def test_a_row_without_volumes_is_refused(tmp_path: Path) -> None:
    settings: Config = config([])
    with pytest.raises(UserInputError, match="is no network that reads volumes"):
        map_volumes(settings, "logistic", [], None, tmp_path, tmp_path / "x")  # type: ignore[arg-type]
