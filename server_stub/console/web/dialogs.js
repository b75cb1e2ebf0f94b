// Dialogs and notices.

import { button, h } from "./dom.js";

const DOUBLE = 500; // milliseconds in which a second click belongs to the first

/** Show a dialog; `build(close)` makes what is in it. Resolves with what `close` was given. */
export function dialog({ title, wide = false, kind = "" }, build) {
  return new Promise((resolve) => {
    let result = null;
    const before = document.activeElement;
    const shown = performance.now();
    let pressed = false; // beside the box: a selection that ends there must not close it
    const close = (value = null) => {
      result = value;
      box.close();
    };
    const box = h(
      "dialog",
      {
        class: `dialog ${wide ? "wide" : ""} ${kind}`,
        aria: { label: title },
        on: {
          close: () => {
            box.remove();
            if (before?.isConnected) before.focus();
            resolve(result);
          },
          pointerdown: (event) => (pressed = event.target === box && performance.now() - shown > DOUBLE),
          click: (event) => event.target === box && pressed && close(),
        },
      },
      h("div", { class: "dialog-body" }, kind !== "palette" && h("h2", { text: title }), build(close)),
    );
    document.body.append(box);
    box.showModal();
  });
}

/** Ask before something is done that cannot be taken back. */
export function confirm(title, text, yes) {
  return dialog({ title }, (close) => [
    h("p", { text }),
    h(
      "div",
      { class: "actions" },
      button("Cancel", () => close(false)),
      button(yes, () => close(true), { class: "button danger", autofocus: true }),
    ),
  ]);
}

let notices;

export function notice(text, kind = "good") {
  notices ??= document.body.appendChild(h("div", { class: "notices", role: "status", aria: { live: "polite" } }));
  const item = h("div", { class: `notice ${kind}`, text });
  notices.append(item);
  while (notices.children.length > 4) notices.firstChild.remove();
  setTimeout(() => item.remove(), kind === "bad" ? 9000 : 3500);
}

/** Do something that the server may refuse, and say how it went. */
export async function attempt(action, done) {
  try {
    const result = await action();
    if (done) notice(done);
    return result ?? true;
  } catch (error) {
    notice(error.message, "bad");
    return null;
  }
}

export async function copy(text, what = "Copied") {
  try {
    await navigator.clipboard.writeText(text);
    notice(what);
  } catch {
    notice("The browser does not allow copying here.", "bad");
  }
}
