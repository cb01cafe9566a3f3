// What the page asks of its gateway, and nobody else.

const HEADERS = { "x-lorayard-page": "1" };

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
  return await answered(fetch(`api/${path}${query ? `?${query}` : ""}`, { headers: HEADERS }));
}

/** Have something done. */
export async function tell(path, body) {
  const headers = { ...HEADERS, "content-type": "application/json" };
  return await answered(fetch(`api/${path}`, { method: "POST", headers, body: JSON.stringify(body) }));
}

async function answered(asked) {
  let response;
  try {
    response = await asked;
  } catch {
    throw new Refused(0, "The gateway cannot be reached.");
  }
  const told = await response.json().catch(() => ({}));
  if (response.ok) return told;
  if (response.status === 401) document.dispatchEvent(new CustomEvent("logged-out"));
  throw new Refused(response.status, told.error?.message ?? `The gateway answered ${response.status}.`);
}
