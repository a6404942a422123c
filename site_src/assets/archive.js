// An archive taken apart by the published field tables, with no code of the decoder: container, header, sections.
const FIXED = { u8: 1, u16: 2, u32: 4, u64: 8, i8: 1, i16: 2, i32: 4, f16: 2, f32: 4 };
const [LOCAL, CENTRAL, END] = [0x04034b50, 0x02014b50, 0x06054b50];

class Cursor {
  constructor(bytes, at, end) {
    Object.assign(this, { bytes, at, end, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) });
  }

  take(count, what) {
    if (count > this.end - this.at) throw new Error(`${what} at byte ${this.at}: ${count} bytes expected, ${this.end - this.at} left`);
    this.at += count;
    return this.at - count;
  }

  varint(what) {
    let value = 0;
    for (let place = 1; place < 2 ** 35; place *= 128) {
      const byte = this.bytes[this.take(1, what)];
      value += (byte & 127) * place;
      if (byte < 128) return value;
    }
    throw new Error(`${what}: an integer of more than five bytes`);
  }

  field({ name, kind }) {
    if (Array.isArray(kind)) {
      const code = this.bytes[this.take(1, name)];
      if (code >= kind.length) throw new Error(`${name}: code ${code} is not in its table`);
      return kind[code];
    }
    if (kind === "varint") return this.varint(name);
    if (kind === "svarint") {
      const coded = this.varint(name);
      return coded % 2 ? -(coded + 1) / 2 : coded / 2;
    }
    const size = FIXED[kind];
    if (!size || kind === "f16" || kind === "u64") throw new Error(`${name}: a field of kind ${kind} is not read here`);
    const type = { u: "Uint", i: "Int", f: "Float" }[kind[0]];
    return this.view[`get${type}${8 * size}`](this.take(size, name), true);
  }
}

function crc32(bytes) {
  let value = -1;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit++) value = (value >>> 1) ^ (value & 1 ? 0xedb88320 : 0);
  }
  return ~value >>> 0;
}

// The one stored member of a ZIP: its name, where its bytes lie, and whether they have the checksum on both headers.
export function member(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = bytes.length - 22;
  if (end < 0 || view.getUint32(end, true) !== END) throw new Error("not a ZIP that ends with its directory");
  const count = view.getUint16(end + 10, true);
  const central = view.getUint32(end + 16, true);
  if (count !== 1 || central + 46 > end || view.getUint32(central, true) !== CENTRAL) throw new Error(`${count} members; one was expected`);
  const [at, packed, size] = [42, 20, 24].map((place) => view.getUint32(central + place, true));
  if (at + 30 > central || view.getUint32(at, true) !== LOCAL) throw new Error("the member has no header of its own");
  if (view.getUint16(central + 10, true) || view.getUint16(at + 8, true) || packed !== size) throw new Error("the member is not stored as it is");
  const length = view.getUint16(at + 26, true);
  const start = at + 30 + length + view.getUint16(at + 28, true);
  if (start + size !== central) throw new Error("the member does not fill the archive");
  const name = new TextDecoder().decode(bytes.subarray(at + 30, at + 30 + length));
  const sum = crc32(bytes.subarray(start, start + size));
  return { name, start, size, whole: sum === view.getUint32(at + 14, true) && sum === view.getUint32(central + 16, true) };
}

// A payload by the tables: family, header fields, and sections that tile it; a payload inside it is read as well.
export function payload(bytes, start, size, tables) {
  const cursor = new Cursor(bytes, start, start + size);
  const [magic, code] = [bytes[cursor.take(1, "magic")], bytes[cursor.take(1, "family code")]];
  const [family, table] = Object.entries(tables.families).find(([, one]) => one.code === code) ?? [];
  if (magic !== parseInt(tables.magic, 16) || !table) throw new Error("no payload that the tables know");
  const fields = table.header.map((field) => ({ ...field, value: cursor.field(field) }));
  const named = Object.fromEntries(fields.map(({ name, value }) => [name, value]));
  const lengths = table.sections.map(({ name }) => (table.lengths === "header" ? named[name] : cursor.varint(`length of ${name}`)));
  const sections = [{ name: "header", holds: `${fields.length} fields`, offset: start, bytes: cursor.at - start }];
  table.sections.forEach(({ name, holds, tag, payload: nested }, index) => {
    const offset = cursor.take(lengths[index], name);
    if (tag && bytes[offset] !== tag.charCodeAt(0)) throw new Error(`section ${name} does not begin with its letter`);
    const inside = nested && lengths[index] ? payload(bytes, offset, lengths[index], tables) : null;
    if (lengths[index]) sections.push({ name, holds, offset, bytes: lengths[index], inside });
  });
  if (cursor.at !== cursor.end) throw new Error(`${cursor.end - cursor.at} bytes are left over`);
  return { family, fields, sections };
}

// Sections that the anatomy on record places elsewhere, or does not have; none where both agree.
export function differing(sections, recorded = []) {
  const known = recorded.filter(({ n_bytes: size }) => size);
  if (known.length !== sections.length) return [`${sections.length} sections, on record ${known.length}`];
  return sections.flatMap(({ name, offset, bytes, inside }, index) => {
    const { name: other, offset: at, n_bytes: size, children } = known[index];
    if (name !== other || offset !== at || bytes !== size) return [name];
    return inside ? differing(inside.sections, children) : [];
  });
}
