"""No secret is said: not in a URL, not under a name that tells what it is, not if it is known to be one."""

from __future__ import annotations

import pytest

from gridq.logs.mask import Mask, passwords_in


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Connected to redis://:hunter2@db:6379/0", "Connected to redis://:***@db:6379/0"),
        ("got 'rediss://app:hunter2@db/1?x=1', sorry", "got 'rediss://app:***@db/1?x=1', sorry"),
        ("sentinel://:a@one:26379;sentinel://:b@two:26379", "sentinel://:***@one:26379;sentinel://:***@two:26379"),
        ("redis://:one@a/0 and redis://:two@b/0", "redis://:***@a/0 and redis://:***@b/0"),
        ("redis://db/0?password=hunter2&db=1", "redis://db/0?password=***&db=1"),
        ("cloning https://ghp_abc@git.example/x", "cloning https://***@git.example/x"),
        ("{'password': 'it is', 'user': 'me'}", "{'password': ***, 'user': 'me'}"),
        ('{"api_key": "abc", "n": 1}', '{"api_key": ***, "n": 1}'),
        ("login(password='a \\' b', token=abc, n=1)", "login(password=***, token=***, n=1)"),
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("DB_PASSWORD=hunter2", "DB_PASSWORD=***"),
    ],
)
def test_what_looks_like_a_secret_is_hidden(text: str, said: str) -> None:
    assert Mask().text(text) == said


@pytest.mark.parametrize(
    "text",
    [
        "gpu0@node1 ready.",
        "redis://db:6379/0 as gpu0@node1",
        "redis://db:6379/0 is not gpu0@node1: a broker",
        "see https://example.com/a?b=c",
        "Unexpected token: }",
        "read 512 tokens: fine, max_tokens=512, tokenizer=bpe",
        "the key was missing: 'name'",
    ],
)
def test_what_is_no_secret_is_said(text: str) -> None:
    assert Mask().text(text) == text


def test_a_known_password_is_hidden_wherever_it_appears() -> None:
    assert Mask(["correct horse"]).text("AUTH correct horse failed") == "AUTH *** failed"


def test_a_password_that_may_be_a_word_is_not_looked_for() -> None:
    """Else the places where it is missing would tell it."""
    assert Mask(["redis"]).text("redis is away") == "redis is away"


def test_values_are_hidden_by_their_names_at_any_depth() -> None:
    said = Mask().value("config", {"db": {"password": 5, "url": "redis://:x@h"}, "tokens": 512, "a": [("b", None)]})
    assert said == {"db": {"password": "***", "url": "redis://:***@h"}, "tokens": 512, "a": [["b", None]]}


def test_what_refers_to_itself_is_said_in_the_end() -> None:
    endless: dict[str, object] = {}
    endless["again"] = endless
    assert "..." in str(Mask().value("x", endless))


def test_what_json_has_no_form_for_becomes_text_without_secrets() -> None:
    class Client:
        def __repr__(self) -> str:
            return "Client('redis://:hunter2@db')"

    assert Mask().value("client", Client()) == "Client('redis://:***@db')"
    assert Mask().value("sizes", {("a", 1): {2}}) == {"('a', 1)": "{2}"}


def test_passwords_are_found_in_settings_as_written_and_as_meant() -> None:
    options = {"sentinel_kwargs": {"password": "inner"}, "socket_timeout": 5, "password": None}
    urls = ["sentinel://:one%2F1@a;sentinel://me:two@b", None]
    assert passwords_in(urls, options) == {"one%2F1", "one/1", "two", "inner"}
