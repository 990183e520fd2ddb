"""Fixtures shared by all tests."""

import os
import sys
from pathlib import Path

import pytest

# `snakemake` and `survfuse` of the environment that runs the tests, activated or not.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Directory of the real data; tests that need it are skipped where it is absent."""
    named = os.environ.get("SURVFUSE_TEST_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("needs the real data: set SURVFUSE_TEST_DATA")
    return Path(named)
