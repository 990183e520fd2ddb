"""Whether the places that a configuration names can hold what it wants there."""

from __future__ import annotations

import os
from pathlib import Path

from survfuse.config.fields import Place
from survfuse.config.study import Config
from survfuse.modalities.registry import MODALITIES, SOURCES

# Directories that the workflow writes below `output`, and so overwrites.
WRITTEN = (
    *("cohort", "splits", "synthesis", "models", "predictions"),
    *("evaluation", "report", "logs", "benchmarks"),
    *(stored.split("/")[0] for stored in SOURCES.values()),
)


def faults_of_places(config: Config) -> list[tuple[Place, str]]:
    """An output that is a file, or that would mix with what the run reads: key and sentence."""
    output = absolute(config.output)
    for place in (output, *output.parents):
        if place.exists() or place.is_symlink():
            if not place.is_dir():
                return [(("output",), "is or lies below a file; name a directory")]
            break
    faults: list[tuple[Place, str]] = []
    cohort = config.cohort
    sheets = {entry.setting: entry.sheet(cohort) for entry in MODALITIES.values() if entry.source}
    for key, sheet in {"patients": cohort.patients, **sheets, "folds": cohort.folds}.items():
        if sheet is None:
            continue
        folder = absolute(sheet).parent
        if config.source is None and folder == output:
            advice = f"name a folder of its own, e.g. {config.output / 'results'}"
            return [(("output",), f"is the folder of cohort.{key}; {advice}")]
        if any(folder == output / name for name in WRITTEN):
            sentence = (
                f"lies in {folder.name}/ of the output, where the run writes tables of its own; "
                "name your own sheet, and keep it elsewhere"
            )
            faults.append((("cohort", *key.split(".")), sentence))
    return faults


def absolute(path: Path) -> Path:
    """The absolute path without following links."""
    return Path(os.path.abspath(path))  # noqa: PTH100 (resolve would follow links)
