"""Takes secrets out of what is said: passwords in URLs, values whose names say what they are, and known passwords."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any, Self
from urllib.parse import unquote

from gridq.urls import mask

HIDDEN = "***"

#: The settings of Celery that may hold passwords.
_WITH_PASSWORDS = (
    "broker_url",
    "broker_read_url",
    "broker_write_url",
    "result_backend",
    "broker_transport_options",
    "result_backend_transport_options",
)
#: A shorter password is likely to be a word too, and to hide that everywhere would tell it.
_SHORTEST = 8
#: Deeper than this what is said is written down as Python shows it.
_DEEPEST = 4

_URL = re.compile(r"[A-Za-z][\w+.-]*://[^\s'\"<>]+")
#: `https://TOKEN@host`: what stands there alone is a token. For a Redis it is a user's name.
_LONE_TOKEN = re.compile(r"(?<=http://|ttps://)[^\s:@/]+@")
_PASSWORD = re.compile(r"://[^:@/;]*:([^@/;]+)@")

_SECRET_NAME = re.compile(
    r"(?:password|passwd|passphrase|secret|token|api_?key|access_?key|private_?key|credentials?|authorization)$",
    re.IGNORECASE,
)
#: `password=…`, `'password': …`, `password: …`; of a token the last is how parsers begin to say that they dislike one.
_NAMED = re.compile(
    r"""
    ( (?: (?: password|passwd|passphrase|secret|api_?key|access_?key|private_?key|authorization ) ['"]? \s* [=:]
        | token (?: ['"] \s* [=:] | \s* = ) ) \s* )
    (?: b?'(?:[^'\\]|\\.)*' | b?"(?:[^"\\]|\\.)*" | (?:(?:bearer|basic)\s+)? [^\s,;&'")\]}]+ )
    """,
    re.IGNORECASE | re.VERBOSE,
)
#: In every text that the pattern above finds something in; to look for them is ten times as quick.
_HINTS = ("passw", "passph", "secret", "token", "key", "authoriz")


class Mask:
    """Puts `***` in the place of secrets.

    Args:
        passwords: known ones, hidden wherever they appear; those of fewer than 8 characters only where it can be seen
            that they are passwords.
    """

    def __init__(self, passwords: Iterable[str] = ()) -> None:
        # The longest first: one may be the beginning of another.
        self._passwords = sorted({one for one in passwords if len(one) >= _SHORTEST}, key=len, reverse=True)

    @classmethod
    def of(cls, conf: Mapping[str, Any]) -> Self:
        """One that knows the passwords in the settings of a Celery app."""
        return cls(passwords_in(*(conf.get(name) for name in _WITH_PASSWORDS)))

    def text(self, text: str) -> str:
        """The text without secrets."""
        if "://" in text:
            text = _LONE_TOKEN.sub(f"{HIDDEN}@", _URL.sub(lambda match: mask(match[0]), text))
        for password in self._passwords:
            if password in text:
                text = text.replace(password, HIDDEN)
        lowered = text.lower()
        if any(hint in lowered for hint in _HINTS):
            text = _NAMED.sub(rf"\1{HIDDEN}", text)
        return text

    def value(self, name: object, value: Any, depth: int = 0) -> Any:
        """A value under its name without secrets, and all that is in it; what JSON has no form for becomes text."""
        if isinstance(name, str) and _SECRET_NAME.search(name) and value is not None:
            return HIDDEN
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else repr(value)
        if isinstance(value, dict) and depth < _DEEPEST:
            return {str(key): self.value(key, part, depth + 1) for key, part in value.items()}
        if isinstance(value, list | tuple) and depth < _DEEPEST:
            return [self.value(None, part, depth + 1) for part in value]
        return self.text(value if isinstance(value, str) else repr(value))


def passwords_in(*settings: object) -> set[str]:
    """The passwords in URLs, as written and as meant, and those under names such as `password` in mappings."""
    found: set[str] = set()
    for setting in settings:
        if isinstance(setting, str):
            found.update(_PASSWORD.findall(setting))
        elif isinstance(setting, dict):
            named = [value for name, value in setting.items() if _SECRET_NAME.search(str(name))]
            found |= {one for one in named if isinstance(one, str)} | passwords_in(*setting.values())
        elif isinstance(setting, list | tuple):
            found |= passwords_in(*setting)
    return found | {unquote(one) for one in found}
