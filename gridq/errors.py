"""Every error that gridq raises: what was expected, what came, and a hint."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggestion(word: str, names: Iterable[str]) -> str | None:
    """The hint that names the nearest of these names; None when none is near."""
    near = difflib.get_close_matches(word, list(names), n=1)
    return f"did you mean {near[0]!r}?" if near else None


class GridqError(Exception):
    """Something gridq cannot do, said in one sentence.

    Args:
        message: what was expected and what came.
        hint: what to do about it; shown on a line of its own.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class ConfigError(GridqError):
    """A setting has a wrong name or value."""


class NeedError(GridqError, ValueError):
    """A task asks for something that cannot be asked for."""


class UnmetNeedError(NeedError):
    """No GPU seen so far could ever meet the need, and the settings say to refuse such tasks."""


class UnmetNeedWarning(UserWarning):
    """No GPU seen so far could ever meet the need; the task waits for one that can."""


class ProgressWarning(UserWarning):
    """A task said something about its progress that cannot be."""


class NoGpuError(GridqError):
    """No GPU of this machine can be taken: there is none, or none is free."""


class NameTakenError(GridqError):
    """A living worker already has this name."""


class ProbeError(GridqError):
    """A GPU or its driver did not answer as it should."""


class BrokerError(GridqError):
    """The broker is not configured, not to be reached, or not to be started."""


class BrokerAwayError(BrokerError):
    """The broker does not answer now; it may later."""


class UnconfirmedError(BrokerError):
    """A task was published, but what the setting `confirm` waits for did not come in time."""


class InstallError(GridqError):
    """gridq was installed into a Celery app in a way that cannot work."""


class TaskLost(GridqError):  # noqa: N818 (what callers catch)
    """The task's workers died under it, or no worker could run it: it is in the dead letters."""
