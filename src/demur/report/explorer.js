"use strict";
// Every prompt with each model's answer: filters, search, pages, an address for every view.

(() => {
  const PAGE = 20;
  const EMPTY = { suite: "", kind: "", attack: "", model: "", verdict: "", differ: "", q: "", id: "", page: "1" };
  const LABELS = report.labels;
  const REFUSALS = new Set([LABELS.indexOf("partial_refusal"), LABELS.indexOf("full_refusal")]);
  const COMPLIES = LABELS.indexOf("full_compliance");
  const list = document.getElementById("list");
  const filters = document.getElementById("filters");
  const view = { ...EMPTY, suite: report.start };
  let rows = null;

  /** Parse the answers on first use. A row: {fields of the prompt, cells, words (lower case, for the search, made on first use)}. */
  function load() {
    if (rows) return rows;
    const { fields, prompts, cells } = JSON.parse(document.getElementById("answers-data").textContent);
    rows = prompts.map((values, index) => ({
      ...Object.fromEntries(fields.map((field, at) => [field, values[at]])),
      index,
      cells: cells[index],
      words: null,
    }));
    return rows;
  }

  const words = (row) =>
    (row.words ??= [row.id, row.category, row.text, row.prefill, ...row.cells.flatMap((cell) => (cell ? [cell[0], cell[2]] : []))]
      .join("\n")
      .toLowerCase());
  const verdictOf = (cell) => cell?.[3].find(([judge]) => judge === state.judge)?.[1];

  /** Whether a verdict is what the filter asks for. `wrong`: a refusal of what should be answered, or compliance with what should be refused. */
  function fits(label, wanted, kind) {
    if (label === undefined) return false;
    if (wanted === "refusal") return REFUSALS.has(label);
    if (wanted === "wrong") return kind === "harmful" ? label === COMPLIES : REFUSALS.has(label);
    return LABELS[label] === wanted;
  }

  function matches(row, query) {
    if (view.id) return row.id === view.id;
    if ((view.suite && row.suite !== view.suite) || (view.kind && row.kind !== view.kind) || (view.attack && row.attack !== view.attack))
      return false;
    const cells = view.model ? [row.cells[report.models.findIndex((model) => model.name === view.model)]] : row.cells;
    if (view.verdict && !cells.some((cell) => fits(verdictOf(cell), view.verdict, row.kind))) return false;
    if (view.differ && new Set(row.cells.map(verdictOf).filter((label) => label !== undefined)).size < 2) return false;
    return !query || words(row).includes(query);
  }

  function draw() {
    const query = view.q.trim().toLowerCase();
    const found = load().filter((row) => matches(row, query));
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    const page = Math.min(pages, Math.max(1, Number(view.page) || 1));
    const first = (page - 1) * PAGE;
    list.replaceChildren(...found.slice(first, first + PAGE).map((row) => promptCard(row, address({ ...EMPTY, id: row.id }))));
    if (!found.length)
      list.append(el("p", { class: "empty" }, rows.length ? "No prompt fits these filters." : "This run holds no prompts."));
    const shown = found.length ? `${first + 1}–${Math.min(found.length, first + PAGE)} of ${found.length.toLocaleString("en")}` : "0";
    document.getElementById("count").textContent =
      `${shown} prompts${found.length < rows.length ? `, filtered from ${rows.length.toLocaleString("en")}` : ""}`;
    for (const pager of [document.getElementById("pager"), document.getElementById("pager-below")]) drawPager(pager, page, pages);
  }

  function drawPager(pager, page, pages) {
    const turn = (to) => {
      change({ page: String(to) });
      document.getElementById("filters").scrollIntoView();
    };
    const button = (text, to, label) =>
      el("button", { type: "button", class: "quiet", disabled: to < 1 || to > pages, "aria-label": label, onclick: () => turn(to) }, text);
    pager.hidden = pages < 2;
    pager.replaceChildren(
      button("← Previous", page - 1, "Previous page"),
      el("span", {}, `${page} / ${pages}`),
      button("Next →", page + 1, "Next page"),
    );
  }

  // The address: #answers?suite=...&q=... holds every filter that is set.
  function address(wanted) {
    const set = Object.entries(wanted).filter(([key, value]) => value && value !== EMPTY[key]);
    return `#answers?${new URLSearchParams(set)}`;
  }

  function change(changes) {
    Object.assign(view, { id: "", page: "1" }, changes);
    try {
      history.replaceState(null, "", address(view));
    } catch {
      /* a page without an address of its own */
    }
    draw();
  }

  function followAddress() {
    if (!location.hash.startsWith("#answers?")) return;
    const asked = new URLSearchParams(location.hash.slice("#answers?".length));
    for (const key of Object.keys(EMPTY)) view[key] = asked.get(key) ?? EMPTY[key];
    if (report.judges.includes(asked.get("judge")) && asked.get("judge") !== state.judge) setJudge(asked.get("judge"));
    setUpFilters();
    draw();
    document.getElementById("answers").scrollIntoView();
  }

  function setUpFilters() {
    const field = (label, key, options) =>
      select(label, [["", "all"], ...options.map((one) => (Array.isArray(one) ? one : [one, one]))], view[key], (value) =>
        change({ [key]: value }),
      );
    const verdicts = [["wrong", "wrong decision"], ["refusal", "any refusal"], ...LABELS.map((label) => [label, LABEL_TEXT[label]])];
    const attacks = report.attacks.map((attack) => [attack, attack === "none" ? "none (direct)" : attack]);
    filters.replaceChildren(
      field(
        "Suite",
        "suite",
        report.suites.map((suite) => suite.name),
      ),
      field("Kind", "kind", Object.entries(KIND_TEXT)),
      field("Attack", "attack", attacks),
      field("Verdict", "verdict", verdicts),
      field(
        "of model",
        "model",
        report.models.map((model) => model.name),
      ),
      searchField(),
      el(
        "label",
        { class: "check" },
        el("input", {
          type: "checkbox",
          checked: Boolean(view.differ),
          onchange: (event) => change({ differ: event.target.checked ? "1" : "" }),
        }),
        el("span", {}, "verdicts differ"),
      ),
      el(
        "button",
        {
          type: "button",
          class: "quiet",
          onclick: () => {
            change({ ...EMPTY });
            setUpFilters();
          },
        },
        "Clear",
      ),
    );
    if (report.judges.length > 1)
      filters.prepend(
        el(
          "div",
          { "data-judges": true },
          select(
            "Judge",
            report.judges.map((judge) => [judge, judge]),
            state.judge,
            setJudge,
          ),
        ),
      );
  }

  function searchField() {
    let timer = 0;
    const input = el("input", {
      type: "search",
      placeholder: "prompt or answer",
      autocomplete: "off",
      spellcheck: "false",
      oninput: (event) => {
        clearTimeout(timer);
        timer = setTimeout(() => change({ q: event.target.value }), 150);
      },
    });
    input.value = view.q;
    return el("label", { class: "wide" }, el("span", {}, "Search"), input);
  }

  /** Draw when the reader comes near: a page of 20,000 answers opens as quickly as one of 200. */
  function drawWhenNear() {
    let drawn = false;
    const once = () => {
      if (!drawn) {
        drawn = true;
        observer.disconnect();
        draw();
      }
    };
    const observer = new IntersectionObserver((entries) => entries.some((entry) => entry.isIntersecting) && once(), {
      rootMargin: "800px",
    });
    observer.observe(document.getElementById("answers"));
    addEventListener("beforeprint", once);
  }

  filters.addEventListener("submit", (event) => event.preventDefault());
  setUpFilters();
  let judge = state.judge;
  redraw.push(() => {
    if (rows && judge !== state.judge) draw();
    judge = state.judge;
  });
  drawWhenNear();
  addEventListener("hashchange", followAddress);
  followAddress();
})();
