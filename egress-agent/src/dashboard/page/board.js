// The other parts of the page, from one overview.
class Board {
  constructor(why) {
    const ago = (time) => lasted(Date.now() - new Date(time).getTime());
    this.sessions = new Table(byId("sessions-table"), "Sessions that run", [
      { name: "Session", head: true, cell: (one) => lines(one.id, one.guard), key: (one) => one.guard },
      { name: "Command", cell: (one) => lines((one.command ?? []).join(" ") || "?", `pid ${one.pid}, uid ${one.uid}`), key: (one) => one.pid },
      { name: "Mode", kind: "word", cell: (one) => (one.mode === "enforce" ? tag("good", "enforced") : tag("warn", "observed")), key: (one) => one.mode },
      { name: "Runs for", kind: "word", cell: (one) => ago(one.started) },
      { name: "Hosts", kind: "number", cell: (one) => count(this.hosts.get(one.id)?.length) },
      { name: "Leases", kind: "number", cell: (one) => count(one.leases) },
      { name: "Denials", kind: "number", cell: (one) => count(one.denials) },
    ], {
      key: (one) => one.id,
      open: (one) => {
        const select = byId("session");
        select.value = select.value === one.id ? "" : one.id;
        select.dispatchEvent(new Event("change"));
      },
      none: "No session runs. `egressctl run -- COMMAND` starts one.",
    });
    this.flows = new Table(byId("flows-table"), "Open flows", [
      { name: "To", head: true, cell: (flow) => lines(flow.name ?? flow.remote, flow.name ? flow.remote : "") , key: (flow) => `${flow.name} ${flow.remote}` },
      { name: "Session", cell: (flow) => make("bdi", {}, flow.session), key: (flow) => flow.session },
      { name: "State", kind: "word", cell: (flow) => [flow.protocol, flow.state, flow.through ? `through the ${flow.through}` : ""].filter(Boolean).join(", ") },
      { name: "Sent", kind: "number", cell: (flow) => bytes(flow.sent) },
      { name: "Received", kind: "number", cell: (flow) => bytes(flow.received) },
    ], {
      key: (flow) => `${flow.session} ${flow.protocol} ${flow.local} ${flow.remote}`,
      open: (flow) => {
        const port = flow.remote.slice(flow.remote.lastIndexOf(":"));
        const to = (flow.name && HOST.test(flow.name) ? flow.name + port : flow.remote) + (flow.protocol === "udp" ? "/udp" : "");
        why.about(to, flow.session, true);
      },
      none: "No flow is open.",
    });
    this.names = new Table(byId("names-table"), "Questions to the resolver, the latest first", [
      { name: "Time", kind: "word", cell: (one) => clock(one.time) },
      { name: "Name", head: true, cell: (one) => lines(one.name ?? "?", (one.answers ?? []).join(", ")), key: (one) => `${one.name} ${one.answers}` },
      { name: "Type", kind: "word", cell: (one) => one.qtype },
      { name: "Verdict", kind: "word", cell: (one) => (one.verdict === "allow" ? tag("good", "answered") : tag("bad", "refused")), key: (one) => one.verdict },
      { name: "Why", cell: (one) => lines(reason(one.reason) || one.reason || (one.rule ? `rule ${one.rule.name}` : ""), one.message ?? ""), key: (one) => `${one.reason} ${one.rule?.name}` },
      { name: "Session", cell: (one) => make("bdi", {}, one.session ?? "none"), key: (one) => one.session },
    ], {
      key: (one) => `${one.time} ${one.name} ${one.qtype} ${one.session}`,
      open: (one) => {
        const to = target(one);
        if (to) {
          why.about(to, "", true);
        }
      },
      none: "No name was asked for.",
    });
    this.hosts = new Map();
    this.before = null;
  }

  show(now) {
    const { status } = now;
    put(byId("about"), `${status.version}, up ${lasted(status.uptime_ms)}`);
    this.state(status);
    this.tiles(now);
    this.choose(status.sessions);
    this.hosts = new Map(now.hosts.map(({ session, hosts }) => [session, hosts]));
    const only = byId("session").value;
    const own = (list) => (only ? list.filter(({ session }) => session === only) : list);
    this.sessions.show(status.sessions);
    const flows = own(now.flows);
    this.flows.show(flows, { total: only ? flows.length : now.flows_total });
    put(byId("flows-note"), now.flows_missing ?? "");
    this.names.show(own(now.questions).reverse());
  }

  state(status) {
    const gaps = [];
    for (const guard of status.guards) {
      gaps.push(...guard.gaps.map((text) => [guard.cgroup, text]));
      const detached = guard.hooks.filter(({ attached, name }) => !attached && !guard.gaps.some((gap) => gap.includes(name)));
      gaps.push(...detached.map(({ name }) => [guard.cgroup, `the hook ${name} is not attached`]));
    }
    for (const listener of status.listeners ?? []) {
      if (listener.failure) {
        gaps.push([listener.name, listener.failure]);
      }
    }
    if (status.audit?.failure) {
      gaps.push(["audit log", `it cannot be written: ${status.audit.failure}`]);
    }
    const lost_ = Object.values(status.audit?.lost ?? {}).reduce((sum, number) => sum + number, 0);
    if (lost_) {
      gaps.push(["audit log", `${many(lost_, "record was", "records were")} lost`]);
    }
    const observes = status.guards.filter(({ mode }) => mode === "observe").map(({ cgroup }) => cgroup);
    const card = byId("state");
    const title = byId("state-title");
    let tone = "good";
    let words = "Whole: everything that was asked for is enforced.";
    if (status.guards.length === 0) {
      [tone, words] = ["bad", "Nothing is guarded any more."];
    } else if (observes.length) {
      [tone, words] = ["warn", "Only observing: denials are recorded, and nothing is refused."];
    } else if (gaps.length) {
      [tone, words] = ["warn", `${many(gaps.length, "gap", "gaps")}: not everything that was asked for is enforced.`];
    }
    card.dataset.tone = tone;
    if (title.textContent !== words) {
      put(title, words);
      say(words);
    }
    document.title = `egressd: ${tone === "good" ? "whole" : words.split(":")[0].toLowerCase()}`;
    put(byId("state-text"), `${many(status.guards.length, "guard", "guards")}${observes.length ? `; observing: ${observes.join(", ")}` : ""}.`);
    this.replace(byId("gaps"), gaps, ([where, text]) => make("li", {}, make("b", {}, "Gap"), `${where}: ${text}`));
    this.replace(byId("guards"), status.guards, (guard) => this.guard(guard), ({ cgroup, policy, mode, dns, hooks, lsm, counters, leases }) =>
      [cgroup, policy, mode, dns, hooks, lsm, counters, leases]);
  }

  // Made anew only when what is said changes.
  replace(place, list, build, said = (item) => item) {
    const text = JSON.stringify(list.map(said));
    if (place.said !== text) {
      place.said = text;
      place.replaceChildren(...list.map(build));
    }
  }

  guard(guard) {
    const facts = make("dl");
    const fact = (name, text) => facts.append(make("div", {}, make("dt", {}, name), make("dd", {}, text)));
    const off = guard.hooks.filter(({ attached }) => !attached).length;
    const counted = (...names) => names.reduce((sum, name) => sum + (guard.counters[name] ?? 0), 0);
    fact("Policy", guard.policy.name);
    fact("Hooks", off ? `${off} of ${guard.hooks.length} not attached` : `all ${guard.hooks.length} attached`);
    fact("Second layer", guard.lsm?.missing ? "not active" : `${guard.lsm?.programs ?? 0} programs`);
    fact("Names", guard.dns === "steer" ? "every question steered" : "snooped, best effort");
    fact("Allowed by the kernel", count(counted("connect-allowed", "send-allowed")));
    fact("Denied by the kernel", count(counted("connect-denied", "send-denied", "packet-denied", "socket-denied", "lsm-denied")));
    const mode = guard.mode === "enforce" ? tag("good", "enforcing") : tag("warn", "observing");
    return make("div", { class: "guard" }, make("h3", {}, make("bdi", {}, guard.cgroup), " ", mode), facts);
  }

  tiles(now) {
    const { status } = now;
    const seconds = this.before ? (new Date(now.time) - new Date(this.before.time)) / 1000 : 0;
    const rate = seconds > 0 ? Math.max(0, (now.events - this.before.events) / seconds) : null;
    if (seconds !== 0 || !this.before) {
      this.before = { time: now.time, events: now.events };
      this.rate = rate ?? this.rate;
    }
    const tiles = [
      ["Denials", count(now.denials_total), now.denials_total ? "bad" : ""],
      ["Questions for names", count(now.questions_total), ""],
      ["Sessions", count(status.sessions.length), status.sessions.some(({ mode }) => mode === "observe") ? "warn" : ""],
      ["Open flows", count(now.flows_total), ""],
      ["Leases", count(now.leases_total), ""],
      ["Records a second", this.rate === undefined ? "–" : this.rate < 10 ? this.rate.toFixed(1) : count(Math.round(this.rate)), ""],
    ];
    this.replace(byId("tiles"), tiles, ([name, number, tone]) =>
      make("div", { class: "tile", "data-tone": tone || undefined }, make("dt", {}, name), make("dd", {}, number)));
  }

  choose(sessions) {
    const select = byId("session");
    const names = sessions.map(({ id }) => id);
    if (select.value && !names.includes(select.value)) {
      // It has ended; its denials are still there.
      names.push(select.value);
    }
    if (names.join("\n") !== select.said) {
      select.said = names.join("\n");
      const chosen = select.value;
      select.replaceChildren(make("option", { value: "" }, "all"), ...names.map((name) => {
        const option = make("option", {}, name);
        option.value = name;
        return option;
      }));
      select.value = chosen;
    }
  }
}
