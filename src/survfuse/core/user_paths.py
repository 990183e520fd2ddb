"""Paths as people write them: `~`, environment variables, and what no path here can hold."""

from __future__ import annotations

import re
import sys
from pathlib import Path

VARIABLE = re.compile(r"\$\{(\w+)\}")
SHELL = re.compile(r"\$\{|(?:^|/)\$\w")  # what a shell would replace, and this program does not
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
LINUX = "export PYTHONUTF8=1"


def expand_home(text: str) -> str:
    """The path with the home directory for a leading `~`; no other text is changed.

    The rule for the configuration, sample sheets and the command line alike. Raises ValueError,
    with a sentence for people that starts like "has ...", where there is no such home directory, or
    the text is no path that can be opened here: another system's separators, an address,
    unprintable characters, characters that the locale does not have.
    """
    if fault := fault_of_path(text):
        raise ValueError(fault)
    if not text.startswith("~"):
        return text
    try:
        return str(Path(text).expanduser())
    except RuntimeError:
        start = text.split("/", 1)[0]
        raise ValueError(
            f"starts with {start}, and there is no such home directory; write the path in full, or "
            f"./{start} where a file is really called so"
        ) from None


def fault_of_path(text: str) -> str | None:
    """Why a text cannot be a path on this machine, with the remedy, or None."""
    if not text.strip():
        return "is empty; write a path, or remove the key"
    if "\\" in text:
        return "has backslashes; write / between folders"
    if ADDRESS.match(text):
        return "is an address; only local files are read, so download it and name the file"
    try:
        text.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
    except UnicodeEncodeError:
        return locale_fault(text)
    if not all(c.isprintable() or "\udc80" <= c <= "\udcff" for c in text):
        return "has unprintable characters; correct the path"
    return None


def locale_fault(text: str) -> str:
    """That the locale's characters do not suffice for a path, and what to do."""
    return (
        f"is {text!r}, which has characters that this locale ({sys.getfilesystemencoding()}) does "
        f"not have; run `{LINUX}` first, or set LC_ALL to a UTF-8 locale such as C.UTF-8"
    )


def variables_in(text: str) -> list[str]:
    """Names of the environment variables that a text asks for as `${NAME}`."""
    return VARIABLE.findall(text)


def expand_variables(text: str, environment: dict[str, str]) -> str:
    """The text with the values of `${NAME}`.

    Raises ValueError, with a sentence for people, where one is not set, is empty, or is written in
    a way that only a shell understands.
    """
    for name in variables_in(text):
        if not environment.get(name):
            state = "is empty" if name in environment else "is not set"
            raise ValueError(f"uses ${{{name}}}, which {state}; run `export {name}=...` first")
    if SHELL.search(VARIABLE.sub("", text)):
        raise ValueError(
            "has a $ that is not replaced; an environment variable is written ${NAME}, and nothing "
            "else that a shell knows is replaced"
        )
    return VARIABLE.sub(lambda found: environment[found[1]], text)
