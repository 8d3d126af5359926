// Reads a trace in the format of the crate labtrace, version 1.

async function unpack(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const first = bytes.indexOf(10), second = bytes.indexOf(10, first + 1);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(first + 1, second)));
  const packed = new Blob([bytes.subarray(second + 1)]).stream();
  const plain = await new Response(packed.pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
  return { header, events: events(new Uint8Array(plain)) };
}

function events(bytes) {
  const decoder = new TextDecoder();
  const names = [], all = [];
  let at = 0, time = 0;
  // Numbers stay below 2^53: times of a run are shorter than a hundred days.
  const number = () => {
    let value = 0, factor = 1;
    for (;;) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) return value;
      factor *= 128;
    }
  };
  const text = () => {
    const length = number();
    at += length;
    return decoder.decode(bytes.subarray(at - length, at));
  };
  const name = () => {
    const which = number();
    if (which > 0) return names[which - 1];
    const fresh = text();
    names.push(fresh);
    return fresh;
  };
  while (at < bytes.length) {
    const step = number();
    time += step % 2 ? -(step + 1) / 2 : step / 2;
    const event = { i: all.length, t: time, node: name(), task: name(), thread: number(), kind: name(), target: name(), f: {}, text: "" };
    for (let left = number(); left > 0; left--) {
      const field = name();
      event.f[field] = bytes[at++] === 0 ? number() : text();
    }
    event.text = text();
    all.push(event);
  }
  return all;
}
