// Which prompt each class was assigned to, over training.

function showHistory(panel) {
  const { model, prompt } = panel;
  const head = make("tr", {}, make("th", {}, "class"), ...model.history.map(({ when }) => make("th", {}, when)));
  const rows = model.classes.map((name, label) => make("tr", {},
    make("th", {}, make("i", { style: `background:${rgb(model.palette[label])}` }), name),
    ...model.history.map(({ map }, i) => make("td", {
      className: (map[label] === prompt ? "own " : "") + (i && model.history[i - 1].map[label] !== map[label] ? "moved" : ""),
    }, map[label]))));
  const dialog = make("dialog", { className: "history", onclose: () => dialog.remove() },
    make("h3", {}, "Prompt of each class over training"),
    make("p", {}, `Framed: prompt ${prompt}. Bold: the class moved to another prompt.`),
    make("div", { className: "scroll" }, make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows))),
    make("button", { className: "plain", onclick: () => dialog.close() }, "Close"));
  panel.explorer.root.append(dialog);
  dialog.showModal();
}
