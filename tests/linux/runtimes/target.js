// SPDX-License-Identifier: Apache-2.0

// A Node.js program under load that checks itself: timers, numbered messages through a socket and to
// a worker, files and digests by the thread pool, an atomic sum that two threads share, memory that
// the collector moves.
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const fs = require('fs');
const net = require('net');
const readline = require('readline');
const { Worker, isMainThread, parentPort, workerData } = require('worker_threads');

if (!isMainThread) {
  const counts = new Int32Array(workerData);
  // Moves units between two cells; the other thread asks whether any was lost.
  parentPort.on('message', (number) => {
    for (let i = 0; i < 200; ++i) {
      Atomics.sub(counts, 0, 1);
      Atomics.add(counts, 1, 1);
    }
    parentPort.postMessage(number);
  });
} else {
  let violations = 0;
  let rounds = 0;
  let signals = 0;
  let report = '';
  const violation = (text) => {
    ++violations;
    if (report.length < 2000) report += `${text}; `;
  };
  const check = (good, text) => {
    if (!good) violation(text);
    ++rounds;
  };
  process.on('uncaughtException', (error) => violation(`uncaught ${error}`));
  process.on('SIGUSR2', () => ++signals);

  const shared = new SharedArrayBuffer(8);
  const counts = new Int32Array(shared);
  const worker = new Worker(__filename, { workerData: shared });
  let asked = 0;
  const ask = () => worker.postMessage(++asked);
  worker.on('message', (number) => {
    check(number === asked, `message ${number} instead of ${asked}`);
    check(counts[0] + counts[1] === 0 && counts[1] === 200 * number, 'the sum is another');
    if (number > 1e6) throw new Error('too many');
    setTimeout(ask, 1);
  });
  ask();

  const server = net.createServer((socket) => socket.pipe(socket));
  server.listen(0, '127.0.0.1', () => {
    const socket = net.connect(server.address().port, '127.0.0.1');
    socket.setNoDelay(true);
    let number = 0;
    let rest = '';
    const send = () => socket.write(`${++number}\n`);
    socket.on('data', (data) => {
      rest += data;
      if (!rest.endsWith('\n')) return;
      check(rest === `${number}\n`, `number ${rest.trim()} instead of ${number}`);
      rest = '';
      setTimeout(send, 1);
    });
    socket.on('error', (error) => violation(`socket ${error}`));
    socket.on('close', () => violation('the socket was closed'));
    send();
  });

  const text = Buffer.alloc(4096);
  const wanted = crypto.createHash('sha256').update(text).digest('hex');
  const derived = crypto.pbkdf2Sync('a', 'b', 100, 32, 'sha256').toString('hex');
  const digests = () => {
    check(crypto.createHash('sha256').update(text).digest('hex') === wanted, 'another digest');
    crypto.pbkdf2('a', 'b', 100, 32, 'sha256', (error, key) => {
      check(!error && key.toString('hex') === derived, `derived ${error}`);
      setTimeout(digests, 1);
    });
  };
  digests();
  const own = fs.readFileSync(__filename, 'utf8');
  const files = () =>
    fs.readFile(__filename, 'utf8', (error, data) => {
      check(!error && data === own, `file ${error}`);
      setTimeout(files, 2);
    });
  files();
  const sleeps = () => {
    const begin = process.hrtime.bigint();
    setTimeout(() => {
      const slept = Number(process.hrtime.bigint() - begin);
      check(slept > 4e6, `slept ${slept} ns`);
      sleeps();
    }, 5);
  };
  sleeps();
  const memory = () => {
    const list = Array.from({ length: 1000 }, (_, i) => ({ value: i }));
    check(list.reduce((sum, one) => sum + one.value, 0) === 499500, 'the list has another sum');
    assert.ok(JSON.parse(JSON.stringify(list)).length === 1000);
    setTimeout(memory, 2);
  };
  memory();

  console.log(JSON.stringify({ pid: process.pid }));
  readline
    .createInterface({ input: process.stdin })
    .on('line', () => console.log(JSON.stringify({ violations, rounds, signals, report })))
    .on('close', () => process.exit(0));
}
