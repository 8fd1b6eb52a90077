import type { IncomingMessage } from 'node:http';
import { BlockList, isIP } from 'node:net';

const UNKNOWN = 'unknown';
const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i;
const familyOf = (address: string): 'ipv4' | 'ipv6' => (isIP(address) === 6 ? 'ipv6' : 'ipv4');

/** Without zone and port, an IPv4 address within IPv6 as itself; undefined: it is no address. */
function plain(text: string): string | undefined {
  const address = text.trim().replace(/^\[(.*)\](?::\d+)?$/, '$1').replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1').replace(/%.*$/, '');
  const [, mapped = address] = MAPPED.exec(address) ?? [];
  return isIP(mapped) === 0 ? undefined : mapped;
}

/** Addresses and networks (`10.0.0.0/8`), separated by commas; undefined where one of them is none. */
export function parseNetworks(text: string): BlockList | undefined {
  const list = new BlockList();
  for (const entry of text.split(',').map((one) => one.trim()).filter(Boolean)) {
    const [address = '', bits, ...rest] = entry.split('/');
    const family = familyOf(address);
    const most = family === 'ipv6' ? 128 : 32;
    const prefix = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN;
    if (isIP(address) === 0 || !(prefix >= 0 && prefix <= most) || rest.length > 0) return undefined;
    list.addSubnet(address, prefix, family);
  }
  return list;
}

/** The half of an IPv6 address that a provider gives away whole: its owner has the other half to choose from. */
function networkOf(address: string): string {
  const [head = '', tail = ''] = address.split('::');
  const [first, last] = [head, tail].map((part) => part.split(':').filter(Boolean));
  const missing = Math.max(0, 8 - (first?.length ?? 0) - (last?.length ?? 0));
  const groups = [...(first ?? []), ...Array.from({ length: missing }, () => '0'), ...(last ?? [])];
  return `${groups.slice(0, 4).map((group) => Number.parseInt(group, 16).toString(16)).join(':')}::/64`;
}

const connections = new WeakMap<IncomingMessage['socket'], string>();

function connectionOf(socket: IncomingMessage['socket']): string {
  const known = connections.get(socket);
  if (known !== undefined) return known;
  const address = plain(socket.remoteAddress ?? '') ?? UNKNOWN;
  connections.set(socket, address);
  return address;
}

/**
 * Who calls, as far as that can be known: the address of the connection, or, where that is a trusted proxy, the last one in X-Forwarded-For that is none.
 * What the caller wrote there itself stands further left and is not looked at. Of IPv6 the network of 64 bits.
 */
export function clientAddress({ socket, headers }: Pick<IncomingMessage, 'socket' | 'headers'>, trusted: BlockList): string {
  let address = connectionOf(socket);
  const { 'x-forwarded-for': forwarded } = headers;
  for (const text of forwarded === undefined ? [] : String(forwarded).split(',').toReversed()) {
    if (address === UNKNOWN || !trusted.check(address, familyOf(address))) break;
    const next = plain(text);
    if (next === undefined) break;
    address = next;
  }
  return familyOf(address) === 'ipv6' ? networkOf(address) : address;
}
