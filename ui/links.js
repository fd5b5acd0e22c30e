// Each tab has an address of its own, ?tab=video, and a title.

const FIRST = 'live';
// Browsers translate its text, not its id. In a narrow screen's menu it has none, but is looked for before that.
const nameOf = tab => tab.dataset.tabId ?? tab.textContent.trim().toLowerCase();
const tabs = () => [...document.querySelectorAll('[role=tab], .overflow-dropdown button')];

export const linkTabs = () => {
  const title = document.title;
  const wanted = new URLSearchParams(location.search).get('tab')?.toLowerCase();
  const found = tabs().filter(tab => nameOf(tab) === wanted);
  (found.find(tab => tab.offsetParent) ?? found[0])?.click();
  let shown = '';
  const follow = () => {
    const selected = tabs().find(tab => tab.getAttribute('aria-selected') === 'true');
    if (!selected || nameOf(selected) === shown) return;
    shown = nameOf(selected);
    document.dispatchEvent(new Event('tab-changed'));  // for the cameras
    const address = new URL(location.href);
    if (shown === FIRST) address.searchParams.delete('tab');
    else address.searchParams.set('tab', shown);
    history.replaceState(history.state, '', address);
    document.title = shown === FIRST ? title : `${selected.textContent.trim()} · ${title}`;
  };
  // On a narrow screen the chosen tab comes out of the menu, and is there as chosen from the start.
  const row = document.querySelector('[role=tablist]');
  if (row) new MutationObserver(follow).observe(row, {childList: true, subtree: true, attributeFilter: ['aria-selected']});
  follow();
};
