"""Nano-dollars as people and machines read them, exactly."""

from typing import Final

NANO: Final = 10**9


def dollars(nano: int) -> str:
    """As a decimal number of dollars, nothing rounded: `0.00012345`, `5`, `-0.5`."""
    whole, fraction = divmod(abs(nano), NANO)
    digits = f"{fraction:09d}".rstrip("0")
    sign = "-" if nano < 0 else ""
    return f"{sign}{whole}.{digits}" if digits else f"{sign}{whole}"
