// Keeps one whole, verified release for the time without a network, and replaces it by another whole one or not at all.
//
// Files lie in the cache under their SHA-256; the manifest, release.json, says which of them are the release and is
// put there last. So an update that is interrupted, or of which one file is wrong, leaves the release before it.

const SHARED = "ticket-sentiment-edge"; // of every page of the origin, as it was once
const CACHE = `${SHARED} ${self.registration.scope}`; // one origin may serve several
const MANIFEST = "release.json";
const PAGE = "index.html";

const at = (path) => new URL(path, self.registration.scope).href;
const kept = (sha256) => at(`sha256/${sha256}`);

async function hash(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function held(cache) {
  const found = await cache.match(at(MANIFEST));
  return found ? found.text() : null;
}

async function fetched(path) {
  const response = await fetch(at(path), { cache: "no-store" });
  if (!response.ok) throw new Error(`${path}: status ${response.status}`);
  return response;
}

// Whether it had to be fetched. What is kept is asked for its bytes only where they are doubted.
async function keep(cache, path, file, doubted) {
  const found = await cache.match(kept(file.sha256));
  if (found && !(doubted && (await hash(await found.arrayBuffer())) !== file.sha256)) return false;
  const response = await fetched(path);
  const bytes = await response.arrayBuffer();
  if ((await hash(bytes)) !== file.sha256) throw new Error(`${path}: SHA-256 differs`);
  await cache.put(kept(file.sha256), new Response(bytes, { headers: { "Content-Type": response.headers.get("Content-Type") ?? "" } }));
  return true;
}

// What of the shared cache is this page's comes over, the manifest last; what is another page's is left to it.
async function takeOver(cache) {
  if (!(await caches.has(SHARED))) return;
  const shared = await caches.open(SHARED);
  const files = (await shared.keys()).filter((request) => request.url.startsWith(kept("")));
  const late = (await held(cache)) !== null;
  for (const key of [...files, at(MANIFEST)]) {
    const found = await shared.match(key);
    if (found && !late) await cache.put(key, found);
    await shared.delete(key);
  }
  if (!(await shared.keys()).length) await caches.delete(SHARED);
}

async function forget(cache, release) {
  const wanted = new Set([at(MANIFEST), ...Object.values(release.files).map((file) => kept(file.sha256))]);
  for (const request of await cache.keys()) if (!wanted.has(request.url)) await cache.delete(request);
}

// What became of it: first, same, mended, updated, offline; or failed, or none where no release is kept, with the reason.
async function update(doubted) {
  const cache = await caches.open(CACHE);
  await takeOver(cache).catch(() => {}); // again: the old worker may have written there since. Else it is fetched
  const before = await held(cache);
  let now;
  try {
    now = await (await fetched(MANIFEST)).text();
  } catch (error) {
    return { state: before === null ? "none" : "offline", reason: error.message };
  }
  try {
    const release = JSON.parse(now);
    let mended = false; // also where the server's release is the kept one: of that a file may be gone
    for (const [path, file] of Object.entries(release.files)) mended = (await keep(cache, path, file, doubted)) || mended;
    if (now !== before) {
      await cache.put(at(MANIFEST), new Response(now, { headers: { "Content-Type": "application/json" } }));
      await forget(cache, release);
    }
    const state = before === null ? "first" : now !== before ? "updated" : mended ? "mended" : "same";
    return { state, version: release.version };
  } catch (error) {
    return { state: before === null ? "none" : "failed", reason: error.message };
  }
}

async function answer(request) {
  const cache = await caches.open(CACHE);
  const manifest = await held(cache);
  const path = request.url.slice(at("").length).split(/[?#]/)[0] || PAGE;
  if (manifest === null) return fetch(request);
  const name = path === MANIFEST ? at(MANIFEST) : kept(JSON.parse(manifest).files[path]?.sha256);
  return (await cache.match(name)) ?? fetch(request);
}

let running = null;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => {
  event.waitUntil(caches.open(CACHE).then(takeOver).finally(() => self.clients.claim()));
});
self.addEventListener("message", (event) => {
  running ??= update(event.data === "repair").catch((error) => ({ state: "none", reason: error.message })).finally(() => { running = null; });
  event.waitUntil(running.then((result) => event.ports[0].postMessage(result)));
});
self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && event.request.url.startsWith(at(""))) event.respondWith(answer(event.request));
});
