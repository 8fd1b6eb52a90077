import { describe, expect, it } from '@jest/globals';
import { eraseUser, newEventSchema, userIdSchema } from '@millrace/contracts';

describe('a user id', () => {
  it.each(['.', '..'])('is not %s: URLs have another meaning for it, so that such a user could never be read or erased', (id) => {
    expect(newEventSchema.safeParse({ user_id: id, asin: 'A', event_type: 'view' }).success).toBe(false);
    expect(eraseUser.params.safeParse({ id }).success).toBe(false);
  });
  it.each(['...', '.a', 'a/b', '}{', '%2F', 'đ'.repeat(200)])('may be %s', (id) => {
    expect(userIdSchema.parse(id)).toBe(id);
    expect(eraseUser.params.parse({ id })).toEqual({ id });
  });
});
