"""Running what may crash, hang or eat the memory in a process of its own.

Libraries that decode files of other people abort the whole process over a bad header, wait for
ever, or ask for terabytes. Here that costs the file, not the batch: work runs in one long-lived
process, which is started again after it died.
"""

from __future__ import annotations

import atexit
import importlib
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Generator
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import Any

log = logging.getLogger(__name__)

# The paths are those of the parent, so that both import the same code.
START = (
    "import sys; handle = int(sys.argv[1]); sys.path[:] = sys.argv[2:]; "
    "from survfuse.core.isolation import serve; serve(handle)"
)
START_TIMEOUT_S = 300.0  # for imports from a slow network file system
READY, ITEM, DONE, RAISED, FAILED = range(5)
# One thread for each library: threads reserve address space, which is limited here.
SINGLE_THREADED = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class IsolationError(Exception):
    """The work did not end by itself; the message completes "decoding it ..." for people."""


@dataclass(frozen=True)
class Limits:
    """What one task may take before it is given up."""

    silence_s: float  # between two items
    memory_bytes: int | None = None  # of address space beyond what the idle process has


class IsolatedProcess:
    """A process for tasks, one after the other; use it in a `with` statement, from one thread.

    It starts with the first task, after it has imported `modules`, and survives until the end or
    until a task kills it; the next task then starts another one. Tasks are generator functions of
    importable modules; arguments, items and expected exceptions must be picklable. Libraries in it
    use one thread each, or as many as elsewhere with `threaded`, which suits no limit of memory.
    """

    def __init__(
        self, limits: Limits, modules: tuple[str, ...] = (), threaded: bool = False
    ) -> None:
        self.limits = limits
        self.modules = modules
        self.environment = {} if threaded else SINGLE_THREADED
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        self._ready = False
        self._interrupted = False

    def __enter__(self) -> IsolatedProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def stream(
        self, task: Callable[..., Generator[Any]], *arguments: Any, expected: type[Exception]
    ) -> Generator[Any]:
        """The items that `task(*arguments)` yields, each as soon as it is there.

        Raises what the task raised if it is of the `expected` type, and IsolationError for
        everything else that ends it: another exception, a signal, silence, too much memory.
        """
        connection = self._ready_connection()
        complete = False
        try:
            connection.send((task, arguments, expected, self.limits.memory_bytes))
            while True:
                kind, content = self._receive(connection, self.limits.silence_s)
                if kind == ITEM:
                    yield content
                    continue
                complete = True
                if kind == RAISED:
                    raise content
                if kind == FAILED:
                    sentence, trace = content
                    log.debug("an isolated task failed:\n%s", trace)
                    raise IsolationError(sentence)
                return
        finally:
            if not complete:  # died, hung, or nobody wants the rest
                self.close()

    def call(
        self, task: Callable[..., Generator[Any]], *arguments: Any, expected: type[Exception]
    ) -> Any:
        """The one item that a task yields. Raises what `stream` raises."""
        (item,) = self.stream(task, *arguments, expected=expected)
        return item

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._connection is not None:
            self._connection.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            atexit.unregister(self.close)
        self._process = self._connection = None

    def interrupt(self) -> None:
        """End the process from another thread; whoever waits for its task gets IsolationError.

        One that is being started ends too, and so does every later one.
        """
        self._interrupted = True
        if (process := self._process) is not None:
            process.kill()

    def start(self) -> None:
        """Start the process now, without waiting for its imports."""
        if self._connection is not None:
            return
        ours, theirs = Pipe()
        with theirs, tempfile.TemporaryFile() as noise:
            handle = theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-c", START, str(handle), *sys.path],
                pass_fds=[handle],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=noise,  # what libraries say of a bad file is not for the terminal
                env={**os.environ, **self.environment},
            )
        self._connection, self._ready = ours, False
        atexit.register(self.close)
        ours.send(self.modules)
        if self._interrupted:  # meanwhile; whoever interrupts may not have seen the process
            self._process.kill()

    def _ready_connection(self) -> Connection:
        """The connection to a process that waits for a task."""
        self.start()
        assert self._connection is not None
        if self._ready:
            return self._connection
        try:
            kind, content = self._receive(self._connection, START_TIMEOUT_S)
        except IsolationError as error:
            kind, content = FAILED, (str(error), "")
        if kind != READY:
            self.close()
            if self._interrupted:
                raise IsolationError("was interrupted")
            raise RuntimeError(f"a process for decoding cannot be started: it {content[0]}")
        self._ready = True
        return self._connection

    def _receive(self, connection: Connection, timeout_s: float) -> tuple[int, Any]:
        """The next message. Raises IsolationError if the process died or is silent."""
        try:
            if connection.poll(timeout_s):
                message: tuple[int, Any] = connection.recv()
                return message
        except (EOFError, ConnectionError):
            raise IsolationError(self._how_it_ended()) from None
        raise IsolationError(f"gave no sign for {timeout_s:.0f} seconds")

    def _how_it_ended(self) -> str:
        assert self._process is not None
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return "was stopped by the system, most likely for its memory"
        if code < 0:
            return f"crashed ({signal.Signals(-code).name})"
        return f"ended with code {code}"


def serve(handle: int) -> None:
    """The life of the isolated process: tasks in, items out, until the other side is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to both; the parent decides
    connection = Connection(handle)
    try:
        for name in connection.recv():
            importlib.import_module(name)
        connection.send((READY, None))
    except Exception as error:
        connection.send((FAILED, (f"failed ({type(error).__name__}: {error})", "")))
        return
    idle_bytes = address_space_bytes()
    while True:
        try:
            task, arguments, expected, memory_bytes = connection.recv()
        except EOFError:
            return
        if memory_bytes is not None:
            # Libraries that a task loads stay, and must not count against the next one.
            idle_bytes = max(idle_bytes, address_space_bytes())
            limit_memory(idle_bytes + memory_bytes)
        try:
            for item in task(*arguments):
                connection.send((ITEM, item))
            message: tuple[int, Any] = (DONE, None)
        except ConnectionError:
            return
        except MemoryError:
            message = (FAILED, ("asked for more memory than a file is given", ""))
        except expected as error:
            message = (RAISED, error)
        except Exception as error:
            # The text of an unknown error may hold the name of the file, and that a patient's.
            message = (FAILED, (f"failed ({type(error).__name__})", traceback.format_exc()))
        connection.send(message)


def address_space_bytes() -> int:
    """Size of this process's address space; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def limit_memory(most_bytes: int) -> None:
    """Let requests for more address space than this fail, where the system can do that."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard != resource.RLIM_INFINITY:
        most_bytes = min(most_bytes, hard)
    try:
        resource.setrlimit(resource.RLIMIT_AS, (most_bytes, hard))
    except (OSError, ValueError) as error:  # macOS refuses
        log.debug("memory of the isolated process is not limited: %s", error)
