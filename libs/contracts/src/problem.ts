import { z } from 'zod';

/** RFC 9457 problem details, the body of every error. */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string().meta({ description: 'Stable, for programs' }),
    detail: z.string().meta({ description: 'One sentence that helps' }),
    pointer: z.string().optional().meta({ description: 'JSON pointer to the first wrong value' }),
    errors: z.array(z.object({ in: z.enum(['body', 'query', 'path', 'headers']), pointer: z.string(), detail: z.string() })).optional(),
    request_id: z.string().optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.output<typeof problemSchema>;
