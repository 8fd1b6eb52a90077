import type { OpenKiotviet } from '@millrace/kiotviet';
import { AppError } from '@millrace/service';

/** Throws pos_not_configured where no point of sale is connected. */
export function connected(pos: OpenKiotviet | undefined): OpenKiotviet {
  if (pos === undefined) throw new AppError('pos_not_configured', 'no point of sale is connected: set KIOTVIET_CLIENT_ID, KIOTVIET_CLIENT_SECRET, KIOTVIET_RETAILER and POS_ENCRYPTION_KEYS for the service pos');
  return pos;
}
