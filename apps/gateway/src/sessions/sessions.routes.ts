import { DEFAULT_WORKSPACE, appendSessionMessage, createSession, deleteSession, getSession, listSessionMessages, listSessions, replaceSession } from '@millrace/contracts';
import type { Session, WholeSession } from '@millrace/contracts';
import { formatEtag, ok, parseIfMatch } from '@millrace/http';
import type { Identity } from '@millrace/service';
import { localRoute } from '../local-route.ts';
import type { LocalRoutes } from '../local-route.ts';
import type { SessionOwner, SessionStore } from './session-store.ts';

interface Input { readonly identity: Pick<Identity, 'subject' | 'workspaceId'>; readonly headers: { readonly 'x-user-id': string } }
const ownerOf = ({ identity, headers }: Input): SessionOwner => ({ workspaceId: identity.workspaceId ?? DEFAULT_WORKSPACE, callerId: identity.subject, user: headers['x-user-id'] });

/** Without what the shopper said: answers to an Idempotency-Key are kept beside the session. */
const summaryOf = ({ title: _title, plan: _plan, ...rest }: WholeSession): Session => rest;
const etagOf = ({ version }: Session) => ({ ETag: formatEtag({ content_version: version, version }) });

/** `/api/sessions`: the conversations of one user under one key. */
export function sessionRoutes(store: SessionStore): LocalRoutes {
  return {
    ...localRoute(createSession, async (input) => {
      const session = await store.create(ownerOf(input), input.body);
      return { status: 201, body: summaryOf(session), headers: { ...etagOf(session), Location: `/api/sessions/${session.id}` } };
    }),
    ...localRoute(listSessions, async (input) => ok({ data: await store.list(ownerOf(input)) })),
    ...localRoute(getSession, async (input) => {
      const session = await store.get(ownerOf(input), input.params.id);
      return ok(session, etagOf(session));
    }),
    ...localRoute(replaceSession, async (input) => {
      const session = await store.replace(ownerOf(input), input.params.id, parseIfMatch(input.headers['if-match']), input.body);
      return ok(summaryOf(session), etagOf(session));
    }),
    ...localRoute(deleteSession, async (input) => {
      await store.remove(ownerOf(input), input.params.id);
      return { status: 204 };
    }),
    ...localRoute(appendSessionMessage, async (input) => {
      const session = await store.append(ownerOf(input), input.params.id, parseIfMatch(input.headers['if-match'] ?? '*'), input.body);
      return { status: 201, body: summaryOf(session), headers: etagOf(session) };
    }),
    ...localRoute(listSessionMessages, async (input) => ok({ data: await store.messages(ownerOf(input), input.params.id, input.query) })),
  };
}
