// A verified release ready to answer: text in, the service's answer out. It imports nothing: release.js hands it all.

function probabilities(logits, temperature) {
  const highest = Math.max(...logits);
  const shifted = Array.from(logits, (logit) => Math.exp((logit - highest) / temperature));
  const total = shifted.reduce((a, b) => a + b);
  return shifted.map((value) => Math.round((value / total) * 1e6) / 1e6);
}

export class Classifier {
  constructor({ release, manifest, ort, session, reader, tokenizer }) {
    Object.assign(this, { release, manifest, ort, session, reader, tokenizer });
  }

  // What the model reads of a ticket.
  read(text) {
    return this.reader.canonical.canonical(this.reader.privacy.clean(text));
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
