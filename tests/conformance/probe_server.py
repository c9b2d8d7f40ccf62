"""A probe in a process of its own, for tests: calls come in as lines of JSON, answers go out so.

Not `gpu.watch`, which the tests of the watch test: this one does nothing about a probe that hangs or dies.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gridq.errors import ProbeError
from gridq.gpu import open_probe


def main() -> None:
    probe = None
    for line in sys.stdin:
        call, *arguments = json.loads(line)
        answer: object = None
        try:
            if call == "open":
                probe = open_probe(arguments[0], Path(arguments[1]))
            elif call == "devices":
                answer = [device.to_dict() for device in probe.devices()]
            elif call == "read":
                answer = probe.read(*arguments).to_dict()
            elif call == "close":
                probe.close()
            said = {"answer": answer}
        except ProbeError as error:
            said = {"error": error.message, "hint": error.hint}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
