// One model: its image, its prompts, and what is known of the selected patch and prompt.

class Panel {
  /** explorer: the page's state and its source of answers; index: of the model. */
  constructor(explorer, index) {
    Object.assign(this, { explorer, index, model: explorer.models[index], prompt: null, attention: null, chosenThumb: null });
    this.stage = new Stage(
      (x, y) => explorer.selectPlace(x, y),
      (rows, columns) => this.step(rows, columns), explorer.heat);
    this.strip = new Strip((prompt) => explorer.selectPrompt(this, prompt), explorer.heat);
    this.legend = make("div", { className: "legend" });
    this.patchCard = make("section", { className: "card patch", "aria-label": "selected patch" });
    this.promptCard = make("section", { className: "card", "aria-label": "selected prompt" });
    this.root = make("section", { className: "panel", "aria-label": this.model.name },
      make("h2", { title: this.model.method }, this.model.name, make("small", {}, this.model.method)),
      make("div", { className: "content" },
        make("div", { className: "seen" }, this.stage.root, this.legend),
        make("div", { className: "details" }, this.strip.root,
          make("div", { className: "cards" }, this.patchCard, this.promptCard))));
  }

  /** Load the prediction of an image and the attention in a block. */
  async load(image, block) {
    const look = await this.explorer.source.look(this.index, image);
    const prompts = this.model.prompts[block] || 0;
    const answer = prompts ? await this.explorer.source.attention(this.index, image, block) : null;
    return () => {
      if (this.look !== look) {
        this.look = look;
        this.top = { classes: integers(look.classes), shares: quantised(look.probabilities) };
        this.stage.showImage(look);
      }
      this.attention = answer && new Attention(answer, prompts, (look.rows.length - 1) * (look.columns.length - 1));
      this.strip.fill(prompts, this.model.assigned[block]);
      if (this.prompt !== null && this.prompt >= prompts) this.prompt = null;
    };
  }

  step(rows, columns) {
    const last = (edges) => edges.length - 2;
    const row = Math.min(last(this.look.rows), Math.max(0, this.patch[0] + rows));
    const column = Math.min(last(this.look.columns), Math.max(0, this.patch[1] + columns));
    this.explorer.selectPlace(...this.stage.centre(row, column));
  }

  /** Return the index of the selected patch. */
  place() {
    return this.patch[0] * (this.look.columns.length - 1) + this.patch[1];
  }

  /** Return the prompt to which the selected patch attends most, if there are prompts. */
  strongest() {
    return this.attention && largest(this.attention.ofPatch(this.explorer.state.head, this.place()), 1)[0];
  }

  /** Draw what the page's state selects. */
  update() {
    const { state } = this.explorer;
    this.patch = this.stage.patchAt(state.x, state.y);
    this.stage.mark(...this.patch);
    const place = this.place();
    const shares = this.attention && this.attention.ofPatch(state.head, place);
    this.strip.update(shares, this.prompt);
    const chosen = this.attention !== null && this.prompt !== null;
    this.stage.show(state.view === "attention" && !chosen ? "image" : state.view, state.opacity);
    const map = chosen && this.attention.ofPrompt(state.head, this.prompt);
    if (map) this.stage.draw(map);
    this.showLegend(map && state.view === "attention" ? map : null);
    showPatch(this, place, shares);
    showPrompt(this);
  }

  /** Explain the colours: of the classes, or of a heat map. */
  showLegend(map) {
    if (map) {
      this.legend.replaceChildren(scale(`Attention of each patch to prompt ${this.prompt}`, Math.max(...map), this.explorer.heat));
      return;
    }
    const swatch = ([label, share]) => make("span", { className: "entry" },
      make("i", { style: `background:${rgb(this.model.palette[label])}` }), `${this.model.classes[label]} ${share}`);
    this.legend.replaceChildren(...this.look.legend.map(swatch));
  }

  /** Return the most likely classes of a patch, as [class, probability]. */
  classesOf(place) {
    const { top } = this.look;
    const start = this.model.task === "classification" ? 0 : place * top;
    return Array.from({ length: top }, (_, i) => [
      this.top.classes[start + i], this.top.shares.steps[start + i] * this.top.shares.step]);
  }
}
