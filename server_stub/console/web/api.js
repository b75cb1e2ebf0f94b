// Requests to the server. Its refusals become errors whose text may be shown.

const KEPT = "taskrouter-console-page";
const API = "/console/api";

export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

let onLogout = () => {};

/** What is done when the session is over. */
export function whenLoggedOut(action) {
  onLogout = action;
}

let half = null;

/** Keep the session's other half. Other ports get this host's cookies, but not what a page keeps. */
function keep(value) {
  half = value;
  try {
    if (value) localStorage.setItem(KEPT, value);
    else localStorage.removeItem(KEPT);
  } catch {} // a browser that keeps nothing: good as long as this page is open
}

/** Read anew each time: another tab may have begun another session. */
function header() {
  try {
    return { "X-TaskRouter-Console": localStorage.getItem(KEPT) ?? half ?? "none" };
  } catch {
    return { "X-TaskRouter-Console": half ?? "none" };
  }
}

async function ask(method, path, options = {}) {
  let response;
  try {
    response = await fetch(path, { method, credentials: "same-origin", redirect: "error", cache: "no-store", ...options, headers: { ...header(), ...options.headers } });
  } catch {
    throw new Refusal(0, "The server cannot be reached.");
  }
  const type = response.headers.get("Content-Type") ?? "";
  const body = type.startsWith("application/json") ? await response.json().catch(() => null) : null;
  if (response.ok) return body;
  if (response.status === 401 && path !== "/console/session") onLogout();
  throw new Refusal(response.status, body?.message ?? `The server answered ${response.status}.`);
}

export const session = {
  check: () => ask("GET", "/console/session"),
  begin: async (proof) => keep((await ask("POST", "/console/session", { body: JSON.stringify(proof) })).page),
  end: () => ask("DELETE", "/console/session").finally(() => keep(null)),
};

const form = (fields) => {
  const body = new URLSearchParams();
  for (const [name, value] of Object.entries(fields)) if (value !== undefined && value !== null && value !== "") body.append(name, value);
  return body;
};

const below = (workspace, path) => `${API}/v1/Workspaces/${workspace}${path ? `/${path}` : ""}`;
const stub = (workspace, path) => `${API}/stub/workspaces/${workspace}/${path}`;
const json = (body) => ({ body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

export const rest = {
  get: (workspace, path, query = {}) => ask("GET", `${below(workspace, path)}?${form(query)}`),
  post: (workspace, path, fields) => ask("POST", below(workspace, path), { body: form(fields) }),
  remove: (workspace, path) => ask("DELETE", below(workspace, path)),
};

export const local = {
  explain: (workspace, task, query = {}) => ask("GET", `${stub(workspace, `tasks/${task}/explain`)}?${form(query)}`),
  get: (workspace, path) => ask("GET", stub(workspace, path)),
  post: (workspace, path, body) => ask("POST", stub(workspace, path), body === undefined ? {} : json(body)),
  remove: (workspace, path) => ask("DELETE", stub(workspace, path)),
};

export const clock = (workspace, body) => ask("POST", `/console/clock?Workspace=${workspace}`, json(body));

/** Read server-sent events until they end; every message goes to `tell`. */
export async function stream(workspace, tell, signal) {
  const query = workspace ? `?Workspace=${workspace}` : "";
  const response = await fetch(`/console/live${query}`, { credentials: "same-origin", cache: "no-store", signal, headers: header() });
  if (!response.ok) {
    const body = await response.json().catch(() => null);
    throw new Refusal(response.status, body?.message ?? `The server answered ${response.status}.`);
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) if (part.startsWith("data: ")) tell(JSON.parse(part.slice(6)));
  }
}
