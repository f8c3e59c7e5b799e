// The console: asks the admin API of this server, shows what it says, and gives orders when it is told to.

import { colourOf, colourRegions } from "./colours.js";
import { WorldMap } from "./map.js";
import { endpoints, explanation, lasting, legend, make, orders, perSecond, regionState } from "./tables.js";

const EVERY = 2000; // Milliseconds between looks at the status.
const SHARES_AGE = 15000; // Shares are asked for anew after this, even if nothing was told.
const STALE = 6000;
const MOST_EVENTS = 200;

const $ = (id) => document.getElementById(id);
const state = { status: null, shares: null, service: null, down: new Set(), weights: new Map(), biases: new Map(), heard: 0, asked: 0 };
let map;

async function get(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(15000) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error ?? `${path}: ${answer.status}`);
  return body;
}

// ---- What is, now -------------------------------------------------------------------------------------------------

async function look() {
  try {
    const status = await get("/v1/status");
    showRate(state.status, status);
    state.status = status;
    colourRegions(status.regions);
    state.heard = Date.now();
    showStatus();
  } catch (error) {
    state.error = error.message;
  }
  showLink();
}

function showLink() {
  const silent = Date.now() - state.heard;
  const live = state.heard > 0 && silent < STALE;
  const word = state.heard === 0 ? "no answer yet" : live ? "live" : `no answer for ${lasting(silent / 1000)}: this is old`;
  $("link").dataset.state = live ? "live" : "stale";
  if ($("link").textContent !== word) $("link").textContent = word;
}

function showRate(before, now) {
  const sum = (status) => Object.values(status.queries).reduce((a, b) => a + b, 0);
  const elapsed = (Date.now() - state.heard) / 1000;
  if (before && elapsed > 0.5 && sum(now) >= sum(before)) {
    const rate = (sum(now) - sum(before)) / elapsed;
    $("rate").textContent = `${perSecond(rate)} queries/s`;
  }
}

function showStatus() {
  const { status } = state;
  const names = status.services.map((service) => service.name);
  const select = $("service");
  if ([...select.options].map((option) => option.value).join() !== names.join()) {
    select.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    if (!names.includes(state.service)) choose(names[0]);
    select.value = state.service ?? "";
  }
  $("summary").textContent = status.summary;
  const isCovered = (it) => it.unplaced + it.addresses.dead_percent + it.addresses.none_percent === 0;
  $("summary").classList.toggle("bad", !status.services.every((service) => service.coverage.every(isCovered)));
  $("credit").textContent = `meridian ${status.version}. ${status.geodata_credit}. Map: Natural Earth.`;
  const service = current();
  if (service) $("health").replaceChildren(endpoints(service));
  showOrders();
  showMap();
}

// An open list must not lose the focus of a button every two seconds.
function showOrders() {
  const lasting = (key, value) => (["until", "seconds_left"].includes(key) ? undefined : value);
  const list = JSON.stringify(state.status.orders, lasting) + Math.floor(Date.now() / 60000);
  if (list === state.orders) return;
  state.orders = list;
  $("orders").replaceChildren(orders(state.status.orders, lift));
}

const current = () => state.status?.services.find((service) => service.name === state.service);

function healthOfRegions() {
  return new Map((current()?.health ?? []).map((region) => [region.region, regionState(region)]));
}

function choose(name) {
  state.service = name;
  state.shares = null;
  $("name").value = name?.replace("*", "any") ?? "";
  back();
}

// ---- Who goes where, and what if ----------------------------------------------------------------------------------

const isChange = () => state.down.size + state.weights.size + state.biases.size > 0;
const isOrder = () => state.down.size + state.weights.size > 0;

let timer;
function foresee(wait = 0) {
  clearTimeout(timer);
  timer = setTimeout(askShares, wait);
}

async function askShares() {
  if (!state.service) return;
  const number = ++state.asked;
  const query = new URLSearchParams({ name: state.service });
  state.down.forEach((region) => query.append("down", region));
  state.weights.forEach((weight, region) => query.append("weight", `${region}=${weight}`));
  state.biases.forEach((bias, region) => query.append("bias", `${region}=${bias}`));
  if (!current()?.health.some((region) => region.endpoints.some((endpoint) => !endpoint.endpoint.includes(":")))) {
    query.set("type", "AAAA");
  }
  try {
    const shares = await get(`/v1/shares?${query}`);
    if (number !== state.asked) return;
    Object.assign(state, { shares, sharesAt: Date.now() });
    showShares();
  } catch (error) {
    if (number === state.asked) $("forecast").textContent = error.message;
  }
}

function showShares() {
  const { shares } = state;
  $("forecast").textContent = shares.summary;
  const body = $("shares").tBodies[0];
  const known = [...body.rows].map((row) => row.dataset.region).join();
  if (known !== shares.regions.map((region) => region.region).join()) {
    body.replaceChildren(...shares.regions.map(shareRow));
  }
  shares.regions.forEach((region, index) => fillRow(body.rows[index], region));
  const { distance } = shares;
  const way = (before, after) =>
    before === null ? "unknown" : isChange() && after !== before ? `${before} km, then ${after} km` : `${before} km`;
  $("distance").textContent =
    `Distance to what serves: mean ${way(distance.before_mean_km, distance.after_mean_km)}; ` +
    `95 of 100 within ${way(distance.before_p95_km, distance.after_p95_km)}.`;
  const million = (count) => (count < 1e5 ? String(count) : `${(count / 1e6).toFixed(1)} million`);
  $("movers").replaceChildren(
    ...shares.movers.slice(0, 5).map((mover) =>
      make("li", {}, `${mover.name ?? mover.country}: ${million(mover.addresses)} addresses, ${mover.from ?? "nobody"} → ${mover.to ?? "nobody"}`),
    ),
  );
  $("reset").disabled = !isChange();
  $("make").disabled = !isOrder();
  $("legend").replaceChildren(...legend(shares.regions));
  showMap();
}

function shareRow(region) {
  const name = region.region;
  const swatch = make("span", { className: "swatch" });
  swatch.style.background = colourOf(name);
  const off = make("input", { type: "checkbox", className: "off" });
  off.setAttribute("aria-label", `Switch ${name} off`);
  off.addEventListener("change", () => {
    off.checked ? state.down.add(name) : state.down.delete(name);
    foresee();
  });
  const row = make(
    "tr", {}, make("th", { scope: "row" }, swatch, name), make("td", { className: "state" }),
    make("td", { className: "number now" }), make("td", { className: "number then" }),
    make("td", { className: "number rate" }), make("td", { className: "number asked" }), make("td", {}, off),
    make(
      "td", {}, ...slider("weight", "Weight", name, state.weights, [0, 400, 5], [0, 1000000]), make("br"),
      ...slider("bias", "Bias", name, state.biases, [-99, 99, 1], [-99, 99]),
    ),
  );
  row.dataset.region = name;
  return row;
}

// A slider and a number for the same value of a region; what is as it is now is no change.
function slider(kind, word, region, changes, [min, max, step], [least, most]) {
  const range = make("input", { type: "range", min, max, step, className: `slide ${kind}-slide` });
  range.setAttribute("aria-label", `${word} of ${region}`);
  const number = make("input", { type: "number", min: least, max: most, className: kind });
  number.setAttribute("aria-label", `${word} of ${region}, as a number`);
  const set = (value) => {
    const asked = Math.round(Number(value));
    if (value === "" || !(asked >= least && asked <= most)) return;
    [range.value, number.value] = [asked, asked];
    asked === Number(number.dataset.now) ? changes.delete(region) : changes.set(region, asked);
    foresee(120);
  };
  range.addEventListener("input", () => set(range.value));
  number.addEventListener("change", () => set(number.value));
  return [range, " ", number];
}

function fillSlider(row, kind, changes, region, now) {
  if (changes.has(region)) return;
  const number = row.querySelector(`.${kind}`);
  number.dataset.now = now;
  if (document.activeElement !== number) number.value = now;
  row.querySelector(`.${kind}-slide`).value = now;
}

function fillRow(row, region) {
  const [then, now] = [region.after_percent, region.before_percent];
  row.querySelector(".now").textContent = `${now.toFixed(1)} %`;
  const cell = row.querySelector(".then");
  cell.textContent = isChange() ? `${then.toFixed(1)} %` : "";
  cell.classList.toggle("more", isChange() && Math.abs(then - now) >= 0.05);
  row.querySelector(".off").checked = state.down.has(region.region);
  fillSlider(row, "weight", state.weights, region.region, region.weight);
  fillSlider(row, "bias", state.biases, region.region, region.bias);
}

// What is really asked for, beside what the map foresees.
function showRates() {
  const regions = new Map((current()?.health ?? []).map((region) => [region.region, region.answers_per_second]));
  const all = [...regions.values()].reduce((a, b) => a + b, 0);
  for (const row of $("shares").tBodies[0].rows) {
    const rate = regions.get(row.dataset.region) ?? 0;
    row.querySelector(".rate").textContent = perSecond(rate);
    row.querySelector(".asked").textContent = all > 0 ? `${((100 * rate) / all).toFixed(1)} %` : "–";
  }
  return regions;
}

function showMap() {
  const health = healthOfRegions();
  const rates = showRates();
  for (const row of $("shares").tBodies[0].rows) {
    const cell = row.querySelector(".state");
    const isOff = state.down.has(row.dataset.region);
    const word = isOff ? "switched off in this what-if" : health.get(row.dataset.region) ?? "unknown";
    if (cell.textContent !== word) cell.replaceChildren(make("span", { className: isOff ? "off-state" : word }, word));
  }
  if (!map || !state.shares) return;
  const drawn = JSON.stringify([[...health], [...rates], [...state.down]]) + state.sharesAt;
  if (drawn === state.drawn) return;
  state.drawn = drawn;
  map.show(state.shares, isChange() ? "after" : "before", health, rates, state.down);
  $("map").dataset.ready = "yes";
}

function back() {
  state.down.clear();
  state.weights.clear();
  state.biases.clear();
  foresee();
}

// ---- Orders -------------------------------------------------------------------------------------------------------

async function change(method, parts, body) {
  const head = { "Content-Type": "application/json" };
  if ($("token").value) head.Authorization = `Bearer ${$("token").value}`;
  const path = ["", "v1", ...parts.map(encodeURIComponent)].join("/");
  const answer = await fetch(path, { method, headers: head, body: JSON.stringify(body) });
  const said = await answer.json();
  // Such as a drain that leaves clients without a live region: done only if that is meant.
  if (said.confirm && !body[said.confirm] && confirm(`${said.error}\n\nDo it all the same?`)) {
    return change(method, parts, { ...body, [said.confirm]: true });
  }
  if (!answer.ok) throw new Error(said.error ?? `${answer.status}`);
  return said.sentence;
}

function say(sentences, bad) {
  $("applied").textContent = sentences.join("; ");
  $("applied").classList.toggle("bad", bad);
}

async function apply(event) {
  event.preventDefault();
  const body = { reason: $("reason").value, by: $("by").value };
  if ($("lasting").value) body.for = $("lasting").value;
  const said = [];
  try {
    for (const region of state.down) {
      const subject = $("everywhere").checked ? ["regions", region] : ["services", state.service, "regions", region];
      said.push(await change("PUT", [...subject, "drain"], body));
    }
    for (const [region, weight] of state.weights) {
      said.push(await change("PUT", ["regions", region, "weight"], { ...body, weight }));
    }
    say(said, false);
    back();
  } catch (error) {
    say([...said, error.message], true);
  }
  look();
}

async function lift(order) {
  const kind = order.action.startsWith("force") ? "force" : order.action;
  const { service, region, endpoint } = order;
  const subject = endpoint
    ? ["services", service, "endpoints", region, endpoint]
    : service
      ? ["services", service, ...(region ? ["regions", region] : [])]
      : ["regions", region];
  try {
    say([await change("DELETE", [...subject, kind], { by: $("by").value })], false);
  } catch (error) {
    say([error.message], true);
  }
  look();
}

// ---- Why ----------------------------------------------------------------------------------------------------------

async function explain(event) {
  event?.preventDefault();
  const query = new URLSearchParams({ name: $("name").value, client: $("client").value, type: $("type").value });
  state.down.forEach((region) => query.append("down", region));
  try {
    const explained = await get(`/v1/explain?${query}`);
    $("why").replaceChildren(...explanation(explained));
    map?.showDecision(explained);
  } catch (error) {
    $("why").replaceChildren(make("p", { className: "bad" }, error.message));
    map?.showDecision(null);
  }
}

function askAt(cell) {
  if (!cell) return;
  $("client").value = cell.example;
  explain();
}

// ---- What happens -------------------------------------------------------------------------------------------------

function watch(after) {
  const source = new EventSource(`/v1/events?after=${after}`);
  let last = after;
  const heard = (message) => {
    const event = JSON.parse(message.data);
    last = event.number;
    tell(event);
    look();
    foresee(200);
  };
  for (const topic of ["health", "coverage", "order", "lease", "name", "reload"]) source.addEventListener(topic, heard);
  // The browser comes again by itself with the last number, unless the server refused it.
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) setTimeout(() => watch(last), 3000);
  });
}

function tell(event) {
  const at = new Date(event.at);
  const time = make("time", { dateTime: at.toISOString() }, at.toLocaleTimeString());
  const cause = event.cause ? make("span", { className: "faint" }, ` ${event.cause}`) : null;
  const much = event.moved_per_second;
  const moved = much ? make("span", { className: "moved" }, ` ${perSecond(much)} answers/s go elsewhere`) : null;
  const item = make("li", {}, time, event.sentence, cause, moved);
  item.dataset.number = event.number;
  $("events").prepend(item);
  while ($("events").children.length > MOST_EVENTS) $("events").lastChild.remove();
}

// ---- Start --------------------------------------------------------------------------------------------------------

async function start() {
  $("service").addEventListener("change", () => choose($("service").value));
  $("reset").addEventListener("click", back);
  $("apply").addEventListener("submit", apply);
  $("ask").addEventListener("submit", explain);
  const world = get("/console/world.json");
  await look();
  map = new WorldMap($("map"), await world, askAt);
  showMap();
  watch(0);
  setInterval(look, EVERY);
  setInterval(showLink, 1000);
  setInterval(() => Date.now() - (state.sharesAt ?? 0) > SHARES_AGE && !document.hidden && foresee(), 1000);
}

start();
