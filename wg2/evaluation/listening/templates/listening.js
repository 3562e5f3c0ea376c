"use strict";
const $ = (id) => document.getElementById(id);
const test = JSON.parse($("test").textContent);
const sounds = JSON.parse($("sounds").textContent);
const COLUMNS = ["page_id", "listener_id", "test", "trial", "code_a", "code_b", "rating", "seconds", "time"];
const PARTS = {
  mos: {
    question: "How natural does this speech sound?",
    names: ["Play"],
    // the listening-quality scale of ITU-T P.800
    options: [["5", "Excellent", "5"], ["4", "Good", "4"], ["3", "Fair", "3"], ["2", "Poor", "2"], ["1", "Bad", "1"]],
    keys: "<kbd>Space</kbd> plays, <kbd>1</kbd> to <kbd>5</kbd> rate, <kbd>→</kbd> or <kbd>Enter</kbd> goes on, <kbd>←</kbd> goes back.",
  },
  ab: {
    question: "Which of the two sounds more natural?",
    names: ["Play A", "Play B"],
    options: [["a", "A sounds more natural", "1"], ["none", "No preference", "2"], ["b", "B sounds more natural", "3"]],
    keys: "<kbd>Space</kbd> plays A, then B (<kbd>A</kbd> and <kbd>B</kbd> one of them), <kbd>1</kbd> to <kbd>3</kbd> answer, <kbd>→</kbd> or <kbd>Enter</kbd> goes on, <kbd>←</kbd> goes back.",
  },
};

// ---- a listener's own order: the same for the same ID on the same page ----

function generator(text) { // FNV-1a seeds mulberry32
  let state = 2166136261;
  for (const byte of new TextEncoder().encode(text)) state = Math.imul(state ^ byte, 16777619);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function shuffled(items, random) { // Fisher-Yates
  const order = [...items];
  for (let last = order.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other], order[last]];
  }
  return order;
}

function spread(trials) { // no sentence twice in a row where that can be avoided
  const rest = [...trials], order = [];
  while (rest.length) {
    const last = order.length ? order[order.length - 1].sentence : -1;
    const left = (trial) => rest.filter((other) => other.sentence === trial.sentence).length;
    const others = rest.filter((trial) => trial.sentence !== last);
    const crowded = others.find((trial) => left(trial) * 2 > rest.length);
    order.push(...rest.splice(rest.indexOf(crowded || others[0] || rest[0]), 1));
  }
  return order;
}

function planFor(listener) {
  const random = generator(`${test.page_id}/${listener}`);
  const numbers = Array.from({ length: test.sentences }, (_, number) => number);
  const chosen = new Set(shuffled(numbers, random).slice(0, test.per_listener));
  const order = (trials) => spread(shuffled(trials.filter((trial) => chosen.has(trial.sentence)), random));
  const mos = order(test.mos).map((trial) => ({ kind: "mos", ...trial }));
  const ab = order(test.ab).map((trial) => ({ kind: "ab", ...trial, codes: shuffled(trial.codes, random) }));
  return [...mos, ...ab];
}

// ---- what is kept: answers by place in the plan, and which clips were heard to the end ----

const place = (listener) => `wg2-listening/${test.page_id}/${listener}`;
let plan = [], session = null, players = [], shownAt = 0;

function load(listener) {
  const empty = { listener, at: 0, answers: {}, heard: {} };
  try { return JSON.parse(localStorage.getItem(place(listener))) || empty; } catch { return empty; }
}

function keep() {
  try { localStorage.setItem(place(session.listener), JSON.stringify(session)); } catch {
    $("storage").textContent = "This browser keeps nothing: please answer everything without closing the page.";
  }
}

// ---- screens ----

function show(id) {
  for (const name of ["welcome", "trial", "done"]) $(name).hidden = name !== id;
  scrollTo(0, 0);
}

function welcome() {
  const count = planFor("").length;
  $("overview").textContent = `${count === 1 ? "One short question" : `${count} short questions`} about recorded and ` +
    "computer-made speech: how natural does it sound?";
  show("welcome");
  $("listener").focus();
}

function start(event) {
  event.preventDefault();
  const listener = $("listener").value.trim().normalize("NFC");
  const valid = /^[\p{L}\p{N}][\p{L}\p{M}\p{N}._-]*$/u.test(listener);
  $("listener").setAttribute("aria-invalid", String(!valid));
  $("listener-error").textContent = valid ? "" : "Please give an ID of letters and digits (also . _ -), without spaces.";
  if (!valid) { $("listener").focus(); return; }
  plan = planFor(listener);
  session = load(listener);
  keep();
  showTrial(session.at);
}

function element(name, attributes, ...children) {
  const made = Object.assign(document.createElement(name), attributes);
  made.append(...children);
  return made;
}

function showTrial(at) {
  stop();
  if (at >= plan.length) { finish(); return; }
  session.at = at;
  keep();
  const trial = plan[at], part = PARTS[trial.kind];
  const kinds = [...new Set(plan.map((each) => each.kind))];
  const own = plan.filter((each) => each.kind === trial.kind);
  const title = kinds.length > 1 ? `Part ${kinds.indexOf(trial.kind) + 1} of ${kinds.length}: ` : "";
  $("position").textContent = `${title}${own.indexOf(trial) + 1} of ${own.length}`;
  $("progress").max = plan.length;
  $("progress").value = at;
  $("question").textContent = part.question;
  $("keys").innerHTML = part.keys;
  $("back").disabled = at === 0;
  $("next").textContent = at === plan.length - 1 ? "Finish" : "Next";
  players = trial.codes.map((code, index) => player(code, part.names[index]));
  $("players").replaceChildren(...players.map((each) => each.button));
  $("options").replaceChildren(...part.options.map(option));
  shownAt = performance.now();
  show("trial");
  $("question").focus();
  refresh();
}

function option([value, name, key]) {
  const input = element("input", { type: "radio", name: "rating", value, onchange: () => rate(value) });
  const rating = /\d/.test(value) ? `${value}  ${name}` : name;
  return element("label", {}, input, element("span", { textContent: rating }), element("kbd", { textContent: key, ariaHidden: "true" }));
}

function refresh() { // what depends on what was heard and answered
  const trial = plan[session.at], answer = session.answers[session.at];
  const unheard = trial.codes.filter((code) => !session.heard[`${session.at}/${code}`]);
  $("ratings").disabled = unheard.length > 0;
  for (const input of document.querySelectorAll("#options input")) input.checked = Boolean(answer) && input.value === answer.rating;
  $("next").disabled = !answer;
  players.forEach((each, index) => {
    const heard = !unheard.includes(each.code), name = PARTS[trial.kind].names[index];
    each.label.textContent = each.audio.paused ? name : name.replace("Play", "Pause");
    each.mark.textContent = heard ? "✓" : "";
    each.mark.ariaLabel = heard ? "heard" : "";
  });
  const waiting = trial.kind === "ab" ? "Hear both to the end, then answer." : "Hear it to the end, then rate it.";
  $("status").textContent = unheard.length ? waiting : answer ? "Kept. You may change it, or go on." : "Now your answer.";
}

function rate(value) {
  const seconds = Number(((performance.now() - shownAt) / 1000).toFixed(2));
  session.answers[session.at] = { rating: value, seconds, time: new Date().toISOString() };
  keep();
  refresh();
}

function go(step) {
  if (step > 0 ? !session.answers[session.at] : session.at === 0) return;
  showTrial(session.at + step);
}

// ---- sounds ----

function player(code, name) {
  const bytes = Uint8Array.from(atob(sounds[code]), (letter) => letter.charCodeAt(0));
  const url = URL.createObjectURL(new Blob([bytes], { type: "audio/flac" }));
  const audio = new Audio(url);
  const label = element("span", { textContent: name }), mark = element("span", { className: "heard" });
  const bar = element("progress", { max: 1, value: 0, ariaHidden: "true" });
  const button = element("button", { type: "button", className: "play" }, label, mark, bar);
  const made = { code, audio, url, label, mark, button };
  const at = session.at;
  button.onclick = () => toggle(made);
  audio.ontimeupdate = () => { bar.value = audio.duration ? audio.currentTime / audio.duration : 0; };
  audio.onplay = audio.onpause = refresh;
  audio.onended = () => { session.heard[`${at}/${code}`] = true; bar.value = 1; keep(); refresh(); };
  audio.onerror = () => { $("status").textContent = "This browser cannot play the sound; please try another one."; };
  return made;
}

function toggle(chosen) {
  for (const each of players) if (each !== chosen) each.audio.pause();
  if (chosen.audio.paused) chosen.audio.play().catch(() => chosen.audio.onerror());
  else chosen.audio.pause();
}

function stop() {
  for (const each of players) {
    each.audio.onplay = each.audio.onpause = each.audio.onended = each.audio.onerror = each.audio.ontimeupdate = null;
    each.audio.pause();
    URL.revokeObjectURL(each.url);
  }
  players = [];
}

function space() { // the one that plays, else the first unheard, else the first
  const playing = players.find((each) => !each.audio.paused);
  toggle(playing || players.find((each) => !session.heard[`${session.at}/${each.code}`]) || players[0]);
}

// ---- keys ----

function press(event) {
  if ($("trial").hidden || event.ctrlKey || event.altKey || event.metaKey) return;
  const onButton = event.target instanceof HTMLButtonElement, key = event.key.toLowerCase();
  const chosen = PARTS[plan[session.at].kind].options.find((each) => each[2] === key);
  if (key === " " && !onButton) { if (!event.repeat) space(); }
  else if (key === "enter" && !onButton) { if (!event.repeat) go(1); }
  else if (key === "arrowright") { if (!event.repeat) go(1); }
  else if (key === "arrowleft") { if (!event.repeat) go(-1); }
  else if (players.length > 1 && (key === "a" || key === "b")) toggle(players[key === "a" ? 0 : 1]);
  else if (chosen) { if (!$("ratings").disabled) rate(chosen[0]); }
  else return;
  event.preventDefault();
}

// ---- results ----

function rows() {
  return plan.map((trial, index) => ({
    page_id: test.page_id, listener_id: session.listener, test: trial.kind, trial: index + 1,
    code_a: trial.codes[0], code_b: trial.codes[1] || "", ...session.answers[index],
  }));
}

const csv = () => [COLUMNS, ...rows().map((row) => COLUMNS.map((name) => row[name]))].map((row) => row.join(",") + "\n").join("");
const json = () => JSON.stringify({ page_id: test.page_id, listener_id: session.listener, answers: rows() }, null, 1);

function save(text, suffix, type) {
  const href = URL.createObjectURL(new Blob([text], { type }));
  element("a", { href, download: `listening-${test.page_id}-${session.listener}.${suffix}` }).click();
  setTimeout(() => URL.revokeObjectURL(href), 60000);
}

function finish() {
  session.at = plan.length;
  keep();
  $("copy").value = csv();
  show("done");
  $("thanks").focus();
}

$("start").addEventListener("submit", start);
$("back").onclick = () => go(-1);
$("next").onclick = () => go(1);
$("save-csv").onclick = () => save(csv(), "csv", "text/csv");
$("save-json").onclick = () => save(json(), "json", "application/json");
$("review").onclick = () => showTrial(plan.length - 1);
$("another").onclick = () => { $("listener").value = ""; welcome(); };
addEventListener("keydown", press);
welcome();
