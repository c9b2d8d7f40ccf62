"""Scrapes end in time whatever the broker does, and those at once share one look."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from gridq.errors import BrokerAwayError
from gridq.exporter.scrape import Scraper
from gridq.store.client import Client

AWAY = b"gridq_broker_up 0.0\n"


class Connecting:
    """A broker that is away, as soon as it is let go."""

    def __init__(self) -> None:
        self.calls = 0
        self.go = threading.Event()

    def __call__(self) -> Client:
        self.calls += 1
        self.go.wait(30)
        raise BrokerAwayError("expected a broker at redis://:***@h, got: nothing")


@pytest.fixture
def connecting() -> Connecting:
    return Connecting()


def scraper(connect: Callable[[], Client], deadline: float = 30.0) -> Scraper:
    return Scraper(connect, "9.9", deadline=deadline)


def test_a_broker_that_refuses_is_away_at_once_and_asked_again_by_the_next_scrape(connecting: Connecting) -> None:
    connecting.go.set()
    made = scraper(connecting)
    assert AWAY in made.text() and AWAY in made.text()
    assert connecting.calls == 2


def test_a_broker_that_is_silent_is_away_after_the_deadline_and_scrapes_meanwhile_share_one_look(
    connecting: Connecting,
) -> None:
    made = scraper(connecting, deadline=0.05)
    began = time.monotonic()
    assert AWAY in made.text() and AWAY in made.text()
    assert time.monotonic() - began < 20
    assert connecting.calls == 1
    connecting.go.set()


def test_that_the_broker_went_away_is_said_once_and_without_its_password(
    connecting: Connecting, caplog: pytest.LogCaptureFixture
) -> None:
    connecting.go.set()
    made = scraper(connecting)
    made.text()
    made.text()
    assert [record.getMessage() for record in caplog.records] == [
        "the broker is away: expected a broker at redis://:***@h, got: nothing"
    ]


def test_what_is_no_failure_of_the_broker_is_not_called_one() -> None:
    def broken() -> Client:
        raise KeyError("a fault of gridq")

    with pytest.raises(KeyError):
        scraper(broken).text()
