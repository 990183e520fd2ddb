"""A batch of volumes: the unit of work of the imaging stage.

Every volume ends with a status. A fault of a volume quarantines that volume alone; a fault of the
machine (disk full, out of memory) stops the job, so that it can be repeated. A visit whose files
and settings are as they were is not done again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from survfuse.artifacts.manifest import OK
from survfuse.config.imaging import ImagingConfig
from survfuse.core.batches import items_of
from survfuse.core.brought_files import require_regular
from survfuse.core.errors import RetryableError
from survfuse.core.files import sha256_file, sha256_json
from survfuse.modalities.volumes import store
from survfuse.modalities.volumes.placement import Job, VolumeRow
from survfuse.modalities.volumes.prepare import prepare_visit
from survfuse.modalities.volumes.store import SCHEMA, VolumeStatus, write_manifest
from survfuse.modalities.volumes.template import read_template

log = logging.getLogger(__name__)

Visit = tuple[VolumeRow, ...]


def batch_rows(images: pd.DataFrame, batch: int, batches: int) -> list[VolumeRow]:
    """The rows of batch number `batch` (from 0) when the patients are dealt to `batches` batches.

    `images` is the checked image sheet, all text. All volumes of a patient are in one batch. Raises
    UserInputError where there is no such batch.
    """
    patients = sorted(set(images["patient_id"]))[items_of(batch, batches)]
    mine = images[images["patient_id"].isin(patients)]
    return [
        VolumeRow(
            row["patient_id"],
            row["visit"],
            row["modality"],
            Path(row["path"]),
            *(
                Path(row[name]) if row[name] else None
                for name in ("mask", "reference", "registration")
            ),
        )
        for row in mine.to_dict("records")
    ]


def process_batch(
    rows: Sequence[VolumeRow], config: ImagingConfig, out: Path, manifest: Path, workers: int = 1
) -> None:
    """Prepare some volumes into the directory `out`; write `manifest` at the end.

    `workers` visits are worked on at a time; results do not depend on it. Raises UserInputError
    about the template before any work, RetryableError when memory runs out.
    """
    common = fingerprint_of_settings(config)
    try:
        with ThreadPoolExecutor(workers) as pool:
            done = list(pool.map(lambda visit: finished(visit, common, out), visits_of(rows)))
            waiting = [visit for visit, statuses in done if statuses is None]
            statuses = [status for _, known in done for status in known or []]
            log.info("%d visits are complete, %d to do", len(done) - len(waiting), len(waiting))
            if waiting:
                job = Job(config, read_template(config), out)
                for worked in pool.map(lambda visit: work(visit, common, job), waiting):
                    statuses += worked
    except MemoryError:
        raise RetryableError("memory ran out; run again with more, or with fewer threads") from None
    write_manifest(manifest, statuses)
    usable = sum(status.status == OK for status in statuses)
    log.info("%d of %d volumes are usable", usable, len(statuses))


def visits_of(rows: Sequence[VolumeRow]) -> list[Visit]:
    """The rows, those of a visit together."""
    found: dict[tuple[str, str], list[VolumeRow]] = {}
    for row in rows:
        found.setdefault((row.patient_id, row.visit), []).append(row)
    return [tuple(visit) for visit in found.values()]


def work(visit: Visit, common: str, job: Job) -> list[VolumeStatus]:
    """Prepare the volumes of one visit."""
    fingerprint = fingerprint_of(visit, common)
    statuses = prepare_visit(visit, job, dict.fromkeys(visit, fingerprint))
    for status in statuses:
        log.info("%s %s %s: %s %s", *status.key, status.status, status.reason)
    return statuses


def finished(visit: Visit, common: str, out: Path) -> tuple[Visit, list[VolumeStatus] | None]:
    """A visit with its statuses, if it was completed earlier from the same files and settings."""
    fingerprint = fingerprint_of(visit, common)
    statuses = []
    for row in visit:
        record = store.paths_of(row.patient_id, row.visit, row.modality)["record"]
        status = store.read_record(out, record, fingerprint)
        if status is None:
            return visit, None
        statuses.append(status)
    return visit, statuses


def fingerprint_of_settings(config: ImagingConfig) -> str:
    """Hash of what the results of all volumes depend on."""
    named = ("template", "template_mask", "reference_region")
    unread = {"batch_size", "max_failed_fraction", "visit", *named}  # files count by content
    settings = config.model_dump(mode="json", exclude=unread)
    files = [getattr(config, name) for name in named]
    return sha256_json([SCHEMA, settings, [content(path) if path else None for path in files]])


def fingerprint_of(visit: Visit, common: str) -> str:
    """Hash of what the results of a visit depend on; its volumes depend on one another."""
    files = [
        [row.patient_id, row.visit, row.modality, *(content(path) for path in row.files)]
        for row in visit
    ]
    return sha256_json([common, sorted(files)])


def content(path: Path) -> str:
    """Hash of a file, or of the files in a folder; empty if it cannot be read."""
    try:
        if path.is_dir():
            inside = sorted(piece for piece in path.iterdir() if piece.is_file())
            return sha256_json([sha256_file(piece) for piece in inside])
        require_regular(path)
        return sha256_file(path)
    except OSError:  # not there, not readable, or a pipe, which would be waited for
        return ""
