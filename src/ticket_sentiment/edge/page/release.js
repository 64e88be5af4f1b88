// Opens the release beside this page: each file is fetched once, hashed, and what was hashed is what is used.

async function sha256(bytes) {
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

// An import by address would fetch the file a second time, unhashed: so it is from the bytes. They import nothing.
async function module(bytes) {
  const address = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
  try {
    return await import(address);
  } finally {
    URL.revokeObjectURL(address);
  }
}

export async function openRelease() {
  const release = parsed(await bytesOf("release.json"));
  const file = (path) => verified(path, release.files[path]?.sha256);
  const code = async (path) => module(await file(path));
  const manifest = parsed(await verified("bundle/bundle.json", release.bundle_digest));
  const [model, tokenizer, rules, wasm] = await Promise.all([
    verified("bundle/model.onnx", manifest.files["model.onnx"]),
    verified("bundle/tokenizer.json", manifest.files["tokenizer.json"]),
    file("rules.json").then(parsed),
    file(release.runtime.wasm),
  ]);
  const [{ Classifier }, { Canonical, Privacy }, { WordPiece }, ort] = await Promise.all(
    ["classifier.js", "text.js", "wordpiece.js", release.runtime.module].map(code),
  );
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: wasm });
  return new Classifier({
    release, manifest, ort,
    session: await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] }),
    reader: { privacy: new Privacy(rules), canonical: new Canonical(rules) },
    tokenizer: new WordPiece(parsed(tokenizer), manifest.max_length, rules.characters),
  });
}
