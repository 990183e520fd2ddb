"""The weights of a slide encoder outside a package, in either form of naming the encoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from survfuse.artifacts.package_layout import PackageFolder
from survfuse.config.study import Config
from survfuse.deployment.freeze import copy_resources
from survfuse.deployment.inputs import with_files

STUDY = {
    "name": "x",
    "output": "results",
    "cohort": {"patients": "p.tsv", "endpoint": {"time": "t", "event": "e"}},
    "models": [{"name": "clinical_cox", "kind": "clinical_cox"}],
}


@pytest.mark.parametrize(
    ("place", "section"),
    [
        ("slides.weights", lambda path: {"encoder": "uni", "weights": path}),
        ("slides.encoder.weights", lambda path: {"encoder": {"preset": "uni", "weights": path}}),
    ],
)
def test_a_package_knows_the_weights_and_new_patients_name_their_copy(
    place: str, section: object, tmp_path: Path
) -> None:
    weights = tmp_path / "uni.bin"
    weights.write_bytes(b"tensors")
    config = Config.model_validate({**STUDY, "slides": section(weights)})  # type: ignore[operator]
    resources = copy_resources(config, PackageFolder(tmp_path / "package"))
    assert resources.keys() == {place}
    assert resources[place]["name"] == "uni.bin" and not resources[place]["inside"]
    assert not (tmp_path / "package").exists(), "weights stay outside"
    there = config.model_copy(update=with_files(config, {place: Path("/elsewhere/uni.bin")}))
    assert there.slides.tile_encoder.weights == Path("/elsewhere/uni.bin")
    without = config.model_copy(update=with_files(config, {}))
    assert without.slides.tile_encoder.weights is None
