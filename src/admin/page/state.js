// The state of the page, and requests to the server.

export const $ = (id) => document.getElementById(id);

export const state = {
  status: null, // The last answer of /v1/status, with the service that is shown.
  shares: null, // The last answer of /v1/shares.
  rules: null, // The rules of the service, from /v1/status?rules=true.
  service: null, // The name of the service that is shown.
  down: new Set(), // What-if: regions that are switched off.
  weights: new Map(), // What-if: regions with another weight,
  biases: new Map(), // and with another bias.
  question: null, // The name, client and type of the explanation that is shown.
  heard: 0, // When the server last answered.
};

export async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(15000) });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.error ?? `${path}: ${answer.status}`), { status: answer.status });
  return body;
}

export const current = () => state.status?.services.find((service) => service.name === state.service);

// The rules for a region of the service.
export const ruleOf = (region) => state.rules?.regions.find((rule) => rule.region === region);

export const isChange = () => state.down.size + state.weights.size + state.biases.size > 0;

// A bias cannot be applied from here, because it is part of the configuration.
export const isOrder = () => state.down.size + state.weights.size > 0;
