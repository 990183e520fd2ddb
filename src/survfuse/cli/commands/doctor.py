"""What this machine and this installation can do, before a run needs it."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from survfuse.cli.options import Adder, path_option, place, shared_options
from survfuse.core.errors import MissingResourceError, UserInputError

HASH_SHOWN = 12
UNKNOWN = "-"
HEADER = ("encoder", "weights", "fits", "runs", "SHA-256", "width", "tiles/s")
TRIED = {None: UNKNOWN, True: "yes", False: "no"}


def add_commands(add: Adder) -> None:
    """doctor."""
    command = add(
        "doctor",
        doctor_command,
        "Tell what this machine offers, which slide encoders can be used on it, and how fast.",
        "configs/my_cohort.yaml --encoders /data/encoders",
    )
    command.add_argument(
        "config", type=place, nargs="?", help="configuration whose encoder is tried"
    )
    path_option(
        command,
        "--encoders",
        "folder of weights, in files or folders that are named after presets (uni2-h.safetensors, "
        "virchow2/pytorch_model.bin)",
        required=False,
    )
    shared_options(command, "--device")
    command.add_argument("--json", action="store_true", help="print JSON instead of tables")


def doctor_command(given: argparse.Namespace) -> int:
    from survfuse.config.file import read_config
    from survfuse.core.device import choose_device
    from survfuse.core.machine import free_gib, this_machine
    from survfuse.modalities.slides.encoders.survey import survey, survey_folder, unnamed_files
    from survfuse.modalities.slides.reading.decoders import decoders

    choose_device(given.device)
    if given.encoders and not given.encoders.is_dir():
        raise UserInputError(f"--encoders {given.encoders}: is no folder; name that of the files")
    config = read_config(given.config) if given.config else None
    results = config.output if config else Path.cwd()
    found: dict[str, Any] = {
        "machine": asdict(this_machine()),
        "free_gib": {str(results): free_gib(results)},
        "decoders": decoders(),
    }
    if config:
        found["configured"] = asdict(survey(config.slides.tile_encoder, given.device))
    if given.encoders:
        found["presets"] = [asdict(one) for one in survey_folder(given.encoders, given.device)]
        found["unnamed_files"] = [str(path) for path in unnamed_files(given.encoders)]
    print(json.dumps(found, indent=1) if given.json else "\n".join(lines_of(found)))
    if found.get("configured", {}).get("problem"):
        raise MissingResourceError(f"the slide encoder of {given.config} cannot be used here")
    return 0


def lines_of(found: Mapping[str, Any]) -> Iterator[str]:
    """What was found, as tables for people."""
    machine = found["machine"]
    yield from table(
        [
            ("system", machine["system"]),
            ("processor", f"{machine['processor']}, {machine['threads']} threads for this process"),
            ("instructions", ", ".join(machine["instructions"]) or "none of those looked for"),
            ("multiplies bf16", TRIED[machine["multiplies_bf16"]]),
            ("memory", f"{machine['memory_gib'] or UNKNOWN} GiB"),
            ("GPU", "; ".join(machine["gpus"]) or "none that PyTorch sees"),
            ("PyTorch", machine["torch"]),
            *((f"free in {at}", f"{free} GiB") for at, free in found["free_gib"].items()),
            (
                "decoders",
                ", ".join(f"{name} {version}" for name, version in found["decoders"].items()),
            ),
        ]
    )
    surveyed = [*filter(None, [found.get("configured")]), *found.get("presets", ())]
    if surveyed:
        yield ""
        yield from table([HEADER, *map(row_of, surveyed)])
    problems = [one for one in surveyed if one["problem"]]
    for one in problems:
        yield f"\n{one['encoder']}: {one['problem']}"
    for path in found.get("unnamed_files", ()):
        yield f"\n{path}: is named after no preset, and so was not tried"


def row_of(one: Mapping[str, Any]) -> tuple[str, ...]:
    """An encoder as a row below HEADER."""
    speed, unit = one["tiles_per_second"], "" if one["device"] != "cpu" else " a thread"
    return (
        one["encoder"],
        one["file"] or UNKNOWN,
        TRIED[one["fits"]],
        TRIED[one["runs"]],
        one["sha256"][:HASH_SHOWN] or UNKNOWN,
        str(one["width"] or UNKNOWN),
        UNKNOWN if speed is None else f"{speed:.3g}{unit}",
    )


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
