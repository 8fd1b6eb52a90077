export interface OwedPurgesOptions {
  /** False: it was not done, or nobody knows. Never rejects. */
  readonly purge: (tags: readonly string[] | undefined) => Promise<boolean>;
  readonly retryMs: number;
}

/** Purges that are to be done until they are done. */
export interface OwedPurges {
  /** Resolves after the first try. */
  add(tags: readonly string[] | undefined): Promise<void>;
  /** While some have failed, what Redis holds must not be given. */
  isOwing(): boolean;
  close(): void;
}

/** More are as good as everything, and quicker: one write. */
const MAX_OWED = 10_000;

/** Purges one after another; what fails is tried again, joined with what came meanwhile. */
export function createOwedPurges({ purge, retryMs }: OwedPurgesOptions): OwedPurges {
  let [failed, isAllFailed, trying] = [new Set<string>(), false, 0];
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  const isFailed = (): boolean => isAllFailed || failed.size > 0;
  const remember = (tags: readonly string[] | undefined): void => {
    for (const tag of tags ?? []) failed.add(tag);
    isAllFailed ||= tags === undefined || failed.size > MAX_OWED;
    if (timer === undefined && !isClosed) timer = setTimeout(() => void again(), retryMs).unref();
  };
  const attempt = async (tags: readonly string[] | undefined): Promise<void> => {
    if (!(await purge(tags))) remember(tags);
  };
  const again = async (): Promise<void> => {
    timer = undefined;
    trying += 1;
    const tags = isAllFailed ? undefined : [...failed];
    [failed, isAllFailed] = [new Set(), false];
    await attempt(tags);
    trying -= 1;
  };
  return {
    add: (tags) => attempt(tags !== undefined && tags.length > MAX_OWED ? undefined : tags),
    isOwing: () => trying > 0 || isFailed(),
    close() {
      isClosed = true;
      clearTimeout(timer);
    },
  };
}
