import type { PosCustomerBody, PosInvoiceBody } from '@millrace/contracts';

type Text = string | null;
const HIDDEN = '***';
const firstOf = (text: string): string => /^./u.exec(text)?.[0] ?? '';

/** First letter of each word. */
export const maskName = (name: Text): Text => name && name.split(/\s+/).filter(Boolean).map((word) => `${firstOf(word)}${HIDDEN}`).join(' ');
/** Two digits at each end of one that is long enough. */
export const maskPhone = (phone: Text): Text => phone && (phone.length >= 8 ? `${phone.slice(0, 2)}******${phone.slice(-2)}` : HIDDEN);
/** First letter and domain. */
export const maskEmail = (email: Text): Text => email && (/^[^@]+@[^@]+$/.test(email) ? `${firstOf(email)}${HIDDEN}${email.slice(email.indexOf('@'))}` : HIDDEN);
const hide = (text: Text): Text => text && HIDDEN;

export const maskCustomer = (customer: PosCustomerBody): PosCustomerBody => ({
  ...customer, name: maskName(customer.name), phone: maskPhone(customer.phone), email: maskEmail(customer.email), address: hide(customer.address), birth_date: hide(customer.birth_date), organization: hide(customer.organization), tax_code: hide(customer.tax_code), comments: hide(customer.comments),
});

export const maskInvoice = (invoice: PosInvoiceBody): PosInvoiceBody => ({
  ...invoice, customer: maskName(invoice.customer), sold_by: maskName(invoice.sold_by),
  delivery: invoice.delivery && { ...invoice.delivery, receiver: maskName(invoice.delivery.receiver), phone: maskPhone(invoice.delivery.phone), address: hide(invoice.delivery.address) },
});
