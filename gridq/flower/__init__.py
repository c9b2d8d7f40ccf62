"""Flower, the web page of Celery, with a page of GPUs in it.

access (who may come in, and what Flower's settings are) · pages (the GPUs, and Flower's metrics behind its door) ·
templates/ and navigation (how they look, as Flower looks) · greeting (what new workers are asked) · site (start to end)
"""
