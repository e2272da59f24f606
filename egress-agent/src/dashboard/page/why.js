// The box: how a destination is decided, and what would change it.
class Why {
  constructor(ask) {
    this.ask = ask;
    this.input = byId("why-target");
    this.answer = byId("why-answer");
    this.turn = 0;
    byId("why-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.about(this.input.value.trim(), byId("session").value);
    });
    document.addEventListener("keydown", (event) => {
      const writes = event.target.closest?.("input, select, textarea");
      if (event.key === "/" && !writes && !event.ctrlKey && !event.altKey && !event.metaKey && !byId("main").hidden) {
        event.preventDefault();
        this.input.focus();
        this.input.select();
      } else if (event.key === "Escape" && event.target === this.input) {
        this.input.blur();
      }
    });
  }

  // `came` is where the question came from, and where focus may go back to.
  async about(target, session, moves = false) {
    if (!target) {
      this.answer.replaceChildren(make("p", { class: "problem" }, "Write a host and a port, such as github.com:443."));
      return;
    }
    this.input.value = target;
    this.turn += 1;
    const { turn } = this;
    const query = new URLSearchParams({ target });
    if (session) {
      query.set("session", session);
    }
    const { data, error } = await this.ask(`/api/why?${query}`);
    if (turn !== this.turn) {
      return;
    }
    this.answer.replaceChildren(...(error ? this.failed(error) : this.told(data)));
    if (moves) {
      byId("why").scrollIntoView({ block: "nearest" });
      this.input.focus();
    }
  }

  // Destinations that were denied lately, each one touch away.
  lately(targets) {
    const some = [...new Set(targets.filter(Boolean))].slice(0, 5);
    const place = byId("lately");
    if (place.said === some.join("\n")) {
      return;
    }
    place.said = some.join("\n");
    place.replaceChildren(...(some.length ? [make("span", { class: "quiet small" }, "Denied lately:")] : []), ...some.map((to) => {
      const button = make("button", { type: "button", class: "plain" }, to);
      button.addEventListener("click", () => this.about(to, byId("session").value));
      return button;
    }));
  }

  failed({ message, help }) {
    return [make("p", { class: "problem" }, message), help ? make("p", { class: "quiet" }, help) : null].filter(Boolean);
  }

  told(why) {
    const allowed = why.verdict === "allow";
    const facts = make("dl", { class: "facts" });
    const fact = (name, text) => text && facts.append(make("dt", {}, name), make("dd", {}, make("bdi", {}, text)));
    fact("Reason", [...new Set([why.reason, reason(why.reason), why.reason_text])].filter(Boolean).join(": "));
    if (why.rule) {
      const { name, file, line } = why.rule;
      fact("Rule", file ? `${name} (${file}${line ? `:${line}` : ""})` : name);
    }
    if (why.lease) {
      const { name, address, expires_in_ms: left } = why.lease;
      fact("Lease", `${name} leads to ${address}; ${left > 0 ? `ends in ${lasted(left)}` : "it has expired"}`);
    }
    const denials = why.denials ?? [];
    if (denials.length) {
      const last = denials[denials.length - 1];
      const times = denials.reduce((sum, one) => sum + (one.count ?? 1), 0);
      fact("Denied", `${many(times, "time", "times")}, last at ${clock(last.time)}${last.process ? ` by ${last.process.comm}[${last.process.pid}]` : ""}`);
    }
    const parts = [
      make("p", { class: "verdict" }, tag(allowed ? "good" : "bad", allowed ? "allowed" : "denied"), make("bdi", { class: "strong mono" }, why.target),
        why.mode === "observe" ? tag("warn", "observed only: nothing is refused") : null),
      facts,
    ];
    if (!allowed && why.allow_with) {
      const [host, protocol] = why.target.split("/");
      const fits = /^(\[[0-9a-f:.]+\]|[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?):[0-9]{1,5}$/i.test(host) && (!protocol || /^(tcp|udp)$/.test(protocol));
      if (fits) {
        const to = why.target.includes("[") ? `'${why.target}'` : why.target;
        parts.push(make("div", {}, make("p", {}, "To allow it for an hour:"), copyable(`egressctl allow ${to} --for 1h`, "the command that allows it")));
      }
      parts.push(make("div", {}, make("p", {}, "To allow it for good, add to network.allow:"), copyable(asJson(why.allow_with), "the rule")));
    }
    if (why.help) {
      parts.push(make("p", { class: "quiet" }, why.help));
    }
    return parts;
  }
}
