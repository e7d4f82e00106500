"""Renders the edge's state as nginx configuration (routes.conf)."""

from __future__ import annotations

from collections.abc import Iterable

from deploy.core.state.edge import (
    HEADER,
    EdgeRoute,
    EdgeState,
    Upstream,
    direct_path,
    dump_edge,
    generation_of,
    upstream_name,
)

RETRY_AFTER_S = 60


# Where the edge's container finds an empty file for each generation that was left (docs/adr/0024).
LEFT = "/etc/nginx/py-cicd/left"


_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<title>Back soon</title><style>body{font:18px/1.5 system-ui,sans-serif;margin:20vh auto;max-width:32em;"
    "padding:0 1em}</style><h1>Back soon</h1><p>We are at work on this service. Please try again in a minute."
)


def render_edge(state: EdgeState, *, http_port: int = 80, preview_port: int = 8081) -> str:
    """Writes routes.conf: an upstream a release, a public and a preview server a host name.

    Each worker has a listening socket of its own (`reuseport`), so that another edge can share the port
    (docs/adr/0012): https://nginx.org/en/docs/http/ngx_http_core_module.html#reuseport
    """
    generation = generation_of(state)
    blocks = [HEADER + dump_edge(state), _handing_over(generation)]
    for route in state.routes:
        blocks += [_upstream(route.service, upstream) for upstream in route.upstreams]
        blocks += [_split(route)] if route.is_shared else []
    hosts = sorted({"", *(route.host for route in state.routes)})
    for host in hosts:
        routes = [route for route in state.routes if route.host == host]
        public = (
            (
                route.path,
                _location(route.path, _handed(http_port) + _public(route)),
            )
            for route in routes
        )
        blocks.append(_server(host, str(http_port), "", public))
        preview = (
            (route.path, _location(route.path, _asks(route, route.candidate or route.live)))
            for route in routes
        )
        inside = _inside(generation) + "".join(_direct(route) for route in routes)
        blocks.append(_server(host, f"127.0.0.1:{preview_port}", inside, preview))
    return "\n\n".join(blocks) + "\n"


def _upstream(service: str, upstream: Upstream) -> str:
    name = upstream_name(service, upstream.release)
    servers = "".join(
        f"    server {each} max_fails=1 fail_timeout=2s;\n" for each in upstream.servers
    )
    return (
        f"upstream {name} {{\n    zone {name} 128k;\n{servers}"
        "    keepalive 64;\n    # Shorter than gunicorn's keep-alive (75 s), or a POST meets a closed connection.\n"
        "    keepalive_timeout 60s;\n}"
    )


def _split(route: EdgeRoute) -> str:
    """Sends each request by itself to one of two releases, whoever asks (docs/adr/0022).

    https://nginx.org/en/docs/http/ngx_http_split_clients_module.html
    """
    releases = (route.candidate or "", route.live or "")  # a shared route has both
    new, old = (upstream_name(route.service, each) for each in releases)
    name = route.service.replace("-", "_")
    return (
        f'split_clients "$request_id" $share_{name} {{\n    {route.share}% {new};\n    * {old};\n}}\n'
        f"map $share_{name} $share_{name}_release {{\n"
        f'    {new} "{route.candidate}";\n    default "{route.live}";\n}}'
    )


def _direct(route: EdgeRoute) -> str:
    """Each release by its own path, so that two can be asked alike."""
    return "".join(
        f"    location {direct_path(route.service, each.release)}/ {{\n"
        f'        set $edge_service "{route.service}";\n        set $edge_release "{each.release}";\n'
        f"        proxy_pass http://{upstream_name(route.service, each.release)}/;\n    }}\n"
        for each in route.upstreams
    )


def _inside(generation: str) -> str:
    """What only the preview listener answers."""
    return (
        "    location = /-/nginx {\n        access_log off;\n        stub_status;\n    }\n"
        "    location = /-/generation {\n        access_log off;\n        default_type text/plain;\n"
        f'        return 200 "{generation} $hostname";\n    }}\n'
    )


def _server(host: str, listen: str, inside: str, places: Iterable[tuple[str, str]]) -> str:
    name = f"server_name {host};" if host else "server_name _;"
    # What is said of a listening socket is said once, by the server that is its default.
    default = "" if host else " default_server reuseport"
    found = sorted(places)
    locations = "".join(text for _, text in found)
    if "/" not in [path for path, _ in found]:
        # An edge without any service is one that waits for its first, not one that doesn't know the path.
        locations += f"    location / {{\n        return {404 if found else 503};\n    }}\n"
    health = (
        "    location = /-/health {\n        access_log off;\n        default_type text/plain;\n"
        '        return 200 "ok\\n";\n    }\n'
    )
    return f"server {{\n    listen {listen}{default};\n    {name}\n{health}{inside}{locations}}}"


def _location(path: str, does: str) -> str:
    return f"    location {path} {{\n{does}    }}\n"


def _public(route: EdgeRoute) -> str:
    return _closed(route) if route.maintenance else _asks(route, route.live)


def _asks(route: EdgeRoute, release: str | None) -> str:
    if not release:
        return "        return 503;\n"
    name = route.service.replace("-", "_")
    shared = route.is_shared and release == route.live
    told = f"$share_{name}_release" if shared else release
    upstream = f"$share_{name}" if shared else upstream_name(route.service, release)
    return (
        f'        set $edge_service "{route.service}";\n        set $edge_release "{told}";\n'
        f"        proxy_pass http://{upstream};\n"
    )


def _closed(route: EdgeRoute) -> str:
    """What a user meets during maintenance. It is no release's failure, so it bears no release's name."""
    return (
        f'        set $edge_service "{route.service}";\n        set $edge_retry_after "{RETRY_AFTER_S}";\n'
        f'        default_type "text/html; charset=utf-8";\n        return 503 "{_PAGE}";\n'
    )


def _handing_over(generation: str) -> str:
    """Names the file that tells a worker of this generation that it is no longer in charge.

    None tells it for a request that another worker handed over, so none goes in a circle.
    """
    return (
        'map "$remote_addr $http_x_edge_handed" $edge_left {\n'
        f'    "127.0.0.1 1" {LEFT}/none;\n    default {LEFT}/{generation};\n}}\n'
        # A text without routes sets it nowhere, and nginx refuses a variable that it doesn't know.
        'map $host $edge_hands_over { default ""; }\n'
        "proxy_set_header X-Edge-Handed $edge_hands_over;"
    )


def _handed(http_port: int) -> str:
    """Hands what still comes to a worker that was left, on a connection that a client kept, to whoever is in charge.

    `-f` is asked anew for each request, by workers of an old configuration too:
    https://nginx.org/en/docs/http/ngx_http_rewrite_module.html#if
    """
    return (
        "        if (-f $edge_left) {\n"
        '            set $edge_hands_over "1";\n            access_log off;\n'
        f"            proxy_pass http://127.0.0.1:{http_port};\n            break;\n        }}\n"
    )
