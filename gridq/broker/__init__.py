"""How messages move.

transport (kombu's Redis transport with atomic claims) · listening (fanout, never for ever) · qos, holder (what this
worker process holds) · connection (how Celery gets the transport) · fleet (the snapshot that routing looks at) · router
(needs → queue and candidates) · server (a local Redis for one machine)
"""
