// Formats numbers for people, by the same rules as the templates' filters.
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function inBytes(count) {
  let unit = 0;
  while (count >= 1024 && unit < UNITS.length - 1) {
    count /= 1024;
    unit += 1;
  }
  const digits = count >= 100 || unit === 0 ? 0 : 1;
  return `${count.toFixed(digits)} ${UNITS[unit]}`;
}

export function inSeconds(seconds) {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
