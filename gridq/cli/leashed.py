"""`python -m gridq.cli.leashed PARENT PROGRAM …`: celery or gridq, killed when its parent dies, however that dies.

The kernel is asked from inside the new process: a preexec_fn between fork and exec is not safe in a parent with
threads. The signal comes when the parent's *thread* that started this process ends, so that must be its main thread.
"""

from __future__ import annotations

import os
import sys


def main(arguments: list[str]) -> None:
    """Tie this process to its parent and become the command."""
    from celery.platforms import set_pdeathsig

    parent, program, *rest = arguments
    # The broker of `gridq up` dies with it, so a worker that lived on could end nothing well. Its children follow it.
    set_pdeathsig("SIGKILL")
    # The parent may have died before the kernel was asked, and then no signal comes any more.
    if os.getppid() != int(parent):
        sys.exit(1)
    sys.argv = [program, *rest]
    if program == "celery":
        from celery.__main__ import main as run
    else:
        from gridq.cli import main as run
    run()


if __name__ == "__main__":
    main(sys.argv[1:])
