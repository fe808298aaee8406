"""A hash that stands for a client, put in only where the client has said nothing."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.endpoints import Body, Endpoint
from gateway.policy.facts import Facts, read
from gateway.policy.identify import identified, identities
from gateway.policy.records import Client
from gateway.policy.splice import with_model

SECRET = b"s" * 32
ALICE = Client("alice", "alice", b"", team="research")
BOB = Client("bob", "bob", b"", team="research")
BOTH = {"safety_identifier": "a" * 64, "prompt_cache_key": "b" * 64}
CHAT = Endpoint("chat.completions", "POST", "/chat/completions", "inference", Body.JSON, streams=True)
EMBEDDINGS = Endpoint("embeddings", "POST", "/embeddings", "inference", Body.JSON)
COMPACT = Endpoint("responses.compact", "POST", "/responses/compact", "inference", Body.JSON)


def facts(body: bytes, endpoint: Endpoint = CHAT) -> Facts:
    return read(endpoint, body)


def test_a_value_stands_for_a_key_or_a_team_and_tells_nothing() -> None:
    by_key = {"safety_identifier": "key", "prompt_cache_key": "key"}
    by_team = {"safety_identifier": "team", "prompt_cache_key": "keep"}
    alice, bob = identities(SECRET, by_key, ALICE), identities(SECRET, by_key, BOB)
    assert len({*alice.values(), *bob.values()}) == 4
    assert all(len(value) == 64 and int(value, 16) for value in alice.values())
    assert identities(SECRET, by_team, ALICE) == identities(SECRET, by_team, BOB)
    assert identities(SECRET, by_team, ALICE).keys() == {"safety_identifier"}
    assert identities(SECRET, by_key, ALICE) != identities(b"t" * 32, by_key, ALICE)
    assert identities(SECRET, {"safety_identifier": "keep"}, ALICE) == {}


def test_a_team_and_a_key_of_the_same_name_are_two() -> None:
    lonely = replace(ALICE, id="research", team=None)
    wish = {"safety_identifier": "team"}
    assert identities(SECRET, wish, lonely) != identities(SECRET, wish, ALICE)
    assert identities(SECRET, wish, lonely) == identities(SECRET, {"safety_identifier": "key"}, lonely)


@pytest.mark.parametrize(
    ("body", "sent"),
    [
        (b'{"model":"m"}', b'{"safety_identifier":"A","prompt_cache_key":"B","model":"m"}'),
        (
            b'{"safety_identifier":"me","model":"m"}',
            b'{"prompt_cache_key":"B","safety_identifier":"me","model":"m"}',
        ),
        (
            b'{"model":"m","prompt_cache_key":null, "safety_identifier" : null}',
            b'{"model":"m","prompt_cache_key":"B", "safety_identifier" : "A"}',
        ),
    ],
)
def test_only_what_is_absent_is_added(body: bytes, sent: bytes) -> None:
    changed = identified(body, facts(body), CHAT, BOTH)
    expected = sent.replace(b'"A"', b'"%b"' % (b"a" * 64)).replace(b'"B"', b'"%b"' % (b"b" * 64))
    assert json.loads(changed) == json.loads(expected)
    assert len(changed) == len(expected)


def test_operations_that_do_not_know_them_stay_as_they_are() -> None:
    body = b'{"model":"m"}'
    assert identified(body, facts(body, EMBEDDINGS), EMBEDDINGS, BOTH) is body
    assert json.loads(identified(body, facts(body, COMPACT), COMPACT, BOTH)).keys() == {
        *("prompt_cache_key", "model")
    }
    assert identified(body, facts(body), CHAT, {}) is body


def test_after_another_change_it_finds_its_places_again() -> None:
    body = b'{"model":"m","safety_identifier":null}'
    known = facts(body)
    for model in ("a-longer-name", "n"):
        sent = json.loads(identified(with_model(body, known, model), known, CHAT, BOTH))
        assert sent == {"model": model, "safety_identifier": "a" * 64, "prompt_cache_key": "b" * 64}


@given(
    st.dictionaries(st.text(max_size=5), st.none() | st.booleans() | st.text(max_size=5), max_size=3),
    st.dictionaries(st.sampled_from(sorted(BOTH)), st.none() | st.text(max_size=5)),
    st.sampled_from([None, 2]),
)
def test_everything_else_is_as_it_was(
    others: dict[str, Any], said: dict[str, Any], indent: int | None
) -> None:
    asked = {"model": "m"} | {f"x{name}": value for name, value in others.items()} | said
    body = json.dumps(asked, indent=indent).encode(errors="replace")
    sent = json.loads(identified(body, facts(body), CHAT, BOTH))
    kept = {name: value for name, value in json.loads(body).items() if value is not None or name not in BOTH}
    assert sent == BOTH | kept
