"""The most tokens that images and spoken words can count, where nothing in a request bounds them."""

import re
from typing import Final

IMAGES: Final = frozenset({"images.generate", "images.edit", "images.create_variation"})

# OpenAI's guide to image generation: an image of 1024x1536 in high quality has 6,240 output tokens, and each
# of up to three partial images 100 more. In round numbers, with a fifth to spare.
IMAGE_OUTPUT: Final = 8_192
_LARGEST: Final = 1024 * 1536  # pixels of the largest size that all models know; newer ones draw more
_SIZE: Final = re.compile(r"([1-9][0-9]{1,4})x([1-9][0-9]{1,4})")
_MOST_PIXELS: Final = 3840 * 2160

# The same guide: an input image has 65 tokens and 129 for each of at most four tiles, and 6,240 more in high
# fidelity. A request has up to 16 images and a mask.
EDITED_IMAGE: Final = 65 + 4 * 129 + 6_240
IMAGE_INPUT: Final = 17 * EDITED_IMAGE

# gpt-4o-mini-tts: $0.015 a minute at $12 a million tokens make some 20 tokens a second. Nobody needs a second
# for a character; the first words are for pauses, and instructions to speak slowly.
_PER_CHARACTER: Final = 20
_SOME_SPEECH: Final = 1_000

# gpt-4o-transcribe reads at most 16,000 tokens: 25 minutes, at ten tokens a second. Nobody speaks five tokens
# a second for so long.
AUDIO_CONTEXT: Final = 16_000
MOST_TRANSCRIPT: Final = 25 * 60 * 5


def most_image(size: str | None) -> int:
    """Output tokens of one image of a `size` such as `1024x1536`. Another text is taken for a usual one."""
    match = _SIZE.fullmatch(size or "")
    pixels = min(int(match[1]) * int(match[2]), _MOST_PIXELS) if match else 0
    return IMAGE_OUTPUT * max(1, -(-pixels // _LARGEST))


def most_speech(text: str) -> int:
    """Output tokens of a text that is spoken, at any speed."""
    return _SOME_SPEECH + _PER_CHARACTER * len(text)


def most_of_form(endpoint: str, size: str | None, prompt: str) -> tuple[int, int]:
    """Input and output tokens (of each choice) of a form: pictures with a prompt, or a recording."""
    if endpoint in IMAGES:
        return IMAGE_INPUT + len(prompt.encode("utf-8", "replace")), most_image(size)
    return AUDIO_CONTEXT, MOST_TRANSCRIPT
