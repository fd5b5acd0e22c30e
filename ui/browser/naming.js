// A picture's pixels -> its faces and what the emotion network says of each, as EmotionDetector gives them for live
// pictures. Every frame by itself: what is known of the frames before is `rows.js`.

import {cropFace, fillGrey, level} from './pixels.js';
import {YuNet} from './yunet.js';

export class Namer {
  // `sessions`: {faces, emotions} of onnxruntime-web; `how`: what ui/browser/networks.py says of both.
  constructor(ort, sessions, how) {
    Object.assign(this, {ort, session: sessions.emotions, how: how.emotions});
    this.yunet = new YuNet(ort, sessions.faces, how.faces);
    this.grey = new Uint8Array(0);
  }

  // `picture`: RGBA {data, width, height}. Gives [{box, probabilities}], the largest face first.
  async read(picture) {
    const found = await this.yunet.find(picture);
    if (!found.length) return [];
    const {imageSize: size, framing, levels} = this.how, {width, height} = picture, pixels = size * size;
    if (this.grey.length !== width * height) this.grey = new Uint8Array(width * height);
    fillGrey(this.grey, picture);
    const input = new Float32Array(found.length * pixels), source = {grey: this.grey, width, height};
    found.forEach(({box, landmarks}, i) => {
      const face = input.subarray(i * pixels, (i + 1) * pixels);
      cropFace(source, box, landmarks, framing, size, face);
      level(face, levels);
    });
    const said = await this.ask(input, found.length);
    return found.map(({box}, i) => ({box: clipped(box, width, height), probabilities: said[i]}));
  }

  // Probabilities of so many cut-out faces.
  async ask(input, count) {
    const {imageSize: size} = this.how, tensor = new this.ort.Tensor('float32', input, [count, size, size, 1]);
    const {probabilities: {data, dims}} = await this.session.run({[this.session.inputNames[0]]: tensor}, ['probabilities']);
    return Array.from({length: count}, (_, i) => Array.from(data.subarray(i * dims[1], (i + 1) * dims[1])));
  }

  // What the first frame would wait for, such as programs for the graphics chip.
  async warmUp(width, height) {
    await this.read({data: new Uint8ClampedArray(4 * width * height), width, height});
    await this.ask(new Float32Array(this.how.imageSize ** 2), 1);
  }
}

// In whole pixels, inside the picture.
function clipped([x, y, w, h], width, height) {
  const left = Math.min(Math.max(0, Math.round(x)), width - 1), top = Math.min(Math.max(0, Math.round(y)), height - 1);
  const right = Math.min(width, Math.round(x + w)), bottom = Math.min(height, Math.round(y + h));
  return [left, top, Math.max(1, right - left), Math.max(1, bottom - top)];
}
