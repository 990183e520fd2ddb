"""A batch of slides: the unit of work of the slide stage.

Every slide ends with a status. A fault of a slide quarantines that slide alone; a fault of the
machine (disk full, out of memory) stops the job, so that it can be repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from survfuse.batches import items_of
from survfuse.config import SlideConfig
from survfuse.errors import RetryableError
from survfuse.files import sha256_file
from survfuse.manifest import OK, QUARANTINED
from survfuse.slides.embedding import Job, SlideRow, finished, process_slide
from survfuse.slides.faults import SlideFault
from survfuse.slides.store import SlideStatus, check_finite, read_features, write_manifest

log = logging.getLogger(__name__)


def batch_rows(slides: pd.DataFrame, batch: int, batches: int) -> list[SlideRow]:
    """The rows of batch number `batch` (from 0) when the slides are dealt to `batches` batches.

    `slides` is the checked slide sheet, all text: `slide_id, patient_id, path, mpp, features`.
    Raises UserInputError where there is no such batch.
    """
    return [
        SlideRow(
            slide_id=row["slide_id"],
            patient_id=row["patient_id"],
            path=Path(row["path"]) if row["path"] else None,
            mpp=float(row["mpp"]) if row["mpp"] else None,
            features=Path(row["features"]) if row["features"] else None,
        )
        for row in slides.iloc[items_of(batch, batches)].to_dict("records")
    ]


def process_batch(
    rows: Sequence[SlideRow],
    config: SlideConfig,
    out: Path,
    manifest: Path,
    workers: int = 1,
    device: str = "auto",
) -> None:
    """Find tissue, cut tiles and embed them for some slides; write `manifest` at the end.

    Files go into the directory `out`, in the layout of TRIDENT. `workers` slides are worked on at
    a time; results do not depend on it. Raises MissingResourceError or UserInputError about the
    encoder before any work, RetryableError when memory runs out.
    """
    given = [row for row in rows if row.features is not None]
    own = [row for row in rows if row.features is None]
    try:
        statuses = [given_features(row) for row in given]
        if own:
            statuses += embed_slides(own, config, out, workers, device)
    except MemoryError:
        raise RetryableError(
            "memory ran out; run again with more, or with fewer slides at a time"
        ) from None
    write_manifest(manifest, [hashed(status, out) for status in statuses])
    usable = sum(status.status == OK for status in statuses)
    log.info("%d of %d slides are usable", usable, len(statuses))


def given_features(row: SlideRow) -> SlideStatus:
    """Check embeddings that were made elsewhere; they stay where they are."""
    assert row.features is not None
    try:
        stored = read_features(row.features)
        check_finite(stored.features)
    except SlideFault as fault:
        return SlideStatus(row.slide_id, row.patient_id, QUARANTINED, fault.reason)
    return SlideStatus(
        row.slide_id,
        row.patient_id,
        OK,
        n_tiles=len(stored.features),
        features=str(row.features.absolute()),
    )


def embed_slides(
    rows: Sequence[SlideRow], config: SlideConfig, out: Path, workers: int, device: str
) -> list[SlideStatus]:
    """Statuses of slides after embedding those that are not complete yet."""
    from survfuse.device import choose_device
    from survfuse.slides import encoders

    choose_device(device)
    job = Job(config, out, encoders.identify(config))
    with encoders.single_threaded_operations(), ThreadPoolExecutor(workers) as pool:
        hashes = dict(zip(rows, pool.map(slide_hash, rows), strict=True))
        statuses = {row: finished(row, hashes[row], job) for row in rows}
        waiting = [row for row in rows if statuses[row] is None]
        log.info("%d slides are complete, %d to do", len(rows) - len(waiting), len(waiting))
        if waiting:
            encoder = encoders.load_encoder(config, job.encoder, device)
            work = partial(process_slide, job=job, encoder=encoder)
            done = pool.map(work, waiting, [hashes[row] for row in waiting])
            statuses |= dict(zip(waiting, done, strict=True))
    return [status for status in statuses.values() if status is not None]


def hashed(status: SlideStatus, out: Path) -> SlideStatus:
    """The status of a slide with the hash of its embeddings, if it has any."""
    if status.status != OK:
        return status
    return replace(status, features_sha256=sha256_file(out / status.features))


def slide_hash(row: SlideRow) -> str:
    """SHA-256 of the slide's file; empty if it cannot be opened, which opening will explain."""
    assert row.path is not None
    try:
        return sha256_file(row.path)
    except (FileNotFoundError, PermissionError):
        return ""
