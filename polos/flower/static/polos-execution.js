// What the page of an execution does beyond polos.js: values that come when they are unfolded, and
// the execution's id to be copied.
//
// Markup: <details data-polos-load> has a summary and a link; unfolded, it shows what the link's
// address with part=step answers in the link's place. <button data-polos-copy="…"> copies that.
"use strict";

(() => {
  // By their address, so that an update of the page does not take away what is being read.
  const loaded = new Map();

  async function load(details) {
    const link = details.querySelector(":scope > a");
    if (!link) return;
    const address = new URL(link.href);
    address.searchParams.set("part", "step");
    if (!loaded.has(address.href)) {
      const options = { headers: { "X-Requested-With": "fetch" }, cache: "no-store", redirect: "manual" };
      const answer = await fetch(address, options).catch(() => null);
      // The link stays, and leads to a page that says what is wrong.
      if (!answer?.ok) return;
      loaded.set(address.href, await answer.text());
    }
    const fresh = new DOMParser().parseFromString(loaded.get(address.href), "text/html");
    if (link.isConnected) link.replaceWith(...fresh.body.childNodes);
  }

  document.addEventListener(
    "toggle",
    (event) => {
      if (event.target.open && "polosLoad" in event.target.dataset) load(event.target);
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
