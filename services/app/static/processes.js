// The process table: click a heading to sort, type to filter.
import { inSeconds } from "./format.js";

const COLUMNS = [
  { key: "pid", number: true, of: (process) => process.pid, text: (value) => `${value}` },
  { key: "name", number: false, of: (process) => process.name, text: (value) => value },
  {
    key: "memory_percent",
    number: true,
    of: (process) => process.memory_percent,
    text: (value) => `${value.toFixed(1)} %`,
  },
  { key: "num_threads", number: true, of: (process) => process.num_threads, text: (value) => `${value}` },
  {
    key: "cpu",
    number: true,
    of: (process) => process.cpu_times && process.cpu_times[0] + process.cpu_times[1],
    text: inSeconds,
  },
];

export class ProcessTable {
  constructor(table, filter, count) {
    this.body = table.tBodies[0];
    this.headings = [...table.querySelectorAll("th[data-key]")];
    this.filter = filter;
    this.count = count;
    this.processes = [];
    this.key = "memory_percent";
    this.descending = true;
    for (const heading of this.headings) {
      heading.querySelector("button").addEventListener("click", () => this.sortBy(heading.dataset.key));
    }
    filter.addEventListener("input", () => this.draw());
  }

  show(processes) {
    this.processes = processes;
    this.draw();
  }

  sortBy(key) {
    // Usage columns start with the highest value, names and PIDs with the lowest.
    this.descending = key === this.key ? !this.descending : key !== "name" && key !== "pid";
    this.key = key;
    for (const heading of this.headings) {
      if (heading.dataset.key === key) {
        heading.setAttribute("aria-sort", this.descending ? "descending" : "ascending");
      } else {
        heading.removeAttribute("aria-sort");
      }
    }
    this.draw();
  }

  draw() {
    const query = this.filter.value.trim().toLowerCase();
    const shown = this.processes.filter(
      (process) => !query || process.name.toLowerCase().includes(query) || `${process.pid}` === query,
    );
    const column = COLUMNS.find((each) => each.key === this.key);
    const sign = this.descending ? -1 : 1;
    shown.sort((a, b) => sign * compare(column.of(a), column.of(b)) || a.pid - b.pid);
    this.body.replaceChildren(...shown.map(row));
    const all = this.processes.length;
    this.count.textContent = shown.length === all ? `${all}` : `${shown.length} of ${all}`;
  }
}

function compare(a, b) {
  if (typeof a === "string") return a.localeCompare(b);
  return (a ?? -1) - (b ?? -1);
}

function row(process) {
  const line = document.createElement("tr");
  for (const column of COLUMNS) {
    const cell = document.createElement(column.key === "name" ? "th" : "td");
    if (column.key === "name") cell.scope = "row";
    if (column.number) cell.className = "number";
    const value = column.of(process);
    cell.textContent = value === null ? "–" : column.text(value);
    line.append(cell);
  }
  return line;
}
