"""When OpenAI shuts a model down, and what it recommends instead.

The facts are those of https://developers.openai.com/api/docs/deprecations as of autumn 2026. Where it names
several replacements, the first is meant; dated snapshots stand beside the names that lead to them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

_DAY: Final = 86_400_000  # ms
_EPOCH: Final = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Retired:
    """A model with an end. `shutdown` and `announced` are ms since 1970, at midnight UTC.

    `announced` is None where nobody said when, `replacement` where there is none. `elsewhere`: the
    replacement does not answer the same requests, so that it is named and never put in the model's place.
    """

    name: str
    shutdown: int
    replacement: str | None = None
    announced: int | None = None
    elsewhere: bool = False


def midnight(day: str) -> int:
    """The ms since 1970 at which an ISO day (`2026-10-23`) begins in UTC. Raises ValueError for no day."""
    return (date.fromisoformat(day) - _EPOCH).days * _DAY


# announced, shut down, replacement (`!`: of another operation), names. The longest fitting pattern holds.
_Row = tuple[str | None, str, str | None, str]

_ROWS: Final[tuple[_Row, ...]] = (
    ("2023-03-20", "2023-03-23", "gpt-4o", "code-davinci-001 code-cushman-001 code-cushman-002"),
    (
        "2023-07-06",
        "2024-01-04",
        "gpt-3.5-turbo-instruct",
        "text-ada-001 text-babbage-001 text-curie-001 text-davinci-001 text-davinci-002 text-davinci-003"
        " code-davinci-002",
    ),
    ("2023-07-06", "2024-01-04", "babbage-002", "ada babbage"),
    ("2023-07-06", "2024-01-04", "davinci-002", "curie davinci"),
    ("2023-07-06", "2024-01-04", "gpt-4o", "text-davinci-edit-001 code-davinci-edit-001"),
    (
        "2023-07-06",
        "2024-01-04",
        "text-embedding-3-small",
        "text-similarity-*-001 text-search-*-doc-001 text-search-*-query-001 code-search-*-code-001"
        " code-search-*-text-001",
    ),
    ("2023-06-13", "2024-09-13", "gpt-3.5-turbo", "gpt-3.5-turbo-0301"),
    (
        "2023-11-06",
        "2024-09-13",
        "gpt-3.5-turbo",
        "gpt-3.5-turbo-0613 gpt-3.5-turbo-16k gpt-3.5-turbo-16k-0613",
    ),
    ("2024-06-06", "2024-12-06", "gpt-4o", "gpt-4-vision-preview gpt-4-1106-vision-preview"),
    ("2024-06-06", "2025-06-06", "gpt-4o", "gpt-4-32k gpt-4-32k-0314 gpt-4-32k-0613"),
    ("2025-04-14", "2025-07-14", "gpt-4.1", "gpt-4.5-preview gpt-4.5-preview-2025-02-27"),
    ("2025-04-28", "2025-07-28", "o3", "o1-preview o1-preview-2024-09-12"),
    ("2025-04-28", "2025-10-27", "o4-mini", "o1-mini o1-mini-2024-09-12"),
    (
        "2025-04-28",
        "2025-10-27",
        "omni-moderation-latest",
        "text-moderation-007 text-moderation-stable text-moderation-latest",
    ),
    ("2025-06-10", "2025-10-10", "gpt-realtime-1.5", "gpt-4o-realtime-preview-2024-10-01"),
    ("2025-06-10", "2025-10-10", "gpt-audio-1.5", "gpt-4o-audio-preview-2024-10-01"),
    (
        "2025-09-15",
        "2026-05-07",
        "gpt-realtime-1.5",
        "gpt-4o-realtime-preview gpt-4o-realtime-preview-2024-12-17 gpt-4o-realtime-preview-2025-06-03",
    ),
    ("2025-09-15", "2026-05-07", "gpt-realtime-mini", "gpt-4o-mini-realtime-preview"),
    ("2025-09-15", "2026-05-07", "gpt-audio-1.5", "gpt-4o-audio-preview"),
    ("2025-09-15", "2026-05-07", "gpt-audio-mini", "gpt-4o-mini-audio-preview"),
    (
        "2025-09-26",
        "2026-03-26",
        "gpt-5",
        "gpt-4-0314 gpt-4-0125-preview gpt-4-turbo-preview gpt-4-turbo-preview-completions",
    ),
    (
        "2025-09-26",
        "2026-09-28",
        "gpt-5.6-terra",
        "gpt-3.5-turbo-instruct gpt-3.5-turbo-instruct-0914 babbage-002 davinci-002 gpt-3.5-turbo-1106",
    ),
    ("2025-11-14", "2026-05-12", "gpt-image-2", "dall-e-2 dall-e-3"),
    # The page says gpt-5-codex-mini, which OpenAI's description of its API does not know.
    ("2025-11-17", "2026-02-12", "gpt-5.1-codex-mini", "codex-mini-latest"),
    ("2025-11-18", "2026-02-17", "gpt-5.1-chat-latest", "chatgpt-4o-latest"),
    ("2026-03-24", "2026-09-24", None, "sora-2 sora-2-*"),
    (
        "2026-04-22",
        "2026-07-23",
        "gpt-5.6-terra",
        "computer-use-preview computer-use-preview-2025-03-11 gpt-5.1-codex-mini"
        " gpt-4o-search-preview gpt-4o-search-preview-2025-03-11"
        " gpt-4o-mini-search-preview gpt-4o-mini-search-preview-2025-03-11",
    ),
    (
        "2026-04-22",
        "2026-07-23",
        "gpt-5.6-sol",
        "gpt-5-chat-latest gpt-5.1-chat-latest gpt-5-codex gpt-5.1-codex gpt-5.1-codex-max gpt-5.2-codex"
        " o3-deep-research o3-deep-research-2025-06-26"
        " o4-mini-deep-research o4-mini-deep-research-2025-06-26",
    ),
    ("2026-04-22", "2026-07-23", "gpt-audio-1.5", "gpt-audio-mini-2025-10-06"),
    ("2026-04-22", "2026-07-23", "gpt-realtime-2.1-mini", "gpt-realtime-mini-2025-10-06"),
    (
        "2026-04-22",
        "2026-10-23",
        "gpt-5.6-terra",
        "gpt-3.5-turbo gpt-3.5-turbo-0125 gpt-3.5-turbo-completions o4-mini o4-mini-2025-04-16",
    ),
    (
        "2026-04-22",
        "2026-10-23",
        "gpt-5.6-sol",
        "gpt-4 gpt-4-0613 gpt-4-completions gpt-4-0613-completions gpt-4-1106-preview"
        " gpt-4-turbo gpt-4-turbo-2024-04-09 gpt-4-turbo-completions gpt-4o-2024-05-13"
        " o1 o1-2024-12-17 o1-pro o1-pro-2025-03-19 o3-mini o3-mini-2025-01-31",
    ),
    ("2026-04-22", "2026-10-23", "gpt-5.6-luna", "gpt-4.1-nano gpt-4.1-nano-2025-04-14"),
    ("2026-04-22", "2026-10-23", "gpt-image-2.5-sunburst", "gpt-image-1"),
    ("2026-05-08", "2026-08-10", "gpt-5.6-sol", "gpt-5.2-chat-latest gpt-5.3-chat-latest"),
    (
        "2026-06-02",
        "2026-12-01",
        "gpt-image-2.5-sunburst",
        "gpt-image-1-mini gpt-image-1.5 gpt-image-1.5-2025-12-16 chatgpt-image-latest",
    ),
    (
        "2026-06-11",
        "2026-12-11",
        "gpt-5.6-sol",
        "gpt-5 gpt-5-2025-08-07 gpt-5-pro gpt-5-pro-2025-10-06 o3 o3-2025-04-16 o3-pro o3-pro-2025-06-10",
    ),
    ("2026-06-11", "2026-12-11", "gpt-5.6-terra", "gpt-5-mini gpt-5-mini-2025-08-07"),
    ("2026-06-11", "2026-12-11", "gpt-5.6-luna", "gpt-5-nano gpt-5-nano-2025-08-07"),
    (
        "2026-07-20",
        "2027-01-20",
        "gpt-realtime-2.1",
        "gpt-realtime gpt-realtime-2025-08-28 gpt-4o-realtime*",
    ),
    ("2026-07-20", "2027-01-20", "gpt-realtime-2.1-mini", "gpt-realtime-mini* gpt-4o-mini-realtime*"),
    (
        "2026-07-20",
        "2027-01-20",
        "gpt-audio-1.5",
        "gpt-audio gpt-audio-2025-08-28 gpt-audio-mini* gpt-4o-audio* gpt-4o-mini-audio*",
    ),
    ("2026-07-20", "2027-01-20", "gpt-4o-mini-transcribe-2025-12-15", "gpt-4o-mini-transcribe-2025-03-20"),
    (
        "2026-08-26",
        "2027-02-26",
        "gpt-transcribe",  # the page's other one, gpt-live-transcribe, takes no files
        "whisper-1 gpt-4o-transcribe gpt-4o-mini-transcribe gpt-4o-transcribe-diarize",
    ),
    ("2026-09-11", "2026-10-01", None, "gpt-5.4-cyber"),
    (
        "2026-10-01",
        "2027-01-06",
        "!gpt-realtime-2.1-mini",
        "tts-1 tts-1-hd gpt-4o-mini-tts gpt-4o-mini-tts-*",
    ),
    (
        "2026-10-14",
        "2027-01-14",
        "gpt-6-luna",
        "gpt-4o gpt-4o-2024-08-06 gpt-4o-2024-11-20 gpt-4o-mini gpt-4o-mini-2024-07-18"
        " gpt-4.1 gpt-4.1-2025-04-14 gpt-4.1-mini gpt-4.1-mini-2025-04-14",
    ),
    (
        None,
        "2027-04-01",
        None,
        "gpt-5.1 gpt-5.1-2025-11-13 gpt-5.3-codex gpt-5.4-nano gpt-5.4-nano-2026-03-17",
    ),
    ("2026-11-05", "2027-02-01", None, "gpt-5.5-cyber-preview"),
)

# Models fine-tuned from these outlived their bases; all others end with them.
_TUNED_ROWS: Final[tuple[_Row, ...]] = (
    ("2026-04-22", "2026-10-23", "gpt-5.6-terra", "gpt-3.5-turbo* babbage-002 davinci-002"),
    ("2026-04-22", "2026-10-23", "gpt-5.6-sol", "gpt-4 gpt-4-0613"),
)


def _entries(rows: tuple[_Row, ...]) -> Iterator[Retired]:
    for announced, shutdown, replacement, names in rows:
        for name in names.split():
            yield Retired(
                name,
                midnight(shutdown),
                replacement.removeprefix("!") if replacement is not None else None,
                midnight(announced) if announced is not None else None,
                elsewhere=replacement is not None and replacement.startswith("!"),
            )


# By name or pattern. TUNED is by the base of the fine-tuned model, and comes first for those.
TABLE: Final[Mapping[str, Retired]] = {entry.name: entry for entry in _entries(_ROWS)}
TUNED: Final[Mapping[str, Retired]] = {entry.name: entry for entry in _entries(_TUNED_ROWS)}
