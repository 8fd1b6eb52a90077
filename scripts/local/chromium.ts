import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];

/** A Chromium of this machine; undefined where there is none. Playwright's own is not fetched. */
export function findChromium(path = process.env['PATH'] ?? ''): string | undefined {
  return path.split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name))).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
