/** Everything of the bus in NATS begins with this. */
const PREFIX = 'millrace';

/** One token of a subject, also good in names of streams and consumers: `product:updates` is `product_updates`; different texts never give the same one. */
export const token = (text: string): string => text.replaceAll(/[^A-Za-z0-9:-]/gu, (letter) => `=${Buffer.from(letter).toString('hex')}`).replaceAll(':', '_');

export const streamOf = (topic: string): string => `${PREFIX}-${token(topic)}`;
export const subjectOf = (topic: string): string => `${PREFIX}.events.${token(topic)}`;

/** The state of groups: a stream that keeps the last message of each subject. */
export const STATE = `${PREFIX}-state`;
export const STATE_SUBJECTS = `${PREFIX}.state.>`;
export type StateKind = 'group' | 'mark' | 'lease' | 'lock' | 'attempts' | 'seen' | 'progress' | 'now';
export const stateSubject = (kind: StateKind, ...names: readonly string[]): string => [`${PREFIX}.state.${kind}`, ...names.map((name) => (name === '*' || name === '>' ? name : token(name)))].join('.');

export const LETTERS = `${PREFIX}-dead-letters`;
export const LETTERS_SUBJECTS = `${PREFIX}.dead-letters.>`;
export const lettersSubject = (topic: string, group: string): string => `${PREFIX}.dead-letters.${token(topic)}.${group === '*' ? '*' : token(group)}`;
