"""A real PostgreSQL in a folder of its own, that tests may kill and start again."""

import glob
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

PASSWORD = "canary-p@ss/word:%"
PATIENCE = 60  # seconds to connect: what is tested is not how busy the machine is
_ACCOUNT = "postgres"  # Debian's; PostgreSQL refuses to run as root


def binary(name: str) -> str:
    """Debian keeps them beside the path, one folder for each version."""
    found = shutil.which(name) or next(iter(sorted(glob.glob(f"/usr/lib/postgresql/*/bin/{name}"))[::-1]), "")
    if not found:
        if os.environ.get("CI") == "true":
            pytest.fail("PostgreSQL is missing: apt-get install postgresql")
        pytest.skip("PostgreSQL is not installed")
    return found


def _as_nobody_special() -> dict[str, Any]:
    return {"user": _ACCOUNT, "group": _ACCOUNT, "extra_groups": []} if os.geteuid() == 0 else {}


def _free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])


@dataclass
class Server:
    """Listens at 127.0.0.1 and wants a password."""

    folder: Path
    port: int = field(default_factory=_free_port)
    process: "subprocess.Popen[bytes]" = field(init=False)

    @property
    def url(self) -> str:
        quoted = "".join(c if c.isalnum() or c == "-" else f"%{ord(c):02X}" for c in PASSWORD)
        return f"postgresql://gateway:{quoted}@127.0.0.1:{self.port}/postgres?connect_timeout={PATIENCE}"

    def create(self) -> "Server":
        if os.geteuid() == 0:
            shutil.chown(self.folder, _ACCOUNT)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        command = [binary("initdb"), "-D", str(self.folder / "data"), "-U", "gateway", "--no-sync"]
        command += ["--auth", "scram-sha-256", "--pwfile", str(secret), "--encoding", "UTF8", "--locale", "C"]
        made = subprocess.run(command, cwd="/", capture_output=True, check=False, **_as_nobody_special())
        assert made.returncode == 0, made.stderr.decode()
        return self.start()

    def start(self) -> "Server":
        options = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": 30,
        }
        command = [binary("postgres"), "-D", str(self.folder / "data")]
        command += [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self.process = subprocess.Popen(
            command, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **_as_nobody_special()
        )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self.process.poll() is None, "PostgreSQL did not start"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return self

    def _answers(self) -> bool:
        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def run(self, *statements: str) -> list[tuple[Any, ...]]:
        """Around everything that is tested; the rows of the last statement, if it has any."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """At once, as `pg_ctl stop -m immediate` does."""
        self.process.send_signal(3)
        self.process.wait()


def make() -> Server:
    return Server(Path(tempfile.mkdtemp(prefix="gwpg"))).create()


def remove(server: Server) -> None:
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)
