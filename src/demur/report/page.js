"use strict";
// What all parts of the page share: data, a safe way to build elements, marks for models, choices, the theme.
// Data is untrusted text: it becomes text nodes and attributes of fixed names, never HTML.

const report = JSON.parse(document.getElementById("report-data").textContent);
const colour = (model) => `var(--model-${(model % 8) + 1})`;
const POINTING_DOWN = {
  draw(path, size) {
    const y = Math.sqrt(size / (3 * Math.sqrt(3)));
    path.moveTo(0, 2 * y);
    path.lineTo(Math.sqrt(3) * y, -y);
    path.lineTo(-Math.sqrt(3) * y, -y);
    path.closePath();
  },
};
const SHAPES = [
  d3.symbolCircle,
  d3.symbolDiamond,
  d3.symbolTriangle,
  d3.symbolSquare,
  POINTING_DOWN,
  d3.symbolStar,
  d3.symbolWye,
  d3.symbolCross,
];
const shape = (model) => SHAPES[(model + Math.floor(model / 8)) % SHAPES.length]; // the ninth model shares a colour, not a mark
const LABEL_TEXT = {
  full_compliance: "complies",
  partial_refusal: "partly refuses",
  full_refusal: "refuses",
  incoherent: "incoherent",
  unknown: "unknown",
};
const state = { judge: report.judges[0] };
const redraw = []; // functions to call when the judge or the width changes

/** An element with attributes and children; strings become text nodes, null children and attributes are left out. */
function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") node.className = value;
    else if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** The mark of a model: its shape in its colour. */
function mark(model) {
  const svg = d3.create("svg").attr("viewBox", "-8 -8 16 16").attr("width", 14).attr("height", 14).attr("aria-hidden", "true");
  svg
    .append("path")
    .attr("d", d3.symbol(shape(model), 90)())
    .style("fill", colour(model));
  return svg.node();
}

const modelName = (model) =>
  el("span", { class: "model" }, el("span", { class: "mark" }, mark(model)), el("bdi", {}, report.models[model].name));

/** 0.934 -> "93", as the tables of the page have it. */
function percent(value) {
  const number = 100 * value;
  const edge = Math.min(number, 100 - number);
  return number.toFixed(edge > 1e-9 && edge < 1 ? 1 : 0);
}

const interval = (rate) => `[${percent(rate[1])}, ${percent(rate[2])}]`;
const shorten = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

/** A labelled select; `options` are [value, text] pairs. */
function select(label, options, value, onchange) {
  const field = el(
    "select",
    { onchange: (event) => onchange(event.target.value) },
    ...options.map(([key, text]) => el("option", { value: key }, text)),
  );
  field.value = value;
  return el("label", {}, el("span", {}, label), field);
}

function setJudge(judge) {
  state.judge = judge;
  for (const panel of document.querySelectorAll("[data-judge]")) panel.hidden = panel.dataset.judge !== judge;
  for (const field of document.querySelectorAll("[data-judges] select")) field.value = judge;
  redraw.forEach((draw) => draw());
}

function setUpJudges() {
  if (report.judges.length < 2) return;
  const options = report.judges.map((judge) => [judge, judge]);
  for (const place of document.querySelectorAll("[data-judges]")) place.append(select("Judge", options, state.judge, setJudge));
}

/** Light or dark by the system's setting, until the button chooses. */
function setUpTheme() {
  const button = document.getElementById("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const label = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to the ${isDark() ? "light" : "dark"} theme`);
  };
  const stored = remembered("demur-theme");
  if (stored === "dark" || stored === "light") document.documentElement.dataset.theme = stored;
  button.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    remember("demur-theme", document.documentElement.dataset.theme);
    label();
  });
  system.addEventListener("change", label);
  button.hidden = false;
  label();
}

// Storage is refused in some private windows and for some files; the choice then lasts as long as the page.
function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    /* see above */
  }
}

function redrawOnResize() {
  let width = document.documentElement.clientWidth;
  let timer = 0;
  addEventListener("resize", () => {
    if (document.documentElement.clientWidth === width) return;
    width = document.documentElement.clientWidth;
    clearTimeout(timer);
    timer = setTimeout(() => redraw.forEach((draw) => draw()), 120);
  });
}

for (const place of document.querySelectorAll("[data-mark]")) place.append(mark(Number(place.dataset.mark)));
setUpTheme();
setUpJudges();
for (const panel of document.querySelectorAll("[data-judge]")) panel.hidden = panel.dataset.judge !== state.judge;
redrawOnResize();
