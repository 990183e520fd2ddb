"""Starting and ending the page, and who may reach it."""

from __future__ import annotations

import logging
import signal
import socket
import urllib.request
from pathlib import Path

import pytest

from serving_fixture import running
from survfuse.core.errors import MissingResourceError, UserInputError
from survfuse.serve import server
from survfuse.serve.guard import is_loopback, names_of
from survfuse.serve.means import Means
from survfuse.serve.server import serve_package


def test_the_page_ends_cleanly_whatever_is_being_sent(served_package: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with running(served_package, out) as (address, process):
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert b"Research use only" in answer.read()
        host, port = address.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as slow:
            head = f"POST /send HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 1000\r\n"
            slow.sendall(f"{head}Content-Type: multipart/form-data; boundary=b\r\n\r\n--b".encode())
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "ended; reports are kept in" in said and "Traceback" not in said
    assert [path.name for path in out.iterdir()] == [".lock"]


def test_the_page_says_what_is_not_installed(
    served_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("survfuse.exchange.optional.find_spec", lambda _: None)
    with pytest.raises(MissingResourceError, match=r"pip install 'survfuse\[serve\]'"):
        serve_package(Means(served_package), tmp_path / "out")


def test_wrong_arguments_are_told_before_anything_starts(
    served_package: Path, tmp_path: Path
) -> None:
    with pytest.raises(UserInputError, match="is no package"):
        serve_package(Means(tmp_path), tmp_path / "out")
    with pytest.raises(UserInputError, match="name the weights"):
        serve_package(Means(served_package, tmp_path / "no.safetensors"), tmp_path / "out")
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UserInputError, match="cannot be taken"),
    ):
        serve_package(Means(served_package), tmp_path / "out", port=taken.getsockname()[1])
    with pytest.raises(UserInputError, match="cannot be taken"):
        serve_package(Means(served_package), tmp_path / "out", host="no.such.host.invalid")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("host", "warned"), [("0.0.0.0", True), ("127.0.0.1", False)])
def test_a_page_that_others_reach_is_warned_of(
    served_package: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    host: str,
    warned: bool,
) -> None:
    monkeypatch.setattr(server, "run_until_stopped", lambda *_: None)
    with caplog.at_level(logging.WARNING):
        serve_package(Means(served_package), tmp_path / "out", host=host, port=0)
    assert ("other machines can reach this page" in caplog.text) == warned


def test_only_loopback_addresses_are_taken_for_this_machine_alone() -> None:
    assert all(is_loopback(host) for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"))
    assert not any(is_loopback(host) for host in ("0.0.0.0", "::", "10.0.0.1", "a.example"))
    assert names_of("127.0.0.1") == {"127.0.0.1", "localhost", "::1"}
    assert {"localhost", socket.gethostname().lower()} <= names_of("0.0.0.0")
