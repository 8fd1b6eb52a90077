import type { BusTrace, CatalogueTrace, TraceBody } from '@millrace/contracts';

type Row = NonNullable<CatalogueTrace['row']>;
type Store = { readonly version: number | null; readonly deleted: boolean };

/** Who keeps a store, by its consumer group. */
interface Sink {
  readonly name: 'search' | 'vectors';
  readonly verb: 'has' | 'have';
  readonly group: string;
}
const sinks: readonly Sink[] = [{ name: 'search', verb: 'has', group: 'es-sync-worker' }, { name: 'vectors', verb: 'have', group: 'embedding-worker' }];

const isPublic = (row: Row): boolean => !row.deleted && row.status === 'active';
const shownState = (row: Row): string => (row.deleted ? 'deleted' : row.status);

/** Drafts, archived and deleted ones are tombstones, or were never there. */
function isRight(row: Row, { version, deleted }: Store): boolean {
  if (isPublic(row)) return version === row.version && !deleted;
  return version === null || (deleted && version >= row.version);
}

/** Where the change got stuck on its way to one group. */
function whereItWaits(row: Row, { group }: Sink, catalogue: CatalogueTrace, bus: BusTrace | null): string {
  if (catalogue.outbox.waiting.some(({ version }) => version === row.version)) return 'the change waits in the outbox: the relay has not published it (is Redis away?)';
  if (!bus) return 'the bus could not be asked where the change is';
  const entry = bus.streams.flatMap(({ entries }) => entries).find(({ version }) => version === row.version);
  const eventId = entry?.event_id ?? catalogue.outbox.published?.event_id;
  // Older events of the product may have been parked, too.
  const letter = bus.dead_letters.find((one) => one.group === group && ((entry !== undefined && one.source_id === entry.id) || (eventId !== undefined && one.event_id === eventId)));
  const state = entry?.groups.find((one) => one.group === group);
  if (entry && !state) return `the group ${group} does not exist on the stream: its service is not running, or starts`;
  if (entry && state?.state === 'unread') return `${group} has not read entry ${entry.id} yet`;
  if (entry && state?.state === 'pending') return `${state.consumer ?? 'a consumer'} of ${group} holds entry ${entry.id} since ${Math.round((state.idle_ms ?? 0) / 1_000)} s`;
  if (entry && state?.state === 'delayed') return `entry ${entry.id} failed in ${group} and is put off, to be tried again`;
  if (letter) return `${group} parked it: ${letter.reason} (dead letter ${letter.id})`;
  if (entry) return `${group} acknowledged entry ${entry.id} without effect: run \`millrace verify --repair\``;
  return 'its event is not on the stream any more: run `millrace verify --repair`';
}

type Parts = Pick<TraceBody, 'catalogue' | 'bus' | 'search' | 'vectors'>;

/** The index may hold what its readers do not see yet. */
function explainSight(has: string, row: Row, found: Store | (Store & { readonly visible_version: number | null })): { finding: string; right: boolean } {
  if (!('visible_version' in found) || found.visible_version === (isPublic(row) ? row.version : null)) return { finding: has, right: true };
  return { finding: `${has}, but searches see ${found.visible_version === null ? 'nothing of it' : `version ${found.visible_version}`}`, right: false };
}

function explainSink(sink: Sink, row: Row | undefined, parts: Parts): { finding: string; right: boolean | null } {
  const { error, found } = parts[sink.name];
  if (!found) return { finding: `${sink.name}: ${error ?? 'not known'}`, right: null };
  const held = found.version === null ? 'nothing of it' : found.deleted ? `a tombstone of version ${found.version}` : `it at version ${found.version}`;
  const vector = 'model' in found && isHeld(found) ? (found.has_vector ? `, with a vector of model ${found.model ?? '?'}` : ', without a vector: its text has no words') : '';
  const has = `${sink.name} ${sink.verb} ${held}${vector}`;
  if (!row || !parts.catalogue.found) return { finding: has, right: row === undefined && parts.catalogue.found ? found.version === null || found.deleted : null };
  if (isRight(row, found)) return explainSight(has, row, found);
  if ((found.version ?? 0) > row.version) return { finding: `${has}, which the catalogue never had: the database was restored to an earlier state; run \`millrace rebuild ${sink.name}\``, right: false };
  return { finding: `${has}, behind version ${row.version}: ${whereItWaits(row, sink, parts.catalogue.found, parts.bus.found)}`, right: false };
}

const isHeld = ({ version, deleted }: Store): boolean => version !== null && !deleted;

/** In plain words: is the product everywhere at the catalogue's version, and if not, where it waits and what to do. */
export function explainTrace(parts: Parts): Pick<TraceBody, 'findings' | 'in_sync'> {
  const { catalogue } = parts;
  const row = catalogue.found?.row ?? undefined;
  const first = !catalogue.found ? `catalogue: ${catalogue.error ?? 'not known'}` : row ? `the catalogue has version ${row.version} (${shownState(row)})` : 'the catalogue does not know this sku';
  const explained = sinks.map((sink) => explainSink(sink, row, parts));
  const rights = explained.map(({ right }) => right);
  return { findings: [first, ...explained.map(({ finding }) => finding)], in_sync: rights.includes(false) ? false : rights.includes(null) ? null : true };
}
