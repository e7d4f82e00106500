"""Renders the edge's state as nginx configuration (routes.conf)."""

from __future__ import annotations

from collections.abc import Iterable

from deploy.core.state.edge import (
    EdgeRoute,
    EdgeState,
    Upstream,
    direct_path,
    generation_of,
    header_of,
    upstream_name,
)

RETRY_AFTER_S = 60


# The folder in the edge's container with an empty file for each generation that was replaced (docs/adr/0024).
LEFT = "/etc/nginx/py-cicd/left"


_PAGE = (
    "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
    "<title>Back soon</title><style>body{font:18px/1.5 system-ui,sans-serif;margin:20vh auto;max-width:32em;"
    "padding:0 1em}</style><h1>Back soon</h1><p>We are at work on this service. Please try again in a minute."
)


def render_edge(state: EdgeState, *, http_port: int = 80, preview_port: int = 8081) -> str:
    """Returns routes.conf: one upstream per release, and a public and a preview server per host name.

    Each worker has a listening socket of its own (`reuseport`), so that another edge can share the port
    (docs/adr/0012): https://nginx.org/en/docs/http/ngx_http_core_module.html#reuseport
    """
    generation = generation_of(state)
    blocks = [header_of(state), _forwarding(generation)]
    for route in state.routes:
        blocks += [_upstream(route.service, upstream) for upstream in route.upstreams]
        blocks += [_split(route)] if route.is_shared else []
    hosts = sorted({"", *(route.host for route in state.routes)})
    for host in hosts:
        routes = [route for route in state.routes if route.host == host]
        public = (
            (
                route.path,
                _location(route.path, _forward_if_replaced(http_port) + _public(route)),
            )
            for route in routes
        )
        blocks.append(_server(host, str(http_port), "", public))
        preview = (
            (route.path, _location(route.path, _proxy(route, route.candidate or route.live)))
            for route in routes
        )
        extra = _preview_only(generation) + "".join(_direct(route) for route in routes)
        blocks.append(_server(host, f"127.0.0.1:{preview_port}", extra, preview))
    return "\n\n".join(blocks) + "\n"


def _upstream(service: str, upstream: Upstream) -> str:
    name = upstream_name(service, upstream.release)
    servers = "".join(
        f"    server {server} max_fails=1 fail_timeout=2s;\n" for server in upstream.servers
    )
    return (
        f"upstream {name} {{\n    zone {name} 128k;\n{servers}"
        "    keepalive 64;\n    # Shorter than gunicorn's keep-alive (75 s), or a POST meets a closed connection.\n"
        "    keepalive_timeout 60s;\n}"
    )


def _split(route: EdgeRoute) -> str:
    """Chooses one of two releases for each request, independently of the client (docs/adr/0022).

    https://nginx.org/en/docs/http/ngx_http_split_clients_module.html
    """
    releases = (route.candidate or "", route.live or "")  # a shared route has both
    new, old = (upstream_name(route.service, release) for release in releases)
    name = route.service.replace("-", "_")
    return (
        f'split_clients "$request_id" $share_{name} {{\n    {route.share}% {new};\n    * {old};\n}}\n'
        f"map $share_{name} $share_{name}_release {{\n"
        f'    {new} "{route.candidate}";\n    default "{route.live}";\n}}'
    )


def _direct(route: EdgeRoute) -> str:
    """Returns a location per release, so that both releases can get the same requests."""
    return "".join(
        f"    location {direct_path(route.service, upstream.release)}/ {{\n"
        f'        set $edge_service "{route.service}";\n        set $edge_release "{upstream.release}";\n'
        f"        proxy_pass http://{upstream_name(route.service, upstream.release)}/;\n    }}\n"
        for upstream in route.upstreams
    )


def _preview_only(generation: str) -> str:
    """Returns the locations that only the preview listener has."""
    return (
        "    location = /-/nginx {\n        access_log off;\n        stub_status;\n    }\n"
        "    location = /-/generation {\n        access_log off;\n        default_type text/plain;\n"
        f'        return 200 "{generation} $hostname";\n    }}\n'
    )


def _server(host: str, listen: str, extra: str, locations: Iterable[tuple[str, str]]) -> str:
    name = f"server_name {host};" if host else "server_name _;"
    # nginx allows the options of a listening socket only once: here, in its default server.
    default = "" if host else " default_server reuseport"
    by_path = sorted(locations)
    text = "".join(location for _, location in by_path)
    if "/" not in [path for path, _ in by_path]:
        # An edge without any service waits for its first one, so it answers 503 instead of 404.
        text += f"    location / {{\n        return {404 if by_path else 503};\n    }}\n"
    health = (
        "    location = /-/health {\n        access_log off;\n        default_type text/plain;\n"
        '        return 200 "ok\\n";\n    }\n'
    )
    return f"server {{\n    listen {listen}{default};\n    {name}\n{health}{extra}{text}}}"


def _location(path: str, directives: str) -> str:
    return f"    location {path} {{\n{directives}    }}\n"


def _public(route: EdgeRoute) -> str:
    return _closed(route) if route.maintenance else _proxy(route, route.live)


def _proxy(route: EdgeRoute, release: str | None) -> str:
    if not release:
        return "        return 503;\n"
    name = route.service.replace("-", "_")
    shared = route.is_shared and release == route.live
    shown_release = f"$share_{name}_release" if shared else release
    upstream = f"$share_{name}" if shared else upstream_name(route.service, release)
    return (
        f'        set $edge_service "{route.service}";\n        set $edge_release "{shown_release}";\n'
        f"        proxy_pass http://{upstream};\n"
    )


def _closed(route: EdgeRoute) -> str:
    """Returns the answer during maintenance. It names no release, because it is not the failure of one."""
    return (
        f'        set $edge_service "{route.service}";\n        set $edge_retry_after "{RETRY_AFTER_S}";\n'
        f'        default_type "text/html; charset=utf-8";\n        return 503 "{_PAGE}";\n'
    )


def _forwarding(generation: str) -> str:
    """Sets the file whose presence tells a worker of this generation that it was replaced.

    A request that another worker forwarded gets a file that never exists, so no request is forwarded twice.
    """
    return (
        'map "$remote_addr $http_x_edge_handed" $edge_left {\n'
        f'    "127.0.0.1 1" {LEFT}/none;\n    default {LEFT}/{generation};\n}}\n'
        # Without any route nothing else would define the variable, and nginx refuses an undefined one.
        'map $host $edge_hands_over { default ""; }\n'
        "proxy_set_header X-Edge-Handed $edge_hands_over;"
    )


def _forward_if_replaced(http_port: int) -> str:
    """Lets a worker that was replaced forward the requests that still arrive on kept connections to a current worker.

    nginx evaluates `-f` for each request, also in workers of an old configuration:
    https://nginx.org/en/docs/http/ngx_http_rewrite_module.html#if
    """
    return (
        "        if (-f $edge_left) {\n"
        '            set $edge_hands_over "1";\n            access_log off;\n'
        f"            proxy_pass http://127.0.0.1:{http_port};\n            break;\n        }}\n"
    )
