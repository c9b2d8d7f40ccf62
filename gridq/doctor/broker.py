"""Is the Redis one that keeps what it is given? Each check is a function of what the server said of itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from gridq.config import Settings
from gridq.doctor.finding import Finding, error, note, ok, warning
from gridq.store.server import ServerFacts
from gridq.units import format_bytes, format_seconds

#: ZRANGE … REV and XADD … MINID came with it.
OLDEST = (6, 2)
#: WAITAOF, which `confirm: aof` waits for.
OLDEST_WITH_WAITAOF = (7, 2)
#: Seconds. A task costs about four round trips from `delay()` to its end.
SLOW, VERY_SLOW = 0.01, 0.1
#: Seconds from which on log lines of two machines are hard to put side by side.
SKEWED, FAR_OFF = 2.0, 60.0
_FULL, _NEARLY_FULL = 0.95, 0.8
_LOOK = "ACL SETUSER … +info +config|get lets gridq doctor look"


@dataclass(frozen=True, slots=True)
class Broker:
    """What the checks of the broker look at.

    Attributes:
        server: what it says of itself.
        settings: gridq's, of whoever asks.
        url: where it is, its password masked.
        local: whether it is the server of this machine's `gridq up`.
    """

    server: ServerFacts
    settings: Settings
    url: str
    local: bool = False

    def said(self, name: str, default: str = "") -> str:
        """One field of INFO; the default where it is not there, or INFO may not be asked."""
        return (self.server.info or {}).get(name, default)

    def number(self, name: str) -> int:
        """The same as a whole number, 0 for none."""
        text = self.said(name, "0")
        return int(text) if text.lstrip("-").isdigit() else 0

    def setting(self, name: str) -> str | None:
        """One of the server's settings; None where they may not be asked."""
        return None if self.server.settings is None else self.server.settings.get(name)


def examine(broker: Broker) -> Iterator[Finding]:
    """Every check of the broker."""
    yield from access(broker)
    yield from latency(broker)
    yield from clock(broker)
    if broker.server.info is not None:
        yield from version(broker)
        yield from role(broker)
        yield from persistence(broker)
        yield from writing(broker)
        yield from replicas(broker)
        yield from eviction(broker)
        yield from memory(broker)
        yield from connections(broker)


def access(broker: Broker) -> Iterator[Finding]:
    """Whether the server may be asked at all."""
    where = broker.url + (", the server of gridq up: what waits there is gone when that ends" if broker.local else "")
    yield ok("address", where)
    if broker.server.info is None:
        yield note("access", "not allowed to look: INFO is refused, so what it says was not checked", hint=_LOOK)
    elif broker.server.settings is None:
        yield note("access", "not allowed to look: CONFIG GET is refused; checked as far as INFO tells", hint=_LOOK)


def version(broker: Broker) -> Iterator[Finding]:
    """Whether it has the commands that gridq needs."""
    seen = f"{broker.server.name} {broker.server.version or '?'}"
    # Valkey counts on from Redis 7.2 and says in redis_version which Redis it is compatible with.
    speaks = _version(broker.said("redis_version"))
    needed, why = OLDEST, ""
    if broker.settings.confirm == "aof":
        needed, why = OLDEST_WITH_WAITAOF, " for confirm: aof"
    wanted = ".".join(map(str, needed))
    if speaks and speaks < needed:
        yield error("version", seen, f"Redis {wanted} or newer{why}, or Valkey", "update the server")
    else:
        yield ok("version", seen)
    if broker.said("redis_mode") == "cluster":
        yield error(
            "mode",
            "Redis Cluster, whose scripts may touch the keys of one slot only",
            "one primary, alone or with replicas and Sentinel",
            "point broker_url at a Redis that is no cluster (cluster-enabled no)",
        )


def latency(broker: Broker) -> Iterator[Finding]:
    """How far away it is."""
    trips = broker.server.round_trips
    if not trips:
        return
    middle, most = median(trips), max(trips)
    seen = f"{_ms(middle)} in the middle, {_ms(most)} at most, of {len(trips)} round trips"
    if middle > SLOW:
        mend = "put the broker nearer to the workers; redis-cli SLOWLOG GET shows commands that hold it up"
        yield warning("latency", seen, f"less than {_ms(SLOW)} in the middle", mend)
    elif most > VERY_SLOW:
        yield note("latency", seen, f"less than {_ms(VERY_SLOW)}", "redis-cli --latency-history; redis-cli SLOWLOG GET")
    else:
        yield ok("latency", seen)


def clock(broker: Broker) -> Iterator[Finding]:
    """How this host's clock stands to Redis'. Leases do not care; who reads logs does."""
    ahead = broker.server.ahead
    off = f"{format_seconds(abs(ahead))} {'behind' if ahead > 0 else 'ahead of'} Redis'"
    seen = f"this host's clock is {off}; leases go by Redis' clock alone"
    if abs(ahead) > FAR_OFF:
        yield warning("clock", seen, f"less than {SKEWED:g}s, or times in logs mislead", "timedatectl set-ntp true")
    elif abs(ahead) > SKEWED:
        yield note("clock", seen, f"less than {SKEWED:g}s, or times in logs mislead", "timedatectl set-ntp true")
    else:
        yield ok("clock", seen)


def role(broker: Broker) -> Iterator[Finding]:
    """Whether it takes writes."""
    if broker.said("role") == "slave":
        primary = f"{broker.said('master_host', '?')}:{broker.said('master_port', '?')}"
        mend = f"point broker_url at {primary}, or at the sentinels"
        yield error("role", f"a replica of {primary}, which refuses writes", "the primary", mend)
    if broker.said("loading") == "1":
        yield error("role", "it still loads its data", "a server that is ready", "wait until it has loaded")


def persistence(broker: Broker) -> Iterator[Finding]:
    """What a restart or a power cut would lose."""
    if broker.said("aof_enabled") == "1":
        yield _append_only(broker)
        return
    if broker.settings.confirm == "aof":
        seen, wanted = "appendonly no, and confirm: aof waits for it at every delay()", "appendonly yes"
        yield error("persistence", seen, wanted, _set("appendonly yes"))
        return
    snapshots = broker.setting("save")
    if snapshots is None:
        seen = "appendonly no; whether snapshots are taken is not known"
    elif snapshots:
        seen = f"appendonly no, snapshots only (save {snapshots}): a crash loses what came after the last one"
    else:
        seen = "appendonly no and no snapshots: a restart loses every task that waits, and all results"
    judge = error if snapshots == "" else warning
    yield judge("persistence", seen, "appendonly yes, appendfsync everysec", _set("appendonly yes"))


def _append_only(broker: Broker) -> Finding:
    flush = broker.setting("appendfsync")
    lost = {
        "always": "nothing that was accepted is lost at a power cut",
        "everysec": "a power cut loses the last second",
        None: "how often it is flushed is not known",
    }
    if flush in lost:
        return ok("persistence", f"appendonly yes{f', appendfsync {flush}' if flush else ''}: {lost[flush]}")
    seen = f"appendonly yes, appendfsync {flush}: a power cut loses what the system had not written, often 30s"
    return warning("persistence", seen, "appendfsync everysec or always", _set("appendfsync everysec"))


def writing(broker: Broker) -> Iterator[Finding]:
    """Whether the last writes to the disk went well."""
    kinds = {"aof_last_write_status": "append-only file", "rdb_last_bgsave_status": "snapshot"}
    for field, what in kinds.items():
        if broker.said(field, "ok") != "ok":
            seen = f"the last write of its {what} failed; Redis may refuse writes until one succeeds"
            yield error(
                "disk", seen, f"{field}:ok", "look for room and permissions in the server's dir, and at its log"
            )


def replicas(broker: Broker) -> Iterator[Finding]:
    """Whether there are as many as somebody waits for."""
    if broker.said("role") == "slave":
        return
    there = broker.number("connected_slaves")
    wanted = int(broker.setting("min-replicas-to-write") or 0)
    seen = f"{there} connected, min-replicas-to-write {wanted}"
    if there < wanted:
        mend = f"bring replicas back, or {_set(f'min-replicas-to-write {there}')}"
        yield error("replicas", f"{seen}: writes are refused", f"{wanted} or more connected", mend)
    elif broker.settings.confirm == "replica" and not there:
        seen = f"{seen}, and confirm: replica waits for one at every delay()"
        yield error("replicas", seen, "a connected replica", "connect one, or set confirm: aof or none")
    elif there == wanted == 1:
        mend = "connect a second replica"
        yield note("replicas", f"{seen}: after a failover the new primary refuses writes", "2 connected", mend)
    elif there and not wanted and broker.setting("min-replicas-to-write") is not None:
        seen = f"{seen}: a primary that is cut off goes on accepting tasks that a failover loses"
        yield note("replicas", seen, "min-replicas-to-write 1", _set("min-replicas-to-write 1"))
    else:
        yield ok("replicas", seen)


def eviction(broker: Broker) -> Iterator[Finding]:
    """Whether it deletes what it was given when it is full."""
    policy = broker.said("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        yield ok("eviction", "maxmemory-policy noeviction: when full it refuses new tasks and deletes none")
        return
    wanted, mend = "maxmemory-policy noeviction", _set("maxmemory-policy noeviction")
    if not broker.number("maxmemory"):
        seen = f"maxmemory-policy {policy}; with maxmemory 0 nothing is deleted yet"
        yield warning("eviction", seen, wanted, mend)
    else:
        lost = "results and records" if policy.startswith("volatile") else "queues, claims and results"
        yield error("eviction", f"maxmemory-policy {policy}: when full it deletes {lost}", wanted, mend)


def memory(broker: Broker) -> Iterator[Finding]:
    """Whether it will be full soon."""
    used, limit, machine = (broker.number(name) for name in ("used_memory", "maxmemory", "total_system_memory"))
    most = limit or machine
    seen = f"{format_bytes(used)} used of " + (
        f"maxmemory {format_bytes(limit)}" if limit else f"a machine with {format_bytes(machine)}; no maxmemory"
    )
    share = used / most if most else 0.0
    wanted = f"less than {_NEARLY_FULL:.0%}"
    mend = "set maxmemory higher, or records_limit, output_total, samples_ttl or result_expires lower"
    if share > _FULL:
        yield error("memory", f"{seen} ({share:.0%})", wanted, mend)
    elif share > _NEARLY_FULL:
        yield warning("memory", f"{seen} ({share:.0%})", wanted, mend)
    else:
        yield ok("memory", seen)


def connections(broker: Broker) -> Iterator[Finding]:
    """Whether more workers can still connect."""
    now, most = broker.number("connected_clients"), broker.number("maxclients")
    if not most:
        return
    seen = f"{now} of {most}"
    if now > most * _NEARLY_FULL:
        yield warning("connections", seen, f"less than {_NEARLY_FULL:.0%}", _set(f"maxclients {2 * most}"))
    else:
        yield ok("connections", seen)


def _set(setting: str) -> str:
    return f"redis-cli CONFIG SET {setting}, and the same in redis.conf"


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g}ms"
