import { silentLogger } from '@millrace/bus';
import { createEngineBus } from '@millrace/bus/engine';
import type { Engine, EngineBus, BusOptions } from '@millrace/bus/engine';
import { createAppender } from './appender.ts';
import { createConnection } from './connection.ts';
import { encodeFields } from './entries.ts';
import { createGroups } from './groups.ts';
import { createNatsLeases } from './leases.ts';
import { createNatsLetters } from './letters.ts';
import { subjectOf } from './names.ts';
import { createNatsGroupLog } from './nats-group-log.ts';
import { createOwnerMethods } from './owner.ts';
import { MAX_WAIT_MS } from './pull.ts';
import { createState } from './state.ts';
import { openNatsTail } from './tail.ts';

export interface NatsBusOptions extends BusOptions {
  /** `nats://user:password@host:4222?replicas=3&tls=true`, or `?token=`. */
  readonly url: string;
}

const PING_MS = 1_000;

/**
 * The bus over NATS JetStream 2.9 or later: a stream a topic, a durable pull consumer a group, an ephemeral ordered consumer for each broadcast. Makes its streams at the
 * first use. An event is published once the server has acknowledged it (PubAck).
 */
export function createNatsBus({ url, ...options }: NatsBusOptions): EngineBus {
  const connection = createConnection(url, options.logger ?? silentLogger);
  const state = createState(connection);
  const groups = createGroups(connection, state);
  const appendRaw = (topic: string, fields: readonly string[]): Promise<unknown> => connection.use(({ js }) => js.publish(subjectOf(topic), encodeFields(fields)));
  const letters = createNatsLetters(connection, groups, appendRaw);
  const deps = { connection, state, groups, letters, waitMs: Math.min(options.blockMs ?? MAX_WAIT_MS, MAX_WAIT_MS) };
  const engine: Engine = {
    features: { engine: 'nats', partitions: false, ownAtRestart: false, atomicPark: false, atomicContext: false, memoryPressure: false },
    broker: 'NATS',
    append: createAppender(connection, groups),
    register: (topic, group, canBootstrap) => groups.register({ topic, group }, canBootstrap),
    openLog: (of) => createNatsGroupLog(deps, of),
    openLeases: (of) => createNatsLeases(state, of),
    openTail: (topic) => openNatsTail(connection, groups, topic),
    ...createOwnerMethods(deps),
    letters,
    async ping() {
      const late = Promise.withResolvers<never>();
      const timer = setTimeout(() => late.reject(new Error(`NATS did not answer within ${PING_MS} ms`)), PING_MS);
      await Promise.race([connection.use(({ nc }) => nc.flush()), late.promise]).finally(() => clearTimeout(timer));
    },
    close: () => connection.close(),
  };
  return createEngineBus(engine, options);
}
