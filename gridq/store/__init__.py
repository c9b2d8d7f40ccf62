"""What the cluster remembers: the only door to Redis.

keys (every key, described once) · acl (which role may do what with them) · client (commands and scripts) ·
claims (put, claim, ack, release) · workers (heartbeats) · gpus (their rows in listings) ·
telling (who tells of a loss) · tasks (records) · scripts/*.lua (what must happen in one step)
"""
