"""The files that training and prediction may read."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from survfuse.modalities.registry import MODALITIES


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
