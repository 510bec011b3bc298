// The page's behaviour: plots, prompts, rollouts to read, theme. Texts of models and tasks enter the document as text nodes only.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);

  /** An element with classes, and children that are nodes or plain text. */
  function make(tag, className, ...children) {
    const element = document.createElement(tag);
    if (className) element.className = className;
    element.append(...children);
    return element;
  }

  const ICONS = { right: "good", wrong: "stop", unscored: "watch" };
  function badge(kind, word) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "icon");
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
    use.setAttribute("href", `#icon-${kind}`);
    svg.append(use);
    return make("span", `badge ${kind}`, svg, word);
  }

  const show = (value) => (Number.isInteger(value) ? String(value) : value.toFixed(3)).replace("-", "−");
  const firstWords = (text, most) => { const line = text.replace(/\s+/g, " ").trim(); return line.length > most ? `${line.slice(0, most)}…` : line; };
  const question = (prompt) => prompt.turns ? prompt.turns[prompt.turns.length - 1]?.content ?? "" : "";
  const nameOf = (prompt, most) => firstWords(question(prompt) || prompt.id, most);

  // ---- theme and plots

  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";

  function inks() {
    const style = getComputedStyle(document.body);
    const probe = make("span", "");
    document.body.append(probe);
    const resolve = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
    const found = { ink: style.color, muted: resolve("--muted"), line: resolve("--line"), paper: resolve("--card") };
    probe.remove();
    return found;
  }

  function themed(layout, colours) {
    const themedLayout = { ...layout, font: { ...layout.font, color: colours.muted }, hoverlabel: { bgcolor: colours.paper, bordercolor: colours.line, font: { color: colours.ink } } };
    for (const name of Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key)))
      themedLayout[name] = { ...layout[name], gridcolor: colours.line, linecolor: colours.line, tickcolor: colours.line };
    return themedLayout;
  }

  /** Traces that Python marked as drawn in ink follow the theme, with their marks and error bars. */
  function inked(trace, colours) {
    if (trace.meta !== "ink") return trace;
    const painted = { ...trace };
    for (const part of ["line", "marker", "error_x"]) if (part === "line" || trace[part]) painted[part] = { ...trace[part], color: colours.ink };
    return painted;
  }

  function drawPlots() {
    const colours = inks();
    for (const [id, figure] of Object.entries(data.figures))
      Plotly.react(id, figure.data.map((trace) => inked(trace, colours)), themed(figure.layout, colours), { responsive: true, displayModeBar: false });
  }

  function setUpTheme() {
    const button = byId("theme");
    const relabel = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    const redraw = () => { relabel(); drawPlots(); };
    button.hidden = false;
    button.addEventListener("click", () => { document.documentElement.dataset.theme = isDark() ? "light" : "dark"; redraw(); });
    dark.addEventListener("change", redraw);
    relabel();
    document.addEventListener("DOMContentLoaded", drawPlots);  // Plotly stands last in the file, so that everything else works before it is read
  }

  // ---- a list in pages

  /** Shows `size` items at a time in `place`; returns a function that takes a new list. */
  function paged(place, pager, size, draw) {
    let items = [], page = 0;
    const previous = make("button", "", "Previous"), next = make("button", "", "Next"), where = make("span", "muted small");
    previous.type = next.type = "button";
    function refresh() {
      const last = Math.max(0, Math.ceil(items.length / size) - 1);
      page = Math.min(page, last);
      place.replaceChildren(...items.slice(page * size, (page + 1) * size).map(draw));
      where.textContent = `page ${page + 1} of ${last + 1}`;
      previous.disabled = page === 0;
      next.disabled = page === last;
      pager.hidden = last === 0;
    }
    previous.addEventListener("click", () => { page -= 1; refresh(); });
    next.addEventListener("click", () => { page += 1; refresh(); });
    pager.append(previous, where, next);
    return (list) => { items = list; page = 0; refresh(); };
  }

  // ---- prompts

  const canRead = new Set(data.rollouts.map((rollout) => rollout.prompt));

  function cell(label, className, ...children) {
    const td = make("td", className, ...children);
    td.dataset.label = label;
    return td;
  }

  function promptRow(position) {
    const prompt = data.prompts[position];
    const head = make("th", "");
    head.scope = "row";
    if (canRead.has(position)) {
      const link = make("button", "link", nameOf(prompt, 110));
      link.type = "button";
      link.title = "Read the rollouts of this prompt";
      link.addEventListener("click", () => { byId("filters").reset(); byId("by-prompt").value = String(position); filterRollouts(); byId("rollouts").scrollIntoView(); byId("by-prompt").focus({ preventScroll: true }); });
      head.append(link);
    } else head.append(nameOf(prompt, 110));
    const { scored, correct, silhouette, balanced, z } = prompt;
    const signed = (value, digits) => (value === null ? "–" : value.toFixed(digits).replace("-", "−"));
    const group = scored === 0 ? "none scored" : correct === 0 ? "all wrong" : correct === scored ? "all right" : "live";
    return make("tr", "", head, cell("Right", "figure", `${correct} of ${scored}`), cell("Group", "", make("span", `group ${group === "live" ? "live" : "dead"}`, group)),
      cell("Silhouette", "figure", signed(silhouette, 3)), cell("Balanced", "figure", signed(balanced, 3)), cell("z", "figure", signed(z, 1)));
  }

  function setUpPrompts() {
    const order = byId("prompt-order");
    if (!order) return;
    const listed = data.prompts.map((_, position) => position).filter((position) => data.prompts[position].scored !== null);
    const rate = (p) => data.prompts[p].scored ? data.prompts[p].correct / data.prompts[p].scored : -1;
    const clarity = (p, missing) => data.prompts[p].silhouette ?? missing;
    const orders = {
      table: (a, b) => a - b,
      most: (a, b) => rate(b) - rate(a),
      least: (a, b) => rate(a) - rate(b),
      clear: (a, b) => clarity(b, -9) - clarity(a, -9),
      unclear: (a, b) => clarity(a, 9) - clarity(b, 9),
      above: (a, b) => (data.prompts[b].z ?? -99) - (data.prompts[a].z ?? -99),
      below: (a, b) => (data.prompts[a].z ?? 99) - (data.prompts[b].z ?? 99),
    };
    const list = paged(byId("prompt-rows"), byId("prompt-pager"), 10, promptRow);
    const refresh = () => list([...listed].sort(orders[order.value]));
    order.addEventListener("change", refresh);
    refresh();
  }

  // ---- rollouts to read

  const SHADES = [-0.1, -0.5, -1, -2, -4, -7];  // nats: a token gets the first shade whose bound it reaches, below all of them the last
  const shadeOf = (logprob) => { const found = SHADES.findIndex((bound) => logprob >= bound); return found === -1 ? SHADES.length : found; };

  function drawLegend() {
    const swatches = SHADES.map((bound, i) => make("span", `token shade-${i}`, `≥ ${String(bound).replace("-", "−")}`));
    byId("legend").replaceChildren("log-probability of the token, nats", ...swatches, make("span", `token shade-${SHADES.length}`, `< ${String(SHADES.at(-1)).replace("-", "−")}`));
  }

  function textOf(rollout) {
    const place = make("div", "text");
    if (!rollout.text && !rollout.pieces) place.append(make("span", "muted", "(empty response)"));
    else if (rollout.pieces && byId("shade").checked) {
      let length = 0;
      rollout.pieces.forEach((piece, i) => {
        const logprob = rollout.logprobs[i];
        const token = make("span", logprob === null ? "token" : `token shade-${shadeOf(logprob)}`, piece);
        if (length >= rollout.text.length) token.classList.add("special");
        if (logprob !== null) token.title = `log-probability ${show(logprob)} nats, probability ${Math.exp(logprob).toPrecision(2)}`;
        length += piece.length;
        place.append(token);
      });
    } else place.append(rollout.text);
    if (rollout.characters > rollout.text.length && !rollout.pieces)
      place.append(make("span", "muted", `\n[the first ${rollout.text.length} of ${rollout.characters} characters]`));
    return place;
  }

  const STOPS = { eos: "stopped by itself", length: "cut at the token limit", text: "stopped behind a given text", error: "the engine failed" };

  function conversation(prompt) {
    const details = make("details", "asked", make("summary", "", make("span", "role", "prompt"), " ", nameOf(prompt, 150)));
    for (const turn of prompt.turns) details.append(make("p", "turn", make("span", "role", turn.role), " ", turn.content));
    if (prompt.target !== null && prompt.target !== undefined) details.append(make("p", "turn", make("span", "role", "target"), " ", prompt.target));
    return details;
  }

  function rolloutCard(rollout) {
    const chips = make("p", "chips", badge(ICONS[rollout.outcome], rollout.outcome));
    const chip = (label, value) => chips.append(make("span", "chip", make("span", "muted", label), " ", value));
    if (byId("by-policy") && rollout.policy) chip("policy", rollout.policy);
    if (rollout.reward !== null) chip("reward", show(rollout.reward));
    if (rollout.gold !== null) chip("gold", show(rollout.gold));
    if (rollout.answer !== null) chip("answer", firstWords(rollout.answer, 80));
    if (rollout.tokens !== null) chip("tokens", String(rollout.tokens));
    chips.append(make("span", `chip${rollout.stop === "eos" ? "" : " cut"}`, STOPS[rollout.stop] ?? `stop: ${rollout.stop}`));
    if (rollout.index !== null) chips.append(make("span", "number muted", `rollout ${rollout.index}`));
    const card = make("article", `card rollout ${rollout.outcome}`, chips, conversation(data.prompts[rollout.prompt]), textOf(rollout));
    const parts = Object.entries(rollout.parts);
    if (parts.length) card.append(make("p", "parts", make("span", "muted", "reward parts"), ...parts.map(([name, value]) => make("span", "chip", name, " ", make("b", "", show(value))))));
    if (rollout.note) card.append(make("p", "note", rollout.note));
    return card;
  }

  let listRollouts = null;

  function filterRollouts() {
    const prompt = byId("by-prompt").value, outcome = byId("by-outcome").value, order = byId("rollout-order").value;
    const from = byId("reward-from").valueAsNumber, to = byId("reward-to").valueAsNumber;
    const policy = byId("by-policy")?.value ?? "";
    const words = byId("by-text").value.trim().toLowerCase();
    const found = data.rollouts.filter((rollout) =>
      (prompt === "" || rollout.prompt === Number(prompt)) &&
      (outcome === "" || rollout.outcome === outcome) &&
      (policy === "" || rollout.policy === policy) &&
      (Number.isNaN(from) || (rollout.reward !== null && rollout.reward >= from)) &&
      (Number.isNaN(to) || (rollout.reward !== null && rollout.reward <= to)) &&
      (words === "" || searchable(rollout).includes(words)));
    if (order !== "prompt") {
      const sign = order === "high" ? -1 : 1;
      found.sort((a, b) => (a.reward === null) - (b.reward === null) || sign * (a.reward - b.reward));
    }
    byId("found").textContent = found.length ? `${found.length} ${found.length === 1 ? "rollout" : "rollouts"} found` : "No rollout fits the filter.";
    listRollouts(found);
  }

  const texts = new Map();
  function searchable(rollout) {
    if (!texts.has(rollout)) {
      const turns = data.prompts[rollout.prompt].turns.map((turn) => turn.content);
      texts.set(rollout, [rollout.text, rollout.answer ?? "", rollout.note, ...turns].join("\n").toLowerCase());
    }
    return texts.get(rollout);
  }

  function setUpRollouts() {
    const form = byId("filters");
    if (!form) return;
    const choice = byId("by-prompt");
    for (const position of canRead) {
      const option = make("option", "", nameOf(data.prompts[position], 70));
      option.value = String(position);
      choice.append(option);
    }
    listRollouts = paged(byId("rollout-rows"), byId("rollout-pager"), 8, rolloutCard);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", filterRollouts);
    form.addEventListener("reset", () => setTimeout(filterRollouts));
    byId("shade").addEventListener("change", () => { byId("legend").hidden = !byId("shade").checked; });
    drawLegend();
    filterRollouts();
  }

  // ---- responses taken apart: a row a span, shaded by the coefficient of an objective

  const STAGES = { attempt: "sampling", check: "decision", verdict: "decision" };  // as `recipes.masks`; other kinds are stages of their own
  const LEVELS = 5;
  const coefficient = (value) => value === 0 ? "0" : `${value > 0 ? "+" : "−"}${Math.abs(value).toPrecision(2).replace("-", "−")}`;
  const coefficientsOf = (exhibit, objective) => (Object.hasOwn(exhibit.coefficients, objective) ? exhibit.coefficients[objective] : null);
  const truthOf = (exhibit, index) => exhibit.spans.find((span) => span.kind.split(".")[0] === "attempt" && span.index === index)?.kind.split(".")[1];

  function labelOf(exhibit, span) {
    const [kind, known] = span.kind.split("."), number = span.index + 1;
    if (kind === "attempt") {
      const [icon, word] = known === "right" ? ["good", "right"] : known === "wrong" ? ["stop", "wrong"] : ["watch", "nobody knows"];
      return [make("b", "", `attempt ${number}`), badge(icon, word)];
    }
    if (kind === "check") return [make("b", "", `check ${number}`)];
    if (kind === "verdict") {
      const truth = truthOf(exhibit, span.index), accepts = known === "accept";
      const word = `${accepts ? "accepts" : "retries"} ${truth === "right" ? "what is right" : truth === "wrong" ? "what is wrong" : "it"}`;
      return [make("b", "", `verdict ${number}`), badge(truth === undefined ? "watch" : accepts === (truth === "right") ? "good" : "stop", word)];
    }
    return [make("span", "muted", span.kind || "in no span")];
  }

  /** All pieces in order: the spans, and what stands outside them. */
  function stretchesOf(exhibit) {
    const found = [];
    let reached = 0;
    for (const span of exhibit.spans) {
      if (span.start > reached) found.push({ kind: "", start: reached, end: span.start, index: 0 });
      found.push(span);
      reached = span.end;
    }
    if (reached < exhibit.pieces.length) found.push({ kind: "", start: reached, end: exhibit.pieces.length, index: 0 });
    return found;
  }

  function spanRow(exhibit, span, objective, largest) {
    const all = coefficientsOf(exhibit, objective), kind = span.kind.split(".")[0];
    const label = make("div", "span-label", ...labelOf(exhibit, span));
    const text = make("div", "span-text");
    for (let i = span.start; i < span.end; i += 1) {
      const token = make("span", "token", exhibit.pieces[i]);
      if (exhibit.are_tokens && exhibit.stop === "eos" && i === exhibit.num_pieces - 1) token.classList.add("special");
      if (all !== null) {
        const level = largest > 0 ? Math.ceil(LEVELS * Math.abs(all[i]) / largest) : 0;
        if (level > 0) token.classList.add(`${all[i] > 0 ? "up" : "down"}-${level}`);
        token.title = `coefficient ${coefficient(all[i])}`;
      }
      text.append(token);
    }
    if (all !== null && span.end > span.start) {
      const here = all.slice(span.start, span.end), least = coefficient(Math.min(...here)), most = coefficient(Math.max(...here));
      label.append(make("span", "muted", least === most ? `c = ${least}` : `c from ${least} to ${most}`));
    }
    const look = Object.hasOwn(STAGES, kind) ? `span-${STAGES[kind]} span-${kind}` : span.kind ? "span-other" : "";
    return make("div", `span-row ${look}`, label, text);
  }

  function exhibitCard(exhibit, objective, largest) {
    const outcome = exhibit.right === null ? "unscored" : exhibit.right ? "right" : "wrong";
    const chips = make("p", "chips", badge(ICONS[outcome], outcome));
    for (const cell of exhibit.cells) chips.append(make("span", "chip", cell));
    if (exhibit.problem) chips.append(make("span", "chip cut", exhibit.problem));
    chips.append(make("span", `chip${exhibit.stop === "eos" ? "" : " cut"}`, STOPS[exhibit.stop] ?? `stop: ${exhibit.stop}`));
    if (exhibit.are_tokens) chips.append(make("span", "chip", make("span", "muted", "tokens"), " ", String(exhibit.num_pieces)));
    chips.append(make("span", "number muted", `rollout ${exhibit.index}`));
    const asked = make("p", "asked", make("span", "role", "prompt"), " ", firstWords(exhibit.question || exhibit.prompt_id, 150));
    const rows = make("div", "trace", ...stretchesOf(exhibit).map((span) => spanRow(exhibit, span, objective, largest)));
    const card = make("article", `card rollout ${outcome}`, chips, asked, rows);
    const shown = exhibit.pieces.length;
    if (exhibit.num_pieces > shown) card.append(make("p", "muted small", `The first ${shown} of ${exhibit.num_pieces} tokens.`));
    if (objective && coefficientsOf(exhibit, objective) === null)
      card.append(make("p", "muted small", exhibit.are_tokens ? `Not counted on this response: ${objective}.` : "No coefficients: nothing says which text each token has."));
    return card;
  }

  function coefficientLegend(largest) {
    const swatches = [];
    for (let level = LEVELS; level > 0; level -= 2) swatches.push(make("span", `token down-${level}`, level === LEVELS ? coefficient(-largest) : "−"));
    swatches.push(make("span", "token", "0"));
    for (let level = 1; level <= LEVELS; level += 2) swatches.push(make("span", `token up-${level}`, level === LEVELS ? coefficient(largest) : "+"));
    return largest > 0 ? ["coefficient: − (hatched) makes the token less likely, + likelier", ...swatches] : ["every coefficient is 0 here"];
  }

  function setUpExhibits() {
    const form = byId("exhibit-filters");
    if (!form) return;
    const choice = byId("by-objective"), cells = byId("by-cell");
    const names = [...new Set(data.exhibits.flatMap((exhibit) => Object.keys(exhibit.coefficients)))];
    for (const name of [...names, ""]) {
      const option = make("option", "", name || "nothing");
      option.value = name;
      choice.append(option);
    }
    choice.value = names[0] ?? "";
    for (const cell of new Set(data.exhibits.flatMap((exhibit) => exhibit.cells))) {
      const option = make("option", "", cell);
      option.value = cell;
      cells.append(option);
    }
    let objective = "", largest = 0;
    const list = paged(byId("exhibit-rows"), byId("exhibit-pager"), 3, (exhibit) => exhibitCard(exhibit, objective, largest));
    function refresh() {
      objective = choice.value;
      largest = data.exhibits.reduce((most, exhibit) => (coefficientsOf(exhibit, objective) ?? []).reduce((one, value) => Math.max(one, Math.abs(value)), most), 0);
      byId("exhibit-legend").hidden = objective === "";
      byId("exhibit-legend").replaceChildren(...coefficientLegend(largest));
      list(data.exhibits.filter((exhibit) => cells.value === "" || exhibit.cells.includes(cells.value)));
    }
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", refresh);
    refresh();
  }

  setUpPrompts();
  setUpRollouts();
  setUpExhibits();
  setUpTheme();
})();
