// The newest frame that was read, and where all of its faces are: what a picture with hidden faces is made of. The video
// has gone on since, and its faces with it.

const LATELY = 1500;  // ms for which a face that was missed is hidden where it was last, and in the next frame in any case

export class Still {
  // `at`: where a value stands in a row.
  constructor(at) {
    this.at = at;
    this.free = [];  // canvases for further copies
    this.clear();
  }

  clear() {
    this.picture = null;
    this.faces = new Map();  // face id -> {row, size, seen}
    this.before = 0;         // when the frame before was read
  }

  // What a video shows now.
  copyOf(video) { return copyOf(video, this.free.pop()); }

  // `picture`: the copy of a frame, null where none is wanted; `reply`: what was read in it.
  take(picture, reply) {
    const seen = performance.now();
    if (this.picture) this.free.push(this.picture);
    this.picture = picture;
    for (const row of reply.rows) if (row[this.at.w]) this.faces.set(row[this.at.face_id], {row, size: reply, seen});
    for (const [id, face] of this.faces) if (seen - face.seen > LATELY && face.seen < this.before) this.faces.delete(id);
    this.before = seen;
  }
}

// A video's or a canvas's picture in another canvas.
export function copyOf(source, copy = document.createElement('canvas')) {
  const width = source.videoWidth || source.width, height = source.videoHeight || source.height;
  if (copy.width !== width) copy.width = width;  // even the same size would make the browser begin anew
  if (copy.height !== height) copy.height = height;
  copy.getContext('2d').drawImage(source, 0, 0);
  return copy;
}
