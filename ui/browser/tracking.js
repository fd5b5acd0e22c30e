// The same face over the frames of a camera, as emotion_model.timelines.tracking.FaceTracker follows it.

import {EmotionSmoother} from './smoothing.js';

const sizeOf = ({box}) => Math.sqrt(box[2] * box[3]);
const centreOf = ({box}) => [box[0] + box[2] / 2, box[1] + box[3] / 2];

class Track {
  constructor(number, face, time, rules) {
    Object.assign(this, {number, rules, seen: time, missed: false, size: sizeOf(face), centre: centreOf(face)});
    this.emotions = new EmotionSmoother(rules);
    this.clear = Math.max(...face.probabilities) >= rules.clear_from;
    this.velocity = [0, 0];  // pixels per second
  }

  // How far a face is from what is expected of this one; infinite if it cannot be the same.
  distance(face, time) {
    const {rules} = this, size = sizeOf(face), centre = centreOf(face), larger = Math.max(size, this.size);
    const coasted = rules.COASTING_SECONDS * (1 - Math.exp(-(time - this.seen) / rules.COASTING_SECONDS));
    const away = centre.map((value, i) => value - this.centre[i] - this.velocity[i] * coasted);
    const growth = larger / Math.min(size, this.size), offset = Math.hypot(...away) / larger;
    if (growth > rules.size_ratio || offset > rules.reach + rules.speed * (time - this.seen)) return Infinity;
    return offset + Math.log(growth);
  }

  update(face, time, smoothing) {
    const {rules} = this, elapsed = time - this.seen, centre = centreOf(face);
    if (elapsed > 0) {
      const weight = 1 - Math.exp(-elapsed / rules.VELOCITY_SECONDS);
      this.velocity = this.velocity.map((speed, i) => speed + weight * ((centre[i] - this.centre[i]) / elapsed - speed));
    }
    Object.assign(this, {centre, size: sizeOf(face), seen: time, missed: false});
    const probabilities = this.emotions.update(face.probabilities, time, smoothing), {label} = this.emotions;
    const margin = smoothing ? rules.CLEAR_MARGIN : 0;
    this.clear = probabilities[label] >= rules.clear_from + (this.clear ? -margin : margin);
    return {...face, id: this.number, raw: face.probabilities, probabilities, label, clear: this.clear};
  }
}

export class FaceTracker {
  constructor(rules) {
    this.rules = rules;
    this.tracks = [];
    this.time = -Infinity;
    this.step = 0;  // seconds between the last two frames
    this.count = 0;
  }

  // The faces of one frame, [{box, probabilities}], at a time in seconds; returns them with `id`, smoothed
  // `probabilities`, `raw` ones, the `label` that holds still, and whether it is `clear`.
  update(faces, time, smoothing = this.rules.smoothing) {
    const {LONGEST_GAP, MISSED_LOOKS} = this.rules, patience = Math.max(this.rules.patience, LONGEST_GAP);
    const missedPatience = Math.max(this.rules.patience, Math.min(MISSED_LOOKS * this.step, LONGEST_GAP));
    this.tracks = this.tracks.filter(track => time - track.seen <= (track.missed ? missedPatience : patience));
    this.step = this.time > -Infinity ? time - this.time : 0;
    this.time = time;
    const pairs = this.tracks.flatMap((track, i) => faces.map((face, j) => [track.distance(face, time), i, j]))
      .filter(([distance]) => distance < Infinity)
      .sort((a, b) => a[0] - b[0] || a[1] - b[1] || a[2] - b[2]);
    const trackOf = new Map(), taken = new Set();
    for (const track of this.tracks) track.missed = true;
    for (const [, i, j] of pairs) {
      if (taken.has(i) || trackOf.has(j)) continue;
      taken.add(i);
      trackOf.set(j, this.tracks[i]);
    }
    return faces.map((face, j) => {
      let track = trackOf.get(j);
      if (!track) this.tracks.push(track = new Track(++this.count, face, time, this.rules));
      return track.update(face, time, smoothing);
    });
  }
}
