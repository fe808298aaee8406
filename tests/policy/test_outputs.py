import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.outputs import (
    AUDIO_CONTEXT,
    IMAGE_INPUT,
    IMAGE_OUTPUT,
    most_image,
    most_of_form,
    most_speech,
)


@pytest.mark.parametrize(
    ("size", "images"),
    [
        (None, 1),
        ("auto", 1),
        ("1024x1024", 1),
        ("1024x1536", 1),
        ("1536x1025", 2),
        ("2560x1440", 3),
        ("3840x2160", 6),
        ("99999x99999", 6),
        ("0x0", 1),
        ("1024x1024x9", 1),
        ("x", 1),
    ],
)
def test_a_larger_image_has_more_tokens(size: str | None, images: int) -> None:
    assert most_image(size) == images * IMAGE_OUTPUT


def test_the_published_numbers_fit() -> None:
    assert IMAGE_OUTPUT >= 6_240 + 3 * 100  # high quality, upright, with three partial images
    assert IMAGE_INPUT >= 17 * 6_240


@given(st.text(max_size=4096))
def test_speech_grows_with_its_text(text: str) -> None:
    # 4,096 characters take some five minutes; at the slowest speed, twenty: 24,000 tokens.
    assert 1_000 <= most_speech(text) <= most_speech(text + "x") <= 1_000 + 20 * 4_097


def test_forms() -> None:
    assert most_of_form("images.edit", "1024x1024", "é") == (IMAGE_INPUT + 2, IMAGE_OUTPUT)
    assert most_of_form("images.edit", None, "\udcff")[0] == IMAGE_INPUT + 1
    assert most_of_form("audio.transcriptions.create", None, "a prompt") == (AUDIO_CONTEXT, 7_500)
