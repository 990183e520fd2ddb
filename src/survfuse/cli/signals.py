"""What a scheduler's warning does to a command."""

from __future__ import annotations

import signal

from survfuse.core.errors import RetryableError


def stop_when_asked() -> None:
    """Turn a scheduler's warning into exit code 75: the job is worth running again.

    SLURM sends SIGTERM before it pre-empts a job or ends one at its time limit, or SIGUSR1 where
    `--signal` asks for it. Training continues from its last checkpoint, of at most a minute and an
    epoch ago.
    """

    def stop(number: int, _: object) -> None:
        raise RetryableError(
            f"stopped by {signal.Signals(number).name}; run the same command to continue from the "
            "last checkpoint"
        )

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGUSR1, stop)
