"use strict";

/** Return the bytes of a block: base64 of zlib, as packing.py writes it. */
async function unpacked(block) {
  const packed = Uint8Array.from(atob(block), (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** Return the texts of a block, one a line. */
async function unpackedTexts(block) {
  return new TextDecoder().decode(await unpacked(block)).split("\n");
}

/**
 * Return positions, from 0 to 65520, of all frames one after the other.
 *
 * A block holds how much each number differs from that of the frame before, modulo 65536: first the
 * low bytes of all, then the high ones.
 */
async function unpackedFrames(block, nFrames) {
  const bytes = await unpacked(block);
  const positions = new Uint16Array(bytes.length / 2);
  const width = positions.length / nFrames;
  for (let i = 0; i < positions.length; i++) {
    const before = i < width ? 0 : positions[i - width];
    positions[i] = before + bytes[i] + 256 * bytes[positions.length + i]; // wraps, as it should
  }
  return positions;
}
