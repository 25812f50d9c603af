// Cancel, retry and fork: asks before it acts, says what happened. Needs polos.js before it.
//
// Markup: <button data-polos-action="cancel|retry|fork" data-execution-id="…"> with, where known,
// data-workflow and data-step (the step to fork from). With data-polos-selected in place of an id
// it is about every row whose <input data-polos-select value="<id>"> is ticked. A button with
// aria-disabled="true" says its data-polos-reason and does nothing.
"use strict";

(() => {
  const { ROOT, make, tell, announce, refresh } = window.polos;
  const ENDED = new Set(["completed", "failed", "cancelled"]);
  const AT_ONCE = 4;

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
    if (project) headers["Polos-Project"] = project;
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

  // -- cancel, retry, fork -----------------------------------------------------------------

  const shortOf = (id) => (id.length > 12 ? `${id.slice(0, 8)}…` : id);
  const named = (target) => `${target.workflow || "execution"} ${shortOf(target.id)}`;
  const counted = (number, one, many) => `${number} ${number === 1 ? one : many}`;

  function cancelText(found) {
    const open = (found.children || []).filter((child) => !ENDED.has(child.status)).length;
    const children = open ? ` Its ${counted(open, "child is", "children are")} cancelled too.` : "";
    return `It is ${found.status}; what it has done so far stays done.${children}`;
  }

  function retryText(found) {
    const done = (found.steps || []).filter((step) => step.status === "completed").length;
    const kept = done ? ` ${counted(done, "step that has", "steps that have")} succeeded ${done === 1 ? "is" : "are"} not done again.` : "";
    return `It goes on where it failed${found.error ? ` (${found.error})` : ""}.${kept}`;
  }

  const ACTIONS = {
    cancel: {
      verb: "Cancel", confirm: "Cancel it", danger: true, text: cancelText,
      many: "Their children are cancelled too. What has ended stays as it is.",
      forbidden: (found) =>
        (ENDED.has(found.status) && `It has ended: it is ${found.status}.`) ||
        (found.cancel_requested_at && "It is being cancelled already."),
      async act(target) {
        const { cancelled } = await call(pathOf(target.id, "cancel"), {});
        if (!cancelled) return "had ended already";
        return target.status === "running" ? "is being cancelled: it hears of it within seconds" : "is cancelled";
      },
    },
    retry: {
      verb: "Retry", confirm: "Retry it", text: retryText,
      many: "Each goes on where it failed. Those that have not failed stay as they are.",
      forbidden: (found) => found.status !== "failed" && `Only what has failed can be tried again: it is ${found.status}.`,
      async act(target) {
        await call(pathOf(target.id, "retry"), {});
        return "is tried again";
      },
    },
  };

  async function askOne(action, target) {
    const question = ask({
      title: `${action.verb} ${named(target)}?`,
      confirm: action.confirm,
      danger: action.danger,
      act: async () => {
        const what = await action.act(target);
        tell(`${named(target)} ${what}.`);
        refresh();
      },
    });
    await lookUp(question, target, (found) => {
      const reason = action.forbidden(found);
      if (reason) question.forbid(reason);
      else question.say(action.text(found));
    });
  }

  // What is about to be done is said before it can be agreed to.
  async function lookUp(question, target, show) {
    question.say("Looking at how it stands…");
    question.go.disabled = true;
    try {
      const found = await call(pathOf(target.id));
      question.go.disabled = false;
      target.status = found.status;
      show(found);
    } catch (error) {
      question.say();
      question.fail(error);
    }
  }

  function askMany(action, targets) {
    ask({
      title: `${action.verb} ${targets.length} executions?`,
      confirm: `${action.verb} ${targets.length}`,
      danger: action.danger,
      act: async () => {
        const told = await each(targets, action);
        for (const [what, ids] of told) tell(`${counted(ids.length, "execution", "executions")}: ${what}`, { bad: ids.bad });
        refresh();
      },
    }).say(action.many);
  }

  // Act on all, a few at a time; the targets by what came of it.
  async function each(targets, action) {
    const told = new Map();
    const left = [...targets];
    const worker = async () => {
      for (let target = left.shift(); target; target = left.shift()) {
        let what, bad = false;
        try {
          what = await action.act(target);
        } catch (error) {
          [what, bad] = [error.message, true];
        }
        const ids = told.get(what) || Object.assign([], { bad });
        ids.push(target.id);
        told.set(what, ids);
      }
    };
    await Promise.all(Array.from({ length: AT_ONCE }, worker));
    return told;
  }

  // A fork's fields: the step to begin with, and the payload where it is to be another one.
  function forkFields(step) {
    const id = `polos-fork-${count}`;
    const steps = make("datalist", { id: `${id}-steps` });
    const from = make("input", { className: "form-control", id: `${id}-from`, autocomplete: "off", value: step || "" });
    from.setAttribute("list", steps.id);
    const other = make("input", { type: "checkbox", className: "form-check-input", id: `${id}-other` });
    const payload = make("textarea", { className: "form-control font-monospace", id: `${id}-payload`, rows: 8, spellcheck: false });
    const box = make("div", { className: "mb-3", hidden: true }, make("label", { className: "form-label", htmlFor: payload.id }, "Payload, JSON"), payload);
    other.addEventListener("change", () => {
      box.hidden = !other.checked;
    });
    const nodes = [
      make("div", { className: "mb-3" }, make("label", { className: "form-label", htmlFor: from.id }, "First step that runs again (all of them where left empty)"), from, steps),
      make("div", { className: "form-check mb-3" }, other, make("label", { className: "form-check-label", htmlFor: other.id }, "With another payload")),
      box,
    ];
    return { nodes, steps, from, other, payload };
  }

  function forkBody({ from, other, payload }) {
    const body = { from_step: from.value.trim() || null };
    if (!other.checked) return body;
    try {
      return { ...body, payload: JSON.parse(payload.value) };
    } catch (error) {
      payload.focus();
      throw new Problem(`The payload is not JSON: ${error.message}`);
    }
  }

  async function askFork(target) {
    const fields = forkFields(target.step);
    const question = ask({
      title: `Fork ${named(target)}?`,
      confirm: "Fork it",
      fields: fields.nodes,
      act: async () => {
        const made = await call(pathOf(target.id, "fork"), forkBody(fields));
        tell(`${named(target)} is forked:`, { link: { href: pageOf(made.id), text: named({ ...target, id: made.id }) } });
        refresh();
      },
    });
    await lookUp(question, target, (found) => {
      question.say("A new execution begins with what this one had recorded before that step. This one stays as it is.");
      const keys = (found.steps || []).map((step) => step.key);
      fields.steps.append(...keys.map((key) => make("option", { value: key })));
      fields.payload.value = JSON.stringify(found.payload ?? null, null, 2);
    });
  }

  // -- buttons -----------------------------------------------------------------------------

  function selected() {
    return [...document.querySelectorAll("input[data-polos-select]:checked")].map((box) => ({ id: box.value, workflow: box.dataset.workflow }));
  }

  function begin(button) {
    if (button.getAttribute("aria-disabled") === "true") {
      return tell(button.dataset.polosReason || "That can't be done now.", { bad: true });
    }
    const { polosAction: name, executionId: id, workflow, step } = button.dataset;
    const targets = "polosSelected" in button.dataset ? selected() : [{ id, workflow, step }];
    if (!targets.length) return announceNone();
    if (name === "fork") return askFork(targets[0]);
    return targets.length === 1 ? askOne(ACTIONS[name], targets[0]) : askMany(ACTIONS[name], targets);
  }

  function announceNone() {
    announce("Nothing is selected.");
    tell("Nothing is selected: tick the executions first.");
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-polos-action]");
    // A double click opens one dialog: the second click finds the page inert.
    if (button && !document.querySelector("dialog.polos-dialog[open]")) begin(button);
  });

  Object.assign(window.polos, { ask, call, pageOf, Problem });
})();
