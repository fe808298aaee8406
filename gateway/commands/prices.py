"""`gateway prices`: what a model costs, as the gateway would count it. Works without a running gateway."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from gateway.commands.printing import print_fields, print_json, print_table

if TYPE_CHECKING:
    from gateway.policy.pricing import Price
    from gateway.pricing.book import PriceBook
    from gateway.settings import Settings, Upstream

_NEAR = 5


@click.group()
def prices() -> None:
    """Prices: show."""


@prices.command()
@click.argument("model")
@click.option("--upstream", help="Where it is asked for.  [default: the first that serves it]")
@click.option("--provider", help="Instead of an upstream: whose prices, such as 'openrouter'.")
@click.option(
    "--config", type=click.Path(path_type=Path), help="The file.  [default: gateway.toml, if there]"
)
@click.option(
    "--at", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="When, in UTC.  [default: now]"
)
@click.option("--json", "as_json", is_flag=True, help="Print integers: nano-dollars.")
def show(
    model: str,
    upstream: str | None,
    provider: str | None,
    config: Path | None,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Show what MODEL costs, and where that price comes from.

    Exit code 1: nobody knows. Such a model is refused where a limit in dollars holds.
    """
    settings = _settings(config)
    when = (at or datetime.now(UTC)).replace(tzinfo=UTC)
    moment = round(when.timestamp() * 1000)
    sent = _sent(settings, model, moment)
    book, where = _book(settings, sent, upstream, provider)
    price = book.find(where, sent, moment)
    if price is None:
        _unknown(book, where, sent, when)
    if as_json:
        print_json({"model": model, "sent": sent, "provider": book.provider(where), **_plain(price)})
        return
    _print_origin(price, model, sent, book.provider(where))
    if not price.free:
        _print_rates(price)
        _print_fees(price)


def _sent(settings: "Settings", model: str, at: int) -> str:
    """The model that a chat would be put to at `at` (ms): aliases, and what `models.retired` says."""
    from gateway.errors import UnknownUrl
    from gateway.policy.endpoints import find
    from gateway.succession import Succession

    chat, _ = find("POST", "/v1/chat/completions")
    try:
        return Succession(settings.models, ()).sent(chat, model, at)
    except UnknownUrl as retired:
        raise click.ClickException(retired.message) from None


def _print_origin(price: "Price", model: str, sent: str, provider: str) -> None:
    fields = {"model": model, "sent as": "" if sent == model else sent, "prices of": provider}
    matched = "" if price.name == sent else price.name
    print_fields({**fields, "listed as": matched, "source": price.source, "note": price.note})


def _settings(config: Path | None) -> "Settings":
    from gateway.config import ConfigError, find, load

    try:
        return load(find(config), os.environ)
    except ConfigError as error:
        for complaint in error.complaints:
            click.echo(complaint, err=True)
        sys.exit(1)


def _book(
    settings: "Settings", model: str, upstream: str | None, provider: str | None
) -> tuple["PriceBook", str]:
    """The price book, and the upstream in it to ask about."""
    from gateway.config import upstreams_from_environment
    from gateway.pricing.book import LOCAL, PriceBook
    from gateway.pricing.catalogue import read
    from gateway.settings import Upstream

    if upstream and provider:
        raise click.UsageError("an upstream has its provider: give one of --upstream and --provider.")
    if provider:
        known = [each.id for each in read(settings.prices.file).providers]
        if provider not in known:
            raise click.UsageError(f"there is no provider {provider!r}; there are {', '.join(known)}.")
        only = Upstream(name="asked", base_url="", prices=provider)
        return PriceBook(settings.prices, [only]), only.name
    upstreams = settings.upstreams or upstreams_from_environment(os.environ)
    names = [each.name for each in upstreams]
    if upstream and upstream not in (*names, LOCAL):
        raise click.UsageError(f"there is no upstream {upstream!r}; there are {', '.join([*names, LOCAL])}.")
    return PriceBook(settings.prices, upstreams), upstream or _serving(upstreams, model)


def _serving(upstreams: "list[Upstream]", model: str) -> str:
    from gateway.policy.patterns import matches

    order = sorted(upstreams, key=lambda each: (each.priority, -each.weight))
    return next((each.name for each in order if matches(each.models, model)), "")


def _unknown(book: "PriceBook", where: str, model: str, when: datetime) -> NoReturn:
    """Say so, with near names and what to do; ends the command."""
    import difflib
    import json

    click.echo(f"Nobody knows what {model!r} costs at {book.provider(where)} on {when.date()}.", err=True)
    if near := difflib.get_close_matches(model.lower(), book.names(where), _NEAR):
        click.echo(f"There are: {', '.join(near)}.", err=True)
    example = f"[prices.models.{json.dumps(model)}]\ninput = 1.25   # dollars per million tokens\noutput = 10"
    click.echo(f"\nTo price it, write into the configuration:\n\n{example}", err=True)
    sys.exit(1)


def _rows(price: "Price") -> list[dict[str, Any]]:
    """The rates of every tier and step, in nano-dollars per million tokens."""
    return [
        {"tier": tier, "over": above, **{kind: getattr(rates, kind) for kind in _kinds()}}
        for tier, steps in {"standard": price.steps, **price.tiers}.items()
        for above, rates in steps
    ]


def _print_rates(price: "Price") -> None:
    """A line for each tier and step, a column for each kind that has a price of its own somewhere."""
    from gateway.policy.money import dollars

    own = {kind for steps in (price.steps, *price.tiers.values()) for _, rates in steps for kind in rates.own}
    kinds = [kind for kind in _kinds() if kind in own]
    rows = [
        {
            "tier": row["tier"],
            "input over": row["over"] or "",
            **{kind: dollars(row[kind]) for kind in kinds},
        }
        for row in _rows(price)
    ]
    stepped = any(row["input over"] for row in rows)
    click.echo("\nDollars per million tokens:")
    print_table(("tier", *(("input over",) if stepped else ()), *kinds), rows)


def _print_fees(price: "Price") -> None:
    from gateway.policy.money import dollars
    from gateway.policy.pricing import MILLION

    other = {name: factor for name, factor in price.factors.items() if name not in price.tiers}
    times = {f"tier {name}": f"{factor / MILLION:g} times the standard" for name, factor in other.items()}
    fees = {name: f"${dollars(fee)} per call" for name, fee in sorted(price.fees.items())}
    request = {"request": f"${dollars(price.request)} each"} if price.request else {}
    click.echo()
    print_fields({**times, **request, **fees})


def _plain(price: "Price") -> dict[str, Any]:
    """A price in nano-dollars; factors in parts per million."""
    said = {name: getattr(price, name) for name in ("source", "note", "free", "request", "fees", "factors")}
    return {"matched": price.name, **said, "rates": _rows(price)}


def _kinds() -> list[str]:
    from dataclasses import fields

    from gateway.policy.rates import Rates

    return [field.name for field in fields(Rates) if field.name != "own"]
