import { redisVariables } from '@millrace/service';
import { defaultDropNames, parseBadRowLimit } from '@millrace/subscribers';
import { z } from 'zod';
import { isCron, isTimeZone } from './cron.ts';

const fileName = z.string().min(1).max(200).refine((name) => !/[/\\]/.test(name) && !name.startsWith('.'), 'must be the name of a file in UT360_DROP_DIR, without a path');

export const scheduleVariables = {
  UT360_DROP_DIR: z.string().min(1).optional().describe('Folder where files of subscribers are put, to be loaded by the schedule; without it there is no schedule'),
  UT360_DROP_RECOMMENDATIONS: fileName.default(defaultDropNames.recommendations).describe('Name of the file of recommendations there; .csv, .csv.gz and .parquet are all found'),
  UT360_DROP_PROFILES: fileName.default(defaultDropNames.profiles).describe('The same of profiles'),
  UT360_DROP_ARPU: fileName.default(defaultDropNames.arpu).describe('The same of monthly ARPU'),
  UT360_DROP_MAPPING: z.string().min(1).optional().describe('Mapping file for them (--mapping of ut360 load)'),
  UT360_DROP_MAX_BAD: z.string().refine((text) => parseBadRowLimit(text) !== undefined, 'must be a share or a number of rows: 1%, 250').default('1%').describe('A file with more bad rows is refused'),
  UT360_DROP_SETTLE_MS: z.coerce.number().int().min(10).max(600_000).default(60_000).describe('A file that is younger is looked at again after this time, milliseconds: one that changed is still being written'),
  UT360_ALIAS_KEYS: z.stringbool().default(false).describe('Scheduled loads also write the keys of readers that know of no generations (--alias-keys)'),
  UT360_SCHEDULE: z.string().refine(isCron, 'must be a cron pattern of five fields, or six with seconds: 0 2 * * *').default('0 2 * * *').describe('When the folder is looked into (cron)'),
  UT360_SCHEDULE_TZ: z.string().refine(isTimeZone, 'must be an IANA time zone: Asia/Ho_Chi_Minh').default('Asia/Ho_Chi_Minh').describe('Time zone of UT360_SCHEDULE'),
  UT360_SCHEDULE_RETRY_MS: z.coerce.number().int().min(100).max(86_400_000).default(600_000).describe('How soon a run that failed, or met a file that is still being written, is tried again, milliseconds (6 times a night at most)'),
  UT360_SCHEDULE_CHECK_MS: z.coerce.number().int().min(50).max(3_600_000).default(30_000).describe('How often it is looked for a run that was missed or broken off, milliseconds'),
  UT360_SCHEDULE_LEASE_MS: z.coerce.number().int().min(500).max(600_000).default(30_000).describe('How long a load that was killed keeps the next one out, milliseconds'),
  REDIS_URL: redisVariables.REDIS_URL.describe('Redis of the bus and of state, for the schedule and its lease; not used without UT360_DROP_DIR'),
};

export const scheduleSchema = z.object(scheduleVariables);
export type ScheduleConfig = z.output<typeof scheduleSchema>;
