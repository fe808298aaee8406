"""Which operations a configuration opens, and what it says that they cost."""

from collections.abc import Sequence
from difflib import get_close_matches

from gateway.configuration.complaints import Complaints
from gateway.configuration.conversion import inside
from gateway.policy.endpoints import ALL, GROUPS, TABLE, Charge
from gateway.settings import Settings

_CHARGES = {row.name: row.charge for row in TABLE}


def check_endpoints(settings: Settings, complaints: Complaints) -> None:
    """Add a complaint for each group or operation that there is not, or that cannot be priced."""
    allow = settings.endpoints.allow
    if not allow:
        complaints.add("endpoints.allow", "nothing would be served", 'write ["inference"]')
    _groups(allow, "endpoints.allow", complaints)
    for n, team in enumerate(settings.teams):
        _groups(team.endpoints or [], f"teams[{n}].endpoints", complaints)
    for n, key in enumerate(settings.keys):
        _groups(key.endpoints or [], f"keys[{n}].endpoints", complaints)
    for name in settings.prices.operations:
        _priced(name, complaints)


def _groups(groups: Sequence[str], where: str, complaints: Complaints) -> None:
    for n, group in enumerate(groups):
        if group != ALL and group not in GROUPS:
            known = ", ".join(sorted(GROUPS))
            complaints.add(
                f"{where}[{n}]", f"there is no group {group!r}", f"write {ALL}, or some of {known}"
            )


def _hint(name: str) -> str:
    fees = [known for known, charge in _CHARGES.items() if charge is Charge.FEE]
    near = get_close_matches(name, fees, n=3, cutoff=0.5)
    return f"write {' or '.join(near)}" if near else "write a name from docs/endpoints.md"


def _priced(name: str, complaints: Complaints) -> None:
    charge = _CHARGES.get(name)
    where = inside("prices.operations", name)
    if charge is None:
        complaints.add(where, "there is no such operation", _hint(name))
    elif charge is Charge.USAGE:
        complaints.add(where, "its answer says what it costs", "leave it out, and set prices.models")
    elif charge is Charge.FREE:
        complaints.add(where, "it costs nothing", "leave it out")
