"""Who is let in, as the kernel takes it: networks.py JSON prints JSON.

In: `doors`, name to a list of addresses, CIDR ranges and names; `comers`, host to the addresses from which it comes to
the door `redis`. Out: `doors`, name to the ranges of IP `4` and `6`, sorted and without overlaps; `shut_out`, those of
the comers whom that door does not let in.
"""

import ipaddress
import json
import socket
import sys
from collections.abc import Iterable
from typing import Any

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def networks(place: str) -> list[Network]:
    """What one entry stands for; a name stands for all of its addresses.

    Raises:
        SystemExit: it is none of these, or nobody knows the name.
    """
    try:
        return [ipaddress.ip_network(place, strict=False)]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(place, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        sys.exit(
            f"expected an address, a CIDR range or a name that {socket.gethostname()} can resolve, got {place!r}\n"
            "hint: firewall_allowed and gridq_address (or firewall_addresses) of each host say who is let in"
        )
    return [ipaddress.ip_network(address[0].partition("%")[0]) for *_, address in found]


def door(places: Iterable[str]) -> dict[str, list[str]]:
    """The ranges of both kinds of IP."""
    all_of_them = [network for place in places for network in networks(place)]
    return {
        str(version): [
            str(network)
            for network in ipaddress.collapse_addresses(one for one in all_of_them if one.version == version)
        ]
        for version in (4, 6)
    }


def shut_out(comers: dict[str, list[str]], let_in: dict[str, list[str]]) -> dict[str, list[str]]:
    """Those whose addresses are in none of the ranges."""
    ranges = [ipaddress.ip_network(one) for kind in let_in.values() for one in kind]
    strangers = {
        host: [one for one in addresses if not any(ipaddress.ip_address(one) in network for network in ranges)]
        for host, addresses in comers.items()
    }
    return {host: addresses for host, addresses in strangers.items() if addresses}


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """What is printed for what was asked."""
    doors = {name: door(places) for name, places in asked["doors"].items()}
    return {"doors": doors, "shut_out": shut_out(asked["comers"], doors["redis"]) if "redis" in doors else {}}


if __name__ == "__main__":
    print(json.dumps(answer(json.loads(sys.argv[1]))))
