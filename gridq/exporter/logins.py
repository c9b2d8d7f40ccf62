"""Who may scrape: user names and passwords, or their hashes, from a file that no other user may read."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from pathlib import Path
from typing import Self

from gridq.credentials import read_credentials

_SCHEME = "scrypt"
#: RFC 7914's parameters for a few milliseconds and 4 MiB: whoever may try passwords costs the exporter that much each.
_COST = {"n": 4096, "r": 8, "p": 1}


def hashed(password: str) -> str:
    """What stands in the file in place of this password: `scrypt$salt$key`."""
    salt = secrets.token_bytes(16)
    return f"{_SCHEME}${salt.hex()}${_key(password, salt).hex()}"


def _key(password: str, salt: bytes) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=_COST["n"], r=_COST["r"], p=_COST["p"], dklen=32)


class Logins:
    """The users of one file.

    Args:
        users: password, or what `hashed` made of it, by user.
    """

    def __init__(self, users: dict[str, str]) -> None:
        # All of them as hashes, so that no answer tells by its time who has which.
        self._users = {user: kept if _is_hash(kept) else hashed(kept) for user, kept in users.items()}
        #: For those who are nobody, whose refusal takes as long as any other.
        self._nobody = hashed(secrets.token_urlsafe())
        #: Hashing takes milliseconds of each scrape: what was right once is known by a key that is of no use elsewhere.
        self._salt = secrets.token_bytes(16)
        self._known: set[bytes] = set()

    @classmethod
    def read(cls, path: Path) -> Self:
        """The users of a file.

        Raises:
            ConfigError: when others may read it, or it has none.
        """
        lines = (line.partition(":") for line in read_credentials(path))
        return cls({user: password for user, _, password in lines})

    def admit(self, header: str | None) -> bool:
        """Whether this `Authorization` header names a user and their password."""
        scheme, _, text = (header or "").partition(" ")
        if scheme.lower() != "basic":
            return False
        seen = hmac.digest(self._salt, text.encode(), "sha256")
        if seen in self._known:
            return True
        try:
            user, _, password = base64.b64decode(text, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        right = _matches(password, self._users.get(user, self._nobody)) and user in self._users
        if right:
            self._known.add(seen)
        return right


def _is_hash(kept: str) -> bool:
    return re.fullmatch(rf"{_SCHEME}\$[0-9a-f]{{32}}\$[0-9a-f]{{64}}", kept) is not None


def _matches(password: str, kept: str) -> bool:
    """Whether it is the password of this hash."""
    _, salt, key = kept.split("$")
    return hmac.compare_digest(_key(password, bytes.fromhex(salt)), bytes.fromhex(key))
