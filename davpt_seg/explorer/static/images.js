// The images to choose from, and the place to drop another.

class Images {
  constructor(explorer) {
    this.explorer = explorer;
    this.list = make("div", { className: "thumbs", role: "group", "aria-label": "images" });
    this.root = make("aside", {}, this.list);
    if (!explorer.source.add) return;
    const file = make("input", { type: "file", hidden: true, onchange: () => file.files[0] && this.add(file.files[0]) });
    this.root.prepend(make("button", { className: "drop", onclick: () => { file.value = ""; file.click(); } },
      make("b", {}, "Open an image"), "or drop it on the page"), file);
    explorer.root.addEventListener("dragover", (event) => event.preventDefault());
    explorer.root.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files[0]) this.add(event.dataTransfer.files[0]);
    });
  }

  async add(file) {
    const { explorer } = this;
    const added = await explorer.answered(`Reading ${file.name} ...`, async () => {
      const url = await new Promise((resolve, reject) => {
        const reader = Object.assign(new FileReader(), { onload: () => resolve(reader.result), onerror: () => reject(reader.error) });
        reader.readAsDataURL(file);
      });
      return explorer.source.add(file.name, url.slice(url.indexOf(",") + 1));
    });
    if (!added) return;
    explorer.images = added.images;
    explorer.selectImage(added.index);
  }

  update() {
    const { images, state } = this.explorer;
    while (this.list.childElementCount < images.length) {
      const index = this.list.childElementCount;
      const { name, thumb } = images[index];
      this.list.append(make("button", { className: "choice", title: name, onclick: () => this.explorer.selectImage(index) },
        make("img", { src: thumb, alt: "" }), make("span", {}, name)));
    }
    Array.from(this.list.children).forEach((choice, index) => choice.setAttribute("aria-pressed", index === state.image));
    this.list.children[state.image]?.scrollIntoView({ block: "nearest" });
  }
}
