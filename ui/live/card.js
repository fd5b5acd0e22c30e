// One picture to share of a live session: the still, the timeline below it, the date and what read the faces.

const LINE = 56;  // pixels

export function cardOf(tab, still, timeline) {
  const card = document.createElement('canvas'), context = card.getContext('2d');
  const high = Math.round(still.height * timeline.width / still.width);
  card.width = timeline.width;
  card.height = high + timeline.height + LINE;
  context.imageSmoothingQuality = 'high';
  context.drawImage(still, 0, 0, card.width, high);
  context.drawImage(timeline, 0, high);
  context.fillStyle = 'rgb(18, 20, 26)';
  context.fillRect(0, card.height - LINE, card.width, LINE);
  context.fillStyle = 'rgb(236, 236, 241)';
  context.font = '24px ' + getComputedStyle(tab.root).fontFamily;
  context.textBaseline = 'middle';
  const date = new Date().toLocaleDateString(undefined, {dateStyle: 'long'});
  context.fillText(`Emotion Lens · ${date} · model: ${tab.settings.model}`, 24, card.height - LINE / 2);
  return card;
}
