// The view as a link: the part after # has the service, the what-if and the client.

const MOST_OCTETS = 16384;
const MOST_REGIONS = 256;
export const WEIGHTS = [0, 1000000];
export const BIASES = [-99, 99];

export function written({ service, down, weights, biases, question }) {
  const parts = new URLSearchParams();
  if (service) parts.set("service", service);
  down.forEach((region) => parts.append("off", region));
  weights.forEach((weight, region) => parts.append("weight", `${region}:${weight}`));
  biases.forEach((bias, region) => parts.append("bias", `${region}:${bias}`));
  Object.entries(question ?? {}).forEach(([key, value]) => parts.append(key, value));
  return `#${parts}`;
}

// Parses texts such as `fra:20`, and ignores numbers out of bounds.
function numbers(texts, [least, most]) {
  const pairs = texts.slice(0, MOST_REGIONS).map((text) => text.split(":"));
  const wanted = pairs.map(([region, number]) => [region, /^-?[0-9]+$/.test(number) ? Number(number) : NaN]);
  return new Map(wanted.filter(([, number]) => number >= least && number <= most));
}

// A link may come from anybody, so everything that does not fit is ignored.
export function read(hash) {
  const parts = new URLSearchParams(hash.length > MOST_OCTETS ? "" : hash.slice(1));
  const [name, client, type] = ["name", "client", "type"].map((key) => parts.get(key));
  return {
    service: parts.get("service"),
    down: new Set(parts.getAll("off").slice(0, MOST_REGIONS)),
    weights: numbers(parts.getAll("weight"), WEIGHTS),
    biases: numbers(parts.getAll("bias"), BIASES),
    question: name && client ? { name, client, type: type === "AAAA" ? "AAAA" : "A" } : null,
  };
}
