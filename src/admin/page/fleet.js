// All servers of the fleet, as the server of this page knows them.

import { lasting, make, perSecond, table } from "./tables.js";

const STATES = {
  here: ["up", "this server"], well: ["up", "well"], "votes-only": ["degraded", "votes, does not report"],
  "reports-only": ["degraded", "reports, does not vote"], disputed: ["down", "two servers have this name"], silent: ["down", "silent"],
};

function stateOf(server) {
  const [style, word] = STATES[server.state] ?? ["unknown", server.state];
  const silent = server.silent_seconds === undefined ? "" : ` for ${lasting(server.silent_seconds)}`;
  const probe = server.role === "probe" ? ", probe" : "";
  return make("span", { className: style }, word + silent + probe);
}

// The first digits of the fingerprint of what it serves. Its tooltip has all of them.
function revisionOf(server) {
  if (!server.revision) return "";
  const odd = server.odd_revision ? " (other than most)" : "";
  return make("span", { className: odd && "more", title: server.revision }, server.revision.slice(0, 8) + odd);
}

function clockOf(clock) {
  if (!clock) return "";
  const signed = (milliseconds) => `${milliseconds <= -0.05 ? "−" : "+"}${Math.abs(milliseconds).toFixed(1)}`;
  return clock.uncertainty_ms === undefined
    ? `at least ${signed(clock.ahead_ms)} ms`
    : `${signed(clock.ahead_ms)} ± ${clock.uncertainty_ms.toFixed(1)} ms`;
}

function serversOf(page) {
  const heads = ["Server", "Group", "State", "Version", "Serves", "Clock", "Queries/s", "Orders", "Differs"];
  const rows = page.servers.map((server) => [
    server.name,
    server.group === server.name ? "" : server.group,
    stateOf(server),
    server.version ?? "",
    revisionOf(server),
    clockOf(server.clock),
    server.queries_per_second === undefined ? "" : perSecond(server.queries_per_second),
    server.orders_revision === undefined ? "" : `to ${server.orders_revision}${server.orders_current ? "" : ", stale"}`,
    server.differing ? `${server.differing} ${server.differing === 1 ? "check" : "checks"}` : "",
  ]);
  const isShown = (at) => at === 0 || rows.some((row) => row[at] !== "");
  const kept = (row) => row.filter((_, at) => isShown(at));
  return make("div", { className: "scroll" }, table(`Servers of ${page.name}`, kept(heads), rows.map(kept)));
}

function differingOf({ check, endpoint, agreed, agreed_seconds, says }) {
  const others = says.filter((one) => one.seconds !== undefined || one.vote !== agreed);
  const told = others.map((one) => `${one.server} says ${one.vote}` + (one.seconds === undefined ? "" : ` for ${lasting(one.seconds)}`));
  const since = agreed_seconds === undefined ? "nothing agreed" : `agreed ${agreed} for ${lasting(agreed_seconds)}`;
  return make("li", {}, `${check} at ${endpoint}: ${since}; ${told.join(", ")}`);
}

function placesOf(order) {
  if (order.revision === undefined) return `on ${order.in_force.join(", ")} only`;
  const all = order.in_force.length + order.missing.length + order.unknown.length;
  if (order.in_force.length === all) return `in force on all ${all}`;
  const not = order.missing.length ? `, not on ${order.missing.join(", ")}` : "";
  const unknown = order.unknown.length ? `, unknown on ${order.unknown.join(", ")}` : "";
  return `in force on ${order.in_force.length} of ${all}${not}${unknown}`;
}

function ordersOf(page) {
  const shared = page.orders.map((order) => {
    const why = order.reason ? ` (${order.reason})` : "";
    return make("li", { className: order.missing.length ? "more" : "" }, `${order.order} by ${order.by}${why}: ${placesOf(order)}`);
  });
  const others = page.servers.filter((server) => server.name !== page.server);
  const single = others.flatMap((server) => server.here_only.map((it) => make("li", {}, `${server.name}: ${it}`)));
  return [...shared, ...single];
}

// What the section shows of an answer of /v1/fleet.
export function fleetParts(page) {
  const isWell = page.summary.endsWith("all well");
  const { rates } = page;
  const regions = Object.entries(rates.regions).map(([region, rate]) => `${region} ${perSecond(rate)}`);
  const servers = `${rates.servers} ${rates.servers === 1 ? "nameserver" : "nameservers"}`;
  const parts = [
    make("p", { className: isWell ? "" : "more" }, page.summary),
    serversOf(page),
    make("p", {}, `${perSecond(rates.queries_per_second)} queries/s on ${servers}`, regions.length ? `; answers/s: ${regions.join(", ")}` : ""),
  ];
  if (page.refusal) parts.push(make("p", { className: "more" }, `NATS refuses reports: ${page.refusal}`));
  const lists = [page.differing.map(differingOf), ordersOf(page)];
  parts.push(...lists.filter((items) => items.length).map((items) => make("ul", {}, ...items)));
  return parts;
}
