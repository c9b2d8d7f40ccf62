"""What a worker holds, and what it knows of the fleet, while Redis answers and while it does not."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import redis

from gridq.broker.fleet import Fleet
from gridq.broker.holder import Held, Holder, Keeping
from gridq.errors import BrokerError
from gridq.store.claims import Identity, Offer, Outcome


class Store:
    """A client that writes down what it is asked, and refuses while it is away."""

    prefix = ""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.away = False
        self.answers: dict[str, Any] = {"ack": 1, "release": 0, "reassert": [], "lose": b"waiting", "bury": 1}

    def run(self, *call: Any) -> Any:
        if self.away:
            raise redis.ConnectionError("away")
        self.calls.append(call)
        return self.answers[call[0]]

    def command(self, name: str, key: str, *arguments: Any) -> Any:
        self.calls.append((name, key))
        return {b"gpu:h100"}


class Channel:
    identity = Identity("gpu0@node1", "gpu0@node1:c1")
    is_napping = False

    def __init__(self) -> None:
        self.store = Store()
        self.looks = False

    def look_next(self) -> bool:
        return self.looks


def make_holder() -> Holder:
    return Holder("gpu0@node1", lambda queues, slots: Offer(queues, slots), lambda payload: None, Keeping(60, 3))


@pytest.fixture
def holder() -> Holder:
    return make_holder()


@pytest.fixture
def channel(holder: Holder) -> Channel:
    made = Channel()
    holder.attach(made)
    made.store.calls.clear()
    return made


def test_claim_ids_are_never_used_twice_also_by_another_process(holder: Holder) -> None:
    other = make_holder()
    ids = [made.next_claim() for made in (holder, other) for _ in range(50)]
    assert len(set(ids)) == 100


def test_nothing_is_offered_without_a_free_slot(holder: Holder) -> None:
    assert holder.offer(["gpu"], 0) is None
    assert holder.offer(["gpu"], 2) == Offer(["gpu"], 2)


def test_an_ack_tells_how_the_task_ended(holder: Holder, channel: Channel) -> None:
    holder.held["c1"] = Held("t1", 8)
    holder.note("c1", Outcome("failed", "ValueError"))
    holder.ack("c1")
    assert channel.store.calls == [("ack", "gpu0@node1", "c1", "failed", "ValueError", 60_000, "")]
    assert holder.held == {}


def test_an_ack_that_did_not_reach_redis_is_sent_on_the_next_connection(holder: Holder, channel: Channel) -> None:
    holder.held |= {"c1": Held("t1", 8), "c2": Held("t2", 8)}
    channel.store.away = True
    holder.note("c1", Outcome("failed", "ValueError"))
    holder.ack("c1")
    fresh = Channel()
    holder.attach(fresh)
    assert fresh.store.calls == [
        ("ack", "gpu0@node1", "c1", "failed", "ValueError", 60_000, ""),
        ("reassert", "gpu0@node1", "", "c2", "", "", "t2", ""),
        ("release", "gpu0@node1", "lost", holder.next_claim().rpartition("-")[0] + "-", "gpu0@node1:c1", "c2"),
    ]
    again = Channel()
    holder.attach(again)
    assert [call[0] for call in again.store.calls] == ["reassert", "release"]


def test_an_ack_that_went_along_with_a_look_without_an_answer_is_told_at_the_end(
    holder: Holder, channel: Channel
) -> None:
    holder.held["c1"] = Held("t1", 8)
    channel.looks = True
    holder.ack("c1")
    assert list(holder.acks.carry("")) == ["c1"]
    channel.store.away = True
    assert not holder.tell_all(channel.store) and channel.store.calls == []
    channel.store.away = False
    assert holder.tell_all(channel.store)
    assert [call[:3] for call in channel.store.calls] == [("ack", "gpu0@node1", "c1")]


def test_what_runs_is_said_again_on_a_new_connection(holder: Holder, caplog: pytest.LogCaptureFixture) -> None:
    holder.held["c1"] = Held("t1", 8, "gpu.8g", "", "{}")
    fresh = Channel()
    fresh.store.answers["reassert"] = [b"c1"]
    holder.attach(fresh)
    assert ("reassert", "gpu0@node1", "", "c1", "gpu.8g", "", "t1", "{}") in fresh.store.calls
    assert "t1 is held by gpu0@node1 and by another worker" in caplog.text


def test_what_goes_back_is_said_before_it_does_and_may_be_anothers(
    holder: Holder, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    holder.held["c1"] = Held("t1", 8, "gpu.8g", "", "{}")
    holder.drop("c1")
    fresh = Channel()
    fresh.store.answers["reassert"] = [b"c1"]
    holder.attach(fresh)
    assert fresh.store.calls[:2] == [
        ("reassert", "gpu0@node1", "", "c1", "gpu.8g", "", "t1", "{}"),
        ("release", "gpu0@node1", "only", "c1"),
    ]
    assert "another worker" not in caplog.text


def test_a_lost_process_counts_against_its_task_unless_it_is_excused(holder: Holder, channel: Channel) -> None:
    holder.held |= {"c1": Held("t1", 8), "c2": Held("t2", 8)}
    holder.excuse("c2", "its worker drains")
    holder.lose("c1", "its process died")
    holder.lose("c2", "its process died")
    assert [call[2:5] for call in channel.store.calls] == [
        ("c1", "its process died", "losses"),
        ("c2", "its worker drains", ""),
    ]
    assert holder.held == {} and holder.excused == {}


def test_what_was_dropped_while_redis_was_away_goes_back_later(holder: Holder, channel: Channel) -> None:
    holder.held["c1"] = Held("t1", 8)
    channel.store.away = True
    holder.lose("c1", "its process died")
    channel.store.away = False
    holder.settle(channel.store)
    holder.settle(channel.store)
    assert channel.store.calls == [("release", "gpu0@node1", "only", "c1")]


def test_what_could_not_be_acked_twice_over_is_not_put_back(holder: Holder, channel: Channel) -> None:
    holder.held["c1"] = Held("t1", 8)
    channel.store.away = True
    holder.ack("c1")
    fresh = Channel()
    fresh.store.answers["ack"] = None

    def refuse(*call: Any) -> Any:
        fresh.store.calls.append(call)
        if call[0] == "ack":
            raise redis.ConnectionError("away again")
        return 0

    fresh.store.run = refuse  # type: ignore[method-assign]
    holder.attach(fresh)
    assert fresh.store.calls[-1][:3] == ("release", "gpu0@node1", "lost") and fresh.store.calls[-1][-1] == "c1"


def test_a_release_goes_to_redis_and_forgets_the_task(holder: Holder, channel: Channel) -> None:
    holder.held["c1"] = Held("t1", 8)
    holder.release("c1")
    assert channel.store.calls == [("release", "gpu0@node1", "only", "c1")]
    assert holder.held == {}


def test_an_ack_of_a_claim_that_was_taken_away_is_said_aloud(
    holder: Holder, channel: Channel, caplog: pytest.LogCaptureFixture
) -> None:
    channel.store.answers["ack"] = 0
    with caplog.at_level(logging.WARNING):
        holder.ack("c1")
    assert "c1 had been taken from gpu0@node1" in caplog.text


def test_constrained_queues_are_read_only_when_their_number_changed(holder: Holder, channel: Channel) -> None:
    assert not holder.learn_queues(0)
    assert holder.learn_queues(1) and holder.constrained == {"gpu:h100"}
    assert not holder.learn_queues(1)
    assert len(channel.store.calls) == 1


def test_a_fleet_that_cannot_be_read_is_unknown_and_publishing_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> Any:
        raise redis.ConnectionError("away")

    snapshot = Fleet(refuse, max_age=10).snapshot()
    assert (snapshot.workers, snapshot.seats) == ((), None)
    assert "waits in its shared queue" in caplog.text


def test_a_snapshot_is_used_again_until_it_is_too_old() -> None:
    def refuse() -> Any:
        raise redis.ConnectionError("away")

    patient, hasty = Fleet(refuse, max_age=60), Fleet(refuse, max_age=0)
    assert patient.snapshot() is patient.snapshot()
    assert hasty.snapshot() is not hasty.snapshot()


def test_a_broker_that_is_no_redis_is_an_error_and_not_an_empty_fleet() -> None:
    def refuse() -> Any:
        raise BrokerError("expected a redis:// broker")

    with pytest.raises(BrokerError):
        Fleet(refuse, max_age=1).snapshot()


def test_a_task_that_is_acked_as_it_begins_takes_up_room_until_its_end(holder: Holder, channel: Channel) -> None:
    holder.held["c1"] = Held("t1", 8)
    holder.began("c1", 7)
    holder.acks_early("c1")
    holder.ack("c1")
    assert holder.held == {} and [(task.task_id, task.pid) for task in holder.running.values()] == [("t1", 7)]
    assert not holder.recent
    holder.ended("c1")
    assert holder.running == {} and [task.task_id for task, _ in holder.recent] == ["t1"]


def test_a_server_that_forgot_is_asked_anew_which_queues_there_are(holder: Holder, channel: Channel) -> None:
    assert holder.learn_queues(1) and holder.constrained == {"gpu:h100"}
    holder.reassert(channel.store)
    assert holder.learn_queues(1), "as many as before need not be the same ones"


def test_an_ack_goes_along_with_a_look_that_follows_at_once(holder: Holder, channel: Channel) -> None:
    channel.looks = True
    holder.held["c1"] = Held("t1", 0)
    holder.ack("c1")
    assert channel.store.calls == [] and list(holder.acks.carry("")) == ["c1"]
    assert holder.acks.carry("") == {}, "it is on its way"
    holder.settle(channel.store)
    assert channel.store.calls == []
    holder.acks.answered("c1", True)
    assert holder.acks.claims == []


def test_an_ack_that_was_lost_with_its_look_is_sent_on_the_next_connection(holder: Holder, channel: Channel) -> None:
    channel.looks = True
    holder.held["c1"] = Held("t1", 0)
    holder.ack("c1")
    holder.acks.carry("")
    following = Channel()
    holder.attach(following)
    assert [call[2] for call in following.store.calls if call[0] == "ack"] == ["c1"]
    assert holder.acks.claims == []


def test_an_ack_that_a_server_did_not_understand_is_sent_again(holder: Holder, channel: Channel) -> None:
    channel.looks = True
    holder.held["c1"] = Held("t1", 0)
    holder.ack("c1")
    holder.acks.carry("")
    holder.acks.answered("c1", None)
    holder.settle(channel.store)
    assert [call[0] for call in channel.store.calls] == ["ack"]
