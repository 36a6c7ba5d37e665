// The page: its state, and what changes it.

const FIRST = "Click a patch of the image to see which prompts it attends to; click a numbered prompt to see its patches.";

class Explorer {
  /** root: element to fill; described: models, images and colours; source: answers to look, attention, nearest, add. */
  constructor(root, described, source) {
    Object.assign(this, { root, source, models: described.models, images: described.images, heat: described.heat, turn: 0 });
    const start = this.models[0].start;
    this.state = { image: null, block: start, head: null, x: 0.5, y: 0.6, view: "prediction", opacity: 0.6 };
    this.hint = make("p", { className: "hint", role: "status" });
    this.problem = make("p", { className: "problem", role: "alert", hidden: true, onclick: () => { this.problem.hidden = true; } });
    this.panels = this.models.map((_, index) => new Panel(this, index));
    this.controls = new Controls(this);
    this.chooser = new Images(this);
    this.main = make("main", { className: `models-${this.models.length}`, hidden: true }, ...this.panels.map((panel) => panel.root));
    root.replaceChildren(make("header", {}, make("h1", {}, "Prompt explorer"), this.hint), this.problem, this.controls.root,
      make("div", { className: "body" }, this.chooser.root, this.main));
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !root.querySelector("dialog[open]")) this.clearPrompts();  // it closes a dialog first
    });
    this.controls.block.disabled = true;
    if (this.images.length) this.selectImage(0);
    else this.hint.textContent = "Open an image, or drop one on the page.";
  }

  /** Return what a question is answered; show a problem in the page, and return undefined. */
  async answered(waiting, ask) {
    this.problem.hidden = true;
    const timer = setTimeout(() => { this.hint.textContent = waiting; }, 150);
    try {
      return await ask();
    } catch (error) {
      this.problem.textContent = error.message;
      this.problem.hidden = false;
    } finally {
      clearTimeout(timer);
      this.showHint();
    }
  }

  /** Load an image and a block in all models, then show them; a later call overtakes. */
  async show(image, block, place) {
    const turn = ++this.turn;
    const shown = await this.answered(`Computing block ${block} ...`, () =>
      Promise.all(this.panels.map((panel) => panel.load(image, block))));
    if (turn !== this.turn) return;
    if (!shown) {
      if (this.state.image !== null) this.controls.update();  // the slider returns to the block that is shown
      return;
    }
    Object.assign(this.state, { image, block });
    if (place) [this.state.x, this.state.y] = place;
    shown.forEach((apply) => apply());
    this.main.hidden = this.controls.block.disabled = false;
    this.update();
  }

  selectImage(image, place) {
    return this.show(image, this.state.block, place);
  }

  selectBlock(block) {
    this.controls.blockName.textContent = block;
    return this.show(this.state.image, block);
  }

  selectPlace(x, y) {
    this.set({ x, y });
  }

  /** Select a model's prompt; another model without a selected one shows its strongest for the same patch. */
  selectPrompt(panel, prompt) {
    panel.prompt = prompt;
    for (const other of this.panels) other.prompt ??= other.strongest();
    this.set({ view: "attention" });
  }

  clearPrompts() {
    this.panels.forEach((panel) => { panel.prompt = null; });
    this.set({ view: "prediction" });
  }

  set(changes) {
    Object.assign(this.state, changes);
    if (this.state.image !== null) this.update();
  }

  update() {
    if (this.state.view === "attention" && this.panels.every((panel) => panel.prompt === null)) this.state.view = "prediction";
    this.controls.update();
    this.chooser.update();
    this.panels.forEach((panel) => panel.update());
    this.showHint();
  }

  showHint() {
    const chosen = this.panels.find((panel) => panel.prompt !== null);
    if (this.state.image === null) this.hint.textContent = "Open an image, or drop one on the page.";
    else if (this.panels.every((panel) => !panel.attention)) this.hint.textContent = "No prompts in this block: move the slider to another block.";
    else if (chosen && this.state.view === "attention") {
      this.hint.textContent = "Bright patches attend to the framed prompt. Click another prompt or patch; Esc returns to the prediction.";
    } else this.hint.textContent = FIRST;
  }
}
