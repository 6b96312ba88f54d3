// grpc_js/client.js - a client of @grpc/grpc-js: makes the calls that stand on its input, a line of JSON each, and tells what came of them.
// in:  {"id", "target", "authority", "path", "kind", "messages": [base64], "in_turns", "timeout_ms", "metadata"}, {"cancel": id} or {"close": true}
// out: {"id", "code", "details", "messages": [base64], "initial", "trailing"} or {"closed": true}
'use strict';
const fs = require('node:fs');
const readline = require('node:readline');
const grpc = require('@grpc/grpc-js');

const clients = new Map();
const calls = new Map();
const same = (bytes) => bytes;
const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

// One connection for each target, as long as nobody closes it.
function clientOf({ target, authority }) {
  if (!clients.has(target)) {
    const credentials = authority ? grpc.credentials.createSsl(fs.readFileSync(authority)) : grpc.credentials.createInsecure();
    clients.set(target, new grpc.Client(target, credentials, {
      'grpc.max_receive_message_length': -1,
      'grpc.use_local_subchannel_pool': 1,
      ...(authority && { 'grpc.ssl_target_name_override': 'localhost' }),
    }));
  }
  return clients.get(target);
}

function open(asked, metadata, options, onAnswer) {
  const client = clientOf(asked);
  const how = [asked.path, same, same];
  const first = Buffer.from(asked.messages[0] ?? '', 'base64');
  switch (asked.kind) {
    case 'unary': return client.makeUnaryRequest(...how, first, metadata, options, onAnswer);
    case 'down': return client.makeServerStreamRequest(...how, first, metadata, options);
    case 'up': return client.makeClientStreamRequest(...how, metadata, options, onAnswer);
    default: return client.makeBidiStreamRequest(...how, metadata, options);
  }
}

function begin(asked) {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(asked.metadata)) metadata.set(name, value);
  const seen = { id: asked.id, messages: [], initial: {}, trailing: {} };
  const queue = asked.messages.map((message) => Buffer.from(message, 'base64'));
  const take = (message) => seen.messages.push(message.toString('base64'));
  const call = open(asked, metadata, { deadline: Date.now() + asked.timeout_ms }, (error, message) => { if (message) take(message); });
  calls.set(asked.id, call);
  // In turns: a message waits for the answer to the one before.
  const send = () => {
    if (queue.length > 0) call.write(queue.shift()); else call.end();
  };
  if (call.write) {
    if (asked.in_turns) send();
    else for (const message of queue) call.write(message);
    if (!asked.in_turns) call.end();
  }
  call.on('metadata', (initial) => { seen.initial = initial.getMap(); });
  call.on('data', (message) => { take(message); if (asked.in_turns) send(); });
  call.on('error', () => {}); // its status comes too
  call.on('status', (status) => {
    calls.delete(asked.id);
    // What arrived is told, then the status: an answer's callback may come after it.
    setImmediate(() => say({ ...seen, code: status.code, details: status.details, trailing: status.metadata.getMap() }));
  });
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const asked = JSON.parse(line);
  if (asked.cancel !== undefined) {
    calls.get(asked.cancel)?.cancel();
  } else if (asked.close) {
    for (const client of clients.values()) client.close();
    clients.clear();
    say({ closed: true });
  } else {
    begin(asked);
  }
}).on('close', () => process.exit(0));
