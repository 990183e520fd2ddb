"""The files that training and prediction may read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from survfuse.artifacts.layout import ResultsFolder
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.registry import MODALITIES, SOURCES, sheets_of


@dataclass(frozen=True)
class InputPaths:
    """Files that training and prediction may read; none of them holds an outcome.

    files: by the source of a modality, see `registry.Entry`. synthesis: a directory with a folder
    for each fold. visit: whose volumes are read; default: each patient's first.
    """

    splits: Path
    clinical: Path
    files: Mapping[str, Path] = field(default_factory=dict)
    synthesis: Path | None = None
    visit: str | None = None

    def only(self, reads: Collection[str], synthesised: bool = True) -> InputPaths:
        """The files of some modalities; the clinical table, which lists the patients, always."""
        read = [MODALITIES[name] for name in reads if name in MODALITIES]
        sources = {entry.source for entry in read}
        makes = synthesised and any(entry.made_from for entry in read)
        return replace(
            self,
            files={source: path for source, path in self.files.items() if source in sources},
            synthesis=self.synthesis if makes else None,
        )


def study_paths(config: Config) -> InputPaths:
    """The files of a study, in its results. Raises UserInputError where one is not prepared yet."""
    results = ResultsFolder(config.output)
    makes = config.synthesis is not None and config.cohort.images is not None
    paths = InputPaths(
        splits=results.splits.table,
        clinical=results.cohort.clinical,
        files={name: results.root / SOURCES[name] for name in sheets_of(config.cohort)},
        synthesis=results.synthesis if makes else None,
        visit=config.imaging.visit,
    )
    for path in (paths.splits, paths.clinical, *paths.files.values(), paths.synthesis):
        if path and not path.exists():
            raise UserInputError(
                f"{path}: is not there yet; call prepare first, and for slides and volumes let the "
                "workflow make it"
            )
    return paths
