// Keeps parts of a page up to date, and what other scripts of the tab share: window.polos.
//
// Markup: an element with data-polos-live="<part>" shows what the page's address with part=<part>
// answers, asked every data-polos-every seconds (2) until it has data-polos-ended on or in it.
// Elements with data-key (or an id) are the same ones after an update, wherever they have moved.
// The text of data-polos-announce="<what>" is read out when it has changed. A button with
// data-polos-pause stops all of it; where a page has none, one is made. A <details> into which a
// script has loaded something, and set its polosLoaded to the data-polos-load that it had then,
// keeps that as long as the attribute is the same.
"use strict";

(() => {
  const PARTS = "[data-polos-live]";
  const SLOWEST = 60;
  const ROOT = document.currentScript.src.replace(/\/polos\/static\/.*$/, "");

  // -- elements ----------------------------------------------------------------------------

  // An element with these properties and children; "on…" and "className" are properties too.
  function make(tag, given = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(given)) {
      if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  const keyOf = (node) => (node.nodeType === 1 ? node.dataset?.key || node.id || "" : "");

  const alike = (old, fresh) =>
    old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && keyOf(old) === keyOf(fresh);

  // Make one element like another, with as few changes as that takes: what has the focus, is
  // selected, unfolded or scrolled stays so. False where a selected text was left as it was.
  function patch(old, fresh) {
    if (old.nodeType !== 1) return patchText(old, fresh);
    patchAttributes(old, fresh);
    if (old.polosLoaded !== undefined && old.polosLoaded === old.dataset.polosLoad) {
      return patch(old.firstElementChild, fresh.firstElementChild);
    }
    return patchChildren(old, fresh);
  }

  function patchText(old, fresh) {
    if (old.nodeValue === fresh.nodeValue) return true;
    const selection = window.getSelection();
    if (!selection.isCollapsed && selection.containsNode(old, true)) return false;
    old.nodeValue = fresh.nodeValue;
    return true;
  }

  function patchAttributes(old, fresh) {
    const mine = (name) => name === "open" && (old.nodeName === "DETAILS" || old.nodeName === "DIALOG");
    for (const { name, value } of fresh.attributes) {
      if (!mine(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!mine(name) && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
  }

  function patchChildren(old, fresh) {
    const wanted = [...fresh.childNodes];
    const kept = new Set(wanted.map(keyOf).filter(Boolean));
    const keyed = new Map();
    for (const child of old.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
    let whole = true;
    let place = old.firstChild;
    for (const child of wanted) {
      while (place && keyOf(place) && !kept.has(keyOf(place))) place = removed(place);
      const moved = keyed.get(keyOf(child));
      const found = keyOf(child) ? moved : place;
      if (found && alike(found, child)) {
        if (found === place) place = place.nextSibling;
        else old.insertBefore(found, place);
        whole = patch(found, child) && whole;
      } else {
        old.insertBefore(document.importNode(child, true), place);
      }
    }
    while (place) place = removed(place);
    return whole;
  }

  function removed(node) {
    const next = node.nextSibling;
    node.remove();
    return next;
  }

  // -- telling -----------------------------------------------------------------------------

  const spoken = make("div", { className: "visually-hidden", role: "status" });

  function announce(text) {
    spoken.textContent = text;
  }

  function said(element) {
    const texts = new Map();
    for (const it of element.querySelectorAll("[data-polos-announce]")) {
      texts.set(it.dataset.polosAnnounce, it.textContent.trim());
    }
    return texts;
  }

  function announceChanges(before, after) {
    const changes = [...after].filter(([what, text]) => before.has(what) && before.get(what) !== text);
    const shown = changes.slice(0, 3).map(([what, text]) => `${what}: ${text}`);
    if (changes.length > 3) shown.push(`and ${changes.length - 3} more have changed`);
    if (shown.length) announce(shown.join(". "));
  }

  // What happened, to be seen and read out. Bad news, and what has a link, stay until closed.
  function tell(text, { bad = false, link = null } = {}) {
    const close = make("button", { type: "button", className: "btn-close me-2 m-auto", "aria-label": "Close" });
    const body = make("div", { className: "toast-body" }, text);
    if (link) body.append(" ", make("a", { href: link.href }, link.text));
    const toast = make(
      "div",
      { className: "toast show bg-body text-body border", role: bad ? "alert" : "status", "data-polos-toast": bad ? "bad" : "good" },
      make("div", { className: "d-flex" }, body, close),
    );
    close.addEventListener("click", () => toast.remove());
    const shelf = document.getElementById("toast-container") || document.body;
    shelf.append(toast);
    while (shelf.querySelectorAll("[data-polos-toast]").length > 5) shelf.querySelector("[data-polos-toast]").remove();
    if (!bad && !link) setTimeout(() => toast.remove(), 8000);
  }

  // -- the time ----------------------------------------------------------------------------

  // How many milliseconds this clock is ahead of the server's, which tells whole seconds.
  let ahead = 0;

  function hear(date) {
    const found = Date.now() - Date.parse(date);
    if (Math.abs(found - ahead) > 2000) ahead = found;
  }

  const now = () => Date.now() - ahead;

  // -- live parts --------------------------------------------------------------------------

  let parts = [];
  let paused = false;

  class Part {
    constructor(element) {
      this.element = element;
      this.every = Number(element.dataset.polosEvery) || 2;
      this.ended = isEnded(element);
      this.failures = 0;
      this.etag = null;
      this.timer = 0;
      this.asking = null;
    }

    // In so many seconds, if it is to be asked at all.
    plan(seconds) {
      clearTimeout(this.timer);
      if (!this.ended && !paused && !document.hidden && !this.asking) {
        this.timer = setTimeout(() => this.refresh(), seconds * 1000);
      }
    }

    stop() {
      clearTimeout(this.timer);
      this.asking?.abort();
      this.asking = null;
    }

    async refresh() {
      this.stop();
      const asking = new AbortController();
      this.asking = asking;
      try {
        await this.ask(asking.signal);
        this.failures = 0;
      } catch (error) {
        if (asking.signal.aborted) return;
        this.failures += 1;
      }
      if (this.asking !== asking) return;
      this.asking = null;
      this.plan(this.pause());
      showState();
    }

    pause() {
      return Math.min(this.every * 2 ** this.failures, Math.max(SLOWEST, this.every));
    }

    async ask(signal) {
      const address = new URL(location.href);
      address.searchParams.set("part", this.element.dataset.polosLive);
      address.hash = "";
      const headers = this.etag ? { "If-None-Match": this.etag } : {};
      const answer = await fetch(address, { headers, signal, cache: "no-store", redirect: "manual" });
      hear(answer.headers.get("Date"));
      if (answer.status === 304) return;
      if (answer.ok) this.show(await answer.text(), answer.headers.get("ETag"));
      else if (answer.type === "opaqueredirect" || [401, 403, 404, 410].includes(answer.status)) {
        this.ended = true;
        this.gone = true;
      } else throw new Error(`status ${answer.status}`);
    }

    show(html, etag) {
      const fresh = new DOMParser().parseFromString(`<template>${html}</template>`, "text/html");
      const content = fresh.querySelector("template").content;
      const root = content.firstElementChild;
      const whole = root && root.dataset.polosLive === this.element.dataset.polosLive;
      const before = said(this.element);
      const done = whole ? patch(this.element, root) : patchChildren(this.element, content);
      // What was left out because it is selected comes with the next answer.
      this.etag = done ? etag : null;
      this.ended = isEnded(this.element);
      announceChanges(before, said(this.element));
      this.element.dispatchEvent(new CustomEvent("polos:refreshed", { bubbles: true }));
    }
  }

  const isEnded = (element) =>
    element.hasAttribute("data-polos-ended") || element.querySelector("[data-polos-ended]") !== null;

  // Ask for all parts now, as after an action: also one that had ended may have begun again.
  function refresh() {
    for (const part of parts) {
      if (!part.gone) part.refresh();
    }
  }

  const state = make("span", { className: "polos-live-state", role: "status" });
  const pauseButton = () => document.querySelector("[data-polos-pause]");

  function showState() {
    const failing = parts.filter((part) => part.failures && !part.ended);
    const open = parts.filter((part) => !part.ended);
    let text = paused ? "Paused" : "Live";
    if (failing.length) {
      text = `Not reachable, trying again in ${Math.round(failing[0].pause())} s`;
    } else if (parts.some((part) => part.gone)) {
      text = "No longer there, or you are signed out: load the page again";
    } else if (!open.length) {
      text = "Ended";
    }
    if (state.textContent !== text) state.textContent = text;
    state.classList.toggle("polos-bad", failing.length > 0);
    const button = pauseButton();
    if (button) {
      button.hidden = !open.length;
      button.setAttribute("aria-pressed", String(paused));
    }
  }

  function pause(on) {
    paused = on;
    for (const part of parts) {
      if (on) part.stop();
      else if (!part.ended) part.refresh();
    }
    showState();
  }

  function begin() {
    document.body.append(spoken);
    const elements = [...document.querySelectorAll(PARTS)];
    if (!elements.length) return;
    parts = elements.map((element) => new Part(element));
    if (!pauseButton()) {
      const button = make("button", { type: "button", className: "btn btn-sm btn-outline-secondary", "data-polos-pause": "" }, "Pause");
      elements[0].before(make("div", { className: "polos-live-bar d-flex gap-2 align-items-center justify-content-end" }, button));
    }
    pauseButton().before(state);
    document.addEventListener("click", (event) => {
      if (event.target.closest("[data-polos-pause]")) pause(!paused);
    });
    document.addEventListener("visibilitychange", () => {
      for (const part of parts) {
        if (document.hidden) part.stop();
        else if (!paused && !part.ended) part.refresh();
      }
    });
    for (const part of parts) part.plan(part.every);
    showState();
  }

  window.polos = { ROOT, make, announce, tell, now, refresh, begin };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
