// The map: countries, places and regions, each in the colour of the region that serves it.

import { colourOf } from "./colours.js";

const SVG = "http://www.w3.org/2000/svg";
// Units of the drawing in a tenth of a degree. The map reaches from 84 degrees north to 58 degrees south.
const SCALE = 0.4;
const TOP = 840;

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent?.append(made);
  return made;
}

const place = (longitude, latitude) => [(longitude * 10 + 1800) * SCALE, (TOP - latitude * 10) * SCALE];

function outline(rings) {
  let path = "";
  for (const ring of rings) {
    let [x, y] = [0, 0];
    for (let at = 0; at < ring.length; at += 2) {
      x += ring[at];
      y += ring[at + 1];
      const [left, top] = place(x / 10, y / 10);
      path += `${at ? "L" : "M"}${left.toFixed(1)} ${top.toFixed(1)}`;
    }
    path += "Z";
  }
  return path;
}

const radians = (degrees) => (degrees * Math.PI) / 180;

function onGlobe({ longitude, latitude }) {
  const [around, up] = [radians(longitude), radians(latitude)];
  return [Math.cos(up) * Math.cos(around), Math.cos(up) * Math.sin(around), Math.sin(up)];
}

// The great circle between two places, cut where it crosses the edge of the map.
function greatCircle(from, to) {
  const [start, end] = [onGlobe(from), onGlobe(to)];
  const angle = Math.acos(Math.min(1, Math.max(-1, start.reduce((sum, part, axis) => sum + part * end[axis], 0))));
  const steps = Math.max(1, Math.ceil(angle * 30));
  let [path, last] = ["", NaN];
  for (let step = 0; step <= steps; step++) {
    const [left, done] = [Math.sin(angle * (1 - step / steps)), Math.sin((angle * step) / steps)];
    const [x, y, z] = start.map((part, axis) => left * part + done * end[axis]);
    const longitude = (Math.atan2(y, x) * 180) / Math.PI;
    const latitude = (Math.atan2(z, Math.hypot(x, y)) * 180) / Math.PI;
    const at = place(longitude, latitude).map((it) => it.toFixed(1)).join(" ");
    path += (Math.abs(longitude - last) < 180 ? "L" : "M") + at;
    last = longitude;
  }
  return path;
}

const greatest = (parts) => Object.entries(parts).sort((a, b) => b[1] - a[1])[0]?.[0];

export class WorldMap {
  constructor(svg, world, onPlace) {
    this.svg = svg;
    this.countries = new Map();
    const countries = element("g", {}, svg);
    for (const [code, rings] of Object.entries(world)) {
      const path = element("path", { class: "country", d: outline(rings), "data-country": code }, countries);
      path.append(element("title", {}));
      this.countries.set(code, path);
    }
    this.cells = element("g", {}, svg);
    this.decision = element("g", { class: "decision" }, svg);
    this.markers = element("g", {}, svg);
    svg.addEventListener("click", (event) => onPlace(this.nearest(event)));
  }

  // Colours the map by the shares of `side` ("before" or "after") and sets the markers. `off` has the regions that the
  // what-if switches off.
  show(shares, side, health, rates, off) {
    this.shares = shares;
    const parts = new Map(shares.countries.map((country) => [country.country, country]));
    for (const [code, path] of this.countries) {
      const country = parts.get(code);
      const main = country && greatest(country[side]);
      main ? path.setAttribute("fill", colourOf(main)) : path.removeAttribute("fill");
      path.classList.toggle("unserved", Boolean(country) && !main);
      path.style.fill = main ? colourOf(main) : "";
      path.dataset.region = main ?? "";
      const list = country ? Object.entries(country[side]).sort((a, b) => b[1] - a[1]).slice(0, 4) : [];
      path.firstChild.textContent =
        `${country?.name ?? code}: ${list.map(([name, part]) => `${name} ${part.toFixed(1)} %`).join(", ") || (country ? "no region" : "unknown")}`;
    }
    this.drawCells(shares, side);
    this.drawMarkers(shares, side, health, rates, off);
    this.showDecision(this.explained);
  }

  drawCells(shares, side) {
    const made = document.createElementNS(SVG, "g");
    for (const cell of shares.cells) {
      const kind = cell[side] ? "cell" : "cell unserved";
      const [cx, cy] = place(cell.longitude + 0.5, cell.latitude + 0.5);
      const r = Math.min(8.5, Math.max(3, Math.log10(cell.addresses))) * 0.7 - 1.2;
      element("circle", { class: kind, cx, cy, r: r.toFixed(1), fill: colourOf(cell[side]) }, made);
    }
    this.cells.replaceChildren(made);
  }

  drawMarkers(shares, side, health, rates, off) {
    this.markers.replaceChildren();
    for (const region of shares.regions) {
      if (region.latitude === null || region.longitude === null) continue;
      const [cx, cy] = place(region.longitude, region.latitude);
      const isOff = side === "after" && off.has(region.region);
      const state = isOff ? "switched off in this what-if" : health.get(region.region) ?? "unknown";
      const fill = colourOf(region.region);
      const part = region[`${side}_percent`].toFixed(1);
      const marker = element(
        "circle", { class: "marker", cx, cy, r: 10, fill, "data-health": isOff ? "off" : state, "data-region": region.region }, this.markers,
      );
      element("title", {}, marker).textContent =
        `${region.region}: ${state}, ${part} %, ${rates.get(region.region) ?? 0} answers/s`;
      if (isOff || state === "down") {
        element("path", { class: "cross", d: `M${cx - 7} ${cy - 7}l14 14m0 -14l-14 14` }, this.markers);
      }
      const right = cx < 1250;
      const at = { x: right ? cx + 14 : cx - 14, y: cy + 7, "text-anchor": right ? "start" : "end" };
      element("text", at, this.markers).textContent = `${region.region} ${part}%`;
    }
  }

  // The known place nearest to a click, if there is one close by.
  nearest(event) {
    if (!this.shares) return undefined;
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(this.svg.getScreenCTM().inverse());
    let best;
    for (const cell of this.shares.cells) {
      const [x, y] = place(cell.longitude + 0.5, cell.latitude + 0.5);
      const distance = Math.hypot(x - point.x, y - point.y);
      if (distance < 150 && (!best || distance < best.distance)) best = { cell, distance };
    }
    return best?.cell;
  }

  // Draws a client, and lines to all candidates. The line to the serving region is drawn last, above the others.
  showDecision(explained) {
    this.explained = explained;
    this.decision.replaceChildren();
    const client = explained?.client.place;
    if (!this.shares || !client || client.latitude === null) return;
    const regions = new Map(this.shares.regions.map((region) => [region.region, region]));
    const candidates = [...(explained.service?.candidates ?? [])].sort((a, b) => a.serves - b.serves);
    for (const one of candidates) {
      const region = regions.get(one.region);
      if (!region || region.latitude === null) continue;
      const kind = one.serves ? "serves" : one.share_percent === 0 || one.tier === null ? "out" : "";
      const d = greatCircle(client, region);
      const way = element("path", { class: `way ${kind}`, d, "data-region": one.region }, this.decision);
      element("title", {}, way).textContent = `${one.region}: ${Math.round(one.distance_km)} km, ${one.reason}`;
    }
    const [cx, cy] = place(client.longitude, client.latitude);
    element("circle", { class: "client", cx, cy, r: 9 }, this.decision);
  }
}
