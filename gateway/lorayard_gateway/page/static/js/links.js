// Where things are on this page.

const part = encodeURIComponent;

export const href = {
  queues: (filter) => `#/queues${filter ? `?f=${part(filter)}` : ""}`,
  adapters: (filter) => `#/adapters${filter ? `?f=${part(filter)}` : ""}`,
  adapter: (spec) => (spec && !["base", "_", "_others"].includes(spec) && !spec.startsWith("+") ? `#/adapter?name=${part(spec.split("@")[0])}` : undefined),
  workers: (filter) => `#/workers${filter ? `?f=${part(filter)}` : ""}`,
  jobs: (query) => `#/jobs?${new URLSearchParams(Object.entries(query).filter(([, value]) => value))}`,
  job: (tenant, job) => `#/job?tenant=${part(tenant)}&job=${part(job)}`,
  dead: () => "#/dead",
};
