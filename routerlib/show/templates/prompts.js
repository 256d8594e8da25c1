// Prompts are packed in the page; a few at a time are unpacked into sight. All texts stay texts.
"use strict";
(async () => {
  const PER_PAGE = 25;
  const by = (id) => document.getElementById(id);
  const bytes = Uint8Array.from(atob(by("packed").textContent), (each) => each.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const data = JSON.parse(await new Response(stream).text());
  const looks = JSON.parse(by("looks").textContent);
  const TEXT = 0, END = 1, SCORE = 2, SECONDS = 3;

  const make = (tag, text, kind) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (kind) element.className = kind;
    return element;
  };
  const number = (value, digits) => (value === null || value === undefined ? "unknown" : value.toFixed(digits));
  const significant = (value) => String(Number(value.toPrecision(3)));

  const scoreOf = (row, arm) => row.answers[arm]?.[SCORE] ?? null;
  const scores = (row) => row.answers.map((_, arm) => scoreOf(row, arm)).filter((each) => each !== null);
  const kinds = {
    missed: (row) => row.goes >= 0 && scoreOf(row, row.goes) !== null && Math.max(...scores(row)) > scoreOf(row, row.goes),
    differ: (row) => new Set(scores(row)).size > 1,
    failed: (row) => row.answers.some((each) => each && each[END]),
    unscored: (row) => row.answers.some((each) => each && !each[END] && each[SCORE] === null),
  };
  const scored = {
    right: (value) => value === 1,
    between: (value) => value !== null && value > 0 && value < 1,
    wrong: (value) => value === 0,
    none: (value) => value === null,
  };
  const haystack = data.prompts.map((row) => [row.text, row.reference, ...row.answers.map((each) => each?.[TEXT] ?? "")].join("\n").toLowerCase());

  const option = (list, value, text) => { const each = make("option", text); each.value = value; list.append(each); };
  [...new Set(data.prompts.map((row) => row.task))].sort().forEach((task) => option(by("task"), task, task));
  data.models.forEach((model, arm) => option(by("goes"), String(arm), model));
  option(by("goes"), "-1", "not tested: learnt from");

  const dotted = (model) => {
    const dot = make("span", "", "dot");
    dot.style.background = looks[model];
    return dot;
  };
  const chipsOf = (row) => {
    const chips = make("span", "", "chips");
    chips.append(make("span", row.task));
    const goes = make("span", row.goes < 0 ? "learnt from, not tested" : `goes to ${data.models[row.goes]}`);
    if (row.goes >= 0) goes.prepend(dotted(data.models[row.goes]));
    chips.append(goes);
    if (row.goes >= 0) chips.append(make("span", `score ${number(scoreOf(row, row.goes), 2)}`));
    if (kinds.failed(row)) chips.append(make("span", "a call failed or was cut off", "failed"));
    return chips;
  };
  const answerOf = (row, arm) => {
    const card = make("div", undefined, row.goes === arm ? "answer chosen" : "answer");
    const name = make("h3", data.models[arm] + (row.goes === arm ? " (chosen)" : ""));
    name.prepend(dotted(data.models[arm]));
    card.append(name);
    const answer = row.answers[arm];
    if (!answer) { card.append(make("p", "never asked", "facts")); return card; }
    const best = Math.max(...scores(row));
    const isBest = answer[SCORE] !== null && answer[SCORE] === best && scores(row).length > 1;
    const isTied = scores(row).filter((each) => each === best).length > 1;
    const facts = [`score ${number(answer[SCORE], 2)}${isBest ? (isTied ? " (best, tied)" : " (best)") : ""}`];
    if (row.expected.length) facts.push(`expected ${number(row.expected[arm], 2)}`);
    if (row.cost.length && row.cost[arm] !== null) facts.push(`$${significant(1000 * row.cost[arm])} per 1000 such prompts`);
    if (answer[SECONDS] !== null) facts.push(`${significant(answer[SECONDS])} s`);
    card.append(make("p", facts.join(", "), "facts"));
    if (answer[END]) card.append(make("p", answer[END], "failed"));
    const text = make("pre", answer[TEXT] || "(empty)");
    text.dir = "auto";
    text.tabIndex = 0;
    card.append(text);
    return card;
  };
  const fill = (details, row) => {
    const text = make("pre", row.text, "prompt");
    text.dir = "auto";
    text.tabIndex = 0;
    details.append(text);
    if (row.reference) details.append(make("p", `Reference: ${row.reference}`, "soft"));
    if (row.why) details.append(make("p", `Why: ${row.why}`, "why"));
    const answers = make("div", undefined, "answers");
    data.models.forEach((_, arm) => answers.append(answerOf(row, arm)));
    details.append(answers);
  };

  let found = [], page = 0;
  const show = () => {
    const list = by("list");
    list.replaceChildren(...found.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map((at) => {
      const row = data.prompts[at], item = make("li"), details = make("details"), summary = make("summary");
      const line = row.text.slice(0, 160).split(/\s+/).join(" ");
      const start = make("span", line + (row.text.length > 160 ? "…" : ""), "line");
      start.dir = "auto";
      summary.append(start, chipsOf(row));
      details.append(summary);
      details.addEventListener("toggle", () => { if (details.open && !details.querySelector(".answers")) fill(details, row); });
      item.append(details);
      return item;
    }));
    const pages = Math.max(Math.ceil(found.length / PER_PAGE), 1);
    by("count").textContent = `${found.length} of ${data.prompts.length} prompts`;
    by("at").textContent = `page ${page + 1} of ${pages}`;
    by("turn").hidden = pages < 2;
    by("before").disabled = page === 0;
    by("after").disabled = page + 1 >= pages;
  };
  const filter = () => {
    const wanted = by("search").value.trim().toLowerCase();
    const [task, goes, score, kind] = ["task", "goes", "score", "show"].map((id) => by(id).value);
    found = data.prompts.map((_, at) => at).filter((at) => {
      const row = data.prompts[at];
      return (!wanted || haystack[at].includes(wanted)) && (!task || row.task === task)
        && (goes === "" || row.goes === Number(goes)) && (!kind || kinds[kind](row))
        && (!score || (row.goes >= 0 && scored[score](scoreOf(row, row.goes))));
    });
    page = 0;
    show();
  };
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("filters").addEventListener("input", filter);
  by("before").addEventListener("click", () => { page -= 1; show(); });
  by("after").addEventListener("click", () => { page += 1; show(); });
  by("filters").hidden = false;
  filter();
  document.body.dataset.ready = "yes";
})();
