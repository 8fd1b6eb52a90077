import { stat } from 'node:fs/promises';
import { LoadRefusedError } from '../errors.ts';

export interface FileState {
  readonly bytes: number;
  /** Another text: another file, or other content. */
  readonly text: string;
}

/** What tells whether a file was changed or replaced between two moments. Throws LoadRefusedError where it is not there. */
export async function fileState(path: string): Promise<FileState> {
  try {
    const { dev, ino, size, mtimeNs } = await stat(path, { bigint: true });
    return { bytes: Number(size), text: `${dev} ${ino} ${size} ${mtimeNs}` };
  } catch (error) {
    throw new LoadRefusedError(`${path} cannot be read`, { cause: error });
  }
}
