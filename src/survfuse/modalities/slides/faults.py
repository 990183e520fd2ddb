"""Why a slide is set aside.

A fault is a property of the data: the slide is quarantined, the reason goes into the manifest, and
the batch goes on. Faults of the machine (disk full, out of memory) are not slide faults and stop
the job, so that it can be repeated. Messages name no file: file names often hold patient names.
"""

from __future__ import annotations

from survfuse.artifacts.manifest import Fault
from survfuse.core.messages import marked


class SlideFault(Fault):
    """Base of all reasons to quarantine a slide."""


class UnreadableSlide(SlideFault):
    """The file is missing, cut short, damaged all over, or of an unsupported format."""

    code = "unreadable"
    words = marked("the file could not be read")


class MissingMpp(SlideFault):
    """Nothing tells how many micrometres a pixel has."""

    code = "missing_mpp"
    words = marked("the size of its pixels is not known")


class ImplausibleMpp(SlideFault):
    """The pixel size cannot be that of a microscope slide, or differs between x and y."""

    code = "implausible_mpp"
    words = marked("the size of its pixels is not that of a microscope slide")


class TooCoarse(SlideFault):
    """The slide has fewer pixels than the tiles ask for."""

    code = "too_coarse"
    words = marked("it was scanned too coarsely")


class TooSmall(SlideFault):
    """Not one tile fits on the slide."""

    code = "too_small"
    words = marked("it is too small")


class CorruptTile(SlideFault):
    """Pixels that cannot be decoded; a few are left out, many set the slide aside."""

    code = "corrupt_tiles"
    words = marked("too much of it is damaged")


class NoTissue(SlideFault):
    """Nothing on the slide looks like tissue, or no tile holds enough of it."""

    code = "no_tissue"
    words = marked("no tissue was found on it")


class BadFeatures(SlideFault):
    """Embeddings that cannot be used: wrong shape, empty, or not finite."""

    code = "bad_features"
    words = marked("its embeddings cannot be used")
