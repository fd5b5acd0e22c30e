// Finding faces: YuNet, as emotion_model.faces.yunet runs it for live pictures.

import {fillPlanes} from './pixels.js';

export class YuNet {
  // `session`: of onnxruntime-web; `how`: {side, enlarged, divisor, strides, score, overlap}.
  constructor(ort, session, how) {
    Object.assign(this, {ort, session, how});
    this.planes = new Float32Array(0);  // of the last picture: the next is as large, and begins with no new memory
    this.scaled = '';
  }

  // The faces of a picture, the largest first: [{box: [x, y, w, h], landmarks: [x, y, ...]}] in its pixels.
  async find(picture) {
    const {width, height} = picture, {side, enlarged, divisor, strides} = this.how, longest = Math.max(width, height);
    const scale = (longest <= side ? Math.max(longest, enlarged) : side) / longest;
    const wide = Math.max(1, Math.round(width * scale)), high = Math.max(1, Math.round(height * scale));
    const columns = Math.ceil(wide / divisor) * divisor, rows = Math.ceil(high / divisor) * divisor;
    if (this.scaled !== `${wide} ${high}`) this.planes = new Float32Array(3 * rows * columns);
    this.scaled = `${wide} ${high}`;
    fillPlanes(this.planes, columns, picture, wide, high);
    const input = new this.ort.Tensor('float32', this.planes, [1, 3, rows, columns]);
    const output = await this.session.run({[this.session.inputNames[0]]: input});
    const across = width / wide, down = height / high, scaled = (value, i) => value * (i % 2 ? down : across);
    return this.sortedOut(strides.flatMap(stride => this.decoded(output, stride, columns / stride)))
      .filter(({box: [x, y, w, h]}) => w > 0 && h > 0 && x + w > 0 && y + h > 0 && x < wide && y < high)
      .map(({box, landmarks}) => ({box: box.map(scaled), landmarks: landmarks.map(scaled)}))
      .sort((a, b) => b.box[2] * b.box[3] - a.box[2] * a.box[3] || a.box[1] - b.box[1] || a.box[0] - b.box[0]);
  }

  // The faces of one stride whose score reaches the threshold.
  decoded(output, stride, columns) {
    const of = kind => output[`${kind}_${stride}`].data;
    const cls = of('cls'), obj = of('obj'), bbox = of('bbox'), kps = of('kps'), found = [];
    const share = value => Math.min(Math.max(value, 0), 1);
    for (let i = 0; i < cls.length; i++) {
      const score = Math.sqrt(share(cls[i]) * share(obj[i]));
      if (score < this.how.score) continue;
      const column = i % columns, row = Math.floor(i / columns), [dx, dy, w, h] = bbox.subarray(4 * i, 4 * i + 4);
      const wide = Math.exp(w) * stride, high = Math.exp(h) * stride;
      found.push({
        box: [(column + dx) * stride - wide / 2, (row + dy) * stride - high / 2, wide, high],
        landmarks: Array.from(kps.subarray(10 * i, 10 * i + 10), (value, k) => ((k % 2 ? row : column) + value) * stride),
        score,
      });
    }
    return found;
  }

  // Overlapping boxes give way to the surest one. They are compared in whole pixels, as OpenCV does.
  sortedOut(found) {
    const kept = [];
    for (const one of found.sort((a, b) => b.score - a.score)) {
      one.whole = one.box.map(Math.trunc);
      if (kept.every(other => overlapOf(one.whole, other.whole) <= this.how.overlap)) kept.push(one);
    }
    return kept;
  }
}

// Intersection over union of two boxes [x, y, w, h].
function overlapOf(a, b) {
  const wide = Math.min(a[0] + a[2], b[0] + b[2]) - Math.max(a[0], b[0]);
  const high = Math.min(a[1] + a[3], b[1] + b[3]) - Math.max(a[1], b[1]);
  const shared = Math.max(wide, 0) * Math.max(high, 0);
  return shared / (a[2] * a[3] + b[2] * b[3] - shared);
}
