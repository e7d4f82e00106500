"""Tests of exceptions in logs as Python, gunicorn and our JSON log write them."""

from __future__ import annotations

import json

import pytest

from deploy.core.reports.exceptions import MOST_CHARACTERS, Frame, last_exception, shown_line

SITE = "/opt/app/lib/python3.13/site-packages"
TRACEBACK = f"""Traceback (most recent call last):
  File "{SITE}/flask/app.py", line 1511, in wsgi_app
    response = self.full_dispatch_request()
  File "{SITE}/app/pages.py", line 12, in home
    return render(page())
                  ~~~~^^
  File "{SITE}/app/pages.py", line 20, in page
    raise ValueError("no page")
ValueError: no page"""
HOME = Frame("app/pages.py", 12, "home", "return render(page())", installed=True)
PAGE = Frame("app/pages.py", 20, "page", 'raise ValueError("no page")', installed=True)


def json_line(message: str, exception: str | None = None) -> str:
    more = {"exception": exception} if exception else {}
    return json.dumps(
        {"time": "2026", "level": "error", "logger": "app", "message": message, **more}
    )


@pytest.mark.parametrize(
    "log",
    [
        [json_line("started"), json_line("request", TRACEBACK), json_line("stopping")],
        ["started", *TRACEBACK.splitlines(), "stopping"],
        [
            json_line("request", "Traceback (most recent call last):\nKeyError: 1"),
            *TRACEBACK.splitlines(),
        ],
    ],
    ids=["in JSON", "in plain lines", "the last of two"],
)
def test_the_exception_has_its_type_message_and_the_frames_of_the_service(log: list[str]) -> None:
    found = last_exception(log)
    assert found is not None
    assert str(found) == "ValueError: no page"
    assert found.frames_of("app") == (HOME, PAGE)
    assert str(PAGE) == 'app/pages.py:20 in page: raise ValueError("no page")'


def test_of_chained_exceptions_the_one_that_was_raised_last_counts() -> None:
    again = TRACEBACK.replace("ValueError: no page", "app.errors.PageError: home\nmore words")
    chained = (
        f"{TRACEBACK}\n\nThe above exception was the direct cause of the following:\n\n{again}"
    )
    found = last_exception([json_line("request", chained)])
    assert found is not None
    assert (found.type, found.message) == ("app.errors.PageError", "home")


def test_an_exception_without_frames_of_the_service_has_the_innermost_ones() -> None:
    found = last_exception(TRACEBACK.splitlines())
    assert found is not None
    assert found.frames_of("shop") == found.frames
    outside = last_exception(
        ["Traceback (most recent call last):", '  File "/srv/x.py", line 3', "KeyError"]
    )
    assert outside is not None
    assert (outside.frames_of("app"), outside.message) == ((Frame("/srv/x.py", 3, "<module>"),), "")


@pytest.mark.parametrize(
    "log",
    [
        [],
        ["started"],
        ["Traceback (most recent call last):"],
        [json_line("request")],
        ["{", "[" * 100_000],
    ],
)
def test_a_log_without_a_whole_traceback_has_no_exception(log: list[str]) -> None:
    assert last_exception(log) is None


def test_a_log_line_is_shown_by_its_level_and_message() -> None:
    assert shown_line(json_line("no route to db", TRACEBACK)) == "error app no route to db"
    assert shown_line("plain words") == "plain words"
    assert shown_line('{"a": 1}') == '{"a": 1}'
    assert shown_line("x" * 1000) == "x" * (MOST_CHARACTERS - 3) + "..."
