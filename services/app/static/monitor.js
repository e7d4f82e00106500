// The live monitor: fetches a sample, shows it, and repeats after the chosen interval.
import { findGauges } from "./gauges.js";
import { ProcessTable } from "./processes.js";

const find = (id) => document.getElementById(id);
const gauges = findGauges(document);
const table = new ProcessTable(find("process-table"), find("filter"), find("process-count"));
const interval = find("interval");
const pause = find("pause");
const answeredBy = new Map();
let updates = 0;
let paused = false;
let timer;

async function fetchJson(path) {
  const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(10000) });
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return [await response.json(), response.headers];
}

async function update() {
  clearTimeout(timer);
  try {
    const [[reading, headers], [{ processes }]] = await Promise.all([
      fetchJson("/api/monitor"),
      fetchJson("/api/process"),
    ]);
    for (const gauge of gauges) gauge.show(reading);
    table.show(processes);
    showReplica(headers);
    showTime(reading.sampled_at);
    showState(paused ? "Paused" : "Live");
  } catch (error) {
    showState("No answer, trying again");
  }
  schedule();
}

function schedule() {
  clearTimeout(timer);
  if (!paused && !document.hidden) timer = setTimeout(update, interval.value * 1000);
}

// Screen readers announce this text, so it is written only when it changes.
function showState(state) {
  const element = find("state");
  if (element.textContent !== state) element.textContent = state;
  document.body.dataset.state = state === "Live" ? "live" : state === "Paused" ? "paused" : "lost";
}

function showTime(sampledAt) {
  updates += 1;
  find("updates").textContent = updates;
  const when = new Date(sampledAt * 1000);
  const time = find("sampled-at");
  time.dateTime = when.toISOString();
  time.textContent = when.toLocaleTimeString([], { hour12: false });
}

function showReplica(headers) {
  const replica = headers.get("X-Replica") ?? "unknown";
  const release = headers.get("X-Release") ?? "unknown";
  const previous = answeredBy.get(replica) ?? { count: 0 };
  answeredBy.set(replica, { release, count: previous.count + 1 });
  const chips = [...answeredBy].sort(([a], [b]) => a.localeCompare(b, undefined, { numeric: true }));
  find("replicas").replaceChildren(
    ...chips.map(([name, { release: from, count }]) => {
      const chip = document.createElement("li");
      chip.dataset.replica = name;
      chip.dataset.release = from;
      chip.classList.toggle("latest", name === replica);
      const times = document.createElement("span");
      times.textContent = `${count}×`;
      chip.append(name, " ", times);
      return chip;
    }),
  );
}

interval.addEventListener("input", () => {
  find("interval-text").textContent = `${interval.value} s`;
  interval.setAttribute("aria-valuetext", `${interval.value} second${interval.value === "1" ? "" : "s"}`);
  schedule();
});

pause.addEventListener("click", () => {
  paused = !paused;
  pause.setAttribute("aria-pressed", `${paused}`);
  if (paused) {
    clearTimeout(timer);
    showState("Paused");
  } else {
    update();
  }
});

document.querySelector(".controls").addEventListener("submit", (event) => event.preventDefault());
document.addEventListener("visibilitychange", () => (document.hidden ? clearTimeout(timer) : paused || update()));
update();
