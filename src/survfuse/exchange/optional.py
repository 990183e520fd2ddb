"""Libraries that come with an extra of the package."""

from __future__ import annotations

from importlib.util import find_spec

from survfuse.core.errors import MissingResourceError


def required(module: str, extra: str) -> None:
    """Raise MissingResourceError where a library is not installed."""
    try:
        there = find_spec(module) is not None
    except ModuleNotFoundError:  # of the package that it is in
        there = False
    if not there:
        raise MissingResourceError(
            f"{module} is not installed; it comes with pip install 'survfuse[{extra}]'"
        )
