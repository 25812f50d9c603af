// The form that starts a workflow. Needs polos-ask.js and polos-fields.js before it.
"use strict";

(() => {
  const { ask, call, make, tell, tellNext, pageOf, Problem } = window.polos;
  const { Wrong, kindOf, inputOf, membersOf, rowsOf, itemOf, whichOf, memberOf, read, fill, wire, listen } = window.polosFields;
  const form = document.getElementById("polos-start");
  const asJson = document.getElementById("polos-as-json");
  const fields = document.getElementById("polos-fields");
  const jsonField = document.getElementById("polos-json");
  const root = fields.querySelector("[data-field]");

  // -- as JSON -----------------------------------------------------------------------------

  const readPayload = () => read(asJson.checked ? jsonField : root);

  asJson.addEventListener("change", () => {
    clearWrong();
    try {
      if (asJson.checked) fill(jsonField, read(root));
      else fillFrom(read(jsonField));
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      asJson.checked = !asJson.checked;
      showWrong(error.field, error.message).focus();
    }
    fields.hidden = asJson.checked;
    jsonField.hidden = !asJson.checked;
  });

  function fillFrom(value) {
    fill(root, value);
    if (!contains(read(root), value)) tell("Some of that JSON has no place in the form and is left out of it.", { bad: true });
  }

  function contains(shown, value) {
    if (value === null || value === undefined) return true;
    if (typeof value !== "object") return String(shown) === String(value);
    return typeof shown === "object" && shown !== null && Object.keys(value).every((key) => contains(shown[key], value[key]));
  }

  // -- what is wrong -----------------------------------------------------------------------

  const all = form.querySelector("[data-wrong-all]");

  function clearWrong() {
    for (const text of form.querySelectorAll("[data-wrong], [data-wrong-all]")) {
      text.hidden = true;
      text.textContent = "";
    }
    for (const input of form.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
  }

  // Say it at a field; what is to get the focus.
  function showWrong(field, message) {
    const text = field.querySelector(":scope > [data-wrong]");
    text.textContent += `${text.textContent && "\n"}${message}`;
    text.hidden = false;
    const isGroup = field.nodeName === "FIELDSET";
    const input = isGroup ? field.querySelector("select, input, button") : inputOf(field);
    if (!isGroup) input.setAttribute("aria-invalid", "true");
    for (let details = field.closest("details"); details; details = details.parentElement.closest("details")) details.open = true;
    return input || text;
  }

  // The field that an error's location leads to, as far as that goes.
  function fieldAt(location) {
    let field = root;
    for (const step of location) field = below(field, step) || field;
    return field;
  }

  function below(field, step) {
    switch (kindOf(field)) {
      case "object":
        return membersOf(field).find((member) => member.dataset.name === String(step));
      case "list":
        return rowsOf(field)[step] && itemOf(rowsOf(field)[step]);
      case "dict":
        return rowsOf(field).filter((row) => row.querySelector("[data-row-key]").value === String(step)).map(itemOf)[0];
      case "union": {
        // Pydantic puts the member's name in between: what that leads to nowhere is passed over.
        const which = whichOf(field).value;
        return which === "" ? undefined : below(memberOf(field, which), step);
      }
      default:
        return undefined;
    }
  }

  function showErrors(errors) {
    const focusable = errors.map(({ loc, msg }) => {
      const [part, ...rest] = loc;
      const option = form.querySelector(`[data-option="${CSS.escape(part ?? "")}"]`);
      if (option) return showWrong(option, msg);
      const where = part === "payload" ? rest : loc;
      if (asJson.checked) return showWrong(jsonField, where.length ? `${where.join(".")}: ${msg}` : msg);
      const field = fieldAt(where);
      return showWrong(field, kindOf(field) === "json" && where.length ? `${where.join(".")}: ${msg}` : msg);
    });
    all.textContent = `${errors.length === 1 ? "One thing" : `${errors.length} things`} to correct below.`;
    all.hidden = false;
    return focusable[0];
  }

  // -- starting ----------------------------------------------------------------------------

  function optionsGiven() {
    const given = {};
    for (const option of form.querySelectorAll("[data-option]")) {
      const text = inputOf(option).value.trim();
      if (text) given[option.dataset.option] = option.dataset.option === "tags" ? text.split(",").map((it) => it.trim()).filter(Boolean) : text;
    }
    return given;
  }

  // Not crypto.randomUUID: a page that came without TLS has none.
  function newId() {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
  }

  let going = false;

  async function start(workflow, body, question) {
    try {
      const made = await call(`workflows/${encodeURIComponent(workflow)}/executions`, body);
      going = true;
      if (made.id !== body.execution_id) tellNext(`Nothing new was started: the idempotency key is that of this execution.`);
      location.assign(pageOf(made.id));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      // An answer got lost, and it is this very start that was made.
      if (error.content.code === "ExecutionExists" && question.error.textContent) return location.assign(pageOf(body.execution_id));
      if (!error.content.errors?.length) throw error;
      question.asker = showErrors(error.content.errors);
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const button = event.submitter || form.querySelector("[type=submit]");
    if (button.getAttribute("aria-disabled") === "true") return tell(button.dataset.polosReason, { bad: true });
    if (going) return;
    clearWrong();
    let payload;
    try {
      payload = readPayload();
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      return showWrong(error.field, error.message).focus();
    }
    const workflow = form.dataset.workflow;
    const body = { ...optionsGiven(), execution_id: newId() };
    if (payload !== undefined) body.payload = payload;
    const question = ask({
      title: `Start ${workflow}?`,
      confirm: "Start it",
      act: () => start(workflow, body, question),
    });
    question.say(payload === undefined ? "Without a payload." : make("div", {}, "With this payload:", shown(payload)));
  });

  function shown(payload) {
    const text = JSON.stringify(payload, null, 2);
    const box = make("pre", { className: "border rounded p-2 mt-2 mb-0", tabIndex: 0, "aria-label": "Payload" }, text.length > 4000 ? `${text.slice(0, 4000)}\n…` : text);
    box.style.maxHeight = "40vh";
    box.style.whiteSpace = "pre-wrap";
    box.style.overflowWrap = "anywhere";
    return box;
  }

  listen(form);
  wire(form);
  fill(root, undefined);
})();
