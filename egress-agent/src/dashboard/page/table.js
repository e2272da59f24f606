// A table whose rows stay the same nodes while their content changes, so that focus, selection and
// what a screen reader stands on are kept. One row is in the order of Tab; the arrows move on.
//
// columns: { name, kind: "text" | "word" | "number", head: true, cell: (row) => text | node, key: (row) => text }
// A cell that is a node is made anew only when its key changes.
const SHOWN = 200;

class Table {
  constructor(place, caption, columns, { key, open, label, none, first = 12 }) {
    Object.assign(this, { columns, key, open, label, none: none ?? "Nothing yet.", most: first });
    this.rows = new Map();
    this.head = make("tr", {}, ...columns.map(({ name, kind }) => make("th", { scope: "col", "data-kind": kind }, name)));
    this.body = make("tbody");
    this.table = make("table", { class: "list" },
      make("caption", { class: "unseen" }, caption), make("thead", {}, this.head), this.body);
    this.empty = make("p", { class: "none" }, this.none);
    this.left = make("span");
    this.all = make("button", { type: "button", class: "plain" }, "Show more");
    this.all.addEventListener("click", () => {
      this.most = this.most === first ? SHOWN : first;
      put(this.all, this.most === first ? "Show more" : "Show fewer");
      this.show(...this.shown);
    });
    this.more = make("div", { class: "more" }, this.left, this.all);
    this.table.addEventListener("keydown", (event) => this.press(event));
    this.table.addEventListener("focusin", ({ target: node }) => {
      const row = node.closest("tbody tr");
      if (row) {
        this.stand(row);
      }
    });
    this.body.addEventListener("click", (event) => {
      const row = event.target.closest("tr");
      if (row && this.open && !event.target.closest("button, code, a") && getSelection().isCollapsed) {
        this.stand(row);
        this.open(row.item);
      }
    });
    place.replaceChildren(this.table, this.empty, this.more);
  }

  // `total`: how many there are, when not all came.
  show(items, { total = items.length, fresh = () => false } = {}) {
    this.shown = [items, { total, fresh }];
    const shown = items.slice(0, this.most);
    const kept = new Set();
    let before = null;
    for (const item of shown) {
      const key = this.key(item);
      if (kept.has(key)) {
        continue;
      }
      kept.add(key);
      let row = this.rows.get(key);
      if (!row) {
        row = make("tr", { tabindex: "-1", class: fresh(item) ? "new" : undefined });
        row.cells_ = this.columns.map(({ name, kind, head }) => {
          const cell = make(head ? "th" : "td", { scope: head ? "row" : undefined, "data-label": name, "data-kind": kind });
          row.append(cell);
          return { cell, said: undefined };
        });
        this.rows.set(key, row);
      }
      row.item = item;
      this.fill(row, item);
      const place = before ? before.nextSibling : this.body.firstChild;
      if (place !== row) {
        this.body.insertBefore(row, place);
      }
      before = row;
    }
    for (const [key, row] of this.rows) {
      if (!kept.has(key)) {
        const has_focus = row.contains(document.activeElement);
        const next = row.nextSibling ?? row.previousSibling;
        row.remove();
        this.rows.delete(key);
        if (has_focus && next) {
          next.focus();
        }
      }
    }
    this.table.hidden = kept.size === 0;
    this.empty.hidden = kept.size !== 0;
    put(this.empty, this.none);
    const left = total - kept.size;
    put(this.left, left > 0 ? `${count(left)} more` : "");
    this.all.hidden = items.length <= this.most && this.most !== SHOWN;
    this.more.hidden = left <= 0 && this.all.hidden;
    if (!this.body.querySelector('tr[tabindex="0"]') && this.body.firstChild) {
      this.body.firstChild.tabIndex = 0;
    }
  }

  fill(row, item) {
    row.cells_.forEach((place, index) => {
      const column = this.columns[index];
      const said = column.key ? column.key(item) : undefined;
      if (column.key && said === place.said) {
        return;
      }
      const content = column.cell(item);
      if (content instanceof Node) {
        place.cell.replaceChildren(content);
      } else {
        put(place.cell, content);
      }
      place.said = said;
    });
    if (this.label) {
      row.setAttribute("aria-label", plain(this.label(item)));
    }
  }

  stand(row) {
    for (const other of this.body.querySelectorAll('tr[tabindex="0"]')) {
      other.tabIndex = -1;
    }
    row.tabIndex = 0;
  }

  press(event) {
    const row = event.target.closest("tbody tr");
    if (!row || event.ctrlKey || event.altKey || event.metaKey) {
      return;
    }
    const on_row = event.target === row;
    const go = {
      ArrowDown: row.nextSibling,
      ArrowUp: row.previousSibling,
      Home: this.body.firstChild,
      End: this.body.lastChild,
    }[event.key];
    if (go && on_row) {
      event.preventDefault();
      this.stand(go);
      go.focus();
    } else if (event.key === "Enter" && on_row && this.open) {
      event.preventDefault();
      this.open(row.item);
    }
  }
}

// Two lines in one cell.
const lines = (first, second) => make("span", {},
  make("bdi", {}, first), second ? make("span", { class: "under" }, make("bdi", {}, second)) : null);
