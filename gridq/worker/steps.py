"""The bootsteps that gridq adds to a worker and to its consumer, one per file."""

from gridq.worker.events import Events
from gridq.worker.farewell import Farewell
from gridq.worker.handover import Handover
from gridq.worker.heartbeat import Heartbeat
from gridq.worker.output import Output
from gridq.worker.reaper import Reaper
from gridq.worker.triage import Triage

WORKER_STEPS = (Handover, Heartbeat, Triage, Reaper, Output)
CONSUMER_STEPS = (Events, Farewell)
