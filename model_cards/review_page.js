"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const ANSWERS = {
    belongs: { y: "yes", n: "no", u: "unsure" },
    written_by: { p: "person", m: "machine", u: "unsure" },
    quality: { 1: "1", 2: "2", 3: "3", 4: "4", 5: "5" },
  };
  const SAID = { belongs: "Belongs to the class", written_by: "Written by", quality: "How well it is written" };
  let coder = "";
  let place = 0;
  let ratings = {};
  let active = "belongs";
  let saved = true; // whether the file, where there is one, has everything
  let kept = true; // whether the browser keeps ratings

  // A browser may refuse storage: private windows, settings, file:// pages.
  const storage = {
    name: (who) => `synimpute-review/${data.sheet}/${who.toLowerCase()}`,
    get(key) {
      try {
        return JSON.parse(window.localStorage.getItem(key));
      } catch {
        return null;
      }
    },
    set(key, value) {
      try {
        window.localStorage.setItem(key, JSON.stringify(value));
        return true;
      } catch {
        return false;
      }
    },
  };

  const rating = (i = place) => (ratings[data.items[i].id] ??= {});
  const complete = (i) => Boolean(rating(i).belongs && rating(i).written_by);
  const count = () => data.items.filter((_, i) => complete(i)).length;
  const firstMissing = () => data.items.findIndex((_, i) => !complete(i));

  function keep() {
    kept = storage.set(storage.name(coder), { coder, place, ratings, saved });
    storage.set(`synimpute-review/${data.sheet}`, coder);
    $("storage").hidden = kept;
  }

  function tell(text) {
    $("state").textContent = text;
  }

  function show(section) {
    for (const name of ["start", "rate", "done"]) $(name).hidden = name !== section;
    $("keys-label").hidden = $("help").hidden = section !== "rate";
    showProgress();
  }

  function showProgress() {
    const rated = count();
    $("where").textContent = $("rate").hidden
      ? `${rated} of ${data.items.length} rated`
      : `Text ${place + 1} of ${data.items.length} · ${rated} rated`;
    $("fill").style.width = `${(100 * rated) / data.items.length}%`;
    $("track").setAttribute("aria-valuenow", rated);
  }

  function showItem() {
    const item = data.items[place];
    $("number").textContent = `Text ${place + 1} of ${data.items.length}`;
    $("class").textContent = item.class;
    const definition = data.definitions[item.class] || "";
    $("definition").textContent = definition;
    $("definition").hidden = !definition;
    $("text").textContent = item.text;
    $("text").className = item.text.length > 700 ? "long" : "";
    $("comment").value = rating().comment || "";
    $("back").disabled = place === 0;
    active = "belongs";
    show("rate");
    showAnswers();
    $("text").focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }

  function showAnswers() {
    for (const question of Object.keys(ANSWERS)) {
      for (const input of document.getElementsByName(question)) {
        input.checked = String(rating()[question] ?? "") === input.value;
      }
      $(question).classList.toggle("active", question === active);
    }
    showProgress();
  }

  function answer(question, value) {
    rating()[question] = question === "quality" ? Number(value) : value;
    saved = false;
    active = ["belongs", "written_by"].find((name) => !rating()[name]) ?? (question === "quality" ? "quality" : question);
    keep();
    showAnswers();
    tell(`${SAID[question]}: ${value}.`);
  }

  function clear() {
    const comment = rating().comment;
    ratings[data.items[place].id] = comment ? { comment } : {};
    saved = false;
    active = "belongs";
    keep();
    showAnswers();
    tell("The answers to this text were cleared.");
  }

  function go(to) {
    if (to >= data.items.length) return finish();
    place = Math.max(0, to);
    keep();
    tell("");
    showItem();
  }

  function finish() {
    const missing = data.items.length - count();
    $("done-title").textContent = missing ? "That was the last text" : "All texts are rated. Thank you!";
    $("left").textContent = missing
      ? `${missing} of ${data.items.length} lack an answer to one of the two questions.`
      : "";
    $("missing").hidden = !missing;
    show("done");
    (missing ? $("missing") : $("save-all")).focus();
  }

  function save() {
    const rows = data.items.map(({ id }) => ({ id, ...ratings[id] })).filter((row) => Object.keys(row).length > 1);
    const content = { format: data.format, sheet: data.sheet, coder, saved: new Date().toISOString(), ratings: rows };
    const link = document.createElement("a");
    const name = coder.replace(/[^\p{L}\p{N}._-]+/gu, "-").replace(/^[-.]+|[-.]+$/g, "") || "coder";
    link.href = URL.createObjectURL(new Blob([JSON.stringify(content, null, 1)], { type: "application/json" }));
    link.download = `ratings-${name}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    saved = true;
    keep();
    tell(`${link.download} was saved, ${count()} of ${data.items.length} texts rated.`);
  }

  function resume(found) {
    for (const item of data.items) if (found[item.id]) ratings[item.id] = { ...found[item.id] };
  }

  function lookUp() {
    const found = storage.get(storage.name($("coder").value.trim()));
    const rated = found ? Object.values(found.ratings).filter((row) => row.belongs && row.written_by).length : 0;
    $("go").firstChild.textContent = rated ? "Go on " : "Start ";
    $("kept").textContent = rated ? `${rated} of ${data.items.length} texts were rated in this browser under this name.` : "";
  }

  async function open(event) {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    let found = null;
    try {
      found = JSON.parse(await file.text());
    } catch {
      found = null;
    }
    if (found?.format !== data.format || found.sheet !== data.sheet || !Array.isArray(found.ratings)) {
      $("kept").textContent = `${file.name} was not saved by this page, or by that of another sheet.`;
      return;
    }
    ratings = {};
    resume(Object.fromEntries(found.ratings.map(({ id, ...rest }) => [id, rest])));
    $("coder").value = coder = found.coder || "";
    begin();
  }

  function begin() {
    saved = true;
    const missing = firstMissing();
    go(missing < 0 ? 0 : missing);
  }

  $("begin").addEventListener("submit", (event) => {
    event.preventDefault();
    coder = $("coder").value.trim();
    ratings = {};
    const found = storage.get(storage.name(coder));
    if (found) resume(found.ratings);
    begin();
    if (found) saved = found.saved;
  });
  $("coder").addEventListener("input", lookUp);
  $("open").addEventListener("change", open);
  $("back").addEventListener("click", () => go(place - 1));
  $("next").addEventListener("click", () => go(place + 1));
  $("again").addEventListener("click", () => go(data.items.length - 1));
  $("missing").addEventListener("click", () => go(firstMissing()));
  for (const id of ["save", "save-all"]) $(id).addEventListener("click", save);
  $("comment").addEventListener("input", () => {
    rating().comment = $("comment").value;
    saved = false;
    keep();
  });
  for (const question of Object.keys(ANSWERS)) {
    $(question).addEventListener("change", (event) => answer(question, event.target.value));
    $(question).addEventListener("focusin", (event) => {
      // A click moves the focus before it answers; only the tab key chooses a question by itself.
      if (event.target.matches(":focus-visible")) {
        active = question;
        for (const name of Object.keys(ANSWERS)) $(name).classList.toggle("active", name === active);
      }
    });
  }
  $("keys").addEventListener("change", () => document.body.classList.toggle("keys-off", !$("keys").checked));

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || !$("start").hidden) return;
    const target = event.target;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (target.matches("textarea, input[type=text]")) {
      if (key === "Escape") $("text").focus();
      return;
    }
    if (key === "Enter" && target.matches("button, [type=checkbox]")) return;
    const commands = { ArrowLeft: () => go($("rate").hidden ? data.items.length - 1 : place - 1) };
    if ($("keys").checked) commands.s = save;
    if (!$("rate").hidden) {
      Object.assign(commands, { ArrowRight: () => go(place + 1), Enter: () => go(place + 1) });
      if ($("keys").checked) Object.assign(commands, answering(key), { c: () => $("comment").focus(), Delete: clear });
    }
    if (Object.hasOwn(commands, key)) {
      event.preventDefault();
      commands[key]();
    }
  });

  function answering(key) {
    const asked = key === "u" ? (ANSWERS[active].u ? active : "written_by") : null;
    const question = asked ?? Object.keys(ANSWERS).find((name) => Object.hasOwn(ANSWERS[name], key));
    return question ? { [key]: () => answer(question, ANSWERS[question][key]) } : {};
  }

  window.addEventListener("beforeunload", (event) => {
    if (!kept && !saved) event.preventDefault();
  });

  $("coder").value = storage.get(`synimpute-review/${data.sheet}`) || "";
  $("storage").hidden = storage.set("synimpute-review", 1);
  lookUp();
  show("start");
  $("coder").focus();
})();
