// The list of services: a page of it at a time, with filters that the server applies. With one page and no more, it is only
// the choice in the head of the page.

import { $, get, state } from "./state.js";
import { make, perSecond, table, verdict } from "./tables.js";

const ROWS = 25; // On one page.
const AFTER_KEYS = 250; // Milliseconds after the last key before the server is asked.
const MOST_REGIONS = 6; // In the row of a service.
const STATES = ["up", "unchecked", "degraded", "returning", "full", "drained", "down"];

const option = (value, word = value) => make("option", { value }, word);

// The regions that are not well, else how many there are.
function regionsOf(service) {
  const odd = service.health.filter(({ state }) => state !== "up" && state !== "unchecked");
  if (odd.length === 0) {
    const names = service.regions.slice(0, MOST_REGIONS).join(", ");
    const more = service.regions.length - MOST_REGIONS;
    return names + (more > 0 ? ` and ${more} more` : "");
  }
  const parts = odd.slice(0, MOST_REGIONS).flatMap((it) => [`${it.region} `, verdict(it.state), ", "]);
  const more = odd.length - MOST_REGIONS;
  return make("span", {}, ...parts.slice(0, -1), more > 0 ? ` and ${more} more` : "");
}

// Whether every client has a live region, as far as they are counted.
const isCovered = ({ unplaced, addresses }) => unplaced + addresses.dead_percent + addresses.none_percent === 0;

function healthOf(service) {
  if (!service.coverage.every(isCovered)) return verdict("down");
  if (!service.well) return verdict("degraded");
  return verdict(service.checked ? "up" : "unchecked");
}

export class ServiceList {
  // `chosen` is called with the name of a service that is to be shown.
  constructor(chosen) {
    this.chosen = chosen;
    this.page = null;
    this.ends = []; // The last service of each page before this one.
    this.requests = 0;
    this.regions = [];
    this.total = 0;
    $("service").addEventListener("change", () => chosen($("service").value));
    $("find").addEventListener("submit", (event) => event.preventDefault());
    $("find-name").addEventListener("input", () => this.searchSoon());
    for (const id of ["find-region", "find-state"]) $(id).addEventListener("change", () => this.search());
    $("services-on").addEventListener("click", () => this.turn([...this.ends, this.page.next]));
    $("services-back").addEventListener("click", () => this.turn(this.ends.slice(0, -1)));
    $("find-state").replaceChildren(option("", "any"), ...STATES.map((word) => option(word)));
  }

  // The first service of the page.
  first() {
    return this.page?.services[0]?.name ?? null;
  }

  isFiltered() {
    return ["find-name", "find-region", "find-state"].some((id) => $(id).value.trim() !== "");
  }

  searchSoon() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.search(), AFTER_KEYS);
  }

  search() {
    this.turn([]);
  }

  turn(ends) {
    this.ends = ends;
    this.load();
  }

  query() {
    const query = new URLSearchParams({ limit: ROWS, endpoints: "none" });
    for (const [key, id] of [["match", "find-name"], ["region", "find-region"], ["state", "find-state"]]) {
      if ($(id).value.trim()) query.set(key, $(id).value.trim());
    }
    if (this.ends.length) query.set("after", this.ends.at(-1));
    return query;
  }

  async load() {
    const number = ++this.requests;
    try {
      const page = await get(`/v1/status?${this.query()}`);
      if (number !== this.requests) return;
      this.page = page;
      this.regions = page.regions;
      if (!this.isFiltered()) this.total = page.services_matching;
      this.show();
    } catch (error) {
      if (number === this.requests) $("services-count").textContent = error.message;
    }
  }

  show() {
    const { services, services_matching: matching, services_troubled: troubled, next, regions } = this.page;
    $("services-section").hidden = this.total <= ROWS;
    if ($("find-region").options.length !== regions.length + 1) {
      $("find-region").replaceChildren(option("", "any"), ...regions.map((name) => option(name)));
    }
    const from = this.ends.length * ROWS;
    const shown = services.length ? `${from + 1} to ${from + services.length} of ${matching} services` : "No service";
    const all = this.isFiltered() ? ` (${this.total} in all)` : "";
    $("services-count").textContent = `${shown}${all}; ${troubled || "none"} with problems`;
    $("services-back").disabled = this.ends.length === 0;
    $("services-on").disabled = !next;
    this.showRows(services);
    this.choose(state.service);
  }

  // The rows are drawn only if something has changed, so that a button keeps the focus.
  showRows(services) {
    const rate = (service) => service.health.reduce((sum, region) => sum + region.answers_per_second, 0);
    const drawn = JSON.stringify(services.map((it) => [it.name, it.well, it.health.map((region) => region.state), rate(it)]));
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const rows = services.map((service) => {
      const button = make("button", { type: "button", className: "choice", title: "Show this service" }, service.name);
      button.addEventListener("click", () => this.chosen(service.name));
      return [button, healthOf(service), regionsOf(service), perSecond(rate(service))];
    });
    $("services").replaceChildren(table("Services", ["Service", "Health", "Regions", "Answers/s"], rows));
  }

  // Marks the service that is shown. The choice in the head has the services of the page, and this one.
  choose(name) {
    const names = (this.page?.services ?? []).map((service) => service.name);
    if (name !== null && !names.includes(name)) names.unshift(name);
    const select = $("service");
    if ([...select.options].map((it) => it.value).join() !== names.join()) select.replaceChildren(...names.map((it) => option(it)));
    select.value = name ?? "";
    for (const button of $("services").querySelectorAll(".choice")) {
      button.setAttribute("aria-pressed", String(button.textContent === name));
    }
  }
}
