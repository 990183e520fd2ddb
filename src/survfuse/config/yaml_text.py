"""Reading YAML that people write: what they wrote, in which line, and no more than they wrote."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from survfuse.core.brought_files import UnusableFileError, require_regular
from survfuse.core.errors import UserInputError
from survfuse.core.user_paths import LINUX

LARGEST_BYTES = 1 << 20
LARGEST_VALUES = 200_000  # with the values that aliases repeat counted as often as they stand for
MERGE = "tag:yaml.org,2002:merge"  # the key <<, whose keys may be given again to change them
ODD_INDENT = re.compile("^ *[\u00a0\u2000-\u200b\u202f\u3000]", re.MULTILINE)
BOOLEANS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}


class Plain(str):
    """Text without quotes that YAML takes for a number or for true and false; `value` is that.

    Which of both was meant is for the field to say: `levels: [1, 2]` are words, `folds: 5` is none.
    """

    value: bool | int | float


def plain(text: str, value: bool | int | float) -> Plain:
    """The text as written, with what it stands for."""
    written = Plain(text)
    written.value = value
    return written


@dataclass(frozen=True)
class Document:
    """What a file holds, and its tree of nodes, which knows the lines; None where it is empty."""

    content: Any
    root: yaml.Node | None

    def line_of(self, place: Sequence[str | int]) -> int | None:
        """The line of a key, or of the last one on the way to it that there is."""
        node, line = self.root, None
        for part in place:
            if isinstance(node, yaml.MappingNode):
                found = [(key, item) for key, item in node.value if key.value == part]
                if not found:
                    break
                key, node = found[-1]  # the last one has the say where keys are merged
                line = key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and part in range(len(node.value)):
                node = node.value[int(part)]
                line = node.start_mark.line + 1
        return line


class WrittenLoader(yaml.SafeLoader):
    """YAML in which a key may be given once, and unquoted numbers remember how they are written.

    YAML's own rules are that the last of equal keys wins, silently, that 010 is eight, that 1:30 is
    ninety and 1e-5 a word. Numbers are decimal here, and dates are words.
    """

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (as its base declares it)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = True) -> dict[Any, Any]:
        first: dict[str, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                problem = "a key must be a word; quote it if it has brackets or braces"
                raise ConstructorError(problem=problem, problem_mark=key.start_mark)
            if key.tag == MERGE:
                continue
            earlier = first.setdefault(key.value, key)
            if earlier is not key:
                line = earlier.start_mark.line + 1
                problem = f"the key {key.value!r} is in line {line} already; keep one of them"
                raise ConstructorError(problem=problem, problem_mark=key.start_mark)
        self.flatten_mapping(node)
        return {
            self.construct_scalar(key): self.construct_object(item, deep=deep)
            for key, item in node.value
        }

    def written_bool(self, node: yaml.ScalarNode) -> Plain:
        text = str(self.construct_scalar(node))
        if text.lower() not in BOOLEANS:
            raise ConstructorError(
                problem=f"{text!r} is neither true nor false", problem_mark=node.start_mark
            )
        return plain(text, BOOLEANS[text.lower()])

    def written_int(self, node: yaml.ScalarNode) -> Plain:
        text = str(self.construct_scalar(node))
        return plain(text, int(text))

    def written_float(self, node: yaml.ScalarNode) -> Plain:
        text = str(self.construct_scalar(node))
        return plain(text, float(text.lower().replace(".inf", "inf").replace(".nan", "nan")))


def resolver(kind: str, pattern: str, first: str) -> None:
    """What unquoted text is of a kind; `first` lists the characters that it may begin with."""
    WrittenLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{kind}", re.compile(f"^(?:{pattern})$"), list(first) or [""]
    )


resolver("bool", "(?i:yes|no|true|false|on|off)", "yYnNtTfFoO")
resolver("int", "[-+]?[0-9]+", "-+0123456789")
resolver("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789")
resolver("float", r"[-+]?\.(?i:inf)|\.(?i:nan)", "-+.")
resolver("merge", "<<", "<")
WrittenLoader.add_implicit_resolver(
    "tag:yaml.org,2002:null", re.compile("^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]
)
for tag, construct in (
    ("bool", WrittenLoader.written_bool),
    ("int", WrittenLoader.written_int),
    ("float", WrittenLoader.written_float),
):
    WrittenLoader.add_constructor(f"tag:yaml.org,2002:{tag}", construct)


def read_yaml(path: Path) -> Document:
    """What a YAML file holds.

    Raises UserInputError with line and remedy, also for what is no file, is larger than 1 MiB, or
    stands for more than 200,000 values by its aliases.
    """
    text = read_text(path)
    if odd := ODD_INDENT.search(text):
        number = text.count("\n", 0, odd.start()) + 1
        raise UserInputError(
            f"{path}, line {number}: begins with a space that YAML does not know, as copying from "
            "a web page or Word leaves; indent with plain spaces"
        )
    try:
        loader = WrittenLoader(text)
        root = loader.get_single_node()
        if root is None:
            return Document(None, None)
        if (values := count_values(root, {})) > LARGEST_VALUES:
            raise UserInputError(
                f"{path}: stands for more than {values if values < 10**9 else 10**9:,} values by "
                f"its aliases (*name), {LARGEST_VALUES:,} are enough for any run; write them out"
            )
        return Document(loader.construct_document(root), root)
    except RecursionError:
        raise UserInputError(f"{path}: is nested too deeply for a configuration") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        reason = ": ".join(filter(None, (error.context, error.problem)))
        if "'\\t'" in str(reason):
            reason = "a tab stands where spaces belong; indent with spaces alone"
        raise UserInputError(f"{path}{line}: not readable as YAML: {reason}") from None
    except yaml.reader.ReaderError as error:
        reason = f"character {error.position + 1} is an unprintable one; remove it"
        raise UserInputError(f"{path}: not readable as YAML: {reason}") from None
    except (yaml.YAMLError, ValueError) as error:  # such as a number of 5000 digits
        reason = " ".join(str(error).split())
        raise UserInputError(f"{path}: not readable as YAML: {reason}") from None


def read_text(path: Path) -> str:
    """The text of a configuration file. Raises UserInputError with the remedy."""
    try:
        size = require_regular(path).st_size
        if size > LARGEST_BYTES:
            raise UserInputError(
                f"{path}: has {size / 2**20:.0f} MiB, a configuration at most "
                f"{LARGEST_BYTES >> 20}; name the YAML file"
            )
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserInputError(f"{path}: no such configuration file; correct the path") from None
    except UnusableFileError as error:
        raise UserInputError(f"{path}: {error}; name the YAML file") from None
    except UnicodeDecodeError:
        raise UserInputError(
            f"{path}: is not UTF-8 text; save it as YAML with the encoding UTF-8"
        ) from None
    except UnicodeEncodeError:
        raise UserInputError(
            f"{str(path)!r}: the locale does not have these characters; run `{LINUX}` first"
        ) from None
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or str(error)
        raise UserInputError(f"{path}: cannot be read: {told}; check the path") from None


def count_values(node: yaml.Node, counted: dict[int, int]) -> int:
    """How many values a node stands for, aliases written out. Raises ConstructorError on a circle.

    `counted` has the nodes that are counted; 0 marks those that contain this one.
    """
    known = counted.get(id(node))
    if known == 0:
        raise ConstructorError(
            problem="an alias (*name) stands inside what it repeats; write it out",
            problem_mark=node.start_mark,
        )
    if known is not None:
        return known
    counted[id(node)] = 0
    total = 1
    if isinstance(node, yaml.SequenceNode):
        total += sum(count_values(item, counted) for item in node.value)
    elif isinstance(node, yaml.MappingNode):
        total += sum(count_values(item, counted) for pair in node.value for item in pair)
    counted[id(node)] = total
    return total
