// A ticket on its way to the model, as the service prepares it: tickets/privacy.py, markup.py and canonical.py.
// Patterns and tables come from there (rules.json); what is written here anew is only the order of the steps.
// Python counts characters, JavaScript halves of some: where a number of characters matters, they are spread.

const regex = (source, flags = "") => new RegExp(source, `v${flags}`);
const first = (text, count) => [...text].slice(0, count).join("");
const last = (text, count) => [...text].slice(-count).join("");
const sum = (values) => values.reduce((total, value) => total + value, 0);
const equal = (left, right) => left.length === right.length && left.every((value, at) => value === right[at]);

function compiled(patterns) {
  const all = {};
  for (const [name, source] of Object.entries(patterns)) {
    all[name] = { once: regex(source), every: regex(source, "g"), whole: regex(`^(?:${source})$`), start: regex(source, "y") };
  }
  return all;
}

class Reader {
  constructor(rules) {
    const space = [...rules.white_space].map((character) => `\\u{${character.codePointAt(0).toString(16)}}`).join("");
    this.spaces = regex(`[${space}]+`, "g");
    this.edges = regex(`^[${space}]+|[${space}]+$`, "g");
  }

  words(text) {
    return text.split(this.spaces).filter(Boolean);
  }

  strip(text) {
    return text.replace(this.edges, "");
  }
}

export class Privacy extends Reader {
  constructor(rules) {
    super(rules);
    this.numbers = rules.privacy;
    this.patterns = compiled(rules.privacy.patterns);
    this.html = rules.html;
    this.zeros = rules.digit_zeros;
    this.mark = regex("\\p{M}");
    this.markup = { ...compiled(rules.markup.patterns).markup, passes: rules.markup.passes };
  }

  clean(text) {
    text = this.normalise(text);
    for (let pass = 0; pass < this.numbers.passes; pass += 1) {
      const cleaned = this.mask(this.withoutMarkup(text));
      if (cleaned === text || !cleaned.includes("<")) return cleaned;
      text = cleaned;
    }
    return text;
  }

  withoutMarkup(text) {
    if (!text.includes("<") || !text.includes(">")) return text;
    for (let pass = 0; pass < this.markup.passes; pass += 1) {
      const rest = this.words(text.replace(this.markup.every, " ")).join(" ");
      if (rest === text || !rest) return text;
      text = rest;
    }
    return this.words(text.replaceAll("<", " ")).join(" ") || text;
  }

  normalise(text) {
    for (let pass = 0; pass < this.numbers.passes; pass += 1) {
      const tidied = this.tidy(text);
      if (tidied === text) return text;
      text = tidied;
    }
    text = text.replaceAll("&", " ");
    for (let tidied = this.tidy(text); tidied !== text; tidied = this.tidy(text)) text = tidied;
    return text;
  }

  tidy(text) {
    const { surrogate, invisible, stray_joiner: joiner } = this.patterns;
    text = this.unescape(this.composed(text)).replace(surrogate.every, "\ufffd");
    text = text.replace(invisible.every, "").replace(joiner.every, "");
    return this.composed(this.words(text).join(" "));
  }

  composed(text) {
    return text.replace(this.patterns.maybe_marks.every, (run) => this.fewMarks(run)).normalize("NFC");
  }

  fewMarks(run) {
    let marks = 0;
    const few = [...run].filter((character) => {
      marks = this.mark.test(character) ? marks + 1 : 0;
      return marks <= this.numbers.most_marks;
    });
    return few.join("");
  }

  unescape(text) {
    const reference = /&(#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)/gu;
    return text.replace(reference, (_, name) => (name[0] === "#" ? this.numbered(name) : this.named(name)));
  }

  numbered(name) {
    const digits = name.replace(/^#[xX]?|;$/g, "");
    const code = Number.parseInt(digits, /^#[xX]/.test(name) ? 16 : 10);
    const other = this.html.references[code];
    if (other !== undefined) return other;
    return code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? "\ufffd" : String.fromCodePoint(code);
  }

  named(name) {
    const characters = [...name];
    for (let length = characters.length; length > 1; length -= 1) {
      const start = characters.slice(0, length).join("");
      if (Object.hasOwn(this.html.names, start)) return this.html.names[start] + name.slice(start.length);
    }
    return `&${name}`;
  }

  mask(text) {
    for (let pass = 0; pass < this.numbers.passes; pass += 1) {
      const masked = this.maskOnce(text);
      if (masked === text) break;
      text = masked;
    }
    return text;
  }

  maskOnce(text) {
    const p = this.patterns;
    const after = (token) => (...found) => found.at(-1).g1 + token;
    return text
      .replace(p.url.every, (url) => this.url(url))
      .replace(p.email.every, "[EMAIL]")
      .replace(p.handle.every, "[HANDLE]")
      .replace(p.iban.every, (found) => this.iban(found))
      .replace(p.digit_groups.every, (found) => this.cards(found))
      .replace(p.social_security.every, "[ACCOUNT]")
      .replace(p.named_account.every, after("[ACCOUNT]"))
      .replace(p.phone.every, (found, ...rest) => this.phone(found, rest))
      .replace(p.named_phone.every, after("[PHONE]"));
  }

  url(text) {
    let end = text.length;
    while (end && this.numbers.url_tail.includes(text[end - 1])) end -= 1;
    return `[URL]${text.slice(end)}`;
  }

  phone(found, rest) {
    const [offset, text] = rest.slice(rest.findIndex((value) => typeof value === "number"));
    const before = last(text.slice(0, offset), 40);
    const { date, order_before: order } = this.patterns;
    return date.once.test(found) || order.once.test(before) ? found : "[PHONE]";
  }

  // Of any script's digits.
  digit(character) {
    const code = character.codePointAt(0);
    return code - this.zeros.findLast((zero) => zero <= code);
  }

  iban(text) {
    const ends = [text.length, ...[...text.matchAll(/[ \-]/g)].map((found) => found.index).reverse()];
    const end = ends.find((place) => this.isIban(text.slice(0, place)));
    return end === undefined ? text : `[ACCOUNT]${text.slice(end)}`;
  }

  isIban(text) {
    const compact = [...text.replace(/[ \-]/g, "").toUpperCase()];
    if (compact.length < 15 || compact.length > 34) return false;
    const value = (c) => (/[A-Z]/.test(c) ? c.charCodeAt(0) - 55 : this.digit(c));
    const digits = [...compact.slice(4), ...compact.slice(0, 4)].map(value).join("");
    return BigInt(digits) % 97n === 1n;
  }

  cards(text) {
    const groups = [...text.matchAll(/\p{Nd}+/gu)].map((found) => ({
      digits: [...found[0]], start: found.index, end: found.index + found[0].length,
    }));
    let [out, position] = ["", 0];
    for (let index = 0; index < groups.length; index += 1) {
      const end = this.cardEnd(groups, index);
      if (end === undefined) continue;
      out += `${text.slice(position, groups[index].start)}[CARD]`;
      [position, index] = [groups[end].end, end];
    }
    return out + text.slice(position);
  }

  cardEnd(groups, begin) {
    let [digits, sizes, found] = [[], [], undefined];
    for (let index = begin; index < Math.min(begin + 5, groups.length); index += 1) {
      digits = [...digits, ...groups[index].digits];
      sizes = [...sizes, groups[index].digits.length];
      const grouped = this.numbers.card_groups.some((sizesOfOne) => equal(sizesOfOne, sizes));
      const shaped = sizes.length === 1 ? sizes[0] >= 13 && sizes[0] <= 19 : grouped;
      if (digits[0] >= "2" && digits[0] <= "6" && shaped && this.luhn(digits)) found = index;
      if (sizes[0] > 8) break;
    }
    return found;
  }

  luhn(digits) {
    const values = digits.map((digit) => this.digit(digit)).reverse();
    return sum(values.map((value, at) => (at % 2 ? (2 * value > 9 ? 2 * value - 9 : 2 * value) : value))) % 10 === 0;
  }
}

export class Canonical extends Reader {
  constructor(rules) {
    super(rules);
    this.numbers = rules.canonical;
    this.patterns = compiled(rules.canonical.patterns);
  }

  canonical(text) {
    return this.withoutSignature(this.withoutGreeting(text));
  }

  withoutGreeting(text) {
    for (;;) {
      const start = this.patterns.greeting.start;
      start.lastIndex = 0;
      const found = start.exec(first(text, this.numbers.head));
      if (!found) return text;
      const name = found.groups.name;
      const rest = this.strip(text.slice(found[0].length));
      if (!rest || (name && !this.patterns.mask.whole.test(name) && !this.isName(this.words(name)))) return text;
      text = rest;
    }
  }

  withoutSignature(text) {
    for (;;) {
      const tail = last(text, this.numbers.tail);
      let found = this.patterns.device.once.exec(tail);
      if (!found) {
        found = this.patterns.valediction.once.exec(tail);
        if (!found || !this.isSignature(found.groups.rest ?? "")) return text;
      }
      const rest = this.strip(text.slice(0, text.length - tail.length + found.index));
      if (!rest) return text;
      text = rest;
    }
  }

  isSignature(rest) {
    let words = this.words(rest.replace(/[,|!]/g, " "));
    while ([".", "-", "–"].includes(words[0])) words = words.slice(1);
    const { mask, contact } = this.patterns;
    const isContact = (word) => mask.whole.test(word) || contact.whole.test(word);
    const names = words.filter((word) => !isContact(word));
    return names.length <= 3 && words.length - names.length <= 6 && (!names.length || this.isName(names));
  }

  isName(words) {
    return words.length > 0 && words.every((word) => this.isNameWord(word));
  }

  isNameWord(word) {
    const { name_word: nameWord, no_name: noName } = this.patterns;
    const shouting = /\p{Uppercase}/u.test(word) && !/[\p{Lowercase}\p{Lt}]/u.test(word);
    const parts = word.split(/[.'’\-]/).filter((part) => [...part].length > 1);
    return (
      nameWord.whole.test(word) && /^\p{Uppercase}/u.test(word) &&
      ([...word.replace(/\.+$/, "")].length === 1 || !shouting) &&
      !parts.some((part) => noName.whole.test(part)) && word !== "A" && word !== "I"
    );
  }
}
