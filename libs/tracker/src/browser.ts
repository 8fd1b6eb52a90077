import type { PageWindow } from './page.ts';
import type { Settings } from './settings.ts';
import { createTracker } from './tracker.ts';
import type { Command, Tracker } from './tracker.ts';

declare const window: PageWindow;

const scriptUrl = window.document.currentScript?.src ?? '';
let tracker: Tracker | undefined;

/** Never throws into the page: what is wrong is said on its console. */
const millrace: Command = (...[command, ...args]) => {
  try {
    const name = String(command);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- a page's own settings: without a key it throws, and the server checks the rest
    if (name === 'init') tracker = createTracker(args[0] as Settings, scriptUrl);
    else return tracker && (tracker[name] ?? tracker.track.bind(tracker, name))(...args);
  } catch (error) {
    console.warn('millrace:', error);
  }
  return undefined;
};

const early = window.millrace?.q ?? [];
window.millrace = millrace;
for (const call of early) millrace(...call);
