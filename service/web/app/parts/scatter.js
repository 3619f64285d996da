// Points on a canvas: drawn at the screen's resolution, zoomed and moved, and found again under a pointer.

/** @typedef {{id: string, x: number, y: number, label: string, split: string, reference: boolean}} Point */

const MARGIN = 24;
const MOST_ZOOM = 40;

/** What is seen of the map: where its middle is on the screen, and how large it is drawn. */
export class Scatter {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {Point[]} points
   * @param {(label: string) => string} colourOf
   */
  constructor(canvas, points, colourOf) {
    this.canvas = canvas;
    this.points = points;
    this.colourOf = colourOf;
    /** @type {Set<string>} labels that are left out */
    this.hidden = new Set();
    /** @type {Point | null} */
    this.chosen = null;
    this.bounds = boundsOf(points);
    this.reset();
  }

  /** The whole map again. */
  reset() {
    this.zoom = 1;
    this.panX = 0;
    this.panY = 0;
  }

  /**
   * @param {number} factor
   * @param {[number, number]} [middle] what stays where it is, CSS pixels: else the chosen point, else the middle
   */
  scaleBy(factor, middle) {
    const [x, y] = middle ?? (this.chosen ? this.placeOf(this.chosen) : this.middle());
    const zoom = Math.min(MOST_ZOOM, Math.max(1, this.zoom * factor));
    const by = zoom / this.zoom;
    this.panX = x - by * (x - this.panX);
    this.panY = y - by * (y - this.panY);
    this.zoom = zoom;
    if (zoom === 1) this.reset();
  }

  /** @param {number} x @param {number} y CSS pixels */
  moveBy(x, y) {
    this.panX += x;
    this.panY += y;
  }

  /** @returns {[number, number]} CSS pixels */
  middle() {
    return [this.canvas.clientWidth / 2, this.canvas.clientHeight / 2];
  }

  /** @param {Point} point @returns {[number, number]} CSS pixels */
  placeOf(point) {
    const { left, top, wide, high } = this.bounds;
    const x = MARGIN + ((point.x - left) / wide) * (this.canvas.clientWidth - 2 * MARGIN);
    const y = MARGIN + (1 - (point.y - top) / high) * (this.canvas.clientHeight - 2 * MARGIN);
    return [x * this.zoom + this.panX, y * this.zoom + this.panY];
  }

  visible() {
    return this.points.filter((point) => !this.hidden.has(point.label));
  }

  /** @param {number} x @param {number} y CSS pixels @param {number} within @returns {Point | null} */
  nearest(x, y, within) {
    let best = null;
    let least = within;
    for (const point of this.visible()) {
      const [px, py] = this.placeOf(point);
      const away = Math.hypot(px - x, py - y);
      if (away <= least) [best, least] = [point, away];
    }
    return best;
  }

  /**
   * The next point in a direction: near, and not far off the way.
   * @param {number} dx -1, 0 or 1
   * @param {number} dy -1, 0 or 1
   */
  next(dx, dy) {
    const from = this.chosen && !this.hidden.has(this.chosen.label) ? this.chosen : null;
    if (!from) return this.nearest(...this.middle(), Infinity);
    const [x, y] = this.placeOf(from);
    let best = from;
    let least = Infinity;
    for (const point of this.visible()) {
      const [px, py] = this.placeOf(point);
      const along = (px - x) * dx + (py - y) * dy;
      const aside = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
      const cost = along + 2 * aside;
      if (along > 0.5 && cost < least) [best, least] = [point, cost];
    }
    return best;
  }

  draw() {
    const { canvas } = this;
    const ratio = devicePixelRatio || 1;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    const style = getComputedStyle(canvas);
    pen.scale(ratio, ratio);
    const shown = this.visible();
    for (const point of shown.filter((each) => !each.reference)) this.dot(pen, point, 3.2, 0.55);
    for (const point of shown.filter((each) => each.reference)) this.reference(pen, point, style.backgroundColor, style.color);
    if (this.chosen && !this.hidden.has(this.chosen.label)) this.ring(pen, this.chosen, style.color);
  }

  dot(pen, point, radius, alpha) {
    const [x, y] = this.placeOf(point);
    pen.globalAlpha = alpha;
    pen.fillStyle = this.colourOf(point.label);
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
    pen.globalAlpha = 1;
  }

  /** A reference is larger, and ringed in the colour of the text: not by colour alone. */
  reference(pen, point, ground, ink) {
    const [x, y] = this.placeOf(point);
    pen.fillStyle = ground;
    pen.beginPath();
    pen.arc(x, y, 8, 0, 2 * Math.PI);
    pen.fill();
    this.dot(pen, point, 5.5, 1);
    pen.strokeStyle = ink;
    pen.lineWidth = 1.4;
    pen.beginPath();
    pen.arc(x, y, 6.8, 0, 2 * Math.PI);
    pen.stroke();
  }

  ring(pen, point, ink) {
    const [x, y] = this.placeOf(point);
    pen.strokeStyle = ink;
    pen.lineWidth = 2.5;
    pen.beginPath();
    pen.arc(x, y, 12, 0, 2 * Math.PI);
    pen.stroke();
  }
}

function boundsOf(points) {
  const xs = points.map((point) => point.x);
  const ys = points.map((point) => point.y);
  const [left, top] = [least(xs), least(ys)];
  return { left, top, wide: -least(xs.map((x) => -x)) - left || 1, high: -least(ys.map((y) => -y)) - top || 1 };
}

/** `Math.min(...values)` has a limit of arguments. */
const least = (values) => values.reduce((one, other) => Math.min(one, other), Infinity);
