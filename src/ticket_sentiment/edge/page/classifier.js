// A verified release ready to answer: text in, the service's answer out.

import { Canonical, Privacy } from "./text.js";
import { WordPiece } from "./wordpiece.js";

export async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) {
    throw new Error("this address is not secure, so the browser cannot verify the model: serve the folder over https, or from localhost");
  }
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function bytesOf(path) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} is not there (${response.status}): copy the folder again`);
  return response.arrayBuffer();
}

async function verified(path, expected) {
  const bytes = await bytesOf(path);
  if ((await sha256(bytes)) !== expected) {
    throw new Error(`${path} is not what the manifest names (SHA-256 differs): copy the folder again`);
  }
  return bytes;
}

const parsed = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

function probabilities(logits, temperature) {
  const highest = Math.max(...logits);
  const shifted = Array.from(logits, (logit) => Math.exp((logit - highest) / temperature));
  const total = shifted.reduce((a, b) => a + b);
  return shifted.map((value) => Math.round((value / total) * 1e6) / 1e6);
}

export class Classifier {
  // Every file is read once, and what was hashed is what is used.
  static async open() {
    const release = parsed(await bytesOf("release.json"));
    const file = (path) => verified(path, release.files[path]?.sha256);
    const manifest = parsed(await verified("bundle/bundle.json", release.bundle_digest));
    const [model, tokenizer, rules, wasm] = await Promise.all([
      verified("bundle/model.onnx", manifest.files["model.onnx"]),
      verified("bundle/tokenizer.json", manifest.files["tokenizer.json"]),
      file("rules.json"),
      file(release.runtime.wasm),
    ]);
    const ort = await import(`./${release.runtime.module}`);
    Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: wasm });
    const session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] });
    return new Classifier({ release, manifest, ort, session, tokenizer: parsed(tokenizer), rules: parsed(rules) });
  }

  constructor({ release, manifest, ort, session, tokenizer, rules }) {
    Object.assign(this, { release, manifest, ort, session });
    [this.privacy, this.canonical] = [new Privacy(rules), new Canonical(rules)];
    this.tokenizer = new WordPiece(tokenizer, manifest.max_length, rules.characters);
  }

  // What the model reads of a ticket.
  read(text) {
    return this.canonical.canonical(this.privacy.clean(text));
  }

  // The answer's fields are those of POST /v1/classify; null where nothing is left of the text.
  async classify(ticket) {
    const limit = this.release.max_text_chars; // in characters, as Python counts; not in UTF-16 units
    if ([...ticket].length > limit) throw new Error(`text: longer than ${limit} characters: shorten it`);
    const text = this.read(ticket);
    const ids = text ? this.tokenizer.encode(text) : [];
    if (!ids.length) return null;
    const tensor = (values) => new this.ort.Tensor("int64", BigInt64Array.from(values, BigInt), [1, ids.length]);
    const feeds = { input_ids: tensor(ids), attention_mask: tensor(ids.map(() => 1)) };
    const { logits } = await this.session.run(feeds);
    const values = probabilities(logits.data, this.manifest.temperature);
    if (!values.every((value) => value >= 0 && value <= 1)) throw new Error("the model's answer is no number");
    const confidence = Math.max(...values);
    return {
      label: this.manifest.labels[values.indexOf(confidence)],
      probabilities: Object.fromEntries(this.manifest.labels.map((label, at) => [label, values[at]])),
      confidence,
      abstain: confidence < this.release.abstain_below,
      model_version: this.release.version,
      bundle_digest: this.release.bundle_digest,
      text,
    };
  }
}
