import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jsonForScript } from '../src/escape-html.ts';
import { escapeMarkdown } from '../src/escape-markdown.ts';
import { escapeText } from '../src/escape-text.ts';
import { scrubText } from '../src/scrub.ts';
import { HOSTILE } from './sample.ts';

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.constant(HOSTILE),
  fc.string({ unit: fc.constantFrom('<', '!', '-', '/', 's', '|', '\n', '\u202e', '\u001b') }),
);

describe('terminal and log', () => {
  test.each([
    ['a\nb\tc', 'a b c'],
    ['\u001b[2Jx', '\\u001b[2Jx'],
    ['a\u202eb\u2066c', 'a\\u202eb\\u2066c'],
    ['\u200b\ufeff', '\\u200b\\ufeff'],
    ['ä → 日本 😀', 'ä → 日本 😀'],
  ])('%j', (text, expected) => expect(escapeText(text)).toBe(expected));

  test('never a control or a direction character', () => {
    // oxlint-disable-next-line no-control-regex -- they are what must not be there
    const bad = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/;
    fc.assert(
      fc.property(anyText, (text) => {
        expect(escapeText(text)).not.toMatch(bad);
      }),
    );
  });
});

describe('HTML data', () => {
  test('the same value, and nothing that could end the block', () => {
    fc.assert(
      fc.property(fc.oneof(fc.jsonValue(), anyText), (value) => {
        const text = jsonForScript(value);
        expect(text).not.toMatch(/[<>&\u2028\u2029]/);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
});

describe('Markdown cells', () => {
  test('no cell, line, tag or link comes of it', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const cell = escapeMarkdown(text);
        expect(cell).not.toMatch(/[\n\r<>@]/);
        expect(cell.replaceAll(/\\[\\`*_[\]|~$]/g, '')).not.toMatch(/[|`*_[\]]/);
      }),
    );
  });
});

describe('reports', () => {
  test.each([
    ['at run (file:///home/ada/app/src/x.ts:1:2)', 'at run (x.ts:1:2)'],
    ['at /srv/app/node_modules/@acme/lib/index.js:3', 'at index.js:3'],
    [String.raw`in C:\Users\ada\x.ts`, 'in x.ts'],
    ['redis://***@h:6379/0/1 and orders/inventory and a/b/c', 'redis://***@h:6379/0/1 and orders/inventory and a/b/c'],
    ['1 / 2', '1 / 2'],
  ])('%s', (text, expected) => expect(scrubText(text)).toBe(expected));
});
