"""Error answers: JSON under `/api/`, a page elsewhere; they never show a cause from inside."""

from typing import Any

from flask import Flask, Response, jsonify, make_response, render_template, request

# What this service can answer: what Flask raises for a request without a match, a missing sample,
# and a crash, which Flask hands over as a plain 500 without its cause.
_CODES = (400, 404, 405, 500, 503)


def add_errors(app: Flask) -> None:
    for code in _CODES:
        app.register_error_handler(code, _answer)


def _answer(error: Any) -> Response:
    """`error` is werkzeug's HTTPException."""
    if request.path.startswith("/api/"):
        response = jsonify(error=error.name, detail=error.description)
    else:
        response = make_response(render_template("error.html", code=error.code, error=error))
    response.status_code = error.code
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response
