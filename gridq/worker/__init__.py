"""What runs inside a Celery worker, from its first moment to its last.

place (which GPUs and which name it takes) · gate (what it can take now) · heartbeat (what it tells the others) ·
request (how a task ended) · footprint (memory of tasks on simulated GPUs) · life (who is called when)
"""

from gridq.worker.heartbeat import Heartbeat
from gridq.worker.life import connect_signals

#: The bootsteps that gridq adds to a worker, one per file.
STEPS = (Heartbeat,)

__all__ = ["STEPS", "connect_signals"]
