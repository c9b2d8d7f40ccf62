"""Each role of Redis' ACL does all of its work on a real server, and nothing that is not its work."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
import shop
from celery import Celery, chord, group
from click.testing import CliRunner, Result
from fleet import DEADLINE, NODE, Fleet, eventually
from producers import by_hand
from redis.backoff import NoBackoff
from redis.retry import Retry

from gridq import config
from gridq.broker.server import LocalServer, find_program
from gridq.cli.group import Gridq
from gridq.cli.session import Session
from gridq.store import acl
from gridq.store.client import Client, ForbiddenError

GPU0, CPU0 = f"gpu0@{NODE}", f"cpu@{NODE}"


class Guarded:
    """A server with a user for each role; the tests look into it as its owner.

    Args:
        server: a local one.
    """

    def __init__(self, server: LocalServer) -> None:
        self.url = server.url
        self.results = self.url.removesuffix("/0") + "/1"
        self.client = Client(redis.ConnectionPool.from_url(self.url))
        for role in acl.ROLES:
            self.client.redis.execute_command("ACL", "SETUSER", role, "on", f">{role}-password", *acl.rules(role))

    def url_of(self, role: str, database: int = 0) -> str:
        """The URL with which a role connects."""
        return f"redis://{role}:{role}-password@{self.url.rpartition('@')[2].removesuffix('/0')}/{database}"

    def refused(self, role: str) -> list[str]:
        """What the server has refused to the role since this was last asked."""
        found = [
            f"{entry['context']} {entry['reason']} {entry['object']}"
            for entry in self.client.redis.acl_log(1000)
            if entry["username"] == role
        ]
        self.client.redis.acl_log_reset()
        return found

    def close(self) -> None:
        """The server goes with all that is in it."""
        self.client.close()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A GPU worker and a CPU worker that are workers to Redis too. A task is buried at its first loss."""
    folder = tmp_path_factory.mktemp("acl")
    with LocalServer(folder / "server") as server:
        guarded = Guarded(server)
        urls = {"broker_url": guarded.url_of("worker"), "result_backend": ""}
        made = Fleet(guarded, folder, "sim:24GiB", max_attempts="1", cpu_weight="0", **urls)
        try:
            made.start_worker(GPU0, "gpu", "-E", wait=False)
            made.start_worker(CPU0, "cpu", "-E", "-c", "1", wait=False)
            made.await_ready(GPU0, CPU0)
            yield made
        finally:
            made.stop()


@pytest.fixture(scope="module")
def app_of(fleet: Fleet) -> Iterator[Callable[[str], Celery]]:
    """The shop, as programs of each role have it."""
    made: dict[str, Celery] = {}

    def app(role: str) -> Celery:
        if role not in made:
            variables = fleet.variables | {"GRIDQ_BROKER_URL": fleet.database.url_of(role)}
            made[role] = shop.build(config.load(environ=variables))
        return made[role]

    yield app
    for one in made.values():
        one.close()


@pytest.fixture
def gridq(app_of: Callable[[str], Celery]) -> Callable[..., Result]:
    """Runs a gridq command as a role."""

    def run(role: str, *arguments: str) -> Result:
        return CliRunner().invoke(Gridq("gridq"), arguments, obj=Session("shop", app_of(role)))

    return run


# -- what each of them does


def test_a_worker_works_and_is_refused_nothing(fleet: Fleet, signal_file: Path) -> None:
    """Its own start, stock control, retries, delays, chords, output, progress, samples: all with a worker's rights."""
    fleet.database.refused("worker")
    app = fleet.app
    header = [app.tasks["shop.scale"].s(number) for number in (1, 2, 3)]
    handles = [
        app.tasks["shop.flaky"].delay(1, 0.1),
        app.tasks["shop.add"].apply_async((1, 2), countdown=0.2),
        chord(header)(app.tasks["shop.total"].s()),
        app.tasks["shop.say"].delay("hello", "there"),
    ]
    flaky, added, total, _ = fleet.results(handles)
    assert (flaky["try"], added, total) == (1, 3, 12)
    signal_file.touch()
    assert app.tasks["shop.steps"].delay(4, str(signal_file)).get(timeout=DEADLINE) == 4
    with pytest.raises(ValueError, match="out of stock"):
        app.tasks["shop.broken"].delay().get(timeout=DEADLINE)
    assert set(app.control.inspect(timeout=5, limit=2).ping()) == {GPU0, CPU0}

    # One more, with all that Celery's workers have to say to each other: it greets the others, and is heard by them.
    another = fleet.run("another", "-m", "celery", "-A", "shop", "worker", "-Q", "cpu", "-c", "1", "-l", "INFO")
    eventually(lambda: f"cpu2@{NODE} ready" in another.logs() or another.status == "exited", "another worker is ready")
    another.kill("SIGTERM")
    assert another.wait() == 0 and "mingle: sync with 2 nodes" in another.logs(), another.logs()
    assert fleet.database.refused("worker") == []
    assert "NOPERM" not in fleet.last_words()


def test_a_producer_publishes_and_reads_its_results(
    fleet: Fleet, app_of: Callable[[str], Celery], signal_file: Path
) -> None:
    app = app_of("producer")
    fleet.database.refused("producer")
    assert app.tasks["shop.add"].delay(1, 2).get(timeout=DEADLINE) == 3
    handles = group(app.tasks["shop.scale"].s(number) for number in (1, 2)).apply_async()
    handles.save()
    assert handles.get(timeout=DEADLINE) == [2, 4]
    handles.forget()
    handles.delete()
    header = [app.tasks["shop.scale"].s(number) for number in (1, 2, 3)]
    assert chord(header)(app.tasks["shop.total"].s()).get(timeout=DEADLINE) == 12
    assert app.tasks["shop.add"].apply_async((1, 2), countdown=0.1, node=NODE).get(timeout=DEADLINE) == 3
    with pytest.raises(ValueError, match="out of stock"):
        app.tasks["shop.broken"].delay().get(timeout=DEADLINE)

    stock = Celery("stock", broker=fleet.database.url_of("producer"), backend=fleet.database.url_of("producer", 1))
    with stock:
        for number in range(2):
            assert stock.send_task("shop.add", (number, 2), queue="cpu").get(timeout=DEADLINE) == number + 2
    assert fleet.database.refused("producer") == []


def test_a_producer_that_would_revoke_is_told_that_it_may_not(
    fleet: Fleet, app_of: Callable[[str], Celery], signal_file: Path
) -> None:
    app = app_of("producer")
    running = app.tasks["shop.wait_for"].delay(str(signal_file))
    fleet.await_state(running.id, "running")
    waiting = app.tasks["shop.wait_for"].delay(str(signal_file))
    delayed = app.tasks["shop.add"].apply_async((1, 2), countdown=3600)
    for handle in (running, waiting, delayed):
        with pytest.raises(ForbiddenError, match="expected the broker to let this user do") as refused:
            handle.revoke(terminate=True)
        assert "hint: " in str(refused.value)
    assert fleet.record(waiting.id).state == "waiting" and fleet.record(delayed.id).state == "delayed"
    signal_file.touch()
    assert [handle.get(timeout=DEADLINE)["worker"] for handle in (running, waiting)] == [GPU0, GPU0]


READS = (
    ("gpus",),
    ("health",),
    ("tasks", "--state", "done"),
    ("metrics",),
    ("history",),
    ("dead", "list"),
    ("top", "--json"),
    ("doctor", "--json"),
)


def test_a_monitor_sees_everything(fleet: Fleet, gridq: Callable[..., Result], app_of: Callable[[str], Celery]) -> None:
    handle = app_of("producer").tasks["shop.say"].delay("to be read")
    handle.get(timeout=DEADLINE)
    fleet.await_ready(GPU0, CPU0)
    fleet.database.refused("monitor")
    status = gridq("monitor", "status")
    assert status.exit_code == 0 and "redis://monitor:***@" in status.output and "2 workers" in status.output
    for command in READS:
        result = gridq("monitor", *command)
        assert result.exit_code in (0, 1) and "error:" not in result.output, (command, result.output)
    assert handle.id in gridq("monitor", "show", handle.id).output
    assert handle.id in gridq("monitor", "explain", handle.id).output
    assert "to be read" in gridq("monitor", "logs", handle.id).output
    # The doctor asks for the server's settings, among which its passwords are, and does without.
    assert set(fleet.database.refused("monitor")) <= {"toplevel command config|get"}


@pytest.mark.parametrize("role", ["monitor", "producer"])
@pytest.mark.parametrize(
    "command", [("cancel", "no-such-task"), ("drain", GPU0), ("undrain", GPU0), ("dead", "retry", "--all")]
)
def test_whoever_only_reads_or_publishes_is_told_in_two_lines_that_it_may_not(
    fleet: Fleet, gridq: Callable[..., Result], role: str, command: tuple[str, ...]
) -> None:
    letter = {"no-such-task": "1"}
    fleet.store.command("HSET", "gridq:dead:messages", "no-such-task", f"cpu\n\n{CPU0}\nmade up\n{letter}")
    fleet.store.command("ZADD", "gridq:dead", 1, "no-such-task")
    fleet.store.command("HSET", "gridq:task:no-such-task", "state", "waiting", "queue", "cpu", "message", "made up")
    fleet.store.command("ZADD", "gridq:tasks:waiting", 1, "no-such-task")
    try:
        result = gridq(role, *command)
    finally:
        for key in ("gridq:dead:messages", "gridq:dead", "gridq:task:no-such-task", "gridq:tasks:waiting"):
            fleet.store.command("DEL", key)
    assert result.exit_code == 1, result.output
    assert "error: expected the broker to let this user do" in result.output
    assert "hint: its role has not the right" in result.output and "Traceback" not in result.output


def test_an_operator_cancels_drains_retries_and_gives_orders(
    fleet: Fleet, gridq: Callable[..., Result], app_of: Callable[[str], Celery], signal_file: Path
) -> None:
    fleet.await_ready(GPU0, CPU0)
    fleet.database.refused("operator")
    app = app_of("producer")
    running = app.tasks["shop.wait_for"].delay(str(signal_file))
    fleet.await_state(running.id, "running")
    others = [
        app.tasks["shop.work"].delay(),
        app.tasks["shop.add"].apply_async((1, 2), countdown=3600),
    ]
    ids = [running.id, *(handle.id for handle in others)]
    assert gridq("operator", "cancel", *ids).exit_code == 0
    for task_id in ids:
        fleet.await_state(task_id, "cancelled")
    fleet.await_ready(GPU0)

    assert gridq("operator", "drain", GPU0, "--wait").exit_code == 0
    assert [row["draining"] for row in json.loads(gridq("operator", "gpus", "--json").output)] == [True]
    assert gridq("operator", "undrain", GPU0).exit_code == 0

    task_id, message = by_hand("shop.add", "cpu", 1, 2)
    for word in ("retry", "drop"):
        fleet.store.redis.lpush("cpu", message.replace('"args', '"').replace("application/json", "application/x-none"))
        fleet.await_state(task_id, "dead")
        eventually(lambda: fleet.store.command("SCARD", "gridq:dead:untold") == 0, "its caller was told")
        assert task_id in gridq("operator", "dead", "list").output
        options = ("--yes",) if word == "drop" else ()
        assert gridq("operator", "dead", word, task_id, *options).exit_code == 0
        if word == "retry":
            fleet.await_state(task_id, "dead")
            assert gridq("operator", "dead", "drop", task_id, "--yes").exit_code == 0

    control = app_of("operator").control
    assert set(control.inspect(timeout=5, limit=2).ping()) == {GPU0, CPU0}
    assert len(control.enable_events(reply=True, timeout=5, limit=2)) == 2
    assert gridq("operator", "status").exit_code == 0
    assert fleet.database.refused("operator") == []


# -- what none of them does

#: What nobody may but the server's owner.
NOBODY = (
    "flushdb",
    "flushall",
    "keys *",
    "scan 0",
    "randomkey",
    "config get *",
    "config set requirepass x",
    "config rewrite",
    "acl list",
    "acl setuser x",
    "acl load",
    "client list",
    "client kill id 1",
    "client pause 1",
    "client tracking on bcast",
    "debug object x",
    "shutdown nosave",
    "replicaof no one",
    "module list",
    "function list",
    "script flush",
    "save",
    "bgrewriteaof",
    "swapdb 0 1",
    "slowlog get",
    "monitor",
    "sync",
    "latency latest",
    "rename gpu gpu2",
    "copy gpu gpu2",
    "dump gpu",
    "object encoding gpu",
    "set other 1",
    "get other",
    "psubscribe *",
    "subscribe other",
    "publish other x",
    "psubscribe celery-task-meta-*",
)
#: A task's message, its record in the words of others, and what decides who runs it.
MESSAGES = (
    "rpop gpu",
    "blpop gpu 1",
    "brpop gpu0@node1 1",
    "lmove gpu cpu LEFT RIGHT",
    "lrem gpu 0 x",
    "del gpu",
    "ltrim gpu 1 0",
    "rpush gpu x",
    "lset gpu 0 x",
    "expire gpu 1",
)
CLAIMS = (
    "hset gridq:claims:gpu0@node1 a b",
    "hdel gridq:claims:gpu0@node1 a",
    "del gridq:claims:gpu0@node1",
    "zadd gridq:leases 1 gpu0@node1",
    "hset gridq:holders gpu0@node1 x",
    "hset gridq:workers gpu0@node1 x",
    "set gridq:epoch x",
    "xadd gridq:output:x * text made-up",
    "setex celery-task-meta-x 1 made-up",
    "set celery-task-meta-x made-up",
    "publish celery-task-meta-x made-up",
)
ORDERS = (
    "publish /0.celery.pidbox {}",
    "hset gridq:drains gpu0@node1 0",
    "hdel gridq:dead:messages x",
    "sadd gridq:dead:untold x",
    "sadd gridq:cancels:untold x",
)
READING = (
    "lrange gpu 0 -1",
    "lindex gpu 0",
    "hgetall gridq:claims:gpu0@node1",
    "hvals gridq:claims:gpu0@node1",
    "xrange gridq:output:x - +",
    "hgetall gridq:dead:messages",
    "hgetall gridq:delayed:messages",
    "zrange gridq:tasks:running 0 -1",
    "hgetall gridq:counters",
    "info",
)
WRITING = (
    "lpush gpu x",
    "hset gridq:task:x a b",
    "del gridq:task:x",
    "sadd _kombu.binding.gridq x",
    "del celery-task-meta-x",
)

FORBIDDEN = {
    "producer": (*NOBODY, *MESSAGES, *CLAIMS, *ORDERS, *READING),
    "worker": (*NOBODY, "hset gridq:drains gpu0@node1 0", "info", "lrange gpu 0 -1", "ltrim gpu 1 0", "del gpu"),
    "monitor": (*NOBODY, *MESSAGES, *CLAIMS, *ORDERS, *WRITING),
    "operator": (
        *NOBODY,
        *(command for command in MESSAGES if not command.startswith("lrem")),
        *(command for command in CLAIMS if "celery-task-meta" not in command),
    ),
}


@pytest.mark.parametrize("role", acl.ROLES)
def test_no_role_does_what_is_not_its_work_neither_by_itself_nor_by_a_script(fleet: Fleet, role: str) -> None:
    done = []
    for command in FORBIDDEN[role]:
        words = command.split()
        call = f"return redis.call({', '.join(repr(word) for word in words)})"
        # A connection each, since some of these leave one in another mode, if they are let.
        with redis.Redis.from_url(fleet.database.url_of(role), socket_timeout=5) as client:
            done += [command for tried in (words, ["eval", call, 0]) if not _is_refused(client, tried)]
    assert done == []


def _is_refused(client: redis.Redis, command: Sequence[Any]) -> bool:
    try:
        client.execute_command(*command)
    except redis.exceptions.NoPermissionError:
        return True
    except redis.ResponseError as error:
        # In a script; what cannot be in one, or is let to nobody by this server, is not allowed.
        words = ("ACL failure in script", "The user executing the script can't", "not allowed")
        return any(word in str(error) for word in words)
    return False


def test_the_lines_for_a_users_acl_are_taken_by_a_server(gridq: Callable[..., Result], tmp_path: Path) -> None:
    """Whole, with a prefix and a queue of one's own; and the default user is shut out then."""
    file, password = tmp_path / "users.acl", tmp_path / "password"
    password.touch(mode=0o600)
    password.write_text("sesame")
    options = ("--password-file", str(password), "--prefix", "shop:", "--queue", "slow", "--queue", "train*")
    lines = [gridq("monitor", "acl", role, *options).output for role in acl.ROLES]
    file.write_text(f"{acl.DEFAULT_USER}\n" + "".join(lines))
    arguments = [find_program(), "--unixsocket", tmp_path / "socket", "--port", "0", "--aclfile", file, "--save", ""]
    with subprocess.Popen([*map(str, arguments)], cwd=tmp_path, stdout=subprocess.PIPE, text=True) as server:
        try:
            socket = str(tmp_path / "socket")
            eventually(Path(socket).exists, "the server listens", timeout=10)
            with redis.Redis(unix_socket_path=socket, username="worker", password="sesame") as client:
                assert client.lpush("shop:slow", 1) == 1 and client.lpush("shop:train7", 1) == 1
                for other in ("slow", "shop:slower", "shop:other"):
                    with pytest.raises(redis.exceptions.NoPermissionError):
                        client.lpush(other, 1)
            with redis.Redis(unix_socket_path=socket) as stranger, pytest.raises(redis.AuthenticationError):
                stranger.ping()
        finally:
            server.terminate()


def test_a_server_that_shuts_the_default_user_out_keeps_what_scripts_wrote_through_a_restart(tmp_path: Path) -> None:
    """Servers load the AOF with the default user's rights, and leave out the transactions that these forbid."""
    (tmp_path / "users.acl").write_text(f"{acl.DEFAULT_USER}\nuser ops on >sesame ~* &* +@all\n")
    address, arguments = str(tmp_path / "socket"), ["--port", "0", "--aclfile", "users.acl", "--appendonly", "yes"]
    command = [str(find_program()), "--unixsocket", address, *arguments, "--save", ""]
    found = []
    for _ in range(2):
        with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as server:
            try:
                eventually(Path(address).exists, "the server listens", timeout=10)
                with redis.Redis(unix_socket_path=address, username="ops", password="sesame") as client:
                    found.append(client.mget("a", "b"))
                    client.eval("redis.call('set', 'a', 1) redis.call('set', 'b', 2)", 0)
                refused = pytest.raises((redis.AuthenticationError, redis.ResponseError))
                for password in (None, ""):
                    once = Retry(NoBackoff(), 0)
                    stranger = redis.Redis(unix_socket_path=address, username="default", password=password, retry=once)
                    with stranger, refused:
                        stranger.ping()
            finally:
                server.terminate()
    assert found == [[None, None], [b"1", b"2"]]
