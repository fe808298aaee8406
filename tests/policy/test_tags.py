"""Tags are read as they were written, or refused in words; a key's own cannot be talked over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import InvalidRequest
from gateway.policy.tags import MOST, read_tags

names = st.from_regex(r"[A-Za-z0-9_.\-]{1,64}", fullmatch=True)
values = st.from_regex(r"[A-Za-z0-9/:@ü+][A-Za-z0-9/:@ü+ ]{0,30}[A-Za-z0-9]", fullmatch=True)


@given(st.dictionaries(names, values, max_size=MOST))
def test_tags_read_as_they_were_written(tags: dict[str, str]) -> None:
    assert read_tags([", ".join(f"{name} = {value}" for name, value in tags.items())], {}) == tags


def test_several_headers_are_one_list() -> None:
    assert read_tags(["a=1", "b=2,"], {}) == {"a": "1", "b": "2"}


def test_a_client_cannot_talk_over_its_key() -> None:
    assert read_tags(["project=mine"], {"project": "atlas", "cost": "7"}) == {"project": "atlas", "cost": "7"}


@pytest.mark.parametrize("written", ["a", "=1", "a=", "a=b=c", "a b=1", "a=\x01", f"{'a' * 65}=1", "ä=1"])
def test_what_cannot_be_read_is_refused(written: str) -> None:
    with pytest.raises(InvalidRequest, match="x-gateway-tags") as refused:
        read_tags([written], {})
    assert (refused.value.code, refused.value.param) == ("invalid_tags", "x-gateway-tags")


def test_too_many_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="more than 16"):
        read_tags([",".join(f"t{number}=1" for number in range(MOST + 1))], {})


@given(st.text(max_size=60))
def test_nothing_else_comes_of_any_text(text: str) -> None:
    try:
        tags = read_tags([text], {})
    except InvalidRequest:
        return
    assert all(name and value and "," not in value and value == value.strip() for name, value in tags.items())
