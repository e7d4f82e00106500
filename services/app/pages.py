"""HTML pages: home, system and monitor. They show values without JavaScript, too."""

from flask import Flask, render_template

from app.sampler import Sampler
from app.system_info import read_system_info

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def add_pages(app: Flask, sampler: Sampler) -> None:
    app.jinja_env.filters["bytes"] = format_bytes
    app.jinja_env.filters["duration"] = format_duration

    def home() -> str:
        return render_template("home.html")

    def info() -> str:
        return render_template("info.html", system=read_system_info())

    def monitor() -> str:
        sample = sampler.latest()
        return render_template("monitor.html", reading=sample.reading if sample else None)

    app.add_url_rule("/", "home", home)
    app.add_url_rule("/info", "info", info)
    app.add_url_rule("/monitor", "monitor", monitor)


def format_bytes(count: float) -> str:
    for unit in _UNITS:
        if count < 1024 or unit == _UNITS[-1]:
            break
        count /= 1024
    return f"{count:.0f} {unit}" if count >= 100 or unit == "B" else f"{count:.1f} {unit}"


def format_duration(seconds: float) -> str:
    minutes = int(seconds // 60)
    days, hours = minutes // 1440, minutes // 60 % 24
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
