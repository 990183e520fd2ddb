"""One run after the other, whatever happens to one of them."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from serving_fixture import crash_or_echo, echo, sleep_long
from survfuse.core.isolation import IsolatedProcess, IsolationError, Limits
from survfuse.serve import run_queue
from survfuse.serve.run_queue import RunQueue
from survfuse.serve.runs import Run


@pytest.fixture(autouse=True)
def light_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_queue, "MODULE", "survfuse.serve.runs")


def ended(queue: RunQueue, *names: str) -> dict[str, dict[str, Any]]:
    """How runs ended that were queued at once."""
    found: dict[str, dict[str, Any]] = {}
    done = threading.Semaphore(0)

    def then(run: Run, outcome: dict[str, Any]) -> None:
        found[run.name] = outcome
        done.release()

    for name in names:
        queue.submit(Run(Path(name)), then)
    for _ in names:
        assert done.acquire(timeout=60)
    return found


def test_a_run_that_crashes_fails_alone() -> None:
    queue = RunQueue(crash_or_echo, limit_s=60)
    try:
        found = ended(queue, "a", "crash", "b")
    finally:
        queue.close()
    assert [found[name]["state"] for name in ("a", "crash", "b")] == ["done", "failed", "done"]
    assert found["b"]["patients"] == ["b"]
    assert "Nothing was predicted" in found["crash"]["problems"][0]["sentence"]
    assert queue.names() == []


def test_a_run_that_hangs_is_given_up() -> None:
    queue = RunQueue(sleep_long, limit_s=0.5)
    try:
        assert ended(queue, "a")["a"]["state"] == "failed"
    finally:
        queue.close()


def test_a_process_that_is_being_started_when_all_ends_ends_too() -> None:
    """The thread of a queue may start it after the queue was closed."""
    process = IsolatedProcess(Limits(3600), threaded=True)
    process.interrupt()
    with process, pytest.raises(IsolationError):
        process.call(sleep_long, Run(Path("a")), expected=ValueError)


def test_closing_waits_for_nobody() -> None:
    queue = RunQueue(sleep_long, limit_s=3600)
    called: list[Run] = []
    queue.submit(Run(Path("a")), lambda run, _: called.append(run))
    queue.submit(Run(Path("b")), lambda run, _: called.append(run))
    assert queue.names() == ["a", "b"]
    closing = threading.Thread(target=queue.close)
    closing.start()
    closing.join(timeout=60)
    assert not closing.is_alive() and called == []


def test_what_cannot_be_kept_does_not_stop_the_next_run() -> None:
    queue = RunQueue(echo, limit_s=60)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    try:
        queue.submit(Run(Path("a")), full)
        assert ended(queue, "b")["b"]["state"] == "done"
    finally:
        queue.close()
