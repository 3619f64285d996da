// Elements made of plain values. Text goes in as text nodes only, so whatever a label or a file name holds stays text.

/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Record<string, unknown> & {on?: Record<string, (event: any) => void>, class?: string}} Attributes */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An HTML element.
 * @param {string} tag
 * @param {Attributes} [attributes] `on` holds listeners; a boolean is an attribute that is there or not.
 * @param {...(Child | Child[])} children
 * @returns {any} the element
 */
export function h(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/**
 * An SVG element.
 * @param {string} tag
 * @param {Attributes} [attributes]
 * @param {...(Child | Child[])} children
 * @returns {any} the element
 */
export function s(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * Gives an element new children in place of those it has.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function put(element, ...children) {
  element.replaceChildren(...nodes(children));
}

/**
 * Gives an element more children.
 * @param {Element} element
 * @param {...(Child | Child[])} children
 */
export function add(element, ...children) {
  element.append(...nodes(children));
}

let lastId = 0;

/**
 * An id that no other element has.
 * @param {string} [prefix]
 */
export function freshId(prefix = "id") {
  lastId += 1;
  return `${prefix}-${lastId}`;
}

/**
 * A labelled form control.
 * @param {string} label
 * @param {HTMLElement} control
 * @param {string} [hint] said under it, and by screen readers with it
 */
export function field(label, control, hint) {
  control.id ||= freshId("field");
  const told = hint ? h("span", { class: "hint", id: `${control.id}-hint` }, hint) : null;
  if (told) control.setAttribute("aria-describedby", told.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, told);
}

/**
 * A button that does something.
 * @param {string} text
 * @param {(event: Event) => void} action
 * @param {Attributes} [attributes]
 */
export function button(text, action, attributes = {}) {
  return h("button", { type: "button", ...attributes, on: { click: action } }, text);
}

/**
 * A select with its options.
 * @param {Array<[string, string]>} options value and text
 * @param {string} [value] that is chosen
 * @param {Attributes} [attributes]
 */
export function select(options, value = "", attributes = {}) {
  const made = h("select", attributes, ...options.map(([each, text]) => h("option", { value: each }, text)));
  made.value = value;
  return made;
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") listen(element, /** @type {any} */ (value));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  element.append(...nodes(children));
  return element;
}

function listen(element, listeners) {
  for (const [event, listener] of Object.entries(listeners)) element.addEventListener(event, listener);
}

function nodes(children) {
  return children
    .flat(3)
    .filter((child) => child !== null && child !== undefined && child !== false)
    .map((child) => (child instanceof Node ? child : document.createTextNode(String(child))));
}
