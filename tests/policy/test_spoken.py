"""A response that is spoken, from its first word to its usage."""

import json
from typing import Any

from gateway.policy.realtime import Event, event_of
from gateway.policy.records import Usage
from gateway.policy.spoken import SpokenMeter


def event(**members: Any) -> Event:
    read = event_of(json.dumps(members).encode())
    assert read is not None
    return read


def test_the_meter_keeps_what_was_said_and_then_believes_the_upstream() -> None:
    meter = SpokenMeter()
    meter.read(event(type="response.output_audio_transcript.delta", delta="Hé"))
    meter.read(event(type="response.output_audio.delta", delta="A" * 6_400))
    assert (meter.texts, meter.text_bytes, meter.audio_tokens) == (["Hé"], 3, 3)
    assert meter.estimate(5, 1) == Usage(5, 4, estimated=True, output_audio=3)
    meter.read(event(type="response.done", response={"status": "failed", "usage": {"input_tokens": 2}}))
    assert (meter.usage, meter.failed, meter.finished) == (Usage(2, 0), True, True)
