// Pixels for the two networks, as emotion_model.faces prepares them. Pictures are RGBA bytes, row by row.

const MOST_SAMPLES = 32;  // times the crop's side

// Grey version in `grey`, one byte a pixel, with the weights of ITU-R BT.601 in whole numbers, as OpenCV has it.
export function fillGrey(grey, {data}) {
  for (let i = 0, j = 0; i < grey.length; i++, j += 4) {
    grey[i] = (9798 * data[j] + 19235 * data[j + 1] + 3735 * data[j + 2] + 16384) >> 15;
  }
}

// Where each of `to` pixels lies between two of `from` pixels: the first one's place, the second's, and how far between.
function between(from, to) {
  const first = new Int32Array(to), second = new Int32Array(to), share = new Float32Array(to);
  for (let i = 0; i < to; i++) {
    const place = (i + 0.5) * from / to - 0.5, whole = Math.floor(place);
    first[i] = Math.min(Math.max(whole, 0), from - 1);
    second[i] = Math.min(Math.max(whole + 1, 0), from - 1);
    share[i] = place - whole;
  }
  return {first, second, share};
}

// Scaled linearly to `wide` x `high`, as planes of blue, green and red, 0..255, in `planes`, whose rows have so many
// columns; what lies beyond the picture is left as it is.
export function fillPlanes(planes, columns, {data, width, height}, wide, high) {
  const plane = planes.length / 3;
  const across = between(width, wide), down = between(height, high);
  for (let y = 0; y < high; y++) {
    const above = down.first[y] * width, below = down.second[y] * width, v = down.share[y];
    for (let x = 0, out = y * columns; x < wide; x++, out++) {
      const left = across.first[x], right = across.second[x], u = across.share[x];
      const a = 4 * (above + left), b = 4 * (above + right), c = 4 * (below + left), d = 4 * (below + right);
      const atA = (1 - u) * (1 - v), atB = u * (1 - v), atC = (1 - u) * v, atD = u * v;
      const red = atA * data[a] + atB * data[b] + atC * data[c] + atD * data[d];
      const green = atA * data[a + 1] + atB * data[b + 1] + atC * data[c + 1] + atD * data[d + 1];
      const blue = atA * data[a + 2] + atB * data[b + 2] + atC * data[c + 2] + atD * data[d + 2];
      planes[out] = (blue + 0.5) | 0;
      planes[out + plane] = (green + 0.5) | 0;
      planes[out + 2 * plane] = (red + 0.5) | 0;
    }
  }
}

// Cuts one face out of a grey picture into `into`, `size` x `size` values of 0..255: its eyes level, sampled finely and
// averaged down; beyond the picture its edge pixels are repeated. `box` is [x, y, w, h], `landmarks` [x, y, x, y, ...].
export function cropFace({grey, width, height}, box, landmarks, framing, size, into) {
  const angle = Math.atan2(landmarks[3] - landmarks[1], landmarks[2] - landmarks[0]);
  const cos = Math.cos(angle), sin = Math.sin(angle), high = box[3];
  const centreX = box[0] + box[2] / 2 + high * (framing.dx * cos - framing.dy * sin);
  const centreY = box[1] + high / 2 + high * (framing.dx * sin + framing.dy * cos);
  const side = Math.max(framing.side * high, 1);
  const fine = Math.min(Math.ceil(side / size), MOST_SAMPLES), step = side / (size * fine), half = (size * fine - 1) / 2;
  const startX = centreX - 0.5 - step * half * (cos - sin), startY = centreY - 0.5 - step * half * (sin + cos);
  const right = width - 1, bottom = height - 1;
  for (let row = 0; row < size; row++) {
    for (let column = 0; column < size; column++) {
      let sum = 0;
      for (let i = row * fine; i < (row + 1) * fine; i++) {
        for (let j = column * fine; j < (column + 1) * fine; j++) {
          const x = Math.min(Math.max(startX + step * (j * cos - i * sin), 0), right);
          const y = Math.min(Math.max(startY + step * (j * sin + i * cos), 0), bottom);
          // In whole grey levels and 32nds of a pixel, as OpenCV samples.
          const left = x | 0, top = y | 0, u = ((x - left) * 32 + 0.5 | 0) / 32, v = ((y - top) * 32 + 0.5 | 0) / 32;
          const at = top * width + left, next = left < right ? 1 : 0, under = top < bottom ? width : 0;
          const upper = grey[at] + u * (grey[at + next] - grey[at]);
          const lower = grey[at + under] + u * (grey[at + under + next] - grey[at + under]);
          sum += (upper + v * (lower - upper) + 0.5) | 0;
        }
      }
      into[row * size + column] = Math.round(sum / (fine * fine));
    }
  }
}

// Gives a face the contrast and brightness that it lacks, in place, as `level` in emotion_model.faces.cropping does.
// `levels`: {least, dimmest, brightest, most} of its constants.
export function level(face, {least, dimmest, brightest, most}) {
  let sum = 0, squares = 0;
  for (const value of face) {
    sum += value;
    squares += value * value;
  }
  const mean = sum / face.length, deviation = Math.sqrt(Math.max(squares / face.length - mean * mean, 0));
  const gain = Math.min(Math.max(least / Math.max(deviation, 1e-6), 1), most);
  const target = Math.min(Math.max(mean, dimmest), brightest);
  if (gain === 1 && target === mean) return;
  for (let i = 0; i < face.length; i++) face[i] = Math.min(Math.max((face[i] - mean) * gain + target, 0), 255);
}
