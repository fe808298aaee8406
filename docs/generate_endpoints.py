"""Writes `docs/endpoints.md`: every operation that the gateway knows, from its table."""

from pathlib import Path

from gateway.policy.operation import Body, Charge, Endpoint
from gateway.policy.operations import TABLE

PAGE = Path(__file__).with_name("endpoints.md")

_HEAD = """# Endpoints

Whatever works with `https://api.openai.com/v1` works with `http://<gateway>/v1`: requests and answers pass
byte for byte. Each operation belongs to a group, and `endpoints.allow` says which groups are open
([configuration](configuration.md#endpoints)): for everybody, for a team, for a key. `inference` is open by
default. `organization` (people, projects, keys and bills of the account itself) opens only when it is
named, or `all` is.

```toml
[endpoints]
allow = ["inference", "files", "batches"]
```

- **Paths.** `/v1/…` and, for clients of Azure, `/openai/…`, `/openai/v1/…` and
  `/openai/deployments/{model}/chat/completions` with `?api-version=`, which goes no further. Clients of
  2023 may say `/v1/engines/{model}/completions`, and have a slash too many after `/v1`. An upstream sees
  the path of the table with its places filled in, never what the client wrote.
- **Queries** pass unchanged. One that holds a key is refused.
- **Unknown paths** are a 404. With `endpoints.unknown = "forward"` they are passed on, counted as requests,
  under the name `unknown`; below a path that is known they belong to its group, and elsewhere they are open
  to every key.
- **The local model** serves chat completions, completions, embeddings and responses. Whatever else is open,
  that server answers with a 404 or a 501 of its own.

## What the columns say

- *body*: `json` is read once and sent on as it is, up to `server.max_body`; `form` (multipart, audio,
  whatever it is) is passed on as it arrives, up to `server.max_upload`.
- *cost*: `usage` is what the answer states, at the model's price; `fee` is what
  [`prices.operations`](configuration.md#prices) says for that name, because no answer says it. Without one,
  such a call counts as nothing, and is refused under a limit in dollars.
- *owner*: `makes` an object that from then on is shown to its key, or team, alone; or `lists` those that
  are.
"""


def page() -> str:
    """The whole page."""
    groups: dict[str, list[Endpoint]] = {}
    for row in TABLE:
        groups.setdefault(row.group, []).append(row)
    return _HEAD + "".join(_section(group, rows) for group, rows in groups.items())


def _section(group: str, rows: list[Endpoint]) -> str:
    head = f"\n## `{group}`\n\n| name | operation | body | cost | owner |\n|---|---|---|---|---|\n"
    return head + "".join(map(_line, rows))


def _line(row: Endpoint) -> str:
    method = "WebSocket" if row.socket else row.method
    body = "" if row.body is Body.NONE else row.body.value
    cost = "" if row.charge is Charge.FREE else row.charge.value
    owner = f"makes {row.creates}" if row.creates else f"lists {row.lists}" if row.lists else ""
    cells = (f"`{row.name}`", f"`{method} {row.path}`", *(text or "–" for text in (body, cost, owner)))
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
