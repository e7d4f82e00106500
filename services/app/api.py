"""The JSON routes: the latest sample as it lies ready; they never sample."""

from collections.abc import Callable

from flask import Flask, Response, abort

from app.sampler import Sample, Sampler


def add_api(app: Flask, sampler: Sampler) -> None:
    def answer(part: Callable[[Sample], bytes]) -> Response:
        sample = sampler.latest()
        if sample is None:
            abort(503, "no sample yet, ask again in a second")
        return Response(part(sample), content_type="application/json")

    app.add_url_rule(
        "/api/monitor", "api.monitor", lambda: answer(lambda sample: sample.monitor_json)
    )
    app.add_url_rule(
        "/api/process", "api.process", lambda: answer(lambda sample: sample.process_json)
    )
