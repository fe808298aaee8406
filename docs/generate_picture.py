"""Draws docs/first-minute.svg, the terminal session of the README: `python docs/generate_picture.py`."""

from html import escape
from pathlib import Path

LINES = """\
$ make run
Loading SmolLM2-135M-Instruct on this machine's processor ...
gateway 0.1.0
  clients   http://127.0.0.1:8080/v1
  admin     http://127.0.0.1:8081   /admin/v1 /metrics /healthz /readyz
  upstream  no OPENAI_API_KEY: serving SmolLM2-135M-Instruct on this machine's processor

$ gateway keys create eve --limit "2 requests/minute"
sk-gw-9bc55290bbbd-···················

$ curl -i :8080/v1/chat/completions -H "Authorization: Bearer $KEY" -d "$QUESTION"
HTTP/1.1 200 OK
+x-gateway-cache: miss
+x-gateway-upstream: local
x-ratelimit-remaining-requests: 1

$ curl -i …                                    # the same question again
HTTP/1.1 200 OK
+x-gateway-cache: hit
+x-gateway-upstream: cache
x-ratelimit-remaining-requests: 0

$ curl -i …                                    # and once more
-HTTP/1.1 429 Too Many Requests
retry-after: 30
{"error":{"message":"The limit '2 requests/minute' of this key is reached. …

$ curl -s :8081/metrics | grep gateway_requests_total
gateway_requests_total{cache="miss",endpoint="chat.completions",…,status="200"} 1.0
gateway_requests_total{cache="hit",endpoint="chat.completions",…,status="200"} 1.0
gateway_requests_total{cache="bypass",endpoint="chat.completions",…,status="429"} 1.0
"""

LINE, CHARACTER, MARGIN = 20, 8.05, 20
COLOURS = {"$": "#7ee787", "+": "#79c0ff", "-": "#ff7b72"}


def drawn(text: str) -> str:
    lines = text.splitlines()
    width = round(max(map(len, lines)) * CHARACTER + 2 * MARGIN)
    height = len(lines) * LINE + 2 * MARGIN
    rows = "\n".join(_row(line, MARGIN + LINE * n + 14) for n, line in enumerate(lines))
    return (
        '<svg xmlns="http://www.w3.org/2000/svg"'
        f' viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="13.4">\n'
        f'<rect width="{width}" height="{height}" rx="10" fill="#0d1117"/>\n{rows}\n</svg>\n'
    )


def _row(line: str, y: int) -> str:
    colour = COLOURS.get(line[:1], "#c9d1d9")
    shown = line[1:] if line[:1] in "+-" else line
    return f'<text x="{MARGIN}" y="{y}" fill="{colour}" xml:space="preserve">{escape(shown)}</text>'


if __name__ == "__main__":
    Path(__file__).with_name("first-minute.svg").write_text(drawn(LINES))
