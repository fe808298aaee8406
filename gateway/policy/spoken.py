"""What one response of the Realtime API used, and what it has said so far."""

import msgspec

from gateway.policy.jsonbytes import parse
from gateway.policy.realtime import DONE, Event, response_of, usage_of
from gateway.policy.records import Usage

_TEXT = msgspec.json.Decoder(str)


class SpokenMeter:
    """Stands beside one response of the Realtime API: what `policy.usage.Meter` is for the other one."""

    # 20 tokens a second of speech (OpenAI's guide to Realtime costs), 64,000 letters as 24 kHz PCM in base64.
    _LETTERS_PER_TOKEN = 3_200

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.failed = False
        self.finished = False
        self.text_bytes = 0
        self._texts: list[str] = []
        self._letters = 0  # of audio in base64

    @property
    def texts(self) -> list[str]:
        return self._texts

    @property
    def audio_tokens(self) -> int:
        return -(-self._letters // self._LETTERS_PER_TOKEN)

    def read(self, event: Event) -> None:
        if event.type in DONE:
            response = response_of(event)
            self.finished, self.failed = True, response.status == "failed"
            self.usage = usage_of(response.usage)
        elif event.type in ("response.output_audio.delta", "response.audio.delta"):
            self._letters += len(event.delta)
        elif event.type.endswith(".delta") and (text := parse(_TEXT, event.delta)):
            # Spoken words come twice, as audio and as their transcript: the estimate counts both.
            self._texts.append(text)
            self.text_bytes += len(text.encode(errors="replace"))

    def estimate(self, input: int, output: int) -> Usage:
        spoken = self.audio_tokens
        return Usage(input, output + spoken, estimated=True, output_audio=spoken)
