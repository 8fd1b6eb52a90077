import type { StreamEnds } from '@millrace/bus';
import { interactionExportLineSchema } from '@millrace/contracts';
import type { ExportedInteraction } from '@millrace/contracts';
import type { IdentitySigner } from '@millrace/service';

export interface OpenedExport {
  /** Every event, by user and for each user by time; ends where the log ends, throws where the answer broke off. */
  readonly events: AsyncIterable<ExportedInteraction>;
}

export interface InteractionExport {
  /**
   * The log as it is when this resolves, with everything in it up to these ends of streams. Rejects where event-ingest is away, or its writer is behind.
   */
  open(until: StreamEnds, signal: AbortSignal): Promise<OpenedExport>;
}

export interface InteractionExportDeps {
  /** Second port of event-ingest. */
  readonly baseUrl: string;
  readonly signer: IdentitySigner;
}

const IDLE_MS = 60_000;

/** event-ingest's internal export, under the identity of the recommender. A reader that is slow holds the answer back; a server that is silent for a minute is given up. */
export const createInteractionExport = ({ baseUrl, signer }: InteractionExportDeps): InteractionExport => ({
  open: async (until, signal) => {
    const url = new URL('/internal/interactions/export', baseUrl);
    url.searchParams.set('until', JSON.stringify(until));
    const silent = new AbortController();
    const token = await signer.sign('event-ingest', { subject: 'recommender', scopes: [] });
    const opening = setTimeout(() => silent.abort(new Error('the export of interactions does not begin')), IDLE_MS);
    const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.any([signal, silent.signal]) }).finally(() => clearTimeout(opening));
    if (!answer.ok || answer.body === null) throw new Error(`the export of interactions answered ${answer.status}`);
    return { events: eventsOf(answer.body, silent) };
  },
});

async function* eventsOf(body: AsyncIterable<Uint8Array>, silent: AbortController): AsyncGenerator<ExportedInteraction> {
  let rows = 0;
  for await (const text of textLines(body, silent)) {
    const line = interactionExportLineSchema.parse(JSON.parse(text));
    if (line.type === 'page') continue;
    if (line.type === 'end') {
      if (line.rows !== rows || !line.complete) throw new Error('the export of interactions is not whole');
      return;
    }
    rows += 1;
    yield line;
  }
  throw new Error('the export of interactions broke off');
}

async function* textLines(body: AsyncIterable<Uint8Array>, silent: AbortController): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  const chunks = body[Symbol.asyncIterator]();
  for (;;) {
    // Only the waiting counts, not what the reader does between.
    const timer = setTimeout(() => silent.abort(new Error('the export of interactions is silent')), IDLE_MS);
    const { done, value } = await chunks.next().finally(() => clearTimeout(timer));
    if (done === true) break;
    const parts = (rest + decoder.decode(value, { stream: true })).split('\n');
    rest = parts.pop() ?? '';
    yield* parts;
  }
  if (rest !== '') throw new Error('the export of interactions broke off');
}
