// Where the tags of faces go: above its face, else below it, else inside; within the picture and, if there is room, on
// no other tag or face. A tag does not jump to and fro.

const GAP = 6, CALM = 8; // pixels: between a face and its tag; of room that a tag needs to go back above its face

// `tags`: of each face its box (`x`, `y`, `w`, `h`), of its tag `wide` and `high`, and `place`, where it was so far.
// Returns for each {place, left, top, free: whether there was room}, in the same pixels as `width` and `height`.
export function placeTags(tags, width, height) {
  const taken = [];
  return tags.map((tag, i) => {
    const {x, y, w, h, wide, high, place: last} = tag;
    const left = Math.min(Math.max(0, x + w / 2 - wide / 2), Math.max(0, width - wide));
    const at = {above: y - high - GAP, below: y + h + GAP, inside: y + GAP};
    const others = [...taken, ...tags.filter((_, j) => j !== i)];
    const free = (place, room = 0) => at[place] >= room && at[place] + high + room <= height && !others.some(
      other => left - room < other.x + other.w && other.x < left + wide + room &&
               at[place] - room < other.y + other.h && other.y < at[place] + high + room);
    const found = free('above', last === 'above' ? 0 : CALM) ? 'above'
      : [last, 'above', 'below', 'inside'].find(one => one in at && free(one));
    const place = found ?? (at.above < 0 ? 'inside' : 'above');
    taken.push({x: left, y: at[place], w: wide, h: high});
    return {place, left, top: at[place], free: Boolean(found)};
  });
}
