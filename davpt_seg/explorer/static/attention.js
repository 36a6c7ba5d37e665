// Attention of the patches of an image to the prompts of a block.

class Attention {
  constructor(answer, prompts, patches) {
    this.planes = answer.planes;
    this.prompts = prompts;
    this.patches = patches;
    this.shares = quantised(answer.shares);
    this.strengths = quantised(answer.strength);
  }

  /** Share of a patch's attention on a prompt: of one head, or the mean over heads (head null). */
  share(head, prompt, patch) {
    const at = (plane) => this.shares.steps[(plane * this.prompts + prompt) * this.patches + patch];
    if (head !== null && head < this.planes) return at(head) * this.shares.step;
    let sum = 0;
    for (let plane = 0; plane < this.planes; plane++) sum += at(plane);
    return (sum / this.planes) * this.shares.step;
  }

  ofPatch(head, patch) {
    return Float64Array.from({ length: this.prompts }, (_, prompt) => this.share(head, prompt, patch));
  }

  ofPrompt(head, prompt) {
    return Float64Array.from({ length: this.patches }, (_, patch) => this.share(head, prompt, patch));
  }

  strength(patch) {
    return this.strengths.steps[patch] * this.strengths.step;
  }
}
