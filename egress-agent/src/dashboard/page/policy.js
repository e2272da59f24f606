// The policy of each guard: its rules, how often each decided, and the text behind them.
class Policies {
  constructor() {
    this.tables = new Map();
    this.shown = "";
  }

  show({ guards }) {
    const list = byId("policy-list");
    // What stays the same keeps its nodes: a text that is open stays open, and focus with it.
    const names = guards.map(({ guard }) => guard);
    if (names.join("\n") !== this.shown) {
      this.shown = names.join("\n");
      this.tables.clear();
      list.replaceChildren(...guards.map((guard) => this.build(guard)));
    }
    for (const guard of guards) {
      this.fill(guard);
    }
  }

  build({ guard }) {
    const title = make("h3");
    const note = make("p", { class: "quiet small" });
    const place = make("div");
    const text = make("details", {}, make("summary", {}, "Text of the policy"), make("div"));
    this.tables.set(guard, {
      title, note, text: text.lastChild, digest: null,
      table: new Table(place, `Rules of the policy of ${guard}`, [
        { name: "Rule", head: true, cell: (row) => lines(row.name, row.place), key: (row) => `${row.name}\n${row.place}` },
        { name: "Effect", kind: "word", cell: (row) => row.effect ? tag(row.effect === "deny" ? "bad" : row.effect === "allow" ? "good" : "quiet", row.effect) : "", key: (row) => row.effect },
        { name: "What", cell: (row) => lines(row.what, row.under), key: (row) => `${row.what}\n${row.under}` },
        { name: "Allowed", kind: "number", cell: (row) => count(row.hit?.allowed) },
        { name: "Denied", kind: "number", cell: (row) => count(row.hit?.denied) },
        { name: "Last", kind: "word", cell: (row) => (row.hit ? clock(row.hit.last) : "never") },
      ], { key: (row) => row.key, none: "The policy has no rule: everything is denied." }),
    });
    return make("div", { class: "rules" }, title, note, place, text);
  }

  fill(policy) {
    const { title, note, text, table } = this.tables.get(policy.guard);
    const mode = policy.mode === "enforce" ? tag("good", "enforcing") : tag("warn", "observing: nothing is refused");
    title.replaceChildren(make("bdi", {}, policy.guard), " ", make("span", { class: "quiet" }, "goes by"), " ", make("bdi", {}, policy.name), " ", mode);
    put(note, `Counted ${policy.counted}. SHA-256 ${policy.digest.slice(0, 12)}.`);
    const hits = new Map(policy.hits.filter(({ rule }) => rule !== undefined).map((hit) => [hit.rule, hit]));
    const rows = policy.rules.map((rule) => {
      const hit = hits.get(rule.name);
      hits.delete(rule.name);
      const what = [...(rule.hosts ?? []), ...(rule.networks ?? [])];
      const more = rule.more ? `, and ${count(rule.more)} more` : "";
      return {
        key: `rule ${rule.name}`, name: rule.name, place: `${rule.file.split("/").pop()}:${rule.line}`, effect: rule.effect,
        what: (what.join(", ") || "this machine") + more,
        under: [rule.ports.join(", "), rule.effect === "allow" ? `level ${rule.level}` : "", rule.reason ?? ""].filter(Boolean).join(" · "),
        hit,
      };
    });
    // A reload may have taken a rule away that decided before; rules of egressd and of packs too.
    for (const [name, hit] of hits) {
      rows.push({ key: `other ${name}`, name, place: "", effect: "", what: "not a rule of the network, or of an earlier policy", under: "", hit });
    }
    const none = policy.hits.find(({ rule }) => rule === undefined);
    rows.push({ key: "none", name: "no rule", place: "", effect: "default", what: "whatever no rule names", under: "denied by default", hit: none });
    table.show(rows, { total: policy.rules_total + rows.length - policy.rules.length });
    const said = JSON.stringify(policy.text);
    if (text.said !== said) {
      text.said = said;
      text.replaceChildren(...this.text(policy.text));
    }
  }

  text({ current, missing }) {
    if (missing !== undefined) {
      return [make("p", { class: "gaps" }, missing)];
    }
    return current.flatMap(({ file, text, cut }) => {
      const body = make("pre", { tabindex: "0", "aria-label": `Text of ${plain(file)}` });
      // Newlines and tabs are wanted here, and nothing else that moves text.
      body.textContent = text.split("\n").map((line) => line.split("\t").map(plain).join("\t")).join("\n");
      return [make("p", { class: "mono small" }, file), body, cut ? make("p", { class: "quiet small" }, "It goes on; the file has all of it.") : null].filter(Boolean);
    });
  }
}
