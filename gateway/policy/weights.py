"""The most tokens that what passes in a realtime session can put before a model."""

from typing import Any, Final

from gateway.policy.prompt import IMAGE_TOKENS
from gateway.policy.realtime import Event

# 10 tokens a second of what the user says (OpenAI's guide to Realtime costs); the thinnest format, G.711, has
# 10,667 letters of base64 in one. Half of that, for what is not known.
LETTERS_PER_AUDIO_TOKEN: Final = 500


def weight(value: Any, name: str = "") -> int:
    """The most tokens that a decoded event can put before a model: no text has more of them than bytes."""
    if isinstance(value, str):
        return _text_weight(value, name)
    if isinstance(value, dict):
        return sum(weight(item, key) + len(key) + 4 for key, item in value.items())
    if isinstance(value, list):
        return sum(weight(item, name) for item in value)
    return 8


def references(value: Any) -> int:
    """How often a decoded event names an item of the conversation to be read (again)."""
    if isinstance(value, dict):
        return (value.get("type") == "item_reference") + sum(map(references, value.values()))
    return sum(map(references, value)) if isinstance(value, list) else 0


def _text_weight(text: str, name: str) -> int:
    if name == "audio":
        return len(text) // LETTERS_PER_AUDIO_TOKEN + 1
    if name == "image_url" and text.startswith("data:"):
        return IMAGE_TOKENS
    return len(text.encode(errors="replace"))


def mcp_weight(data: bytes, event: Event) -> int:
    """What a server's event adds to the conversation by itself: tools and results of remote MCP servers."""
    ends = event.type in ("conversation.item.done", "response.output_item.done")
    return len(data) if ends and b'"mcp_' in data else 0
