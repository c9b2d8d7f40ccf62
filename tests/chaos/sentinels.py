"""Redis as it is run where it matters: TLS alone, access lists, a primary, a replica and three Sentinels."""

from __future__ import annotations

import contextlib
import signal
import ssl
import subprocess
import time
from pathlib import Path

import redis

from .processes import Process
from .servers import free_port
from .sides import Access

HOST = "127.0.0.1"
MASTER = "gridq"
#: Passwords of this laboratory, which lives for seconds and listens on loopback alone.
APP, OPS, REPLICA, SENTINEL = "app-pass", "ops-pass", "replica-pass", "sentinel-pass"
PREFIX = "gridq:"

ACCESS_LIST = f"""user default off resetpass ~* &* +@all
user app on >{APP} ~celery* ~_kombu* ~unacked* ~{PREFIX}* &* +@all -@admin -@dangerous +info +keys
user ops on >{OPS} ~* &* +@all
user repl on >{REPLICA} +psync +replconf +ping
user sentinel on >{SENTINEL} allchannels +multi +slaveof +ping +exec +subscribe +config|rewrite +role +publish +info \
+client|setname +client|kill +script|kill
"""


class Lab:
    """The five servers.

    Args:
        folder: for their data, certificates and output.
        waits: replicas that must have a write before the primary takes the next one, `min-replicas-to-write`.
        access_list: the users.acl of the servers.
    """

    def __init__(self, folder: Path, waits: int = 0, access_list: str = ACCESS_LIST) -> None:
        self.folder = folder
        self.access_list = access_list
        self.waits = waits
        self.servers: dict[int, Process] = {}
        self.sentinels: dict[int, Process] = {}
        self._old = 0

    def start(self) -> None:
        """Start all of them, and wait until the replica follows and the Sentinels agree."""
        self.folder.mkdir(parents=True)
        self._certify()
        primary = self._server("r1", None)
        self._server("r2", primary)
        for number in range(3):
            self._sentinel(f"s{number}", primary)
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with contextlib.suppress(redis.RedisError):
                if self._agree(primary):
                    return
            time.sleep(0.1)
        raise RuntimeError("the Sentinels do not agree")

    def _agree(self, primary: int) -> bool:
        """Whether the Sentinels know each other, and know that the replica follows: they promote no other."""
        sentinel = self._to(next(iter(self.sentinels)))
        replicas = [self._to(port).sentinel_slaves(MASTER) for port in self.sentinels]
        follows = all(found and found[0]["master-link-status"] == "ok" for found in replicas)
        online = self._to(primary, "ops", OPS).info("replication").get("slave0", {}).get("state") == "online"
        return follows and online and b"OK 3" in sentinel.execute_command("SENTINEL", "CKQUORUM", MASTER)

    def stop(self) -> None:
        """End all of them."""
        for process in [*self.sentinels.values(), *self.servers.values()]:
            process.stop()

    def access(self) -> Access:
        """How Celery reaches it; the prefix is what the access list allows."""
        tls = {"ssl_cert_reqs": "required", "ssl_ca_certs": str(self.folder / "ca.crt")}
        # kombu makes its clients of the servers from broker_use_ssl, and those of the Sentinels from these words.
        options = {"master_name": MASTER, "sentinel_kwargs": {"ssl": True, **tls}, "global_keyprefix": PREFIX}
        hosts = [f"sentinel://app:{APP}@{HOST}:{port}" for port in self.sentinels]
        configuration = {
            "broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED.value, "ssl_ca_certs": tls["ssl_ca_certs"]},
            "redis_backend_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED.value, "ssl_ca_certs": tls["ssl_ca_certs"]},
            "broker_transport_options": options,
            "result_backend_transport_options": {**options, "global_keyprefix": "celery-results:"},
        }
        return Access(";".join(f"{host}/0" for host in hosts), ";".join(f"{host}/1" for host in hosts), configuration)

    def primary(self) -> int:
        """The port of the server that the Sentinels call the primary."""
        for port in self.sentinels:
            with contextlib.suppress(redis.RedisError):
                found = self._to(port).execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)
                return int(found[1])
        raise RuntimeError("no Sentinel answers")

    def client(self) -> redis.Redis:
        """A client of the primary that may do everything."""
        return self._to(self.primary(), "ops", OPS)

    def kill_primary(self) -> None:
        """Kill the primary at once."""
        self._old = self.primary()
        self.servers[self._old].signal(signal.SIGKILL)

    def restart_old(self) -> None:
        """Wait until the other one is the primary, and start the old one again, which then follows it."""
        end = time.monotonic() + 30
        while self.primary() == self._old and time.monotonic() < end:
            time.sleep(0.05)
        folder = self.servers[self._old].log.parent
        self.servers[self._old] = Process(["redis-server", str(folder / "server.conf")], folder / "output")
        self.await_primary()

    def freeze_replica_and_kill(self, seconds: float) -> None:
        """Freeze the replica, let the primary go on for so long, kill it, and let the replica go on."""
        replica = next(process for port, process in self.servers.items() if port != self.primary())
        replica.signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.kill_primary()
        replica.signal(signal.SIGCONT)

    def await_primary(self) -> None:
        """Wait until the other server takes writes."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            with contextlib.suppress(redis.RedisError, RuntimeError):
                if self.primary() != self._old and self.client().set("gridq:chaos", 1):
                    return
            time.sleep(0.05)
        raise RuntimeError("nobody was made the primary")

    def _to(self, port: int, user: str | None = None, password: str | None = None) -> redis.Redis:
        return redis.Redis(
            host=HOST,
            port=port,
            username=user,
            password=password,
            ssl=True,
            ssl_ca_certs=str(self.folder / "ca.crt"),
            socket_timeout=2,
        )

    def _certify(self) -> None:
        """An authority of our own, and a certificate for the servers."""
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        names = "subjectAltName=IP:127.0.0.1,DNS:localhost"
        (self.folder / "names").write_text(names + "\n")
        signed = ["-days", "2", "-out", "srv.crt", "-extfile", "names"]
        for command in (
            ["req", "-x509", *curve, "-days", "2", "-subj", "/CN=lab", "-keyout", "ca.key", "-out", "ca.crt"],
            ["req", *curve, "-subj", "/CN=redis", "-keyout", "srv.key", "-out", "srv.csr"],
            ["x509", "-req", "-in", "srv.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", *signed],
        ):
            subprocess.run(["openssl", *command], cwd=self.folder, check=True, capture_output=True)

    def _lines(self, port: int, folder: Path) -> list[str]:
        return [
            "port 0",
            f"tls-port {port}",
            f"bind {HOST}",
            f"dir {folder}",
            f"tls-cert-file {self.folder}/srv.crt",
            f"tls-key-file {self.folder}/srv.key",
            f"tls-ca-cert-file {self.folder}/ca.crt",
            "tls-replication yes",
            "tls-auth-clients optional",
        ]

    def _run(self, program: str, name: str, port: int, lines: list[str]) -> Process:
        folder = self.folder / name
        file = folder / "server.conf"
        file.write_text("\n".join([*self._lines(port, folder), *lines]) + "\n")
        return Process([program, str(file)], folder / "output")

    def _server(self, name: str, primary: int | None) -> int:
        folder, port = self.folder / name, free_port(HOST)
        folder.mkdir()
        (folder / "users.acl").write_text(self.access_list)
        lines = [
            f"aclfile {folder}/users.acl",
            "appendonly yes",
            "repl-diskless-sync-delay 0",
            "masteruser repl",
            f"masterauth {REPLICA}",
        ]
        lines += [f"min-replicas-to-write {self.waits}"] if self.waits else []
        lines += [f"replicaof {HOST} {primary}"] if primary else []
        self.servers[port] = self._run("redis-server", name, port, lines)
        return port

    def _sentinel(self, name: str, primary: int) -> None:
        port = free_port(HOST)
        (self.folder / name).mkdir()
        lines = [
            f"sentinel monitor {MASTER} {HOST} {primary} 2",
            f"sentinel auth-user {MASTER} sentinel",
            f"sentinel auth-pass {MASTER} {SENTINEL}",
            f"sentinel down-after-milliseconds {MASTER} 1000",
            f"sentinel failover-timeout {MASTER} 5000",
        ]
        self.sentinels[port] = self._run("redis-sentinel", name, port, lines)
