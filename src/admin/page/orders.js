// Sends overrides to the server, with the token.

import { $, state } from "./state.js";

async function change(method, parts, body) {
  const head = { "Content-Type": "application/json" };
  if ($("token").value) head.Authorization = `Bearer ${$("token").value}`;
  const path = ["", "v1", ...parts.map(encodeURIComponent)].join("/");
  const answer = await fetch(path, { method, headers: head, body: JSON.stringify(body) });
  const said = await answer.json();
  // A drain, for example, may leave clients without a live region, so it needs a confirmation.
  if (said.confirm && !body[said.confirm] && confirm(`${said.error}\n\nApply it anyway?`)) {
    return change(method, parts, { ...body, [said.confirm]: true });
  }
  if (!answer.ok) throw new Error(said.error ?? `${answer.status}`);
  return said.sentence;
}

function say(sentences, bad) {
  $("applied").textContent = sentences.join("; ");
  $("applied").classList.toggle("bad", bad);
}

// Applies the what-if; returns true if all of it was applied.
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

// Removes an override.
export async function lift(order) {
  const kind = order.action.startsWith("force") ? "force" : order.action;
  const { service, region, endpoint } = order;
  const subject = endpoint
    ? ["services", service, "endpoints", region, endpoint]
    : service
      ? ["services", service, ...(region ? ["regions", region] : [])]
      : ["regions", region];
  const here = order.scope === "here-only" ? { here_only: true } : {};
  try {
    say([await change("DELETE", [...subject, kind], { by: $("by").value, ...here })], false);
  } catch (error) {
    say([error.message], true);
  }
}
