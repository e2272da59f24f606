// Denied above the line, allowed below it, each with a scale of its own: allowed names are many, and
// one denial must not vanish beside them.
const SVG = "http://www.w3.org/2000/svg";
const SPANS = [{ name: "1 hour", minutes: 60, step: 1 }, { name: "6 hours", minutes: 360, step: 5 }];

const draw = (name, attributes, text) => {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) {
    node.setAttribute(key, value);
  }
  if (text !== undefined) {
    node.textContent = plain(text);
  }
  return node;
};

// The sums of each step, the latest last.
const steps = ({ minutes, layers, verdicts }, { minutes: span, step }, now) => {
  const last = Math.floor(now / 60000 / step) * step;
  const slots = Array.from({ length: span / step }, (_, index) => ({
    at: (last - span + step * (index + 1)) * 60000, allow: 0, deny: 0, other: 0, layers: {},
  }));
  for (const { at, counts } of minutes) {
    const index = Math.floor((at / 60 - (last - span + step)) / step);
    const slot = slots[index];
    if (!slot) {
      continue;
    }
    counts.forEach((by_verdict, layer) => by_verdict.forEach((number, verdict) => {
      const kind = { allow: "allow", deny: "deny" }[verdicts[verdict]] ?? "other";
      slot[kind] += number;
      if (kind === "deny" && number) {
        slot.layers[layers[layer]] = (slot.layers[layers[layer]] ?? 0) + number;
      }
    }));
  }
  return slots;
};

// Room above the highest bar that is easy to read.
const ceiling = (number) => {
  const power = 10 ** Math.floor(Math.log10(Math.max(1, number)));
  return [1, 2, 5, 10].map((factor) => factor * power).find((value) => value >= number) ?? number;
};

const hourly = (time) => new Date(time).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });

class Timeline {
  constructor() {
    this.span = SPANS[0];
    this.data = null;
    const choice = byId("timeline-span");
    this.buttons = SPANS.map((span) => {
      const button = make("button", { type: "button", class: "plain" }, span.name);
      button.addEventListener("click", () => {
        this.span = span;
        this.show();
      });
      choice.append(button);
      return button;
    });
    let width = 0;
    new ResizeObserver(([entry]) => {
      if (Math.abs(entry.contentRect.width - width) > 1) {
        width = entry.contentRect.width;
        this.show();
      }
    }).observe(byId("timeline-figure"));
  }

  show(data = this.data) {
    this.data = data;
    this.buttons.forEach((button, index) => button.setAttribute("aria-pressed", String(SPANS[index] === this.span)));
    if (!data) {
      return;
    }
    const slots = steps(data, this.span, Date.now());
    const sum = (kind) => slots.reduce((all, slot) => all + slot[kind], 0);
    const said = `In the last ${this.span.minutes === 60 ? "hour" : this.span.name}: ${count(sum("deny"))} denied, ${count(sum("allow"))} allowed`
      + (sum("other") ? `, ${count(sum("other"))} redacted or asked` : "") + ".";
    byId("timeline-figure").replaceChildren(this.picture(slots, said), this.legend());
    put(byId("timeline-text"), `${said} Allowed connections are recorded, and so counted, where the policy asks for it.`);
    this.table(slots);
  }

  legend() {
    return make("p", { class: "legend" },
      make("span", { class: "deny" }, "denied (above)"),
      make("span", { class: "allow" }, "allowed (below)"),
      make("span", { class: "other" }, "redacted or asked (above)"));
  }

  picture(slots, said) {
    const width = Math.max(280, Math.round(byId("timeline-figure").clientWidth || 800));
    const left = 38;
    const up = 92;
    const down = 48;
    const top = 14;
    const zero = top + up;
    const height = zero + down + 24;
    const picture = draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": said, width, height });
    const high = ceiling(Math.max(...slots.map((slot) => slot.deny + slot.other)));
    const low = ceiling(Math.max(...slots.map((slot) => slot.allow)));
    const grid = (y, text, kind = "axis") => {
      picture.append(draw("line", { x1: left, x2: width, y1: y, y2: y, class: kind }));
      picture.append(draw("text", { x: left - 6, y: y + 4, "text-anchor": "end" }, text));
    };
    grid(top, count(high));
    grid(zero + down, count(low));
    grid(zero, "0", "zero");
    const step = (width - left) / slots.length;
    const thick = Math.max(1, step - Math.min(3, step * 0.25));
    slots.forEach((slot, index) => {
      const x = left + index * step;
      // One denial is seen, whatever stands beside it.
      const tall = (number, most, room) => (number ? Math.max(3, (number / most) * room) : 0);
      const deny = tall(slot.deny, high, up);
      const other = tall(slot.other, high, up);
      const allow = tall(slot.allow, low, down);
      const bar = (kind, y, tallness) => tallness
        && picture.append(draw("rect", { x: x.toFixed(1), y: y.toFixed(1), width: thick.toFixed(1), height: tallness.toFixed(1), rx: Math.min(2, thick / 2), class: kind }));
      bar("deny", zero - deny, deny);
      bar("other", zero - deny - other, other);
      bar("allow", zero, allow);
    });
    const marks = width < 500 ? 3 : 6;
    for (let mark = 0; mark <= marks; mark += 1) {
      const index = Math.min(slots.length - 1, Math.round((mark / marks) * slots.length));
      const anchor = mark === 0 ? "start" : mark === marks ? "end" : "middle";
      const x = mark === marks ? width : left + index * step;
      const text = mark === marks ? "now" : hourly(slots[index].at);
      picture.append(draw("text", { x, y: height - 4, "text-anchor": anchor }, text));
    }
    return picture;
  }

  table(slots) {
    const filled = slots.filter((slot) => slot.allow + slot.deny + slot.other).reverse();
    const row = (slot) => make("tr", {},
      make("th", { scope: "row" }, hourly(slot.at)),
      make("td", { "data-kind": "number" }, count(slot.deny)),
      make("td", { "data-kind": "number" }, count(slot.allow)),
      make("td", { "data-kind": "number" }, count(slot.other)),
      make("td", {}, Object.entries(slot.layers).map(([layer, number]) => `${layer} ${count(number)}`).join(", ")));
    const head = ["From", "Denied", "Allowed", "Redacted or asked", "Denied by"];
    byId("timeline-table").replaceChildren(
      make("caption", { class: "unseen" }, "Decisions by time; times without any are left out"),
      make("thead", {}, make("tr", {}, ...head.map((name, index) =>
        make("th", { scope: "col", "data-kind": index > 0 && index < 4 ? "number" : undefined }, name)))),
      make("tbody", {}, ...filled.map(row)));
  }
}
