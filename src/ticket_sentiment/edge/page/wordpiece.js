// A bundle's tokenizer.json: model/wordpiece.py in JavaScript, with its tables of characters (rules.json).

const hex = (code) => `\\u{${code.toString(16)}}`;
const inside = (ranges) => ranges.map(([first, last]) => `${hex(first)}-${hex(last)}`).join("");

// A pattern for any of these strings, the longest where several begin.
function alternatives(ids) {
  const escaped = [...ids.keys()].sort((a, b) => b.length - a.length).map((text) => [...text].map((c) => hex(c.codePointAt(0))).join(""));
  return escaped.length ? new RegExp(`(${escaped.join("|")})`, "u") : null;
}

function expect(part, found, ...expected) {
  if (!expected.includes(found)) {
    throw new Error(`tokenizer.json: ${part} is ${found}, expected ${expected.join(" or ")}: this page reads WordPiece of BERT's kind only`);
  }
}

export class WordPiece {
  constructor(specification, maxLength, characters) {
    const { model, normalizer, pre_tokenizer: words, post_processor: processor } = specification;
    expect("model", model?.type, "WordPiece");
    expect("normalizer", normalizer?.type, "BertNormalizer");
    expect("pre_tokenizer", words?.type, "BertPreTokenizer");
    this.vocabulary = new Map(Object.entries(model.vocab));
    this.prefix = model.continuing_subword_prefix;
    this.maxCharacters = model.max_input_chars_per_word;
    this.unknown = this.vocabulary.get(model.unk_token);
    this.longest = 0;
    for (const piece of this.vocabulary.keys()) this.longest = Math.max(this.longest, piece.length);
    this.normalizer = { ...normalizer, strips: normalizer.strip_accents ?? normalizer.lowercase };
    this.lower = characters.lower;
    for (const name of ["dropped", "space", "cjk", "mark", "punctuation"]) {
      this[name] = new RegExp(`[${inside(characters[name])}]`, "gu");
    }
    this.decomposed = new RegExp(`[^${inside(characters.undecomposed)}]+`, "gu");
    this.readAdded(specification.added_tokens);
    this.readProcessor(processor);
    this.room = maxLength - this.first.length - this.last.length;
  }

  readAdded(tokens) {
    this.raw = new Map();
    this.normalized = new Map();
    for (const token of tokens) {
      for (const option of ["single_word", "lstrip", "rstrip"]) {
        expect(`${option} of the added token ${token.content}`, token[option], false);
      }
      if (token.normalized) this.normalized.set(this.normalize(token.content), token.id);
      else this.raw.set(token.content, token.id);
    }
    [this.rawPattern, this.normalizedPattern] = [alternatives(this.raw), alternatives(this.normalized)];
  }

  readProcessor(processor) {
    const kind = processor?.type ?? null;
    expect("post_processor", kind, "TemplateProcessing", "BertProcessing", null);
    [this.first, this.last] = [[], []];
    if (kind === "BertProcessing") [this.first, this.last] = [[processor.cls[1]], [processor.sep[1]]];
    if (kind !== "TemplateProcessing") return;
    let side = this.first;
    for (const piece of processor.single) {
      if (piece.Sequence) side = this.last;
      else side.push(...processor.special_tokens[piece.SpecialToken.id].ids);
    }
  }

  normalize(text) {
    const { clean_text: cleans, handle_chinese_chars: spaces, lowercase, strips } = this.normalizer;
    if (cleans) text = text.replace(this.dropped, "").replace(this.space, " ");
    if (spaces) text = text.replace(this.cjk, " $& ");
    if (strips) text = text.replace(this.decomposed, (run) => run.normalize("NFD")).replace(this.mark, "");
    return lowercase ? Array.from(text, (character) => this.lower[character] ?? character).join("") : text;
  }

  words(text) {
    return text.replace(this.space, " ").replace(this.punctuation, " $& ").split(" ").filter(Boolean);
  }

  // The longest known beginning of a word, then of what is left of it, and so on.
  pieces(word) {
    if ([...word].length > this.maxCharacters) return [this.unknown];
    const ids = [];
    for (let start = 0; start < word.length; ) {
      const prefix = start ? this.prefix : "";
      let end = Math.min(word.length, start + this.longest);
      while (end > start && !this.vocabulary.has(prefix + word.slice(start, end))) end -= 1;
      if (end === start) return [this.unknown];
      ids.push(this.vocabulary.get(prefix + word.slice(start, end)));
      start = end;
    }
    return ids;
  }

  *groups(text) {
    for (const outer of this.rawPattern ? text.split(this.rawPattern) : [text]) {
      if (this.raw.has(outer)) {
        yield [this.raw.get(outer)];
        continue;
      }
      const normal = this.normalize(outer);
      for (const inner of this.normalizedPattern ? normal.split(this.normalizedPattern) : [normal]) {
        if (this.normalized.has(inner)) yield [this.normalized.get(inner)];
        else for (const word of this.words(inner)) yield this.pieces(word);
      }
    }
  }

  encode(text) {
    const ids = [];
    for (const group of this.groups(text)) {
      if (ids.length >= this.room) break;
      ids.push(...group);
    }
    return [...this.first, ...ids.slice(0, this.room), ...this.last];
  }
}
