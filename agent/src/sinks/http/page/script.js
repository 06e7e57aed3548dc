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

  setInterval(update, EVERY);
  setInterval(showAge, 1000);
  document.addEventListener("visibilitychange", update);
  showAge();
})();
