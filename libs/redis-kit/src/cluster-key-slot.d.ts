/** The package has no types of its own. */
declare module 'cluster-key-slot' {
  /** Slot of a key (CRC16 of its hash tag, modulo 16,384). */
  function calculateSlot(key: string): number;
  export = calculateSlot;
}
