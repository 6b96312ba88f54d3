// grpc_js/server.js - a server of @grpc/grpc-js: bytes in, bytes out, no message is parsed. Its service is that of harness/grpc_peers.py.
// Its services are js-clear and js-tls, each on a port of its own.
// usage: server.js CERTIFICATE KEY    (prints {"clear": PORT, "tls": PORT}, then {"event": "begun" | "cancelled"} as calls that hang do so)
'use strict';
const fs = require('node:fs');
const grpc = require('@grpc/grpc-js');

const [certificate, key] = process.argv.slice(2).map((file) => fs.readFileSync(file));
const same = (bytes) => bytes;
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

function trailing() {
  const metadata = new grpc.Metadata();
  metadata.set('x-trailing', '2');
  metadata.set('data-bin', Buffer.from([0, 255]));
  return metadata;
}

const methods = {
  unary(call, answer) {
    const initial = new grpc.Metadata();
    initial.set('x-initial', '1');
    initial.set('x-echoed', call.metadata.get('x-asked')[0] ?? '');
    call.sendMetadata(initial);
    answer(null, Buffer.from(call.request).reverse(), trailing());
  },
  down(call) {
    for (let n = 0; n < Number(call.request); n += 1) call.write(Buffer.from(`${n}`));
    call.end();
  },
  up(call, answer) {
    let count = 0;
    call.on('data', (message) => { count += message.length; });
    call.on('end', () => answer(null, Buffer.from(`${count}`)));
  },
  both(call) {
    call.on('data', (message) => call.write(Buffer.from(message.toString('latin1').toUpperCase(), 'latin1')));
    call.on('end', () => call.end());
  },
  fail(call, answer) {
    answer({ code: grpc.status.FAILED_PRECONDITION, details: 'not now: 100 % \u00fc' });
  },
  fail_late(call) {
    call.write(Buffer.from('one'));
    call.emit('error', { code: grpc.status.DATA_LOSS, details: 'gone' });
  },
  remaining(call, answer) {
    const deadline = call.getDeadline();
    answer(null, Buffer.from(deadline === Infinity ? 'none' : `${Math.ceil(Number(deadline) - Date.now())}`));
  },
  hang(call) {
    call.on('cancelled', () => say({ event: 'cancelled' }));
    say({ event: 'begun' });
  },
};

const kinds = { down: [false, true], fail_late: [false, true], up: [true, false], both: [true, true] };

function define(service) {
  return Object.fromEntries(Object.keys(methods).map((name) => {
    const [requestStream, responseStream] = kinds[name] ?? [false, false];
    return [name, {
      path: `/${service}/${name}`, originalName: name, requestStream, responseStream,
      requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same,
    }];
  }));
}

async function listen(service, credentials) {
  const server = new grpc.Server({ 'grpc.max_receive_message_length': -1 });
  server.addService(define(service), methods);
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', credentials, (error, port) => { if (error) reject(error); else resolve(port); });
  });
}

(async () => {
  const clear = await listen('js-clear', grpc.ServerCredentials.createInsecure());
  const pair = { cert_chain: certificate, private_key: key };
  const tls = await listen('js-tls', grpc.ServerCredentials.createSsl(null, [pair]));
  say({ clear, tls });
  process.stdin.on('end', () => process.exit(0)).resume();
})();
