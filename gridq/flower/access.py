"""Who may see the pages: passwords come from a file or the environment, and are asked for wherever others can reach."""

from __future__ import annotations

import ipaddress

from gridq.errors import ConfigError


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address or host name."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def check_access(host: str, *, locked: bool) -> None:
    """Refuse to show to others what nobody asked to be open.

    Args:
        host: the address to listen on.
        locked: whether credentials are asked for.

    Raises:
        ConfigError: when others can reach the address and nobody asks them who they are.
    """
    if not locked and not is_loopback(host):
        raise ConfigError(
            f"expected credentials for {host}, which others can reach, got none",
            hint="--basic-auth-file FILE, or FLOWER_BASIC_AUTH=name:password in the environment; "
            "--no-auth if something before it asks",
        )
