// The list: filters that apply at once, how long what has not ended has taken, what is ticked. Needs
// polos.js before it.
"use strict";

(() => {
  const PARTS = [["d", 86400], ["h", 3600], ["min", 60]];

  // As polos/model/words.py has it, in whole seconds.
  function lasting(seconds) {
    for (let index = 0; index < PARTS.length; index += 1) {
      const [unit, size] = PARTS[index];
      if (seconds >= size) {
        const [below, part] = PARTS[index + 1] || ["s", 1];
        const rest = Math.floor((seconds % size) / part);
        return `${Math.floor(seconds / size)} ${unit}${rest ? ` ${rest} ${below}` : ""}`;
      }
    }
    return `${seconds} s`;
  }

  function tick() {
    const now = window.polos.now();
    for (const element of document.querySelectorAll("[data-polos-since]")) {
      const seconds = Math.max(0, Math.floor((now - Date.parse(element.dataset.polosSince)) / 1000));
      element.textContent = lasting(seconds);
    }
  }

  function showActions() {
    const bar = document.querySelector("[data-polos-for-selected]");
    if (bar) bar.hidden = !document.querySelector("[data-polos-select]:checked");
  }

  // Who goes through the choices by keys has not chosen yet, and presses the button then.
  let byKeys = false;
  document.addEventListener("keydown", () => (byKeys = true), true);
  document.addEventListener("pointerdown", () => (byKeys = false), true);

  document.addEventListener("change", (event) => {
    const field = event.target.closest("[data-polos-submit]");
    if (field && !byKeys && !(field.dataset.polosSubmit === "but between" && field.value === "between")) {
      field.form.requestSubmit();
    }
    if (event.target.closest("[data-polos-select]")) showActions();
  });
  document.addEventListener("polos:refreshed", () => {
    tick();
    showActions();
  });
  // An empty field says nothing in the address.
  document.addEventListener("submit", (event) => {
    for (const field of event.target.querySelectorAll("select, input")) {
      if (event.target.method === "get" && field.name && !field.value) field.disabled = true;
    }
  });
  window.addEventListener("pageshow", () => {
    for (const field of document.querySelectorAll(".polos-page form :disabled")) field.disabled = false;
  });
  setInterval(tick, 1000);
  tick();
  showActions();
})();
