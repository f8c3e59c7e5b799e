// Tables and lists. All text is set as text, so nothing that a server sends can become markup.

import { colourOf } from "./colours.js";

export function make(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    key in made ? (made[key] = value) : made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

// A table. On a narrow screen each row is a card, and each cell has a label. The roles are for browsers that do not take a
// table with another layout for a table.
export function table(caption, heads, rows) {
  const head = make("tr", { role: "row" }, ...heads.map((text) => make("th", { scope: "col", role: "columnheader" }, text)));
  const cell = (held, at) => make("td", { role: "cell", "data-label": heads[at] }, held);
  const body = rows.map((cells) => make("tr", { role: "row" }, ...cells.map(cell)));
  const [over, under] = [make("thead", { role: "rowgroup" }, head), make("tbody", { role: "rowgroup" }, ...body)];
  return make("table", { role: "table", className: "cards" }, make("caption", { className: "hidden" }, caption), over, under);
}

// A time in UTC. Its tooltip has the local time of the reader.
export function moment(milliseconds) {
  const at = new Date(milliseconds);
  const iso = at.toISOString();
  const title = at.toLocaleString(undefined, { dateStyle: "full", timeStyle: "long" });
  return make("time", { dateTime: iso, title }, `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`);
}

// A duration in its largest unit.
export function lasting(seconds) {
  if (seconds === null || seconds === undefined) return "";
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const at = Math.max(0, units.findIndex(([, size]) => seconds >= size));
  const [word, size] = seconds < 1 ? units[3] : units[at];
  return `${Math.floor(seconds / size)} ${word}`;
}

export const perSecond = (rate) => (rate < 10 ? rate.toFixed(1) : String(Math.round(rate)));

export function verdict(word) {
  return make("span", { className: word }, word);
}

// An address with the name that it was resolved from, or a name with its addresses.
function addressed(endpoint) {
  const from = endpoint.alias && endpoint.alias !== endpoint.endpoint ? ` from ${endpoint.alias}` : "";
  const to = endpoint.addresses.length ? ` = ${endpoint.addresses.join(", ")}` : "";
  return endpoint.endpoint + from + to + (endpoint.leased ? " (leased)" : "");
}

// `connect 0.3, TLS 2.1, first byte 3.0, body 3.1, total 3.1 ms`
function probed(probe) {
  if (!probe) return "";
  const phases = [
    ["connect", probe.connect], ["TLS", probe.tls], ["first byte", probe.first_byte], ["body", probe.body], ["total", probe.total],
  ];
  const reached = phases.filter(([, time]) => time !== null).map(([word, time]) => `${word} ${time}`);
  return `${reached.join(", ")} ms`;
}

function asides(endpoint) {
  const load = endpoint.load === null ? null : `load ${Math.round(endpoint.load * 100)} %`;
  const days = endpoint.certificate_days;
  return [endpoint.unresolved, load, days === null ? null : `certificate expires in ${days} days`];
}

// The age of the state. Its tooltip has the time of the last change.
function since(endpoint) {
  if (endpoint.since === null) return "";
  const { dateTime, title, textContent } = moment(endpoint.since * 1000);
  return make("time", { dateTime, title: `since ${textContent} (${title})` }, lasting(endpoint.seconds));
}

// Every endpoint of a service. The weight is shown where it has an effect.
export function endpoints(service, rules) {
  const weight = (region, endpoint) => {
    const listed = rules?.regions.find((rule) => rule.region === region.region)?.endpoints ?? [];
    return listed.some((rule) => rule.endpoint === endpoint.endpoint && rule.weight_counts) ? String(endpoint.weight) : "";
  };
  const heads = ["Region", "Endpoint", "Health", "For", "Weight", "Share", "Last probe", "Reason"];
  const rows = service.health.flatMap((region) =>
    region.endpoints.map((endpoint) => [
      region.region,
      addressed(endpoint),
      verdict(endpoint.verdict),
      since(endpoint),
      weight(region, endpoint),
      `${region.share_percent.toFixed(0)} %`,
      probed(endpoint.probe),
      [endpoint.order ?? region.order, endpoint.not_probed, endpoint.reason, ...asides(endpoint)].filter(Boolean).join("; "),
    ]),
  );
  const isShown = (at) => heads[at] === "Region" || rows.some((row) => row[at] !== "");
  const kept = (row) => row.filter((_, at) => isShown(at));
  return table(`Endpoints of ${service.name}`, kept(heads), rows.map(kept));
}

// The legend of the map.
export function legend(regions) {
  const item = (text, kind, colour) => {
    const swatch = make("span", { className: `swatch ${kind}` });
    swatch.style.background = colour;
    return make("li", {}, swatch, text);
  };
  const served = regions.map(({ region }) => item(region, "", colourOf(region)));
  return [...served, item("no region: excluded by a fence, or all down", "unserved", ""), item("no known address", "blank", "")];
}

export function orders(list, lift) {
  if (list.length === 0) return make("p", { className: "faint" }, "No overrides are in force.");
  const words = { drain: "drained", "force-up": "forced up", "force-down": "forced down" };
  const rows = list.map((order) => {
    const subject = [order.service, order.region, order.endpoint].filter(Boolean).join(" ");
    const to = order.to ? ` to ${order.to}` : "";
    const terms = { weight: `weight ${order.weight}`, shift: `${order.percent}% shifted${to}` };
    const underway = order.milliseconds_to_go > 0 ? `, ${order.moved_percent}% by now` : "";
    const here = order.scope === "here-only" ? " on this server only" : "";
    const what = (terms[order.action] ?? words[order.action]) + underway + here;
    const button = make("button", { type: "button" }, "Remove");
    button.setAttribute("aria-label", `Remove: ${subject} ${what}`);
    button.addEventListener("click", () => lift(order));
    const left = order.until ? ["until ", moment(order.until * 1000), ` (${lasting(order.seconds_left)} left)`] : ["until removed"];
    const holds = make("span", {}, "since ", moment(order.since * 1000), ", ", ...left);
    return [subject, what, order.reason, order.by, holds, button];
  });
  return table("Overrides in force", ["Subject", "Override", "Reason", "By", "In force", ""], rows);
}

const MOST_ZONES = 50;

// Zones with what is known of their signatures: those that need attention first.
export function zones(list) {
  const urgency = ({ signed }) => (signed ? (signed.roll ? -1 : 0) + Math.min(signed.days_left, 3) : 9);
  const sorted = [...list].sort((one, other) => urgency(one) - urgency(other));
  const rows = sorted.slice(0, MOST_ZONES).map(({ name, serial, signed }) => [name, String(serial), ...signatures(signed)]);
  const more = list.length - MOST_ZONES;
  const rest = more > 0 ? make("p", { className: "faint" }, `and ${more} more zones`) : null;
  return [table("Zones and their signatures", ["Zone", "Serial", "Signed", "Roll of keys"], rows), rest].filter(Boolean);
}

function signatures(signed) {
  if (!signed) return ["no", ""];
  const { days_left: days, in_file: inFile, roll } = signed;
  const left = days < 0 ? "signatures have expired" : `${days} day${days === 1 ? "" : "s"} left`;
  const word = (inFile ? "in its file, " : "") + left;
  return [days < 3 ? make("strong", { className: "bad" }, word) : word, roll ?? ""];
}

export function explanation(facts) {
  const kilometres = (it) => (it === null || it === undefined ? "" : `${Math.round(it)}\u00a0km`);
  const parts = [make("p", { className: "answer" }, make("strong", {}, facts.summary))];
  const place = facts.client.place;
  const known = [place.country_name ?? place.country, place.subdivision, place.asn && `AS${place.asn}`, place.source];
  parts.push(make("p", { className: "faint" }, `${facts.client.looked_up}: ${known.filter(Boolean).join(", ") || "unknown location"}`));
  if (facts.service) {
    const { fence, candidates } = facts.service;
    if (fence) {
      const kept = fence.regions.length ? `only ${fence.regions.join(", ")}` : "no region";
      parts.push(make("p", {}, `Fence ${fence.list ?? fence.number} applies to this client (${fence.clients}): ${kept}.`));
    }
    const rows = candidates.map((one) => [
      (one.serves ? "▶ " : "") + one.region,
      kilometres(one.distance_km),
      one.bias ? kilometres(one.biased_km) : "",
      one.tier === null ? "" : String(one.tier),
      `${one.share_percent.toFixed(0)}\u00a0%`,
      one.reason,
    ]);
    const heads = ["Region", "Distance", "With bias", "Tier", "Share", "Reason"];
    const biased = rows.some((row) => row[2] !== "");
    const kept = (row) => row.filter((_, at) => at !== 2 || biased);
    parts.push(make("div", { className: "scroll" }, table("Candidates", kept(heads), rows.map(kept))));
  }
  const records = facts.records.map((record) => make("li", {}, `${record.type} ${record.data} (TTL ${record.ttl} s)`));
  if (records.length) parts.push(make("ul", {}, ...records));
  if (facts.notes.length) parts.push(make("ul", { className: "faint" }, ...facts.notes.map((note) => make("li", {}, note))));
  return parts;
}
