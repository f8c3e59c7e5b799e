// How a service decides: fences, order, availability, pick, and the checks.

import { lasting, make, table, verdict } from "./tables.js";

const PICKS = {
  weighted: "at random, by weight",
  "round-robin": "in turn",
  sticky: "by weight, always the same for a client",
  "least-load": "by weight, fewer to endpoints with a higher load",
};

const ALL_DOWN = {
  "answer-all": "as if all were up",
  "last-good": "the regions that were available last",
  nodata: "an empty answer (NODATA)",
  servfail: "an error (SERVFAIL)",
};

function fences(list) {
  if (list.length === 0) return ["none: every region may serve every client"];
  const one = (fence) => {
    const kept = fence.regions.length ? `only ${fence.regions.join(", ")}` : "no region";
    return make("li", {}, `${fence.clients}: `, make("strong", {}, kept), fence.list ? ` (fence list ${fence.list})` : "");
  };
  return [list.length > 1 ? "the first fence that matches the client applies" : "", make("ol", {}, ...list.map(one))];
}

function order(rules) {
  const biased = rules.regions.filter((region) => region.bias_counts && region.bias !== 0);
  const bias = biased.length ? ` Bias: ${biased.map((it) => `${it.region} ${it.bias} %`).join(", ")}.` : "";
  const band = parseFloat(rules.band) > 0 ? `; regions at most ${rules.band} farther share its clients` : "";
  if (rules.order === "nearest") return [`the nearest region first, then the next nearest${band}.${bias}`];
  if (rules.order === "none") return [`none: ${rules.tiers.flat().join(", ")} share all clients`];
  return ["as listed: ", make("ol", { className: "tiers" }, ...rules.tiers.map((tier) => make("li", {}, tier.join(", "))))];
}

function available(rules) {
  const rooms = rules.regions.filter((region) => region.capacity).map((it) => `${it.region} ${it.capacity}`);
  const least = rules.min_endpoints > 1 ? `a region needs ${rules.min_endpoints} usable endpoints` : "a region needs one usable endpoint";
  const room = rooms.length ? `; capacity: ${rooms.join(", ")}` : "";
  return [`${least}${room}. If no region is available, the answer is ${ALL_DOWN[rules.all_down] ?? rules.all_down}.`];
}

function pick(rules) {
  const counting = rules.regions.filter((region) => region.weight_counts).map((it) => `${it.region} ${it.weight}`);
  const weights = counting.length ? `; weights of regions: ${counting.join(", ")}` : "";
  const many = rules.answers > 1 ? `up to ${rules.answers} endpoints` : "one endpoint";
  return [`${many} of the region, ${PICKS[rules.pick] ?? rules.pick}${weights}`];
}

function client(rules) {
  const ttl = rules.least_ttl === null ? `${rules.ttl} s` : `${rules.least_ttl} to ${rules.ttl} s, depending on health`;
  return [`${rules.client_subnet ? "located by its subnet if the resolver sends it, else by the resolver" : "located by the resolver"}; TTL ${ttl}`];
}

// The last results of a check, by region.
function results(check, rules, service) {
  const found = [];
  rules.regions.forEach((region, at) => {
    const now = service.health[at]?.region === region.region ? service.health[at].endpoints : [];
    const verdicts = region.endpoints.map((one, index) => (one.check === check.name ? now[index] : null)).filter(Boolean);
    if (verdicts.length === 0) return;
    const worst = ["down", "unknown", "degraded", "up"].find((word) => verdicts.some((it) => it.verdict === word)) ?? "unchecked";
    const result = make("span", { className: "result" }, `${region.region} `, verdict(worst));
    const latest = verdicts.map((it) => `${it.endpoint}: ${it.reason ?? it.verdict}, for ${lasting(it.seconds)}`);
    result.title = latest.join("\n");
    found.push(result);
  });
  return found.length ? make("span", { className: "results" }, ...found) : "part of other checks";
}

const failures = (count) => (count === 1 ? "1 failure" : `${count} failures`);
const successes = (count) => (count === 1 ? "1 success" : `${count} successes`);

function checks(rules, service) {
  if (rules.checks.length === 0) return [make("p", { className: "faint" }, "No checks: all endpoints count as up.")];
  const rows = rules.checks.map((check) => [
    check.name,
    check.asks,
    check.interval ? `${check.interval}, timeout ${check.timeout}` : "",
    check.fall ? failures(check.fall) : "",
    check.rise ? successes(check.rise) : "",
    results(check, rules, service),
  ]);
  const heads = ["Check", "Probe", "Every", "Down after", "Up after", "Last results"];
  return [table(`Checks of ${service.name}`, heads, rows)];
}

export function decides(rules, service) {
  const parts = [
    ["Fences", fences(rules.fences)], ["Order", order(rules)], ["Available", available(rules)], ["Pick", pick(rules)],
    ["Client", client(rules)],
  ];
  const list = parts.flatMap(([word, said]) => [make("dt", {}, word), make("dd", {}, ...said)]);
  return [make("dl", { className: "rules" }, ...list), ...checks(rules, service)];
}
