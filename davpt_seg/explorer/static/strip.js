// The prompts of a block, one numbered cell each, coloured by the selected patch's attention.

class Strip {
  constructor(onprompt, heat) {
    Object.assign(this, { onprompt, heat, cells: [] });
    this.row = make("div", { className: "cells", role: "group", "aria-label": "prompts of this block", onkeydown: (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const next = this.cells[(this.cells.indexOf(document.activeElement) + step + this.cells.length) % this.cells.length];
      next.focus();
      next.click();
    } });
    this.scale = make("div");
    this.root = make("div", { className: "strip" }, this.row, this.scale);
  }

  /** Show a number of prompts; assigned: names of each prompt's classes, if guidance assigned any. */
  fill(count, assigned) {
    this.assigned = assigned;
    if (this.cells.length === count) return;
    this.cells = Array.from({ length: count }, (_, prompt) => make("button", {
      className: "cell", textContent: prompt, onclick: () => this.onprompt(prompt) }));
    this.row.replaceChildren(...this.cells);
  }

  /** Colour the cells by a patch's shares, and frame the selected prompt. */
  update(shares, selected) {
    this.root.hidden = !shares;
    if (!shares) return;
    const most = Math.max(...shares) || 1;
    this.cells.forEach((cell, prompt) => {
      const level = shares[prompt] / most;
      const classes = this.assigned ? `; classes: ${this.assigned[prompt].join(", ") || "none"}` : "";
      cell.style.background = rgb(this.heat[Math.round(level * (this.heat.length - 1))]);
      cell.style.color = level > 0.5 ? "#000" : "#fff";
      cell.title = `prompt ${prompt}: ${percent(shares[prompt])} of this patch${classes}`;
      cell.setAttribute("aria-label", cell.title);
      cell.setAttribute("aria-pressed", prompt === selected);
      cell.tabIndex = prompt === (selected ?? 0) ? 0 : -1;
    });
    this.scale.replaceChildren(scale("Prompts, by the attention of the selected patch", most, this.heat));
  }
}
