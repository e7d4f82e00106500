"""Application factory: `app.web:create_app()`."""

from flask import Flask

from app.api import add_api
from app.assets import add_assets
from app.errors import add_errors
from app.headers import add_security_headers
from app.pages import add_pages
from app.sampler import Sampler
from telemetry import instrument


def create_app() -> Flask:
    """Returns the app and starts its sampler. Call it in the process that serves requests."""
    sampler = Sampler()
    app = assemble(sampler)
    sampler.start()
    return app


def assemble(sampler: Sampler) -> Flask:
    """Returns the app around a sampler that the caller starts."""
    app = Flask("app", static_folder=None)
    add_pages(app, sampler)
    add_api(app, sampler)
    add_assets(app)
    add_errors(app)
    add_security_headers(app)
    telemetry = instrument(app)
    telemetry.ready_when("sampler", sampler.fresh)
    app.jinja_env.globals["identity"] = telemetry.identity
    return app
