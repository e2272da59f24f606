// Asks egressd, shows what it says, and says so when it says nothing.
const EVERY = 2000;
const LATER = { timeline: 10000, policy: 10000 };
const KEY = "egressd-token";
const TOKEN = /^[A-Za-z0-9_-]{20,128}$/;

let token = null;
let running = null;
let overview = null;
let heard = null;

// The token comes behind `#`, which is sent to nobody, and leaves the address at once.
const hasToken = () => new URLSearchParams(location.hash.slice(1)).has("token");
const takeToken = () => {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (hasToken()) {
    history.replaceState(null, "", location.pathname);
  }
  try {
    if (given && TOKEN.test(given)) {
      sessionStorage.setItem(KEY, given);
    }
    return given && TOKEN.test(given) ? given : sessionStorage.getItem(KEY);
  } catch {
    return given;
  }
};

const forgetToken = () => {
  token = null;
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Then it was never kept.
  }
};

// The token is not the right one any more.
class Stopped extends Error {}
// The connection is gone; the next question says so.
class Gone extends Error {}

const get = (path, signal) => fetch(path, {
  headers: { authorization: `Bearer ${token}` },
  cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer", signal,
});

// An answer, or what egressd says is wrong; throws when it does not answer.
const ask = async (path) => {
  let response;
  try {
    response = await get(path, AbortSignal.timeout(8000));
  } catch {
    lost();
    return { error: { message: "egressd does not answer.", help: "What is pinned goes on denying." } };
  }
  if (response.status === 401) {
    shut("That token is not, or no longer, the one of the egressd that runs. A new one is made at every start.");
    throw new Stopped();
  }
  let body = null;
  try {
    body = await response.json();
  } catch {
    body = { error: { message: "The answer cannot be read.", help: `status ${response.status}` } };
  }
  return response.ok ? { data: body } : { error: body.error ?? { message: `status ${response.status}` } };
};

const state = (name) => {
  document.documentElement.dataset.state = name;
};

const link = (tone, text) => {
  byId("link").dataset.tone = tone;
  put(byId("link-text"), text);
};

// The screen without a token, or with a wrong one.
const shut = (why) => {
  running?.abort();
  running = null;
  forgetToken();
  state("gate");
  link("quiet", "no token");
  document.title = "egressd: token needed";
  byId("main").hidden = true;
  byId("lost").hidden = true;
  byId("gate").hidden = false;
  put(byId("gate-why"), why);
  byId("gate-token").focus();
};

const lost = () => {
  if (!running || document.documentElement.dataset.state === "lost") {
    return;
  }
  state("lost");
  link("bad", "no answer");
  document.title = "egressd does not answer";
  const since = heard ? ` What is shown is as it was at ${clock(heard)}.` : "";
  put(byId("lost"), `egressd does not answer; what is pinned goes on denying.${since} This page tries again by itself.`);
  byId("lost").hidden = false;
  byId("main").hidden = false;
};

// It answers, and not what was asked.
const troubled = ({ message, help }) => {
  state("troubled");
  link("bad", "trouble");
  put(byId("lost"), [message, help].filter(Boolean).join(" "));
  byId("lost").hidden = false;
};

const found = () => {
  heard = Date.now();
  if (document.documentElement.dataset.state !== "live") {
    const was_lost = document.documentElement.dataset.state === "lost";
    state("live");
    link("good", "live");
    byId("lost").hidden = true;
    byId("gate").hidden = true;
    byId("main").hidden = false;
    if (was_lost) {
      say("egressd answers again.");
    }
  }
};

// New denials as they are recorded. EventSource cannot send a token, so the stream is read here.
const follow = async (signal, denials) => {
  const gone = () => {
    throw new Gone();
  };
  const response = await get("/api/events?denied=1", signal).catch(gone);
  if (!response.ok) {
    throw new Gone();
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read().catch(gone);
    if (done) {
      return;
    }
    rest += value;
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const kind = /^event: (.*)$/m.exec(event)?.[1];
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (kind === "record") {
        denials.add(JSON.parse(data));
      } else if (kind === "missed") {
        denials.miss(Number(data));
      }
    }
  }
};

const sleep = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => {
    clearTimeout(timer);
    resolve();
  }, { once: true });
});

// Nobody looks at a page that is hidden.
const looked = (signal) => new Promise((resolve) => {
  if (!document.hidden || signal.aborted) {
    resolve();
    return;
  }
  const seen = () => {
    document.removeEventListener("visibilitychange", seen);
    resolve();
  };
  document.addEventListener("visibilitychange", seen);
  signal.addEventListener("abort", seen, { once: true });
});

const again = async (signal, every, work) => {
  while (!signal.aborted) {
    await looked(signal);
    if (signal.aborted) {
      return;
    }
    try {
      await work();
    } catch (error) {
      if (error instanceof Stopped) {
        return;
      }
      if (!(error instanceof Gone)) {
        console.error(error);
      }
    }
    await sleep(every, signal);
  }
};

let parts = null;
const start = () => {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  state("begin");
  link("quiet", "connecting");
  byId("gate").hidden = true;
  if (!parts) {
    const why = new Why(ask);
    parts = { why, denials: new Denials(why), board: new Board(why), timeline: new Timeline(), policies: new Policies() };
    byId("session").addEventListener("change", () => {
      parts.denials.show();
      if (overview) {
        parts.board.show(overview);
      }
    });
    byId("policy-again").addEventListener("click", () => readPolicy().catch(() => {}));
  }
  const { denials, board, timeline } = parts;
  const readPolicy = async () => {
    const { data } = await ask("/api/policy");
    if (data) {
      parts.policies.show(data);
    }
  };
  again(signal, EVERY, async () => {
    const { data, error } = await ask("/api/overview");
    if (error && !signal.aborted && document.documentElement.dataset.state !== "lost") {
      troubled(error);
    }
    if (data && !signal.aborted) {
      overview = data;
      found();
      denials.set(data.denials);
      denials.show();
      board.show(data);
    }
  });
  again(signal, LATER.timeline, async () => {
    const { data } = await ask("/api/timeline");
    if (data) {
      timeline.show(data);
    }
  });
  again(signal, LATER.policy, readPolicy);
  again(signal, EVERY, () => follow(signal, denials));
};

const open = () => {
  token = takeToken();
  if (token) {
    start();
  } else {
    shut("Only who may ask egressd gets to see what it knows.");
  }
};

// Light or dark as the system has it, or as it was chosen here.
const THEMES = ["system", "light", "dark"];
const theme = (name) => {
  if (name === "system") {
    delete document.documentElement.dataset.theme;
  } else {
    document.documentElement.dataset.theme = name;
  }
  put(byId("theme"), `Theme: ${name}`);
  try {
    localStorage.setItem("egressd-theme", name);
  } catch {
    // Then it is chosen again next time.
  }
};
byId("theme").addEventListener("click", () => {
  const now = document.documentElement.dataset.theme ?? "system";
  theme(THEMES[(THEMES.indexOf(now) + 1) % THEMES.length]);
});
try {
  const kept = localStorage.getItem("egressd-theme");
  theme(THEMES.includes(kept) ? kept : "system");
} catch {
  theme("system");
}

byId("gate-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const input = byId("gate-token");
  const given = input.value.trim();
  const found_ = given.includes("#") ? new URLSearchParams(given.slice(given.indexOf("#") + 1)).get("token") : given;
  if (!found_ || !TOKEN.test(found_)) {
    put(byId("gate-error"), "That is neither a token nor an address with one.");
    return;
  }
  put(byId("gate-error"), "");
  input.value = "";
  location.hash = `token=${found_}`;
});
addEventListener("hashchange", () => {
  // The link that skips the head of the page has a fragment too.
  if (hasToken()) {
    open();
  }
});
open();
