"""What a client says a request is for: `x-gateway-tags: project=atlas, step=draft`."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.errors import InvalidRequest

MOST: Final = 16
_TAG = re.compile(r"\s*([A-Za-z0-9_.\-]{1,64})\s*=\s*([^,=]{1,128}?)\s*")


def read_tags(values: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """The tags of a request: those in the header's values and those `given` with its key, which win.

    A client may say more about its request than its key does, and nothing else. Raises InvalidRequest
    (`invalid_tags`) for what cannot be read: a tag that is left out would be missed on somebody's bill.
    """
    if not values:
        return dict(given)
    tags: dict[str, str] = {}
    for part in ",".join(values).split(","):
        if not part.strip():
            continue
        match = _TAG.fullmatch(part)
        # What is not printable is bytes that are no text, too: a row could not hold them.
        if match is None or not match[2].isprintable():
            raise _invalid("write name=value,name=value: letters, digits and _.- in a name")
        tags[match[1]] = match[2]
    if len(tags) > MOST:
        raise _invalid(f"there are more than {MOST}")
    return tags | dict(given)


def _invalid(complaint: str) -> InvalidRequest:
    return InvalidRequest(
        f"The header 'x-gateway-tags' is not valid: {complaint}.", code="invalid_tags", param="x-gateway-tags"
    )
