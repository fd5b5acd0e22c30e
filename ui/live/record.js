// What was read: a row per face and frame, in the columns of the export. Knows nothing of the page.

export const MAX_ROWS = 200000;  // hours
const MOMENT = 0.05;             // s that a frame counts for at least
const EMPTY_PERIOD = 1;          // s between two rows of a picture without a face: an empty room fills no record

export class Record {
  constructor(columns) {
    this.columns = columns;
    this.at = Object.fromEntries(columns.map((name, i) => [name, i]));  // place of a value in a row
    this.rows = [];
    this.dropped = 0;       // rows that a very long session has lost at its beginning
    this.frames = 0;
    this.highestId = 0;
    this.idOffset = 0;
    this.started = null;    // the ids are from when whoever reads began to count
  }

  // Takes in the rows of one frame; returns those that have a face. Whoever reads counts faces anew each time that it
  // begins, which `started` tells apart: no number is given twice here.
  add(fresh, started) {
    const {at} = this;
    if (started !== this.started) { this.started = started; this.idOffset = this.highestId; }
    for (const row of fresh) {
      row[at.frame] = this.frames;
      if (row[at.face_id] === null) continue;
      row[at.face_id] += this.idOffset;
      this.highestId = Math.max(this.highestId, row[at.face_id]);
    }
    this.frames++;
    if (this.stillEmpty(fresh)) this.rows.pop();
    this.rows.push(...fresh);
    if (this.rows.length > MAX_ROWS) this.dropped += this.rows.splice(0, MAX_ROWS / 10).length;
    return this.withFace(fresh);
  }

  // Whether the last row can give way to these, as nobody has been there since the one before it, a moment ago.
  stillEmpty(fresh) {
    const {face_id: id, time} = this.at, last = this.rows.slice(-2);
    return last.length === 2 && [...last, ...fresh].every(row => row[id] === null)
      && fresh[0][time] - last[0][time] < EMPTY_PERIOD;
  }

  withFace(rows) { return rows.filter(row => row[this.at.face_id] !== null); }

  // The ids of all who are in it.
  get faces() { return new Set(this.withFace(this.rows).map(row => row[this.at.face_id])); }

  // Whether rows are to be dropped within minutes.
  get nearlyFull() { return this.rows.length > 0.8 * MAX_ROWS; }

  get first() { return this.rows[0][this.at.time]; }

  get last() { return this.rows.length ? this.rows[this.rows.length - 1][this.at.time] : 0; }

  // Where the rows from this time on begin.
  indexOf(time) {
    let low = 0, high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle][this.at.time] < time) low = middle + 1; else high = middle;
    }
    return low;
  }

  clear() {
    const rows = this.rows;
    this.rows = [];
    this.dropped = 0;
    return rows;
  }

  // Frames and faces are counted on from these rows.
  goOn(rows) {
    const {at} = this;
    this.rows = rows;
    this.frames = rows[rows.length - 1][at.frame] + 1;
    this.highestId = this.withFace(rows).reduce((highest, row) => Math.max(highest, row[at.face_id]), 0);
  }

  restore(rows) { this.rows = rows.concat(this.rows); }

  toCsv() {
    const cell = value => value === null ? '' : /[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value;
    return [this.columns, ...this.rows].map(row => row.map(cell).join(',')).join('\n') + '\n';
  }

  toJson() {
    const lines = this.rows.map(row => JSON.stringify(Object.fromEntries(this.columns.map((name, i) => [name, row[i]]))));
    return '[\n' + lines.join(',\n') + '\n]\n';
  }

  // One sentence on the rows from this time until now. What a frame shows counts until the next one, but for no more
  // than `gone` seconds: frames may have been read now often and now seldom.
  describe(from, now, gone) {
    const {at} = this, rows = this.rows.slice(this.indexOf(from)), recent = this.withFace(rows);
    if (!recent.length) return 'Timeline, empty';
    const times = [...new Set(rows.map(row => row[at.time]))];
    const until = i => Math.max(MOMENT, Math.min((times[i + 1] ?? now) - times[i], gone));
    const lasts = new Map(times.map((time, i) => [time, until(i)]));
    const seconds = {};
    let sum = 0;
    for (const row of recent) {
      const name = row[at.clear] === false ? 'unclear' : row[at.emotion], lasted = lasts.get(row[at.time]);
      seconds[name] = (seconds[name] || 0) + lasted;
      sum += lasted;
    }
    const shares = Object.entries(seconds).sort((a, b) => b[1] - a[1]).slice(0, 3)
      .map(([name, n]) => `${name} ${Math.round(100 * n / sum)}%`);
    const faces = new Set(recent.map(row => row[at.face_id])).size;
    return `Timeline of the last ${Math.round(now - from)} seconds, ${faces === 1 ? '1 face' : faces + ' faces'}: ${shares.join(', ')}`;
  }
}
