"""What each role may do in Redis: rules for its ACL (Redis 7, Valkey), one source for every tool that writes them.

- producer: publishes tasks, and reads the results of those whose ids it knows.
- worker: what a producer may do, and works: claims, runs, stores results, takes over from workers that died.
- monitor: reads; `status`, `top`, `tasks`, `show`, `logs`, `metrics`, the exporter.
- operator: what a monitor may do, and cancels, drains, retries and drops, and gives workers orders; Flower.

None of them sees the server's settings, lists keys, empties a database or talks about other users. Redis holds the
commands of a Lua script against the rights of whoever runs it, so what is not granted here cannot be done by a script
of one's own either. A grant becomes one selector of the ACL: its commands go with its keys and with no others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gridq.queues import CPU, GPU
from gridq.store import keys

#: The line for the user that Redis takes whoever gives no name for: off and without a password, so nobody can be it.
#: It may do everything, because Redis 7 and Valkey load the AOF with its rights, and leave out each transaction that
#: these forbid, and with it what scripts wrote: a restart would lose queues and claims.
DEFAULT_USER = "user default off resetpass ~* &* +@all"

#: Commands without keys. Of the connection's own only those that see no one else: `client|tracking` would tell the
#: names of all keys that change. Scripts are the way in which everything else is done.
_COMMON = (
    "+@connection -@dangerous -client|tracking +multi +exec +discard +time +eval +evalsha +script|load +script|exists"
)

_READING = (
    "exists type pttl get mget hget hmget hgetall hvals hkeys hlen hexists zrange zrangebyscore zcard zscore zcount "
    "zrandmember smembers sismember scard llen lindex xrange xread xlen"
)
_WRITING = (
    "del unlink pexpire set setnx incrby decrby hset hsetnx hdel hincrby zadd zrem zremrangebyscore zpopmin sadd srem "
    "lpush rpush xadd xdel"
)

_TASKS = ("task:*", "tasks:*", "counters", "counters:tasks")
_WAITING = ("ready:*", "consumer:*", "wake:*", "constrained", "homes", "delayed", "delayed:messages")
_LEASES = ("claims:*", "attached:*", "workers", "leases", "holders", "reaped", "epoch", "nothing", "gpus")
_OUTPUT = ("output:*", "outputs", "outputs:sizes", "outputs:sum")
_ENDS = ("cancels:untold", "dead", "dead:messages", "dead:untold", "telling:*")
_SAMPLES = ("samples", "sampled")


@dataclass(frozen=True, slots=True)
class Scope:
    """Which fleet on a server the rules are for.

    Attributes:
        prefix: the `global_keyprefix` of the broker.
        results_prefix: the `global_keyprefix` of the result backend.
        database: the broker's; Celery's channels of remote control and events have its number in their names.
        queues: names of further queues than gridq's own; one that ends with `*` stands for all that begin so.
    """

    prefix: str = ""
    results_prefix: str = ""
    database: int = 0
    queues: tuple[str, ...] = ()

    def own(self, *names: str) -> tuple[str, ...]:
        """Patterns of gridq's keys."""
        return tuple(self.prefix + keys.PREFIX + name for name in names)

    def kombu(self, *names: str) -> tuple[str, ...]:
        """Patterns of kombu's keys."""
        return tuple(self.prefix + name for name in names)

    def channels(self, *names: str) -> tuple[str, ...]:
        """Celery's channels of that database."""
        return tuple(f"{self.prefix}/{self.database}.{name}" for name in names)

    @property
    def lists(self) -> tuple[str, ...]:
        """Patterns of the lists in which messages wait, those of all priorities."""
        own = [pattern for queue in self.queues for pattern in _lists_of(queue)]
        return self.kombu(f"{CPU}*", f"{GPU}*", *own)

    @property
    def results(self) -> str:
        """The pattern of the results of tasks, and of the channels on which they are told."""
        return f"{self.results_prefix}celery-task-meta-*"

    @property
    def groups(self) -> str:
        """The pattern of what is kept of groups and chords."""
        return f"{self.results_prefix}celery-taskset-meta-*"


def _lists_of(queue: str) -> tuple[str, ...]:
    # What kombu puts before a priority step is no printable character; `name*` could be a name of somebody else's keys.
    return (queue,) if queue.endswith("*") else (queue, f"{queue}[^!-~]*")


@dataclass(frozen=True, slots=True)
class Grant:
    """Commands, and the keys and channels that they may be used on.

    Attributes:
        commands: names, separated by spaces.
        reads, writes: patterns of keys; what is to be read and written is in both.
        channels: patterns of channels.
    """

    commands: str
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    def selector(self) -> str:
        """As Redis has it: `(+get %R~key)`."""
        # Redis takes a pattern for reading and one for writing for two; a command that does both needs one for both.
        both = [name for name in self.reads if name in self.writes]
        words = [f"+{command}" for command in self.commands.split()]
        words += [f"~{name}" for name in both]
        words += [f"%R~{name}" for name in self.reads if name not in both]
        words += [f"%W~{name}" for name in self.writes if name not in both]
        words += [f"&{name}" for name in self.channels]
        return f"({' '.join(words)})"


def _both(commands: str, *names: str) -> Grant:
    return Grant(commands, names, names)


def _publishing(at: Scope) -> list[Grant]:
    """What put.lua does, and the picture of the fleet that the router places tasks by."""
    return [
        # kombu asks for the length of what it declares; that tells nothing of what lies there.
        Grant("lpush llen", writes=at.lists),
        _both("sadd smembers", *at.kombu("_kombu.binding.*", "_kombu.binding_permanent.*")),
        _both("exists hget hmget hset hsetnx hdel del pexpire", *at.own("task:*")),
        Grant("zadd zrem", writes=at.own("tasks:*")),
        _both("hincrby", *at.own("counters")),
        _both("sismember scard sadd", *at.own("counters:tasks")),
        Grant("sadd", writes=at.own("constrained")),
        Grant("zadd", writes=at.own("delayed")),
        Grant("hset", writes=at.own("delayed:messages")),
        _both("zrange zadd zrem", *at.own("ready:*")),
        _both("hmget hset hincrby del", *at.own("consumer:*")),
        Grant("lpush pexpire", writes=at.own("wake:*")),
        Grant("hvals", reads=at.own("workers", "gpus")),
        Grant("hkeys", reads=at.own("drains")),
    ]


def _awaiting(at: Scope) -> list[Grant]:
    """Groups and chords that are sent, results that are read and forgotten; none that is made up."""
    return [
        Grant("get mget", reads=(at.results, at.groups)),
        Grant("del", writes=(at.results, at.groups)),
        Grant("set setex", writes=(at.groups,)),
        Grant("publish", channels=(at.groups, *at.channels("celeryev/task.sent"))),
        Grant("subscribe unsubscribe", channels=(at.results,)),
    ]


def _storing(at: Scope) -> list[Grant]:
    """The ends of tasks, and what chords are made of."""
    chord = "get set del exists expire incr zadd zcount zrange rpush llen lrange sadd sismember evalsha eval"
    return [
        Grant("get mget", reads=(at.results, at.groups)),
        Grant("set setex del", writes=(at.results,)),
        _both(f"{chord} setex", at.groups),
        Grant("publish", channels=(at.results, at.groups)),
    ]


def _commanding(at: Scope) -> list[Grant]:
    """Orders to workers, and their replies."""
    return [
        Grant("publish", channels=at.channels("celery.pidbox")),
        _both("brpop lpush rpop del exists llen pexpire", *at.kombu("*.reply.celery.pidbox*")),
        _both(
            "sadd srem smembers evalsha eval zadd zrem zscore zrangebyscore pexpire persist exists del",
            *at.kombu("_kombu.binding*"),
        ),
    ]


def _working(at: Scope) -> list[Grant]:
    """Claims, leases, output and samples; Celery's own talk among workers."""
    everything = at.own(*_TASKS, *_WAITING, *_LEASES, *_OUTPUT, *_ENDS, *_SAMPLES)
    return [
        Grant(f"{_READING} {_WRITING} blpop rpop", reads=(*everything, *at.own("drains")), writes=everything),
        _both("lpush rpush rpop lindex lrem llen exists", *at.lists),
        # kombu looks there for what its own consumers did not acknowledge, though no task is held in that way.
        _both("set get del evalsha eval zrange zrem", *at.kombu("unacked*")),
        _both("llen del exists", *at.kombu("*.celery.pidbox*", "celeryev.*")),
        Grant("psubscribe punsubscribe", channels=at.channels("celery.pidbox", "celeryev/worker.*")),
        Grant("publish", channels=at.channels("celeryev/*")),
    ]


def _reading(at: Scope) -> list[Grant]:
    """All that gridq keeps, what waits, and the results."""
    return [
        Grant(_READING, reads=(*at.own("*"), *at.lists)),
        Grant("get mget", reads=(at.results, at.groups)),
    ]


def _operating(at: Scope) -> list[Grant]:
    """cancel.lua, revive.lua, drains, the ends of tasks that are told, and events for Flower."""
    touched = at.own(*_TASKS, *_WAITING, *_ENDS, "drains")
    return [
        Grant(f"{_READING} {_WRITING}", reads=touched, writes=touched),
        _both("lpush lrem llen", *at.lists),
        _both("llen del exists", *at.kombu("celeryev.*")),
        Grant("psubscribe punsubscribe", channels=at.channels("celeryev/*")),
    ]


def _producer(at: Scope) -> list[Grant]:
    return [*_publishing(at), *_awaiting(at)]


def _worker(at: Scope) -> list[Grant]:
    return [*_producer(at), *_storing(at), *_commanding(at), *_working(at)]


def _operator(at: Scope) -> list[Grant]:
    return [*_reading(at), *_operating(at), *_storing(at), *_commanding(at)]


_ROLES: dict[str, tuple[str, Callable[[Scope], list[Grant]]]] = {
    "producer": ("", _producer),
    "worker": ("", _worker),
    "monitor": ("+info", _reading),
    "operator": ("+info", _operator),
}

#: The roles, in the order of what they may do to others' tasks.
ROLES = tuple(_ROLES)


def grants(role: str, scope: Scope) -> list[Grant]:
    """What a role may do with keys and channels."""
    return _ROLES[role][1](scope)


def rules(role: str, scope: Scope = Scope()) -> list[str]:
    """The rules of a role for ACL SETUSER, without name and password.

    First what may be done without keys, then a selector for each grant. What the user could do before is taken away.
    """
    more = _ROLES[role][0]
    common = f"resetkeys resetchannels clearselectors -@all {_COMMON} {more}"
    return [*common.split(), *dict.fromkeys(grant.selector() for grant in grants(role, scope))]
