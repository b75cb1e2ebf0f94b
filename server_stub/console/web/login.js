// The door: shown to whoever has no session.

import { session } from "./api.js";
import { button, h } from "./dom.js";
import { field } from "./acts.js";

export function login(problem, entered) {
  const user = h("input", { type: "text", autocomplete: "username", spellcheck: "false", placeholder: "AC…" });
  const password = h("input", { type: "password", autocomplete: "current-password" });
  const said = h("p", { class: "problem grow", role: "alert", text: problem ?? "" });
  const enter = async (event) => {
    event?.preventDefault();
    try {
      await session.begin({ user: user.value.trim(), password: password.value.trim() });
      entered();
    } catch (error) {
      said.textContent = error.message;
    }
  };
  return h(
    "main",
    { class: "login" },
    h(
      "form",
      { class: "card", on: { submit: enter } },
      h("h1", { text: "TaskRouter console" }),
      h("p", { text: "Open the link that the server printed when it started: it ends in #key=… and lets you in." }),
      h("p", { class: "muted", text: "Or use the server's credentials. They were printed beside the link, or given as TASKROUTER_STUB_ACCOUNT_SID and TASKROUTER_STUB_AUTH_TOKEN." }),
      field("Account SID", user),
      field("Auth token", password),
      h("div", { class: "actions top" }, said, button("Enter", () => {}, { type: "submit", class: "button primary" })),
    ),
  );
}
