"""The task class of an app that gridq is installed in: needs as words of the decorator."""

from __future__ import annotations

from typing import Any

from celery import Task

from gridq.errors import NeedError
from gridq.needs import NEED_NAMES, Needs, misspelt
from gridq.worker.again import stored_success


class GpuTask(Task):
    """A Celery task that can say what it needs.

    `@app.task(gpu=True, vram="12GiB")`: the words of `needs.Needs`, checked when the task is bound to its app, which is
    before anything can be published. Calls override them: `task.apply_async(args, vram="20GiB")`.
    """

    abstract = True
    Request = "gridq.worker.request:Request"

    gpu: bool | None = None
    gpus: int | None = None
    vram: str | int | None = None
    models: Any = None
    node: str | None = None

    #: What the words above come to; set when the task is bound.
    needs: Needs = Needs()

    @classmethod
    def on_bound(cls, app: Any) -> None:
        """Celery's hook.

        Raises:
            NeedError: for a wrong need.
        """
        # `model` is what many tasks call the thing that they load once; it is no slip of `models`.
        wrong = misspelt(name for name in vars(cls) if not name.startswith("_") and name != "model")
        if wrong:
            raise NeedError(f"unknown option {wrong[0]!r} of task {cls.name}", hint=f"did you mean {wrong[1]!r}?")
        try:
            cls.needs = Needs.of(**{word: getattr(cls, word) for word in NEED_NAMES})
        except NeedError as error:
            raise NeedError(f"task {cls.name}: {error.message}", hint=error.hint) from None
        super().on_bound(app)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run, but neither begin nor report without the worker's lease: then the task is another worker's by now."""
        lease = getattr(self.app, "gridq_lease", None)
        if lease is None or self.request.called_directly:
            return super().__call__(*args, **kwargs)
        lease.insist()
        try:
            stored = stored_success(self)
            return super().__call__(*args, **kwargs) if stored is None else stored["result"]
        finally:
            lease.insist()
