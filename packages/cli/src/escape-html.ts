const dangerous: Readonly<Record<string, string>> = {
  '<': '\\u003c',
  '>': '\\u003e',
  '&': '\\u0026',
  '\u2028': '\\u2028',
  '\u2029': '\\u2029',
};

/**
 * Data for a `<script type="application/json">` block. No character is left that could end the block or begin another,
 * and the text stays JSON with the same value. Foreign text gets into the page by this way only; the page's own script
 * puts it in place through `textContent`.
 */
export function jsonForScript(value: unknown): string {
  return JSON.stringify(value).replaceAll(/[<>&\u2028\u2029]/g, (character) => dangerous[character] ?? '');
}
