"""URLs of brokers and result backends: their check, the default backend, their password and how to show one without."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl, quote, urlencode

from gridq.errors import ConfigError

SCHEMES = ("redis", "rediss", "sentinel")

_URL = re.compile(r"(redis|rediss|sentinel)://([^/?]+)(?:/(\d*))?(\?.*)?", re.DOTALL)
#: The scheme, the user with or without a password, the host and all that follows.
_PARTS = re.compile(r"((?:redis|rediss|sentinel)://)(?:([^/?]*)@)?([^@]*)", re.DOTALL)
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


def with_password(url: str, password: str) -> str:
    """The URL, or several joined by `;`, with the password where it is a Redis' or a sentinel's and has none."""
    return ";".join(_with_password(part, password) for part in url.split(";"))


def _with_password(part: str, password: str) -> str:
    match = _PARTS.fullmatch(part)
    if match is None or _QUERY_PASSWORDS.search(part):
        return part
    scheme, user, rest = match[1], match[2] or "", match[3]
    name, _, own = user.partition(":")
    return part if own else f"{scheme}{name}:{quote(password, safe='')}@{rest}"


def without_tls(url: str) -> tuple[str, dict[str, str]]:
    """The URL of sentinels without the words `ssl_…` of its query, and these words, of all of them together.

    Of any other URL nothing is taken: kombu and Celery read them there, and of a sentinel's they would not tell the
    connections to the sentinels themselves.
    """
    words: dict[str, str] = {}
    if not is_sentinel(url):
        return url, words
    parts = []
    for part in url.split(";"):
        address, _, query = part.partition("?")
        pairs = parse_qsl(query, keep_blank_values=True)
        words |= {name: value for name, value in pairs if name.startswith("ssl_")}
        rest = urlencode([pair for pair in pairs if not pair[0].startswith("ssl_")])
        parts.append(f"{address}?{rest}" if rest else address)
    return ";".join(parts), words


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
    return with_certificates(f"{scheme}://{host}/{number}{query}")


def with_certificates(url: str) -> str:
    """The URL of a result backend; one with TLS says that certificates are checked, where it says nothing of them.

    Celery's broker takes a TLS URL that does not say it; its result backend refuses such a URL.
    """
    if not url.startswith("rediss://") or "ssl_cert_reqs=" in url:
        return url
    return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=required"


def _split(part: str) -> tuple[str, str, int, str]:
    match = _URL.fullmatch(part)
    if match is None:
        raise ValueError(
            "expected redis://[user:password@]host[:port][/database], the same with rediss://, "
            f"or sentinel://host:port;sentinel://… ('/' in a password is written %2F), got {mask(part)!r}"
        )
    return match[1], match[2], int(match[3] or 0), match[4] or ""
