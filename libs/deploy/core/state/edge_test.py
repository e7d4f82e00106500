"""The edge's routes as a value, and as nginx reads them."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy.core.stacks.nginx_conf import LEFT, render_edge
from deploy.core.state.edge import (
    HEADER,
    EdgeRoute,
    EdgeState,
    Upstream,
    direct_path,
    dump_edge,
    generation_of,
    named_state,
    parse_edge,
    state_name,
    upstream_name,
)
from deploy.core.state.json_record import NewerFormatError
from deploy.testing.fleet.nginx import NginxConf, read_conf

OLD = Upstream("r000001-aaaaaaa", ("10.213.0.65:8080", "10.213.0.66:8080"))
NEW = Upstream("r000002-bbbbbbb", ("10.213.0.129:8080",))

ROUTE = '{{"service": "{}", "path": "/", "host": ""}}'

names = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
upstreams = st.builds(
    Upstream,
    st.from_regex(r"r[0-9]{6}-[0-9a-f]{7}(-dirty)?", fullmatch=True),
    st.lists(
        st.from_regex(r"10\.213\.[0-9]{1,2}\.[0-9]{1,2}:8080", fullmatch=True),
        min_size=1,
        max_size=4,
    ).map(tuple),
)


@st.composite
def routes(draw: st.DrawFn) -> EdgeRoute:
    found = draw(st.lists(upstreams, max_size=3, unique_by=lambda upstream: upstream.release))
    releases = st.sampled_from([None, *(upstream.release for upstream in found)])
    host = draw(st.sampled_from(["", "shop.example", "www.example"]))
    service = draw(names)
    path = draw(st.sampled_from(["/", "/api", f"/{service}"]))
    share = draw(st.sampled_from([0, 1, 20, 99]))
    live, candidate, closed = draw(releases), draw(releases), draw(st.booleans())
    return EdgeRoute(service, path, host, live, candidate, tuple(found), share, closed)


_ON_A_BUSY_MACHINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

states = st.lists(
    routes(), max_size=4, unique_by=(lambda r: r.service, lambda r: (r.host, r.path))
).map(lambda found: EdgeState(tuple(sorted(found, key=lambda route: route.service))))


@_ON_A_BUSY_MACHINE
@given(states)
def test_written_state_is_read_back(state: EdgeState) -> None:
    assert parse_edge(render_edge(state), dump_edge(state)) == state
    assert parse_edge(HEADER + dump_edge(state)) == state  # as earlier versions wrote it


def test_first_line_names_the_state_however_many_routes_it_has() -> None:
    def of(services: int) -> EdgeState:
        found = (
            EdgeRoute(f"s{number}", f"/s{number}", "").offer(OLD) for number in range(services)
        )
        return EdgeState(tuple(sorted(found, key=lambda route: route.service)))

    lengths = {len(render_edge(of(services)).partition("\n")[0]) for services in (1, 200)}
    assert len(lengths) == 1
    assert lengths.pop() < 128
    assert named_state(render_edge(of(200))) == state_name(of(200))


@pytest.mark.parametrize(
    ("stored", "reason"), [(None, "is missing"), ("", "is damaged"), ("{}", "is damaged")]
)
def test_a_state_whose_file_is_missing_or_damaged_is_not_read(
    stored: str | None, reason: str
) -> None:
    text = render_edge(EdgeState((EdgeRoute("app", "/", ""),)))
    with pytest.raises(ValueError, match=f"its file .* {reason}"):
        parse_edge(text, stored)


@_ON_A_BUSY_MACHINE
@given(states)
def test_nginx_sends_users_to_the_live_release_and_the_preview_to_the_candidate(
    state: EdgeState,
) -> None:
    conf = read_conf(render_edge(state, preview_port=8081))
    for route in state.routes:
        for port, release in ((80, route.live), (8081, route.candidate or route.live)):
            found = conf.find(port, route.host, route.path)
            assert found is not None
            if port == 80 and route.maintenance:
                assert found.answer is not None
                assert (found.answer[0], found.retry_after) == (503, "60")
                assert found.answer[1].startswith("<!doctype html>")
            elif release:
                servers = next(u.servers for u in route.upstreams if u.release == release)
                assert (found.upstream, found.servers) == (
                    upstream_name(route.service, release),
                    servers,
                )
                assert found.share[0] == (route.share if port == 80 and route.is_shared else 0)
            else:
                assert found.answer == (503, "")


@_ON_A_BUSY_MACHINE
@given(states)
def test_preview_answers_with_each_release_under_its_own_path(state: EdgeState) -> None:
    conf = read_conf(render_edge(state, preview_port=8081))
    for route in state.routes:
        for upstream in route.upstreams:
            path = f"{direct_path(route.service, upstream.release)}{route.path}"
            found = conf.find(8081, route.host, path)
            assert found is not None
            assert found.servers == upstream.servers
            outside = conf.find(80, route.host, path)
            assert outside is None or outside.path == "/"


@_ON_A_BUSY_MACHINE
@given(states)
def test_only_the_preview_answers_with_the_generation(state: EdgeState) -> None:
    conf = read_conf(render_edge(state, preview_port=8081))
    generation = f"{generation_of(state)} $hostname"
    for host in ("", *(route.host for route in state.routes)):
        assert _answer(conf, 8081, host, "/-/generation") == (200, generation)
        assert _answer(conf, 80, host, "/-/generation") != (200, generation)
        assert _answer(conf, 80, host, "/-/health") == (200, r"ok\n")


@_ON_A_BUSY_MACHINE
@given(states)
def test_replaced_worker_hands_over_requests_of_users_only(
    state: EdgeState,
) -> None:
    text = render_edge(state, http_port=18080, preview_port=8081)
    assert f"default {LEFT}/{generation_of(state)};" in text
    public, preview = (
        "".join(block for block in text.split("\nserver {")[1:] if f"listen {at}" in block)
        for at in ("18080", "127.0.0.1:8081")
    )
    check, handed = "if (-f $edge_left) {", "proxy_pass http://127.0.0.1:18080;"
    assert public.count(check) == public.count(handed) == len(state.routes)
    assert check not in preview
    assert handed not in preview


@_ON_A_BUSY_MACHINE
@given(states)
def test_header_variable_is_defined_without_any_route(state: EdgeState) -> None:
    everywhere = render_edge(state).partition("\nserver {")[0]
    assert "$edge_hands_over;" in everywhere
    assert 'map $host $edge_hands_over { default ""; }' in everywhere


def _answer(conf: NginxConf, port: int, host: str, path: str) -> tuple[int, str] | None:
    found = conf.find(port, host, path)
    return found.answer if found else None


def test_switch_changes_one_upstream_name_in_the_public_server() -> None:
    offered = EdgeRoute("app", "/", "", OLD.release, None, (OLD,)).offer(NEW)
    before = render_edge(EdgeState((offered,))).splitlines()
    after = render_edge(EdgeState((offered.point(NEW.release),))).splitlines()
    changed = [(a, b) for a, b in zip(before[1:], after[1:], strict=True) if a != b]
    assert [b.strip() for _, b in changed if LEFT not in b] == [
        'set $edge_release "r000002-bbbbbbb";',
        "proxy_pass http://app_r000002_bbbbbbb;",
        f'return 200 "{generation_of(EdgeState((offered.point(NEW.release),)))} $hostname";',
    ]


def test_route_offers_points_and_settles() -> None:
    route = EdgeRoute("app", "/", "", OLD.release, None, (OLD,)).offer(NEW)
    assert (route.live, route.candidate, route.upstreams) == (OLD.release, NEW.release, (OLD, NEW))
    assert route.offer(NEW) == route
    assert route.settle().upstreams == (OLD,)
    settled = route.point(NEW.release).settle()
    assert (settled.live, settled.candidate, settled.upstreams) == (NEW.release, None, (NEW,))


def test_canary_gets_its_share_of_users_until_the_switch_or_the_revert() -> None:
    route = EdgeRoute("my-app", "/", "", OLD.release, None, (OLD,)).offer(NEW).share_out(20)
    text = render_edge(EdgeState((route,)))
    assert 'split_clients "$request_id" $share_my_app {\n    20% my_app_r000002_bbbbbbb;' in text
    found = read_conf(text).find(80, "", "/")
    assert found is not None
    assert found.share == (20, "my_app_r000002_bbbbbbb", NEW.servers)
    chosen = [found.chosen(turn)[0] for turn in range(1000)]
    assert chosen.count("my_app_r000002_bbbbbbb") == 200
    for after in (route.point(NEW.release), route.settle(), route.offer(NEW)):
        assert not after.is_shared
        assert "split_clients" not in render_edge(EdgeState((after,)))


@pytest.mark.parametrize(
    "route",
    [
        EdgeRoute("app", "/", "", None, NEW.release, (NEW,), share=20),
        EdgeRoute("app", "/", "", OLD.release, None, (OLD,), share=20),
        EdgeRoute("app", "/", "", NEW.release, NEW.release, (NEW,), share=20),
        EdgeRoute("app", "/", "", OLD.release, NEW.release, (OLD, NEW), share=0),
        EdgeRoute("app", "/", "", OLD.release, NEW.release, (OLD, NEW), share=100),
    ],
)
def test_share_needs_two_releases(route: EdgeRoute) -> None:
    assert not route.is_shared


def test_two_services_on_one_host_name_share_a_server() -> None:
    shop = EdgeRoute("shop", "/", "www.example", OLD.release, None, (OLD,))
    api = EdgeRoute("api", "/api", "www.example", NEW.release, None, (NEW,))
    conf = read_conf(render_edge(EdgeState().with_route(shop).with_route(api)))
    public = [server.name for server in conf.servers if server.port == 80]
    assert public == ["", "www.example"]
    cart, things = (
        conf.find(80, "www.example", "/cart"),
        conf.find(80, "www.example", "/api/things"),
    )
    assert cart is not None
    assert things is not None
    assert (cart.servers, things.servers) == (OLD.servers, NEW.servers)


@pytest.mark.parametrize(("path", "status"), [("/", 404), ("/shop", 503), ("/shop/cart", 503)])
def test_service_without_a_live_release_answers_503_and_an_unknown_path_404(
    path: str, status: int
) -> None:
    conf = read_conf(render_edge(EdgeState((EdgeRoute("shop", "/shop", ""),))))
    assert _answer(conf, 80, "", path) == (status, "")


def test_edge_without_services_answers_503() -> None:
    assert _answer(read_conf(render_edge(EdgeState())), 80, "", "/") == (503, "")


def test_text_written_by_hand_has_no_routes() -> None:
    assert parse_edge("upstream app { server app:8080; }\n") == EdgeState()
    assert parse_edge("") == EdgeState()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ("{}", "routes: is missing"),
        ("[]", "should be EdgeState"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "nested too deep"),
        ('{"routes": [], "x": NaN}', "NaN is no JSON"),
        ('{"routes": [], "x": "\\ud800"}', "surrogates not allowed"),
        ('{"routes": [], "format": "2"}', "format: should be a number"),
        ('{"routes": [' + ROUTE.format("app;") + "]}", "service: 'app;' is wrong"),
        ('{"routes": [' + ROUTE.format("app") + "," + ROUTE.format("app") + "]}", "has two"),
        (
            '{"routes": [{"service": "app", "path": "/", "host": "", "live": "r000001-a"}]}',
            "live: 'r000001-a' has no upstream",
        ),
    ],
)
def test_a_damaged_state_is_refused(document: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_edge(f"{HEADER}{document}\n")


def test_a_state_of_a_higher_format_is_refused() -> None:
    with pytest.raises(NewerFormatError, match="its format is 999"):
        parse_edge(f'{HEADER}{{"format": 999, "routes": []}}\n')


def test_keys_of_a_newer_version_are_kept_when_the_state_changes() -> None:
    upstream = {"release": OLD.release, "servers": [*OLD.servers], "weight": 7}
    route = {
        "service": "app",
        "path": "/",
        "host": "",
        "live": OLD.release,
        "candidate": "",
        "upstreams": [upstream],
        "tls": {"names": ["a"]},
    }
    state = parse_edge(HEADER + json.dumps({"routes": [route], "listeners": [1.5]}))
    found = state.route("app")
    assert found is not None
    assert OLD in found.upstreams
    for changed in (
        found.offer(NEW).point(NEW.release).offer(OLD).point(OLD.release).settle(),
        replace(found, maintenance=True),
    ):
        document = json.loads(dump_edge(state.with_route(changed)))
        assert document["listeners"] == [1.5]
        assert document["routes"][0]["tls"] == {"names": ["a"]}
        assert document["routes"][0]["upstreams"][0]["weight"] == 7
