"""What a configuration must satisfy beyond its types: a table of what is wrong and the words for it."""

import pytest

from gateway.configuration.checks import check, expiry
from gateway.configuration.complaints import Complaints
from gateway.configuration.conversion import convert
from gateway.configuration.document import parse

SECRETS = {"K": "0123456789abcdef", "L": "fedcba9876543210"}
KEY = '[[keys]]\nname = "k"\nsecret = "env:K"\n'
UPSTREAM = '[[upstreams]]\nname = "o"\nbase_url = "https://x/v1"\n'


def found(text: str) -> list[str]:
    complaints = Complaints()
    settings = convert(parse(text.encode(), complaints, "f"), complaints)
    assert list(complaints) == []
    check(settings, SECRETS, complaints)
    return list(complaints)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "server.port = 0\nadmin.port = 0",
        'server.host = "127.0.0.2"\nadmin.port = 8080',
        'server.timezone = "Europe/Paris"',
        'server.limits = ["60 requests/minute", "60 requests/minute on gpt-6*", "100k tokens/day"]',
        UPSTREAM + UPSTREAM.replace('"o"', '"two words"') + "priority = 3\nweight = 9",
        '[[teams]]\nname = "t"\nlimits = ["8 concurrent"]\n' + KEY + 'team = "t"\nlimits = ["8 concurrent"]',
        KEY + 'addresses = ["10.0.0.0/8", "::1"]\nexpires = "2030-12-31"\nendpoints = ["inference"]',
        '[models]\naliases = { "a" = "b" }\noutput_caps = { "m" = 1 }',
        'server.limits = [{ limit = "$5/day", cap_output = 9 }, { limit = "$5/week", estimate = "learned" }]',
        'server.limits = ["$5/day", { limit = "$5/day", mode = "shadow" }]',
        '[away]\nmoney = "share"\nbudgets = "share"\nrates = "refuse"\nconcurrency = "refuse"\nreplicas = 3',
        '[ledger]\nsink = "off"\nmax_rows = 1\nmax_age = "1h"',
        '[alerts]\nurl = "https://hooks.example/x"\nat = [50]\nsecret = "env:K"',
        "[prices]\nunpriced = { input = 1, output = 2 }\ntiers = { auto = 2 }\ntools = { web_search = 0.01 }",
        UPSTREAM + 'prices = "free"',
    ],
)
def test_what_can_be_served(text: str) -> None:
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("server.port = 70000", "server.port: 70000 is no port"),
        ("admin.port = -1", "admin.port: -1 is no port"),
        ("admin.port = 8080", "admin.port: this is the public listener's port too"),
        ('server.host = "0.0.0.0"\nadmin.port = 8080', "admin.port: this is the public listener's port too"),
        ('server.host = ""', "server.host: this is empty"),
        ("server.workers = -1", "server.workers: -1 is no number of processes"),
        ("server.workers = 257", "server.workers: 257 is no number of processes"),
        ('server.timezone = "Mars/Base"', "server.timezone: there is no such time zone"),
        ('server.timezone = "../etc/passwd"', "server.timezone: there is no such time zone"),
        ('server.timezone = "Europe"', "server.timezone: there is no such time zone"),
        ('server.limits = ["6 bananas"]', "server.limits[0]: '6 bananas' is not understood"),
        (
            'server.limits = [{ limit = "8 concurrent", cap_output = 5 }]',
            "server.limits[0]: '8 concurrent' cannot have cap_output",
        ),
        (
            'server.limits = [{ limit = "$5/day", cap_output = 5, estimate = "learned" }]',
            "server.limits[0]: '$5/day' has both cap_output and estimate",
        ),
        ('server.limits = ["$5/hour"]', "server.limits[0]: 'hour' in '$5/hour' must be one of day, week"),
        ('server.limits = ["5 requests/day", "6 requests/day"]', "server.limits[1]: it counts the same"),
        ("away.replicas = 0", "away.replicas: 0 is no number of processes"),
        ("ledger.max_rows = 0", "ledger.max_rows: 0 is no number of rows"),
        ('ledger.sink = "mysql://h/d"', "ledger.sink: "),
        ("alerts.at = [101]", "alerts.at[0]: 101 is no share of a budget"),
        ('alerts.url = "http://hooks.example/x"', "alerts.url: what teams spend would be readable"),
        ('alerts.secret = "env:M"', "alerts.secret: no secret at env:M"),
        ("[prices.models.m]\ninput = 1", "prices.models.m.output: this is missing"),
        ("prices.tools = { computer = 1 }", "prices.tools.computer: its calls are not counted"),
        (UPSTREAM + 'prices = "nobody"', "upstreams[0].prices: the price list has no provider 'nobody'"),
        ('server.limits = [{ limit = "5 requests/day", mode = "x" }]', "server.limits[0]: the mode of"),
        ('store.url = "redis+cluster://h/1"', "store.url: the store's address names a database"),
        ('store.lease = "10ms"', "store.lease: this is too short"),
        ('cache.url = "memcached://h"', "cache.url: this is no address"),
        ('cache.max_memory = "1KiB"', "cache.max_entry: one entry is larger than cache.max_memory"),
        ('models.aliases = { "a" = "" }', "models.aliases: a model's name in it is empty"),
        ('models.output_caps = { "m" = 0 }', "models.output_caps: 'm' has 0"),
        ('endpoints.allow = ["inference", "video"]', "endpoints.allow[1]: there is no group 'video'"),
        ("endpoints.allow = []", "endpoints.allow: nothing would be served"),
        (UPSTREAM + UPSTREAM, "upstreams[1].name: upstreams[0] has that name"),
        (UPSTREAM.replace('"o"', '"cache"'), "upstreams[0].name: x-gateway-upstream says that"),
        (UPSTREAM.replace("https", "ftp"), "upstreams[0].base_url: this is no http address"),
        (UPSTREAM + "weight = 0", "upstreams[0].weight: 0 is no weight"),
        (UPSTREAM + "priority = -1", "upstreams[0].priority: -1 is no priority"),
        (UPSTREAM + 'models = ["*", ""]', "upstreams[0].models[1]: this is empty"),
        ('[[teams]]\nname = "t{1}"', "teams[0].name: this is no name"),
        ('[[teams]]\nname = "t"\nlimits = ["x"]', "teams[0].limits[0]: 'x' is not understood"),
        ('[[teams]]\nname = "t"\n[[teams]]\nname = "t"', "teams[1].name: teams[0] has that name"),
        ('[[teams]]\nname = "t"\nendpoints = ["audio"]', "teams[0].endpoints[0]: there is no"),
        (KEY + KEY.replace("env:K", "env:L"), "keys[1].name: keys[0] has that name"),
        (KEY.replace('"k"', '""'), "keys[0].name: this is no name"),
        (KEY + 'team = "nobody"', "keys[0].team: there is no team 'nobody'"),
        (KEY + 'addresses = ["10.0.0.0/99"]', "keys[0].addresses[0]: '10.0.0.0/99' must be an address"),
        (KEY + 'expires = "soon"', "keys[0].expires: this is no date"),
        (KEY.replace("env:K", "env:M"), "keys[0].secret: no secret at env:M"),
    ],
)  # fmt: skip
def test_what_cannot(text: str, complaint: str) -> None:
    assert (found(text) or [""])[0].startswith(complaint)


def test_everything_is_said_at_once() -> None:
    text = (
        "server.port = 70000\nserver.workers = 900\naway.replicas = 2\n"
        + UPSTREAM
        + "weight = 0\n"
        + KEY
        + 'team = "x"\nlimits = ["y"]'
    )
    assert [complaint.partition(":")[0] for complaint in found(text)] == [
        "server.port",
        "server.workers",
        "away.replicas",
        "upstreams[0].weight",
        "keys[0].team",
        "keys[0].limits[0]",
    ]


def test_a_date_without_an_offset_is_utc() -> None:
    assert expiry("2030-01-01") == expiry("2030-01-01T00:00:00+00:00") == 1_893_456_000_000
    assert expiry("2030-01-01T01:00:00+01:00") == expiry("2030-01-01T00:00:00Z")
