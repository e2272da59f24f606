// Text. Everything that comes from the network goes through here, and becomes text and nothing else.
const byId = (id) => document.getElementById(id);

// Control characters, and those that turn the direction of writing, as escapes: they must not
// reorder what stands beside them.
const plain = (value) => String(value ?? "").replace(
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g,
  (c) => `\\u{${c.charCodeAt(0).toString(16)}}`,
);

const put = (node, value) => {
  const text = plain(value);
  if (node.textContent !== text) {
    node.textContent = text;
  }
  return node;
};

const make = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null && value !== false) {
      node.setAttribute(key, value === true ? "" : value);
    }
  }
  node.append(...children.filter((child) => child !== null && child !== undefined)
    .map((child) => (child instanceof Node ? child : document.createTextNode(plain(child)))));
  return node;
};

const tag = (tone, text) => make("span", { class: "tag", "data-tone": tone }, text);

const count = (number) => Number(number ?? 0).toLocaleString("en-GB");
const many = (number, one, more) => `${count(number)} ${number === 1 ? one : more}`;

const bytes = (number) => {
  if (number === undefined || number === null) {
    return "";
  }
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = number;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
};

const lasted = (ms) => {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) {
    return `${s}s`;
  }
  if (s < 3600) {
    return `${Math.floor(s / 60)}m ${s % 60}s`;
  }
  if (s < 86400) {
    return `${Math.floor(s / 3600)}h ${Math.floor(s / 60) % 60}m`;
  }
  return `${Math.floor(s / 86400)}d ${Math.floor(s / 3600) % 24}h`;
};

const clock = (time) => {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? "" : date.toLocaleTimeString("en-GB");
};

// What the codes of reasons mean, in words.
const REASONS = {
  "no-rule": "no rule allows it",
  "denied-by-rule": "a deny rule names it",
  "port-not-allowed": "allowed, but not on this port",
  "lease-expired": "the name led here too long ago",
  "unsupported-protocol": "neither TCP nor UDP",
  "fragment": "a fragment whose ports cannot be seen",
  "ip-options": "IPv4 options can change the way",
  "extension-header": "an IPv6 header can change the way",
  "multicast": "multicast or broadcast",
  "loopback": "a port of this machine that the policy does not open",
  "embedded-address": "an address that hides another one",
  "malformed": "too strange to read",
  "wrong-device": "loopback through another device",
  "not-configured": "the tables of the kernel are not filled",
  "inbound": "an answer to somebody outside",
  "revoked": "a reload took it back",
  "socket-family": "a family of sockets that cannot be held",
  "outside-socket": "a socket that was made outside of the guard",
  "unix-socket": "a UNIX socket that the policy does not list",
  "not-proxied": "the proxy has to look at it, and did not",
  "name-denied": "no rule names it",
  "type-denied": "a type of question that is not answered",
  "private-answer": "the name leads into a private network",
  "name-budget": "too many names below one pattern",
  "suspicious-name": "the name is too long or too random",
  "bad-question": "the question cannot be read",
  "upstream-failed": "the resolver behind egressd failed",
  "unknown-client": "who asks is in no session",
  "lease-failed": "the address could not be told to the kernel",
  "too-many-questions": "too many questions are open",
  "needs-approval": "waits for a person to approve it",
  "no-server-name": "TLS that does not say which host it wants",
  "encrypted-hello": "TLS that hides which host it wants",
  "name-mismatch": "another host than the one that was resolved",
  "unreadable-request": "neither TLS nor HTTP",
  "request-denied": "other requests to this host are allowed",
  "content-denied": "the policy refuses what stands in it",
  "host-budget": "the budget for this host is used up",
  "dial-failed": "the host cannot be reached",
  "tls-failed": "the TLS of the host failed",
  "too-slow": "no answer in time",
  "proxy-full": "the proxy has no room",
  "body-too-large": "longer than can be judged",
  "credential-misplaced": "the placeholder of another host's secret",
};

const reason = (code) => REASONS[code] ?? "";

// Where a record is about.
const destination = (record) => {
  const { flow, socket, name, tool, qtype } = record;
  if (flow) {
    const address = flow.address.includes(":") ? `[${flow.address}]` : flow.address;
    const host = name || address;
    return flow.port ? `${host}:${flow.port}` : host;
  }
  if (socket) {
    return socket.path ? `${socket.family} ${socket.path}` : socket.family;
  }
  if (name) {
    return qtype ? `${name} (${qtype})` : name;
  }
  return tool ? [tool.server, tool.name].filter(Boolean).join(" / ") : record.event;
};

// A second line: the address behind a name, the protocol, a tool.
const detail = (record) => {
  const { flow, name, process, tool } = record;
  return [
    flow && name ? flow.address : "",
    flow ? flow.protocol : "",
    process ? `${process.comm}[${process.pid}]` : "",
    tool && record.flow ? tool.name : "",
  ].filter(Boolean).join(" · ");
};

// What `why` can be asked about a record; null when it cannot.
const HOST = /^[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?$/i;
const ADDRESS = /^[0-9a-f:.]{2,45}$/i;
const target = (record) => {
  const { flow, name } = record;
  const host = name && HOST.test(name) ? name : flow && ADDRESS.test(flow.address) ? flow.address : null;
  if (!host) {
    return null;
  }
  const port = flow ? flow.port : 443;
  const protocol = flow && flow.protocol === "udp" ? "/udp" : "";
  return `${host.includes(":") ? `[${host}]` : host}:${port}${protocol}`;
};

// The command that would allow it, where one rule of the network would. Only words that mean
// nothing to a shell get into it.
const SESSION = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/;
const allowCommand = (record) => {
  const rule = record.allow_with;
  const is_network = rule && typeof rule === "object" && (Array.isArray(rule.hosts) || Array.isArray(rule.networks));
  const to = is_network ? target(record) : null;
  if (!to) {
    return null;
  }
  const session = record.session && SESSION.test(record.session) ? ` --session ${record.session}` : "";
  const host = to.includes("[") ? `'${to}'` : to;
  return `egressctl allow ${host} --for 1h${session}`;
};

// As it stands in a policy, in letters that every terminal and editor shows as they are.
const asJson = (value) => JSON.stringify(value).replace(
  /[^ -~]/g,
  (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
);

// A command or a rule with a button that copies it.
const copyable = (text, what) => {
  const button = make("button", { type: "button", class: "plain", "aria-label": `Copy ${what}` }, "Copy");
  button.addEventListener("click", async (event) => {
    event.stopPropagation();
    try {
      await navigator.clipboard.writeText(text);
      put(button, "Copied");
      say(`Copied ${what}.`);
    } catch {
      const range = document.createRange();
      range.selectNodeContents(button.previousSibling);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      put(button, "Selected");
    }
    setTimeout(() => put(button, "Copy"), 2000);
  });
  return make("span", { class: "copy" }, make("code", { tabindex: "0" }, text), button);
};

// What a screen reader says, a while after what it said before.
let saying = null;
const say = (text) => {
  clearTimeout(saying);
  saying = setTimeout(() => put(byId("told"), text), 150);
};
