import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { describe, expect, it } from '@jest/globals';
import { eventually } from '@millrace/testing';
import { useGuardedGateway } from './guarded-gateway.ts';
import type { GuardedGateway } from './guarded-gateway.ts';

let gateway: GuardedGateway;
let key = '';
useGuardedGateway((fresh) => ({ gateway, key } = fresh));

/** The request that is smuggled: were it taken for one of its own, a service would see it. */
const hidden = (): string => `DELETE /api/products/smuggled HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${key}\r\nContent-Length: 0\r\n\r\n`;
const head = (lines: readonly string[], start = 'POST /api/products HTTP/1.1'): string => [start, 'Host: x', `X-Api-Key: ${key}`, 'Content-Type: application/json', ...lines, '', ''].join('\r\n');
const CHUNKED = 'Transfer-Encoding: chunked';
const lengthOf = (text: string): string => `Content-Length: ${text.length}`;
const inChunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;

const refused: readonly [string, () => string][] = [
  ['CL.TE: a length before chunks', () => `${head([lengthOf(`0\r\n\r\n${hidden()}`), CHUNKED])}0\r\n\r\n${hidden()}`],
  ['TE.CL: chunks before a length', () => `${head([CHUNKED, 'Content-Length: 4'])}${inChunk(hidden())}`],
  ['CL.0: a length and a body for a GET that has chunks, too', () => `${head([CHUNKED, 'Content-Length: 0'], 'GET /api/products/a HTTP/1.1')}${inChunk(hidden())}`],
  ['TE.TE: chunked twice', () => `${head([CHUNKED, 'Transfer-Encoding: identity'])}${inChunk(hidden())}`],
  ['TE.TE: an unknown coding behind chunked', () => `${head(['Transfer-Encoding: chunked, x'])}${inChunk(hidden())}`],
  ['TE.TE: something that only looks like chunked', () => `${head(['Transfer-Encoding: xchunked'])}${inChunk(hidden())}`],
  ['TE.TE: a space before the colon', () => `${head(['Transfer-Encoding : chunked', 'Content-Length: 4'])}${inChunk(hidden())}`],
  ['TE.TE: a tab and chunked in another header\'s line', () => `${head(['X: x\n Transfer-Encoding: chunked', 'Content-Length: 4'])}${inChunk(hidden())}`],
  ['TE.TE: a vertical tab before chunked', () => `${head(['Transfer-Encoding: \u000bchunked'])}${inChunk(hidden())}`],
  ['two lengths that differ', () => `${head(['Content-Length: 2', lengthOf(`{}${hidden()}`)])}{}${hidden()}`],
  ['two lengths that are alike', () => `${head(['Content-Length: 2', 'Content-Length: 2'])}{}${hidden()}`],
  ['two lengths in one header', () => `${head(['Content-Length: 2, 2'])}{}${hidden()}`],
  ['a length with a sign', () => `${head(['Content-Length: +2'])}{}${hidden()}`],
  ['a length below nothing', () => `${head(['Content-Length: -1'])}${hidden()}`],
  ['a length in hexadecimal', () => `${head(['Content-Length: 0x2'])}{}${hidden()}`],
  ['a length that no number holds', () => `${head(['Content-Length: 99999999999999999999999'])}{}`],
  ['a length with a space inside', () => `${head(['Content-Length: 2 0'])}{}${hidden()}`],
  ['a header folded over two lines', () => `${head(['X-Folded: a\r\n b', 'Content-Length: 2'])}{}${hidden()}`],
  ['a folded length', () => `${head(['Content-Length:\r\n 2'])}{}${hidden()}`],
  ['a bare line feed between headers', () => `${head(['X: y\nContent-Length: 200'])}{}${hidden()}`],
  ['a bare carriage return in a value', () => `${head(['X: y\rContent-Length: 200', 'Content-Length: 2'])}{}${hidden()}`],
  ['a NUL in a value', () => `${head(['X: a\0b', 'Content-Length: 2'])}{}${hidden()}`],
  ['a NUL in a name', () => `${head(['X\0Y: a', 'Content-Length: 2'])}{}${hidden()}`],
  ['a name with a space inside', () => `${head(['X Y: a', 'Content-Length: 2'])}{}${hidden()}`],
  ['no name', () => `${head([': a', 'Content-Length: 2'])}{}${hidden()}`],
  ['a chunk size with a sign', () => `${head([CHUNKED])}+2\r\n{}\r\n0\r\n\r\n${hidden()}`],
  ['a chunk size in 0x', () => `${head([CHUNKED])}0x2\r\n{}\r\n0\r\n\r\n${hidden()}`],
  ['a chunk size that overflows', () => `${head([CHUNKED])}10000000000000002\r\n{}\r\n0\r\n\r\n${hidden()}`],
  ['a chunk longer than its size', () => `${head([CHUNKED])}1\r\n{}\r\n0\r\n\r\n${hidden()}`],
  ['a chunk that a bare line feed ends', () => `${head([CHUNKED])}2\n{}\n0\n\n${hidden()}`],
  ['an extension of a chunk with a bare line feed', () => `${head([CHUNKED])}2;a=\n{}\r\n0\r\n\r\n${hidden()}`],
  ['extensions of a chunk without an end', () => `${head([CHUNKED])}2;${'x'.repeat(40_000)}\r\n{}\r\n0\r\n\r\n${hidden()}`],
  ['no Host', () => `GET /api/products/a HTTP/1.1\r\nX-Api-Key: ${key}\r\n\r\n${hidden()}`],
  ['two Hosts', () => `${head(['Host: y', 'Content-Length: 2'])}{}${hidden()}`],
  ['an unknown version', () => `${head([], 'GET /api/products/a HTTP/1.2')}${hidden()}`],
  ['HTTP/0.9', () => `GET /api/products/a\r\n${hidden()}`],
  ['a method of no HTTP', () => `${head([], 'G@T /api/products/a HTTP/1.1')}${hidden()}`],
  ['a NUL in the path', () => `${head([], 'GET /api/products/a\0b HTTP/1.1')}${hidden()}`],
  ['a space in the path', () => `${head([], 'GET /api/products/a b HTTP/1.1')}${hidden()}`],
  ['the preface of HTTP/2', () => `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${hidden()}`],
];

describe('what two servers could read differently', () => {
  it.each(refused)('is refused, and its connection ends: %s', async (_what, make) => {
    const { text, isClosed } = await gateway.raw(make());
    expect([isClosed, text.split('\r\n', 1)[0], [...text.matchAll(/^HTTP\/1\.1 /gm)].length]).toEqual([true, expect.stringMatching(/^HTTP\/1\.1 (400|413|431|501|505) /), 1]);
    expect(gateway.reached).toEqual([]);
  });
  it('is refused with 431 where the headers are longer than 16 KB, or the path', async () => {
    for (const bytes of [head([`X: ${'a'.repeat(20_000)}`]), head([], `GET /api/products/${'a'.repeat(20_000)} HTTP/1.1`), head(Array.from({ length: 3_000 }, (_, n) => `X${n}: ab`))]) {
      const { text, isClosed } = await gateway.raw(bytes + hidden());
      expect([isClosed, text.split('\r\n', 1)[0]]).toEqual([true, 'HTTP/1.1 431 Request header fields too large']);
    }
    expect(gateway.reached).toEqual([]);
  });
  it('does not let a request through that is pipelined behind a refused one', async () => {
    const { text } = await gateway.raw(`${head(['Content-Length: x'])}${hidden()}${hidden()}`);
    expect([[...text.matchAll(/HTTP\/1\.1 \d/g)].length, gateway.reached]).toEqual([1, []]);
  });
  it('cannot be forwarded elsewhere by an absolute form, nor by CONNECT, nor by another Host', async () => {
    for (const target of ['http://169.254.169.254/latest/meta-data', 'http://evil.example/api/products/a', 'http:/api/products/a', '/api/products/a#b']) expect((await gateway.raw(head([], `GET ${target} HTTP/1.1`))).text).toMatch(/^HTTP\/1\.1 400 /);
    expect((await gateway.raw(head([], 'CONNECT 127.0.0.1:6379 HTTP/1.1'))).text).toMatch(/^(HTTP\/1\.1 4\d\d |$)/);
    expect(gateway.reached).toEqual([]);
    await gateway.raw(head(['Connection: close', 'X-Forwarded-Host: evil.example'], 'GET /api/products/a HTTP/1.1').replace('Host: x', 'Host: evil.example'));
    expect(gateway.reached).toMatchObject([{ url: '/api/products/a' }]);
    expect(JSON.stringify(gateway.reached)).not.toContain('evil.example');
  });
  it('is not upgraded to h2c or a web socket', async () => {
    const upgraded = await gateway.raw(head(['Connection: Upgrade, HTTP2-Settings, close', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA'], 'GET /api/products/a HTTP/1.1'), '{}');
    const socket = await gateway.raw(head(['Connection: Upgrade, close', 'Upgrade: websocket', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', 'Sec-WebSocket-Version: 13'], 'GET /api/products/a HTTP/1.1'), '{}');
    for (const { text } of [upgraded, socket]) expect(text).not.toMatch(/^HTTP\/1\.1 101/);
    for (const { headers } of gateway.reached) expect(headers).not.toHaveProperty('upgrade');
  });
  it('answers HTTP/1.0, and ends the connection unless it was to be kept', async () => {
    const [kept, ended] = await Promise.all([gateway.raw(head(['Connection: keep-alive'], 'GET /api/products/a HTTP/1.0'), '{}'), gateway.raw(head([], 'GET /api/products/a HTTP/1.0'))]);
    expect([kept.isClosed, ended.isClosed, kept.text.split('\r\n', 1)[0], ended.text.split('\r\n', 1)[0]]).toEqual([false, true, 'HTTP/1.1 200 OK', 'HTTP/1.1 200 OK']);
  });
  it('sends a body in chunks on under one framing of its own', async () => {
    await gateway.raw(`${head([CHUNKED, 'Connection: close'])}2;name=value\r\n{}\r\n0\r\nX-Trailer: a\r\n\r\n`);
    expect(gateway.reached).toMatchObject([{ body: '{}', headers: { 'content-length': '2' } }]);
    expect(gateway.reached[0]?.headers).not.toHaveProperty('transfer-encoding');
    expect(gateway.reached[0]?.headers).not.toHaveProperty('x-trailer');
  });
});

describe('callers that are slow', () => {
  it('do not keep others waiting: 300 with half a head and 200 with half a body', async () => {
    const open = (bytes: string): Socket => {
      const socket = connect(gateway.port, '127.0.0.1', () => void socket.write(bytes));
      return socket.on('error', () => undefined);
    };
    const slow = [...Array.from({ length: 300 }, () => open(`GET /api/products/a HTTP/1.1\r\nHost: x\r\nX-Api-Key: ${key}\r\nX-Slow: `)), ...Array.from({ length: 200 }, () => open(`${head(['Content-Length: 100'])}{"name":"`))];
    await Promise.all(slow.map(async (socket) => socket.connecting && once(socket, 'connect')));
    const answers = await Promise.all(Array.from({ length: 50 }, async (_, n) => (await fetch(`http://127.0.0.1:${gateway.port}/api/products/other-${n}`, { headers: { 'x-api-key': key } })).status));
    expect(new Set(answers)).toEqual(new Set([200]));
    expect(gateway.reached.map(({ url }) => url).filter((url) => !url.includes('other'))).toEqual([]);
    for (const socket of slow) socket.destroy();
    await eventually(async () => (await fetch(`http://127.0.0.1:${gateway.port}/api/products/after`, { headers: { 'x-api-key': key } })).status === 200);
  });
});
