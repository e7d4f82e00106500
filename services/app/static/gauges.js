// Gauges and sparklines. Each keeps its last 60 values.
import { inBytes } from "./format.js";

const MAX_VALUES = 60;
const MIN_VALUES = 15; // a new curve spans its full width after this many values
const WIDTH = 120;
const HEIGHT = 32;

class Curve {
  constructor(svg, ceiling) {
    this.line = svg.querySelector("polyline");
    this.area = svg.querySelector("polygon");
    this.ceiling = ceiling; // null: scale to the highest value
    this.values = [];
  }

  add(value) {
    this.values.push(value);
    if (this.values.length > MAX_VALUES) this.values.shift();
    const top = this.ceiling ?? Math.max(...this.values, 1);
    const span = Math.max(this.values.length, MIN_VALUES) - 1;
    const from = span + 1 - this.values.length;
    const points = this.values.map((each, index) => {
      const x = ((from + index) / span) * WIDTH;
      const y = HEIGHT - 1 - (each / top) * (HEIGHT - 3);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    });
    const first = (from / span) * WIDTH;
    this.line.setAttribute("points", points.join(" "));
    this.area.setAttribute("points", `${first},${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`);
  }
}

class Gauge {
  constructor(element) {
    this.key = element.dataset.gauge;
    this.meter = element.querySelector("[role=meter]");
    this.arc = element.querySelector(".arc");
    this.value = element.querySelector("[data-value]");
    this.note = element.querySelector("[data-note]");
    this.element = element;
    this.curve = new Curve(element.querySelector(".spark"), 100);
  }

  show(reading) {
    const percent = reading[this.key];
    const whole = Math.round(percent);
    this.value.textContent = whole;
    this.meter.setAttribute("aria-valuenow", whole);
    this.meter.setAttribute("aria-valuetext", `${whole} percent`);
    this.arc.setAttribute("stroke-dasharray", `${percent} 100`);
    this.element.classList.toggle("high", percent >= 90);
    const used = reading[`${this.key}_used`];
    if (used !== undefined) {
      this.note.textContent = `${inBytes(used)} of ${inBytes(reading[`${this.key}_total`])}`;
    }
    this.curve.add(percent);
  }
}

class Flow {
  constructor(element) {
    this.key = element.dataset.flow;
    this.value = element.querySelector("[data-value]");
    this.curve = new Curve(element.querySelector(".spark"), null);
  }

  show(reading) {
    this.value.textContent = inBytes(reading[this.key]);
    this.curve.add(reading[this.key]);
  }
}

export function findGauges(root) {
  const gauges = [...root.querySelectorAll("[data-gauge]")].map((each) => new Gauge(each));
  const flows = [...root.querySelectorAll("[data-flow]")].map((each) => new Flow(each));
  return [...gauges, ...flows];
}
