"use strict";
(() => {
  // How often: rotations and findings are matters of minutes; the age below tells whether it works.
  const EVERY = 5000;
  // A page that nobody answered for this long is pale.
  const STALE = 15000;
  const link = document.getElementById("link");
  const version = link.textContent;
  let fetched = performance.now();
  let lost = false;
  let busy = false;

  // Whoever copies a command keeps what is selected.
  const selecting = () => !document.getSelection().isCollapsed;

  const tell = () => {
    const age = performance.now() - fetched;
    const secs = Math.round(age / 1000);
    document.documentElement.classList.toggle("stale", lost && age > STALE);
    link.classList.toggle("lost", lost);
    const pace = selecting() ? `text is selected: ${secs} s old` : "updates itself";
    const text = lost ? `The agent cannot be reached: this picture is ${secs} s old` : `${version} · ${pace}`;
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
      tell();
    }
  };

  setInterval(update, EVERY);
  setInterval(tell, 1000);
  document.addEventListener("visibilitychange", update);
  tell();
})();
