"""Whether the settings of imaging and training are compatible with the models and the task."""

from __future__ import annotations

from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.modalities.registry import VOLUMES
from survfuse.models.specs import spec_of
from survfuse.tasks.loading import task_of


def check_compatibility(config: Config) -> None:
    """Refuse settings that a run would accept and not honour. Raises UserInputError.

    Whatever reads volumes takes them to be of -1 to 1, background -1, and in RAS+ orientation:
    regional measures, networks that share or mirror the hemispheres, and synthesis. Without
    `normalise` and `reorient` they are only prepared.
    """
    reader = reader_of_volumes(config)
    if reader and not config.imaging.normalise:
        raise UserInputError(
            f"imaging.normalise is false, but {reader} reads volumes, which must be scaled to "
            "-1..1; set it to true, or remove what reads them"
        )
    if reader and not config.imaging.reorient and config.imaging.template is None:
        raise UserInputError(
            f"imaging.reorient is false and there is no imaging.template, but {reader} reads "
            "volumes, which must be in RAS+ orientation; set it to true, or name a template"
        )
    task_of(config).check_settings(config)


def reader_of_volumes(config: Config) -> str | None:
    """What reads volumes, as the configuration names it: synthesis, or the first such row."""
    if config.synthesis is not None:
        return "synthesis"
    reads = (m for m in config.models if any(image in spec_of(m).reads for image in VOLUMES))
    model = next(reads, None)
    return None if model is None else f"models.{model.name}"
