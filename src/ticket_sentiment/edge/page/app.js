// The page: loads a verified release, answers, keeps the release for the time without a network.

import { openRelease } from "./release.js";

const WAIT = 10_000; // ms for the service worker's first answer to the page
const PATIENCE = 120_000; // ms for it to fetch a release; browsers end a worker that takes long, and say nothing

const element = (id) => document.getElementById(id);
const percent = (value) => `${(100 * value).toFixed(1)} %`;
const show = (id, text) => { element(id).textContent = text; };

function say(text, wrong = false) {
  show("state", text);
  element("state").className = wrong ? "fail" : "";
}

async function controlled() {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return null;
  const before = await serviceWorker.getRegistration();
  await serviceWorker.register("service-worker.js");
  const { active } = await serviceWorker.ready;
  // A page that was loaded with Shift has no controller and gets none.
  if (serviceWorker.controller || before?.active) return serviceWorker.controller ?? active;
  return new Promise((resolve) => {
    serviceWorker.addEventListener("controllerchange", () => resolve(serviceWorker.controller), { once: true });
    setTimeout(() => resolve(serviceWorker.controller ?? active), WAIT);
  });
}

// Asks the service worker to fetch the release that the server has now: state, version, reason. With `repair` it looks
// at every byte of what is kept, too.
function update(worker, how = "update") {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = (event) => resolve(event.data);
    setTimeout(() => resolve({ state: "silent" }), PATIENCE);
    worker.postMessage(how, [channel.port2]);
  });
}

const OFFLINE = {
  first: () => "works: the release is kept on this device",
  same: () => "works: the release is kept on this device",
  mended: () => "works again: a kept file was damaged and has been fetched: load this page again",
  updated: (news) => `version ${news.version} is kept on this device: load this page again to use it`,
  offline: () => "works: there is none now",
  none: (news) => `does not work yet: the release could not be kept (${news.reason})`,
  silent: () => "is not known: this browser has not said in time whether the release is kept; load this page again",
  failed: (news) => `the newest release could not be kept, the one before it stays (${news.reason})`,
};

async function keepOffline() {
  const worker = await controlled().catch(() => null);
  if (!worker) {
    show("offline", "does not work here: this browser or address allows no service worker");
    return null;
  }
  const had = await caches.match(new URL("release.json", location.href));
  if (had) return (how) => update(worker, how);
  say("Fetching the model, once…");
  const news = await update(worker);
  return async () => news;
}

// What begins the page cannot vouch for itself.
const VERIFIED =
  "model, tokenizer, rules, runtime and the code that reads and answers are what release.json names (SHA-256); " +
  "not verified by the page itself: release.json, service-worker.js, index.html, app.js, release.js and styles";

function describe({ release }) {
  show("version", release.version);
  show("digest", release.bundle_digest);
  show("verified", VERIFIED);
  show("runtime", `${release.runtime.name} ${release.runtime.version}`);
}

function shares(probabilities) {
  return Object.entries(probabilities).map(([label, value]) => {
    const item = document.createElement("li");
    const [name, meter, number] = ["span", "meter", "span"].map((kind) => document.createElement(kind));
    [name.textContent, meter.value, number.textContent] = [label, value, percent(value)];
    meter.setAttribute("aria-label", `probability of ${label}`);
    number.className = "value";
    item.append(name, meter, number);
    return item;
  });
}

function render(answer) {
  element("answer").hidden = answer === null;
  if (!answer) {
    say("Nothing is left of this text to read: write a few words.", true);
    return;
  }
  say("Ready.");
  show("label", answer.label);
  show("confidence", percent(answer.confidence));
  element("abstain").hidden = !answer.abstain;
  element("shares").replaceChildren(...shares(answer.probabilities));
  show("read", answer.text);
}

async function told(news, how) {
  const { state, ...rest } = await news(how);
  show("offline", OFFLINE[state](rest));
  return { state, ...rest };
}

async function opened(news) {
  try {
    return await openRelease();
  } catch (error) {
    // The fault may be the kept release's: whoever does not ask for the server's never gets rid of it.
    const { state, version } = news ? await told(news, "repair") : {};
    if (state === "mended") throw new Error(`${error.message}. It has been fetched again: load this page again`);
    if (state !== "updated") throw error;
    throw new Error(`${error.message}. Version ${version} has come in its place: load this page again`);
  }
}

async function start() {
  const news = await keepOffline();
  const classifier = await opened(news);
  describe(classifier);
  say("Ready.");
  element("classify").disabled = false;
  element("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      render(await classifier.classify(element("text").value));
    } catch (error) {
      element("answer").hidden = true; // it is of another text
      say(error.message, true);
    }
  });
  element("text").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) element("form").requestSubmit();
  });
  if (news) await told(news);
  return classifier;
}

// For whoever drives this page from outside: a promise of the classifier.
globalThis.ticketSentiment = start();
globalThis.ticketSentiment.catch((error) => say(`The model cannot be used: ${error.message}`, true));
