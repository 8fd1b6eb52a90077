import { execFile } from 'node:child_process';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import type { Command } from 'commander';
import { z } from 'zod';
import { operations } from '../../libs/contracts/src/index.ts';
import { root } from '../local/paths.ts';

interface Block {
  readonly file: string;
  /** Of the opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  /** What follows the language: "ignore". */
  readonly info: string;
  readonly text: string;
  /** Declarations that the reader need not see: an HTML comment `<!-- ts … -->` right above the block. */
  readonly context: string;
}

const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const filesOf = (...patterns: string[]): string[] => globSync(patterns, { cwd: root, exclude: (name) => /^(node_modules|dist|\.\w+)$/.test(name) }).toSorted();

const FENCE = /(?:^<!-- ts\n([\s\S]*?)^-->\n+)?^( *)```([\w-]*)[ \t]*([^\n]*)\n([\s\S]*?)^ *```[ \t]*$/gm;

function blocksOf(file: string): Block[] {
  const markdown = read(file);
  return [...markdown.matchAll(FENCE)].map((match) => {
    const [, context = '', indent = '', language = '', info = '', text = ''] = match;
    return { file, line: markdown.slice(0, match.index + match[0].indexOf('```')).split('\n').length, language, info: info.trim(), text: text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''), context };
  });
}

const place = ({ file, line }: Block): string => `${file}:${line}`;

/** One compiler run over all snippets, in a folder of the repository so that its packages are found. */
async function compile(blocks: readonly Block[]): Promise<string> {
  mkdirSync(join(root, 'dist'), { recursive: true });
  const folder = mkdtempSync(join(root, 'dist', 'docs-'));
  try {
    const sources = new Map(blocks.map((block) => [`${block.file.replaceAll(/[^\w-]/g, '_')}_${block.line}.ts`, block]));
    for (const [name, block] of sources) writeFileSync(join(folder, name), `${block.context}${block.text}\nexport {};\n`);
    const config = { extends: join(root, 'tsconfig.base.json'), compilerOptions: { types: ['node'], typeRoots: [join(root, 'node_modules/@types')] }, files: [...sources.keys()] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const run = promisify(execFile)(join(root, 'node_modules/.bin/tsc'), ['-p', folder, '--pretty', 'false'], { cwd: root });
    const output = await run.then(() => '', (error: unknown) => z.object({ stdout: z.string() }).parse(error).stdout);
    return output.replaceAll(/^[^\s(]*?([\w-]+\.ts)\((\d+),/gm, (_line, name: string, at: string) => {
      const block = sources.get(name);
      const shown = block === undefined ? 0 : Number(at) - block.context.split('\n').length + 1;
      return block === undefined ? `${name}(${at},` : `${block.file}:${block.line + shown} (`;
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const markdownFiles = filesOf('*.md', 'docs/**/*.md', 'apps/**/*.md', 'libs/**/*.md', 'infra/**/*.md', 'scripts/**/*.md');
const allBlocks = markdownFiles.flatMap(blocksOf);
const shellLines = allBlocks
  .filter(({ language }) => language === 'sh')
  .flatMap((block) => block.text.replaceAll('\\\n', ' ').split('\n').map((text) => ({ block, text })));

const cliSchema = z.object({ createProgram: z.custom<(deps: object) => Command>((value) => typeof value === 'function') });

/** Words of a command line up to a comment, a pipe or a redirection; quotes are taken off. */
const wordsOf = (line: string): string[] => [...(/^[^#|>]*/.exec(line)?.[0] ?? '').matchAll(/'([^']*)'|"([^"]*)"|(\S+)/g)].map(([, single, double, plain]) => single ?? double ?? plain ?? '');

/** What the command line has against such a call; undefined: nothing. */
function problemOfCall(command: Command, words: readonly string[]): string | undefined {
  const next = command.commands.find((one) => one.name() === words[0]);
  if (next) return problemOfCall(next, words.slice(1));
  const { operands, unknown } = command.parseOptions([...words]);
  if (unknown.includes('--help')) return undefined;
  if (unknown.length > 0) return `${command.name()} has no ${unknown[0]}`;
  const given = command.registeredArguments;
  const most = given.some(({ variadic }) => variadic) ? Infinity : given.length;
  if (operands.length > most || operands.length < given.filter(({ required }) => required).length) return `${command.name()} takes no ${operands.length} arguments`;
  // Of those that have commands of their own, only these do something by themselves.
  return command.commands.length > 0 && !['streams', 'rebuild'].includes(command.name()) ? `${command.name()} needs a command` : undefined;
}

describe('the documentation', () => {
  it('has only TypeScript snippets that compile against the libraries as they are', async () => {
    const snippets = allBlocks.filter(({ language, info, file }) => language === 'ts' && info !== 'ignore' && /^(README\.md|docs\/|libs\/[^/]+\/README\.md)/.test(file));
    expect(snippets.length).toBeGreaterThan(0);
    expect(await compile(snippets)).toBe('');
  });

  it('exempts few snippets', () => {
    expect(allBlocks.filter(({ language, info }) => language === 'ts' && info === 'ignore').length).toBeLessThanOrEqual(3);
  });

  it('links only to files that exist', () => {
    const broken = markdownFiles.flatMap((file) => {
      const text = read(file).replaceAll(/^ *```[\s\S]*?^ *```/gm, '');
      const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((match) => match[1] ?? '').filter((target) => !/^([a-z]+:|#)/.test(target));
      return targets.filter((target) => !existsSync(resolve(root, dirname(file), target.replace(/#.*$/, '')))).map((target) => `${file}: ${target}`);
    });
    expect(broken).toEqual([]);
  });

  it('names only npm commands that package.json has', () => {
    const { scripts } = z.object({ scripts: z.record(z.string(), z.string()) }).parse(JSON.parse(read('package.json')));
    const unknown = shellLines.flatMap(({ block, text }) => {
      const [, name] = /\bnpm (?:run )?([\w:-]+)/.exec(text) ?? [];
      return name === undefined || name === 'ci' || name in scripts ? [] : [`${place(block)}: ${text.trim()}`];
    });
    expect(unknown).toEqual([]);
  });

  it('names only benchmarks, evaluations and scripts that exist', () => {
    const missing = shellLines.flatMap(({ block, text }) => {
      const [, kind, name] = /\bnpm run (bench|eval|chaos) -- ([\w-]+)/.exec(text) ?? [];
      const [, script] = /\bnode (scripts\/[\w/.-]+)/.exec(text) ?? [];
      const wanted = script ?? (kind !== undefined && name !== undefined ? `scripts/${kind}/${name}.ts` : undefined);
      return wanted === undefined || existsSync(join(root, wanted)) ? [] : [`${place(block)}: ${relative('.', wanted)}`];
    });
    expect(missing).toEqual([]);
  });

  it('calls only commands, options and arguments that the command line has', async () => {
    const { createProgram } = cliSchema.parse(await import(join(root, 'apps/cli/src/program.ts')));
    const calls = shellLines.flatMap(({ block, text }) => {
      const [, call] = /\b(?:npm run millrace --|compose run --rm (?:-\S+ \S+ )*cli) (.*)$/.exec(text) ?? [];
      return call === undefined ? [] : [{ block, call }];
    });
    const wrong = calls.flatMap(({ block, call }) => {
      // A program of its own for each: options stay with the command that parsed them.
      const problem = problemOfCall(createProgram({ config: {}, env: {}, print: () => undefined, printError: () => undefined }), wordsOf(call));
      return problem === undefined ? [] : [`${place(block)}: ${call}: ${problem}`];
    });
    expect(calls.length).toBeGreaterThan(20);
    expect(wrong).toEqual([]);
  });

  it('calls only operations of the route table by curl', () => {
    const pages = ['/readyz', '/docs', '/openapi.json', '/asyncapi.json'].map((path) => ({ method: 'get', path }));
    const known = [...operations, ...pages].map(({ method, path }) => ({ method: method.toUpperCase(), path: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`) }));
    const calls = shellLines.filter(({ text }) => /^\s*curl\b/.test(text) && !text.includes('$STUB/_stub/')); // not ours: libs/pos-stub has its own
    const unknown = calls.filter(({ text }) => {
      const [, path = ''] = /(?:\$URL|https?:\/\/[\w.:-]+)(\/[^\s'"?]*)/.exec(text) ?? [];
      const [, method = 'GET'] = /-X (\w+)/.exec(text) ?? [];
      return !known.some((operation) => operation.method === method && operation.path.test(path));
    });
    expect(calls.length).toBeGreaterThan(0);
    expect(unknown.map(({ block, text }) => `${place(block)}: ${text.trim()}`)).toEqual([]);
  });
});
