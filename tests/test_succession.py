"""Aliases, then what OpenAI has shut down; and how clients and metrics are told of it."""

from typing import Literal

import msgspec
import pytest

from gateway.errors import UnknownUrl
from gateway.policy.endpoints import Body, Charge, Endpoint, find
from gateway.policy.models import KNOWN
from gateway.policy.retirements import midnight
from gateway.settings import Models
from gateway.succession import MOST, Succession

DAY = 86_400  # seconds

NOW = midnight("2026-11-22")
COMPLETIONS, _ = find("POST", "/v1/completions")
RETRIEVE, _ = find("GET", "/v1/models/x")
DELETE = Endpoint("models.delete", "DELETE", "/models/{model}", "inference")
TRAIN = Endpoint("fine_tuning.jobs.create", "POST", "/fine_tuning/jobs", "fine_tuning", Body.JSON, Charge.FEE)
END = [("deprecation", "@1776816000"), ("sunset", "Fri, 23 Oct 2026 00:00:00 GMT")]


def succession(retired: Literal["keep", "redirect", "refuse"] = "redirect", **aliases: str) -> Succession:
    names = {name.replace("_", "-").replace("ANY", "*"): model for name, model in aliases.items()}
    return Succession(Models(retired=retired, aliases=names), KNOWN)


def test_an_alias_comes_before_all_else() -> None:
    made = succession("refuse", text_davinci_ANY="gpt-5.5", text_davinci_003="gpt-4")
    assert made.sent(COMPLETIONS, "text-davinci-002", NOW) == "gpt-5.5"
    assert made.sent(COMPLETIONS, "text-davinci-003", NOW) == "gpt-4"  # shut down, and an owner's word
    assert made.sent(TRAIN, "text-davinci-002", NOW) == "gpt-5.5"


def test_the_table_is_for_the_others() -> None:
    assert succession("keep").sent(COMPLETIONS, "text-davinci-002", NOW) == "text-davinci-002"
    assert succession().sent(COMPLETIONS, "text-davinci-002", NOW) == "gpt-5.6-terra"
    assert succession().sent(COMPLETIONS, "text-davinci-edit-001", NOW) == "gpt-4o"
    assert succession().sent(COMPLETIONS, "sora-2", NOW) == "sora-2"
    assert succession("refuse").sent(COMPLETIONS, "gpt-4o", NOW) == "gpt-4o"
    with pytest.raises(UnknownUrl, match=r"Use 'gpt-5\.6-terra' instead") as refused:
        succession("refuse").sent(COMPLETIONS, "text-davinci-002", NOW)
    assert refused.value.code == "model_retired"


@pytest.mark.parametrize("endpoint", [RETRIEVE, DELETE, TRAIN], ids=lambda endpoint: endpoint.name)
def test_what_is_about_the_model_itself_is_about_no_other(endpoint: Endpoint) -> None:
    for mode in ("keep", "redirect", "refuse"):
        assert succession(mode).sent(endpoint, "gpt-3.5-turbo", NOW) == "gpt-3.5-turbo"


def test_a_client_is_told_of_the_end_of_what_it_asked_for() -> None:
    made = succession(fast="gpt-4", gpt_4_turbo="gpt-4-turbo", gpt_4_0613="gpt-6-luna")
    assert made.notice("gpt-3.5-turbo") == END
    assert made.notice("fast") == END  # whoever is behind the alias ends
    assert made.notice("gpt-6-luna") == []
    assert made.notice("gpt-4-0613") == []  # the owner has seen to it
    assert made.notice("gpt-4-turbo") == []  # an upstream of one's own has a model of that name


@pytest.mark.parametrize("name", ["sunset", "deprecation"])
def test_the_upstream_knows_best(name: str) -> None:
    assert succession().notice("gpt-3.5-turbo", [("content-type", "x"), (name, "y")]) == []
    assert succession().notice("gpt-3.5-turbo", [("content-type", "x")]) == END


def test_the_time_left_is_shown_for_models_that_clients_ask_for() -> None:
    made = succession(fast="gpt-4o")
    assert made.time_left(NOW) == {}
    for model in ("gpt-3.5-turbo", "fast", "gpt-6-luna", "sora-2-mine", "ft:gpt-4o:org::id", "mine"):
        made.notice(model)
    assert made.time_left(NOW) == {"gpt-3.5-turbo": -30 * DAY, "gpt-4o": 53 * DAY}


def test_invented_names_make_no_series() -> None:
    made = succession()
    for number in range(1000):
        made.notice(f"sora-2-{number}")
        made.notice(f"ft:gpt-4o:org::{number}")
    assert made.time_left(NOW) == {}


def listed(*models: tuple[str, str | None]) -> bytes:
    return msgspec.json.encode({"data": [{"id": name, "shutdown_date": day} for name, day in models]})


def test_what_an_upstream_says_of_its_models_is_remembered() -> None:
    made = succession()
    made.learn(listed(("mine", "2026-11-01"), ("gpt-6-luna", "2027-10-01"), ("other", None)))
    assert made.notice("mine") == [("sunset", "Sun, 01 Nov 2026 00:00:00 GMT")]
    assert made.notice("gpt-6-luna") == [("sunset", "Fri, 01 Oct 2027 00:00:00 GMT")]
    assert made.notice("other") == []
    assert made.time_left(NOW) == {"mine": -21 * DAY, "gpt-6-luna": 313 * DAY}
    made.learn(b'{"id":"gpt-6-luna","shutdown_date":"2026-11-23"}')
    assert made.time_left(NOW) == {"mine": -21 * DAY, "gpt-6-luna": 1 * DAY}
    assert made.sent(COMPLETIONS, "mine", NOW) == "mine"


def test_no_list_is_too_long_to_be_remembered() -> None:
    made = succession()
    made.learn(listed(*((f"m{number}", "2027-01-01") for number in range(MOST + 9))))
    made.learn(listed(("m0", "2027-02-01"), ("late", "2027-01-01")))
    assert made.notice("m0") == [("sunset", "Mon, 01 Feb 2027 00:00:00 GMT")]
    assert made.notice("late") == []
    assert f"{MOST} dates" in repr(made)
