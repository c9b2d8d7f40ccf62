"""Who may come in: addresses that others can reach ask for credentials."""

from __future__ import annotations

import pytest

from gridq.errors import ConfigError
from gridq.flower.access import check_access, is_loopback


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("", False),
        ("10.0.0.7", False),
        ("gpu-box", False),
    ],
)
def test_an_address_that_others_can_reach_needs_credentials(host: str, ours: bool) -> None:
    assert is_loopback(host) is ours
    check_access(host, locked=True)
    if ours:
        check_access(host, locked=False)
    else:
        with pytest.raises(ConfigError, match="expected credentials"):
            check_access(host, locked=False)
