"""Telling OpenAI which of the people behind one account is asking, without telling who it is.

`safety_identifier` lets it act against one misuser instead of the account; `prompt_cache_key` says whose
prompts its prompt cache keeps together. What a client says itself is never changed.
"""

import hmac
from collections.abc import Mapping
from typing import Final

from gateway.policy.endpoints import Endpoint
from gateway.policy.facts import Facts
from gateway.policy.records import Client
from gateway.policy.splice import with_absent

# The operations that know them, by OpenAI's description of its API. Both take at most 64 characters.
_KNOWN: Final = {
    "/chat/completions": ("safety_identifier", "prompt_cache_key"),
    "/responses": ("safety_identifier", "prompt_cache_key"),
    "/responses/compact": ("prompt_cache_key",),
}


def identities(secret: bytes, wishes: Mapping[str, str], client: Client) -> dict[str, str]:
    """member → value for this client. `wishes` says for each member `keep`, `key` or `team`.

    A value is the same for ever, in all gateways on one store, and nobody without the secret can find out
    whose it is, or that the two members stand for the same client. A key without a team is its own team.
    """
    stands_for = {"key": f"key\0{client.id}", "team": f"team\0{client.team}" if client.team else ""}
    return {
        member: hmac.digest(
            secret, f"{member}\0{stands_for[wish] or stands_for['key']}".encode(), "sha256"
        ).hex()
        for member, wish in wishes.items()
        if wish in stands_for
    }


def identified(body: bytes, facts: Facts, endpoint: Endpoint, values: Mapping[str, str]) -> bytes:
    """The body with those of `values` that this operation knows and the client has not said itself.

    `facts` are those of this very body. A null is nothing said.
    """
    known = _KNOWN.get(endpoint.path, ()) if endpoint.method == "POST" else ()
    wanted = {member: b'"%b"' % values[member].encode() for member in known if member in values}
    return with_absent(body, facts, wanted) if wanted else body
