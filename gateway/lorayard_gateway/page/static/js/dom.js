// Elements out of values. Everything that comes from the yard becomes text: there is no way here to write HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `h("a", {href, class}, "text", child)`. Handlers are `onclick` and the like. */
export function h(tag, props, ...children) {
  return filled(document.createElement(tag), props, children);
}

/** The same of SVG. */
export function s(tag, props, ...children) {
  return filled(document.createElementNS(SVG, tag), props, children);
}

function filled(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  put(element, ...children);
  return element;
}

/** Replace what is in an element. */
export function fill(element, ...children) {
  element.replaceChildren();
  put(element, ...children);
  return element;
}

function put(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
}

/** Set a text only where it differs: what is unchanged is neither laid out nor read out again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
