// Where answers come from: a server, or the page itself.

const STOPPED = "The explorer does not answer: it was stopped, or failed; see its terminal, start it again, and reload this page.";

/** Fill an element with the page. */
async function explore(root, source) {
  root.classList.add("explorer");
  try {
    new Explorer(root, await source.describe(), source);
  } catch (error) {
    root.replaceChildren(make("p", { className: "problem", role: "alert" }, error.message));
  }
}

/** Keep the last answers of a function by its arguments. */
function kept(ask, most) {
  const answers = new Map();
  return (...question) => {
    const key = JSON.stringify(question);
    const answer = answers.get(key) || ask(...question);
    answers.delete(key);
    answers.set(key, answer);
    answer.catch(() => answers.delete(key));
    if (answers.size > most) answers.delete(answers.keys().next().value);
    return answer;
  };
}

/** Answers of a server, which takes one question of named values at a time. */
function serverSource(server) {
  const ask = async (name, question) => {
    const answer = await server[name](question).catch(() => undefined);
    if (answer === undefined) throw new Error(STOPPED);
    if (answer?.problem) throw new Error(answer.problem);
    return answer;
  };
  return {
    describe: () => ask("describe", {}),
    look: kept((model, image) => ask("look", { model, image }), 40),
    attention: kept((model, image, block) => ask("attention", { model, image, block }), 24),
    nearest: kept((model, image, block, prompt, head) => ask("nearest", { model, image, block, prompt, head }), 200),
    add: (name, content) => ask("add", { name, content }),
  };
}

/** Answers that the page holds: looks[model][image], attention[model][image][block], blocks. */
function storedSource(stored) {
  return {
    blocks: stored.blocks,
    describe: async () => stored,
    look: async (model, image) => stored.looks[model][image],
    attention: async (model, image, block) => stored.attention[model][image][block],
    nearest: async (model, _, block, prompt) => {
      const found = stored.attention[model].flatMap((blocks, image) => {
        const { rows, columns } = stored.looks[model][image];
        const [across, down] = [columns.length - 1, rows.length - 1];
        const count = integers(blocks[block].strength.values).length;
        const prompts = integers(blocks[block].shares.values).length / count;
        const shares = new Attention(blocks[block], prompts, across * down).ofPrompt(null, prompt);
        return largest(shares, 8).map((at) => ({ image, row: Math.floor(at / across), column: at % across, share: shares[at] }));
      });
      return { images: stored.looks[model].length, patches: found.sort((a, b) => b.share - a.share).slice(0, 8) };
    },
  };
}
