"""Writes acl.yml from gridq/store/acl.py: what each role may do in Redis, without users' names and passwords.

python deploy/redis/build.py
"""

from __future__ import annotations

from pathlib import Path

from gridq.store import acl

FILE = Path(__file__).with_name("acl.yml")
_HEAD = """\
# Made by deploy/redis/build.py from gridq/store/acl.py; `gridq acl` prints the same, for other prefixes and queues too.
# A line of users.acl is: user NAME on #SHA256-OF-THE-PASSWORD RULES. For Redis 7 and newer, and for Valkey.
"""


def text() -> str:
    """The file as it should be."""
    parts = [_HEAD]
    for role in acl.ROLES:
        words = acl.rules(role)
        selectors = next(at for at, word in enumerate(words) if word.startswith("("))
        lines = [" ".join(words[:selectors]), *words[selectors:]]
        parts.append(f"{role}: >-\n" + "".join(f"  {line}\n" for line in lines))
    return "".join(parts)


if __name__ == "__main__":
    FILE.write_text(text(), "utf-8")
