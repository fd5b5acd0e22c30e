// Boxes over the video, each with a tag that stays inside the picture, and the snapshot of all of it.

import {percent, put, word} from './numbers.js';
import {copyOf} from './still.js';
import {placeTags} from './tags.js';

export class Overlay {
  // `tab`: what the parts of the tab share. `onnew` is called with the id of a face that is new, `onchosen` with that
  // of one that was clicked.
  constructor(tab, onnew, onchosen) {
    this.tab = tab;
    this.onnew = onnew;
    this.onchosen = onchosen;
    this.stage = tab.$('.stage');
    this.boxes = tab.$('.boxes');
    this.mirror = tab.$('.button.mirror');
    this.shown = new Map();  // face id -> {box, row, size, seen, place: of its tag}
    this.away = false;       // whether the camera looks away from whoever holds it
    this.wished = new Map(); // what the visitor wants: by `away`, whether the picture is mirrored
    this.showMirror();
  }

  get mirrored() { return this.mirror.getAttribute('aria-pressed') === 'true'; }

  showMirror() { this.tab.root.classList.toggle('mirrored', this.mirrored); }

  // The visitor turns the picture, and those of all cameras that look the same way.
  turn() {
    this.wished.set(this.away, !this.mirrored);
    this.look(this.away);
  }

  // What looks away is no mirror, unless the visitor wants it.
  look(away) {
    this.away = away;
    this.mirror.setAttribute('aria-pressed', this.wished.get(away) ?? !away);
    this.showMirror();
    this.place([...this.shown.values()].map(shown => shown.row), [...this.shown.values()][0]?.size);
  }

  fit(size) {
    const ratio = `${size.width} / ${size.height}`;
    if (this.stage.style.aspectRatio === ratio) return;
    this.stage.style.aspectRatio = ratio;
    this.stage.style.setProperty('--ratio', size.width / size.height);
  }

  // Where a face lies as it is seen, in the pixels of the frame.
  left(row, size) {
    const {at} = this.tab;
    return this.mirrored ? size.width - row[at.x] - row[at.w] : row[at.x];
  }

  // A face's box as it is seen.
  boxOf({row, size}, scale) {
    const {at} = this.tab;
    return {x: this.left(row, size) * scale, y: row[at.y] * scale, w: row[at.w] * scale, h: row[at.h] * scale};
  }

  text(row) {
    const {at, wordOf} = this.tab;
    return row[at.clear] ? `${word(wordOf(row))} ${percent(row[at.confidence])}` : word(wordOf(row));
  }

  place(faces, size) {
    const now = performance.now(), wide = this.stage.clientWidth, scale = wide / size?.width;
    const placed = faces.map(row => {
      const id = row[this.tab.at.face_id];
      if (!this.shown.has(id)) this.shown.set(id, {box: this.newBox(id)});
      const shown = Object.assign(this.shown.get(id), {row, size, seen: now});
      this.placeBox(shown);
      this.measureTag(shown, wide, faces.length > 1);
      return shown;
    });
    const tags = placed.map(shown => {
      const {tagWide, tagHigh, place} = shown;
      return {...this.boxOf(shown, scale), wide: tagWide, high: tagHigh, place};
    });
    placeTags(tags, wide, size?.height * scale).forEach(({place, left}, i) => {
      const {box} = Object.assign(placed[i], {place}), {x, w, wide} = tags[i];
      box.dataset.tag = place;
      box.firstChild.style.setProperty('--shift', left + wide / 2 - x - w / 2 + 'px');
    });
    for (const shown of this.shown.values()) shown.box.classList.toggle('missed', shown.seen !== now);
  }

  newBox(id) {
    const box = document.createElement('div');
    box.className = 'face-box';
    box.dataset.faceId = id;
    box.style.setProperty('--face', this.tab.faceColour(id));
    box.innerHTML = '<div class="tag"><img alt=""><span></span></div>';
    box.addEventListener('click', () => this.onchosen(id));
    this.boxes.append(box);
    this.onnew(id);
    return box;
  }

  placeBox({box, row, size}) {
    const {at, labels, wordOf} = this.tab, emotion = wordOf(row);
    // In hundredths of the stage's width.
    box.style.translate = [this.left(row, size), row[at.y]].map(value => 100 * value / size.width + 'cqi').join(' ');
    box.style.width = 100 * row[at.w] / size.width + '%';
    box.style.height = 100 * row[at.h] / size.height + '%';
    box.dataset.emotion = emotion;
    const picture = box.querySelector('img');
    if (picture.dataset.emotion !== emotion) { picture.src = labels[emotion].picture; picture.dataset.emotion = emotion; }
    put(box.querySelector('span'), this.text(row));
  }

  // Only where it has changed: measuring makes the browser lay out the page. All digits are equally wide in it.
  measureTag(shown, wide, inCompany) {
    const {box, row, size} = shown, tag = box.firstChild, text = tag.textContent.replace(/\d/g, '0');
    const small = row[this.tab.at.w] * wide / size.width < 64 && inCompany, look = [text, small, wide].join();
    box.classList.toggle('small', small);
    if (shown.look !== look) Object.assign(shown, {look, tagWide: tag.offsetWidth, tagHigh: tag.offsetHeight});
  }

  // Takes away the boxes of faces that were not seen for so many ms; -1: all.
  remove(unseenFor) {
    const now = performance.now();
    for (const [id, shown] of this.shown) {
      if (now - shown.seen > unseenFor) { shown.box.remove(); this.shown.delete(id); }
    }
  }

  // The camera's picture as it is seen, with its boxes, in a canvas; the faces in `hidden` become unknowable.
  snapshot(picture, hidden = []) {
    const sheet = copyOf(picture), context = sheet.getContext('2d');
    if (this.mirrored) {
      context.setTransform(-1, 0, 0, 1, sheet.width, 0);
      context.drawImage(picture, 0, 0);
      context.resetTransform();
    }
    for (const face of hidden) this.hide(context, face);
    this.draw(context);
    return sheet;
  }

  // The face becomes coarse blocks, hair and chin with it.
  hide(context, face) {
    const {blocks: count, around} = this.tab.settings.hiding, {canvas} = context;
    const {x, y, w, h} = this.boxOf(face, canvas.width / face.size.width);
    // No further than the picture: of a part that reaches beyond it, its edge would stay as it was.
    const left = Math.max(0, x - around * w), right = Math.min(canvas.width, x + (1 + around) * w);
    const top = Math.max(0, y - around * h), bottom = Math.min(canvas.height, y + (1 + around) * h);
    const part = [left, top, right - left, bottom - top];
    const blocks = document.createElement('canvas');
    Object.assign(blocks, {width: count, height: Math.max(1, Math.round(count * part[3] / part[2]))});
    blocks.getContext('2d').drawImage(canvas, ...part, 0, 0, blocks.width, blocks.height);
    context.imageSmoothingEnabled = false;
    context.drawImage(blocks, ...part);
    context.imageSmoothingEnabled = true;
  }

  draw(context) {
    const {pictures, root, wordOf} = this.tab, {width, height} = context.canvas, unit = Math.max(14, width / 42);
    context.lineWidth = Math.max(2, width / 220);
    context.font = `600 ${unit}px ${getComputedStyle(root).fontFamily}`;
    context.textBaseline = 'middle';
    const faces = [...this.shown].map(([id, shown]) => {
      const text = this.text(shown.row), wide = context.measureText(text).width + unit * 2.6;
      const box = this.boxOf(shown, width / shown.size.width);
      return {...box, wide, high: unit * 1.7, place: shown.place, id, text, picture: pictures[wordOf(shown.row)]};
    });
    for (const {id, x, y, w, h} of faces) {
      context.strokeStyle = this.tab.faceColour(id);
      context.strokeRect(x, y, w, h);
    }
    const crowded = placeTags(faces, width, height).map(({free}) => !free);
    faces.forEach((face, i) => crowded[i] && Object.assign(face, {text: '', wide: face.high}));
    placeTags(faces, width, height).forEach(({left, top}, i) => {
      const {wide, high, picture, text} = faces[i];
      context.fillStyle = 'rgba(20, 22, 27, .88)';
      context.beginPath(); context.roundRect(left, top, wide, high, high / 2); context.fill();
      context.drawImage(picture, left + unit * 0.35, top + unit * 0.15, unit * 1.4, unit * 1.4);
      context.fillStyle = '#fff';
      context.fillText(text, left + unit * 2, top + high / 2);
    });
  }
}
