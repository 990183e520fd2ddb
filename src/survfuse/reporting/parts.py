"""Parts of a page that may fail on their own: what is left out is named, and costs nothing else."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from survfuse.core.errors import RetryableError, SurvfuseError
from survfuse.core.system_errors import of_system
from survfuse.reporting.wording import without_paths

log = logging.getLogger(__name__)

Part = TypeVar("Part")
# `attempt` for a page: what the part is, how it is made, and what stands in for it.
Attempt = Callable[[str, Callable[[], Any], Any], Any]


def attempt(whose: str, what: str, make: Callable[[], Part], otherwise: Part,
            remarks: list[str]) -> Part:  # fmt: skip
    """What `make` makes; where it fails, `otherwise`, and a sentence more in `remarks`.

    `whose` names the page in the log, `what` the part in the sentence. Raises RetryableError where
    memory or the disk ran out, which is no fault of the part.
    """
    try:
        return make()
    except Exception as error:
        reason = why(error)
        log.warning("%s: no %s: %s", whose, what, reason)
        remarks.append(f"No {what}: {reason.rstrip('.')}.")
        return otherwise


def why(error: Exception) -> str:
    """Why a part or a page could not be made, for its reader: without paths of files.

    A defect is named by its kind, and goes into the log with its traceback. Raises RetryableError
    where memory or the disk ran out.
    """
    fault = error if isinstance(error, SurvfuseError) else of_system(error)
    if isinstance(fault, RetryableError):
        raise fault from error
    if fault is None:
        log.info("the error in full:", exc_info=error)
        return f"it could not be made ({type(error).__name__}: {without_paths(str(error))})"
    return without_paths(str(fault))
