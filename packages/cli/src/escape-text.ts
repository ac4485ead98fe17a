// Control characters, bidirectional overrides, and what else changes a line without being seen.
const unseen =
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/**
 * Foreign text for a terminal or a log: on one line, without anything that moves the cursor, changes colours or turns
 * the direction of reading. What is taken out is shown as its code: `\u001b`.
 */
export function escapeText(text: string, longest = 400): string {
  const shown = text.toWellFormed().replaceAll(unseen, (character) => {
    if (character === '\n' || character === '\t') return ' ';
    return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
  });
  return shown.length <= longest ? shown : `${shown.slice(0, longest)}…`;
}

/** The same for text whose lines are ours: line breaks stay. */
export function escapeLines(text: string): string {
  return text
    .split('\n')
    .map((line) => escapeText(line, 2_000))
    .join('\n');
}
