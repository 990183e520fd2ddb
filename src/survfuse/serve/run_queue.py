"""Work on one run after the other, in a process of its own that survives a failing one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from survfuse.core.errors import SurvfuseError
from survfuse.core.isolation import IsolatedProcess, IsolationError, Limits
from survfuse.serve.failures import OF_RUN, place_of
from survfuse.serve.runs import FAILED, Run

log = logging.getLogger(__name__)
MODULE = "survfuse.serve.work"

Task = Callable[..., Generator[dict[str, Any]]]


class RunQueue:
    """A queue of runs for one task, which yields how it ended as fields of `run.json`.

    Of a run that failed it yields the `place`, which is logged and not kept.

    limit_s: after which a run is given up. Runs that are not waited for any more stay in it.
    """

    def __init__(self, task: Task, *arguments: object, limit_s: float) -> None:
        self.task = task
        self.arguments = arguments
        self._process = IsolatedProcess(Limits(limit_s), (MODULE,), threaded=True)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=task.__name__)
        self._waiting: list[str] = []
        self._changing = threading.Lock()
        self._closed = False

    def start(self) -> None:
        """Start the process now, so that the first run need not wait for its imports."""
        self._thread.submit(self._process.start)

    def submit(self, run: Run, then: Callable[[Run, dict[str, Any]], None]) -> None:
        """Queue a run; `then` is called with how it ended, in the thread of the queue."""
        with self._changing:
            self._waiting.append(run.name)
        self._thread.submit(self._work, run, then)

    def names(self) -> list[str]:
        """The runs that wait, the first of which is being worked on."""
        with self._changing:
            return list(self._waiting)

    def close(self) -> None:
        """End, whatever is being done."""
        self._closed = True
        self._process.interrupt()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._process.close()

    def _work(self, run: Run, then: Callable[[Run, dict[str, Any]], None]) -> None:
        begun = time.monotonic()
        try:
            if self._closed:
                return
            try:
                found = self._process.call(self.task, *self.arguments, run, expected=SurvfuseError)
            except IsolationError as error:
                found = {"state": FAILED, "place": str(error)}
            if self._closed:
                return
            if found["state"] == FAILED:
                log.error("%s: a run failed: %s", self.task.__name__, found.pop("place"))
                found["problems"] = [{"sentence": OF_RUN}]
            then(run, found)
            took = time.monotonic() - begun
            log.info("%s: %s after %.1f s", self.task.__name__, found["state"], took)
        except Exception as error:  # of the disk; the next run shall not suffer from it
            log.error("%s: a run failed: %s", self.task.__name__, place_of(error))
        finally:
            with self._changing:
                self._waiting.remove(run.name)
