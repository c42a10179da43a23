"use strict";
// The rows of the report: a table that sorts, filters, searches and opens. Text enters by textContent alone.
(async () => {
  const at = (id) => document.getElementById(id);
  const make = (name, text, classes) => {
    const made = document.createElement(name);
    if (text !== undefined && text !== null) made.textContent = text;
    if (classes) made.className = classes;
    return made;
  };
  const plural = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

  async function unpacked() {
    const holder = at("data");
    if (!holder.hasAttribute("data-squeezed")) return JSON.parse(holder.textContent);
    const bytes = Uint8Array.from(atob(holder.textContent.trim()), (c) => c.charCodeAt(0));
    const plain = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return JSON.parse(await new Response(plain).text());
  }

  function theme() {
    const button = at("theme");
    const dark = () => getComputedStyle(document.documentElement).colorScheme.includes("dark");
    const name = () => {
      button.textContent = dark() ? "Light" : "Dark";
      button.setAttribute("aria-label", `${button.textContent} colours`);
    };
    button.addEventListener("click", () => {
      document.documentElement.dataset.theme = dark() ? "light" : "dark";
      name();
    });
    name();
    button.hidden = false;
  }

  function copying() {
    for (const command of document.querySelectorAll("[data-command]")) {
      const button = make("button", "Copy", "copy");
      button.type = "button";
      button.setAttribute("aria-label", `Copy: ${command.textContent}`);
      button.addEventListener("click", async () => {
        try {
          await navigator.clipboard.writeText(command.textContent);
          button.textContent = "Copied";
        } catch {
          getSelection().selectAllChildren(command); // no clipboard: it is marked, to be copied by hand
          button.textContent = "Marked";
        }
      });
      command.after(button);
    }
  }

  function pieces(parts, trait) {
    const text = make("p");
    for (const part of parts) {
      if (typeof part === "number") {
        text.append(make("span", ` (${part.toLocaleString("en")} characters left out) `, "gap"));
      } else if (typeof part === "string") {
        text.append(part);
      } else {
        const ranks = part[1].filter(([which]) => which === trait).map(([, rank]) => rank);
        text.append(ranks.length ? make("mark", part[0], Math.min(...ranks) === 0 ? "first" : "next") : part[0]);
      }
    }
    return text;
  }

  const plain = (parts) => parts.map((part) => (typeof part === "string" ? part : typeof part === "number" ? " " : part[0])).join("");

  function talk(title, content) {
    const box = make("div", null, "talk");
    box.append(make("div", title, "label"), content);
    return box;
  }

  function turnShown(turn, trait, name) {
    const shown = make("div", null, "turn");
    shown.dataset.turn = turn.turn;
    if (turn.prompt && plain(turn.prompt)) shown.append(talk("prompt", pieces(turn.prompt, trait)));
    const both = make("div", null, "pair turn");
    both.append(talk(`answer in the data: ${plural(turn.tokens || 0, "token")}; marked: highest windows for ${name}`, pieces(turn.text, trait)));
    if (turn.base) {
      const own = plain(turn.base) ? pieces(turn.base, trait) : make("p", "(it ended at once)");
      both.append(talk(turn.refused ? "the model’s own response: a refusal" : "the model’s own response", own));
    }
    shown.append(both);
    return shown;
  }

  function start(all) {
    const data = all.rows;
    const body = at("body");
    if (!data || !body) return;
    const PAGE = 50; // lines that are shown at first, and more of at a time
    const state = { trait: 0, key: "score", down: true, most: PAGE };
    const opened = new Set();
    const chooser = at("by"), which = at("which"), search = at("search"), fold = at("fold"), reveal = at("reveal");
    const sides = data.lines.some((line) => line.side), ids = data.lines.some((line) => line.id !== null);
    const columns = [
      ["row", "row", "number", (l) => l.row],
      ...(sides ? [["side", "side", "", (l) => l.side]] : []),
      ...(ids ? [["id", "id", "", (l) => l.id]] : []),
      ["score", "", "number", (l) => l.scores[state.trait]],
      ["place", "in run", "number", (l) => l.scores[state.trait]],
      ["flags", "flagged for", "", (l) => l.flags.length],
      ["tokens", "tokens", "number", (l) => l.tokens],
      ["refused", "base refused", "", (l) => Number(l.refused)],
      ...(data.lines.some((l) => l.label) ? [["label", "label", "", (l) => l.label]] : []),
      ...(data.lifted ? [["lift", "second detector", "number", (l) => (l.lifts[state.trait] || {}).place]] : []),
      ["excerpt", "", "", null],
    ];
    const texts = (line) => (data.texts[line.row] || []).find((side) => side.side === line.side) || { turns: [], of: 0 };
    const haystacks = new Map();
    const haystack = (line) => haystacks.get(line) || haystacks.set(line, gathered(line)).get(line);
    const gathered = (line) => [line.row, line.id, line.where, line.group, line.label, ...line.notes, ...(data.texts[line.row] || [])
      .flatMap((side) => side.turns.flatMap((turn) => [turn.prompt, turn.text, turn.base].filter(Boolean).map(plain)))]
      .join("\n").toLowerCase();

    function excerpt(line) {
      for (const rank of [0, 1, 2]) {
        for (const turn of texts(line).turns) {
          const first = turn.text.findIndex((part) => Array.isArray(part) && part[1].some(([t, r]) => t === state.trait && r === rank));
          if (first >= 0) return (first ? "… " : "") + plain(turn.text.slice(first)).slice(0, 160);
        }
      }
      return texts(line).turns.length ? plain(texts(line).turns[0].text).slice(0, 160) : "";
    }

    function wanted(line) {
      if (which.value === "flagged") return line.flags.length > 0;
      if (which.value === "refused") return line.refused;
      if (which.value === "odd") return line.lifts.some((lift) => lift && lift.odd);
      if (which.value === "labelled") return line.label !== null;
      return which.value === "all" || line.kind === which.value;
    }

    function ordered(lines) {
      const value = columns.find(([key]) => key === state.key)[3];
      const missing = (v) => v === null || v === undefined;
      return lines.map((line) => [value(line), line]).sort(([a, x], [b, y]) => {
        if (missing(a) || missing(b)) return Number(missing(a)) - Number(missing(b)) || x.row - y.row;
        const order = typeof a === "string" || typeof b === "string" ? String(a).localeCompare(String(b), "en", { numeric: true }) : a - b;
        return (state.down ? -order : order) || x.row - y.row;
      }).map(([, line]) => line);
    }

    const keyOf = (line) => `${line.row}/${line.side || ""}`;

    function detail(line, id) {
      const name = data.traits[state.trait].name;
      const cell = make("div", null, "inner"), wide = make("td");
      wide.colSpan = columns.length;
      wide.append(cell);
      const group = line.group && !line.where.startsWith(line.group) ? `, group ${line.group}` : "";
      cell.append(make("p", `${line.where}${group}${line.kind === "sample" ? "; from the sample" : ""}`, "where"));
      for (const note of line.notes) cell.append(make("p", note, "where"));
      for (const remark of line.remarks) cell.append(make("p", remark, "where"));
      const scores = make("table", null, "scores");
      data.traits.forEach((trait, j) => {
        const row = make("tr"), head = make("th", trait.name);
        head.scope = "row";
        const mark = line.flags.includes(j) ? "flagged" : "";
        row.append(head, make("td", line.shown[j], "number"), make("td", line.places[j], "number"), make("td", mark));
        if (line.lifts[j]) row.append(make("td", `second detector ${line.lifts[j].place}${line.lifts[j].odd ? ": they disagree" : ""}`));
        scores.append(row);
      });
      cell.append(scores);
      const rows = data.texts[line.row] || [];
      for (const side of rows) {
        if (rows.length > 1 && side.side) cell.append(make("h3", side.side));
        for (const turn of side.turns) cell.append(turnShown(turn, state.trait, name));
        if (side.of > side.turns.length) cell.append(make("p", `${plural(side.of - side.turns.length, "scored turn")} more`, "gap"));
      }
      if (line.like.length) cell.append(make("p", `Nearly the same answer: row ${line.like.join(", ")}`, "where"));
      const more = make("p", "All of it: ", "where");
      more.append(make("code", `screen show ${data.run} ${line.row} --full`));
      cell.append(more);
      const row = make("tr", null, "detail");
      row.id = id;
      row.dataset.of = keyOf(line);
      row.append(wide);
      return row;
    }

    function lineShown(line, number) {
      const row = make("tr", null, line.flags.includes(state.trait) ? "line flagged" : "line");
      Object.assign(row.dataset, { row: line.row, kind: line.kind, flagged: line.flags.length ? "1" : "0" });
      if (line.side) row.dataset.side = line.side;
      const id = `detail-${number}`, open = opened.has(keyOf(line));
      const button = make("button", line.row.toLocaleString("en"), "open");
      button.type = "button";
      button.setAttribute("aria-expanded", String(open));
      button.setAttribute("aria-label", `Row ${line.row}${line.side ? `, ${line.side}` : ""}: open its texts`);
      if (open) button.setAttribute("aria-controls", id);
      button.addEventListener("click", () => {
        const now = !opened.has(keyOf(line));
        if (now) { opened.add(keyOf(line)); row.after(detail(line, id)); button.setAttribute("aria-controls", id); }
        else { opened.delete(keyOf(line)); row.nextElementSibling.remove(); button.removeAttribute("aria-controls"); }
        button.setAttribute("aria-expanded", String(now));
      });
      const cells = {
        row: button, side: line.side, id: line.id, score: line.shown[state.trait], place: line.places[state.trait],
        flags: line.flags.map((j) => data.traits[j].name).join(", "), tokens: line.tokens === null ? "-" : line.tokens.toLocaleString("en"),
        refused: line.refused ? "yes" : "", label: line.label, lift: line.lifts[state.trait] ? line.lifts[state.trait].place : "-",
        excerpt: reveal.checked ? excerpt(line) : line.where,
      };
      for (const [key, , classes] of columns) {
        const cell = make(key === "row" ? "th" : "td", null, `${classes} ${key}`.trim());
        if (key === "row") cell.scope = "row";
        if (key === "excerpt" && reveal.checked) cell.classList.add("text");
        cell.append(cells[key] === null ? "" : cells[key]);
        if (key === "row" && fold.checked && line.like.length) cell.append(make("span", ` +${line.like.length} alike`, "small"));
        row.append(cell);
      }
      return open ? [row, detail(line, id)] : [row];
    }

    function heads() {
      const row = at("heads");
      row.replaceChildren();
      for (const [key, title, classes, value] of columns) {
        const head = make("th", null, classes);
        head.scope = "col";
        const shown = key === "score" ? data.traits[state.trait].name
          : key === "excerpt" ? (reveal.checked ? "answer, from its highest window on" : "where (texts are hidden)") : title;
        if (value) {
          const button = make("button", shown);
          button.type = "button";
          button.dataset.sort = key;
          button.addEventListener("click", () => {
            Object.assign(state, { down: state.key === key ? !state.down : key !== "row" && key !== "id", key });
            draw();
            row.querySelector(`[data-sort="${key}"]`).focus();
          });
          head.append(button);
          head.setAttribute("aria-sort", state.key !== key ? "none" : state.down ? "descending" : "ascending");
        } else {
          head.textContent = shown;
        }
        row.append(head);
      }
    }

    function draw() {
      const words = search.value.trim().toLowerCase();
      let lines = data.lines.filter(wanted);
      if (words) lines = lines.filter((line) => haystack(line).includes(words));
      const matching = lines.length;
      if (fold.checked && !words) {
        const present = new Set(lines.map((line) => line.row)); // a row is folded under one that is there
        lines = lines.filter((line) => line.under === null || !present.has(line.under));
      }
      heads();
      const now = ordered(lines).slice(0, state.most);
      body.replaceChildren(...now.flatMap(lineShown));
      const folded = matching - lines.length;
      at("more").hidden = now.length === lines.length;
      at("shown").textContent = `${plural(now.length, "row")} shown${now.length < lines.length ? ` of ${lines.length.toLocaleString("en")} that match` : ""}${folded ? `, ${folded.toLocaleString("en")} near-duplicates folded` : ""}, of ${data.lines.length.toLocaleString("en")} in this report`;
    }

    const again = () => { state.most = PAGE; draw(); };
    for (const control of [which, fold]) control.addEventListener("change", again);
    reveal.addEventListener("change", draw);
    chooser.addEventListener("change", () => { state.trait = Number(chooser.value); again(); });
    search.addEventListener("input", again);
    at("more").addEventListener("click", () => { state.most += PAGE; draw(); });
    at("controls").hidden = false;
    draw();
  }

  function heads(all) {
    for (const place of document.querySelectorAll("[data-head]")) {
      place.closest("details").addEventListener("toggle", () => {
        place.textContent = all.scanned.heads[Number(place.dataset.head)];
      }, { once: true });
    }
  }

  function printing() {
    let closed = [];
    addEventListener("beforeprint", () => {
      closed = [...document.querySelectorAll("details.box:not([open])")];
      for (const box of closed) box.open = true; // what is behind a click for its text stays there
    });
    addEventListener("afterprint", () => { for (const box of closed) box.open = false; });
  }

  theme();
  copying();
  printing();
  const all = await unpacked();
  heads(all);
  start(all);
  document.documentElement.dataset.ready = "yes";
})();
