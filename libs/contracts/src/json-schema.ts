import { z } from 'zod';

/** Any JSON value. Registered, not by `.meta`, which copies: it holds itself, and would have no name in the OpenAPI document. */
export const jsonSchema = z.json();
z.globalRegistry.add(jsonSchema, { id: 'Json', description: 'Any JSON value' });
