"use strict";
(() => {
  // Milliseconds between updates. Rotations and findings take minutes.
  const EVERY = 5000;
  // Milliseconds without an answer after which the page turns pale.
  const STALE = 15000;
  const link = document.getElementById("link");
  const version = link.textContent;
  let fetched = performance.now();
  let lost = false;
  let busy = false;

  // An update would lose the selection of somebody who copies a command.
  const selecting = () => !document.getSelection().isCollapsed;

  const filter = document.getElementById("filter");
  const choice = document.getElementById("namespace");
  const hiddenRows = document.getElementById("hidden-rows");

  // Shows what is in the chosen namespace, and what is in no known one.
  const narrow = () => {
    const rows = [...document.querySelectorAll("#main [data-ns]")];
    const names = new Set(rows.map((row) => row.dataset.ns));
    if (choice.value) names.add(choice.value);
    const wanted = ["", ...[...names].sort()];
    if (wanted.join() !== [...choice.options].map((one) => one.value).join()) {
      const options = wanted.map((name) => new Option(name || "all", name, false, name === choice.value));
      choice.replaceChildren(...options);
    }
    for (const row of rows) row.hidden = choice.value !== "" && row.dataset.ns !== choice.value;
    const hidden = rows.filter((row) => row.hidden).length;
    hiddenRows.textContent = hidden ? `${hidden} of other namespaces are hidden` : "";
    filter.hidden = names.size < 2;
  };

  const copy = async (button) => {
    const command = button.previousElementSibling;
    try {
      await navigator.clipboard.writeText(command.textContent);
    } catch {
      // Over plain HTTP, browsers offer the clipboard only to pages of this machine.
      const selection = document.getSelection();
      selection.selectAllChildren(command);
      if (!document.execCommand("copy")) return;
      selection.removeAllRanges();
    }
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };

  const prepare = () => {
    for (const button of document.querySelectorAll("button.copy")) button.hidden = false;
    narrow();
  };

  const showAge = () => {
    const age = performance.now() - fetched;
    const secs = Math.round(age / 1000);
    document.documentElement.classList.toggle("stale", lost && age > STALE);
    link.classList.toggle("lost", lost);
    const pace = selecting() ? `paused while text is selected: ${secs} s old` : "updates every 5 s";
    const text = lost ? `The agent does not answer: this page is ${secs} s old` : `${version} · ${pace}`;
    if (link.textContent !== text) link.textContent = text;
  };

  const replace = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html");
    const [now, then] = [document.getElementById("main"), next.getElementById("main")];
    if (!then) throw new Error("another page");
    const open = [...now.querySelectorAll("details[open]")].map((one) => one.id);
    const focus = document.activeElement?.closest("details[id]")?.id;
    for (const id of open) then.querySelector("#" + CSS.escape(id))?.setAttribute("open", "");
    now.replaceWith(document.adoptNode(then));
    prepare();
    if (focus) document.getElementById(focus)?.querySelector("summary")?.focus({ preventScroll: true });
    document.title = next.title;
  };

  const update = async () => {
    if (busy || document.hidden || selecting()) return;
    busy = true;
    try {
      const answer = await fetch("/", { cache: "no-store", signal: AbortSignal.timeout(EVERY * 2) });
      if (!answer.ok) throw new Error(answer.status);
      replace(await answer.text());
      fetched = performance.now();
      lost = false;
    } catch {
      lost = true;
    } finally {
      busy = false;
      showAge();
    }
  };

  choice.addEventListener("change", narrow);
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (button) copy(button);
  });
  prepare();
  setInterval(update, EVERY);
  setInterval(showAge, 1000);
  document.addEventListener("visibilitychange", update);
  showAge();
})();
