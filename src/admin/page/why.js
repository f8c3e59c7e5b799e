// Explains why a client gets its answer. The explanation is requested again on every change.

import { $, get, state } from "./state.js";
import { explanation, make, moment } from "./tables.js";

const LEAST = 1000; // Milliseconds between two automatic requests.

export class Why {
  constructor(shown) {
    this.shown = shown; // Called with every explanation, or with null.
    this.requests = 0;
    this.last = 0;
    this.known = null;
  }

  // Reads the question from the form; false: the form is not filled in.
  read() {
    const question = { name: $("name").value.trim(), client: $("client").value.trim(), type: $("type").value };
    state.question = question.name && question.client ? question : null;
    return state.question !== null;
  }

  // Fills the form with the question and asks it; without a question, clears the explanation.
  show() {
    const { question } = state;
    if (question) {
      for (const key of ["name", "client", "type"]) $(key).value = question[key];
      this.ask(true);
    } else {
      this.requests += 1;
      this.known = null;
      $("why").replaceChildren();
      $("why-time").replaceChildren();
      this.shown(null);
    }
  }

  // Asks again after a change, at most once a second.
  refresh() {
    if (!state.question || this.timer || document.hidden) return;
    const wait = Math.max(0, this.last + LEAST - Date.now());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (state.question) this.ask(false);
    }, wait);
  }

  async ask(byHand) {
    const number = ++this.requests;
    this.last = Date.now();
    const query = new URLSearchParams(state.question);
    state.down.forEach((region) => query.append("down", region));
    try {
      const explained = await get(`/v1/explain?${query}`);
      if (number === this.requests) this.display(explained, byHand);
    } catch (error) {
      if (number === this.requests) this.fail(error, byHand);
    }
  }

  display(explained, byHand) {
    this.at = Date.now();
    // Where weights decide, each reply is another random one, which does not count as a change.
    const known = JSON.stringify({ ...explained, records: explained.service ? null : explained.records });
    if (byHand || known !== this.known) {
      this.known = known;
      $("why").replaceChildren(...explanation(explained));
      this.shown(explained);
    }
    const isOther = state.weights.size + state.biases.size > 0;
    const words = isOther ? " It does not include the weights and biases of the what-if." : "";
    this.date(`; updated on every change.${words}`, false);
  }

  fail(error, byHand) {
    if (byHand || !this.known) {
      this.known = null;
      $("why").replaceChildren(make("p", { className: "bad" }, error.message));
      $("why-time").replaceChildren();
      this.shown(null);
    } else {
      this.date(`: it may be old, because the update failed (${error.message}).`, true);
    }
  }

  date(words, isOld) {
    $("why-time").replaceChildren("As of ", moment(this.at), words);
    $("why-time").classList.toggle("bad", isOld);
  }

  // Marks the explanation as old, because the server does not answer.
  age() {
    if (this.known) this.date(": it may be old, because the server does not answer.", true);
  }
}
