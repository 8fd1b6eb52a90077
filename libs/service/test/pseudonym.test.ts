import { describe, expect, it } from '@jest/globals';
import { createPseudonym } from '@millrace/service';

describe('the pseudonym of a user', () => {
  it('is the same in every process with the same secret', () => {
    expect(createPseudonym('secret of the installation')('customer-81')).toBe(createPseudonym('secret of the installation')('customer-81'));
    expect(createPseudonym('secret of the installation')('customer-81')).toBe('u_s9y3PadN1bTNyHm9uT0jP7');
  });
  it('is another one for another user or another secret', () => {
    const names = [createPseudonym('a')('x'), createPseudonym('a')('y'), createPseudonym('b')('x')];
    expect(new Set(names).size).toBe(3);
  });
});
