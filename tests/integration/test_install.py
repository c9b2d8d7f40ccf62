"""`gridq.install(app)` on an app of one's own: its settings win where gridq's promises do not depend on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from celery import Celery, Task

import gridq
from gridq.application import DEFAULTS, REQUIRED
from gridq.broker.connection import AMQP, Connection
from gridq.broker.router import Router
from gridq.config import Settings
from gridq.errors import ConfigError, InstallError, NeedError
from gridq.needs import Needs

SETTINGS = Settings(broker_url="redis://127.0.0.1:1/4")


def nothing() -> None:
    """The body of a task."""


def installed(settings: Settings = SETTINGS, **conf: Any) -> Celery:
    app = Celery("own", set_as_current=False, **conf)
    return gridq.install(app, settings)


def test_an_app_without_settings_gets_gridqs_broker_results_and_defaults() -> None:
    conf = installed().conf
    assert conf.broker_url == "redis://127.0.0.1:1/4"
    assert conf.result_backend == "redis://127.0.0.1:1/5"
    assert {name: conf[name] for name in DEFAULTS} == DEFAULTS
    assert {name: conf[name] for name in REQUIRED} == REQUIRED


def test_what_the_app_says_wins() -> None:
    app = installed(broker="redis://127.0.0.1:2/0", backend="redis://127.0.0.1:2/9", task_acks_late=False)
    app.conf.task_default_queue = "mine"
    assert app.conf.broker_url == "redis://127.0.0.1:2/0"
    assert app.conf.result_backend == "redis://127.0.0.1:2/9"
    assert app.conf.task_acks_late is False
    assert app.conf.task_default_queue == "mine"


def test_what_gridqs_promises_stand_on_is_set_whatever_the_app_says() -> None:
    assert installed(worker_prefetch_multiplier=8).conf.worker_prefetch_multiplier == 1


def test_an_apps_own_urls_get_the_password_in_the_file_where_they_have_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.touch(mode=0o600)
    file.write_text("se/same")
    settings = Settings(broker_url="redis://ada@127.0.0.1:1/4", broker_password_file=file)
    assert installed(settings).conf.broker_url == "redis://ada:se%2Fsame@127.0.0.1:1/4"
    assert installed(settings).conf.result_backend == "redis://ada:se%2Fsame@127.0.0.1:1/5"
    conf = installed(settings, broker=["redis://bob@h/0", "redis://bob:own@h/0"], backend="db+sqlite://").conf
    assert conf.broker_write_url == ["redis://bob:se%2Fsame@h/0", "redis://bob:own@h/0"]
    assert conf.result_backend == "db+sqlite://"
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://carl@h/0")
    with pytest.raises(ConfigError, match="CELERY_BROKER_URL to be unset"):
        installed(settings)


def test_tls_in_the_urls_of_sentinels_is_for_the_servers_and_for_the_sentinels_themselves() -> None:
    words = "ssl_ca_certs=/a/ca.crt&ssl_check_hostname=false"
    url = f"sentinel://ada:s@one:1/0?{words};sentinel://ada:s@two:2/0?{words}&x=1"
    conf = installed(Settings(broker_url=url, sentinel_master="m")).conf
    assert conf.broker_url == "sentinel://ada:s@one:1/0;sentinel://ada:s@two:2/0?x=1"
    assert conf.result_backend == "sentinel://ada:s@one:1/1;sentinel://ada:s@two:2/1?x=1"
    tls = {"ssl_ca_certs": "/a/ca.crt", "ssl_check_hostname": False}
    assert conf.broker_use_ssl == conf.redis_backend_use_ssl == tls | {"ssl_cert_reqs": 2}
    for options in (conf.broker_transport_options, conf.result_backend_transport_options):
        assert options["sentinel_kwargs"].items() >= (tls | {"ssl": True, "ssl_cert_reqs": "required"}).items()
        assert options["master_name"] == "m"
    plain = installed(Settings(broker_url="sentinel://one:1/0", sentinel_master="m")).conf
    assert not plain.broker_use_ssl and "ssl" not in plain.broker_transport_options["sentinel_kwargs"]


def test_a_sentinel_whose_host_is_gone_is_passed_over_long_before_a_lease_ends() -> None:
    """Each new connection asks them in their order; no worker has more than ten to make."""
    for url in ("sentinel://one:1/0;sentinel://two:2/0", "sentinel://one:1/0?ssl_cert_reqs=required"):
        settings = Settings(broker_url=url, sentinel_master="m", heartbeat=1.0, lease=10.0)
        conf = installed(settings).conf
        for options in (conf.broker_transport_options, conf.result_backend_transport_options):
            assert options["sentinel_kwargs"]["socket_connect_timeout"] * 10 < settings.lease
            assert options["sentinel_kwargs"]["socket_timeout"] < settings.lease / 2
            assert options["sentinel_kwargs"]["retry"] is None, "redis-py's own has ten retries"


def test_an_app_may_be_configured_before_or_after() -> None:
    before = Celery("own", set_as_current=False, broker="redis://127.0.0.1:2/0")
    assert before.conf.broker_url
    gridq.install(before, SETTINGS)
    after = Celery("own", set_as_current=False)
    gridq.install(after, SETTINGS)
    after.config_from_object({"broker_url": "redis://127.0.0.1:2/0", "task_acks_late": False})
    for app in (before, after):
        assert app.conf.broker_url == "redis://127.0.0.1:2/0"
        assert app.conf.worker_prefetch_multiplier == 1
        assert isinstance(app.conf.task_routes[0], Router)
    assert after.conf.task_acks_late is False and before.conf.task_acks_late is True


@pytest.mark.parametrize("routes", [{"mail.*": {"queue": "mail"}}, [{"mail.*": {"queue": "mail"}}]])
def test_the_apps_own_routes_come_after_the_needs(routes: Any) -> None:
    app = installed(task_routes=routes)
    assert isinstance(app.conf.task_routes[0], Router)
    assert app.conf.task_routes[1:] == ({"mail.*": {"queue": "mail"}},)
    assert app.amqp.router.route({}, "mail.send")["queue"].name == "mail"


def test_a_broker_that_is_no_redis_stays_a_stock_one() -> None:
    app = installed(Settings(), broker="memory://")
    with app.connection_for_write() as connection:
        assert isinstance(connection, Connection)
        assert connection.transport.driver_type == "memory"


def test_urls_stay_those_of_redis() -> None:
    app, stock = installed(), Celery("stock", broker=SETTINGS.broker_url, set_as_current=False)
    assert isinstance(app.amqp, AMQP)
    with app.connection_for_write() as connection:
        assert connection.as_uri() == stock.connection_for_write().as_uri()
        assert connection.get_transport_cls().__module__ == "gridq.broker.transport"
        assert connection.Pool(2).new().get_transport_cls().__module__ == "gridq.broker.transport"


@pytest.mark.parametrize("first", ["stock", "gridq"])
def test_a_stock_app_of_the_same_process_and_broker_keeps_its_own_connections(first: str) -> None:
    broker = f"redis://127.0.0.1:1/{7 if first == 'stock' else 8}"
    stock = Celery("stock", broker=broker, set_as_current=False)
    ours = installed(broker=broker)
    kinds = {app: type(app.pool).__module__ for app in ((stock, ours) if first == "stock" else (ours, stock))}
    assert kinds == {stock: "kombu.connection", ours: "gridq.broker.connection"}


@pytest.mark.parametrize("used", ["amqp", "Task"])
def test_an_app_that_has_been_used_is_refused(used: str) -> None:
    app = Celery("own", set_as_current=False)
    assert getattr(app, used)
    with pytest.raises(InstallError, match=rf"came too late.*{used}\nhint: call it right after Celery"):
        gridq.install(app, SETTINGS)


def test_an_app_is_installed_into_once() -> None:
    with pytest.raises(InstallError, match="twice"):
        gridq.install(installed(), SETTINGS)


def test_a_task_class_that_knows_no_needs_is_refused() -> None:
    class Mine(Task):
        abstract = True

    with pytest.raises(InstallError, match=r"expected the app's task_cls to be a gridq.GpuTask"):
        installed(task_cls=Mine)


def test_a_task_class_of_ones_own_that_is_a_gpu_task_is_kept() -> None:
    class Mine(gridq.GpuTask):
        abstract = True

    app = installed(task_cls=Mine)
    task = app.task(shared=False, vram="8GiB", name="a")(nothing)
    assert isinstance(task, Mine) and task.needs == Needs.of(vram="8GiB")


def test_a_wrong_need_of_a_task_fails_before_anything_can_be_published() -> None:
    app = installed()
    with pytest.raises(NeedError, match=r"task a: vram.*"):
        app.task(shared=False, vram="a lot", name="a")(nothing).run()
    with pytest.raises(NeedError, match=r"unknown option 'vrma' of task b\nhint: did you mean 'vram'"):
        app.task(shared=False, vrma="8GiB", name="b")(nothing).run()


def test_a_bound_task_keeps_celerys_own_options() -> None:
    app = installed()
    task = app.task(shared=False, gpu=True, gpus=2, models="H100", max_retries=7, name="a")(nothing)
    assert task.max_retries == 7
    assert task.needs == Needs.of(gpus=2, models=["H100"])
