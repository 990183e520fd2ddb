"""Gene expression on pages: who has how many genes, and what was done to the values."""

from __future__ import annotations

from survfuse.config.study import Config
from survfuse.modalities.omics.modality import Omics
from survfuse.modalities.omics.transform import transforms_in_words
from survfuse.reporting.inputs import RunData
from survfuse.reporting.sections.of_modalities import Section


def genes_section(config: Config, _data: RunData) -> Section:
    """What the templates print, see `of_modalities`."""
    return Section({"gene_transforms": transforms_in_words(config.omics)})


def genes_measured(data: RunData) -> dict[str, int]:
    """How many genes are measured in each patient who has any."""
    found: dict[str, int] = data.brought.get(Omics.source, {})
    return found
