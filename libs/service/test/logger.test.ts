import { describe, expect, it } from '@jest/globals';
import { createLogger } from '../src/index.ts';

function logged(fields: object): string {
  let text = '';
  createLogger('test', 'info', { write: (line) => void (text += line) }).info(fields, 'message');
  return text;
}

describe('the log', () => {
  it.each([
    { where: 'at the top', fields: { token: 'hunter2' } },
    { where: 'one level down', fields: { config: { password: 'hunter2' } } },
    { where: 'two levels down', fields: { request: { options: { apiKey: 'hunter2' } } } },
    { where: 'in the headers of a request', fields: { req: { headers: { 'x-api-key': 'hunter2' } } } },
    { where: 'in the command of a Redis error', fields: { err: Object.assign(new Error('WRONGPASS'), { command: { name: 'auth', args: ['hunter2'] } }) } },
  ])('masks a secret $where', ({ fields }) => {
    expect(logged(fields)).not.toContain('hunter2');
  });
  it('keeps message, stack and code of an error', () => {
    const line: unknown = JSON.parse(logged({ err: Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }) }));
    expect(line).toMatchObject({ msg: 'message', service: 'test', err: { message: 'refused', code: 'ECONNREFUSED', stack: expect.stringContaining('Error: refused') } });
  });
});
