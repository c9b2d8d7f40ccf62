"""A broker's URL leads to a result backend, and no password of one is ever shown."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.url import parse_url

from gridq.config import load
from gridq.errors import ConfigError
from gridq.urls import default_backend, mask, with_certificates, with_password

SECRET = "s3cret-and-long"


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}@localhost:6379/0",
        f"rediss://user:{SECRET}@[::1]:6379/0?ssl_cert_reqs=none",
        f"redis://localhost/0?password={SECRET}",
        f"sentinel://:{SECRET}@one:26379/0;sentinel://:{SECRET}@two:26379/0",
    ],
)
def test_no_password_is_shown_anywhere(url: str) -> None:
    settings = load(environ={"GRIDQ_BROKER_URL": url, "GRIDQ_SENTINEL_MASTER": "mymaster"})
    rows = settings.describe()
    shown = repr(settings) + str(settings) + str(rows) + json.dumps([asdict(row) for row in rows])
    assert SECRET not in shown
    assert "***" in shown
    assert SECRET in (settings.backend_url or "")


@pytest.mark.parametrize("url", [f"amqp://:{SECRET}@host", f"redis://:{SECRET}/more@host/0", f"redis://:{SECRET}@h/x"])
def test_no_password_is_shown_in_a_refusal(url: str) -> None:
    with pytest.raises(ConfigError, match="broker_url") as by_load:
        load(environ={}, broker_url=url)
    with pytest.raises(ConfigError, match="broker_url") as by_default:
        default_backend(url)
    assert SECRET not in f"{by_load.value} {by_default.value}"


@given(st.text(st.characters(exclude_characters="@:/?;&=#", exclude_categories=["C"]), min_size=9), st.booleans())
def test_masking_hides_the_password_and_keeps_the_rest(password: str, twice: bool) -> None:
    part = "redis://user:{}@host:6379/0?ssl_cert_reqs=none"
    url = ";".join([part] * (1 + twice))
    assert mask(url.replace("{}", password)) == url.replace("{}", "***")


@pytest.mark.parametrize(
    ("broker", "backend"),
    [
        ("redis://host", "redis://host/1"),
        ("redis://host/", "redis://host/1"),
        ("redis://:p%2Fw@host:6379/4", "redis://:p%2Fw@host:6379/5"),
        ("redis://host:6379/15", "redis://host:6379/14"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/1"),
        ("redis://host?socket_timeout=5", "redis://host/1?socket_timeout=5"),
        ("rediss://host:6380/0", "rediss://host:6380/1?ssl_cert_reqs=required"),
        ("rediss://host/0?ssl_ca_certs=/ca.pem", "rediss://host/1?ssl_ca_certs=/ca.pem&ssl_cert_reqs=required"),
        ("rediss://host/0?ssl_cert_reqs=none", "rediss://host/1?ssl_cert_reqs=none"),
        ("sentinel://:p@a:26379/2;sentinel://:p@b:26379/2", "sentinel://:p@a:26379/3;sentinel://:p@b:26379/3"),
    ],
)
def test_results_go_to_the_next_database_of_the_brokers_server(broker: str, backend: str) -> None:
    assert default_backend(broker) == backend
    assert load(environ={}, broker_url=broker, sentinel_master="m").backend_url == backend


def test_a_result_backend_of_ones_own_is_taken_as_it_is() -> None:
    environ = {"GRIDQ_BROKER_URL": "redis://one/0", "GRIDQ_RESULT_BACKEND": "redis://two/0"}
    assert load(environ=environ).backend_url == "redis://two/0"
    assert load(environ={}).backend_url is None


@pytest.mark.parametrize(
    ("url", "completed"),
    [
        ("redis://host", "redis://:p%2F%40s@host"),
        ("redis://ada@host:6379/0", "redis://ada:p%2F%40s@host:6379/0"),
        ("redis://ada:@[::1]:6379/0", "redis://ada:p%2F%40s@[::1]:6379/0"),
        ("redis://ada:own@host/0", "redis://ada:own@host/0"),
        ("redis://:own@host/0", "redis://:own@host/0"),
        ("redis://host/0?password=own", "redis://host/0?password=own"),
        ("rediss://w@h/0?ssl_ca_certs=/a/ca.crt", "rediss://w:p%2F%40s@h/0?ssl_ca_certs=/a/ca.crt"),
        ("sentinel://w@a:1/0;sentinel://b:2/0", "sentinel://w:p%2F%40s@a:1/0;sentinel://:p%2F%40s@b:2/0"),
        ("amqp://guest@host//", "amqp://guest@host//"),
        ("db+sqlite:///results.db", "db+sqlite:///results.db"),
    ],
)
def test_a_password_goes_into_every_url_of_a_redis_that_has_none(url: str, completed: str) -> None:
    assert with_password(url, "p/@s") == completed


@given(st.text(st.characters(exclude_categories=["C"]), min_size=1))
def test_whatever_a_password_is_made_of_it_is_read_back_as_it_was(password: str) -> None:
    parts = parse_url(with_password("redis://ada@host:6379/0", password))
    assert (parts["userid"], parts["password"], parts["hostname"]) == ("ada", password, "host")


def test_a_result_backend_with_tls_says_that_certificates_are_checked() -> None:
    assert with_certificates("rediss://h/1") == "rediss://h/1?ssl_cert_reqs=required"
    assert with_certificates("rediss://h/1?ssl_ca_certs=/c") == "rediss://h/1?ssl_ca_certs=/c&ssl_cert_reqs=required"
    for url in ("rediss://h/1?ssl_cert_reqs=none", "redis://h/1", "db+sqlite:///x"):
        assert with_certificates(url) == url
