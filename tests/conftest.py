"""Fixtures shared by all tests."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# One thread each: tests run side by side, and threads waiting for each other cost the most time.
os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is imported
# `snakemake` and `survfuse` of the environment that runs the tests, activated or not.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Directory of the real data; tests that need it are skipped where it is absent."""
    named = os.environ.get("SURVFUSE_TEST_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("needs the real data: set SURVFUSE_TEST_DATA")
    return Path(named)


@pytest.fixture(autouse=True)
def no_log_of_the_command_line() -> Iterator[None]:
    """Undo what a test's command line set up, or later tests of the process log as it does."""
    yield
    logging.getLogger("survfuse").setLevel(logging.NOTSET)
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler) in (logging.StreamHandler, logging.FileHandler):
            root.removeHandler(handler)
            handler.close()
