"""JSON routes, which return the latest sample."""

from collections.abc import Callable

from flask import Flask, Response, abort

from app.sampler import Sample, Sampler


def add_api(app: Flask, sampler: Sampler) -> None:
    def respond(body_of: Callable[[Sample], bytes]) -> Response:
        sample = sampler.latest()
        if sample is None:
            abort(503, "no sample yet, try again in a second")
        return Response(body_of(sample), content_type="application/json")

    app.add_url_rule(
        "/api/monitor", "api.monitor", lambda: respond(lambda sample: sample.monitor_json)
    )
    app.add_url_rule(
        "/api/process", "api.process", lambda: respond(lambda sample: sample.process_json)
    )
