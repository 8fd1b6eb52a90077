// Test files run in Node itself, not in a vm context: the globals are the process' own.
import { ModernFakeTimers } from '@jest/fake-timers';

/** A Jest environment whose global is the worker's. What a test file has changed of it is put back when the file ends. */
export default class NativeEnvironment {
  global = globalThis;
  #console = globalThis.console;
  #exit = Reflect.get(process, 'exit');

  constructor({ projectConfig }) {
    this.fakeTimersModern = new ModernFakeTimers({ config: projectConfig, global: globalThis });
  }

  async setup() {}

  async teardown() {
    this.fakeTimersModern.dispose();
    globalThis.console = this.#console;
    process.exit = this.#exit;
    // Where jest.setTimeout keeps it.
    delete globalThis[Symbol.for('TEST_TIMEOUT_SYMBOL')];
  }

  exportConditions() {
    return ['node', 'node-addons'];
  }

  /** There is none; Jest asks only whether the method is there. */
  getVmContext() {
    return null;
  }
}
