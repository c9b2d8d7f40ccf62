"""A Celery app of one's own, made to understand GPUs with one line.

    export GRIDQ_BROKER_URL=redis://localhost:6379/0
    celery -A examples.app_of_my_own worker -Q gpu      # one per GPU: each takes a free one
    celery -A examples.app_of_my_own worker -Q cpu

Everything else is Celery as it was: `delay`, canvas, retries, beat, Flower. The tasks only add what they need.
"""

from __future__ import annotations

from celery import Celery, chain

import gridq

app = Celery("shop")
gridq.install(app)  # reads GRIDQ_BROKER_URL, as every gridq command does


@app.task
def fetch(url: str) -> str:
    """A CPU task, since it says nothing of GPUs."""
    return f"contents of {url}"


@app.task(gpu=True, vram="8GiB")
def embed(text: str) -> list[float]:
    """Runs on the lightest healthy GPU with 8 GiB free, and on no GPU without."""
    return [float(len(word)) for word in text.split()]


@app.task(gpu=True, vram="24GiB", models=["A100", "H100"], autoretry_for=(OSError,), max_retries=3)
def train(rows: list[float]) -> float:
    """Runs on an A100 or an H100 alone. Celery's own options work beside the needs."""
    return sum(rows)


def submit(url: str) -> str:
    """Put the three one after the other; this once, the last of them with more memory. The id to ask for."""
    return str(chain(fetch.s(url), embed.s(), train.s().set(vram="40GiB", priority="high")).apply_async().id)
