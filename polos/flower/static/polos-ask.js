// The HTTP API, and dialogs that ask before something is done with it. Needs polos.js before it.
"use strict";

(() => {
  const { ROOT, make, tell } = window.polos;

  // -- the HTTP API ------------------------------------------------------------------------

  class Problem extends Error {
    constructor(text, status = 0, content = {}) {
      super(text);
      this.status = status;
      this.content = content;
    }
  }

  function headersOf(body) {
    const headers = { Accept: "application/json", "Polos-Request": "1" };
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const project = new URL(location.href).searchParams.get("project");
    if (project) headers["Polos-Project"] = encodeURIComponent(project);
    const xsrf = document.cookie.match(/(?:^|; )_xsrf=([^;]*)/);
    if (xsrf) headers["X-XSRFToken"] = decodeURIComponent(xsrf[1]);
    return headers;
  }

  // A request below /api/polos/: a POST where there is a body. Raises Problem.
  async function call(path, body) {
    const method = body === undefined ? "GET" : "POST";
    const options = { method, headers: headersOf(body), cache: "no-store" };
    if (body !== undefined) options.body = JSON.stringify(body);
    let answer;
    try {
      answer = await fetch(`${ROOT}/api/polos/${path}`, options);
    } catch {
      const unsure = body === undefined ? "" : " It may have been done all the same: look before you try again.";
      throw new Problem(`No answer came: the server can't be reached.${unsure}`);
    }
    const content = (await answer.json().catch(() => null)) ?? {};
    if (answer.ok) return content;
    throw new Problem(content.detail || content.title || `The server answered ${answer.status}.`, answer.status, content);
  }

  const pathOf = (id, verb = "") => `executions/${encodeURIComponent(id)}${verb && `/${verb}`}`;

  // In the tab, with the project that this page shows.
  function pageOf(id) {
    const address = new URL(`${ROOT}/workflows/execution/${encodeURIComponent(id)}`);
    const project = new URL(location.href).searchParams.get("project");
    if (project) address.searchParams.set("project", project);
    return address.href;
  }

  // -- the dialog --------------------------------------------------------------------------

  let count = 0;

  // Ask; ``act`` runs once it is agreed to, and the dialog closes when that has been done.
  class Question {
    constructor({ title, confirm, danger = false, fields = [], act }) {
      const id = `polos-dialog-${(count += 1)}`;
      this.act = act;
      this.busy = false;
      this.asker = document.activeElement;
      this.text = make("div", { id: `${id}-text`, className: "mb-3" });
      this.error = make("div", { className: "alert alert-danger py-2 mb-3", role: "alert", hidden: true });
      this.back = make("button", { type: "button", className: "btn btn-outline-secondary" }, "Go back");
      this.go = make("button", { type: "submit", className: `btn ${danger ? "btn-danger" : "btn-primary"}` }, confirm);
      this.form = make(
        "form",
        { method: "dialog", noValidate: true },
        make("h2", { className: "h5 mb-3 text-break", id: `${id}-title` }, title),
        this.text, ...fields, this.error,
        make("div", { className: "d-flex gap-2 justify-content-end flex-wrap" }, this.back, this.go),
      );
      this.dialog = make(
        "dialog",
        { className: "polos-dialog border rounded-3 shadow p-4 bg-body text-body", "aria-labelledby": `${id}-title`, "aria-describedby": `${id}-text` },
        this.form,
      );
      this.dialog.style.width = "min(36rem, calc(100vw - 2rem))";
      this.back.addEventListener("click", () => this.dialog.close());
      this.form.addEventListener("submit", (event) => this.agree(event));
      this.dialog.addEventListener("close", () => this.closed());
    }

    open() {
      document.body.append(this.dialog);
      this.dialog.showModal();
      this.back.focus();
      return this;
    }

    say(...content) {
      this.text.replaceChildren(...content);
    }

    forbid(reason) {
      this.say(reason);
      this.go.disabled = true;
    }

    async agree(event) {
      event.preventDefault();
      if (this.busy || this.go.disabled) return;
      this.setBusy(true);
      this.error.hidden = true;
      try {
        await this.act();
        this.dialog.close();
      } catch (error) {
        this.fail(error);
      } finally {
        this.setBusy(false);
      }
    }

    fail(error) {
      if (!(error instanceof Problem)) console.error(error);
      // Told where it is looked at: the dialog may have been left meanwhile.
      if (!this.dialog.open) return tell(error.message, { bad: true });
      this.error.textContent = error.message;
      this.error.hidden = false;
    }

    setBusy(busy) {
      this.busy = busy;
      this.go.disabled = busy;
      this.form.setAttribute("aria-busy", String(busy));
    }

    // The focus goes back to what was pressed, or to what an update has put in its place.
    closed() {
      this.dialog.remove();
      if (this.asker?.isConnected) return this.asker.focus();
      const { polosAction, executionId } = this.asker?.dataset || {};
      const again = polosAction && [...document.querySelectorAll(`[data-polos-action="${polosAction}"]`)]
        .find((button) => button.dataset.executionId === executionId);
      const main = document.getElementById("main-content");
      if (!again && main) main.tabIndex = -1;
      (again || main)?.focus();
    }
  }

  const ask = (what) => new Question(what).open();

  // -- telling on the next page ------------------------------------------------------------

  const NEXT = "polos-told";

  function tellNext(text) {
    try {
      sessionStorage.setItem(NEXT, text);
    } catch {
      // Without a storage it is not told.
    }
  }

  function tellNow() {
    try {
      const text = sessionStorage.getItem(NEXT);
      sessionStorage.removeItem(NEXT);
      if (text) tell(text);
    } catch {
      // Nor was anything kept.
    }
  }

  Object.assign(window.polos, { ask, call, pathOf, pageOf, tellNext, Problem });
  tellNow();
})();
