// The timeline: emotions as lanes or curves, valence below, drawn on a canvas of the page or of a saved picture.

import {axisStep, clockTime, percent} from './numbers.js';

const MARGIN = {left: 62, right: 18, top: 20, bottom: 22, gap: 18};
const LOWER = 0.28;     // of the height: valence
const LANE = 18;        // pixels that a face's lane takes at least
const MOST_LANES = 60;  // of a saved picture
const NAMED = 0.1;      // a curve that ends as high has its name there
const NEAR = 1.5;       // s without a value that break no line
const MISSED = 2;       // so many frames on, neither

export class Timeline {
  constructor(tab, record) {
    this.tab = tab;
    this.record = record;
  }

  shownEmotions() {
    return [...this.tab.root.querySelectorAll('.chips input')].filter(box => box.checked).map(box => box.value);
  }

  get ofOneFace() { return this.tab.control.view.value === 'face'; }

  // The height in which everybody has a lane, as far as a picture may be tall.
  get heightOfAll() {
    if (this.ofOneFace) return 0;
    const lanes = Math.min(this.record.faces.size, MOST_LANES) * LANE, {top, bottom, gap} = MARGIN;
    return Math.ceil(lanes / (1 - LOWER)) + 1 + top + bottom + gap;
  }

  // Draws the rows from one time to another, in seconds. `gone`: seconds without a value that break every line; `all`:
  // whatever lies before too, as in a saved picture.
  draw(context, width, height, {from, to, gone, all = false}) {
    const {record, tab} = this, {at} = tab;
    const visible = record.withFace(record.rows.slice(all ? 0 : record.indexOf(from - gone)));
    const byFace = new Map();
    for (const row of visible) {
      if (!byFace.has(row[at.face_id])) byFace.set(row[at.face_id], []);
      byFace.get(row[at.face_id]).push(row);
    }
    const sheet = new Sheet(context, width, height, {from, to, gone}, tab);
    sheet.drawAxes();
    context.save();
    const chosen = Number(tab.control.chosen.value);
    if (this.ofOneFace && chosen) sheet.drawFace(`Face ${chosen}`, byFace.get(chosen) || [], this.shownEmotions());
    else if (this.ofOneFace) sheet.drawFace('Main face', this.mainOf(visible), this.shownEmotions());
    else sheet.drawLanes(byFace, new Set(this.shownEmotions()));
    context.restore();
    if (!visible.length) sheet.drawNothing();
  }

  // The row of the main face of each frame, which stands before all others.
  mainOf(rows) {
    const {frame} = this.tab.at;
    return rows.filter((row, i) => !i || row[frame] !== rows[i - 1][frame]);
  }
}

class Sheet {
  constructor(context, width, height, {from, to, gone}, tab) {
    const style = getComputedStyle(tab.root), {left, right, top, bottom, gap} = MARGIN;
    const colour = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
    Object.assign(this, {context, width, height, from, to, gone, tab});
    this.ink = colour('--body-text-color', '#222');
    this.soft = colour('--body-text-color-subdued', '#777');
    this.line = colour('--block-border-color', '#ddd');
    this.plotWidth = width - left - right;
    this.lower = Math.max(48, (height - top - bottom - gap) * LOWER);
    this.upper = height - top - bottom - gap - this.lower;
    context.font = '11px ' + style.fontFamily;
    context.textBaseline = 'middle';
    context.lineJoin = context.lineCap = 'round';
  }

  x(time) { return MARGIN.left + this.plotWidth * (time - this.from) / (this.to - this.from); }

  valenceY(value) { return MARGIN.top + this.upper + MARGIN.gap + this.lower * (1 - value) / 2; }

  text(value, x, y, align = 'left', colour = this.soft) {
    Object.assign(this.context, {textAlign: align, fillStyle: colour});
    this.context.fillText(value, x, y);
  }

  stroke(x0, y0, x1, y1) {
    const {context} = this;
    context.beginPath(); context.moveTo(x0, y0); context.lineTo(x1, y1); context.stroke();
  }

  rule(y) { this.stroke(MARGIN.left, y, this.width - MARGIN.right, y); }

  clip() {
    this.context.beginPath(); this.context.rect(MARGIN.left, 0, this.plotWidth, this.height); this.context.clip();
  }

  drawAxes() {
    const {context, height, from, to} = this, {left, top, bottom} = MARGIN;
    context.lineWidth = 1;
    context.strokeStyle = this.line;
    const step = axisStep(this.plotWidth / (to - from));
    for (let t = Math.ceil(Math.max(from, 0) / step) * step; t <= to; t += step) {
      this.stroke(this.x(t), top, this.x(t), height - bottom);
      this.text(clockTime(t), this.x(t), height - bottom / 2, 'center');
    }
    for (const v of [1, 0, -1]) this.rule(this.valenceY(v));
    this.text('+1', left - 8, this.valenceY(1) + 3, 'right');
    this.text('−1', left - 8, this.valenceY(-1) - 3, 'right');
    this.text('valence', left - 8, this.valenceY(0), 'right');
  }

  // Whether one row goes on where the other ends. `gone` is that of frames that were read as seldom as any of the
  // session; where more were read, whoever is in none of them was not there.
  follows(before, row) {
    const {at} = this.tab, seconds = row[at.time] - before[at.time], frames = row[at.frame] - before[at.frame];
    return row[at.face_id] === before[at.face_id] && (seconds <= NEAR || frames <= MISSED && seconds <= this.gone);
  }

  // A line through a value of the rows, broken where nothing was seen, or somebody else.
  path(points, value, y, colour, wide) {
    const {context} = this, {at} = this.tab;
    context.strokeStyle = colour; context.lineWidth = wide;
    context.beginPath();
    let last = null;
    for (const row of points) {
      if (last === null || !this.follows(last, row)) context.moveTo(this.x(row[at.time]), y(row[value]));
      context.lineTo(this.x(row[at.time]), y(row[value]));  // a value on its own becomes a dot
      last = row;
    }
    context.stroke();
  }

  // One face: a curve per emotion.
  drawFace(name, points, emotions) {
    const {at, labels} = this.tab, {left, top} = MARGIN, y = value => top + this.upper * (1 - value);
    for (const v of [0, 0.5, 1]) { this.rule(y(v)); this.text(percent(v), left - 8, y(v), 'right'); }
    this.clip();
    for (const emotion of emotions) this.path(points, at[emotion], y, labels[emotion].colour, 2);
    this.path(points, at.valence, value => this.valenceY(value), this.ink, 1.6);
    if (points.length) this.drawNames(points.at(-1), emotions, y);
    this.text(name, left, top - 11, 'left', this.ink);
  }

  // The names of the curves that end high: whoever cannot tell the colours apart knows which they are.
  drawNames(row, emotions, y) {
    const {at} = this.tab, placed = [];
    for (const emotion of [...emotions].sort((a, b) => row[at[b]] - row[at[a]])) {
      const end = y(row[at[emotion]]), height = end - 15 < MARGIN.top ? end + 9 : end - 9;
      if (row[at[emotion]] < NAMED || placed.some(other => Math.abs(other - height) < 13)) continue;
      placed.push(height);
      this.text(emotion, this.x(row[at.time]) - 4, height, 'right', this.ink);
    }
  }

  // All faces: a lane each, in the colours of what they show; where they are too many, those seen most.
  drawLanes(byFace, emotions) {
    const {context, upper} = this, {at} = this.tab;
    const most = Math.max(1, Math.floor(upper / LANE)), rows = id => byFace.get(id).length;
    const present = [...byFace.keys()].sort((a, b) => rows(b) - rows(a)).slice(0, most).sort((a, b) => a - b);
    const lane = Math.min(34, upper / Math.max(present.length, 1)), half = Math.min(9, lane / 2 - 2);
    const middle = i => MARGIN.top + lane * (i + 0.5);
    present.forEach((id, i) => {
      context.fillStyle = this.tab.faceColour(id);
      context.beginPath(); context.arc(6, middle(i), 4, 0, 7); context.fill();
      this.text(`Face ${id}`, 14, middle(i), 'left', this.ink);
    });
    const more = byFace.size - present.length;
    if (more) this.text(`and ${more} more`, MARGIN.left, MARGIN.top - 11, 'left', this.ink);
    this.drawNumbers(present.map(id => byFace.get(id).slice(-1)[0]));
    this.clip();
    present.forEach((id, i) => {
      this.drawLane(byFace.get(id), middle(i), half, emotions);
      this.path(byFace.get(id), at.valence, value => this.valenceY(value), this.tab.faceColour(id), 1.6);
    });
  }

  // The number of a face where its line of valence ends: whoever cannot tell the colours apart knows whose it is. Those
  // of faces with the same valence lie one below the other.
  drawNumbers(rows) {
    const {context} = this, {at} = this.tab;
    const placed = row => ({id: row[at.face_id], x: this.x(row[at.time]) + 4, y: this.valenceY(row[at.valence])});
    const ends = rows.map(placed).filter(({x}) => x > MARGIN.left).sort((a, b) => a.y - b.y);
    for (const [i, end] of ends.entries()) {
      for (const {x, y} of ends.slice(0, i)) if (Math.abs(x - end.x) < 14) end.y = Math.max(end.y, y + 10);
      this.text(end.id, Math.min(end.x, this.width - context.measureText(end.id).width), end.y, 'left', this.ink);
    }
  }

  drawLane(points, middle, half, emotions) {
    const {context} = this, {at, labels, pictures, wordOf} = this.tab;
    const follows = i => i < points.length && this.follows(points[i - 1], points[i]);
    for (let start = 0, end; start < points.length; start = end) {
      const emotion = wordOf(points[start]);
      end = start + 1;
      while (follows(end) && wordOf(points[end]) === emotion) end++;
      const x0 = this.x(points[start][at.time]);
      const x1 = Math.max(x0 + 2, this.x(points[follows(end) ? end : end - 1][at.time]));
      context.globalAlpha = emotions.has(emotion) || emotion === 'unclear' ? 1 : 0.15;
      context.fillStyle = labels[emotion].colour;
      context.fillRect(x0, middle - half, x1 - x0, 2 * half);
      const side = 2 * half - 2;
      if (x1 - x0 > 26) context.drawImage(pictures[emotion], Math.max(x0, MARGIN.left) + 3, middle - half + 1, side, side);
      context.globalAlpha = 1;
    }
  }

  drawNothing() {
    this.text('The timeline grows with the first face.', MARGIN.left + this.plotWidth / 2, MARGIN.top + this.upper / 2, 'center');
  }
}
