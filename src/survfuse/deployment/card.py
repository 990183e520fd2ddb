"""The model card of a package, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from survfuse.config.study import Config


def model_card(config: Config, record: Mapping[str, Any], performance: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    row = performance["rows"][record["row"]]
    return f"# {record['title'] or config.name}\n\nRow {row['label']}; {record['predicts']}.\n"
