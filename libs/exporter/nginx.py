"""Reads nginx's counters from its stub_status page.

https://nginx.org/en/docs/http/ngx_http_stub_status_module.html
"""

from __future__ import annotations

import re
from urllib.request import urlopen

from exporter.exposition import Family

_PAGE = re.compile(
    r"Active connections: (\d+)\s+server accepts handled requests\s+(\d+) (\d+) (\d+)\s+"
    r"Reading: (\d+) Writing: (\d+) Waiting: (\d+)"
)


def collect(url: str) -> list[Family]:
    """Returns the counters of the edge whose status page is at `url`; only `nginx_up` 0 if it doesn't answer."""
    up = Family("nginx_up", "gauge", "1 while the edge answers its status page, else 0.")
    try:
        with urlopen(url, timeout=2) as response:  # noqa: S310 - the host's own loopback
            families = parse(response.read().decode())
    except (OSError, ValueError):
        up.add(0.0)
        return [up]
    up.add(1.0)
    return [up, *families]


def parse(page: str) -> list[Family]:
    """Returns the metrics of a status page. Raises ValueError for any other text."""
    if (found := _PAGE.search(page)) is None:
        raise ValueError(f"no status page of nginx: {page[:100]!r}")
    active, accepted, handled, requests, reading, writing, waiting = map(float, found.groups())
    states = Family("nginx_connections", "gauge", "Open connections of clients, by state.")
    counted = {"active": active, "reading": reading, "writing": writing, "waiting": waiting}
    for state, count in counted.items():
        states.add(count, {"state": state})
    totals = []
    for name, what, value in (
        ("nginx_connections_accepted_total", "Connections that were accepted.", accepted),
        (
            "nginx_connections_handled_total",
            "Connections that were handled: fewer than accepted at a limit.",
            handled,
        ),
        ("nginx_requests_total", "Requests of clients.", requests),
    ):
        totals.append(Family(name, "counter", what))
        totals[-1].add(value)
    return [states, *totals]
