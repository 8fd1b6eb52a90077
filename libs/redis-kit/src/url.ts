export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

interface Login {
  readonly username?: string;
  readonly password?: string;
}

/** What a connection URL means. */
export type RedisTarget =
  | { readonly kind: 'single'; readonly url: string }
  | { readonly kind: 'cluster'; readonly tls: boolean; readonly nodes: readonly HostAndPort[]; readonly login: Login }
  | {
      readonly kind: 'sentinel';
      readonly tls: boolean;
      readonly sentinels: readonly HostAndPort[];
      /** The primary's name among the sentinels. */
      readonly name: string;
      readonly db: number;
      readonly login: Login;
      readonly sentinelLogin: Login;
    };

const SCHEME = /^(rediss?)(-cluster|-sentinel)?:\/\//i;
const FORMS = 'redis://, redis-cluster://, redis-sentinel://, or rediss… for TLS';
const DEFAULT_PORT = { cluster: 6_379, sentinel: 26_379 };
const PARAMETERS = { cluster: ['node'], sentinel: ['node', 'sentinelServiceName', 'sentinelUsername', 'sentinelPassword'] };
type Kind = keyof typeof DEFAULT_PORT;

/** Is this the address of a Redis Cluster (`redis-cluster://` or `rediss-cluster://`)? Key names depend on it: `createKeys({ cluster })`. */
export const isClusterUrl = (url: string): boolean => SCHEME.exec(url)?.[2]?.toLowerCase() === '-cluster';

/** Never with the text itself, nor with what the parser says of it: either may hold the password. */
function problem(kind: Kind, what: string): Error {
  return new Error(`redis-${kind} URL: ${what}`);
}

function parse(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

function decode(kind: Kind, text: string): string | undefined {
  try {
    return text === '' ? undefined : decodeURIComponent(text);
  } catch {
    throw problem(kind, 'the user or the password is not percent-encoded');
  }
}

function login(username: string | undefined, password: string | undefined): Login {
  return { ...(username ? { username } : {}), ...(password ? { password } : {}) };
}

function endpoint(url: URL, defaultPort: number): HostAndPort {
  return { host: url.hostname.replaceAll(/^\[|\]$/g, ''), port: url.port === '' ? defaultPort : Number(url.port) };
}

/** The host of the URL, then every `node=host:port`. */
function endpoints(kind: Kind, url: URL): HostAndPort[] {
  if (url.hostname === '' || url.port === '0') throw problem(kind, 'it names no host');
  const more = url.searchParams.getAll('node').map((text, at) => {
    const node = parse(`redis://${text}`);
    const isPlain = node !== undefined && node.hostname !== '' && node.port !== '0' && node.username === '' && node.password === '' && /^\/?$/.test(node.pathname) && node.search === '' && node.hash === '';
    if (!isPlain) throw problem(kind, `node ${at + 1} is not host:port`);
    return node;
  });
  return [url, ...more].map((one) => endpoint(one, DEFAULT_PORT[kind]));
}

function rejectUnknownParameters(kind: Kind, url: URL): void {
  if (url.hash !== '') throw problem(kind, 'it has a "#": percent-encode it as %23');
  const known = PARAMETERS[kind];
  if ([...url.searchParams.keys()].some((name) => !known.includes(name))) throw problem(kind, `its parameters are ${known.join(', ')}, and no others`);
}

function database(kind: Kind, { pathname }: URL): number {
  const text = pathname.replace(/^\//, '');
  if (!/^\d{0,4}$/.test(text)) throw problem(kind, 'its path is not the number of a database');
  return Number(text);
}

/**
 * Reads a connection URL; `redis://` and `rediss://` are left to the client. The others are those of Rust's fred client:
 * `redis-cluster://user:password@h1:7000?node=h2:7001&node=h3:7002`, and
 * `redis-sentinel://user:password@h1:26379/0?node=h2:26379&sentinelServiceName=mymaster[&sentinelUsername=…&sentinelPassword=…]`.
 * Throws a sentence without any part of the URL that may be secret.
 */
export function parseRedisUrl(text: string): RedisTarget {
  const scheme = SCHEME.exec(text);
  if (!scheme && /^[a-z][a-z\d+.-]*:\/\//i.test(text)) throw new Error(`Redis URL: it begins with none of ${FORMS}`);
  if (!scheme?.[2]) return { kind: 'single', url: text };
  const kind: Kind = scheme[2].toLowerCase() === '-cluster' ? 'cluster' : 'sentinel';
  const tls = scheme[1]?.toLowerCase() === 'rediss';
  const url = parse(text);
  if (!url) throw problem(kind, 'it is not a URL (further hosts are given by ?node=host:port, special characters are percent-encoded)');
  rejectUnknownParameters(kind, url);
  const nodes = endpoints(kind, url);
  const db = database(kind, url);
  const given = login(decode(kind, url.username), decode(kind, url.password));
  if (kind === 'cluster') {
    if (db !== 0) throw problem(kind, 'a cluster has only database 0');
    return { kind, tls, nodes, login: given };
  }
  const parameter = (name: string): string | undefined => url.searchParams.get(name) ?? undefined;
  const name = parameter('sentinelServiceName');
  if (!name) throw problem(kind, 'sentinelServiceName is missing');
  return { kind, tls, sentinels: nodes, name, db, login: given, sentinelLogin: login(parameter('sentinelUsername'), parameter('sentinelPassword')) };
}
