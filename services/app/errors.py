"""Error responses: JSON under `/api/`, HTML elsewhere, without internal details."""

from typing import Any

from flask import Flask, Response, jsonify, make_response, render_template, request

# Bad or unmatched requests, a missing sample (503) and crashes, which Flask passes as a 500 without
# the exception.
_CODES = (400, 404, 405, 500, 503)


def add_errors(app: Flask) -> None:
    for code in _CODES:
        app.register_error_handler(code, _respond)


def _respond(error: Any) -> Response:
    """Renders an HTTPException of werkzeug."""
    if request.path.startswith("/api/"):
        response = jsonify(error=error.name, detail=error.description)
    else:
        response = make_response(render_template("error.html", code=error.code, error=error))
    response.status_code = error.code
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response
