// Elements of the page, numbers of the answers, and colours.

/** Make an element with properties, listeners ("onclick") and children. */
function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** Make a word with an explanation, which the pointer and the keyboard reach. */
function term(word, explanation) {
  return make("span", { className: "term", tabIndex: 0, "data-tip": explanation, "aria-description": explanation }, word);
}

/** Decode little-endian integers of 16 bits. */
function integers(text) {
  return new Uint16Array(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

/** Decode numbers of 0 or more, as integers and the size of a step. */
function quantised({ scale, values }) {
  return { steps: integers(values), step: scale / 65535 };
}

function percent(share) {
  if (share === 0) return "0\u00a0%";
  return share < 0.001 ? "<0.1\u00a0%" : `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)}\u00a0%`;
}

function rgb(colour) {
  return `rgb(${colour.join(",")})`;
}

/** Return the indices of the largest values, the largest first. */
function largest(values, count) {
  return Array.from(values.keys()).sort((a, b) => values[b] - values[a]).slice(0, count);
}

/** Make a line of a bar chart: a name, a bar, and a number. */
function bar(name, share, most, colour, properties = {}) {
  const width = most > 0 ? (100 * share) / most : 0;
  return make(properties.onclick ? "button" : "div", { className: "bar", ...properties },
    make("span", { className: "bar-name" }, name),
    make("span", { className: "bar-room" }, make("span", { className: "bar-fill", style: `width:${width}%;background:${colour}` })),
    make("span", { className: "bar-number" }, percent(share)));
}

/** Make the scale of the colours of shares, from 0 to the largest. */
function scale(text, most, heat) {
  return make("div", { className: "scale" }, `${text}: 0\u00a0%`,
    make("i", { style: `background:linear-gradient(90deg,${heat.map(rgb).join(",")})` }), percent(most));
}
