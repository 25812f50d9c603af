// Cancel, retry and fork: asks before it acts, says what happened. Needs polos-ask.js before it.
//
// Markup: <button data-polos-action="cancel|retry|fork" data-execution-id="…"> with, where known,
// data-workflow and data-step (the step to fork from). With data-polos-selected in place of an id
// it is about every row whose <input data-polos-select value="<id>"> is ticked. A button with
// aria-disabled="true" says its data-polos-reason and does nothing.
"use strict";

(() => {
  const { make, tell, refresh, ask, call, pathOf, pageOf, Problem } = window.polos;
  const ENDED = new Set(["completed", "failed", "cancelled"]);
  const AT_ONCE = 4;

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

  let forks = 0;

  // A fork's fields: the step to begin with, and the payload where it is to be another one.
  function forkFields(step) {
    const id = `polos-fork-${(forks += 1)}`;
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
    if (!targets.length) return tell("Nothing is selected: tick the executions first.");
    if (name === "fork" && targets.length > 1) return tell("Tick only one: each fork is asked for by itself.");
    if (name === "fork") return askFork(targets[0]);
    return targets.length === 1 ? askOne(ACTIONS[name], targets[0]) : askMany(ACTIONS[name], targets);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-polos-action]");
    // A double click opens one dialog: the second click finds the page inert.
    if (button && !document.querySelector("dialog.polos-dialog[open]")) begin(button);
  });
})();
