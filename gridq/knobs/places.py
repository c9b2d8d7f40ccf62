"""Where things are: the broker, the tasks, this machine."""

from __future__ import annotations

from gridq.knobs.knob import Knob
from gridq.knobs.parsers import modules, node, path, word
from gridq.urls import checked_url

PLACES: dict[str, Knob] = {
    "broker_url": Knob(
        checked_url,
        "",
        "redis://…, rediss://…, or sentinel://…;sentinel://…",
        "none",
        "The Redis that carries the tasks and gridq's records. Without one, `gridq up` starts a server of its own.",
    ),
    "result_backend": Knob(
        checked_url,
        "",
        "as broker_url",
        "the broker's server, next database",
        "Where results go. A database of its own, so that results can be flushed without losing a task.",
    ),
    "broker_password_file": Knob(
        path("a file"),
        "",
        "the path of a file with the password alone, read by its owner or group only",
        "none",
        "The password for those of the two URLs above that have none, so that it need not stand among settings.",
    ),
    "sentinel_master": Knob(
        word, "", "a word", "none", "What the sentinels call the primary; needed with sentinel:// and only there."
    ),
    "tasks": Knob(
        modules, "", "names of modules", "none", "The modules that define tasks; workers import them at their start."
    ),
    "node": Knob(
        node, "", "a name without spaces or '@'", "the host's name", "This machine's name in queues and in listings."
    ),
    "gpus": Knob(
        word,
        "",
        "auto, nvml, or sim:… such as sim:4x24GiB",
        "auto",
        "Where GPUs are looked for. `auto` is NVML where a driver answers, else no GPU.",
    ),
    "runtime_dir": Knob(
        path("a directory"),
        "",
        "the path of a directory of yours, mode 0700",
        "$XDG_RUNTIME_DIR/gridq, else /tmp/gridq-UID",
        "The local broker's address and data. They hold its password, so no other user may enter.",
    ),
    "lock_dir": Knob(
        path("a directory"),
        "",
        "the path of a directory that all users of the machine share",
        "/tmp/gridq-locks",  # nosec B108 # shared by all users, on purpose
        "One lock file per GPU. Who does not see the others' locks takes their GPUs, so it is not under $TMPDIR.",
    ),
}
