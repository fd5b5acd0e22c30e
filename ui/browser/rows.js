// The faces of one frame after the other -> rows of the export, as FaceTracker and emotion_model.timelines.table give
// them.

import {FaceTracker} from './tracking.js';

const digits = (value, count = 4) => Number(value.toFixed(count));

export class Rows {
  // `how`: what ui/browser/networks.py says.
  constructor(how) {
    this.how = how;
    this.tracker = new FaceTracker(how.tracking);
  }

  // `faces`: [{box, probabilities}]; `time` and `smoothing` in seconds.
  of(faces, {time, smoothing}) {
    const followed = this.tracker.update(faces, time, smoothing), start = [digits(time, 3), 0];
    if (!followed.length) return [[...start, ...Array(this.how.columns - start.length).fill(null)]];
    return followed.map(face => [...start, ...this.valuesOf(face)]);
  }

  valuesOf({id, box, probabilities, raw, label, clear}) {
    const {names, affects} = this.how.emotions, neutral = names.indexOf('neutral');
    const mean = axis => digits(names.reduce((sum, name, i) => sum + probabilities[i] * (affects[name]?.[axis] ?? 0), 0));
    const intensity = neutral < 0 ? beyondEven(probabilities) : 1 - probabilities[neutral];
    return [id, ...box, ...probabilities.map(one => digits(one)), names[label], digits(probabilities[label]),
      digits(intensity), mean(0), mean(1), clear, ...raw.map(one => digits(one))];
  }
}

// How far probabilities are from even odds, 0..1.
function beyondEven(probabilities) {
  const even = 1 / probabilities.length;
  return Math.min(probabilities.reduce((sum, one) => sum + Math.max(one - even, 0), 0) / (1 - even), 1);
}
