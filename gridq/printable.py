"""What may be shown of text that somebody else wrote: it must not steer the terminal of who reads it."""

from __future__ import annotations

import re

#: Colours and the like.
_STYLE = r"\x1b\[[0-9;:]*m"
#: Other sequences: they move the cursor, set titles, write to the clipboard.
_SEQUENCE = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"
#: What is left of control characters, apart from tab, newline and carriage return; and what turns the order of letters.
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]"
_SPECIAL = re.compile(f"(?P<style>{_STYLE})|(?P<sequence>{_SEQUENCE})|{_CONTROL}")
#: A style that a later part of the text may complete.
_BEGUN = re.compile(r"\x1b(\[[0-9;:]{0,32})?\Z")


def printable(text: str) -> str:
    """The text with its colours, and with nothing else that a terminal obeys: a lone control character is shown as a
    picture of it (`␇`), known sequences are left out."""
    return _SPECIAL.sub(_shown, text)


def plain(text: str) -> str:
    """The same without colours, and without tabs and the like: one line for a log."""
    return " ".join(_SPECIAL.sub(lambda match: "" if match["style"] else _shown(match), text).split())


def _shown(match: re.Match[str]) -> str:
    if match["style"]:
        return match[0]
    if match["sequence"]:
        return ""
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else "\N{REPLACEMENT CHARACTER}"


class Printer:
    """`printable` for text that comes in parts, which may end in the midst of a colour."""

    def __init__(self) -> None:
        self._rest = ""
        #: Whether a colour may be left on.
        self.styled = False

    def feed(self, text: str) -> str:
        """What can be shown of the text so far."""
        text = self._rest + text
        begun = _BEGUN.search(text)
        self._rest = begun[0] if begun else ""
        shown = printable(text[: len(text) - len(self._rest)])
        self.styled = self.styled or "\x1b[" in shown
        return shown
