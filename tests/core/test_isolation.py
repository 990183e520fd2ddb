"""Work in a process of its own: what it survives, and what it says of what it did not."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from isolated_tasks import (
    ask_for_memory,
    count,
    end_by,
    hang,
    image,
    print_much,
    process_id,
    refuse,
    stumble,
)
from survfuse.core.isolation import IsolatedProcess, IsolationError, Limits
from survfuse.modalities.slides.faults import SlideFault, UnreadableSlide

# The first task imports this file in the other process, which a busy machine makes slow.
PATIENT_S = 300.0


@pytest.fixture
def isolated() -> Iterator[IsolatedProcess]:
    with IsolatedProcess(Limits(PATIENT_S, memory_bytes=2**28)) as process:
        yield process


def test_items_arrive_and_the_process_is_kept(isolated: IsolatedProcess) -> None:
    assert list(isolated.stream(count, 5, expected=SlideFault)) == [0, 1, 2, 3, 4]
    first = isolated.call(process_id, expected=SlideFault)
    assert first != os.getpid()
    assert isolated.call(image, 600, expected=SlideFault).sum() == 600 * 600 * 3 * 7
    assert isolated.call(process_id, expected=SlideFault) == first


@pytest.mark.parametrize(
    ("task", "arguments", "said"),
    [
        (end_by, (signal.SIGABRT,), "crashed .SIGABRT"),
        (end_by, (signal.SIGSEGV,), "crashed .SIGSEGV"),
        (end_by, (signal.SIGKILL,), "for its memory"),
        (ask_for_memory, (2**40,), "asked for more memory"),
        (ask_for_memory, (2**29,), "asked for more memory"),
        (stumble, (), r"failed \(ValueError\)$"),
    ],
)
def test_what_kills_a_task_is_told_and_the_next_one_runs(
    isolated: IsolatedProcess, task: object, arguments: tuple[int, ...], said: str
) -> None:
    with pytest.raises(IsolationError, match=said):
        list(isolated.stream(task, *arguments, expected=SlideFault))
    assert list(isolated.stream(count, 3, expected=SlideFault)) == [0, 1, 2]


def test_silence_is_told_and_the_next_task_runs(isolated: IsolatedProcess) -> None:
    isolated.limits = Limits(silence_s=2.0)
    with pytest.raises(IsolationError, match="gave no sign for 2 seconds"):
        list(isolated.stream(hang, expected=SlideFault))
    isolated.limits = Limits(PATIENT_S)
    assert list(isolated.stream(count, 3, expected=SlideFault)) == [0, 1, 2]


def test_expected_errors_pass_through_and_the_process_lives(isolated: IsolatedProcess) -> None:
    first = isolated.call(process_id, expected=SlideFault)
    with pytest.raises(UnreadableSlide, match="cut short"):
        list(isolated.stream(refuse, expected=SlideFault))
    assert isolated.call(process_id, expected=SlideFault) == first


def test_noise_of_libraries_is_not_printed(
    isolated: IsolatedProcess, capfd: pytest.CaptureFixture[str]
) -> None:
    assert isolated.call(print_much, expected=SlideFault) == 1
    assert capfd.readouterr() == ("", "")


def test_a_stream_that_nobody_reads_to_its_end_does_not_disturb_the_next(
    isolated: IsolatedProcess,
) -> None:
    for item in isolated.stream(count, 1000, expected=SlideFault):
        if item == 3:
            break
    assert list(isolated.stream(count, 2, expected=SlideFault)) == [0, 1]


def test_no_process_is_left_behind() -> None:
    with IsolatedProcess(Limits(PATIENT_S)) as process:
        number = process.call(process_id, expected=SlideFault)
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_process_that_cannot_start_is_no_fault_of_a_file() -> None:
    with (
        IsolatedProcess(Limits(PATIENT_S), modules=("survfuse.no_such_module",)) as process,
        pytest.raises(RuntimeError, match=r"cannot be started.*no_such_module"),
    ):
        process.call(process_id, expected=SlideFault)
