"""What runs inside a Celery worker, from its first moment to its last.

place (which GPUs and which name it takes) · gate, kin (what it can take now, whose memory it is) · inspection (what
nobody can run) · lease, deadline (its right to hold tasks) · guard (who ends its tasks without it) · heartbeat (what
it tells the others) · summary (the same for people) · pulse (whether its main loop turns) · triage (what it does
about sick GPUs) · stale, cuda (which of its processes must be replaced) · witness (which tasks were there) · reaper
(what others left behind) · handover (what its pool keeps when it stops or loses its connection) · request, again,
failure (how a task ended) · footprint (memory of tasks on simulated GPUs) · printing, capture, desk, tail, relay,
output (what they print and report) · drain, ending (how it takes no more, and how they end) · steps (our bootsteps) ·
life (who is called when)
"""
