"""A batch of slides: the unit of work of the slide stage.

Every slide ends with a status. A fault of a slide quarantines that slide alone; a fault of the
machine (disk full, out of memory) stops the job, so that it can be repeated.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pandas as pd

from survfuse.artifacts.manifest import OK, QUARANTINED
from survfuse.config.slides import SlideConfig
from survfuse.core.batches import items_of
from survfuse.core.brought_files import UnusableFileError, require_regular
from survfuse.core.errors import RetryableError
from survfuse.core.files import sha256_file, sha256_json
from survfuse.core.isolation import IsolatedProcess, IsolationError, Limits
from survfuse.modalities.slides.embedding import Job, SlideRow, finished, process_slide
from survfuse.modalities.slides.encoders.recipe import difference_of_tiles
from survfuse.modalities.slides.faults import BadFeatures, SlideFault, UnreadableSlide
from survfuse.modalities.slides.reading.inspection import Inspected, inspect_features
from survfuse.modalities.slides.store import SlideStatus, write_manifest

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
    roots: Sequence[Path] | None = None,
) -> None:
    """Find tissue, cut tiles and embed them for some slides; write `manifest` at the end.

    Files go into the directory `out`, in the layout of TRIDENT. `workers` slides are worked on at
    a time; results do not depend on it. Files outside `roots`, links followed, are not opened.
    Raises MissingResourceError or UserInputError about the encoder before any work,
    RetryableError when the memory of the job runs out (not: that of decoding one file).
    """
    given = [row for row in rows if row.features is not None]
    own = [row for row in rows if row.features is None]
    allowed = None if roots is None else [Path(os.path.realpath(root)) for root in roots]
    memory_bytes = int(config.decode_memory_gb * 2**30)
    limits = Limits(config.decode_timeout_s, memory_bytes)
    try:
        with decoders(limits, workers) as pool, ThreadPoolExecutor(workers) as threads:
            check = partial(given_features, out=out, roots=allowed, most_bytes=memory_bytes)
            statuses = list(threads.map(lambda row: pool.run(check, row), given))
            if own:
                statuses += embed_slides(own, config, out, allowed, pool, threads, device)
    except MemoryError:
        raise RetryableError(
            "memory ran out; run again with more, or with fewer slides at a time"
        ) from None
    write_manifest(manifest, [hashed(status, out) for status in statuses])
    usable = sum(status.status == OK for status in statuses)
    log.info("%d of %d slides are usable", usable, len(statuses))


class Decoders:
    """Processes that decode files; each serves one slide at a time."""

    def __init__(self, processes: Sequence[IsolatedProcess]) -> None:
        self._idle: SimpleQueue[IsolatedProcess] = SimpleQueue()
        self._all = processes
        for process in processes:
            self._idle.put(process)

    def start(self) -> None:
        """Let all processes import what they need while something else is done."""
        for process in self._all:
            process.start()

    def run(self, work: Callable[..., SlideStatus], *arguments: Any) -> SlideStatus:
        """The result of `work(*arguments, process)` with a process that is free."""
        process = self._idle.get()
        try:
            return work(*arguments, process)
        finally:
            self._idle.put(process)


@contextmanager
def decoders(limits: Limits, count: int) -> Iterator[Decoders]:
    """As many processes for decoding as there are workers; ended at the end."""
    processes = [
        IsolatedProcess(limits, ("survfuse.modalities.slides.reading.inspection",))
        for _ in range(count)
    ]
    try:
        yield Decoders(processes)
    finally:
        for process in processes:
            process.close()


def given_features(
    row: SlideRow,
    own: IsolatedProcess,
    out: Path,
    roots: Sequence[Path] | None,
    most_bytes: int,
) -> SlideStatus:
    """Check embeddings that were made elsewhere; they stay where they are.

    Only those of STAMP are copied below `out`, with their positions in pixels.
    """
    assert row.features is not None
    converted = Path("converted") / f"{row.slide_id}.h5"
    try:
        check_place(row.features, roots)
        found: Inspected = own.call(
            inspect_features,
            row.features,
            row.path,
            row.mpp,
            most_bytes,
            out / converted,
            expected=SlideFault,
        )
        sha256 = sha256_file(row.features)
    except SlideFault as fault:
        return SlideStatus(row.slide_id, row.patient_id, QUARANTINED, fault.reason)
    except IsolationError as error:
        reason = BadFeatures(f"reading them {error}; the file is damaged: copy it again").reason
        return SlideStatus(row.slide_id, row.patient_id, QUARANTINED, reason)
    return SlideStatus(
        row.slide_id,
        row.patient_id,
        OK,
        reason=found.note,
        n_tiles=found.n_tiles,
        mpp=found.mpp,
        mpp_source=found.mpp_source,
        features=str(converted if found.converted else row.features.absolute()),
        source_sha256=sha256,
        encoder=found.encoder,
        tile_um=found.tile_um,
    )


def embed_slides(
    rows: Sequence[SlideRow],
    config: SlideConfig,
    out: Path,
    roots: Sequence[Path] | None,
    pool: Decoders,
    threads: ThreadPoolExecutor,
    device: str,
) -> list[SlideStatus]:
    """Statuses of slides after embedding those that are not complete yet."""
    from survfuse.core.device import choose_device
    from survfuse.modalities.slides.encoders import loading
    from survfuse.modalities.slides.encoders.encoder import single_threaded_operations

    choose_device(device)
    settings = config.tile_encoder
    job = Job(config, out, loading.identify(settings))
    if difference := difference_of_tiles(settings, config.tile_px, config.target_mpp):
        log.warning("%s", difference)
    with single_threaded_operations():
        hashes = dict(zip(rows, threads.map(partial(slide_hash, roots=roots), rows), strict=True))
        statuses = {row: finished(row, hashes[row], job) for row in rows}
        waiting = [row for row in rows if statuses[row] is None]
        log.info("%d slides are complete, %d to do", len(rows) - len(waiting), len(waiting))
        if waiting:
            pool.start()
            encoder = loading.load_encoder(settings, job.encoder, device)
            work = partial(process_slide, job=job, encoder=encoder)
            done = threads.map(lambda row: pool.run(work, row, hashes[row]), waiting)
            statuses |= dict(zip(waiting, done, strict=True))
    return [status for status in statuses.values() if status is not None]


def hashed(status: SlideStatus, out: Path) -> SlideStatus:
    """The status of a slide with the hash of its embeddings, if it has any."""
    if status.status != OK:
        return status
    return replace(status, features_sha256=sha256_file(out / status.features))


def slide_hash(row: SlideRow, roots: Sequence[Path] | None) -> str | SlideFault:
    """SHA-256 of the slide's file, or why it is not opened.

    Of a MIRAX slide, whose file is an index, with those of its pixels.
    """
    assert row.path is not None
    try:
        check_place(row.path, roots)
        if row.path.suffix.lower() != ".mrxs":
            return sha256_file(row.path)
        pixels = sorted(row.path.with_suffix("").glob("*"))
        files = [row.path, *(path for path in pixels if path.is_file())]
        return sha256_json([sha256_file(path) for path in files])
    except SlideFault as fault:
        return fault


def check_place(path: Path, roots: Sequence[Path] | None) -> None:
    """Raise UnreadableSlide if a file is outside `roots`, or no regular file that may be read.

    The sheet was checked for this, but a link may since have been turned elsewhere.
    """
    real = Path(os.path.realpath(path))
    if roots is not None and not any(real.is_relative_to(root) for root in roots):
        raise UnreadableSlide(
            "the file is outside the allowed directories, or a link that leads out of them; move "
            "it there, or add its directory to cohort.roots"
        )
    try:
        require_regular(path)
        readable = os.access(path, os.R_OK)
    except UnusableFileError as error:
        raise UnreadableSlide(f"the path {error}; name the file itself") from None
    except OSError:
        readable = False
    if not readable:
        raise UnreadableSlide("the file is not there or may not be read; check path and rights")
