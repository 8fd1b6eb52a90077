import { SinkUnavailableError } from '@millrace/bus';
import type { BusLogger } from '@millrace/bus';
import { BusSetupError } from '@millrace/bus/engine';
import { DiscardPolicy, JetStreamApiCodes, JetStreamApiError, jetstream, jetstreamManager, RetentionPolicy, StorageType } from '@nats-io/jetstream';
import type { JetStreamClient, JetStreamManager, StreamConfig } from '@nats-io/jetstream';
import { AuthorizationError, connect, nanos, PermissionViolationError, RequestError, UserAuthenticationExpiredError } from '@nats-io/transport-node';
import type { NatsConnection, NodeConnectionOptions } from '@nats-io/transport-node';
import { LETTERS, LETTERS_SUBJECTS, STATE, STATE_SUBJECTS } from './names.ts';

export interface Nats {
  readonly nc: NatsConnection;
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
}

export interface Connection {
  /** Does it with the connection, opened where there is none. Rejects with what it means: BusSetupError, SinkUnavailableError. */
  readonly use: <T>(work: (nats: Nats) => Promise<T>) => Promise<T>;
  /** Called after each lost and found connection. Returns how to stop that. */
  readonly onReconnect: (told: () => void) => () => void;
  /** Aborts when the connection is lost; another one then. */
  lost(): AbortSignal;
  /** Work that `close` waits for: soon over, and never longer than the connection lives. */
  readonly linger: (work: Promise<unknown>) => void;
  readonly replicas: number;
  close(): Promise<void>;
}

interface NatsAddress {
  readonly options: NodeConnectionOptions;
  readonly replicas: number;
  /** For messages: without the password. */
  readonly shown: string;
}

/** `nats://user:password@host:4222?replicas=3&tls=true`, or `?token=`. @throws BusSetupError on a number of replicas that is none */
export function parseNatsUrl(url: string): NatsAddress {
  const { hostname, port, username, password, searchParams, protocol } = new URL(url);
  const replicas = Number(searchParams.get('replicas') ?? 1);
  if (![1, 3, 5].includes(replicas)) throw new BusSetupError('BUS_URL: ?replicas= of a NATS bus is 1, 3 or 5');
  const host = `${hostname}:${port === '' ? '4222' : port}`;
  const authToken = searchParams.get('token');
  return {
    replicas, shown: host,
    options: {
      servers: host,
      ...(username !== '' && { user: decodeURIComponent(username), pass: decodeURIComponent(password) }),
      ...(authToken !== null && { token: authToken }),
      ...((protocol === 'tls:' || searchParams.get('tls') === 'true') && { tls: {} }),
    },
  };
}

/** JetStream answers in this time, or is away. */
export const REQUEST_MS = 5_000;

/** One connection of a bus, opened at the first use; lost ones come back by themselves. */
export function createConnection(url: string, logger: BusLogger): Connection {
  const address = parseNatsUrl(url);
  const listeners = new Set<() => void>();
  let opened: Promise<Nats> | undefined;
  let lost = new AbortController();
  let isClosed = false;
  const lingering = createLingering();

  const follow = async (nc: NatsConnection): Promise<void> => {
    for await (const { type } of nc.status()) {
      if (type === 'disconnect') {
        lost.abort();
        logger.warn({ server: address.shown }, 'the connection of the bus to NATS was lost');
      }
      if (type !== 'reconnect') continue;
      lost = new AbortController();
      logger.info({ server: address.shown }, 'the bus is connected to NATS again');
      for (const tell of listeners) tell();
    }
  };
  const open = async (): Promise<Nats> => {
    const nats = await openNats(address).catch((error: unknown) => {
      opened = undefined;
      throw error;
    });
    lost = new AbortController();
    void follow(nats.nc);
    void nats.nc.closed().finally(() => {
      lost.abort();
      opened = undefined;
    });
    return nats;
  };
  return {
    replicas: address.replicas,
    async use(work) {
      if (isClosed) throw new SinkUnavailableError('the bus is closed');
      try {
        opened ??= open();
        return await work(await opened);
      } catch (error) {
        if (hasNobodyThere(error) || isStreamNotFound(error)) await restore(opened, address);
        throw explained(error, address);
      }
    },
    onReconnect(told) {
      listeners.add(told);
      return () => listeners.delete(told);
    },
    lost: () => lost.signal,
    linger: (work) => lingering.add(work),
    async close() {
      isClosed = true;
      await lingering.over();
      const nats = await opened?.catch(() => undefined);
      await nats?.nc.close();
    },
  };
}

/** On a server that came back empty: whoever tries again finds what the bus needs. */
const restore = async (opened: Promise<Nats> | undefined, { replicas }: NatsAddress): Promise<void> => opened?.then(({ jsm }) => ensureOwnStreams(jsm, replicas)).catch(() => undefined);

function createLingering() {
  const all = new Set<Promise<unknown>>();
  return {
    add(work: Promise<unknown>): void {
      // What the connection's end breaks off is nobody's to mend: the server gives it to others after ack_wait.
      const over = work.catch(() => undefined).finally(() => all.delete(over));
      all.add(over);
    },
    over: (): Promise<unknown> => Promise.all(all),
  };
}

/** Connected, and with the streams of the bus' own. */
async function openNats(address: NatsAddress): Promise<Nats> {
  const nc = await connect({
    ...address.options, name: 'millrace bus', timeout: REQUEST_MS, maxReconnectAttempts: -1, reconnectTimeWait: 250, reconnectJitter: 100, ignoreAuthErrorAbort: true, pingInterval: 5_000, maxPingOut: 2,
  });
  try {
    checkVersion(nc.info?.version ?? '', address);
    const jsm = await jetstreamManager(nc, { timeout: REQUEST_MS }).catch((error: unknown) => {
      throw hasNobodyThere(error) ? withoutJetStream(error, address) : error;
    });
    await ensureOwnStreams(jsm, address.replicas);
    return { nc, js: jetstream(nc, { timeout: REQUEST_MS }), jsm };
  } catch (error) {
    await nc.close();
    throw error;
  }
}

function checkVersion(version: string, { shown }: NatsAddress): void {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major < 2 || (major === 2 && minor < 9)) throw new BusSetupError(`the NATS of the bus (${shown}) is ${version}: it must be 2.9 or later`);
}

const NOT_FOUND: readonly number[] = [JetStreamApiCodes.StreamNotFound, JetStreamApiCodes.ConsumerNotFound, JetStreamApiCodes.NoMessageFound];
export const isNotFound = (error: unknown): boolean => error instanceof JetStreamApiError && NOT_FOUND.includes(error.code);
/** Of a deletion: the server says it as a failure to delete (10057) or to find (10043). */
export const isNoSuchMessage = (error: unknown): boolean => error instanceof JetStreamApiError && (error.code === 10_043 || (error.code === 10_057 && /no message found|deleted message/i.test(error.message)));
export const isWrongSequence = (error: unknown): boolean => error instanceof JetStreamApiError && (error.code === JetStreamApiCodes.StreamWrongLastSequence || error.code === JetStreamApiCodes.StreamWrongLastSequenceUnknown);

const STREAM_EXISTS = 10_058;

/** Makes it where it is not there; one that somebody has set differently stays as it is, but for a window of repeated ids that is too short: the producers count on it. */
export async function ensureStream(jsm: JetStreamManager, config: Partial<StreamConfig> & { readonly name: string }): Promise<void> {
  try {
    const found = await jsm.streams.info(config.name);
    if (config.duplicate_window !== undefined && found.config.duplicate_window < config.duplicate_window) await jsm.streams.update(config.name, { duplicate_window: config.duplicate_window });
  } catch (error) {
    if (!isNotFound(error)) throw error;
    await jsm.streams.add({ storage: StorageType.File, retention: RetentionPolicy.Limits, discard: DiscardPolicy.Old, allow_direct: true, ...config }).catch((refused: unknown) => {
      if (!(refused instanceof JetStreamApiError && refused.code === STREAM_EXISTS)) throw refused;
    });
  }
}

const DAY_MS = 86_400_000;

async function ensureOwnStreams(jsm: JetStreamManager, replicas: number): Promise<void> {
  await ensureStream(jsm, { name: STATE, subjects: [STATE_SUBJECTS], max_msgs_per_subject: 1, num_replicas: replicas });
  // A letter that is parked again after a crash is the same message.
  await ensureStream(jsm, { name: LETTERS, subjects: [LETTERS_SUBJECTS], max_msgs_per_subject: 100_000, max_age: nanos(30 * DAY_MS), duplicate_window: nanos(DAY_MS), num_replicas: replicas });
}

/** Nobody answers on the subject: the stream is gone, or its copies are electing a leader; also as the cause of what it was explained by. The client takes it for a server without JetStream. */
export const hasNobodyThere = (error: unknown): boolean => error instanceof Error && ((error instanceof RequestError && error.isNoResponders()) || hasNobodyThere(error.cause));
const isStreamNotFound = (error: unknown): boolean => error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound;

const withoutJetStream = (cause: unknown, { shown }: Pick<NatsAddress, 'shown'>): BusSetupError =>
  new BusSetupError(`the NATS of the bus (${shown}) has no JetStream: start nats-server with --jetstream, or allow it for the account of BUS_URL`, { cause });

/** Names of errors that the server, or the lack of an answer, stands for. */
const AWAY = /TimeoutError|ConnectionError|ClosedConnectionError|DrainingConnectionError|RequestError|NoRespondersError|ECONN|ENOTFOUND|EAI_AGAIN/;
const NO_ROOM = [10_047, 10_023, 10_028, 10_077];
/** The server has no room for more; also as the cause of what it was explained by. */
export const isNoRoom = (error: unknown): boolean => (error instanceof JetStreamApiError && NO_ROOM.includes(error.code)) || (error instanceof SinkUnavailableError && isNoRoom(error.cause));

function explained(error: unknown, { shown }: Pick<NatsAddress, 'shown'>): unknown {
  if (!(error instanceof Error) || error instanceof BusSetupError || error instanceof SinkUnavailableError) return error;
  if (error instanceof AuthorizationError || error instanceof UserAuthenticationExpiredError)
    return new BusSetupError(`the NATS of the bus (${shown}) refuses user, password or token of BUS_URL: ${error.message}`, { cause: error });
  if (error instanceof PermissionViolationError || error.cause instanceof PermissionViolationError)
    return new BusSetupError(`the NATS of the bus (${shown}) denies the user of BUS_URL what the bus needs (publish and subscribe on millrace.>, $JS.API.>, $JS.ACK.> and _INBOX.>): ${error.message}`, { cause: error });
  if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.JetStreamNotEnabledForAccount) return withoutJetStream(error, { shown });
  if (hasNobodyThere(error)) return new SinkUnavailableError(`the NATS of the bus (${shown}) has the stream nowhere, or no leader for it: ${error.message}`, { cause: error });
  if (isNoRoom(error)) return new SinkUnavailableError(`the NATS of the bus (${shown}) has no room left: make room on its disk, or raise max_file_store; publishing waits meanwhile: ${error.message}`, { cause: error });
  if (error instanceof JetStreamApiError && error.status >= 500) return new SinkUnavailableError(`the NATS of the bus (${shown}) cannot work now: ${error.message}`, { cause: error });
  if (AWAY.test(error.name) || AWAY.test(error.message) || ('code' in error && typeof error.code === 'string' && AWAY.test(error.code)))
    return new SinkUnavailableError(`the NATS of the bus (${shown}) does not answer: ${error.message}`, { cause: error });
  return error;
}
