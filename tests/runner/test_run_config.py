"""The configuration of a run that was put together from files and changed keys."""

import getpass
import os
import pwd
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from survfuse.artifacts.layout import ResultsFolder
from survfuse.core.errors import UserInputError
from survfuse.runner.merged_config import changed, keep, load_merged
from survfuse.runner.start import require_user

TEXT = """name: x  # a comment
output: results
cohort:
  patients: ${PATIENTS}/patients.tsv
  endpoint: {event_value: Yes, censored_value: No}
models:
- {name: clinical_cox, kind: clinical_cox}
"""


def test_one_file_that_nobody_changed_is_read_itself(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(TEXT)
    assert changed(yaml.safe_load(TEXT), [file]) == ""


def test_what_nobody_changed_stands_as_it_was_written(tmp_path: Path) -> None:
    """Snakemake's `config` holds true and false for Yes and No; the sheet holds the words."""
    file, more = tmp_path / "a.yaml", tmp_path / "b.yaml"
    file.write_text(TEXT)
    more.write_text("cohort: {endpoint: {name: relapse}}\nreport: {min_cell: 9}\n")
    merged = yaml.safe_load(TEXT)
    merged["cohort"]["endpoint"]["name"] = "relapse"
    merged["report"] = {"min_cell": 9}
    merged["name"] = "changed"
    text = changed(merged, [file, more])
    assert "Yes" in text and "No" in text and "${PATIENTS}" in text
    assert yaml.safe_load(text) == merged
    assert yaml.safe_load(changed(merged, [])) == merged


SCALARS = st.sampled_from([None, True, 0, 2.5, "", "yes", "a: b", "# no", "x\n y", "~", "1"])
KEYS = st.sampled_from("xyz")
INNER = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(KEYS, SCALARS, max_size=2)
MAPPINGS = st.dictionaries(KEYS, INNER, max_size=3)


@given(MAPPINGS, MAPPINGS, MAPPINGS)
def test_the_written_file_says_what_snakemake_merged(below: dict, above: dict, said: dict) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, "below.yaml"), Path(folder, "above.yaml")]
        for file, content in zip(files, (below, above), strict=True):
            file.write_text(yaml.safe_dump(content))
        assert yaml.safe_load(changed(said, files)) == said


def test_aliases_that_multiply_are_refused(tmp_path: Path) -> None:
    levels = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    file = tmp_path / "bomb.yaml"
    file.write_text("\n".join(levels))
    with pytest.raises(UserInputError, match="more than 200,000 values"):
        changed({"name": "x"}, [file])
    with pytest.raises(UserInputError, match="more than 200,000 values"):
        changed(yaml.safe_load(file.read_text()), [file])


def test_messages_name_the_files_that_were_merged(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(TEXT.replace("${PATIENTS}/", ""))
    merged = yaml.safe_load(file.read_text()) | {"splits": {"folds": 1}}
    with pytest.raises(UserInputError, match=r"a\.yaml, as merged.*splits\.folds"):
        load_merged(merged, [file])


def test_a_named_file_is_never_overwritten(tmp_path: Path) -> None:
    file = ResultsFolder(tmp_path).effective_config
    file.write_text(TEXT.replace("${PATIENTS}/", "").replace("results", str(tmp_path)))
    merged = yaml.safe_load(file.read_text()) | {"name": "other"}
    with pytest.raises(UserInputError, match="copy that file"):
        load_merged(merged, [file])


def test_an_unchanged_configuration_is_not_written_again(tmp_path: Path) -> None:
    file = ResultsFolder(tmp_path).effective_config
    keep(file, "name: x\n")
    assert file.stat().st_mode & 0o077 == 0
    before = file.stat().st_mtime_ns
    keep(file, "name: x\n")
    keep(file, "")
    assert file.stat().st_mtime_ns == before


def test_a_user_without_a_name_or_a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Docker, OpenShift, PyTorch: "getpwuid(): uid not found" in containers."""

    def nobody(_uid: object) -> pwd.struct_passwd:
        raise KeyError("getpwuid(): uid not found: 54321")

    for name in ("HOME", "USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "x")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(UserInputError, match="export HOME="):
        require_user()
    monkeypatch.setenv("HOME", str(tmp_path))
    require_user()
    assert getpass.getuser() == f"uid{os.getuid()}"
