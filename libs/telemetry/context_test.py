"""Ids from clients are used only if they are well formed."""

import pytest

from telemetry.context import parse_traceparent, read_context

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


def test_traceparent_sets_trace_parent_and_sampling() -> None:
    context = read_context({"HTTP_TRACEPARENT": f"00-{TRACE}-{SPAN}-01"})
    assert (context.trace_id, context.parent_span_id, context.sampled) == (TRACE, SPAN, True)
    assert context.request_id == TRACE


def test_an_unsampled_parent_stays_unsampled() -> None:
    assert parse_traceparent(f"00-{TRACE}-{SPAN}-00") == (TRACE, SPAN, False)


def test_a_later_version_may_append_fields() -> None:
    assert parse_traceparent(f"01-{TRACE}-{SPAN}-01-more") == (TRACE, SPAN, True)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "00",
        f"00-{TRACE}-{SPAN}-01-more",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
    ],
)
def test_a_malformed_traceparent_is_ignored(header: str) -> None:
    assert parse_traceparent(header) is None


def test_a_request_id_in_the_form_of_a_trace_id_is_both() -> None:
    context = read_context({"HTTP_X_REQUEST_ID": TRACE})
    assert (context.request_id, context.trace_id) == (TRACE, TRACE)


def test_any_other_request_id_is_kept_and_gets_a_new_trace_id() -> None:
    context = read_context({"HTTP_X_REQUEST_ID": "job-17.a_b"})
    assert context.request_id == "job-17.a_b"
    assert len(context.trace_id) == 32


@pytest.mark.parametrize("bad", ["", "a b", "a\r\nX: y", '"', "ä", "x" * 129])
def test_a_malformed_request_id_is_replaced(bad: str) -> None:
    context = read_context({"HTTP_X_REQUEST_ID": bad})
    assert context.request_id == context.trace_id != bad


def test_an_all_zero_request_id_is_not_used_as_trace_id() -> None:
    assert read_context({"HTTP_X_REQUEST_ID": "0" * 32}).trace_id != "0" * 32


def test_the_edges_trace_id_is_used_if_it_is_well_formed() -> None:
    headers = {"HTTP_X_REQUEST_ID": "job-17.a_b", "HTTP_X_TRACE_ID": TRACE}
    assert read_context(headers).trace_id == TRACE
    assert read_context({**headers, "HTTP_X_TRACE_ID": "job-17"}).trace_id != "job-17"


def test_the_callers_trace_takes_precedence_over_the_edges_id() -> None:
    headers = {"HTTP_TRACEPARENT": f"00-{TRACE}-{SPAN}-01", "HTTP_X_TRACE_ID": "f" * 32}
    assert read_context(headers).trace_id == TRACE
