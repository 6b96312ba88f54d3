// e2e/harness/http2_client.js - Node's HTTP/2 client: plays one scenario, and prints what it saw as one line of JSON.
// usage: node - URL AUTHORITY-FILE echo|cancel
'use strict';
const fs = require('node:fs');
const http2 = require('node:http2');

const [url, authority, scenario] = process.argv.slice(2);
const { origin, pathname } = new URL(url);
const session = http2.connect(origin, { ca: fs.readFileSync(authority) });

// Resolves when the stream is closed, however it came to that. `onData` may cut it short.
function exchange(fields, body, onData) {
  const seen = { interim: [], chunks: [], code: null };
  const stream = session.request(fields, { waitForTrailers: body !== undefined, endStream: body === undefined });
  stream.on('headers', (head) => seen.interim.push(head[':status']));
  stream.on('response', (head) => { seen.status = head[':status']; });
  stream.on('trailers', (trailers) => { seen.trailer = trailers['x-sum']; });
  stream.on('data', (chunk) => { seen.chunks.push(chunk); if (onData) onData(stream); });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-up': '5' }));
  if (body !== undefined) stream.end(body);
  return new Promise((resolve, reject) => {
    stream.on('error', reject);
    stream.on('close', () => { seen.code = stream.rstCode; resolve(seen); });
  });
}

const scenarios = {
  // A body goes up with trailers behind it, and comes back.
  async echo() {
    const body = Buffer.alloc(3 << 20, (_, n) => n).map((_, n) => (n * 31) ^ (n >> 8));
    const seen = await exchange({ ':method': 'POST', ':path': pathname, 'te': 'trailers' }, body);
    const got = Buffer.concat(seen.chunks);
    return { status: seen.status, interim: seen.interim, trailer: seen.trailer, bytes: got.length, same: got.equals(body) };
  },
  // Gives up at the answer's first bytes; the session is as good as before.
  async cancel() {
    const seen = await exchange({ ':path': pathname }, undefined, (stream) => stream.close(http2.constants.NGHTTP2_CANCEL));
    const next = await exchange({ ':path': `${pathname}/next` });
    return { status: seen.status, code: seen.code, next: next.status };
  },
};

scenarios[scenario]().then((seen) => {
  console.log(JSON.stringify({ protocol: session.alpnProtocol, ...seen }));
  session.close();
});
