// Controls above the models: what is painted, opacity, block and head.

class Controls {
  constructor(explorer) {
    this.explorer = explorer;
    const { models, state } = explorer;
    const depth = Math.max(...models.map((model) => model.prompts.length));
    this.blocks = explorer.source.blocks || Array.from({ length: depth }, (_, block) => block);
    const views = { prediction: "Prediction", attention: "Attention to the prompt", image: "Image" };
    this.views = Object.entries(views).map(([value, text]) => {
      const input = make("input", { type: "radio", name: "view", value, onchange: () => explorer.set({ view: value }) });
      return make("label", {}, input, text);
    });
    this.opacity = make("input", { "aria-label": "Opacity", type: "range", min: 0, max: 1, step: 0.05, value: state.opacity,
      oninput: () => explorer.set({ opacity: Number(this.opacity.value) }) });
    this.block = make("input", { "aria-label": "Block", type: "range", min: 0, max: this.blocks.length - 1, step: 1,
      oninput: () => explorer.selectBlock(this.blocks[this.block.value]) });
    this.blockName = make("output");
    this.head = make("select", { "aria-label": "Head", onchange: () => explorer.set({ head: this.head.value === "" ? null : Number(this.head.value) }) });
    this.headLabel = make("label", {}, term("Head", "Each block attends in several heads, each with its own weights."), this.head);
    this.root = make("div", { className: "controls" },
      make("fieldset", {}, make("legend", {}, "Show"), ...this.views),
      make("label", {}, "Opacity", this.opacity),
      make("label", {}, term("Block", "The ViT has several blocks, one after the other; counted from 0, as in configs."), this.block, this.blockName),
      this.headLabel);
  }

  update() {
    const { models, state, panels } = this.explorer;
    for (const label of this.views) label.firstChild.checked = label.firstChild.value === state.view;
    this.views[1].firstChild.disabled = panels.every((panel) => panel.prompt === null);
    this.opacity.disabled = state.view === "image";
    this.block.value = this.blocks.indexOf(state.block);
    const guided = models.some((model) => model.guided.includes(state.block)) ? ", guided" : "";
    this.blockName.textContent = `${state.block} of ${this.blocks[0]} to ${this.blocks.at(-1)}${guided}`;
    const heads = Math.min(...panels.map((panel) => panel.attention?.planes ?? Infinity));
    this.headLabel.hidden = !(heads > 1 && heads < Infinity);
    if (this.headLabel.hidden) state.head = null;
    else if (this.head.length !== heads + 1) {
      if (state.head >= heads) state.head = null;
      this.head.replaceChildren(make("option", { value: "" }, `mean of ${heads}`),
        ...Array.from({ length: heads }, (_, head) => make("option", { value: head }, head)));
    }
    this.head.value = state.head ?? "";
  }
}
