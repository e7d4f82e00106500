"""The URL of a service, by its route, and how to reach it where its name doesn't resolve."""

from __future__ import annotations

import pytest

from deploy.core.addresses import how_to_reach, service_url
from deploy.core.config import Route

SANDBOX = "http://127.0.0.1:18080"


@pytest.mark.parametrize(
    ("edge", "route", "url"),
    [
        (SANDBOX, Route(), SANDBOX),
        (SANDBOX, Route("/shop"), f"{SANDBOX}/shop"),
        (SANDBOX, Route("/", "shop.test"), "http://shop.test:18080"),
        ("http://192.0.2.1", Route("/a", "shop.test"), "http://shop.test/a"),
        ("https://web-1.test", Route("/", "shop.test"), "https://shop.test"),
    ],
)
def test_the_url_has_the_host_name_and_the_path_of_the_route(
    edge: str, route: Route, url: str
) -> None:
    assert service_url(edge, route) == url


@pytest.mark.parametrize(
    ("edge", "route", "command"),
    [
        (SANDBOX, Route("/shop"), None),
        ("https://web-1.test", Route("/", "shop.test"), None),
        (
            SANDBOX,
            Route("/", "shop.test"),
            "curl --resolve shop.test:18080:127.0.0.1 http://shop.test:18080",
        ),
        (
            "https://[2001:db8::1]",
            Route("/a", "shop.test"),
            "curl --resolve shop.test:443:[2001:db8::1] https://shop.test/a",
        ),
    ],
)
def test_a_name_that_may_not_resolve_comes_with_a_command(
    edge: str, route: Route, command: str | None
) -> None:
    assert how_to_reach(edge, route) == command
