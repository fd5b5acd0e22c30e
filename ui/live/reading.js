// The card beside the video: the main face, large, with its bars and measures, told to screen readers too.

import {percent, put, signed, word} from './numbers.js';

const ANNOUNCE_PERIOD = 3000; // ms between announcements to screen readers
const MOST_FACES = 40;        // in the list to choose from
const AS_LARGE = 0.75;        // of the largest face's area: from here on the main face stays the main one

export class Reading {
  constructor(tab) {
    this.tab = tab;
    this.chosen = tab.$('.chosen');
    this.emoji = tab.$('.big-emoji');
    this.title = tab.$('.reading h2');
    this.announcer = tab.$('.announcer');
    const bars = tab.root.querySelectorAll('.live-bars li');
    this.bars = Object.fromEntries(tab.emotions.map((name, i) => [name, bars[i]]));
    this.first = null;        // that of the main face, as whoever reads the frames counts
    this.seenAt = -Infinity;  // when whoever is shown was last there
    this.announced = '';
    this.announcedAt = -Infinity;
  }

  // The rows of a frame, which begin with the largest face, with the main face's before all others. Of faces that are
  // about as large it stays the one that it was: boxes tremble, and with each frame another one is the largest.
  mainFirst(rows) {
    const {at} = this.tab, area = row => row[at.w] * row[at.h];
    const large = rows.filter(row => area(row) >= AS_LARGE * area(rows[0]));
    const main = large.find(row => row[at.face_id] === this.first) ?? rows[0];
    this.first = main[at.face_id];
    return [main, ...rows.filter(row => row !== main)];
  }

  // `current`: rows of the newest frame with faces, the main face first; `patience`: ms without a chosen face before that
  // is told, as some frames miss one that is there.
  show(current, now, patience = Infinity) {
    const {at, $, emotions, wordOf} = this.tab, chosen = Number(this.chosen.value);
    const row = chosen ? current.find(one => one[at.face_id] === chosen) : current[0];
    if (!row) {
      this.showNobody();
      if (chosen && now - this.seenAt > patience) this.announce(`Face ${chosen}: not in the picture`, now);
      return;
    }
    this.seenAt = now;
    const emotion = wordOf(row);
    if (this.emoji.dataset.state !== emotion) this.change(emotion);
    put(this.title, word(emotion));
    put($('.reading .number'), `Face ${row[at.face_id]}`);
    put($('.live-confidence'), row[at.clear] ? percent(row[at.confidence]) : '');
    put($('.reading .doubt'), row[at.clear] ? '' : this.likeliest(row));
    for (const name of emotions) this.setBar(name, row[at[name]], name === row[at.emotion]);
    put($('.measures .intensity'), percent(row[at.intensity]));
    for (const name of ['valence', 'arousal']) put($('.measures .' + name), signed(row[at[name]]));
    this.announce(`Face ${row[at.face_id]}: ${emotion}`, now);
  }

  likeliest(row) {
    const {at, emotions} = this.tab, order = [...emotions].sort((a, b) => row[at[b]] - row[at[a]]);
    return order.slice(0, 2).map(name => `${name} ${percent(row[at[name]])}`).join(' or ');
  }

  showNobody() {
    const {$, emotions} = this.tab;
    put($('.reading .doubt'), '');
    this.emoji.dataset.state = 'none';
    put($('.reading .number'), this.chosen.value ? `Face ${this.chosen.value}` : 'Main face');
    put(this.title, this.chosen.value ? 'Not in the picture' : 'No face');
    put($('.live-confidence'), '');
    for (const name of emotions) this.setBar(name, null);
    for (const name of ['intensity', 'valence', 'arousal']) put($('.measures .' + name), '–');
  }

  change(emotion) {
    this.emoji.src = this.tab.labels[emotion].picture;
    this.emoji.dataset.state = emotion;
    if (matchMedia('(prefers-reduced-motion: reduce)').matches) return;
    this.emoji.animate([{scale: 0.6}, {scale: 1.18}, {scale: 1}], {duration: 350, easing: 'ease-out'});
    // It sways for less than five seconds: what moves longer has to have a button that ends it, and keeps a phone's
    // processor awake.
    const sway = [{translate: '0 0', rotate: '0deg'}, {translate: '0 -5px', rotate: '4deg'}, {translate: '0 0', rotate: '0deg'}];
    this.emoji.animate(sway, {duration: 2000, iterations: 2, easing: 'ease-in-out'});
  }

  setBar(name, value, top = false) {
    const bar = this.bars[name];
    bar.classList.toggle('top', top);
    bar.querySelector('.fill').style.translate = 100 * ((value || 0) - 1) + '%';
    put(bar.querySelector('.value'), value === null ? '–' : percent(value));
  }

  announce(sentence, now) {
    if (sentence === this.announced || now - this.announcedAt <= ANNOUNCE_PERIOD) return;
    this.announcer.textContent = this.announced = sentence;
    this.announcedAt = now;
  }

  // `shown`: the faces that have a box, which stay in the list.
  offer(id, shown) {
    if ([...this.chosen.options].some(option => Number(option.value) === id)) return;
    this.chosen.append(new Option(`face ${id}`, id));
    // Faces come and go for hours; those that have left the timeline leave the list.
    while (this.chosen.options.length > MOST_FACES) {
      const left = [...this.chosen.options].find(one => one.value && !one.selected && !shown.has(Number(one.value)));
      if (!left) break;
      left.remove();
    }
  }

  // The list becomes that of these faces, where they are too many without the earliest of those that have no box; one
  // that is chosen and not among them gives way to the main face. `shown` as above.
  list(ids, shown = new Map()) {
    const {chosen} = this, before = chosen.value, gone = [...ids].filter(id => !shown.has(id));
    const last = [...gone, ...shown.keys()].slice(-MOST_FACES).sort((a, b) => a - b);
    chosen.replaceChildren(chosen.options[0], ...last.map(id => new Option(`face ${id}`, id)));
    chosen.value = last.includes(Number(before)) ? before : '';
  }
}
