// The console: shows what the admin API of this server reports, and sends the changes that the operator applies.

import { read, written } from "./address.js";
import { colourRegions } from "./colours.js";
import { fleetParts } from "./fleet.js";
import { WorldMap } from "./map.js";
import { apply, lift } from "./orders.js";
import { decides } from "./rules.js";
import { ServiceList } from "./services.js";
import { Shares } from "./shares.js";
import { $, current, get, isChange, isOrder, ruleOf, state } from "./state.js";
import { endpoints, lasting, legend, make, moment, orders, perSecond, zones } from "./tables.js";
import { Why } from "./why.js";

// Times are in milliseconds.
const EVERY = 2000; // Between two requests for the status.
const LIST_EVERY = 10000; // Between two requests for the list of services, even without an event.
const SHARES_AGE = 15000; // Shares are requested again after this, even without an event.
const STALE = 6000; // Without an answer for this long, the data counts as old.
const AFTER_EVENTS = 150; // Events within this time cause one update.
const MOST_EVENTS = 200;

const why = new Why((explained) => map?.showDecision(explained));
const shares = new Shares((wait) => {
  link(wait === 0);
  foresee(wait);
  why.refresh();
});
const list = new ServiceList(choose);
let map;

// ---- Status --------------------------------------------------------------------------------------------------------

// The status has the service that is shown and no other, so that thousands of them cost nothing here.
async function look() {
  const { service } = state;
  try {
    const wanted = service === null ? { limit: 1 } : { service };
    const status = await get(`/v1/status?${new URLSearchParams(wanted)}`);
    if (service !== state.service) return;
    showRate(state.status, status);
    state.status = status;
    colourRegions(status.regions);
    state.heard = Date.now();
    showStatus();
    refreshIfOther();
    await showFleet();
    if (service === null && status.services.length) await list.load().then(follow);
  } catch (error) {
    state.error = error.message;
    if (error.status === 404 && service !== null && service === state.service) await leave(service);
  }
  showLink();
}

// The service that is shown does not exist (any more): the first of the list is shown.
async function leave(gone) {
  await list.load();
  const first = list.first();
  $("notice").hidden = false;
  $("notice").textContent = `This server has no service ${gone}; showing ${first ?? "none"}.`;
  if (gone === first) return;
  Object.assign(state, { service: first, shares: null, rules: null, status: null });
  await show();
}

// Detects changes without an event: a region that takes more of its clients, or is full.
function refreshIfOther() {
  const endpoint = (it) => [it.up, it.verdict, it.order];
  const region = (it) => [it.share_percent, it.full, it.order, it.endpoints.map(endpoint)];
  const stands = JSON.stringify(state.status.services.map((service) => service.health.map(region)));
  if (stands !== state.stands) why.refresh();
  state.stands = stands;
}

function showLink() {
  const silent = Date.now() - state.heard;
  const live = state.heard > 0 && silent < STALE;
  const word = state.heard === 0 ? "no answer yet" : live ? "live" : `no answer for ${lasting(silent / 1000)}: data is old`;
  $("link").dataset.state = live ? "live" : "stale";
  if ($("link").textContent !== word) $("link").textContent = word;
  if (state.heard > 0 && !live) why.age();
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
  $("summary").textContent = status.summary;
  $("summary").classList.toggle("bad", status.services_uncovered > 0);
  $("credit").textContent = `meridian ${status.version}. ${status.geodata_credit}. Map: Natural Earth.`;
  showService();
  showOrders();
  showZones();
  showMap();
}

// Drawn only if something has changed, so that a selected text stays selected.
function showZones() {
  const list = JSON.stringify(state.status.zones);
  if (list === state.zones) return;
  state.zones = list;
  $("zones").replaceChildren(...zones(state.status.zones));
}

function showService() {
  const service = current();
  if (!service) return;
  $("health").replaceChildren(endpoints(service, state.rules));
  if (!state.rules) return;
  const drawn = JSON.stringify([state.rules, service.health.map((region) => region.endpoints.map((it) => it.verdict))]);
  if (drawn === state.decided) return;
  state.decided = drawn;
  $("rules").replaceChildren(...decides(state.rules, service));
}

// The list is drawn only if it has changed, so that its buttons keep the focus.
function showOrders() {
  const fixed = (key, value) => (["until", "seconds_left"].includes(key) ? undefined : value);
  const list = JSON.stringify(state.status.orders, fixed) + Math.floor(Date.now() / 60000);
  if (list === state.orders) return;
  state.orders = list;
  const remove = (order) => lift(order).then(look);
  $("orders").replaceChildren(orders(state.status.orders, remove));
}

async function showFleet() {
  $("fleet-section").hidden = !state.status.fleet;
  if (!state.status.fleet) return;
  const page = await get("/v1/fleet");
  $("fleet-title").textContent = `Fleet ${page.name}`;
  $("fleet").replaceChildren(...fleetParts(page));
}

// ---- The view and its link ----------------------------------------------------------------------------------------

// Writes the view into the address, as a new entry of the history or in place of the last one.
function link(isNew) {
  const hash = written(state);
  if (hash === location.hash) return;
  isNew ? history.pushState(null, "", hash) : history.replaceState(null, "", hash);
}

// Shows the view that the address names, as far as its names exist.
async function follow() {
  const wanted = read(location.hash);
  const known = (map) => new Map([...map].filter(([region]) => list.regions.includes(region)));
  const service = wanted.service ?? list.first();
  $("notice").hidden = true;
  if (service !== state.service) Object.assign(state, { service, shares: null, rules: null });
  state.down = new Set([...wanted.down].filter((region) => list.regions.includes(region)));
  Object.assign(state, { weights: known(wanted.weights), biases: known(wanted.biases), question: wanted.question });
  await show();
}

// Shows the service and the what-if of the state.
async function show() {
  const { service } = state;
  await look();
  if (service !== state.service) return;
  list.choose(service);
  if (!state.question) $("name").value = nameToAsk();
  link(false);
  why.show();
  askRules();
  foresee();
}

const nameToAsk = () => state.service?.replace("*", "any") ?? "";

async function choose(name) {
  Object.assign(state, { service: name, shares: null, rules: null });
  list.choose(name);
  $("name").value = nameToAsk();
  $("notice").hidden = true;
  if (state.question) state.question = { ...state.question, name: nameToAsk() };
  // The entry of the history is made before anything is asked, so that no answer changes the one before.
  dropChanges();
  link(true);
  askRules();
  await look();
  if (name !== state.service) return;
  foresee();
  why.show();
}

function back() {
  dropChanges();
  link(true);
  foresee();
  why.show();
}

function dropChanges() {
  state.down.clear();
  state.weights.clear();
  state.biases.clear();
}

// ---- Shares and what-if -------------------------------------------------------------------------------------------

let timer;
function foresee(wait = 0) {
  clearTimeout(timer);
  timer = setTimeout(askShares, wait);
}

let lastShares = 0;
async function askShares() {
  if (!current()) return;
  const number = ++lastShares;
  const query = new URLSearchParams({ name: state.service });
  state.down.forEach((region) => query.append("down", region));
  state.weights.forEach((weight, region) => query.append("weight", `${region}=${weight}`));
  state.biases.forEach((bias, region) => query.append("bias", `${region}=${bias}`));
  if (!current()?.health.some((region) => region.endpoints.some((endpoint) => !endpoint.endpoint.includes(":")))) {
    query.set("type", "AAAA");
  }
  try {
    const answer = await get(`/v1/shares?${query}`);
    if (number !== lastShares) return;
    Object.assign(state, { shares: answer, sharesAt: Date.now() });
    showShares();
  } catch (error) {
    if (number === lastShares) $("forecast").textContent = error.message;
  }
}

async function askRules() {
  const service = state.service;
  if (!service) return;
  try {
    const answer = await get(`/v1/status?${new URLSearchParams({ service, rules: true, endpoints: "none" })}`);
    if (service !== state.service) return;
    state.rules = answer.services[0]?.rules ?? null;
  } catch (error) {
    $("rules").replaceChildren(make("p", { className: "bad" }, error.message));
    return;
  }
  // A link may have a weight that has no effect; it is dropped.
  const idle = [...state.weights.keys()].filter((region) => !ruleOf(region)?.weight_counts);
  idle.forEach((region) => state.weights.delete(region));
  if (idle.length) {
    link(false);
    foresee();
  }
  showService();
  if (state.shares) showShares();
}

function showShares() {
  const answer = state.shares;
  $("forecast").textContent = answer.summary;
  shares.show(answer);
  const { distance } = answer;
  const way = (before, after) =>
    before === null ? "unknown" : isChange() && after !== before ? `${before} km, then ${after} km` : `${before} km`;
  $("distance").textContent =
    `Distance to the serving region: mean ${way(distance.before_mean_km, distance.after_mean_km)}; ` +
    `95 % of clients within ${way(distance.before_p95_km, distance.after_p95_km)}.`;
  const million = (count) => (count < 1e5 ? String(count) : `${(count / 1e6).toFixed(1)} million`);
  $("movers").replaceChildren(
    ...answer.movers.slice(0, 5).map((mover) =>
      make("li", {}, `${mover.name ?? mover.country}: ${million(mover.addresses)} addresses, ${mover.from ?? "no region"} → ${mover.to ?? "no region"}`),
    ),
  );
  $("reset").disabled = !isChange();
  $("make").disabled = !isOrder();
  $("legend").replaceChildren(...legend(answer.regions));
  showMap();
}

function showMap() {
  const health = new Map((current()?.health ?? []).map((region) => [region.region, region.state]));
  const rates = shares.showRates();
  shares.showHealth(health);
  if (!map || !state.shares) return;
  const drawn = JSON.stringify([[...health], [...rates], [...state.down]]) + state.sharesAt;
  if (drawn === state.drawn) return;
  state.drawn = drawn;
  map.show(state.shares, isChange() ? "after" : "before", health, rates, state.down);
  $("map").dataset.ready = "yes";
}

async function order(event) {
  event.preventDefault();
  if (await apply()) back();
  look();
}

function askByHand(event) {
  event?.preventDefault();
  if (!why.read()) return;
  link(true);
  why.ask(true);
}

function askAt(place) {
  if (!place) return;
  $("client").value = place.example;
  askByHand();
}

// ---- Events -------------------------------------------------------------------------------------------------------

let source;
let last = 0;

// Events come in groups, so one update covers all events of a short time.
let update;
function updateSoon() {
  update ??= setTimeout(() => {
    update = undefined;
    look();
    list.load();
    askRules();
    foresee();
    why.refresh();
  }, AFTER_EVENTS);
}

function watch() {
  source = new EventSource(`/v1/events?after=${last}`);
  const heard = (message) => {
    const event = JSON.parse(message.data);
    last = event.number;
    addEvent(event);
    updateSoon();
  };
  for (const topic of ["health", "coverage", "order", "lease", "name", "reload"]) source.addEventListener(topic, heard);
  // The browser reconnects by itself with the last number, unless the server refused it.
  const own = source;
  source.addEventListener("error", () => {
    if (own.readyState === EventSource.CLOSED) setTimeout(() => own === source && watch(), 3000);
  });
}

// A page that the browser keeps for its history would also keep its connection, and these are limited.
function rest() {
  source?.close();
  source = undefined;
}

function addEvent(event) {
  const cause = event.cause ? make("span", { className: "faint" }, ` ${event.cause}`) : null;
  const much = event.moved_per_second;
  const moved = much ? make("span", { className: "moved" }, ` ${perSecond(much)} answers/s moved to other regions`) : null;
  const item = make("li", {}, moment(event.at), event.sentence, cause, moved);
  item.dataset.number = event.number;
  $("events").prepend(item);
  while ($("events").children.length > MOST_EVENTS) $("events").lastChild.remove();
}

// ---- Start --------------------------------------------------------------------------------------------------------

async function start() {
  $("reset").addEventListener("click", back);
  $("apply").addEventListener("submit", order);
  $("ask").addEventListener("submit", askByHand);
  const world = get("/console/world.json");
  await list.load();
  await follow();
  map = new WorldMap($("map"), await world, askAt);
  showMap();
  if (state.question) why.ask(true);
  watch();
  addEventListener("pagehide", rest);
  addEventListener("pageshow", (event) => event.persisted && watch());
  addEventListener("popstate", () => state.status && follow());
  document.addEventListener("visibilitychange", () => document.hidden || look().then(() => why.refresh()));
  setInterval(look, EVERY);
  setInterval(() => document.hidden || list.load(), LIST_EVERY);
  setInterval(showLink, 1000);
  setInterval(() => Date.now() - (state.sharesAt ?? 0) > SHARES_AGE && !document.hidden && foresee(), 1000);
}

start();
