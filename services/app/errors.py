"""Error answers: JSON under `/api/`, a page elsewhere; they never show a cause from inside."""

from flask import Flask, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import HTTPException, InternalServerError


def add_errors(app: Flask) -> None:
    def answer(error: HTTPException) -> Response:
        code = error.code or 500
        if request.path.startswith("/api/"):
            response = jsonify(error=error.name, detail=error.description)
        else:
            response = make_response(render_template("error.html", code=code, error=error))
        response.status_code = code
        for name, value in error.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response

    def crash(_error: InternalServerError) -> Response:
        return answer(InternalServerError())

    app.register_error_handler(HTTPException, answer)
    app.register_error_handler(500, crash)
