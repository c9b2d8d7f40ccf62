"""docker-compose.yml on a real engine: up in one step, tasks once each whatever is killed, nothing left at the end."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from tests.deploy.engine import Deployment, engine, missing, prepare

pytestmark = [pytest.mark.skipif(bool(missing()), reason=missing() or ""), pytest.mark.timeout(900)]

#: What the tasks write is theirs, not gridq's word.
SHOP = """
import os, time
from gridq import app

def note(event, task):
    file = os.open("/ledger/lines", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(file, f"{event} {task}\\n".encode())
    os.close(file)

def work(self, number, seconds):
    note("start", self.request.id)
    time.sleep(seconds)
    note("end", self.request.id)
    return number * number

app.task(name="shop.on_cpu", bind=True)(work)
app.task(name="shop.on_gpu", bind=True, gpu=True, vram="1GiB")(work)

@app.task(name="shop.tick")
def tick():
    note("tick", "beat")

app.conf.beat_schedule = {"tick": {"task": "shop.tick", "schedule": 1.0, "options": {"expires": 10}}}
"""
CLIENT = """
import json, sys
from gridq import app
count, seconds, name = int(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
names = ["shop.on_cpu", "shop.on_gpu"] if name == "both" else [name]

def send(name, number):
    needs = {"vram": "1GiB"} if name == "shop.on_gpu" else {}
    return app.send_task(name, (number, seconds), **needs)

sent = [send(names[number % len(names)], number) for number in range(count)]
print("sent", flush=True)
print(json.dumps({task.id: task.get(timeout=300) for task in sent}))
"""
LEDGER = """
x-ledger: &ledger {{volumes: ["{folder}/ledger:/ledger"]}}
services:
  gpu-worker: *ledger
  cpu-worker: *ledger
"""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment that is up, by the one command of the documentation."""
    folder = tmp_path_factory.mktemp("compose")
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    (folder / "tasks").mkdir()
    (folder / "tasks" / "shop.py").write_text(SHOP)
    (folder / "tasks" / "client.py").write_text(CLIENT)
    (folder / "ledger").mkdir()
    (folder / "ledger").chmod(0o777)
    (folder / "ledger.yml").write_text(LEDGER.format(folder=folder))
    down, deployment = prepare(), Deployment(f"gridq-test-{os.getpid()}", folder)
    try:
        deployment.compose("build")
        began = time.monotonic()
        deployment.compose("up", "-d", "--wait")
        print(f"up --wait: {time.monotonic() - began:.1f}s")
        yield deployment
    finally:
        deployment.compose("down", "-v", "-t", "5", "--remove-orphans")
        down()


def send(fleet: Deployment, count: int, seconds: float, name: str, then: Callable[[], object] = lambda: None) -> None:
    """Send tasks from a container, do something once they run, and see that each ended once with the right result."""
    before = fleet.ledger("start")
    client = fleet.start("run", "--rm", "-T", "client", "python", "client.py", str(count), str(seconds), name)
    assert client.stdout is not None
    assert client.stdout.readline() == "sent\n"
    until(lambda: len(fleet.ledger("start")) >= len(before) + min(2, count))
    then()
    results: dict[str, int] = json.loads(client.stdout.readline())
    assert client.wait(60) == 0
    assert sorted(results.values()) == [number * number for number in range(count)]
    ends = fleet.ledger("end")
    lost = [task for task in results if ends[task] == 0]
    twice = [task for task in results if ends[task] > 1]
    starts = sum(fleet.ledger("start")[task] for task in results)
    print(f"submitted {count}, lost {len(lost)}, duplicated {len(twice)}, starts {starts}")
    assert (lost, twice) == ([], [])


def until(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Look again until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to hold in time"
        time.sleep(0.1)


def cpu_workers(fleet: Deployment) -> int:
    return sum(name.startswith("cpu@") for name in (worker["name"] for worker in fleet.gridq("status")["workers"]))


def test_fifty_tasks_of_a_client_in_a_container_run_once_each(fleet: Deployment) -> None:
    send(fleet, 50, 0.05, "both")


def test_cpu_workers_are_scaled_to_five_and_back(fleet: Deployment) -> None:
    fleet.compose("up", "-d", "--wait", "--scale", "cpu-worker=5")
    assert cpu_workers(fleet) == 5
    send(fleet, 50, 0.1, "shop.on_cpu")
    fleet.compose("up", "-d", "--wait")
    until(lambda: cpu_workers(fleet) == 1)


@pytest.mark.parametrize("service", ["gpu-worker", "cpu-worker"])
def test_the_tasks_of_a_killed_container_run_again_and_it_comes_back(fleet: Deployment, service: str) -> None:
    def kill() -> None:
        # As the kernel would, short of memory: `docker kill` counts as a wish that it stay away.
        os.kill(fleet.containers(service)[0]["State"]["Pid"], signal.SIGKILL)

    send(fleet, 20, 1.0, f"shop.on_{service[:3]}", kill)
    until(lambda: fleet.containers(service)[0]["State"].get("Health", {}).get("Status") == "healthy")
    assert fleet.containers(service)[0]["RestartCount"] == 1


def test_redis_is_restarted_under_running_tasks_and_none_is_lost(fleet: Deployment) -> None:
    send(fleet, 30, 0.5, "both", lambda: fleet.compose("restart", "redis"))


def test_prometheus_scrapes_the_exporter_and_has_its_rules(fleet: Deployment) -> None:
    def targets() -> list[str]:
        _, body = fleet.get("http://localhost:9090/api/v1/targets")
        return [f"{one['labels']['job']} {one['health']}" for one in json.loads(body)["data"]["activeTargets"]]

    until(lambda: targets() == ["gridq up"])
    _, body = fleet.get("http://localhost:9090/api/v1/rules")
    rules = [rule for group in json.loads(body)["data"]["groups"] for rule in group["rules"]]
    assert {rule["type"] for rule in rules} == {"alerting", "recording"}
    _, body = fleet.get("http://localhost:9090/api/v1/query?query=gridq_broker_up")
    assert json.loads(body)["data"]["result"][0]["value"][1] == "1"


def test_flower_shows_the_gpus_to_who_has_the_password_alone_also_behind_tls(fleet: Deployment) -> None:
    user = fleet.compose("exec", "-T", "flower", "cat", "/run/flower/users").strip()
    for origin, tls in (("http://localhost:5555", ()), ("https://localhost", ("-k",))):
        assert fleet.get(f"{origin}/gpus?json=1", *tls)[0] == 401
        assert fleet.get(f"{origin}/gpus?json=1", "-u", "admin:wrong", *tls)[0] == 401
        status, body = fleet.get(f"{origin}/gpus?json=1", "-u", user, *tls)
        assert status == 200 and len(json.loads(body)["gpus"]) == 2
    status, body = fleet.get("https://localhost/grafana/api/health", "-k")
    assert status == 200 and '"ok"' in body
    with pytest.raises(AssertionError, match="certificate"):
        fleet.get("https://localhost/")


def test_beat_sends_what_the_tasks_schedule_and_a_second_one_waits(fleet: Deployment) -> None:
    def a_while() -> int:
        began, end = fleet.ledger("tick")["beat"], time.monotonic() + 6
        until(lambda: time.monotonic() > end)
        return fleet.ledger("tick")["beat"] - began

    assert 4 <= a_while() <= 8
    fleet.compose("up", "-d", "--scale", "beat=2", "--no-recreate")
    assert 4 <= a_while() <= 8
    fleet.compose("up", "-d", "--scale", "beat=1", "--no-recreate")


def test_no_container_may_more_than_it_must_and_no_secret_can_be_seen(fleet: Deployment) -> None:
    operator = fleet.compose("exec", "-T", "flower", "cat", "/run/secrets/broker-password").strip()
    for service in fleet.compose("config", "--services").split():
        for one in fleet.containers(service):
            host = one["HostConfig"]
            assert (host["ReadonlyRootfs"], host["CapDrop"]) == (True, ["ALL"]), service
            assert "no-new-privileges:true" in host["SecurityOpt"], service
            assert service == "secrets" or one["Config"]["User"] not in ("", "0", "0:0") or "gridq" not in service
            assert all(bind["HostIp"] == "127.0.0.1" for port in (host["PortBindings"] or {}).values() for bind in port)
            assert operator not in json.dumps(one), service
    assert operator not in fleet.compose("logs")


def test_nothing_is_left_of_it(fleet: Deployment) -> None:
    fleet.compose("down", "-v", "--remove-orphans")
    label = f"label=com.docker.compose.project={fleet.name}"
    for kind in (["ps", "-aq"], ["volume", "ls", "-q"], ["network", "ls", "-q"]):
        assert engine("docker", *kind, "--filter", label) == ""
