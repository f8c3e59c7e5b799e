// Orders: what the page has the server do, with the token.

import { $, state } from "./state.js";

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

// Orders what the what-if says; true if all of it was done.
export async function apply() {
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
    return true;
  } catch (error) {
    say([...said, error.message], true);
    return false;
  }
}

// Takes an order back.
export async function lift(order) {
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
}
