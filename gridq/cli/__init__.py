"""What people type: one command per file, the same ones as `gridq …` and as `celery -A app gridq …`.

entry (the two entry points) · group (commands loaded when they are asked for) · session (the app and its store) ·
machine, supervisor, children, leashed, interrupts (the processes of `up` and `demo`) · modules (whether those of tasks
exist) · cluster (what listings show) · look (how they show it)
"""

from __future__ import annotations

from gridq.cli.entry import celery_command as celery_command
from gridq.cli.entry import main as main
