"""How slides and volumes are spread over jobs, and which of their files a job works on."""

import math
from functools import cache


def count_batches():
    """Jobs over which the slides are spread; known before any sheet is written."""
    if SETTINGS.cohort.slides is None:
        return 0
    if SETTINGS.source is None:
        slides = len(source_files.rows_of(SETTINGS.cohort.slides))
    elif SETTINGS.source.kind == "simulate":
        slides = SETTINGS.source.patients
    else:
        slides = SETTINGS.slides.batch_size
    return max(1, math.ceil(slides / SETTINGS.slides.batch_size))


@cache
def slides_brought():
    """The slides with their files; none where a source writes both."""
    return [] if SETTINGS.source else source_files.slide_items(SETTINGS.cohort.slides)


def slides_of_batch(wildcards):
    """Times and sizes of the files of a batch, by which replaced ones are seen."""
    return source_files.batch_digest(
        slides_brought(), int(wildcards.batch), len(BATCHES)
    )


def count_image_batches():
    """Jobs over which the volumes are spread; known before any sheet is written."""
    if SETTINGS.cohort.images is None:
        return 0
    if SETTINGS.simulation:
        volumes = SETTINGS.simulation.patients * 2
    else:
        volumes = len(source_files.rows_of(SETTINGS.cohort.images))
    return max(1, math.ceil(volumes / SETTINGS.imaging.batch_size))


@cache
def images_brought():
    """The volumes of every patient; none where a source writes them."""
    return [] if SETTINGS.source else source_files.image_items(SETTINGS.cohort.images)


def images_of_batch(wildcards):
    """Times and sizes of the volumes, masks, references and transforms of a batch."""
    return source_files.batch_digest(
        images_brought(), int(wildcards.batch), len(IMAGE_BATCHES)
    )


BATCHES = range(count_batches())
IMAGE_BATCHES = range(count_image_batches())
