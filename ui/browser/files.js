// Files for the browser: fetched with progress, refused where their content is not the expected one, and kept in the
// browser, whose ordinary cache does not keep files as large as these in every window.

const STORE = 'emotion-lens-networks';
const WAITS = [1, 2, 4, 8, 16];  // s before each further try of a file that broke off, as where a phone loses its network

// `files`: [{address, sha256, bytes}]; `kept`: addresses of all that may stay in the browser; `onprogress` is called with
// the bytes that are here. Gives their contents.
export async function fetchAll(files, kept, onprogress) {
  const store = await openStore(), here = files.map(() => 0);
  const contents = await Promise.all(files.map((file, i) => fetchPatiently(file, store, bytes => {
    here[i] = bytes;
    onprogress(here.reduce((sum, one) => sum + one, 0));
  })));
  // Those of an earlier version go.
  for (const {url} of await store?.keys() ?? []) if (!kept.includes(url)) store.delete(url);
  return contents;
}

async function openStore() {
  try { return await caches.open(STORE); } catch { return null; }  // a window that keeps nothing
}

// A file that never begins to come is not waited for: something keeps it away.
async function fetchPatiently(file, store, onprogress) {
  let began = false;
  const note = bytes => { began = true; onprogress(bytes); };
  for (const seconds of WAITS) {
    try { return await fetchOne(file, store, note); } catch (error) {
      if (!began || !(error instanceof TypeError)) throw error;  // what `fetch` throws where the network is at fault
    }
    await new Promise(goOn => setTimeout(goOn, 1000 * seconds));
  }
  return fetchOne(file, store, note);
}

async function fetchOne(file, store, onprogress) {
  const {address, sha256, bytes} = file;
  const name = address.split('/').pop(), kept = await store?.match(address);
  const response = kept ?? await fetch(address);
  if (!response.ok) throw new Error(`${name}: status ${response.status}`);
  const content = new Uint8Array(bytes), source = response.body.getReader();
  let length = 0;
  for (let part = await source.read(); !part.done; part = await source.read()) {
    if (length + part.value.length > bytes) throw new Error(`${name} is too long`);
    content.set(part.value, length);
    onprogress(length += part.value.length);
  }
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', content));
  const found = Array.from(digest, byte => byte.toString(16).padStart(2, '0')).join('');
  if (found !== sha256 && kept) {
    await store.delete(address);
    return fetchOne(file, store, onprogress);
  }
  if (found !== sha256) throw new Error(`${name} is not the expected file`);
  if (!kept) await store?.put(address, new Response(content)).catch(() => {});  // no room: fetched again next time
  return content;
}
