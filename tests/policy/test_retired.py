"""Models with an end: found by name, redirected while a successor lives, announced by headers."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import UnknownUrl
from gateway.policy.retired import (
    find,
    redirect,
    seconds_left,
    shutdown_dates,
    state,
    successor,
    sunset_headers,
)
from gateway.policy.retirements import TABLE, Retired, midnight

DAY = 86_400_000
NOW = midnight("2026-11-22")
ALIVE = [
    "gpt-5.6-sol",
    "gpt-5.5",
    "gpt-realtime-2.1",
    "gpt-audio-1.5",
    "gpt-6-luna",
    "text-embedding-ada-002",
    "llama-3",
]


@pytest.mark.parametrize(
    ("model", "shutdown", "replacement"),
    [
        ("ada", "2024-01-04", "babbage-002"),
        ("text-davinci-003", "2024-01-04", "gpt-3.5-turbo-instruct"),
        ("text-search-babbage-query-001", "2024-01-04", "text-embedding-3-small"),
        ("code-search-ada-text-001", "2024-01-04", "text-embedding-3-small"),
        ("gpt-3.5-turbo-0301", "2024-09-13", "gpt-3.5-turbo"),
        ("gpt-4-32k-0314", "2025-06-06", "gpt-4o"),
        ("gpt-4-vision-preview", "2024-12-06", "gpt-4o"),
        ("o1-mini", "2025-10-27", "o4-mini"),
        ("gpt-3.5-turbo", "2026-10-23", "gpt-5.6-terra"),
        ("gpt-4o-audio-preview-2025-06-03", "2027-01-20", "gpt-audio-1.5"),
        ("gpt-4o", "2027-01-14", "gpt-6-luna"),
        ("sora-2-pro-2025-10-06", "2026-09-24", None),
    ],
)
def test_finds_by_name_and_by_pattern(model: str, shutdown: str, replacement: str | None) -> None:
    found = find(model)
    assert found is not None
    assert (found.name, found.shutdown, found.replacement) == (model, midnight(shutdown), replacement)


@pytest.mark.parametrize("model", [*ALIVE, "", "gpt-4o-mini-2099-01-01", "openai/gpt-4", "ADA"])
def test_knows_nothing_of_the_others(model: str) -> None:
    assert find(model) is None
    assert redirect(model, "refuse", NOW) is None


@pytest.mark.parametrize(
    ("model", "shutdown"),
    [
        ("ft:gpt-4o-2024-08-06:org::id", "2027-01-14"),  # with its base
        ("ft:gpt-3.5-turbo-0613:org:name:id", "2026-10-23"),  # after its base
        ("ft:babbage-002:org::id", "2026-10-23"),
        ("davinci:ft-org-2023-01-02-03-04-05", "2024-01-04"),
    ],
)
def test_a_fine_tuned_model_ends_with_its_base_or_as_openai_says(model: str, shutdown: str) -> None:
    found = find(model)
    assert found is not None
    assert (found.name, found.shutdown) == (model, midnight(shutdown))


def test_the_end_is_the_beginning_of_its_day() -> None:
    end = midnight("2026-10-23")
    model = Retired("m", end)
    assert [state(model, at) for at in (end - 1, end)] == ["announced", "retired"]
    moments = (end - DAY - 1, end - DAY, end - 1, end, end + DAY - 1, end + DAY)
    assert [seconds_left(model, at) for at in moments] == [86400, 86400, 0, 0, -86400, -86400]


def test_the_successor_is_the_one_alive_on_the_day() -> None:
    assert redirect("text-davinci-003", "redirect", midnight("2024-01-03")) is None
    assert redirect("text-davinci-003", "redirect", midnight("2024-01-04")) == "gpt-3.5-turbo-instruct"
    assert redirect("text-davinci-003", "redirect", NOW) == "gpt-5.6-terra"
    assert redirect("gpt-4-0314", "redirect", NOW) == "gpt-5"
    assert redirect("gpt-4-0314", "redirect", midnight("2026-12-11")) == "gpt-5.6-sol"
    assert redirect("gpt-4o", "redirect", NOW) is None


def test_keeps_when_told_to_and_where_nothing_could_take_its_place() -> None:
    assert redirect("text-davinci-003", "keep", NOW) is None
    assert redirect("sora-2", "redirect", NOW) is None
    assert redirect("tts-1", "redirect", midnight("2027-01-06")) is None


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            "text-davinci-003",
            "The model 'text-davinci-003' was shut down on 2024-01-04. Use 'gpt-5.6-terra' instead.",
        ),
        ("sora-2", "The model 'sora-2' was shut down on 2026-09-24."),
        ("tts-1", "The model 'tts-1' was shut down on 2027-01-06. Use 'gpt-realtime-2.1-mini' instead."),
    ],
)
def test_refuses_with_the_day_and_the_replacement(model: str, words: str) -> None:
    with pytest.raises(UnknownUrl) as refused:
        redirect(model, "refuse", midnight("2027-02-01"))
    assert refused.value.message == words
    assert (refused.value.status, refused.value.code, refused.value.param) == (404, "model_retired", "model")


def test_a_model_whose_end_is_only_announced_is_not_refused() -> None:
    assert redirect("gpt-4o", "refuse", NOW) is None


@given(st.sampled_from(sorted(TABLE)), st.integers(midnight("2022-01-01"), midnight("2030-01-01")))
def test_a_successor_is_alive_and_nobody_is_led_in_a_circle(model: str, now: int) -> None:
    heir = successor(TABLE[model], now)
    assert heir != model
    if heir is not None:
        end = find(heir)
        assert end is None or state(end, now) == "announced"


def test_a_circle_of_replacements_ends() -> None:
    assert successor(Retired("ada", 0, "ada"), NOW) is None


@given(st.sampled_from(sorted(TABLE)))
def test_headers_are_dates_and_the_sunset_comes_last(model: str) -> None:
    headers = dict(sunset_headers(TABLE[model]))
    sunset = parsedate_to_datetime(headers["sunset"])
    assert int(sunset.timestamp()) * 1000 == TABLE[model].shutdown
    if "deprecation" in headers:
        assert headers["deprecation"].startswith("@")
        assert datetime.fromtimestamp(int(headers["deprecation"][1:]), UTC) < sunset


def test_headers_word_for_word() -> None:
    found = find("gpt-3.5-turbo")
    assert found is not None
    assert sunset_headers(found) == (
        ("deprecation", "@1776816000"),
        ("sunset", "Fri, 23 Oct 2026 00:00:00 GMT"),
    )
    assert [name for name, _ in sunset_headers(Retired("m", DAY, announced=2 * DAY))] == ["sunset"]
    assert sunset_headers(Retired("m", 0)) == (("sunset", "Thu, 01 Jan 1970 00:00:00 GMT"),)


def test_reads_what_a_list_of_models_says() -> None:
    models = [
        {"id": "gpt-4o", "object": "model", "shutdown_date": "2027-03-01"},
        {"id": "new", "shutdown_date": "2028-01-01"},
        {"id": "living", "shutdown_date": None},
        {"id": "silent"},
        {"id": "odd", "shutdown_date": "soon"},
        {"id": "odder", "shutdown_date": 7},
        "no object",
    ]
    listed = shutdown_dates(msgspec.json.encode({"object": "list", "data": models}))
    assert {name: each.shutdown for name, each in listed.items()} == {
        "gpt-4o": midnight("2027-03-01"),
        "new": midnight("2028-01-01"),
    }
    assert shutdown_dates(msgspec.json.encode(models[1])).keys() == {"new"}


def test_what_is_listed_holds_for_the_day_and_the_table_for_the_rest() -> None:
    listed = shutdown_dates(
        b'{"data":[{"id":"gpt-4o","shutdown_date":"2026-11-01"},{"id":"x","shutdown_date":"2026-11-01"}]}'
    )
    found = find("gpt-4o", listed)
    assert found is not None
    assert (found.shutdown, found.replacement) == (midnight("2026-11-01"), "gpt-6-luna")
    assert found.announced is not None
    assert redirect("gpt-4o", "redirect", NOW, listed) == "gpt-6-luna"
    assert redirect("x", "redirect", NOW, listed) is None
    with pytest.raises(UnknownUrl, match="'x' was shut down on 2026-11-01"):
        redirect("x", "refuse", NOW, listed)


def test_a_successor_that_is_listed_as_gone_is_passed_over() -> None:
    listed = shutdown_dates(b'{"id":"gpt-5.6-terra","shutdown_date":"2026-11-01"}')
    assert redirect("gpt-3.5-turbo", "redirect", NOW) == "gpt-5.6-terra"
    assert redirect("gpt-3.5-turbo", "redirect", NOW, listed) is None


@given(st.binary(max_size=40))
def test_a_list_of_nonsense_says_nothing(body: bytes) -> None:
    assert shutdown_dates(body) == {}


@given(st.text(max_size=30), st.integers(0, 2**45))
def test_any_name_can_be_asked_about(model: str, now: int) -> None:
    assert redirect(model, "keep", now) is None
    found = find(model)
    assert found is None or found.name == model
