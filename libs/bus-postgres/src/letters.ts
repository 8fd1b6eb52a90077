import { LETTER_FIELDS } from '@millrace/bus/engine';
import type { LetterStore } from '@millrace/bus/engine';
import type { Client } from './client.ts';
import { numberOf, toEntry, toText } from './rows.ts';

const msOf = (id: string): number => Number(id.split('-')[0]);

/** Dead letters as rows; their ids are the time of their parking and a number. */
export function createPostgresLetters({ run, schema }: Client, append: (topic: string, key: string, fields: readonly string[]) => Promise<unknown>): LetterStore {
  const table = `${schema}.dead_letters`;
  const remove = async (topic: string, group: string, id: string): Promise<boolean> =>
    (await run(`delete from ${table} where topic = $1 and "group" = $2 and ms = $3 and number = $4 returning 1 as gone`, [topic, group, msOf(id), numberOf(id)])).length === 1;
  return {
    async boxes(definition, group) {
      const rows = await run(`select name as "group" from ${schema}.groups where topic = $1 union select "group" from ${table} where topic = $1 order by 1`, [definition.name]);
      return rows.map((row) => toText(row['group'])).filter((name) => group === undefined || name === group).map((name) => ({ definition, topic: definition.name, group: name, partition: 0 }));
    },
    async range({ topic, group }, { from, after, before, count }) {
      const [ms, number] = after === undefined ? [from === undefined ? 0 : msOf(from), -1] : [msOf(after), numberOf(after)];
      const rows = await run(`select ms, number, fields from ${table} where topic = $1 and "group" = $2 and (ms, number) > ($3, $4) and ms < $5 order by ms, number limit $6`, [topic, group, ms, number, before === undefined ? Number.MAX_SAFE_INTEGER : Number(before), count]);
      return rows.map((row) => toEntry(row).entry);
    },
    async find({ topic, group }, id) {
      const rows = await run(`select ms, number, fields from ${table} where topic = $1 and "group" = $2 and ms = $3 and number = $4`, [topic, group, msOf(id), numberOf(id)]);
      return rows.map((row) => toEntry(row).entry)[0];
    },
    remove: ({ topic, group }, id) => remove(topic, group, id),
    async replaceData({ topic, group }, id, text) {
      const old = await run(`select ms, number, fields from ${table} where topic = $1 and "group" = $2 and ms = $3 and number = $4`, [topic, group, msOf(id), numberOf(id)]);
      const fields = old.map((row) => toEntry(row).entry.fields)[0] ?? [];
      const edited = fields.flatMap((name, at) => (at % 2 === 0 ? [name, name === 'data' && at >= 2 * LETTER_FIELDS ? text : (fields[at + 1] ?? '')] : []));
      const [row] = await run(
        `with gone as (delete from ${table} where topic = $1 and "group" = $2 and ms = $3 and number = $4 returning 1)
         insert into ${table} (topic, "group", ms, fields) select $1, $2, (extract(epoch from clock_timestamp()) * 1000)::bigint, $5 from gone returning ms || '-' || number as id`,
        [topic, group, msOf(id), numberOf(id), JSON.stringify(edited)]);
      return toText(row?.['id']);
    },
    /** Appended first: a crash in between repeats the event, under its own id. */
    async replay({ definition, topic, group }, entry) {
      const there = await run(`select 1 as there from ${table} where topic = $1 and "group" = $2 and ms = $3 and number = $4`, [topic, group, msOf(entry.id), numberOf(entry.id)]);
      if (there.length === 0) return false;
      const fields = entry.fields.slice(2 * LETTER_FIELDS);
      const place = fields.findIndex((name, at) => at % 2 === 0 && name === (definition.options.keyField ?? 'key'));
      await append(topic, place === -1 ? '' : (fields[place + 1] ?? ''), fields);
      return remove(topic, group, entry.id);
    },
  };
}
