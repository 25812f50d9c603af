// What the page of an execution does beyond polos.js: values that come when they are unfolded, and
// the execution's id to be copied.
"use strict";

(() => {
  // By their address, so that an update of the page does not take away what is being read.
  const loaded = new Map();

  async function load(details) {
    const address = details.dataset.polosLoad;
    if (loaded.has(address)) return put(details, loaded.get(address));
    const answer = await fetch(address, { headers: { "X-Requested-With": "fetch" }, cache: "no-store" });
    if (!answer.ok) return;
    loaded.set(address, await answer.text());
    put(details, loaded.get(address));
  }

  function put(details, html) {
    const summary = details.querySelector(":scope > summary");
    const fresh = new DOMParser().parseFromString(html, "text/html");
    details.replaceChildren(summary, ...fresh.body.childNodes);
    details.dataset.polosLoaded = "";
  }

  document.addEventListener(
    "toggle",
    (event) => {
      const details = event.target;
      if (details.open && "polosLoad" in details.dataset && !("polosLoaded" in details.dataset)) load(details);
    },
    true,
  );

  document.addEventListener("polos:refreshed", (event) => {
    for (const details of event.target.querySelectorAll("details[open][data-polos-load]")) load(details);
  });

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-polos-copy]");
    if (!button) return;
    try {
      await navigator.clipboard.writeText(button.dataset.polosCopy);
      window.polos?.announce?.("Copied");
      button.firstChild.nodeValue = "Copied";
      setTimeout(() => (button.firstChild.nodeValue = "Copy"), 2000);
    } catch {
      // Where the clipboard is not allowed, the id is selected to be copied by hand.
      window.getSelection().selectAllChildren(document.getElementById("execution-id"));
    }
  });

  // A step that the address names is unfolded.
  function unfold() {
    const step = location.hash.startsWith("#s-") && document.getElementById(location.hash.slice(1));
    const details = step && step.querySelector("details");
    if (details) details.open = true;
  }
  window.addEventListener("hashchange", unfold);
  unfold();
})();
