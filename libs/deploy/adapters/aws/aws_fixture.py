"""An HTTP server that answers as AWS does, and credentials for it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moto.server import ThreadedMotoServer


@contextmanager
def moto_server() -> Iterator[str]:
    """Yields the URL of a server that runs meanwhile."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def credentials_file(folder: Path) -> str:
    """Writes a file of AWS credentials to the folder, and returns its path."""
    credentials = folder / "credentials"
    credentials.write_text(
        "[default]\naws_access_key_id = sandbox\naws_secret_access_key = secret\n"
    )
    return str(credentials)
