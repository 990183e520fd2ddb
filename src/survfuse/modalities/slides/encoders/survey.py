"""Which encoders can be used here: whose weights are there, fit, run, and how fast."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from survfuse.config.encoder import EncoderConfig
from survfuse.core.errors import SurvfuseError
from survfuse.modalities.slides.encoders.encoder import Encoder, single_threaded_operations
from survfuse.modalities.slides.encoders.loading import identify, load_encoder
from survfuse.modalities.slides.encoders.networks import build
from survfuse.modalities.slides.encoders.presets import PRESETS
from survfuse.modalities.slides.encoders.recipe import TENSORS, recipe_of
from survfuse.modalities.slides.encoders.weights import fitting_tensors, on_meta
from survfuse.modalities.slides.reading.decoding import TILES_AT_ONCE

log = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".bin", ".pt", ".pth")
DEEPEST = 4  # folders below the one that is searched, as in the cache of a hub
SECONDS = 2.0  # that the speed of an encoder is measured for, at least
RELEASE = re.compile(r"-[0-9a-f]{8}$")  # how torchvision's files end


@dataclass(frozen=True)
class Surveyed:
    """One encoder: None where something was not tried, because what comes before it failed."""

    encoder: str
    file: str = ""  # empty: there is none
    fits: bool | None = None  # the names and shapes of its tensors
    runs: bool | None = None  # on the device that was asked for
    sha256: str = ""
    device: str = ""
    width: int | None = None
    tiles_per_second: float | None = None  # of one thread on a processor, of the whole GPU
    problem: str = ""  # what is wrong, and what to do


def survey_folder(folder: Path, device: str) -> list[Surveyed]:
    """All presets in turn, with every file of weights below a folder that is named after one."""
    found = dict.fromkeys(PRESETS, ()) | files_by_preset(folder)
    surveyed = []
    for name, files in found.items():
        surveyed += [survey(EncoderConfig(preset=name, weights=file), device) for file in files]
        surveyed += [] if files else [Surveyed(name)]
    return surveyed


def survey(config: EncoderConfig, device: str) -> Surveyed:
    """Load an encoder and let it embed for some seconds; what is wrong is reported, not raised."""
    named = config.preset or config.arch or config.format
    latest = Surveyed(named, str(config.weights or ""))
    log.info("%s: %s", named, config.weights or "untrained")
    try:
        for found in steps(config, device, latest):
            latest = found
    except SurvfuseError as error:
        return failed(latest, str(error))
    except MemoryError:
        return failed(latest, "memory ran out")
    except Exception as error:  # each file is broken in its own way
        reason = (str(error).splitlines() or [""])[0]
        return failed(latest, f"{type(error).__name__}: {reason}")
    return latest


def steps(config: EncoderConfig, device: str, found: Surveyed) -> Iterator[Surveyed]:
    """What is known after each step: the hash, the fit, the run, the speed."""
    recipe = recipe_of(config)
    identity = identify(config)
    found = replace(found, encoder=recipe.name, sha256=identity.weights_sha256)
    yield found
    if recipe.format == TENSORS and recipe.weights is not None:
        fitting_tensors(on_meta(lambda: build(recipe)), recipe, recipe.weights)
        found = replace(found, fits=True)
        yield found
    with single_threaded_operations():
        encoder = load_encoder(config, identity, device)
        found = replace(found, runs=True, device=str(encoder.device), width=encoder.dim)
        yield found
        yield replace(found, tiles_per_second=tiles_per_second(encoder))


def failed(found: Surveyed, problem: str) -> Surveyed:
    """What was found with the step that failed marked as such."""
    if found.sha256 and found.fits is None:
        return replace(found, fits=False, problem=problem)
    return replace(found, runs=False, problem=problem)


def tiles_per_second(encoder: Encoder) -> float:
    """How many tiles an encoder embeds in a second, from arrays in memory."""
    side = encoder.identity.resize_px
    tiles = np.random.default_rng(0).integers(0, 256, (TILES_AT_ONCE, side, side, 3), np.uint8)
    done, at_once = 0, 2
    start = time.perf_counter()
    while (passed := time.perf_counter() - start) < SECONDS:
        if done:
            at_once = max(2, min(TILES_AT_ONCE, int(done / passed)))
        encoder.embed(tiles[:at_once])
        done += at_once
    return done / passed


def files_by_preset(folder: Path) -> dict[str, tuple[Path, ...]]:
    """The files of weights below a folder by the presets that they, or folders, are named for."""
    found: dict[str, tuple[Path, ...]] = {}
    for path in weight_files(folder):
        if preset := preset_named(path.relative_to(folder)):
            found[preset] = (*found.get(preset, ()), path)
    return found


def unnamed_files(folder: Path) -> list[Path]:
    """The files of weights below a folder that no preset's name leads to."""
    return [path for path in weight_files(folder) if not preset_named(path.relative_to(folder))]


def weight_files(folder: Path) -> list[Path]:
    """All files with the ending of weights, some folders deep, in alphabetical order."""
    depths = ["*/" * depth + "*" for depth in range(DEEPEST + 1)]
    found = {path for pattern in depths for path in folder.glob(pattern)}
    return sorted(path for path in found if path.suffix.lower() in SUFFIXES and path.is_file())


def preset_named(path: Path) -> str | None:
    """The preset that a file, or else the nearest folder above it, is named for."""
    words = [RELEASE.sub("", plain(path.stem)), *map(plain, reversed(path.parts[:-1]))]
    known = {plain(alias): name for name, one in PRESETS.items() for alias in (name, *one.names)}
    return next((known[word] for word in words if word in known), None)


def plain(word: str) -> str:
    """A name in small letters with hyphens, without the owner that a hub's cache puts before it."""
    return word.rpartition("--")[2].lower().replace("_", "-")
