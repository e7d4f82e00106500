"""The rendered text, read back by prometheus-client's parser."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from exporter.exposition import Family, render


def test_rendered_metrics_are_read_back() -> None:
    odd = Family("odd_bytes", "gauge", "Odd.")
    odd.add(1.5, {"path": 'a"b\\c\nd', "empty": ""})
    histogram = Family("wait_seconds", "histogram", "Wait.")
    histogram.add(2.0, {"le": "+Inf"}, "_bucket")
    histogram.add(0.3, suffix="_sum")
    histogram.add(2.0, suffix="_count")
    read = {
        family.name: family for family in text_string_to_metric_families(render([odd, histogram]))
    }
    (sample,) = read["odd_bytes"].samples
    assert (sample.labels, sample.value) == ({"path": 'a"b\\c\nd', "empty": ""}, 1.5)
    assert read["wait_seconds"].type == "histogram"
    assert [sample.name for sample in read["wait_seconds"].samples] == [
        "wait_seconds_bucket",
        "wait_seconds_sum",
        "wait_seconds_count",
    ]


def test_a_family_without_samples_is_left_out() -> None:
    assert render([Family("none", "gauge", "None.")]) == ""
