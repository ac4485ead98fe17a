import { expect, test } from 'vitest';
import { checkMiddleware } from '../src/middleware.ts';

test('a middleware is its layers', () => {
  checkMiddleware({});
  checkMiddleware({ handler: (_, __, next) => next(), publish: (_, next) => next() });
});

test.each([
  [{ handlers: () => undefined }, 'handlers is function'],
  [{ publish: true }, 'publish is boolean'],
])('what would never be called is refused: %o', (middleware, said) => {
  expect(() => checkMiddleware(middleware as never)).toThrow(said);
});
