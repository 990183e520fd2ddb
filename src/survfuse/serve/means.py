"""What a page predicts with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from survfuse.reporting.new_patients.style import Style

AS_USUAL = Style()


@dataclass(frozen=True)
class Means:
    """A package, and what `predict_new` takes besides sheets."""

    package: Path
    weights: Path | None = None
    threads: int = 1
    device: str = "auto"
    style: Style = AS_USUAL
