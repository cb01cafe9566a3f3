// What the page asks of its gateway, and nobody else.

const HEADERS = { "x-lorayard-page": "1" };

/** Longer than a gateway takes for the longest: a promotion, whose weights are loaded first. */
const PATIENCE_MS = 60_000;

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** One answer as JSON; `params` that are empty are left out. */
export async function ask(path, params = {}) {
  const given = Object.entries(params).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const query = new URLSearchParams(given).toString();
  return await answered(fetch(`api/${path}${query ? `?${query}` : ""}`, { headers: HEADERS, signal: AbortSignal.timeout(PATIENCE_MS) }));
}

/** Have something done. */
export async function tell(path, body) {
  const headers = { ...HEADERS, "content-type": "application/json" };
  return await answered(fetch(`api/${path}`, { method: "POST", headers, body: JSON.stringify(body), signal: AbortSignal.timeout(PATIENCE_MS) }));
}

async function answered(asked) {
  let response;
  try {
    response = await asked;
  } catch (error) {
    throw new Refused(0, error.name === "TimeoutError" ? "The gateway does not answer." : "The gateway cannot be reached.");
  }
  const told = await response.json().catch(() => ({}));
  if (response.ok) return told;
  if (response.status === 401 && !response.url.endsWith("/login")) document.dispatchEvent(new CustomEvent("logged-out"));
  throw new Refused(response.status, told.error?.message ?? `The gateway answered ${response.status}.`);
}
