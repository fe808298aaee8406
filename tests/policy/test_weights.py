"""No event puts more before a model than it weighs."""

import json
from typing import Any

from gateway.policy.realtime import Event, event_of
from gateway.policy.weights import mcp_weight, references, weight


def event(**members: Any) -> Event:
    read = event_of(json.dumps(members).encode())
    assert read is not None
    return read


def test_weight_is_never_below_what_a_model_can_read() -> None:
    assert weight({"text": "x" * 1000}) >= 1000
    assert weight({"text": "é"}) >= 2
    assert weight({"audio": "A" * 5000, "type": "input_audio"}) < 100
    assert weight({"image_url": "data:image/png;base64," + "A" * 100_000}) < 5000
    assert weight([{"a": [1, True, None]}]) > 0


def test_remote_tools_add_to_a_conversation_by_themselves() -> None:
    data = b'{"type":"conversation.item.done","item":{"type":"mcp_list_tools","tools":[]}}'
    read = event_of(data)
    assert read is not None
    assert mcp_weight(data, read) == len(data)
    assert mcp_weight(b"{}", event(type="conversation.item.done")) == 0


def test_items_that_are_named_again_are_counted() -> None:
    named = {"type": "item_reference", "id": "item_1"}
    assert references({"response": {"input": [named, {"type": "message"}, named]}}) == 2
    assert references([]) == references("item_reference") == references(None) == 0
