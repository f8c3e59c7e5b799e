// What the page knows, and how it asks the server.

export const $ = (id) => document.getElementById(id);

export const state = {
  status: null, // The last answer of /v1/status.
  shares: null, // The last answer of /v1/shares.
  rules: null, // How the service decides, by /v1/status?rules=true.
  service: null, // The name of the service that is shown.
  down: new Set(), // What if: regions that are switched off.
  weights: new Map(), // What if: regions with another weight,
  biases: new Map(), // and with another bias.
  question: null, // The name, client and type of the explanation that is shown.
  heard: 0, // When the server last answered.
};

export async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(15000) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? `${path}: ${answer.status}`);
  return body;
}

export const current = () => state.status?.services.find((service) => service.name === state.service);

// What is stated of a region of the service.
export const ruleOf = (region) => state.rules?.regions.find((rule) => rule.region === region);

export const isChange = () => state.down.size + state.weights.size + state.biases.size > 0;

// A bias is no order: it stands in the configuration.
export const isOrder = () => state.down.size + state.weights.size > 0;
