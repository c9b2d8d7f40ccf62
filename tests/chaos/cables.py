"""Nodes: network namespaces on a bridge, each with a cable that can be cut without a word to either end."""

from __future__ import annotations

import os
import subprocess

#: Of this process alone; the last byte of the bridge is 1, of node N 10 + N.
SUBNET = f"10.217.{os.getpid() % 250}"
ADDRESS = f"{SUBNET}.1"


class Cables:
    """The bridge and its nodes. Needs root."""

    def __init__(self) -> None:
        self._tag = f"gqc{os.getpid() % 10000}"
        self._nodes: list[int] = []

    def start(self, nodes: int) -> None:
        """Make the bridge and so many nodes, numbered from 1."""
        _ip("link", "add", self._bridge, "type", "bridge")
        _ip("addr", "add", f"{ADDRESS}/24", "dev", self._bridge)
        _ip("link", "set", self._bridge, "up")
        for node in range(1, nodes + 1):
            self._nodes.append(node)
            space, near, far = self._space(node), self._near(node), f"{self._tag}f{node}"
            _ip("netns", "add", space)
            _ip("link", "add", near, "type", "veth", "peer", "name", far, "netns", space)
            _ip("link", "set", near, "master", self._bridge, "up")
            _ip("-n", space, "addr", "add", f"{SUBNET}.{10 + node}/24", "dev", far)
            _ip("-n", space, "link", "set", far, "up")
            _ip("-n", space, "link", "set", "lo", "up")

    def wrap(self, node: int) -> tuple[str, ...]:
        """What a command begins with to run on the node."""
        return ("ip", "netns", "exec", self._space(node))

    def cut(self, node: int) -> None:
        """From now on nothing passes, and neither end is told."""
        _ip("link", "set", self._near(node), "nomaster")

    def heal(self, node: int) -> None:
        """Plug it in again."""
        _ip("link", "set", self._near(node), "master", self._bridge)

    def stop(self) -> None:
        """Remove all of it. Calling it twice is fine."""
        for node in self._nodes:
            _ip("link", "del", self._near(node), check=False)
            _ip("netns", "del", self._space(node), check=False)
        _ip("link", "del", self._bridge, check=False)

    @property
    def _bridge(self) -> str:
        return f"{self._tag}b"

    def _near(self, node: int) -> str:
        return f"{self._tag}n{node}"

    def _space(self, node: int) -> str:
        return f"{self._tag}-{node}"


def _ip(*arguments: str, check: bool = True) -> None:
    subprocess.run(["ip", *arguments], check=check, capture_output=True)
