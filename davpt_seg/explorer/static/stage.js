// The image with its paint or heat map, and the selected patch.

class Stage {
  /** onpatch(x, y) gets a place as fractions of width and height; onstep(rows, columns) a movement by arrow keys. */
  constructor(onpatch, onstep, heat) {
    this.heat = heat;
    this.image = make("img", { alt: "", draggable: false });
    this.paint = make("img", { alt: "", className: "paint", draggable: false });
    this.canvas = make("canvas", { className: "heat" });
    this.marker = make("div", { className: "marker" });
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    this.root = make("div", {
      className: "stage", tabIndex: 0, role: "application",
      "aria-label": "image; click a patch, or move the selected patch with the arrow keys",
      onclick: (event) => {
        const box = this.root.getBoundingClientRect();
        onpatch((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
      },
      onkeydown: (event) => {
        if (!(event.key in steps)) return;
        event.preventDefault();
        onstep(...steps[event.key]);
      },
    }, this.image, this.paint, this.canvas, this.marker);
  }

  showImage(look) {
    this.look = look;
    this.root.style.setProperty("--ratio", look.width / look.height);
    this.image.src = look.pixels;
    this.paint.hidden = !look.painted;
    if (look.painted) this.paint.src = look.painted;
    place(this.canvas, look, 0, look.rows.length - 1, 0, look.columns.length - 1);
  }

  /** Return the patch (row, column) at a place of fractions. */
  patchAt(x, y) {
    const find = (edges, at) => Math.max(0, edges.slice(1, -1).filter((edge) => edge <= at).length);
    return [find(this.look.rows, y * this.look.height), find(this.look.columns, x * this.look.width)];
  }

  /** Return the centre of a patch as fractions. */
  centre(row, column) {
    const middle = (edges, i, size) => (edges[i] + edges[i + 1]) / 2 / size;
    return [middle(this.look.columns, column, this.look.width), middle(this.look.rows, row, this.look.height)];
  }

  mark(row, column) {
    place(this.marker, this.look, row, row + 1, column, column + 1);
  }

  /** Draw shares (rows x columns), brightest for the largest. */
  draw(shares) {
    const most = Math.max(...shares) || 1;
    const [rows, columns] = [this.look.rows.length - 1, this.look.columns.length - 1];
    Object.assign(this.canvas, { width: columns, height: rows });
    const pixels = new ImageData(columns, rows);
    shares.forEach((share, i) => {
      const colour = this.heat[Math.round((share / most) * (this.heat.length - 1))];
      pixels.data.set([...colour, 255], 4 * i);
    });
    this.canvas.getContext("2d").putImageData(pixels, 0, 0);
  }

  show(view, opacity) {
    this.root.dataset.view = view;
    this.root.style.setProperty("--opacity", opacity);
  }
}

/** Put an element over the patches of some rows and columns. */
function place(element, look, top, bottom, left, right) {
  const part = (value, size) => `${(100 * value) / size}%`;
  Object.assign(element.style, {
    left: part(look.columns[left], look.width), width: part(look.columns[right] - look.columns[left], look.width),
    top: part(look.rows[top], look.height), height: part(look.rows[bottom] - look.rows[top], look.height),
  });
}
