/**
 * What a repetition of a POST or PATCH does. `keyed`: the effect again, so the gateway takes Idempotency-Key for it. `safe`: nothing more, by itself
 * (the same row, the same event id, If-Match, a job that is running already). `read`: it changes nothing.
 */
export type Repetition = 'keyed' | 'safe' | 'read';

/** Every POST and PATCH of the public API, by operationId. The gateway does not start with one that is missing here, or that does not exist. */
export const repetitions: Readonly<Record<string, Repetition>> = {
  createProduct: 'keyed', adjustStock: 'keyed', createMerchant: 'keyed', createSynonym: 'keyed', createRule: 'keyed', createExperiment: 'keyed', createSegment: 'keyed',
  startExperiment: 'keyed', rebuildRecommendations: 'keyed', recountAnalytics: 'keyed', startResync: 'keyed', startRebuild: 'keyed', cancelRebuild: 'keyed', rollbackRebuild: 'keyed',
  verifyStores: 'keyed', repartitionTopic: 'keyed', replayDeadLetters: 'keyed', discardDeadLetters: 'keyed', replayQuarantine: 'keyed', discardQuarantine: 'keyed',
  createPlan: 'keyed', createSession: 'keyed', appendSessionMessage: 'keyed', createKey: 'keyed', rotateKey: 'keyed',
  // If-Match, or the same values again.
  patchProduct: 'safe', patchMerchant: 'safe', changeKey: 'safe', repairQuarantined: 'safe', editDeadLetter: 'safe', stopExperiment: 'safe', purgeCache: 'safe',
  // By sku, by event_id (without one a repeated event is another one; an hour of event ids is far smaller than a day of kept answers), by the ids of impressions, by the names of a user.
  importProducts: 'safe', logEvent: 'safe', logEvents: 'safe', postImpressions: 'safe', mergeUser: 'safe', eraseSubscribers: 'safe',
  // By the state of the plan, and by the id of its question.
  runPlan: 'safe', cancelPlan: 'safe',
  // One that runs already is answered by 409; a notification by its own id.
  syncPos: 'safe', receivePosNotification: 'safe',
  // One message; a call of a tool that changes something is bound to a token that acts once.
  callMcp: 'safe',
  similarByBody: 'read', similarToSeveral: 'read', rerankItems: 'read', lookupSubscribers: 'read', previewSegment: 'read',
};

/** Does the gateway take Idempotency-Key for it? */
export const isKeyed = ({ operationId }: { readonly operationId: string }): boolean => repetitions[operationId] === 'keyed';

/**
 * Of these the service itself keeps the answer to an Idempotency-Key, in its own database: what the gateway's memory lost (a gateway that was killed between
 * the effect and the kept answer, an empty Redis) is still known there. All other keyed ones may have their effect again then.
 */
export const keptByService: ReadonlySet<string> = new Set(['createProduct', 'adjustStock']);
