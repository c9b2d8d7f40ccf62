"""What workers are asked when Flower first hears of them: who they are, and to tell of their tasks from now on.

By itself Flower asks at its own start only, so a worker that comes later has no facts until somebody refreshes; and it
asks for task events at intervals of five seconds, the first of which would pass unseen.
"""

from __future__ import annotations

from asyncio import gather
from typing import Any

#: Milliseconds between two looks, and how often one worker is asked: it may have remote control turned off.
INTERVAL = 1000
_TRIES = 3


class Greeting:
    """Greets every worker that Flower hears of.

    Args:
        flower: the running Flower.
    """

    def __init__(self, flower: Any) -> None:
        self._flower = flower
        self._tries: dict[tuple[str, int], int] = {}

    async def look(self) -> None:
        """Greet whoever is new since the last look."""
        self._tries = {who: self._tries.get(who, 0) for who in self._strangers()}
        due = [who for who, tries in self._tries.items() if tries < _TRIES]
        for who in due:
            self._tries[who] += 1
        if due:
            await gather(self._flower.events.on_enable_events(), self._flower.update_workers())

    def _strangers(self) -> list[tuple[str, int]]:
        """Name and pid of the workers that live and of which nothing is known, or only what a former one said."""
        heard = {worker.hostname: worker.pid for worker in self._flower.events.state.workers.values() if worker.alive}
        known = {name: facts.get("stats", {}).get("pid") for name, facts in self._flower.workers.items()}
        return [(name, pid) for name, pid in heard.items() if known.get(name) != pid]
