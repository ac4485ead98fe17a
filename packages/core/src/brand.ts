/**
 * Gives an error class its name and its brand, and returns the test for the brand. A brand is a symbol of the global
 * registry on the prototype: unlike `instanceof` it lets two copies of this package in one program recognise each
 * other's errors. The test never throws, whatever it is given.
 */
export function brand(prototype: Error, name: string): (value: unknown) => boolean {
  const symbol = Symbol.for(`@waybill/core/${name}`);
  Object.defineProperty(prototype, symbol, { value: true });
  // On the prototype, because the first line of a stack is written before a class's fields are.
  Object.defineProperty(prototype, 'name', { value: name, writable: true, configurable: true });
  return (value) => {
    try {
      return typeof value === 'object' && value !== null && Reflect.get(value, symbol) === true;
    } catch {
      return false; // a proxy that refuses to be looked at
    }
  };
}
