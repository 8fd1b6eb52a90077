import { userParams } from '@millrace/contracts';

/** As in POST /api/event. */
export const userId = userParams.shape.id.meta({ description: "The shop's id of its customer", example: '123' });
