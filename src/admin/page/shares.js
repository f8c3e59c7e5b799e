// The table of shares: the share of each region now and after the what-if, with its switches and sliders.

import { BIASES, WEIGHTS } from "./address.js";
import { colourOf } from "./colours.js";
import { $, current, isChange, ruleOf, state } from "./state.js";
import { make, perSecond } from "./tables.js";

const cell = (label, className) => make("td", { role: "cell", "data-label": label, className });

// A slider and a number field for the same value of a region. The present value counts as no change.
function slider(kind, word, region, changes, [min, max, step], [least, most], changed) {
  const range = make("input", { type: "range", min, max, step, className: `slide ${kind}-slide` });
  range.setAttribute("aria-label", `${word} of ${region}`);
  const number = make("input", { type: "number", min: least, max: most, className: kind });
  number.setAttribute("aria-label", `${word} of ${region}, as a number`);
  const set = (value) => {
    const wanted = Math.round(Number(value));
    if (value === "" || !(wanted >= least && wanted <= most)) return;
    [range.value, number.value] = [wanted, wanted];
    wanted === Number(number.dataset.now) ? changes().delete(region) : changes().set(region, wanted);
    changed(120);
  };
  range.addEventListener("input", () => set(range.value));
  number.addEventListener("change", () => set(number.value));
  return make("div", { className: `control ${kind}-control` }, make("span", { className: "word" }, word), range, number);
}

export class Shares {
  // `changed` is called for every change of the what-if, with the milliseconds that an update may wait.
  constructor(changed) {
    this.changed = changed;
    this.body = $("shares").tBodies[0];
  }

  show(shares) {
    const known = [...this.body.rows].map((row) => row.dataset.region).join();
    if (known !== shares.regions.map((region) => region.region).join()) {
      this.body.replaceChildren(...shares.regions.map((region) => this.row(region.region)));
    }
    shares.regions.forEach((region, index) => this.fill(this.body.rows[index], region));
  }

  row(name) {
    const swatch = make("span", { className: "swatch" });
    swatch.style.background = colourOf(name);
    const off = make("input", { type: "checkbox", className: "off" });
    off.setAttribute("aria-label", `Switch ${name} off`);
    off.addEventListener("change", () => {
      off.checked ? state.down.add(name) : state.down.delete(name);
      this.changed(0);
    });
    const changes = make("td", { role: "cell", className: "changes" });
    changes.append(
      slider("weight", "Weight", name, () => state.weights, [0, 400, 5], WEIGHTS, this.changed),
      slider("bias", "Bias", name, () => state.biases, [-99, 99, 1], BIASES, this.changed),
    );
    const switches = make("td", { role: "cell", className: "switch" }, make("label", {}, off, make("span", {}, "off")));
    const row = make(
      "tr", { role: "row" }, make("th", { scope: "row", role: "rowheader" }, swatch, name), cell("Health", "state"),
      cell("Now", "number now"), cell("Then", "number then"), cell("Answers/s", "number rate"),
      cell("Traffic", "number traffic"), switches, changes,
    );
    row.dataset.region = name;
    return row;
  }

  fill(row, region) {
    const [then, now] = [region.after_percent, region.before_percent];
    row.querySelector(".now").textContent = `${now.toFixed(1)} %`;
    const after = row.querySelector(".then");
    after.textContent = isChange() ? `${then.toFixed(1)} %` : "";
    after.classList.toggle("more", isChange() && Math.abs(then - now) >= 0.05);
    row.querySelector(".off").checked = state.down.has(region.region);
    const rule = ruleOf(region.region);
    this.fillSlider(row, "weight", state.weights, region, rule?.weight_counts ?? false);
    this.fillSlider(row, "bias", state.biases, region, rule?.bias_counts ?? false);
  }

  // A weight or bias without effect is hidden.
  fillSlider(row, kind, changes, region, counts) {
    row.querySelector(`.${kind}-control`).hidden = !counts;
    const number = row.querySelector(`.${kind}`);
    number.dataset.now = region[kind];
    const value = changes.get(region.region) ?? region[kind];
    if (document.activeElement !== number) number.value = value;
    row.querySelector(`.${kind}-slide`).value = value;
  }

  // Shows the measured rates, beside the forecast of the map.
  showRates() {
    const regions = new Map((current()?.health ?? []).map((region) => [region.region, region.answers_per_second]));
    const all = [...regions.values()].reduce((a, b) => a + b, 0);
    for (const row of this.body.rows) {
      const rate = regions.get(row.dataset.region) ?? 0;
      row.querySelector(".rate").textContent = perSecond(rate);
      row.querySelector(".traffic").textContent = all > 0 ? `${((100 * rate) / all).toFixed(1)} %` : "–";
    }
    return regions;
  }

  showHealth(health) {
    for (const row of this.body.rows) {
      const shown = row.querySelector(".state");
      const isOff = state.down.has(row.dataset.region);
      const word = isOff ? "off" : health.get(row.dataset.region) ?? "unknown";
      if (shown.textContent === word) continue;
      const title = isOff ? "Switched off in this what-if" : "";
      shown.replaceChildren(make("span", { className: isOff ? "off-state" : word, title }, word));
    }
  }
}
