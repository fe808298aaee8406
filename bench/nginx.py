"""nginx as a plain reverse proxy: one worker, keep-alive on both sides, nothing buffered.

`python -m bench.nginx --port N --upstream-port N --folder DIR` writes a configuration into that folder and
becomes nginx in the foreground, so that ending the process ends nginx.
"""

import argparse
import getpass
import os
import shutil
from pathlib import Path

_CONFIGURATION = """\
{user}
daemon off;
worker_processes 1;
worker_rlimit_nofile {files};
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections {files}; }}
http {{
    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream scripted {{
        server 127.0.0.1:{upstream};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://scripted;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""


def binary() -> str | None:
    """Where nginx is, or None. Debian keeps it outside a user's PATH."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def configuration(port: int, upstream: int, folder: Path) -> str:
    """The text of nginx.conf. A worker started by root stays root: the folder is open to nobody else."""
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    return _CONFIGURATION.format(user=user, port=port, upstream=upstream, folder=folder, files=8192)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--port", type=int, required=True)
    arguments.add_argument("--upstream-port", type=int, required=True)
    arguments.add_argument("--folder", type=Path, required=True)
    given = arguments.parse_args()
    nginx = binary()
    if nginx is None:
        raise SystemExit("nginx is not installed")
    written = given.folder / "nginx.conf"
    written.write_text(configuration(given.port, given.upstream_port, given.folder))
    os.execv(nginx, [nginx, "-p", str(given.folder), "-c", str(written)])


if __name__ == "__main__":
    main()
