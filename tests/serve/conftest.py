"""A package of a small study, and an application that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from deployment_fixture import finished_study
from serving_fixture import ADDRESS, TOKEN, Visitor
from survfuse.artifacts.package import open_package
from survfuse.deployment.freeze import freeze_study
from survfuse.reporting.new_patients.style import Style
from survfuse.serve.app import make_app
from survfuse.serve.guard import names_of
from survfuse.serve.means import Means
from survfuse.serve.uploads import Limits


@pytest.fixture(scope="session")
def served_package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = finished_study(tmp_path_factory.mktemp("study"))
    return freeze_study(study, tmp_path_factory.mktemp("packages") / "study", archive=False)


@pytest.fixture(scope="session")
def visitor(served_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """One who looks at the page of the package, of which a form may have 300 kB and 5 files."""
    out = tmp_path_factory.mktemp("served")
    limits = Limits(most_bytes=300_000, most_files=5, silence_s=0.5, whole_s=5.0)
    means = Means(served_package, device="cpu", style=Style(documents=False))
    app = make_app(open_package(served_package), means, out, names_of("127.0.0.1"), TOKEN, limits)
    with TestClient(app, base_url=ADDRESS, follow_redirects=False) as client:
        yield Visitor(client, out)
