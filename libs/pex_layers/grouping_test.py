"""Which layer a distribution or a file is in."""

from __future__ import annotations

from pex_layers.grouping import families, group_distributions, layer_of_source

KB = 1000
SIZES = {
    "Flask": 800 * KB,
    "gunicorn": 2000 * KB,
    "MarkupSafe": 60 * KB,
    "opentelemetry-api": 500 * KB,
    "opentelemetry_sdk": 900 * KB,
    "blinker": 40 * KB,
}


def test_distributions_that_are_released_together_are_one_family() -> None:
    (family,) = [each for each in families(SIZES) if each.name == "opentelemetry"]
    assert family.distributions == ("opentelemetry-api", "opentelemetry_sdk")
    assert family.size == 1400 * KB


def test_each_family_has_its_own_layer_if_there_are_enough() -> None:
    groups = group_distributions(SIZES, 7)
    assert groups[-2:] == [(), ()]
    assert sorted(groups[:-2]) == [
        ("Flask",),
        ("MarkupSafe",),
        ("blinker",),
        ("gunicorn",),
        ("opentelemetry-api", "opentelemetry_sdk"),
    ]


def test_small_distributions_share_a_layer_before_large_ones_do() -> None:
    groups = group_distributions(SIZES, 4)
    assert ("blinker", "MarkupSafe") in groups
    assert ("gunicorn",) in groups


def test_large_and_seldom_released_distributions_are_at_the_bottom() -> None:
    sizes = {
        "gunicorn": 100 * KB,
        "seldom": 100 * KB,
        "opentelemetry-sdk": 100 * KB,
        "large": 900 * KB,
    }
    assert group_distributions(sizes, 4) == [
        ("large",),
        ("seldom",),
        ("gunicorn",),
        ("opentelemetry-sdk",),
    ]


def test_one_layer_has_everything() -> None:
    (group,) = group_distributions(SIZES, 1)
    assert sorted(group) == sorted(SIZES)


def test_no_distribution_leaves_every_layer_empty() -> None:
    assert group_distributions({}, 2) == [(), ()]


def test_order_of_the_input_does_not_matter() -> None:
    assert group_distributions(dict(reversed(SIZES.items())), 4) == group_distributions(SIZES, 4)


def test_libraries_are_below_the_services_own_files() -> None:
    assert layer_of_source("telemetry/metrics.py", "app", 4) == 0
    assert layer_of_source("applied/metrics.py", "app", 4) == 0
    layers = {layer_of_source(f"app/m{number}.py", "app", 4) for number in range(50)}
    assert layers == {1, 2, 3}


def test_one_layer_of_our_code_has_libraries_and_the_service() -> None:
    assert layer_of_source("app/web.py", "app", 1) == 0
