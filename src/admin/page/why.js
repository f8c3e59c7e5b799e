// Why a client gets an answer: asked again whenever something changes, so that what is shown is what is true.

import { $, get, state } from "./state.js";
import { explanation, make, moment } from "./tables.js";

const LEAST = 1000; // Milliseconds between two questions that nobody asked by hand.

export class Why {
  constructor(shown) {
    this.shown = shown; // Told every explanation, or null.
    this.asked = 0;
    this.last = 0;
    this.known = null;
  }

  // Asks what the form says; false: there is nothing to ask.
  read() {
    const question = { name: $("name").value.trim(), client: $("client").value.trim(), type: $("type").value };
    state.question = question.name && question.client ? question : null;
    return state.question !== null;
  }

  // Fills the form, asks, and forgets what was shown before.
  show() {
    const { question } = state;
    if (question) {
      for (const key of ["name", "client", "type"]) $(key).value = question[key];
      this.ask(true);
    } else {
      this.asked += 1;
      this.known = null;
      $("why").replaceChildren();
      $("why-time").replaceChildren();
      this.shown(null);
    }
  }

  // Something has changed: asks again, soon.
  refresh() {
    if (!state.question || this.timer || document.hidden) return;
    const wait = Math.max(0, this.last + LEAST - Date.now());
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (state.question) this.ask(false);
    }, wait);
  }

  async ask(byHand) {
    const number = ++this.asked;
    this.last = Date.now();
    const query = new URLSearchParams(state.question);
    state.down.forEach((region) => query.append("down", region));
    try {
      const explained = await get(`/v1/explain?${query}`);
      if (number === this.asked) this.tell(explained, byHand);
    } catch (error) {
      if (number === this.asked) this.fail(error, byHand);
    }
  }

  tell(explained, byHand) {
    this.at = Date.now();
    // Where weights decide, the reply is one of several, another one each time: that is no change.
    const known = JSON.stringify({ ...explained, records: explained.service ? null : explained.records });
    if (byHand || known !== this.known) {
      this.known = known;
      $("why").replaceChildren(...explanation(explained));
      this.shown(explained);
    }
    const isOther = state.weights.size + state.biases.size > 0;
    const words = isOther ? " Other weights and biases of the what-if are not in it." : "";
    this.date(`; asked again whenever something changes.${words}`, false);
  }

  fail(error, byHand) {
    if (byHand || !this.known) {
      this.known = null;
      $("why").replaceChildren(make("p", { className: "bad" }, error.message));
      $("why-time").replaceChildren();
      this.shown(null);
    } else {
      this.date(`: this may be old, for it could not be asked again (${error.message}).`, true);
    }
  }

  date(words, isOld) {
    $("why-time").replaceChildren("As of ", moment(this.at), words);
    $("why-time").classList.toggle("bad", isOld);
  }

  // The server has fallen silent.
  age() {
    if (this.known) this.date(": this may be old, for the server does not answer.", true);
  }
}
