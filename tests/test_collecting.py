"""The collector of cycles is off while a gateway starts, and on again when it serves."""

import gc
import subprocess
import sys

SCRIPT = """
import gc
from gateway import collecting
collecting.pause()
assert not gc.isenabled()
collecting.share()
assert gc.get_freeze_count() > 1000
frozen = gc.get_freeze_count()
more = [[] for _ in range(100)]
collecting.settle()
assert gc.isenabled()
assert gc.get_freeze_count() >= frozen + 100
assert gc.get_threshold()[0] >= 10_000
"""


def test_it_is_off_at_the_start_and_on_when_everything_is_open() -> None:
    assert gc.isenabled()
    subprocess.run([sys.executable, "-c", SCRIPT], check=True)
