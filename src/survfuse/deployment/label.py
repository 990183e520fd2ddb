"""The label of a package: what a hospital has to know of a predictive model, item by item."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from survfuse.config.study import Config


def model_label(
    config: Config, record: Mapping[str, Any], performance: Mapping[str, Any]
) -> dict[str, Any]:
    """The source attributes and the reporting items, each filled or to be filled by a person."""
    return {"name": config.name, "row": record["row"], "n_patients": performance["n_patients"]}
