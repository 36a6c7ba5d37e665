// What is known of the selected patch and of the selected prompt.

const SHARE = "Each patch divides its attention in a block over all tokens and prompts; this is the part on prompts.";
const ADDED = "Size of what the prompts add to this patch's attention output, compared with the output without them.";
const OWN = "These prompts have their own softmax: the weights of a patch add up to 100 %.";
const PROMPT = "Learned vector that the block attends to in addition to the image's patches.";
const NEAREST = "Patches whose attention to this prompt is largest.";
const GUIDANCE = "Guidance draws the patches of these classes towards this prompt during training.";

/** Replace the content of a card; the focus stays at its place. */
function refill(card, parts) {
  const reached = () => Array.from(card.querySelectorAll("button, .term"));
  const at = reached().indexOf(document.activeElement);
  card.replaceChildren(...parts);
  if (at >= 0) reached()[at]?.focus();
}

/** Show the classes of a patch, and its attention to prompts. */
function showPatch(panel, place, shares) {
  const { model, patch, attention, explorer } = panel;
  const count = explorer.models.length > 1 ? 3 : 5; // what has room
  const classes = panel.classesOf(place).slice(0, count).map(([label, share]) =>
    bar(model.classes[label], share, 1, rgb(model.palette[label])));
  const title = model.task === "classification" ? "Classes of the image" : "Classes";
  const parts = [make("h3", {}, `Patch: row ${patch[0]}, column ${patch[1]}`), make("h4", {}, title), ...classes];
  if (attention) {
    const first = largest(shares, count);
    const strength = attention.strength(place);
    parts.push(
      make("h4", {}, "Attention to ", term("prompts", model.separate ? OWN : PROMPT)),
      ...first.map((prompt) => bar(`prompt ${prompt}`, shares[prompt], shares[first[0]], "var(--accent)", {
        onclick: () => explorer.selectPrompt(panel, prompt) })),
      make("p", {}, model.separate ? `Prompts add ${percent(strength)} ` : `All prompts: ${percent(strength)} of its attention `,
        term("?", model.separate ? ADDED : SHARE)));
  } else {
    parts.push(make("p", {}, `Block ${explorer.state.block} of this model has no prompts${withPrompts(model)}.`));
  }
  refill(panel.patchCard, parts);
}

function withPrompts(model) {
  const blocks = Array.from(model.prompts.keys()).filter((block) => model.prompts[block]);
  return blocks.length ? `; blocks with prompts: ${blocks.join(", ")}` : ", and no other block has any";
}

/** Show a prompt's classes and its nearest patches. */
function showPrompt(panel) {
  const { model, prompt, attention, explorer, promptCard } = panel;
  promptCard.hidden = !attention;
  if (!attention || prompt === null) {
    promptCard.replaceChildren(make("p", { className: "empty" }, "No prompt is selected: click a numbered cell."));
    return;
  }
  const assigned = model.assigned[explorer.state.block];
  const parts = [make("h3", {}, `Prompt ${prompt}`)];
  if (assigned) {
    const chips = assigned[prompt].map((name) => make("span", { className: "entry" },
      make("i", { style: `background:${rgb(model.palette[model.classes.indexOf(name)])}` }), name));
    parts.push(make("h4", {}, term("Assigned classes", GUIDANCE)), make("div", { className: "legend" }, ...(chips.length ? chips : ["none"])));
    if (model.history.length) {
      parts.push(make("button", { className: "plain", onclick: () => showHistory(panel) }, "Classes of prompts over training"));
    }
  }
  const near = make("div", { className: "near" });
  parts.push(make("h4", {}, term("Nearest patches", NEAREST), near.count = make("span")), near);
  refill(promptCard, parts);
  showNearest(panel, near).catch((error) => { near.textContent = error.message; });
}

async function showNearest(panel, near) {
  const { explorer, prompt, index } = panel;
  const { image, block, head } = explorer.state;
  near.textContent = "Looking through the images ...";
  const { images, patches } = await explorer.source.nearest(index, image, block, prompt, head);
  const looks = await Promise.all(patches.map((each) => explorer.source.look(index, each.image)));
  if (!near.isConnected) return;
  near.count.textContent = images > 1 ? ` in ${images} images` : " in this image";
  near.replaceChildren(...patches.map((each, i) => thumb(panel, each, looks[i], i)));
  if (document.activeElement === document.body) near.children[panel.chosenThumb]?.focus();
}

/** Make a button with a patch and its surroundings, which selects it. */
function thumb(panel, { image, row, column, share }, look, i) {
  const { explorer } = panel;
  const [left, top] = [look.columns[column], look.rows[row]];
  const patch = [look.columns[column + 1] - left, look.rows[row + 1] - top];
  const size = 46, zoom = size / (3 * Math.max(...patch));
  const [x, y] = [left + patch[0] / 2, top + patch[1] / 2];
  const style = `background-image:url(${look.pixels});background-size:${look.width * zoom}px ${look.height * zoom}px;` +
    `background-position:${size / 2 - x * zoom}px ${size / 2 - y * zoom}px`;
  const label = `${explorer.images[image].name}, row ${row}, column ${column}: ${percent(share)}`;
  return make("button", { className: "thumb", style, title: label, "aria-label": label,
    onclick: () => { panel.chosenThumb = i; explorer.selectImage(image, [x / look.width, y / look.height]); } }, make("i"));
}
