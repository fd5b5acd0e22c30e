// What the page does as a whole, once it is there.

import {keepAwake} from './awake.js';
import {keepChoice} from './chooser.js';
import {linkTabs} from './links.js';
import {share} from './sharing.js';

keepChoice(navigator.mediaDevices);
linkTabs();
window.shareEmotions = async url => share(await (await fetch(url)).blob());  // for the tabs' events

// Browsers show no TIFF, and most no HEIC or JPEG 2000, which are read all the same: words stand in such a picture's place.
for (const event of ['error', 'load']) {
  document.addEventListener(event, ({target: picture}) => {
    if (!picture.matches?.(':is(#photo, #own-photo) .image-frame img')) return;
    const name = decodeURIComponent(picture.src.split('/').pop());
    picture.alt = event === 'error' ? `${name}: this browser shows no pictures of this kind.` : '';
  }, true);
}

// Results are announced to screen readers; the page says its language. A tab's content comes when it is first opened.
// Gradio's own stopwatch ticks beside a result, in the same block: what is announced is the result alone.
document.documentElement.lang = 'en';
const given = {status: 'photo', looks: 'photo', 'video-status': 'clip', 'album-status': 'photos'};
const silent = new Set(Object.keys(given));
const announce = () => {
  for (const id of silent) {
    const place = document.getElementById(id), result = place?.querySelector('.html-container');
    if (!result) continue;
    result.setAttribute('role', 'status');
    result.setAttribute('aria-live', 'polite');
    keepAwake(place, given[id]);
    silent.delete(id);
  }
  if (!silent.size) watcher.disconnect();
};
const watcher = new MutationObserver(announce);
watcher.observe(document.body, {childList: true, subtree: true});
announce();
