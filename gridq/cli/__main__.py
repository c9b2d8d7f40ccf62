"""`python -m gridq.cli`, for where the console script is not on PATH."""

from __future__ import annotations

from gridq.cli.entry import main

main(prog_name="gridq")
