import { defineTopic } from '@millrace/bus/topics';
import type { EventOf } from '@millrace/bus/topics';
import { z } from 'zod';
import type { TopicContract } from './topic-contract.ts';

/**
 * What is known of an API key has changed: it was revoked, rotated, or its scopes, expiry or origins are others. Every gateway forgets the key and asks
 * Postgres at its next use. Written by a trigger on the table of keys, whoever changes it; told by the outbox of the gateways. Holds no secret and no hash.
 */
export const keyUpdates = defineTopic('gateway:keys', { changed: z.object({ key_id: z.string().min(1) }) }, { schemaVersion: 1, maxLength: 1_000, keyOf: (event) => event.key_id });
export type KeyUpdate = EventOf<typeof keyUpdates>;

/** For `topics`. */
export const keyUpdatesContract: TopicContract<typeof keyUpdates> = {
  topic: keyUpdates,
  description: 'An API key was revoked, rotated or changed: every gateway forgets what it knew of it.',
  key: 'id of the key',
  producers: ['gateway'],
  consumers: [{ service: 'gateway' }],
  hasHeartbeats: false,
  events: { changed: { summary: 'What is known of this key is no longer true', example: { key_id: 'key_7b0c5a50-1d0c-4d55-9b3e-0d5c3f6c8a11' } } },
};
