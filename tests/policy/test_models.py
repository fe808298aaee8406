import pytest

from gateway.policy.models import KNOWN, allowed, best, label, output_cap, reasons, searches, untuned

ALIASES = {
    "text-davinci-002": "gpt-6-luna",
    "gpt-4*": "gpt-4.1",
    "gpt-4o*": "gpt-4o",
    "best": "text-davinci-002",
}


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("text-davinci-002", "gpt-6-luna"),
        ("gpt-4-turbo", "gpt-4.1"),
        ("gpt-4o-mini", "gpt-4o"),
        ("best", "text-davinci-002"),
        ("gpt-5", None),
        ("gpt-4*", "gpt-4.1"),
    ],
)
def test_the_longest_pattern_is_the_best(asked: str, sent: str | None) -> None:
    assert best(ALIASES, asked) == sent
    assert best(dict(reversed(ALIASES.items())), asked) == sent


def test_what_a_fine_tuned_model_was_made_of() -> None:
    assert untuned("ft:gpt-4o-2024-08-06:org::id") == "gpt-4o-2024-08-06"
    assert untuned("openai/gpt-4o") == "openai/gpt-4o"


@pytest.mark.parametrize(
    ("model", "cap"),
    [
        ("gpt-4o", 16_384),
        ("gpt-4o-2024-05-13", 4_096),
        ("gpt-4", 8_192),
        ("gpt-4.1-mini", 32_768),
        ("gpt-5.4-nano-2026-03-17", 128_000),
        ("gpt-5.3-chat-latest", 16_384),
        ("gpt-5-pro", 272_000),
        ("o1-mini", 65_536),
        ("gpt-6-luna", 128_000),
        ("gpt-daybreak-blue-latest", 128_000),
        ("o3-mini", 100_000),
        ("openai/gpt-4.1", 32_768),
        ("ft:gpt-4.1:org/x::abc", 32_768),
        ("ft:", 16_384),
        ("", 16_384),
        ("SmolLM2-135M-Instruct", 16_384),
    ],
)
def test_output_caps(model: str, cap: int) -> None:
    assert output_cap(model, {}) == cap


def test_overrides_come_first() -> None:
    overrides = {"gpt-4o*": 100, "gpt-*": 50, "smol": 2_048}
    assert output_cap("gpt-4o", overrides) == 100
    assert output_cap("gpt-5", overrides) == 50
    assert output_cap("smol", overrides) == 2_048


def test_labels_come_from_a_closed_set() -> None:
    assert label("gpt-4o", ()) == "gpt-4o"
    assert label("mine", {"mine"}) == "mine"
    assert label(None, ()) == "none"
    assert {label(f"gpt-4o-{i}", ()) for i in range(1000)} == {"other"}


def test_known_names_are_names() -> None:
    assert len(KNOWN) > 80
    assert all(name.isascii() and "*" not in name for name in KNOWN)
    assert {"gpt-6-luna", "gpt-6.1-sol", "text-davinci-002", "gpt-image-2.5-sunburst"} <= KNOWN
    assert {"sora-2-mine", "gpt-4o-realtime-mine"}.isdisjoint(KNOWN)


def test_every_owner_must_allow_a_model() -> None:
    assert allowed((("*",),), "gpt-4o")
    assert allowed((("gpt-*",), ("gpt-4o", "o3")), "gpt-4o")
    assert not allowed((("gpt-*",), ("o3",)), "gpt-4o")
    assert not allowed(((),), "gpt-4o")
    assert allowed((), "gpt-4o")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        *((name, True) for name in ("o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5.4-nano", "gpt-6-luna")),
        *((name, True) for name in ("openai/gpt-6-luna", "ft:o4-mini:org::x", "gpt-10", "codex-mini-latest")),
        *(
            (name, False)
            for name in ("gpt-4o", "gpt-4.1", "gpt-3.5-turbo", "chatgpt-4o-latest", "gpt-oss-20b")
        ),
        *((name, False) for name in ("", "orca-2", "llama-o1", "SmolLM2-135M-Instruct", "gpt-1")),
    ],
)
def test_which_models_know_the_newer_bound(model: str, expected: bool) -> None:
    assert reasons(model) is expected


def test_which_models_search_by_themselves() -> None:
    for model in ("gpt-4o-search-preview", "gpt-4o-mini-search-preview-2025-03-11", "gpt-5-search-api"):
        assert searches(model)
    for model in ("gpt-4o", "search-preview", "o3-deep-research", "text-search-ada"):
        assert not searches(model)
