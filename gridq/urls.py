"""URLs of brokers and result backends: their check, the default backend, and how to show one without its password."""

from __future__ import annotations

import re

from gridq.errors import ConfigError

SCHEMES = ("redis", "rediss", "sentinel")

_URL = re.compile(r"(redis|rediss|sentinel)://([^/?]+)(?:/(\d*))?(\?.*)?", re.DOTALL)
_PASSWORDS = re.compile(r"(://[^:@/;]*:)(?:(?!://).)*@", re.DOTALL)
_QUERY_PASSWORDS = re.compile(r"([?&]\w*(?:password|passwd|secret|token)=)[^&;]*", re.IGNORECASE)


def mask(url: str) -> str:
    """The URL, or several joined by `;`, with `***` in place of every password."""
    return _QUERY_PASSWORDS.sub(r"\1***", _PASSWORDS.sub(r"\1***@", url))


def checked_url(value: object) -> str:
    """The value, if it is the URL of a Redis or of sentinels.

    Raises:
        ValueError: with one sentence that says what was expected and what came, passwords masked.
    """
    if not isinstance(value, str):
        raise ValueError(f"expected a URL such as redis://host:6379/0, got {value!r}")
    schemes = {_split(part)[0] for part in value.split(";")}
    if len(schemes) > 1 or (";" in value and schemes != {"sentinel"}):
        raise ValueError(f"expected one Redis, or sentinels joined by ';', got {mask(value)!r}")
    return value


def is_sentinel(url: str) -> bool:
    """Whether the URL names sentinels, which are asked for the primary, and not a Redis."""
    return url.startswith("sentinel://")


def default_backend(url: str) -> str:
    """Where results go when nothing is said: the broker's server, the next database.

    Args:
        url: redis, rediss or sentinel; several sentinels joined by `;`. Query strings are kept.

    Raises:
        ConfigError: when it is no such URL.
    """
    try:
        return ";".join(_in_next_database(part) for part in checked_url(url).split(";"))
    except ValueError as error:
        raise ConfigError(f"broker_url: {error}") from None


def _in_next_database(part: str) -> str:
    scheme, host, database, query = _split(part)
    # A Redis has 16 databases unless told otherwise, so after the last comes the one before it.
    number = 14 if database == 15 else database + 1
    if scheme == "rediss" and "ssl_cert_reqs=" not in query:
        # Celery's broker takes a TLS URL that does not say it; its result backend refuses such a URL.
        query = f"{query}&ssl_cert_reqs=required" if query else "?ssl_cert_reqs=required"
    return f"{scheme}://{host}/{number}{query}"


def _split(part: str) -> tuple[str, str, int, str]:
    match = _URL.fullmatch(part)
    if match is None:
        raise ValueError(
            "expected redis://[user:password@]host[:port][/database], the same with rediss://, "
            f"or sentinel://host:port;sentinel://… ('/' in a password is written %2F), got {mask(part)!r}"
        )
    return match[1], match[2], int(match[3] or 0), match[4] or ""
