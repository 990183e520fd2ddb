"""The files by which a repository is used: one version, and parts of the checks that exist."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import survfuse

ROOT = Path(__file__).parents[1]


def test_the_version_is_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert survfuse.__version__ == project["version"] == citation["version"]
    assert citation["license"] == project["license"]["text"]


def test_hosted_checks_are_those_of_this_repository() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    parts = jobs["part"]["strategy"]["matrix"]["part"]
    by_default = re.search(r"set -- (.+)", (ROOT / ".ci/run").read_text())
    assert by_default and by_default[1].split() == parts
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    assert {*parts, "sbom", "setup", "lock"} <= targets


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml")))
def test_forms_of_issues_are_complete(path: Path) -> None:
    form = yaml.safe_load(path.read_text())
    assert {"name", "description", "body"} <= form.keys()
    asked = [item for item in form["body"] if item["type"] != "markdown"]
    assert all(item["attributes"]["label"] for item in asked)
    assert len({item["id"] for item in asked}) == len(asked)


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("config/*.md"), *ROOT.glob("docs/**/*.md")]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_to_files(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text())
    here = [link for link in links if "://" not in link]
    assert [link for link in here if not (path.parent / link).exists()] == []


def test_every_page_of_the_documentation_belongs_to_one_of_its_parts() -> None:
    listed = re.findall(r"^(\w+/\w+)$", (ROOT / "docs/index.md").read_text(), re.M)
    pages = {str(path.relative_to(ROOT / "docs"))[:-3] for path in ROOT.glob("docs/*/*.md")}
    assert len(listed) == len(set(listed)) and set(listed) == pages
    assert {page.partition("/")[0] for page in pages} == {
        "getting_started", "how_to", "explanation", "reference"
    }  # fmt: skip


def test_pages_that_messages_name_are_there() -> None:
    sources = [*ROOT.glob("src/**/*.py"), *ROOT.glob("workflow/**/*.*"), *ROOT.glob("configs/*")]
    named = {name for path in sources for name in re.findall(r"docs/[\w/]+\.md", path.read_text())}
    assert named and all((ROOT / name).is_file() for name in named)
