// Numbers and times for people.

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

let offset = 0;

/** Take the yard's clock: ages count by it, whatever this machine's says. */
export function setClock(at) {
  offset = at - Date.now() / 1000;
}

export function now() {
  return Date.now() / 1000 + offset;
}

export function whole(value) {
  return value === null || value === undefined ? "–" : WHOLE.format(value);
}

/** A rate or another number of which three digits say enough. */
export function rough(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 100) return WHOLE.format(value);
  return value >= 10 ? value.toFixed(1) : value === 0 ? "0" : value.toFixed(2);
}

/** Percent of requests, as they were given. */
export function weight(value) {
  return `${+value.toFixed(2)} %`;
}

export function percent(share) {
  return share === null || share === undefined ? "–" : `${(share * 100).toFixed(share > 0.995 && share < 1 ? 1 : 0)} %`;
}

export function bytes(value) {
  if (!value) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log2(value) / 10));
  const shown = value / 2 ** (10 * step);
  return `${shown >= 10 || step === 0 ? Math.round(shown) : shown.toFixed(1)} ${units[step]}`;
}

/** A time that passes, as short as it is true. */
export function seconds(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  const told = Math.max(0, value);
  if (told < 1) return `${(told * 1000).toFixed(0)} ms`;
  if (told < 10) return `${told.toFixed(1)} s`;
  if (told < 120) return `${Math.floor(told)} s`;
  if (told < 7200) return `${Math.floor(told / 60)} min`;
  return told < 172800 ? `${Math.floor(told / 3600)} h` : `${Math.floor(told / 86400)} d`;
}

/** The same where no parts of a second are meant. */
export function age(at) {
  if (at === null || at === undefined) return "–";
  const told = Math.max(0, Math.floor(now() - at));
  return told < 1 ? "now" : seconds(told).replace(".0", "");
}

export function milliseconds(value) {
  return value === null || value === undefined ? "–" : seconds(value / 1000);
}

/** A moment by this browser's clock face. */
export function moment(at, parts = false) {
  if (!at) return "–";
  const date = new Date((at - offset) * 1000);
  if (Number.isNaN(date.getTime())) return "–";
  const time = date.toLocaleTimeString("en-GB");
  const told = parts ? `${time}.${String(date.getMilliseconds()).padStart(3, "0")}` : time;
  return date.toDateString() === new Date().toDateString() ? told : `${date.toLocaleDateString("en-CA")} ${told}`;
}

export function many(count, one, more = `${one}s`) {
  return `${whole(count)} ${count === 1 ? one : more}`;
}

/** The last part of an adapter's name, which tells it from others; the whole is in its title. */
export function short(adapter) {
  // `_` is what a dispatcher calls those that name none, `_others` those beyond the thousand that it names.
  if (adapter === "_others") return "all others";
  return adapter && adapter !== "_" ? adapter.split("/").slice(-1)[0] : "chosen by the yard";
}
