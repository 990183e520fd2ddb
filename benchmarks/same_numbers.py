"""Whether two runs of one study came to the same numbers: for changes that must not change any.

    python benchmarks/same_numbers.py BEFORE AFTER [BEFORE AFTER ...] [--tolerance 0] [--json FILE]
        [--numbers-only] [--renamed OLD=NEW ...]

BEFORE and AFTER are results folders of the same configuration and seed, made on one machine by two
versions of the code. Compared are `evaluation/evaluation.json` and every table in `predictions/`:
the same keys, columns, rows and words, and numbers that differ by at most the tolerance, relative
to the larger of the two where that is above 1. With `--numbers-only` words may differ; `--renamed`
names keys, columns and parts of file names that the later version calls otherwise. Exits 1 where
they do not agree.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

MOST_TOLD = 20  # differences that are printed
WORDS = 1e300  # how far apart two texts are


def difference(before: float, after: float) -> float:
    """How far two numbers are apart, relative where they are large; 0 if neither is a number."""
    if math.isnan(before) and math.isnan(after):
        return 0.0
    if before == after:  # infinities too
        return 0.0
    gap = abs(before - after) / max(1.0, abs(before), abs(after))
    return math.inf if math.isnan(gap) else gap


def differences(before: Any, after: Any, where: str) -> Iterator[tuple[str, float]]:
    """Every place at which two JSON values differ, and by how much; infinity for other content."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            if key in before and key in after:
                yield from differences(before[key], after[key], f"{where}.{key}")
            else:
                yield f"{where}.{key} ({'gone' if key in before else 'new'})", math.inf
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, f"{where}[{number}]")
    elif is_number(before) and is_number(after):
        if gap := difference(float(before), float(after)):
            yield f"{where}: {before} -> {after}", gap
    elif before != after:
        both_words = isinstance(before, str) and isinstance(after, str)
        yield f"{where}: {before!r} -> {after!r}", WORDS if both_words else math.inf


def renamed(value: Any, names: Mapping[str, str]) -> Any:
    """A JSON value with the keys of the later version."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(item, names) for key, item in value.items()}
    return [renamed(item, names) for item in value] if isinstance(value, list) else value


def is_number(value: Any) -> bool:
    """Whether a JSON value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_json(path: Path) -> Any:
    """The content of a JSON file, or of a table as a list of values for each column."""
    if path.suffix == ".json":
        return json.loads(path.read_text(encoding="utf-8"))
    return pd.read_csv(path, sep="\t").to_dict("list")


def compared_files(results: Path, names: Mapping[str, str]) -> dict[str, Path]:
    """The evaluation and the predictions of a results folder, by the name of the later version."""
    found = {"evaluation/evaluation.json": results / "evaluation/evaluation.json"}
    for path in results.glob("predictions/*.tsv"):
        parts = [names.get(part, part) for part in path.name.split(".")]
        found[f"predictions/{'.'.join(parts)}"] = path
    return found


def compare(
    before: Path, after: Path, names: Mapping[str, str]
) -> tuple[int, list[tuple[str, float]]]:
    """The number of files compared, and all differences between two results folders."""
    found: list[tuple[str, float]] = []
    earlier, later = compared_files(before, names), compared_files(after, {})
    for name in sorted({*earlier, *later}):
        pair = [earlier.get(name, before / name), later.get(name, after / name)]
        if missing := [path for path in pair if not path.is_file()]:
            found.append((f"{missing[0]} is missing", math.inf))
            continue
        found += differences(renamed(as_json(pair[0]), names), as_json(pair[1]), name)
    return len({*earlier, *later}), found


def main() -> int:
    """Compare, print a table, and say by the exit code whether the numbers agree."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", type=Path, nargs="+", metavar="BEFORE AFTER")
    parser.add_argument("--tolerance", type=float, default=0.0)
    parser.add_argument("--numbers-only", action="store_true", help="pass over words that differ")
    parser.add_argument("--renamed", action="append", default=[], metavar="OLD=NEW")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    if len(arguments.folders) % 2:
        parser.error("name two folders for every study")
    names = dict(one.split("=", 1) for one in arguments.renamed)
    figures: dict[str, float] = {}
    for before, after in zip(arguments.folders[::2], arguments.folders[1::2], strict=True):
        files, found = compare(before, after, names)
        if arguments.numbers_only:
            found = [(place, gap) for place, gap in found if gap != WORDS]
        beyond = [(place, gap) for place, gap in found if gap > arguments.tolerance]
        largest = max((gap for _, gap in found), default=0.0)
        print(f"{after}: {files} files, {len(found)} differences, the largest {largest:.3g}")
        for place, gap in sorted(beyond, key=lambda one: -one[1])[:MOST_TOLD]:
            print(f"    {gap:10.3g}  {place}")
        figures |= {f"{after.name}_differences": len(beyond), f"{after.name}_largest": largest}
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=1))
    return int(any(figures[name] for name in figures if name.endswith("_differences")))


if __name__ == "__main__":
    sys.exit(main())
