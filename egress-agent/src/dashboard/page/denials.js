// Denials: what egressd tells, and what came since. Equal ones are one row.
class Denials {
  constructor(why) {
    this.why = why;
    this.known = new Map();
    this.fresh = new Set();
    this.missed = 0;
    this.paused = false;
    this.waiting = [];
    this.table = new Table(byId("denials-table"), "Denials, the latest first", [
      { name: "Time", kind: "word", cell: (row) => clock(row.record.time) },
      { name: "Session, layer", cell: (row) => lines(row.record.session ?? "none", row.record.layer), key: (row) => `${row.record.session} ${row.record.layer}` },
      { name: "Destination", head: true, cell: (row) => {
        const cell = lines(destination(row.record), detail(row.record));
        if (row.count > 1) {
          cell.firstChild.after(make("span", { class: "times" }, `×${count(row.count)}`));
        }
        return cell;
      }, key: (row) => `${row.count} ${detail(row.record)}` },
      { name: "Reason", cell: (row) => this.reason(row.record), key: (row) => `${row.record.reason} ${row.record.message} ${row.record.mode}` },
      { name: "Would allow it", cell: (row) => this.allow(row.record), key: (row) => JSON.stringify(row.record.allow_with) ?? "" },
    ], {
      key: (row) => row.key,
      label: (row) => `${clock(row.record.time)}, ${destination(row.record)}, ${reason(row.record.reason) || row.record.reason || "denied"}`,
      open: (row) => {
        const to = target(row.record);
        if (to) {
          why.about(to, row.record.session && overview?.status.sessions.some(({ id }) => id === row.record.session) ? row.record.session : "", true);
        } else {
          say("This row has no host and port to ask about.");
        }
      },
      none: "Nothing was denied since egressd started.",
    });
    const pause = byId("pause");
    pause.addEventListener("click", () => {
      this.paused = !this.paused;
      pause.setAttribute("aria-pressed", String(this.paused));
      put(pause, this.paused ? "Resume" : "Pause");
      this.show();
    });
  }

  reason(record) {
    const words = reason(record.reason);
    const said = [words ? record.reason : "", record.message ?? ""].filter(Boolean).join(" · ");
    const cell = lines(words || record.reason || "denied", said);
    if (record.mode === "observe") {
      cell.append(" ", tag("warn", "observed, not refused"));
    }
    return cell;
  }

  allow(record) {
    if (record.reason === "needs-approval") {
      return copyable("egressctl approve", "the command that lists what waits");
    }
    const command = allowCommand(record);
    if (command) {
      return copyable(command, `the command that allows ${plain(destination(record))}`);
    }
    return record.allow_with ? copyable(asJson(record.allow_with), "the rule that allows it") : "";
  }

  key({ session, layer, event, reason: code, flow, socket, name, qtype, tool, rule, process }) {
    return JSON.stringify([session, layer, event, code, flow, socket, name, qtype, tool, rule, process?.comm]);
  }

  // All that egressd keeps; it replaces what was added meanwhile.
  set(records) {
    this.known.clear();
    for (const record of records) {
      this.put(record);
    }
  }

  put(record) {
    const key = this.key(record);
    const before = this.known.get(key);
    this.known.delete(key);
    this.known.set(key, { key, record, count: (before?.count ?? 0) + (record.count ?? 1) });
    if (this.known.size > 512) {
      this.known.delete(this.known.keys().next().value);
    }
    return key;
  }

  // One that has just been recorded.
  add(record) {
    const key = this.put(record);
    this.fresh.add(key);
    setTimeout(() => this.fresh.delete(key), 2000);
    this.waiting.push(record);
    this.soon();
  }

  miss(number) {
    this.missed += number;
    this.soon();
  }

  soon() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.announce();
      this.show();
    }, 250);
  }

  announce() {
    const latest = this.waiting[this.waiting.length - 1];
    if (latest && !this.paused) {
      const all = this.waiting.length === 1 ? "Denied" : `${count(this.waiting.length)} new denials, the latest`;
      say(`${all}: ${destination(latest)}, ${reason(latest.reason) || latest.reason || ""}`);
    }
    this.waiting = [];
  }

  show() {
    const only = byId("session").value;
    const rows = [...this.known.values()].reverse().filter(({ record }) => !only || record.session === only);
    put(byId("denials-note"), [
      this.paused ? "Paused: new ones are kept and not shown." : "",
      this.missed ? `${many(this.missed, "record", "records")} came too fast to be shown; the log has them.` : "",
      only ? `Only session ${only}.` : "",
    ].filter(Boolean).join(" "));
    if (!this.paused) {
      this.why.lately(rows.map(({ record }) => target(record)));
      this.table.show(rows, { fresh: ({ key }) => this.fresh.has(key) });
    }
  }
}
