// A .zip of files as they are, not compressed: what lies in it, PNG, is.

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc32(bytes) {
  let crc = -1;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

// Little-endian numbers: [value, bytes], ...
const numbers = (...pairs) =>
  Uint8Array.from(pairs.flatMap(([value, size]) => Array.from({ length: size }, (_, i) => (value / 256 ** i) & 255)));

// files: [{name, blob}]
export async function zip(files) {
  const parts = [], directory = [];
  let at = 0, length = 0;
  for (const { name, blob } of files) {
    const bytes = new Uint8Array(await blob.arrayBuffer()), text = new TextEncoder().encode(name);
    // Version 2.0, names in UTF-8 (bit 11), stored, 1 January 1980.
    const about = numbers([20, 2], [0x800, 2], [0, 2], [0, 2], [33, 2], [crc32(bytes), 4], [bytes.length, 4],
      [bytes.length, 4], [text.length, 2], [0, 2]);
    const head = [numbers([0x04034b50, 4]), about, text];
    directory.push(numbers([0x02014b50, 4], [20, 2]), about, numbers([0, 2], [0, 2], [0, 2], [0, 4], [at, 4]), text);
    length += 46 + text.length;
    parts.push(...head, bytes);
    at += 30 + text.length + bytes.length;
  }
  const end = numbers([0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [length, 4], [at, 4], [0, 2]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}
