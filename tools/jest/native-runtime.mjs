// Jest's own runtime compiles the whole module graph anew for each test file, in a vm context: on 200 files that costs more than the tests.
// This one lets Node import them, types stripped, as it does in production. What is under a `test` folder is evaluated for each
// test file, everything else once a worker.
import { createRequire, registerHooks } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ModuleMocker } from 'jest-mock';

const require = createRequire(import.meta.url);
const GLOBALS = 'jest-native:globals';
const ROOT = pathToFileURL(join(import.meta.dirname, '../..')).href;
const isTestSide = (url) => url.startsWith(ROOT) && /^(?!.*\/node_modules\/).*\/test\//.test(url.slice(ROOT.length));
const RUN = /\?run=\d+$/;
const NAMES = ['afterAll', 'afterEach', 'beforeAll', 'beforeEach', 'describe', 'expect', 'fdescribe', 'fit', 'it', 'jest', 'test', 'xdescribe', 'xit', 'xtest'];

/** The globals of the file that runs now, by name. */
const globals = (globalThis[Symbol.for(GLOBALS)] = { current: {}, lateBound: {} });
// For modules that stay for the next test files: each call goes to the running file's.
for (const name of NAMES)
  globals.lateBound[name] = new Proxy(() => undefined, {
    apply: (_target, self, args) => Reflect.apply(globals.current[name], self, args),
    get: (_target, key) => Reflect.get(globals.current[name], key),
  });
const globalsSource = (which) => `const bound = globalThis[Symbol.for('${GLOBALS}')].${which};\n${NAMES.map((name) => `export const ${name} = bound.${name};`).join('\n')}\n`;
let runs = 0;

registerHooks({
  resolve(specifier, context, next) {
    const [run = ''] = RUN.exec(context.parentURL ?? '') ?? [];
    if (specifier === '@jest/globals') return { url: GLOBALS + run, format: 'module', shortCircuit: true };
    const resolved = next(specifier, context);
    return isTestSide(resolved.url) && !resolved.url.includes('?') ? { ...resolved, url: resolved.url + run } : resolved;
  },
  load(url, context, next) {
    if (!url.startsWith(GLOBALS)) return next(url, context);
    return { format: 'module', source: globalsSource(url === GLOBALS ? 'lateBound' : 'current'), shortCircuit: true };
  },
});

/** What our tests use of the `jest` object. Mocks of modules there are none: nothing of ours is mocked. */
function jestObject(environment) {
  const mocker = new ModuleMocker(environment.global);
  const timers = environment.fakeTimersModern;
  const jest = {
    fn: mocker.fn.bind(mocker),
    spyOn: mocker.spyOn.bind(mocker),
    setTimeout: (timeout) => ((environment.global[Symbol.for('TEST_TIMEOUT_SYMBOL')] = timeout), jest),
    useFakeTimers: (config) => (timers.useFakeTimers(config), jest),
    useRealTimers: () => (timers.useRealTimers(), jest),
    advanceTimersByTime: (ms) => timers.advanceTimersByTime(ms),
    advanceTimersByTimeAsync: (ms) => timers.advanceTimersByTimeAsync(ms),
    setSystemTime: (now) => timers.setSystemTime(now),
  };
  return jest;
}

/** As much of a Jest runtime as jest-runner and jest-circus ask for. */
class NativeRuntime {
  #environment;

  constructor(_projectConfig, environment) {
    this.#environment = environment;
  }

  /** jest-circus' state begins anew with each test file: its module is evaluated again, with only its own event handlers. */
  requireInternalModule(path) {
    delete require.cache[path];
    delete globalThis[Symbol.for('EVENT_HANDLERS')];
    return require(path);
  }

  setGlobalsForRuntime(given) {
    globals.current = { ...given, jest: jestObject(this.#environment) };
  }

  unstable_shouldLoadAsEsm() {
    return true;
  }

  unstable_importModule(path) {
    runs += 1;
    return import(`${pathToFileURL(path).href}?run=${runs}`);
  }

  requireModule(path) {
    return require(path);
  }

  enterTestCode() {}
  leaveTestCode() {}
  teardown() {}

  getSourceMaps() {
    return new Map();
  }

  getAllCoverageInfoCopy() {
    return undefined;
  }
}

// Jest requires this file and wants the class itself.
export { NativeRuntime as 'module.exports' };
