// What the page is made of, without what changes: landmarks, headings, tables, fields, buttons.
const name = (e) => e.getAttribute("aria-label")
  ?? (e.getAttribute("aria-labelledby") && e.id !== "state" ? document.getElementById(e.getAttribute("aria-labelledby"))?.textContent : null)
  ?? (e.labels?.[0]?.textContent) ?? e.textContent;
const lines = [];
for (const e of document.querySelectorAll("header, main, footer, section, h1, h2, h3, form, input, select, button, table, thead th, details > summary, [role=alert], [aria-live], a.skip")) {
  if (e.closest("[hidden]:not(table)") || e.closest("#lately, .copy, .more") || (e.localName !== "table" && getComputedStyle(e).display === "none")) continue;
  let depth = 0;
  for (let p = e.parentElement; p; p = p.parentElement) depth += p.matches("header, main, footer, section, form, table, details");
  const kind = e.localName + (e.id ? `#${e.id}` : "") + (e.scope ? `[scope=${e.scope}]` : "");
  const text = ["section", "header", "main", "footer", "form", "table"].includes(e.localName)
    ? (e.getAttribute("aria-labelledby") && e.id !== "state" ? name(e) : e.caption?.textContent ?? "")
    : e.matches("[aria-live], [role=alert], #state-title") ? "" : name(e);
  lines.push("  ".repeat(depth) + kind + (text ? `: ${text.trim().replace(/\s+/g, " ")}` : ""));
}
const guard = document.querySelector(".guard bdi").textContent;
return lines.join("\n").replaceAll(guard, "GUARD") + "\n";
