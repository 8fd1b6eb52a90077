// node scripts/openapi-diff.ts [REF]: what has changed for callers in docs/openapi.json since a git ref.
// Exit code 1 where a change breaks them and is not declared in docs/api-changes.md, 2 where it was called wrongly.
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parseDocument } from './local/api-diff/document.ts';
import { compareDocuments } from './local/api-diff/documents.ts';
import type { Change } from './local/api-diff/schemas.ts';

const DOCUMENT = 'docs/openapi.json';
const DECLARATIONS = 'docs/api-changes.md';

export interface Outcome { readonly code: 0 | 1 | 2; readonly lines: readonly string[] }

type Git = (...args: readonly string[]) => Promise<string | undefined>;

/** What git answers; undefined where it fails, or is not there. */
const gitOf = (dir: string): Git => (...args) =>
  promisify(execFile)('git', ['-C', dir, ...args], { maxBuffer: 64 * 1_024 * 1_024 }).then(({ stdout }) => stdout.replace(/\n$/, ''), () => undefined);

/** A folder that merely lies in somebody else's checkout has no history of its own. */
async function isCheckout(git: Git, dir: string): Promise<boolean> {
  const top = await git('rev-parse', '--show-toplevel');
  return top !== undefined && existsSync(top) && realpathSync(top) === realpathSync(dir);
}

/** Where this branch left main; on main itself the commit before the last. A checkout of one commit: that one. */
async function defaultBase(git: Git): Promise<string | undefined> {
  const head = await git('rev-parse', '--verify', '--quiet', 'HEAD');
  for (const main of ['origin/main', 'main']) {
    const base = await git('merge-base', main, 'HEAD');
    if (base !== undefined && base !== head) return base;
  }
  return (await git('rev-parse', '--verify', '--quiet', 'HEAD^')) ?? head;
}

/** The texts that lines of the list have in front, in backticks. */
const declaredIn = (markdown: string): ReadonlySet<string> => new Set([...markdown.matchAll(/^[-*] `([^`]+)`/gm)].map(([, text]) => text ?? ''));

function outcomeOf(changes: readonly Change[], declared: ReadonlySet<string>, base: string): Outcome {
  const keyOf = ({ text }: Change): string => text.replaceAll('`', "'");
  const breaks = changes.filter(({ isBreaking }) => isBreaking);
  const open = breaks.filter((change) => !declared.has(keyOf(change)));
  const lines = [
    `${DOCUMENT} since ${base}: ${open.length} undeclared breaking changes, ${breaks.length - open.length} declared ones, ${changes.length - breaks.length} others`,
    ...open.map((change) => `breaking   ${keyOf(change)}`),
    ...breaks.filter((change) => !open.includes(change)).map((change) => `declared   ${keyOf(change)}`),
    ...changes.filter(({ isBreaking }) => !isBreaking).map(({ text }) => `other      ${text}`),
    ...(open.length === 0 ? [] : ['', `Take them back, or declare them in ${DECLARATIONS}, each with what callers have to do:`, ...open.map((change) => `- \`${keyOf(change)}\`: `)]),
  ];
  return { code: open.length === 0 ? 0 : 1, lines };
}

/** Compares the document in a folder with that of a git ref (default: where the branch left main). Nothing to compare with is no failure. */
export async function diffOpenApi(dir: string, ref?: string): Promise<Outcome> {
  const git = gitOf(dir);
  if (!(await isCheckout(git, dir))) return ref === undefined ? { code: 0, lines: ['nothing to compare with: this is not a git checkout'] } : { code: 2, lines: [`there is no ${ref}: this is not a git checkout`] };
  const base = await git('rev-parse', '--verify', '--quiet', `${ref ?? (await defaultBase(git)) ?? 'HEAD'}^{commit}`);
  if (base === undefined) return ref === undefined ? { code: 0, lines: ['nothing to compare with: there is no commit yet'] } : { code: 2, lines: [`git knows no commit ${ref}`] };
  const shown = ref ?? base.slice(0, 10);
  const before = await git('show', `${base}:${DOCUMENT}`);
  if (before === undefined) return { code: 0, lines: [`nothing to compare with: ${shown} has no ${DOCUMENT}`] };
  const declarations = join(dir, DECLARATIONS);
  const declared = declaredIn(existsSync(declarations) ? readFileSync(declarations, 'utf8') : '');
  return outcomeOf(compareDocuments(parseDocument(before), parseDocument(readFileSync(join(dir, DOCUMENT), 'utf8'))), declared, shown);
}

if (import.meta.main) {
  const [ref, ...more] = process.argv.slice(2);
  const isWrong = more.length > 0 || ref?.startsWith('-') === true;
  const { code, lines }: Outcome = isWrong ? { code: 2, lines: ['usage: node scripts/openapi-diff.ts [REF]'] } : await diffOpenApi(join(import.meta.dirname, '..'), ref);
  for (const line of lines) console.log(line);
  process.exit(code);
}
