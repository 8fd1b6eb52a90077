// The schedule of an instance in a process of its own, to be killed: node schedule-alone.ts <variables as JSON>.
import { createPool } from '@millrace/database';
import { createLogger, createMetrics } from '@millrace/service';
import { configSchema } from '../src/config.ts';
import { openSchedule } from '../src/schedule/open-schedule.ts';

const config = configSchema.parse(JSON.parse(process.argv[2] ?? '{}'));
const pool = createPool({ url: config.UT360_LOOKUP_DATABASE_URL, name: 'alone', max: 2, statementTimeoutMs: 0 });
openSchedule({ config, logger: createLogger('test', 'silent'), metrics: createMetrics('test') }, pool);
