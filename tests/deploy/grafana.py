"""A package with Grafana's name, user and unit, which stands in for it: its server tells what it was told."""

from __future__ import annotations

import subprocess
from pathlib import Path

CONTROL = """Package: grafana
Version: 0.0.1
Architecture: all
Maintainer: nobody <nobody@localhost>
Depends: python3
Description: stands in for Grafana
"""
AFTER = """#!/bin/sh
set -e
id grafana >/dev/null 2>&1 || useradd --system --shell /usr/sbin/nologin grafana
"""
UNIT = """[Service]
User=grafana
ExecStart=/usr/sbin/grafana-server
[Install]
WantedBy=multi-user.target
"""
#: As Grafana, it takes settings from variables, and reads the file in `$__file{}`.
SERVER = r"""#!/usr/bin/python3
import json, os, re
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


def value(name):
    file = re.fullmatch(r"\$__file\{(.+)\}", os.environ[name])
    return Path(file[1]).read_text() if file else os.environ[name]


class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        told = {name: value(name) for name in os.environ if name.startswith(("GF_", "GRIDQ_"))}
        body = json.dumps({"path": self.path, "headers": dict(self.headers), "told": told}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HTTPServer((value("GF_SERVER_HTTP_ADDR"), int(value("GF_SERVER_HTTP_PORT"))), Server).serve_forever()
"""


def package(folder: Path) -> Path:
    """Build it.

    Args:
        folder: where the package goes.

    Returns:
        The package's file.
    """
    root = folder / "grafana"
    files = {
        "DEBIAN/control": (CONTROL, 0o644),
        "DEBIAN/postinst": (AFTER, 0o755),
        "usr/lib/systemd/system/grafana-server.service": (UNIT, 0o644),
        "usr/sbin/grafana-server": (SERVER, 0o755),
    }
    for name, (text, mode) in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
    made = folder / "grafana.deb"
    command = ["dpkg-deb", "--root-owner-group", "--build", str(root), str(made)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return made
