"""The configuration of a run that was put together: files laid over one another, keys changed.

Snakemake merges several `--configfile`s, `--config KEY=VALUE` and what another workflow says that
uses this one as a module. The commands of the stages read one file. Where the merged configuration
is not that of the one file that was named, it is written to a file of its own, in which everything
that nobody changed stands as it was written: `yes` stays `yes`, and a variable its name.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from survfuse.artifacts.layout import ResultsFolder
from survfuse.config.study import Config
from survfuse.core.errors import UserInputError
from survfuse.core.files import write_text
from survfuse.models.runnable import load

LARGEST_VALUES = 200_000  # with the values that aliases repeat counted as often as they stand for


def load_merged(config: Mapping[str, Any], files: Sequence[Path]) -> tuple[Config, Path, str]:
    """The settings of a run, the file that commands are given, and what that file must hold.

    `config`: what Snakemake made of the `files` and of changes to them. The text is "" where
    the one file that was named says it all. Raises UserInputError where the configuration is wrong.
    """
    text = changed(config, files)
    if not text:
        return load(files[0]), files[0], ""
    shown = " and ".join(map(str, files)) or "config"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "config.yaml")
        path.write_text(text, encoding="utf-8")
        try:
            settings = load(path)
        except UserInputError as error:
            told = str(error).replace(str(path), f"{shown}, as merged")
            raise UserInputError(told) from None
    written = ResultsFolder(settings.output).effective_config
    if any(written.absolute() == file.absolute() for file in files):
        raise UserInputError(
            f"{written}: this run would write its merged configuration there; copy that file to "
            "another place and name the copy"
        )
    return settings, written, text


def keep(path: Path, text: str) -> None:
    """Write a merged configuration, readable by its owner alone, unless it stands there already."""
    if not text or (path.is_file() and path.read_text(encoding="utf-8") == text):
        return
    before = os.umask(0o077)
    try:
        write_text(path, text)
    finally:
        os.umask(before)


def changed(config: Mapping[str, Any], files: Sequence[Path]) -> str:
    """The merged configuration as YAML; "" where it is what the one file says."""
    wanted = plain(config, "the configuration", count(1))
    node: Node | None = None
    for file in files:
        node = laid_over(node, composed(file))
    said = valued(node, " and ".join(map(str, files)))
    if len(files) == 1 and said == wanted:
        return ""
    return yaml.serialize(overlaid(node, said, wanted), Dumper=yaml.SafeDumper, allow_unicode=True)


def composed(file: Path) -> Node | None:
    """The tree of a YAML file. Raises UserInputError where it cannot be read."""
    try:
        with file.open(encoding="utf-8-sig") as handle:
            return yaml.compose(handle, Loader=yaml.SafeLoader)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserInputError(f"{file}: not readable as YAML: {error}; correct it") from None


def laid_over(below: Node | None, above: Node | None) -> Node | None:
    """Two trees as one; where both have a key, the second says its value, as in Snakemake."""
    if not isinstance(below, MappingNode) or not isinstance(above, MappingNode):
        return above if above is not None else below
    pairs = {key.value: (key, value) for key, value in below.value if isinstance(key, ScalarNode)}
    for key, value in above.value:
        if isinstance(key, ScalarNode):
            pairs[key.value] = (key, laid_over(pairs.get(key.value, (key, None))[1], value))
    return MappingNode(above.tag, list(pairs.values()))


def valued(node: Node | None, shown: str) -> Any:
    """The value of a tree. Raises UserInputError where YAML cannot make one of it."""
    if node is None:
        return None
    loader = yaml.SafeLoader("")
    try:
        return plain(loader.construct_document(node), shown, count(1))
    except (ValueError, yaml.YAMLError) as error:
        raise UserInputError(f"{shown}: not readable as YAML: {error}; correct it") from None
    finally:
        loader.dispose()


def overlaid(node: Node | None, said: Any, wanted: Any) -> Node:
    """The tree of what is wanted; where the given tree says that already, its own branches."""
    if node is not None and said == wanted and type(said) is type(wanted):
        return node
    if isinstance(node, MappingNode) and isinstance(said, dict) and isinstance(wanted, dict):
        branches = {key.value: value for key, value in node.value if isinstance(key, ScalarNode)}
        return MappingNode(
            node.tag,
            [
                (represented(key), overlaid(branches.get(key), said.get(key), value))
                for key, value in wanted.items()
            ],
        )
    return represented(wanted)


def represented(value: Any) -> Node:
    """The tree of a plain value."""
    return yaml.SafeDumper(io.StringIO()).represent_data(value)


def plain(value: Any, shown: str, counted: Iterator[int]) -> Any:
    """A value in plain dictionaries and lists. Raises UserInputError where it is absurdly large."""
    if next(counted) > LARGEST_VALUES:
        raise UserInputError(
            f"{shown}: holds more than {LARGEST_VALUES:,} values, those that aliases repeat "
            "included; write out what is meant"
        )
    if isinstance(value, Mapping):
        return {key: plain(item, shown, counted) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, shown, counted) for item in value]
    return str(value) if isinstance(value, Path) else value
