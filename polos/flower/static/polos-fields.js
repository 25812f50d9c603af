// The fields of a form: reads them as JSON and fills them, adds and removes rows. What a field is
// like, polos-field.html says. Needs polos.js before it.
"use strict";

(() => {
  const { announce } = window.polos;
  let ids = 0;

  class Wrong extends Error {
    constructor(field, text) {
      super(text);
      this.field = field;
    }
  }

  // -- looking around ----------------------------------------------------------------------

  const kindOf = (field) => field.dataset.field;
  const isNullable = (field) => "nullable" in field.dataset;
  const isRequired = (field) => "required" in field.dataset;
  const defaultOf = (field) => ("default" in field.dataset ? JSON.parse(field.dataset.default) : undefined);
  const inputOf = (field) => field.querySelector("[data-value]");
  const inside = (field) => field.querySelector(":scope > [data-inside]");
  const membersOf = (field) => [...inside(field).children].filter((it) => it.dataset.field);
  const rowsOf = (field) => [...field.querySelector(":scope > [data-rows]").children];
  const itemOf = (row) => row.querySelector(":scope > [data-field]");
  const givenOf = (field) => field.querySelector(":scope > label > [data-given]");
  const whichOf = (field) => field.querySelector(":scope > label > [data-which]");
  const memberOf = (field, number) => field.querySelector(`:scope > [data-member="${number}"] > [data-field]`);

  // -- reading -----------------------------------------------------------------------------

  // What is left out: null where that is what one has to say, else nothing at all.
  function nothing(field) {
    const given = defaultOf(field);
    return isNullable(field) && (isRequired(field) || (given !== undefined && given !== null)) ? null : undefined;
  }

  // The value of a field; undefined where it is left out. What isn't a value of its kind is sent
  // as it was typed: the workflow's own model says best what is wrong with it.
  const READ = {
    none: () => undefined,
    const: (field) => JSON.parse(field.dataset.const),
    object(field) {
      if (givenOf(field) && !givenOf(field).checked) return nothing(field);
      const found = {};
      for (const member of membersOf(field)) {
        const value = read(member);
        if (value !== undefined) found[member.dataset.name] = value;
      }
      return found;
    },
    union(field) {
      const which = whichOf(field).value;
      return which === "" ? nothing(field) : read(memberOf(field, which));
    },
    list(field) {
      const values = rowsOf(field).map((row) => read(itemOf(row))).map((value) => value ?? null);
      return values.length || isRequired(field) || defaultOf(field)?.length ? values : nothing(field);
    },
    dict(field) {
      const rows = rowsOf(field);
      const found = {};
      for (const row of rows) {
        const key = row.querySelector("[data-row-key]").value;
        if (Object.hasOwn(found, key)) throw new Wrong(itemOf(row), `There are two values with the key ${JSON.stringify(key)}.`);
        Object.defineProperty(found, key, { value: read(itemOf(row)) ?? null, enumerable: true });
      }
      return rows.length || isRequired(field) || Object.keys(defaultOf(field) ?? {}).length ? found : nothing(field);
    },
    boolean(field) {
      const input = inputOf(field);
      if (input.type === "checkbox") return input.checked;
      return input.value === "" ? nothing(field) : JSON.parse(input.value);
    },
    json(field) {
      const text = inputOf(field).value.trim();
      if (!text) return nothing(field);
      try {
        return JSON.parse(text);
      } catch (error) {
        throw new Wrong(field, `This is not JSON: ${error.message}`);
      }
    },
  };

  const TYPED = {
    choice: (text) => JSON.parse(text),
    integer: number,
    number,
    moment: (text, field) => text + zoneAt(text, field.querySelector("[data-zone]").value),
  };

  // As text where JavaScript's numbers can't hold it: Pydantic takes that as well.
  function number(text) {
    const value = Number(text.trim());
    const exact = Number.isFinite(value) && (!Number.isInteger(value) || Number.isSafeInteger(value));
    return text.trim() && exact ? value : text.trim();
  }

  function zoneAt(text, zone) {
    if (zone !== "here") return zone;
    const minutes = -new Date(text).getTimezoneOffset();
    const two = (value) => String(value).padStart(2, "0");
    return `${minutes < 0 ? "-" : "+"}${two(Math.trunc(Math.abs(minutes) / 60))}:${two(Math.abs(minutes) % 60)}`;
  }

  function read(field) {
    const kind = kindOf(field);
    if (READ[kind]) return READ[kind](field);
    const text = inputOf(field).value;
    if (text === "") return ["text", "line", "secret"].includes(kind) && defaultOf(field) && !isNullable(field) ? "" : nothing(field);
    return TYPED[kind] ? TYPED[kind](text, field) : text;
  }

  const MOMENT = /^(\d{4}-\d\d-\d\dT[\d:]{5,8})(?:\.\d+)?(Z|[+-]\d\d:\d\d|)$/;

  // -- filling -----------------------------------------------------------------------------

  const FILL = {
    none() {},
    const() {},
    object(field, value) {
      if (givenOf(field)) give(field, value !== undefined && value !== null);
      for (const member of membersOf(field)) {
        const own = value?.[member.dataset.name];
        fill(member, own === undefined ? defaultOf(member) : own);
      }
    },
    union(field, value) {
      const fitting = value === undefined || value === null ? -1 : fittingMember(field, value);
      choose(field, fitting < 0 ? "" : String(fitting));
      if (fitting >= 0) fill(memberOf(field, fitting), value);
    },
    list(field, value) {
      for (const row of rowsOf(field)) row.remove();
      for (const item of Array.isArray(value) ? value : []) fill(itemOf(addRow(field)), item);
    },
    dict(field, value) {
      for (const row of rowsOf(field)) row.remove();
      for (const [key, item] of Object.entries(value ?? {})) {
        const row = addRow(field);
        row.querySelector("[data-row-key]").value = key;
        fill(itemOf(row), item);
      }
    },
    boolean(field, value) {
      const input = inputOf(field);
      if (input.type === "checkbox") input.checked = value === true;
      else input.value = typeof value === "boolean" ? String(value) : "";
    },
    choice(field, value) {
      inputOf(field).value = value === undefined || value === null ? "" : JSON.stringify(value);
    },
    json(field, value) {
      const none = value === undefined || (value === null && !isRequired(field) && (defaultOf(field) ?? null) === null);
      inputOf(field).value = none ? "" : JSON.stringify(value, null, 2);
    },
    moment(field, value) {
      const [, text, zone] = MOMENT.exec(String(value ?? "")) || [null, "", "Z"];
      inputOf(field).value = ["", "Z"].includes(zone) ? text : new Date(value).toISOString().slice(0, 19);
      field.querySelector("[data-zone]").value = zone === "" ? "" : "Z";
    },
  };

  function fill(field, value) {
    const kind = kindOf(field);
    if (FILL[kind]) FILL[kind](field, value);
    else if (value === undefined || value === null) inputOf(field).value = "";
    else inputOf(field).value = typeof value === "object" ? JSON.stringify(value) : String(value);
  }

  // The member of a union that a value is most likely of.
  function fittingMember(field, value) {
    const members = [...field.querySelectorAll(":scope > [data-member] > [data-field]")];
    const points = members.map((member) => likeness(member, value));
    const most = Math.max(...points);
    return most > 0 ? points.indexOf(most) : -1;
  }

  function likeness(field, value) {
    const kind = kindOf(field);
    if (kind === "json") return 0.5;
    if (Array.isArray(value)) return kind === "list" ? 1 : 0;
    if (typeof value === "object") return kind === "dict" ? 1 : kind === "object" ? likenessOfObject(field, value) : 0;
    if (typeof value === "number") return { integer: Number.isInteger(value) ? 2 : 0, number: 1.5, decimal: 1.2 }[kind] ?? 0;
    if (typeof value === "boolean") return kind === "boolean" ? 1 : 0;
    if (kind === "choice") return [...inputOf(field).options].some((it) => it.value === JSON.stringify(value)) ? 2 : 0;
    return ["integer", "number", "boolean", "list", "dict", "object"].includes(kind) ? 0 : 1;
  }

  function likenessOfObject(field, value) {
    let points = 1;
    for (const member of membersOf(field)) {
      const own = value[member.dataset.name];
      if (kindOf(member) === "const" && own !== undefined && own !== READ.const(member)) return 0;
      points += own === undefined ? 0 : 1;
    }
    return points;
  }

  // -- rows, parts, kinds ------------------------------------------------------------------

  function give(field, on) {
    givenOf(field).checked = on;
    inside(field).hidden = !on;
  }

  function choose(field, which) {
    whichOf(field).value = which;
    for (const member of field.querySelectorAll(":scope > [data-member]")) member.hidden = member.dataset.member !== which;
  }

  function addRow(field) {
    const row = document.importNode(field.querySelector(":scope > template").content, true).querySelector("[data-row]");
    field.querySelector(":scope > [data-rows]").append(row);
    wire(row);
    for (const inner of row.querySelectorAll("[data-field]")) {
      if (inner.parentElement.closest("[data-field]") === field) fill(inner, defaultOf(inner));
    }
    numberRows(field);
    return row;
  }

  function numberRows(field) {
    rowsOf(field).forEach((row, index) => {
      row.querySelector(":scope > [data-remove]").setAttribute("aria-label", `Remove ${field.dataset.name || "item"} ${index + 1}`);
    });
  }

  // What is said about a field, and what is wrong with it, is read out with it.
  function wire(scope) {
    for (const field of scope.querySelectorAll(".polos-field")) {
      const texts = [...field.children].filter((it) => "about" in it.dataset || "wrong" in it.dataset);
      for (const text of texts) text.id ||= `polos-about-${(ids += 1)}`;
      const told = field.nodeName === "FIELDSET" ? field : inputOf(field);
      if (told && texts.length) told.setAttribute("aria-describedby", texts.map((it) => it.id).join(" "));
    }
  }

  function listen(form) {
    form.addEventListener("click", pressed);
    form.addEventListener("change", changed);
  }

  function pressed(event) {
    const button = event.target.closest("[data-add], [data-remove]");
    if (!button) return;
    const field = button.closest("[data-field]:is(fieldset)");
    if ("add" in button.dataset) {
      focusOn(addRow(field));
    } else {
      const list = button.closest("[data-rows]").parentElement;
      button.closest("[data-row]").remove();
      numberRows(list);
      list.querySelector(":scope > [data-add]").focus();
      announce("Removed.");
    }
  }

  function changed(event) {
    const field = event.target.closest("[data-field]");
    if ("given" in event.target.dataset) give(field, event.target.checked);
    if ("which" in event.target.dataset) choose(field, event.target.value);
  }

  function focusOn(scope) {
    const shown = [...scope.querySelectorAll("input, select, textarea, button")].find((it) => it.checkVisibility());
    shown?.focus();
  }

  window.polosFields = { Wrong, kindOf, inputOf, membersOf, rowsOf, itemOf, whichOf, memberOf, read, fill, wire, listen };
})();
