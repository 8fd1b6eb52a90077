import { readFile } from 'node:fs/promises';
import { z } from 'zod';

const privateKey = z.looseObject({ d: z.string().min(32) });

/** What confirmations are signed with: derived of this service's own key, which all of its instances have and nobody else. */
export const readConfirmSecret = async (keyFile: string): Promise<string> => privateKey.parse(JSON.parse(await readFile(keyFile, 'utf8'))).d;
